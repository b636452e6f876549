//! What people see.

use super::{
    super::{Input, load, one_line},
    env, read,
};

#[test]
fn errors_show_the_line_and_both_places() {
    let main = "version: 1\nupstreams: { catalog: \"http://c\" }\nroutes:\n  orders:\n    strip_prefx: /orders\n    to: catalog\n  catalog:\n    to: catlog\n";
    let other = "routes:\n  orders: { to: catalog }\n";
    let text =
        |name: &str, text: &str| Input::Text { name: name.to_owned(), text: text.to_owned() };
    let loaded = load(&[text("routes.yaml", main), text("legacy.yaml", other)], &env);
    assert_eq!(
        loaded.render(false),
        "error: unknown key `strip_prefx` in route `orders`
 --> routes.yaml:5:5
  |
5 |     strip_prefx: /orders
  |     ^^^^^^^^^^^
  |
  = help: did you mean `strip_prefix`?

error: route `catalog` sends traffic to an unknown upstream `catlog`
 --> routes.yaml:8:9
  |
8 |     to: catlog
  |         ^^^^^^ not defined in any file
  |
  = help: did you mean `catalog`?

error: the route `orders` is defined twice
 --> legacy.yaml:2:3
  |
2 |   orders: { to: catalog }
  |   ^^^^^^ again here
  |
 ::: routes.yaml:4:3
  |
4 |   orders:
  |   ------ first here
  |
  = help: give one of them another name

3 errors in 2 files
"
    );
    assert!(loaded.render(true).contains("\u{1b}["));
    assert_eq!(
        one_line(&loaded.diagnostics.items[0], &loaded.sources),
        "routes.yaml:5:5: unknown key `strip_prefx` in route `orders` (did you mean `strip_prefix`?)"
    );
}

#[test]
fn warnings_are_counted_apart_and_long_lines_are_not_shown() {
    let text = format!(
        "version: 1\nroutes: {{ a: {{ respond: 200, match: / }}, b: {{ respond: \"{}\", x: 1 }} }}\n",
        "y".repeat(100_000)
    );
    let shown = read(&text).render(false);
    assert!(shown.ends_with("2 errors and 1 warning in 1 file\n"), "{shown}");
    assert!(shown.contains("warning: `/` matches only the root"));
    let x = text.lines().nth(1).unwrap().find("x: 1").unwrap() + 1;
    assert!(shown.contains(&format!("--> routes.yaml:2:{x}\n")), "{shown}");
    assert!(shown.len() < 2_000, "{}", shown.len());
}

#[test]
fn a_good_file_says_nothing() {
    assert_eq!(read("version: 1\nroutes: { a: { respond: 200 } }").render(true), "");
}

#[test]
fn two_places_of_one_file_share_a_snippet() {
    let text = "version: 1\nroutes:\n  a: { respond: 200 }\n  b: { respond: 200 }\n  a: { respond: 204 }\n";
    assert_eq!(
        read(text).render(false),
        "error: the key `a` is written twice\n --> routes.yaml:5:3\n  |\n3 |   a: { respond: 200 }\n  |   - first here\n4 |   b: { respond: 200 }\n5 |   a: { respond: *** }\n  |   ^ again here\n  |\n  = help: take one of them out\n\n1 error in 1 file\n"
    );
}

/// What is printed of a file, secrets in the place of `SECRET`, which there must be errors in.
#[track_caller]
fn shown(text: &str) -> String {
    let planted = "pl4nted 0123456789";
    let loaded = read(&format!("version: 1\n{}", text.replace("SECRET", planted)));
    let shown = loaded.render(false);
    assert!(shown.contains("error"), "{text}");
    assert!(!shown.contains("pl4nted") && !shown.contains("0123456789"), "{text}\n{shown}");
    for found in &loaded.diagnostics.items {
        assert!(!one_line(found, &loaded.sources).contains("pl4nted"), "{found:?}");
    }
    shown
}

#[test]
fn a_secret_beside_a_misspelt_key_is_not_shown() {
    let routes = "routes: { a: { respond: 200 } }";
    for file in [
        "policies: { auth: { p: { api_kye: { keys: { ann: \"SECRET\" } } } } }",
        "policies: { auth: { p: { api_key: { kyes: { ann: \"SECRET\" } } } } }",
        "policies: { auth: { p: { api_key: { ann: SECRET } } } }",
        "policies: { auth: { p: { basic: { usres: { ann: SECRET } } } } }",
        "policies: { auth: { p: SECRET, q: [SECRET] } }",
        "policies: { auth: { api_key: { keys: { ann: SECRET } } } }",
        "policies: { ath: { p: { api_key: { keys: { ann: SECRET } } } }, auht: SECRET }",
        "policies: { auth: { p: { oidc: { issuer: https://a, client_secrt: SECRET } } } }",
        "policies: { auth: { p: { oidc: { issuer: https://a, clientsecret: SECRET } } } }",
        "policies: { auth: { p: { oidc: { issuer: https://a, secret: [SECRET] } } } }",
        "policies: { auth: { p: { odic: { issuer: https://a, client_secret: SECRET } } } }",
        "policies:\n  auth:\n    p:\n      api_kye:\n        keys:\n          ann: SECRET",
        "policies:\n  auth:\n    p:\n      oidc:\n        client_secrt: SECRET # its own",
        "stores: { s: { redis: redis://a:1, passwrd: SECRET } }",
        "stores: { s: SECRET }",
        "upstreams: { u: { discover: { etcd: { endpoints: [http://a], prefix: /a, passwd: SECRET } } } }",
        "upstreams: { u: { discover: { consul: { token: SECRET } } } }",
        "upstreams: { u: { endpoints: http://a, sticky: { cookie: c, secrt: SECRET } } }",
        "upstreams: { u: { endpoints: http://a, secret: SECRET } }",
        "admin: { token: SECRET }",
        "tls: { acme: { x: { dns: { provider: p, token: SECRET } } } }",
        "tests: [{ header: { x-api-key: SECRET } }]",
        "tests: { header: { x-api-key: SECRET } }",
        "token: SECRET",
        "routse: { b: { auth: { api_key: { keys: { ann: SECRET } } } } }",
        "token: \"${UNSET:-SECRET}\"",
        "token: \"SECRET ${UNSET}\"",
        "policies: { auht: { p: { api_kye: SECRET",
    ] {
        shown(&format!("{file}\n{routes}\n"));
    }
    for route in [
        "headers: { request: { sett: { Authorization: SECRET } } }",
        "headers: { request: { set: { Authorization: SECRET }, x: 1 } }",
        "headers: { request: { set: { X-Api-Key: [SECRET] }, x: 1 } }",
        "auth: { api_kye: { keys: { ann: SECRET } } }",
        "auth: { api_key: { kyes: { ann: SECRET } } }",
        "auth: { odic: { secrets: [SECRET] } }",
        "tkoen: SECRET",
        "strip_prefx: [SECRET]",
        "layers: [{ name: x, at: start, conf: { token: SECRET } }]",
        "timeouts: { request: { token: SECRET } }",
        "match: { headers: { x-api-key: SECRET }, hots: a }",
    ] {
        shown(&format!("routes: {{ b: {{ to: \"http://a\", {route} }} }}\n"));
    }
    // A file of something else, included by mistake.
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    std::fs::write(at("main.yaml"), format!("version: 1\ninclude: \"*.txt\"\n{routes}\n")).unwrap();
    std::fs::write(at("a.txt"), "pl4nted and more\nof it\n").unwrap();
    let text = load(&[Input::File(at("main.yaml"))], &env).render(false);
    assert!(text.contains("must be a map, not text") && !text.contains("pl4nted"), "{text}");
    assert!(!text.contains("and more"), "{text}");
}

#[test]
fn carets_end_with_the_value_that_is_masked() {
    for (written, carets) in [
        ("secret: shrt   # a comment", 4),
        ("secret: \"shrt\" # a comment", 6),
        ("secret: [shrt, b]  # a comment", 9),
        ("secret: ${UNSET}  # a comment", 8),
        ("secret: # a comment\n        - shrt # a comment\n        - b", 6),
        ("secret:\n        a: shrt # a comment\n        b: c", 7),
    ] {
        let text = format!(
            "version: 1\nupstreams:\n  u:\n    endpoints: http://a\n    sticky:\n      cookie: c\n      {written}\n    lb: x\nroutes: {{ a: {{ to: u }} }}\n"
        );
        let shown = read(&text).render(false);
        let under = shown.lines().find(|line| line.contains('^'));
        let under = under.unwrap_or_else(|| panic!("{shown}"));
        assert_eq!(under.matches('^').count(), carets, "{shown}");
        assert!(shown.contains("# a comment"), "{shown}");
    }
}

#[test]
fn values_that_are_no_secret_stay_readable() {
    let text = "version: 1\nroutes:\n  a: { match: /a, strip_prefx: /orders, to: nowhere, timeouts: { request: 10 } }\n";
    let shown = read(text).render(false);
    assert!(
        shown.contains("strip_prefx: /orders, to: nowhere, timeouts: { request: 10 }"),
        "{shown}"
    );
}
