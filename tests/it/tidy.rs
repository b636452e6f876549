//! The tree stays readable: every source file says what it is, and none grows without end.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// No file of `src` is longer.
const MOST_LINES: usize = 400;

/// Except these, which are one thing each: how long they may be.
const LONGER: [(&str, usize); 5] = [
    ("src/config/model.rs", 690), // the shape of the whole language
    ("src/server/scan.rs", 680),  // one state machine over the bytes of a head
    ("src/telemetry/access_log/tests.rs", 420),
    ("src/upstream/forward.rs", 420), // one try, from the pool to the answer
    ("src/server/wire.rs", 490),      // both directions of one stream
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut left: Vec<PathBuf> =
        ["src", "tests", "examples", "benches", "fuzz/fuzz_targets"].map(|d| root.join(d)).into();
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    assert!(found.len() > 100, "only {} files were found", found.len());
    found
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|f| f.0).collect();
    assert!(silent.is_empty(), "these do not begin with `//!`: {silent:#?}");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(name, _)| name.starts_with("src/"))
        .map(|(name, text)| (text.lines().count(), name))
        .filter(|(lines, name)| {
            let own = LONGER.iter().find(|(longer, _)| longer == name);
            *lines > own.map_or(MOST_LINES, |(_, most)| *most)
        })
        .collect();
    assert!(long.is_empty(), "longer than {MOST_LINES} lines: {long:#?}");
}
