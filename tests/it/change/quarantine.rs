//! `run --quarantine`: a broken included file harms nobody but itself, and is never open.

use std::fs;

use serde_json::Value;

use crate::support::{
    gateway::{everything, temporary, tidegate},
    prelude::*,
    tools::curl,
};

const MAIN: &str = "include: [team.yaml]\nroutes: { site: { match: a.com, respond: { status: 200, body: site } } }\n";
const GOOD: &str = "policies: { auth: { keys: { api_key: { keys: { a: 0123456789abcdef } } } } }\n\
                    routes: { team: { match: a.com/team/**, respond: 204, auth: keys } }\n";
const BROKEN: &str = "routes: { team: { match: a.com/team/**, respond: 204, auth: keys } }\n";

#[test]
fn a_broken_file_answers_503_and_the_rest_goes_on() {
    let home = temporary();
    let team = home.path().join("team.yaml");
    fs::write(&team, GOOD).unwrap();
    let mut gateway = Gateway::builder().home(&home).env("TIDEGATE_QUARANTINE", "1").start(MAIN);
    assert_eq!(gateway.get("a.com", "/team/x").status, 401);
    fs::write(&team, BROKEN).unwrap();
    until("the file is quarantined", || gateway.get("a.com", "/team/x").status == 503);
    let answer = gateway.get("a.com", "/team/x");
    assert!(answer.text().contains("\"reason\":\"quarantined\""), "{}", answer.text());
    // Not the weaker route, which would take these requests; and that one is as it was.
    assert_eq!(gateway.get("a.com", "/other").text(), "site");
    gateway.wait_log(&["file quarantined", "team.yaml"]);
    let routes = gateway.metric("tidegate_config_quarantined_routes", &[]);
    assert_eq!(routes, Some(1.0));
    let errors = gateway
        .metric("tidegate_gateway_errors_total", &[("route", "team"), ("reason", "quarantined")]);
    assert!(errors >= Some(2.0), "{errors:?}");
    let ready = gateway.admin("/readyz?verbose");
    let text = ready.text();
    assert!(ready.status == 200 && text.contains("[-] no file quarantined"), "{text}");
    assert!(text.contains("team.yaml is quarantined"), "{text}");
    let history = everything(&gateway.verb(&["history"]));
    assert!(history.contains("~ route team  quarantined"), "{history}");
    let explained = everything(&gateway.verb(&["explain", "GET", "http://a.com/team/x", "--live"]));
    assert!(explained.contains("503 quarantined"), "{explained}");

    fs::write(&team, GOOD).unwrap();
    until("it is well again", || gateway.get("a.com", "/team/x").status == 401);
    assert_eq!(gateway.metric("tidegate_config_quarantined_routes", &[]), None);
}

#[test]
fn what_is_found_when_it_is_compiled_is_quarantined_too() {
    let home = temporary();
    let team = home.path().join("team.yaml");
    let bad = "upstreams: { t: { endpoints: \"https://127.0.0.1:1\", tls: { ca: /no/such/ca.pem } } }\n\
               routes: { team: { match: a.com/team/**, to: t }, more: { match: a.com/more, to: t } }\n";
    fs::write(&team, bad).unwrap();
    let gateway = Gateway::builder().home(&home).env("TIDEGATE_QUARANTINE", "1").start(MAIN);
    assert_eq!(gateway.get("a.com", "/team/x").status, 503);
    assert_eq!(gateway.get("a.com", "/more").status, 503);
    assert_eq!(gateway.get("a.com", "/x").text(), "site");
    let text = gateway.reload(&MAIN.replace("body: site", "body: other"));
    assert!(text.contains("no/such/ca.pem"), "the reload says what is wrong: {text}");
    assert_eq!(gateway.get("a.com", "/x").text(), "other");
    assert_eq!(gateway.get("a.com", "/team/x").status, 503);
    // What runs is compared as it runs.
    let output = gateway.verb(&["diff", "--live", "routes.yaml"]);
    let text = everything(&output);
    assert!(!text.contains("route site"), "{text}");
    let output = gateway.verb(&["rollback"]);
    assert!(output.status.success(), "{}", everything(&output));
    assert_eq!(gateway.get("a.com", "/x").text(), "site");
    assert_eq!(gateway.get("a.com", "/team/x").status, 503);
}

#[test]
fn check_and_explain_say_what_would_be_quarantined() {
    let home = temporary();
    fs::write(home.path().join("team.yaml"), BROKEN).unwrap();
    fs::write(home.path().join("routes.yaml"), format!("version: 1\n{MAIN}")).unwrap();
    let run = |arguments: &[&str]| {
        let output = tidegate(home.path(), arguments);
        (output.status.code(), everything(&output))
    };
    let (code, text) = run(&["check"]);
    assert!(code == Some(1) && text.contains("unknown policy"), "{text}");
    let (code, text) = run(&["check", "--quarantine"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("is quarantined") && text.contains("unknown policy"), "{text}");
    assert!(text.contains("quarantined") && !text.contains("no auth: site, team"), "{text}");
    assert_eq!(run(&["check", "--quarantine", "--strict"]).0, Some(1));
    let (_, text) = run(&["check", "--quarantine", "--format", "json"]);
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(json["quarantined"][0]["routes"][0], "team", "{text}");
    let (code, text) = run(&["explain", "GET", "http://a.com/team/x", "--quarantine"]);
    assert!(code == Some(0) && text.contains("503 quarantined"), "{text}");
}

#[test]
fn a_slip_that_hides_which_requests_are_meant_lets_nobody_in() {
    const MAIN: &str = "include: [team.yaml]\nroutes: { open: { match: a.com/**, respond: { status: 200, body: open } } }\n";
    const POLICY: &str =
        "policies: { auth: { p: { api_key: { keys: { a: 0123456789abcdef } } } } }\n";
    let team = |text: &str| format!("{POLICY}{text}\n");
    let good = team("routes: { adm: { match: a.com/adm/**, respond: 204, auth: p } }");
    let home = temporary();
    fs::write(home.path().join("team.yaml"), &good).unwrap();
    let gateway = Gateway::builder().home(&home).env("TIDEGATE_QUARANTINE", "1").start(MAIN);
    let status = || {
        let url = format!("{}/adm/x", gateway.url("http"));
        curl(&["-H", "Host: a.com", &url]).status
    };
    assert_eq!(status(), 401);
    for slip in [
        "routes: { adm: { mtach: a.com/adm/**, respond: 204, auth: p } }",
        "rotues: { adm: { match: a.com/adm/**, respond: 204, auth: p } }",
        "routes: { adm: { match: a.com/x, match: a.com/adm/**, respond: 204, auth: p } }",
        "routes: {}\nroutes: { adm: { match: a.com/adm/**, respond: 204, auth: p } }",
        "routes: { adm: { match: a.com/x, respond: 204 }, adm: { match: a.com/adm/**, respond: 204, auth: p } }",
        "upstreams: { adm: { match: a.com/adm/**, respond: 204, auth: p } }",
        "routes: { adm: { match: /adm/**, host: a.com, respond: 204, auth: p } }",
    ] {
        let slip = team(slip);
        fs::write(home.path().join("team.yaml"), &slip).unwrap();
        let said = everything(&gateway.verb(&["reload", "--wait"]));
        assert!(said.contains("cannot be quarantined: nobody knows which requests"), "{said}");
        assert_eq!(status(), 401, "what was good goes on: {slip}");
        let check = tidegate(home.path(), &["check", "--quarantine"]);
        assert_eq!(check.status.code(), Some(1), "{}", everything(&check));
        // Nor does a gateway start with it.
        let run = tidegate(home.path(), &["run", "--quarantine"]);
        let said = everything(&run);
        assert!(!run.status.success() && said.contains("cannot be quarantined"), "{said}");
    }
    fs::write(home.path().join("team.yaml"), &good).unwrap();
    assert!(gateway.verb(&["reload", "--wait"]).status.success());
}
