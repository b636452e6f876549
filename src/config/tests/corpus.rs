//! Whole files: those of the language, and the same text read by another parser.

use serde_json::Value;

use super::{
    super::{
        decode::json,
        diagnostic::{Diagnostics, Severity},
        fields::{Section, TOP, Type},
        tree::{Kind, Node},
        yaml,
    },
    findings, read,
};

const HELLO: &str = include_str!("corpus/hello.yaml");
const SHOP: &str = include_str!("corpus/shop.yaml");
const REFERENCE: &str = include_str!("corpus/reference.yaml");
const BUILT: &str = include_str!("corpus/built.yaml");

#[test]
fn hello_loads_without_a_word() {
    let loaded = read(HELLO);
    assert!(
        loaded.config.is_some() && loaded.diagnostics.items.is_empty(),
        "{}",
        loaded.render(false)
    );
}

#[test]
fn a_file_with_every_built_key_loads() {
    let loaded = read(BUILT);
    assert!(loaded.config.is_some(), "{}", loaded.render(false));
}

#[test]
fn the_rest_of_the_language_is_known_and_refused() {
    for text in [SHOP, REFERENCE] {
        let loaded = read(text);
        assert!(loaded.config.is_none());
        for found in loaded.diagnostics.items.iter().filter(|f| f.severity == Severity::Error) {
            assert!(found.message.ends_with("but this build cannot do it yet"), "{found}");
        }
    }
}

#[test]
fn every_key_of_the_reference_is_in_the_table() {
    let tree = yaml::read(REFERENCE, 0, &mut Diagnostics::default()).unwrap().root;
    let mut unknown = Vec::new();
    known(&tree, &TOP, "", &mut unknown);
    assert!(unknown.is_empty(), "{unknown:#?}");
}

fn known(node: &Node, section: &'static Section, path: &str, unknown: &mut Vec<String>) {
    for entry in node.entries().unwrap_or_default() {
        let path = format!("{path}.{}", entry.key);
        let Some(field) = section.field(&entry.key) else {
            unknown.push(path);
            continue;
        };
        match (&field.ty, &entry.value.kind) {
            (Type::Map(inner), _) => known(&entry.value, inner, &path, unknown),
            (Type::Named(inner), Kind::Map(entries)) => {
                for entry in entries {
                    known(&entry.value, inner, &path, unknown);
                }
            }
            (Type::Many(inner), Kind::Seq(items)) => {
                for item in items {
                    known(item, inner, &path, unknown);
                }
            }
            _ => {}
        }
    }
}

/// The archived serde_yaml reads the corpus as we do. Known differences, not in the corpus or named
/// here: it does not apply `<<`, lets the last duplicate win, and takes `0x1f`, `0o17` and `.inf` as numbers.
#[test]
fn another_parser_reads_the_same() {
    let merge = "a: &x { b: 1 }\nc: { <<: *x, d: 2 }\n";
    let words = "a: [yes, no, on, off, y, n, ~, null, 012, 1_000, 1e3, -5, +5, '1', \"\\u00e9\", 1.50]\n\
                 b: |\n  two\n  lines\nc: >-\n  folded\n  text\nd: 'it''s'\ne: plain\n  over lines\nf: [a, {b: c}, [], {}]\ng: &a 1\nh: *a\n";
    for text in [HELLO, SHOP, REFERENCE, BUILT, words] {
        assert_eq!(ours(text), theirs(text));
    }
    assert_ne!(ours(merge), theirs(merge));
    assert_eq!(ours(merge), theirs("a: { b: 1 }\nc: { d: 2, b: 1 }\n"));
}

fn ours(text: &str) -> Value {
    let mut out = Diagnostics::default();
    let tree = yaml::read(text, 0, &mut out).unwrap().root;
    assert!(out.items.is_empty(), "{:?}", out.items);
    json(&tree)
}

fn theirs(text: &str) -> Value {
    serde_yaml_oracle::from_str(text).unwrap()
}

#[test]
fn a_secret_is_never_shown() {
    let tree = yaml::read(BUILT, 0, &mut Diagnostics::default()).unwrap().root;
    let mut places = Vec::new();
    scalars(&tree, &mut places);
    assert!(places.len() > 100);
    let mut refused = 0;
    for (start, end) in places {
        for form in [
            "${SECRET}",
            "GET ${SECRET}",
            "http://a/${SECRET}",
            "/${SECRET} x",
            "a b/${SECRET}",
            "[${SECRET}]",
            "${SECRET}%",
            "${SECRET}://x",
            ":${SECRET}",
        ] {
            let text = format!("{}'{form}'{}", &BUILT[..start], &BUILT[end..]);
            let loaded = read(&text);
            refused += usize::from(loaded.config.is_none());
            // A place that takes a URL as a name is allowed to: the name is what is asked for.
            let shown = format!("{}{:?}", loaded.render(false), findings(&loaded));
            assert!(!shown.contains("hunter2"), "{form} at byte {start}:\n{shown}");
        }
    }
    assert!(refused > 100, "{refused}");
}

fn scalars(node: &Node, places: &mut Vec<(usize, usize)>) {
    match &node.kind {
        Kind::Scalar(_) => places.push((node.place.start as usize, node.place.end as usize)),
        Kind::Seq(items) => items.iter().for_each(|item| scalars(item, places)),
        Kind::Map(entries) => entries.iter().for_each(|entry| scalars(&entry.value, places)),
        Kind::Null => {}
    }
}
