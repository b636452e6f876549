//! The layout, and that nothing is lost in it.

use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;

fn formatted(text: &str) -> String {
    format("routes.yaml", text, false).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

const BEFORE: &str = "
version:   1   # of the language


# above
routes:
    app:
        match:   /x   # first
        to: http://a:1 # second
        headers: {request: {set: {x-a:  'b' , \"c\":d}},response : none}
        # below
    # b: written out
    list:
    -   a
    - to:  x
      # inner
      y: z
    -
        k: v

    - - 1
      - {}
    flow: [
       a,
          {b: c,   # of b
      d: e},
    ]
    text: |
          one
           two

          three
    more: >-
      a
      b
    plain: goes
       on
# end


";

const AFTER: &str = "\
version: 1  # of the language

# above
routes:
  app:
    match: /x       # first
    to: http://a:1  # second
    headers: { request: { set: { x-a: 'b', \"c\": d } }, response: none }
    # below
  # b: written out
  list:
    - a
    - to: x
      # inner
      y: z
    -
      k: v

    - - 1
      - {}
  flow: [
    a,
    { b: c,  # of b
      d: e },
  ]
  text: |
    one
     two

    three
  more: >-
    a
    b
  plain: goes
    on
# end
";

#[test]
fn one_layout() {
    let found = formatted(BEFORE);
    assert_eq!(found, AFTER, "\n{found}");
    assert_eq!(formatted(&found), found);
}

#[test]
fn blocks_keep_their_lines() {
    for text in [
        "a:\n    b: |2\n        x\n       y\n",
        "a: |+\n  x\n\n\nb: 1\n",
        "a: |\n\n    x\n  # c\nb: 1\n",
        "a:\n- |\n x\n- >\n y\n  z\n",
        "a: \"x\n\n   y\\\n   z\"\n",
        "--- # of the document\na: &x\n    b: 1\nc: [*x, &y !!str z]\n",
        "a: &x { b: c }\nd: {<<: *x}\ne: &y z\nf: {*y : e}\n",
        "a: !!str 1\nb:\n    c: d\n",
        "{a: b,\n\"c\":\n   [\n -1 ,] }\n",
        "# only\n",
        "",
        "a:\n\n\n    # deep\n\n    b: 1\n\n    # at the end\n\n# out\n",
    ] {
        let once = formatted(text);
        assert_eq!(formatted(&once), once, "{text}");
    }
    assert_eq!(
        formatted("a:\n    b: |2\n          x\n         y\n"),
        "a:\n  b: |2\n        x\n       y\n"
    );
    assert_eq!(formatted("a: |+\n    x\n\n\nb: 1\n"), "a: |+\n  x\n\n\nb: 1\n");
    assert_eq!(formatted("a:\r\n    b: 1\r\n"), "a:\n  b: 1\n");
}

#[test]
fn what_is_no_yaml_and_what_is_too_strange_is_left_alone() {
    let refused = |text: &str| format("r.yaml", text, false).unwrap_err();
    assert!(refused("a: [1\n").contains("--> r.yaml:1:"), "{}", refused("a: [1\n"));
    assert!(refused("a:\n\tb: 1\n").contains("a tab in the indentation"));
    assert!(refused("%YAML 1.2\n---\na: 1\n").contains("directives"));
    assert!(refused("? a\n: b\n").contains("does not understand"));
    let secret = refused("policies: { auth: { a: { api_key: { keys: { k: hush } } } }\n");
    assert!(!secret.contains("hush"), "{secret}");
}

/// Every file of ours, and each with other spaces in it.
#[test]
fn all_files_are_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    for directory in ["", "examples", "examples/flask", "src/config/tests/corpus"] {
        for entry in fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            files += 1;
            let text = fs::read_to_string(&path).unwrap();
            let once = formatted(&text);
            assert_eq!(formatted(&once), once, "{}", path.display());
            // Further in.
            let wide: Vec<String> = text.lines().map(widened).collect();
            let wide = formatted(&(wide.join("\n") + "\n"));
            assert_eq!(wide, once, "{}", path.display());
        }
    }
    assert!(files >= 9, "{files}");
}

fn widened(line: &str) -> String {
    format!("   {line}  ")
}

/// Texts that look like files.
fn any_text() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "a",
        "b: ",
        "c:\n",
        "- ",
        "  ",
        "    ",
        "\n",
        "\n\n",
        "# note\n",
        " # side\n",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "'q'",
        "\"d\"",
        "|\n",
        ">-\n",
        "x y",
        "&n ",
        "*n",
        "---\n",
        ": ",
        "~",
        "!!str ",
        "é",
        "\t",
    ]);
    prop::collection::vec(parts, 0..24).prop_map(|parts| parts.concat())
}

/// A value written in one of many ways.
fn any_value() -> impl Strategy<Value = Vec<String>> {
    let leaf = prop_oneof![
        Just(vec![" 1".to_owned()]),
        Just(vec![" 'a # b'  # c".to_owned()]),
        Just(vec![" {a: 1,b: [ x ,y]}".to_owned()]),
        Just(vec![" {".to_owned(), "a: 1, # c".to_owned(), "  b: 2".to_owned(), "}".to_owned()]),
        Just(vec![" |".to_owned(), "  l".to_owned(), "   m".to_owned()]),
        Just(vec![String::new()]),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        (prop::collection::vec(inner, 1..4), 1..6usize, any::<bool>(), any::<bool>()).prop_map(
            |(items, indent, list, noted)| {
                let mut lines = vec![if noted { " # why".to_owned() } else { String::new() }];
                for (number, item) in items.iter().enumerate() {
                    let head = if list { "-".to_owned() } else { format!("k{number}:") };
                    let further = " ".repeat(indent);
                    if noted {
                        lines.push(format!("{further}# above {number}"));
                    }
                    lines.push(format!("{further}{head}{}", item[0]));
                    lines.extend(item[1..].iter().map(|line| format!("{further} {line}")));
                }
                lines
            },
        )
    })
}

proptest! {
    #[test]
    fn nothing_panics_and_the_second_time_changes_nothing(text in any_text()) {
        if let Ok(once) = laid_out(&text) {
            prop_assert_eq!(laid_out(&once).ok(), Some(once), "{:?}", text);
        }
    }

    /// `laid_out` compares what both say, and their comments.
    #[test]
    fn whatever_is_written_as_people_do_is_understood(value in any_value()) {
        let text = format!("root:{}\n", value.join("\n"));
        if meaning(&text).is_ok() {
            let once = laid_out(&text);
            prop_assert!(once.is_ok(), "{}", text);
            let once = once.unwrap_or_default();
            prop_assert_eq!(laid_out(&once).ok(), Some(once));
        }
    }
}
