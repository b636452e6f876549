//! Expressions that are refused: what is said, and where.

use super::*;

/// Expression, the part that is marked, and what is said.
const WRONG: &[(&str, &str, &str)] = &[
    ("", "", "it is no expression: mismatched input the end"),
    (
        "request.method = 'GET'",
        "=",
        "it is no expression: token recognition error at: '= ' (`==` compares)",
    ),
    ("a and b", "a", "it is no expression: mismatched input 'and' (`&&` is and, `||` is or)"),
    ("(true", "", "it is no expression: missing ')' at the end"),
    ("requst.method == 'GET'", "requst", "there is no `requst` (did you mean `request`?)"),
    (
        "request.methd == 'GET'",
        "request.methd",
        "`request` has no `methd` (did you mean `method`?)",
    ),
    (
        "request == 1",
        "request",
        "`request` is no value by itself (its fields: method, path, host, query, headers, protocol, scheme)",
    ),
    ("claims", "claims", "a rule is true or false, and this is a map"),
    ("request.path", "request.path", "a rule is true or false, and this is text"),
    ("request.path && true", "request.path", "this must be true or false, and is text"),
    ("request.path == 1", "==", "`==` between text and a whole number"),
    ("request.path > 1", ">", "`>` between text and a whole number"),
    ("now - 5 > now", "-", "`-` between a time and a whole number"),
    ("1 in 'abc'", "in", "a whole number is never in text"),
    ("1 in request.headers", "in", "a whole number is never in a map"),
    (
        "request.headers['X-Team'] == 'a'",
        "'X-Team'",
        "names of headers are in lower case here (did you mean `\"x-team\"`?)",
    ),
    (
        "'X-Team' in request.headers",
        "'X-Team'",
        "names of headers are in lower case here (did you mean `\"x-team\"`?)",
    ),
    ("request.headers[1] == 'a'", "[", "a whole number in brackets after a map"),
    (
        "has(claims)",
        "(",
        "`has` asks for a field of a map (`has(claims.role)`, or `\"x-role\" in request.headers`)",
    ),
    (
        "has(request.path)",
        "(",
        "`has` asks for a field of a map (`has(claims.role)`, or `\"x-role\" in request.headers`)",
    ),
    ("request.path.matches(claims.p)", "claims.p", "a pattern must be written in the rule itself"),
    ("request.path.matches('[')", "'['", "no pattern that can be read: unclosed character class"),
    ("request.path.matches('(a{1000}){1000}')", "'(a{1000}){1000}'", "a pattern that is too large"),
    ("inNetwork(client.ip, '10.0.0.0/33')", "'10.0.0.0/33'", "no network, like `10.0.0.0/8`"),
    ("inNetwork(client.ip, claims.n)", "claims.n", "a network must be written in the rule itself"),
    ("timestamp('yesterday') < now", "'yesterday'", "no timestamp, like `2026-11-21T08:33:46Z`"),
    ("now - now < duration('5')", "'5'", "no duration, like `1h30m`"),
    (
        "request.path.startWith('/a')",
        "(",
        "there is no function `startWith` (did you mean `startsWith`?)",
    ),
    ("startsWith(request.path, '/a')", "(", "`startsWith` is not called so (`x.startsWith(y)`)"),
    ("request.path.startsWith(1)", "1", "`startsWith` of a whole number"),
    ("claims.groups.exists('g', true)", "'g'", "`exists` takes a name first"),
    ("claims.groups.exists(g)", "(", "`exists` takes a name and an expression"),
    ("claims.groups.exists(claims, true)", "claims", "`claims` is something else already"),
    ("request.path.exists(c, true)", "(", "`exists` after text"),
    ("claims.g.exists(g, g == h)", "h", "there is no `h` (did you mean `g`?)"),
    ("{'a': 1}['a'] == 1", "{", "a rule has no maps of its own"),
    ("a.B{c: 1} == 1", "{", "a rule makes no messages"),
    ("b'abc' == b'abc'", "b'abc'", "a rule knows text, and no bytes"),
    ("-request.path == 1", "-", "`-` before text"),
];

#[test]
fn what_can_never_work_is_refused_with_its_place() {
    let mut wrong = Vec::new();
    for (text, marked, said) in WRONG {
        let problem = Rule::compile(text).expect_err(text);
        let help = problem.help.map(|help| format!(" ({help})")).unwrap_or_default();
        let found = (&text[problem.at], format!("{}{help}", problem.message));
        if (found.0, &*found.1) != (*marked, *said) {
            wrong.push(format!("{text}\n  {found:?}\n  ({marked:?}, {said:?})"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
