//! Whatever a source says, there is a file that loads, or an error.

use std::path::Path;

use proptest::prelude::*;

use super::{
    super::{From, Source, import},
    failures,
};

const WORDS: [&str; 50] = [
    "http",
    "server",
    "location",
    "upstream",
    "listen",
    "server_name",
    "proxy_pass",
    "return",
    "rewrite",
    "allow",
    "deny",
    "all",
    "80",
    "443 ssl",
    "a.example.com",
    "*.x",
    "~",
    "~*",
    "^~",
    "=",
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/{x}",
    "/ä b",
    "\"/ä b/\"",
    "/@/",
    "\"/{*;%/\"",
    "/\\.(?!well-known)",
    "~^/a(",
    "\\.php$",
    "^/x/(.*)$",
    "/$1",
    "break",
    "permanent",
    "http://u",
    "http://u/x",
    "https://$host",
    "301",
    "200",
    "\"${X}: #\"",
    "limit_req",
    "zone=z",
    "add_header",
    "X-A",
    "include",
    "{",
    "}",
    ";",
];

fn run(text: &str, from: From) {
    let source = Source { name: "x", text, directory: Path::new("/nonexistent") };
    if let Ok(made) = import(source, Some(from), None) {
        failures(&made.text);
    }
}

fn block() -> impl Strategy<Value = String> {
    let word = prop::sample::select(&WORDS[..43]);
    let line = prop::collection::vec(word, 1..4).prop_map(|words| format!("{};", words.join(" ")));
    let kind = prop::sample::select(&["", "= ", "^~ ", "~ ", "~* "][..]);
    let text = prop::sample::select(
        &["/", "/a", "/a/", "/ab", "/a/b/", "/@x", "\\.php$", "^/a", "/a b", "x|y"][..],
    );
    let location =
        (kind, text, prop::collection::vec(line.clone(), 0..3)).prop_map(|(kind, text, lines)| {
            format!("location {kind}\"{text}\" {{ {} }}", lines.join(" "))
        });
    let location = prop_oneof![
        location.clone(),
        location.prop_map(|it| it.replace("{ ", "{ proxy_pass http://u; ")),
    ];
    (prop::collection::vec(line, 0..2), prop::collection::vec(location, 0..6)).prop_map(
        |(lines, locations)| format!("server {{ {}\n{} }}", lines.join("\n"), locations.join("\n")),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn words_in_any_order(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..40)) {
        run(&words.join(" "), From::Nginx);
    }

    #[test]
    fn servers_of_any_locations(blocks in prop::collection::vec(block(), 1..3)) {
        run(&blocks.join("\n"), From::Nginx);
    }

    #[test]
    fn any_text(text in "\\PC{0,80}") {
        run(&text, From::Nginx);
        run(&text, From::Openapi);
    }

    #[test]
    fn documents_of_any_paths(
        paths in prop::collection::vec("/[a-c{}.*;@/ä]{0,8}", 0..5),
        security in prop::sample::select(&["[]", "[{}]", "[x]", "x", "[{ a: [r] }]", "[{ a: [], b: [] }, { c: [] }]", "{}"][..]),
        scheme in prop::sample::select(&["{}", "{ type: apiKey, in: header, name: 'X Y' }", "{ type: http, scheme: bearer }", "[]", "{ type: openIdConnect, openIdConnectUrl: 'x' }"][..]),
        url in prop::sample::select(&["/", "http://a", "https://a/{x}", "x", "ftp://a", "http://"][..]),
    ) {
        let mut text = format!("openapi: 3.0.0\nservers: [{{ url: '{url}' }}]\ncomponents: {{ securitySchemes: {{ a: {scheme}, b: {scheme} }} }}\npaths:\n");
        for path in &paths {
            text += &format!("  '{path}': {{ get: {{ security: {security} }}, head: {{}}, post: x }}\n");
        }
        run(&text, From::Openapi);
    }
}
