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
    said("https://", "Hello");
    said("/dta", "data");
    said("/metrics", "tidegate_");
    process.signal(Signal::INT);
    assert_eq!(process.wait(DEADLINE).code(), Some(0));
}
