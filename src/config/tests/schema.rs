//! The schema and `check` are of one opinion: what one refuses for its shape, so does the other.

use std::{fs, path::Path, sync::LazyLock};

use jsonschema::Validator;
use serde_json::Value;

use super::{
    super::{
        Loaded,
        diagnostic::Diagnostics,
        schema::schema,
        tree::{Kind, Node},
        typed::json,
        yaml,
    },
    read,
};

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::draft7::new(&schema(false)).unwrap());

fn tree(text: &str) -> Option<Node> {
    let mut out = Diagnostics::default();
    let read = yaml::read(text, 0, &mut out)?;
    (!out.has_errors()).then_some(read.root)
}

fn value(text: &str) -> Option<Value> {
    tree(text).map(|root| json(&root))
}

/// What the schema says is wrong with a file.
fn refused(text: &str) -> Vec<String> {
    let Some(value) = value(text) else { return Vec::new() };
    VALIDATOR.iter_errors(&value).map(|it| format!("{}: {it}", it.instance_path())).collect()
}

/// What messages begin or end with that are about the shape alone.
const SHAPE: [&str; 15] = [
    "unknown key",
    "cannot do it yet",
    "must be a map",
    "must be a list",
    "must be one of",
    "must be true or false",
    "must be a whole number",
    "must be a number",
    "must be a duration",
    "must be a rate",
    "has no unit",
    "is an empty list",
    " is empty",
    "has neither `",
    "has no `",
];

/// Messages of that kind that are about more than a schema can see.
const MORE: [&str; 16] = [
    // Only of some values.
    "`to: otlp` is part of",
    // What is inherited counts.
    "has no `path` or `grpc`",
    "has no `times`",
    "has no `cookie`",
    // Of files that include others.
    "a map in `include`",
    // One of several kinds of records wants a port.
    "has no `port`",
    // A key depends on others, or on their values.
    "has no `ca`",
    "has no `auth`",
    "has no `client_id`",
    "has neither `client_secret`",
    // What a variable holds.
    "not «redacted»",
    "no unit: «redacted»",
    // Rules in CEL.
    "has no `methd`",
    "this must be true or false",
    // A number that is text may be anything.
    "has no `jwks`",
    "has no `by`",
];

/// Whether `check` and the schema differ about the shape of a file.
pub(super) fn differs(text: &str, loaded: &Loaded) -> Option<String> {
    value(text)?;
    let found = refused(text);
    if !loaded.diagnostics.has_errors() {
        return (!found.is_empty()).then(|| format!("check accepts it, the schema: {found:#?}"));
    }
    let about_shape = |message: &str| {
        SHAPE.iter().any(|part| message.contains(part))
            && !MORE.iter().any(|part| message.contains(part))
    };
    let errors = loaded.diagnostics.items.iter().filter(|it| it.is_error());
    let shape: Vec<_> = errors.filter(|it| about_shape(&it.message)).collect();
    (!shape.is_empty() && found.is_empty()).then(|| format!("the schema accepts it: {shape:#?}"))
}

#[test]
fn files_that_load_are_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = ["examples", "examples/flask", "benches/peers/conf", "."]
        .iter()
        .flat_map(|directory| fs::read_dir(root.join(directory)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .filter(|path| {
            !path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("envoy"))
        })
        .collect();
    files.push(root.join("src/config/tests/corpus/built.yaml"));
    files.push(root.join("src/config/tests/corpus/hello.yaml"));
    files.push(root.join("src/explain/tests/shop.yaml"));
    assert!(files.len() > 12, "{files:?}");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(refused(&text), [""; 0], "{}", path.display());
    }
}

#[test]
fn what_is_not_built_yet_is_refused_and_described() {
    for text in [include_str!("corpus/shop.yaml"), include_str!("corpus/reference.yaml")] {
        assert!(!refused(text).is_empty());
    }
    let made = schema(false);
    let tracing = &made["properties"]["tracing"];
    assert!(tracing["description"].as_str().unwrap().starts_with("NOT YET: "), "{tracing}");
}

/// No alarm without a reason: the scalars of a file with all built keys are replaced by all kinds of things.
/// What the schema then refuses, `check` refuses too; and the schema sees most of what is wrong.
#[test]
fn the_schema_refuses_nothing_that_check_accepts() {
    const BUILT: &str = include_str!("corpus/built.yaml");
    const FORMS: [&str; 13] = [
        "none",
        "true",
        "7",
        "10s",
        "1MiB",
        "50%",
        "x y",
        "[]",
        "{}",
        "[a]",
        "{ a: b }",
        "''",
        "http://a:1",
    ];
    let mut places = Vec::new();
    scalars(&tree(BUILT).unwrap(), &mut places);
    let (mut both, mut check_only, mut alarms) = (0, 0, Vec::new());
    // Another sixth of them at each place.
    for (at, (start, end)) in places.into_iter().enumerate() {
        for form in FORMS.iter().skip(at % 6).step_by(6) {
            let text = format!("{}{form}{}", &BUILT[..start], &BUILT[end..]);
            if value(&text).is_none() {
                continue;
            }
            let found = refused(&text);
            match (read(&text).diagnostics.has_errors(), found.is_empty()) {
                (false, true) => {}
                (true, true) => check_only += 1,
                (true, false) => both += 1,
                (false, false) => {
                    let line = BUILT[..start].lines().count();
                    alarms.push(format!("`{form}` in line {line}: {found:#?}"));
                }
            }
        }
    }
    assert!(alarms.is_empty(), "{}", alarms.join("\n"));
    assert!(both > 2 * check_only, "{both} refused by both, {check_only} by check alone");
}

fn scalars(node: &Node, places: &mut Vec<(usize, usize)>) {
    match &node.kind {
        Kind::Scalar(_) => places.push((node.place.start as usize, node.place.end as usize)),
        Kind::Seq(items) => items.iter().for_each(|item| scalars(item, places)),
        Kind::Map(entries) => entries.iter().for_each(|entry| scalars(&entry.value, places)),
        Kind::Null => {}
    }
}

#[test]
fn included_files_have_a_schema_of_their_own() {
    let validator = jsonschema::draft7::new(&schema(true)).unwrap();
    let accepts = |text: &str| validator.is_valid(&value(text).unwrap());
    assert!(accepts(
        "routes: { a: { match: /a, respond: 200 } }\ntests: [{ request: GET http://a/, route: a }]\n"
    ));
    assert!(!accepts("listeners: { a: \":80\" }\n"));
    assert!(!accepts("routes: { a: { match: /a } }\n"));
}

#[test]
fn variables_may_stand_for_any_scalar() {
    let text = "version: 1\nlisteners: { http: { address: \":${PORT}\", max_connections: \"${N}\", timeouts: { idle: \"${T}\" } } }\n\
                routes: { a: { respond: \"${S}\", enabled: \"${B}\", errors: \"${W}\" } }\n";
    assert_eq!(refused(text), [""; 0]);
}

#[test]
fn every_key_says_what_it_is() {
    fn walk(value: &Value, path: &str, silent: &mut Vec<String>) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object) {
            for (key, field) in properties {
                if field["description"].as_str().is_none_or(str::is_empty) {
                    silent.push(format!("{path}.{key}"));
                }
            }
        }
        if let Some(definitions) = value.get("definitions").and_then(Value::as_object) {
            definitions.iter().for_each(|(name, it)| walk(it, name, silent));
        }
    }
    let mut silent = Vec::new();
    walk(&schema(false), "", &mut silent);
    assert!(silent.is_empty(), "{silent:?}");
}
