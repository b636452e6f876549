//! Variables: what is wrong is said, what they hold is not.

use super::*;

const VARIABLES: &[Case] = &[
    (
        "  b: { to: \"http://${HOST}:1\" }",
        &["4:12: the variable `HOST` is not set (set it, or write a default: `${HOST:-…}`)"],
    ),
    (
        "  b: { to: \"http://${HOST:?set HOST}:1\" }",
        &["4:12: the variable `HOST` is not set: set HOST"],
    ),
    (
        "  b: { to: \"${SECRET}\" }",
        &["4:12: route `b` sends traffic to an unknown upstream «redacted»"],
    ),
    ("  b: { to: \"http://a/${SECRET}\" }", &["4:12: «redacted» is not a URL of an endpoint"]),
    (
        "  b: { to: \"http://a:1\", enabled: \"${SECRET}\" }",
        &["4:35: `enabled` in route `b` must be true or false, not «redacted»"],
    ),
    (
        "  b: { to: \"http://a:1\", timeouts: { request: \"${PORT}\" } }",
        &[
            "4:47: `request` in `timeouts` of route `b` has no unit: «redacted» (did you mean `10s`?)",
        ],
    ),
    (
        "  b: { to: \"http://${PORT\" }",
        &["4:12: `${` without its `}` (for the two characters themselves, write `$${`)"],
    ),
    (
        "  b: { to: \"http://${1X}\" }",
        &[
            "4:12: `${1X}` is not a variable (variables are `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `${file:/path}`; `$${` is a literal `${`)",
        ],
    ),
    (
        "  b: { to: \"http://${PORT-80}\" }",
        &[
            "4:12: `${PORT-80}` is not a variable (after the name comes `}`, `:-default` or `:?message`: `${PORT}`)",
        ],
    ),
    (
        "  b: { to: \"${file:/nowhere/at/all}\" }",
        &["4:12: cannot read `/nowhere/at/all`: there is no such file (`${file:…}` reads a file)"],
    ),
    (
        "  ${PORT}: { to: \"http://a:1\" }",
        &[
            "4:3: `${PORT}` cannot be a name (names are a-z, 0-9, `-` and `_`, start with a letter or digit, at most 63 characters)",
        ],
    ),
    ("listeners: { http: \"${SECRET}\" }", &["4:20: «redacted» is not an address"]),
];

#[test]
fn variables() {
    check(VARIABLES);
}
