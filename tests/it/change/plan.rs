//! `tidegate plan`: a log the gateway itself has written, replayed through the next file.

use std::fs;

use serde_json::Value;

use crate::support::{
    gateway::{everything, tidegate},
    prelude::*,
};

const ROUTES: &str = "routes:\n  shop: { match: a.com/shop/**, respond: 200 }\n  rest: { match: a.com, respond: 204 }\n";

#[test]
fn the_log_of_a_gateway_says_what_a_file_would_have_done() {
    let gateway = Gateway::start(ROUTES);
    for path in ["/shop/1", "/shop/2", "/other"] {
        gateway.get("a.com", path);
    }
    gateway.get("b.com", "/");
    gateway.access_log(4);
    let new = gateway.home().join("new.yaml");
    let text = ROUTES.replace("a.com/shop/**, respond: 200", "a.com/shop/1, respond: 201");
    fs::write(&new, format!("version: 1\n{text}  b: {{ match: b.com, respond: 200 }}\n")).unwrap();
    let run = |more: &[&str]| {
        let arguments = ["plan", new.to_str().unwrap(), "--log", "access.log", "--live"];
        let output = gateway.verb(&[&arguments[..], more].concat());
        (output.status.code(), everything(&output))
    };
    let (code, text) = run(&["--format", "json"]);
    let plan: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(code, Some(0), "{text}");
    let number = |key: &str| plan[key].as_u64().unwrap_or_else(|| panic!("no {key} in {text}"));
    // `/shop/1` stays, and is answered otherwise; `/shop/2` falls to the other route; b.com is let in.
    assert_eq!((number("replayed"), number("changed")), (4, 3), "{text}");
    assert_eq!((number("route"), number("let_in"), number("refused")), (2, 1, 0), "{text}");
    assert_eq!(number("logged_otherwise"), 0, "the running gateway wrote it: {text}");
    for (fail_on, code) in [("change", 4), ("let-in", 4), ("refused", 0)] {
        let (found, text) = run(&["--fail-on", fail_on]);
        assert_eq!(found, Some(code), "{fail_on}: {text}");
        assert!(text.contains("4 requests replayed, 3 (75.00 %) would change"), "{text}");
        assert!(text.contains("GET a.com/shop/2") && text.contains("1 × shop → rest"), "{text}");
    }
    assert_eq!(run(&["--current", "x.yaml"]).0, Some(2));
    let gone = gateway.verb(&["plan", new.to_str().unwrap(), "--log", "none.log", "--live"]);
    let text = everything(&gone);
    assert!(gone.status.code() == Some(1) && text.contains("none.log"), "{text}");
}

#[test]
fn a_plan_of_nothing_passes_no_gate() {
    let home = crate::support::gateway::temporary();
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    write("old.yaml", &format!("version: 1\n{ROUTES}"));
    write("empty.log", "");
    write("garbage.log", "nonsense\nmore of it\n");
    let combined = "192.0.2.7 - - [21/Nov/2026:08:33:46 +0000] \"GET /shop/1 HTTP/1.1\" 200 1 \"-\" \"curl\"\n";
    write("combined.log", combined);
    let run = |log: &str, more: &[&str]| {
        let arguments = ["plan", "old.yaml", "--current", "old.yaml", "--log", log];
        let output = tidegate(home.path(), &[&arguments[..], more].concat());
        (output.status.code(), everything(&output))
    };
    for (log, why) in [
        ("empty.log", "empty.log is empty"),
        ("garbage.log", "2 of 2 lines: the line is no access log line"),
        ("combined.log", "--host says one"),
    ] {
        for more in [&[][..], &["--fail-on", "change"], &["--format", "json"]] {
            let (code, text) = run(log, more);
            assert!(code == Some(4) && text.contains(why), "{log} {more:?}: {code:?} {text}");
        }
    }
    let (code, text) = run("combined.log", &["--host", "a.com", "--fail-on", "change"]);
    assert_eq!(code, Some(0), "{text}");
}
