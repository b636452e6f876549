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
        "error: the key `a` is written twice\n --> routes.yaml:5:3\n  |\n3 |   a: { respond: 200 }\n  |   - first here\n4 |   b: { respond: 200 }\n5 |   a: { respond: 204 }\n  |   ^ again here\n  |\n  = help: take one of them out\n\n1 error in 1 file\n"
    );
}
