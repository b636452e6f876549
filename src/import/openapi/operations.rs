//! `paths`: each operation a route, with a request that gets to it.

use std::collections::HashMap;

use super::{
    super::{
        report::At,
        write::{CLOSED, Entry, Value},
    },
    Import,
    paths::{Pattern, pattern},
    security::needs,
    spec,
};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What a document has beside operations, and what to do about it.
const BESIDE: [(&str, &str); 1] =
    [("webhooks", "requests to others; nothing for a gateway in front of the service")];

/// Writes all routes and their tests.
pub(super) fn write(import: &mut Import<'_>) {
    let root = import.spec.root();
    for (key, what) in BESIDE {
        if let Some(entry) = root.entries().iter().find(|it| it.key == key) {
            let place = import.report.place(import.spec.key_at(entry));
            import.doc.head.push(format!("{place}: {key}: {what}"));
        }
    }
    let paths = root.get("paths");
    let mut known: HashMap<(String, String), At> = HashMap::new();
    for entry in paths.as_ref().map(|it| it.entries()).unwrap_or_default() {
        if entry.key.starts_with("x-") {
            continue;
        }
        let at = import.spec.key_at(entry);
        let item = match import.spec.resolve(spec::value(entry)) {
            Ok(item) => item,
            Err(target) => {
                let todo = "not in this document: bundle it first; there is no route for it";
                let comment =
                    import.report.todo(at, format!("`$ref: {target}` of {}", entry.key), todo);
                import.doc.below.push(comment);
                continue;
            }
        };
        match pattern(&import.base, &entry.key) {
            Ok(pattern) => path(import, &entry.key, item, &pattern, &mut known),
            Err(why) => {
                let what = format!("path `{}`: {why}", entry.key);
                let comment = import.report.todo(at, what, "there is no route for it");
                import.doc.below.push(comment);
            }
        }
    }
}

fn path(
    import: &mut Import<'_>,
    path: &str,
    item: spec::Value<'_>,
    pattern: &Pattern,
    known: &mut HashMap<(String, String), At>,
) {
    let has_get = item.get("get").is_some();
    for entry in item.entries() {
        let at = import.spec.key_at(entry);
        if entry.key == "servers" {
            let todo = "routes go where all others go: write another upstream for them";
            let comment = import.report.todo(at, format!("`servers` of {path}"), todo);
            import.doc.below.push(comment);
        }
        if !METHODS.contains(&entry.key.as_str()) {
            let strange = ["query", "additionalOperations"].contains(&entry.key.as_str());
            if strange {
                let comment =
                    import.report.todo(at, format!("`{}` of {path}", entry.key), "write a route");
                import.doc.below.push(comment);
            }
            continue;
        }
        let method = entry.key.to_ascii_uppercase();
        let shape = (pattern.shape.clone(), method.clone());
        let place = import.report.place(at);
        if method == "HEAD" && has_get {
            import.doc.below.push(format!("{place}: HEAD {path} goes the way of GET"));
            continue;
        }
        if let Some(first) = known.get(&shape) {
            let first = import.report.place(*first);
            let todo = format!(
                "the operation of {first} takes the same requests; there is no route for this one"
            );
            let comment = import.report.todo(at, format!("{method} {path}"), todo);
            import.doc.below.push(comment);
            continue;
        }
        known.insert(shape, at);
        let operation = spec::value(entry);
        route(import, &method, path, operation, pattern, at);
    }
}

fn route(
    import: &mut Import<'_>,
    method: &str,
    path: &str,
    operation: spec::Value<'_>,
    pattern: &Pattern,
    at: At,
) {
    let id =
        operation.text_at("operationId").filter(|it| it.chars().any(|c| c.is_ascii_alphanumeric()));
    let wanted = id.unwrap_or_else(|| format!("{} {path}", method.to_ascii_lowercase()));
    let name = import.names.unique(&wanted);
    let mut entry = Entry::new(name.clone());
    let deprecated = if operation.is_true("deprecated") { ", deprecated" } else { "" };
    entry.above.push(format!("{}: {method} {path}{deprecated}", import.report.place(at)));
    if operation.get("callbacks").is_some() {
        entry.comment("its callbacks are requests of the service to others");
    }
    if let Some(servers) = operation.get("servers") {
        let todo = "it goes where all others go: write another upstream";
        entry.comment(import.report.todo(
            import.spec.at(servers),
            format!("`servers` of {method} {path}"),
            todo,
        ));
    }
    let needs = needs(import, operation);
    entry.key("match", format!("{method} {}", pattern.text));
    entry.key("to", import.upstream.clone());
    for comment in needs.comments {
        entry.comment(comment);
    }
    if needs.closed {
        import.doc.use_closed();
        entry.key("ip", CLOSED);
    }
    if let Some(auth) = needs.auth {
        entry.key("auth", auth);
    }
    if pattern.expression {
        // Expressions of one place are never taken to differ.
        let number = import.doc.routes.len().min(999) + 1;
        entry.key("priority", number.to_string());
    }
    import.doc.routes.push(entry);
    let mut test = vec![
        ("request", Value::from(format!("{method} http://localhost:8080{}", pattern.example))),
        ("route", name.into()),
        ("path", pattern.example.as_str().into()),
    ];
    if needs.names.is_empty() {
        test.push(("auth", "none".into()));
    } else {
        test.push(("auth", Value::one_or_many(needs.names)));
    }
    import.doc.tests.push(Value::map(test));
}
