//! `tidegate history` and `tidegate rollback`: what was, and putting it back.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{gateway::everything, prelude::*, tls};

fn says(word: &str) -> String {
    format!("routes: {{ app: {{ respond: {{ status: 200, body: {word} }} }} }}\n")
}

#[track_caller]
fn becomes(gateway: &Gateway, word: &str) {
    until(&format!("the answer `{word}`"), || gateway.get("h", "/").text() == word);
}

fn history(gateway: &Gateway) -> Vec<Value> {
    let output = gateway.verb(&["history", "--format", "json"]);
    let text = everything(&output);
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    json["reloads"].as_array().unwrap_or_else(|| panic!("{text}")).clone()
}

fn status(gateway: &Gateway) -> String {
    gateway.admin("/readyz?verbose").text()
}

#[test]
fn every_reload_is_remembered_with_its_difference_or_its_errors() {
    let gateway = Gateway::start(&says("one"));
    gateway.reload(&says("two"));
    gateway.write("routes: { app: { respnd: 200 } }\n");
    assert_eq!(gateway.verb(&["reload", "--wait"]).status.code(), Some(1));
    let all = history(&gateway);
    let last = &all[0];
    assert_eq!((&last["result"], &last["live"]), (&"refused".into(), &false.into()), "{all:#?}");
    assert!(last["errors"].as_str().unwrap().contains("respnd"), "{last}");
    let applied = all.iter().find(|it| it["result"] == "applied").unwrap();
    assert_eq!(applied["live"], true, "{all:#?}");
    assert!(applied["diff"][0].as_str().unwrap().contains("route app"), "{applied}");
    let first = all.last().unwrap();
    assert_eq!((&first["trigger"], &first["number"]), (&"start".into(), &1.into()), "{first}");
    let text = everything(&gateway.verb(&["history"]));
    assert!(
        text.contains("refused") && text.contains("respnd") && text.contains("start"),
        "{text}"
    );
}

#[test]
fn an_earlier_configuration_comes_back_and_stays_until_somebody_wants_the_files() {
    let mut gateway = Gateway::start(&says("one"));
    gateway.reload(&says("two"));
    let output = gateway.verb(&["rollback"]);
    let text = everything(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("rolled back to number 1") && text.contains("the files on disk say"),
        "{text}"
    );
    assert_eq!(gateway.get("h", "/").text(), "one");
    assert_eq!(gateway.metric("tidegate_config_rolled_back", &[]), Some(1.0));
    assert!(status(&gateway).contains("rolled back to number 1"), "{}", status(&gateway));
    gateway.wait_log(&["rolled back", "until a file changes"]);
    assert_eq!(history(&gateway)[0]["trigger"], "rollback");

    // Touched and written again with the same text: no change, and the rollback stands. What the watch
    // does with it is seen by what it does next.
    let same = fs::read_to_string(gateway.file()).unwrap();
    fs::write(gateway.file(), &same).unwrap();
    let before = history(&gateway).len();
    gateway.signal(Signal::USR1);
    gateway.wait_log(&["log files opened again"]);
    assert_eq!((gateway.get("h", "/").text(), history(&gateway).len()), ("one".to_owned(), before));

    // A change of the file counts again.
    gateway.write(&says("three"));
    becomes(&gateway, "three");
    until("the rollback is over", || {
        gateway.metric("tidegate_config_rolled_back", &[]) == Some(0.0)
    });
    assert!(!status(&gateway).contains("rolled back"));

    // So does somebody who asks for it, though nothing has changed.
    let output = gateway.verb(&["rollback", "2"]);
    assert!(output.status.success(), "{}", everything(&output));
    assert_eq!(gateway.get("h", "/").text(), "two");
    gateway.signal(Signal::HUP);
    becomes(&gateway, "three");
}

#[test]
fn what_came_from_includes_and_variables_comes_back_too() {
    let home = crate::support::gateway::temporary();
    let part = home.path().join("part.yaml");
    fs::write(home.path().join("word"), "secret-one\n").unwrap();
    let text = "routes: { app: { respond: { status: 200, body: \"${file:word}\" } } }\n";
    fs::write(&part, text).unwrap();
    let gateway = Gateway::builder().home(&home).start("include: [part.yaml]\n");
    assert_eq!(gateway.get("h", "/").text(), "secret-one");
    fs::write(home.path().join("word"), "secret-two\n").unwrap();
    becomes(&gateway, "secret-two");
    fs::write(&part, "routes: { other: { match: /other, respond: 204 } }\n").unwrap();
    until("the route is gone", || gateway.get("h", "/").status == 404);
    fs::remove_file(home.path().join("word")).unwrap();
    let output = gateway.verb(&["rollback", "1"]);
    assert!(output.status.success(), "{}", everything(&output));
    assert_eq!(gateway.get("h", "/").text(), "secret-one");
    let output = gateway.verb(&["rollback", "1"]);
    let text = everything(&output);
    assert!(output.status.code() == Some(1) && text.contains("is what runs"), "{text}");
    for (unknown, code) in [("99", 1), ("zzzz", 1), ("a/b", 2)] {
        let output = gateway.verb(&["rollback", unknown]);
        assert_eq!(output.status.code(), Some(code), "{}", everything(&output));
    }
    let text = everything(&gateway.verb(&["history"]));
    assert!(!text.contains("secret-"), "{text}");
}

#[test]
fn a_renewed_certificate_is_served_and_undoes_no_rollback() {
    let authority = Authority::new();
    let issued = authority.issue("site", &["a.example"]);
    let yaml = |word: &str| {
        format!(
            "listeners: {{ https: {{ address: \"127.0.0.1:0\", tls: true }} }}\ntls: {{ certificates: [{}] }}\n{}",
            issued.yaml(),
            says(word)
        )
    };
    let gateway = Gateway::start(&yaml("one"));
    gateway.reload(&yaml("two"));
    assert!(gateway.verb(&["rollback"]).status.success());
    let address = gateway.addr("https");
    let word = || tls::connect(address, "a.example", &authority).get("a.example", "/").text();
    assert_eq!(word(), "one");
    let before = tls::certificate(address, "a.example", &authority);
    authority.issue("site", &["a.example"]);
    until("the new certificate", || tls::certificate(address, "a.example", &authority) != before);
    assert_eq!(word(), "one", "what was put back has got it");
    assert_eq!(gateway.metric("tidegate_config_rolled_back", &[]), Some(1.0));
}

#[test]
fn what_the_files_say_is_no_rollback_and_going_back_twice_goes_further() {
    let gateway = Gateway::start(&says("one"));
    for word in ["two", "three"] {
        gateway.reload(&says(word));
    }
    let number = |word: &str| {
        let all = history(&gateway);
        let diff = |it: &&Value| it["live"] == true && it["trigger"] != "rollback";
        all.iter()
            .find(diff)
            .map_or_else(|| panic!("{word}: {all:#?}"), |it| it["number"].to_string())
    };
    let three = number("three");
    for word in ["two", "one"] {
        let output = gateway.verb(&["rollback"]);
        assert!(output.status.success(), "{}", everything(&output));
        assert_eq!(gateway.get("h", "/").text(), word);
    }
    let output = gateway.verb(&["rollback"]);
    let text = everything(&output);
    assert!(output.status.code() == Some(1) && text.contains("no earlier configuration"), "{text}");

    // Back to what the files say: nothing is rolled back any more.
    let output = gateway.verb(&["rollback", &three]);
    let text = everything(&output);
    assert!(output.status.success() && !text.contains("the files on disk"), "{text}");
    assert_eq!(gateway.get("h", "/").text(), "three");
    assert!(!status(&gateway).contains("rolled back"), "{}", status(&gateway));
    assert_eq!(gateway.metric("tidegate_config_rolled_back", &[]), Some(0.0));
}
