//! Whole files: those of the language, and the same text read by another parser.

use super::{
    super::{
        diagnostic::{Diagnostics, Severity},
        fields::{Section, Status, TOP, Type},
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

/// What the table calls NOT YET is refused as such: otherwise it works, and the table is wrong.
#[test]
fn what_the_table_calls_not_yet_is_not_there_yet() {
    let (mut later, mut wrong) = (Vec::new(), Vec::new());
    not_yet(&TOP, &mut Vec::new(), &mut later);
    assert!(later.len() > 20, "{later:#?}");
    // Nobody inherits endpoints, so nothing of them is looked at there.
    later.retain(|path| !path.join(".").starts_with("defaults.upstream.discover."));
    for path in later {
        let (key, above) = path.split_last().unwrap();
        let inner = format!("{{ {key}: x }}");
        let text = above.iter().rev().fold(inner, |inner, key| match key.as_str() {
            "*" => format!("[{inner}]"),
            key => format!("{{ {key}: {inner} }}"),
        });
        // What must be there before the rest is looked at.
        let text = [("listeners", "address: \":1\""), ("upstreams", "endpoints: \"http://a:1\"")]
            .iter()
            .fold(text, |text, (above, needed)| {
                let start = format!("{above}: {{ x: {{ ");
                let both = text.contains("discover");
                text.replace(
                    &start,
                    &if both { start.clone() } else { format!("{start}{needed}, ") },
                )
            });
        let found = findings(&read(&text));
        let said = format!("`{key}` ");
        let cannot = |it: &String| it.contains(&said) && it.contains("cannot do it yet");
        if !found.iter().any(cannot) {
            wrong.push(format!("{text}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn not_yet(section: &'static Section, path: &mut Vec<String>, later: &mut Vec<Vec<String>>) {
    for field in section.fields {
        path.push(field.key.to_owned());
        match (&field.status, &field.ty) {
            (Status::Later, _) => later.push(path.clone()),
            (Status::Built, Type::Map(inner)) => not_yet(inner, path, later),
            (Status::Built, Type::Named(inner) | Type::Many(inner)) => {
                path.push(if matches!(field.ty, Type::Many(_)) { "*" } else { "x" }.to_owned());
                not_yet(inner, path, later);
                path.pop();
            }
            _ => {}
        }
        path.pop();
    }
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

#[test]
fn another_parser_reads_the_same() {
    for text in [HELLO, SHOP, REFERENCE, BUILT] {
        super::yaml::same(text);
    }
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
