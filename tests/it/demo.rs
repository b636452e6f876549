//! `tidegate demo`: every line it tells a newcomer to paste does what it says.

use std::process::Command;

use rustix::process::Signal;

use crate::support::{
    gateway::{BINARY, everything, private, temporary},
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
    process.signal(Signal::INT);
    assert_eq!(process.wait(DEADLINE).code(), Some(0));
}
