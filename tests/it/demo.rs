//! `tidegate demo`: every line it tells a newcomer to paste does what it says.

use std::{fs, path::Path, process::Command};

use rustix::process::Signal;

use crate::support::{
    gateway::{BINARY, everything, private, temporary, tidegate},
    prelude::*,
    process::Process,
};

#[test]
fn every_line_to_paste_works() {
    let home = temporary();
    let mut command = Command::new(BINARY);
    command.arg("demo");
    let mut process = Process::ours(private(&mut command, home.path()));
    process.wait_for("the end of the guide", |line| line.contains("Ctrl-C").then_some(()));
    let printed = process.lines();
    let pasted: Vec<_> = printed.iter().filter_map(|line| line.strip_prefix("  ")).collect();
    let pasted: Vec<_> = pasted.into_iter().filter(|line| !line.starts_with(['#', '('])).collect();
    assert!(pasted.len() >= 10, "{printed:#?}");
    let answers: Vec<_> = pasted
        .iter()
        .map(|line| {
            let output =
                Command::new("bash").args(["-o", "pipefail", "-c", line]).output().unwrap();
            let text = everything(&output);
            assert!(output.status.success(), "{line}\n{text}");
            assert!(!text.contains("no_route") || line.contains("/dta"), "{line}\n{text}");
            (*line, text)
        })
        .collect();
    let said = |part: &str, what: &str| {
        let found = answers.iter().any(|(line, text)| line.contains(part) && text.contains(what));
        assert!(found, "no {what:?} from {part:?} in {answers:#?}");
    };
    said("/front/page", "front:");
    said("/data", "\"items\"");
    said("/hello", "Hello");
    let broken = "500 500 500 500 503 503 503 503 HTTP/1.1 503 Service Unavailable";
    said("/moody/break", broken);
    said("/moody/break", "breaker_open");
    said("/moody/break", "retry-after: ");
    // The order to fail, four failures, and this one: nothing that was answered 503 came to it.
    said("sleep 5; curl", "I am well, and have seen 6 requests in all");
    said("/limited", "200 200 200 200 200 HTTP/1.1 429 Too Many Requests");
    said("/limited", "retry-after: 1");
    said("https://", "Hello");
    said("/dta", "data");
    said("/metrics", "tidegate_");
    for change in ["opens", "lets probes through", "closes"] {
        let line = format!("the breaker {change}");
        process.wait_for(&line, |said| said.contains(&line).then_some(()));
    }
    let readme = include_str!("../../README.md");
    let (_, not_found) = answers.iter().find(|(line, _)| line.contains("/dta")).unwrap();
    let detail = not_found.split("\"detail\":").nth(1).unwrap().split("\",").next().unwrap();
    assert!(readme.contains(detail), "the README does not show {detail}");
    let file = printed.iter().find_map(|line| {
        line.strip_prefix("Open ")?.split_once(" in an editor").map(|(path, _)| path)
    });
    as_the_readme_shows(home.path(), Path::new(file.unwrap()), readme);
    process.signal(Signal::INT);
    assert_eq!(process.wait(DEADLINE).code(), Some(0));
}

/// The change it shows, and what `reload --wait` prints then.
fn as_the_readme_shows(home: &Path, file: &Path, readme: &str) {
    // What was pasted last was a change, too.
    assert!(tidegate(home, &["reload", "--wait"]).status.success());
    let text = fs::read_to_string(file).unwrap();
    let (before, after) = ("{ front: 90, data: 10 }", "{ front: 50, data: 50 }");
    assert!(text.contains(before), "{text}");
    let route = "routes:\n  status: { match: /status, respond: 204 }\n";
    fs::write(file, text.replace(before, after).replacen("routes:\n", route, 1)).unwrap();
    let output = tidegate(home, &["reload", "--wait"]);
    let shown = format!("$ tidegate reload --wait\n{}```", everything(&output));
    assert!(readme.contains(&shown), "the README does not show this:\n{shown}");
}
