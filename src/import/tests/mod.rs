//! Whole imports: each file of `golden` with the `routes.yaml` that must come of it and what must be said.
//! Every result is loaded, and its tests are run. `TIDEGATE_BLESS=1` writes the results anew.

mod hostile;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Imported, Source, import};
use crate::{
    config::Input,
    layers::custom::Registry,
    runtime::{candidate::Candidate, live::Live},
    suite,
};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/tests/golden")
}

/// Loads a result and runs its tests; what does not hold.
fn failures(text: &str) -> Vec<String> {
    let input = Input::Text { name: "result".to_owned(), text: text.to_owned() };
    let mut candidate = Candidate::read(&[input], &(Arc::new(|_: &str| None) as _));
    let config = candidate.take();
    let config = config.unwrap_or_else(|| panic!("{}\n{text}", candidate.loaded.render(false)));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let (compiled, _) = Live::dry(&config, Registry::default(), runtime.handle())
        .unwrap_or_else(|found| panic!("{}\n{text}", candidate.render(found, false)));
    let report = suite::run(&compiled, &candidate.loaded.sources, runtime.handle(), None);
    let failed = report.results.iter().filter(|it| !it.wrong.is_empty());
    let one = |it: &suite::Judged<'_>| {
        let wrong =
            it.wrong.iter().map(|it| format!("{} is {} not {}", it.key, it.got, it.expected));
        format!("{}: {}", it.test.name, wrong.collect::<Vec<_>>().join(", "))
    };
    failed.map(one).collect()
}

/// The result, and below it what was said.
fn shown(made: &Imported) -> String {
    let said: String = made.findings.iter().map(|it| format!("#! {it}\n")).collect();
    let directory = golden().display().to_string();
    format!("{}{said}", made.text).replace(&directory, "/etc/nginx")
}

fn check(name: &str) {
    let text = fs::read_to_string(golden().join(name)).unwrap();
    let directory = golden();
    let source = Source { name, text: &text, directory: &directory };
    let made = import(source, None, None).unwrap();
    let shown = shown(&made);
    let file = golden().join(format!("{name}.expected"));
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::write(&file, &shown).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(shown, expected, "{name}: if it is right, TIDEGATE_BLESS=1 writes it");
    assert_eq!(failures(&made.text), Vec::<String>::new(), "{name}");
    for finding in &made.findings {
        let place = format!(":{}: ", finding.line);
        assert!(finding.to_string().contains(&place) && made.text.contains("TODO"), "{finding}");
    }
}

#[test]
fn every_conf_gives_what_is_written_beside_it() {
    let names = [
        "site",
        "locations",
        "plain",
        "rewrites",
        "guard",
        "upstreams",
        "limits",
        "headers",
        "hosts",
        "files",
        "nested",
        "include",
        "returns",
        "unshaped",
        "listen",
        "odd",
    ];
    for name in names {
        check(&format!("{name}.conf"));
    }
}

#[test]
fn every_document_gives_what_is_written_beside_it() {
    for name in [
        "petstore.yaml",
        "security.json",
        "servers.yaml",
        "relative.yaml",
        "refs.yaml",
        "paths.yaml",
    ] {
        check(name);
    }
}

/// The route of a result with this name, as it is written.
fn route(text: &str, name: &str) -> String {
    let routes = &text[text.find("\nroutes:").unwrap_or_default()..];
    let mut lines = routes.lines().skip_while(|line| **line != format!("  {name}:"));
    assert!(lines.next().is_some(), "no {name} in\n{text}");
    lines.take_while(|line| line.starts_with("    ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_was_protected_is_not_open() {
    let text = fs::read_to_string(golden().join("guard.conf")).unwrap();
    let directory = golden();
    let source = Source { name: "guard.conf", text: &text, directory: &directory };
    let made = import(source, None, None).unwrap();
    for name in ["odd", "nobody", "weak", "gone", "asked", "methods", "strange", "if", "lua"] {
        let route = route(&made.text, name);
        assert!(route.contains("ip: closed"), "{name}: {route}");
    }
    assert!(route(&made.text, "office").contains("ip: { allow: [10.0.0.0/8, 2001:db8::/32] }"));
    assert!(route(&made.text, "users").contains("auth: staff-only"));
    assert!(route(&made.text, "auth").contains("respond: 404"), "it was internal");
}

#[test]
fn an_address_may_be_given() {
    let directory = golden();
    let text = fs::read_to_string(directory.join("relative.yaml")).unwrap();
    let source = Source { name: "relative.yaml", text: &text, directory: &directory };
    let made = import(source, None, Some("http://127.0.0.1:3000")).unwrap();
    assert!(made.findings.is_empty(), "{:?}", made.findings);
    assert!(made.text.contains("endpoints: http://127.0.0.1:3000"));
    assert_eq!(failures(&made.text), Vec::<String>::new());
    for bad in ["127.0.0.1:3000", "http://a/b", "x"] {
        assert!(import(source, None, Some(bad)).unwrap_err().contains("--to"), "{bad}");
    }
}

#[test]
fn what_it_is_is_seen_from_what_it_says() {
    use super::{From, detect};
    for (text, expected) in [
        ("openapi: 3.0.0\n", Some(From::Openapi)),
        ("{\"openapi\":\"3.1.0\"}", Some(From::Openapi)),
        ("{\n  \"info\": {},\n  \"openapi\": \"3.1.0\"\n}", Some(From::Openapi)),
        ("# x\nhttp {\n}\n", Some(From::Nginx)),
        ("server { listen 80; }", Some(From::Nginx)),
        ("version: 1\n", None),
        ("", None),
    ] {
        assert_eq!(detect(text), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_said_with_its_line() {
    let directory = golden();
    for (text, expected) in [
        ("server {\n", "x:2: a `{` is never closed"),
        ("server { listen 80; }\n}\n", "x:2: a `}` without its `{`"),
        ("server {\n listen 80\n}", "x:2: a directive without its `;`"),
        ("server { return 200 \"x; }", "x:1: a \" is never closed"),
        (
            "server {\n location /a {}\n location ^~ /a {}\n}",
            "x:3: `location ^~ /a` is there twice",
        ),
        ("http { }", "x: there is no `server` in it"),
        ("swagger: \"2.0\"\n", "x: Swagger 2.0; convert it to OpenAPI 3 first"),
        ("openapi: 4.0.0\n", "x: OpenAPI 4.0.0; 3.0 and 3.1 are known"),
        (
            "what is this",
            "x: neither an nginx.conf nor an OpenAPI document; `--from` says which one it is",
        ),
    ] {
        let source = Source { name: "x", text, directory: &directory };
        assert_eq!(import(source, None, None).unwrap_err(), expected);
    }
    let source =
        Source { name: "x", text: "openapi: 3.0.0\nopenapi: 3.0.0\n", directory: &directory };
    assert!(import(source, None, None).unwrap_err().contains("openapi"));
}

#[test]
fn files_that_include_themselves_come_to_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let text = "http { include a.conf; include a.conf; server { listen 80; } }";
    fs::write(directory.path().join("a.conf"), "include a.conf;\ninclude a.conf;\n").unwrap();
    let source = Source { name: "x", text, directory: directory.path() };
    let why = import(source, None, None).unwrap_err();
    assert!(why.contains("include one another without end"), "{why}");
}
