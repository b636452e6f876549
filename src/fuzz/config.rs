//! The loader: an answer for every text, in bounded time and memory, and the same configuration
//! however the same text is written.

use crate::{
    config::{self, Input, Loaded, fmt, one_line, rewrite::rewrite},
    runtime::diff::Diff,
};

/// A file may be 16 MiB; what breaks at that size breaks at this one.
const MOST: usize = 64 << 10;

pub(super) fn check(data: &[u8]) {
    let Some(text) = std::str::from_utf8(data).ok().filter(|text| text.len() <= MOST) else {
        return;
    };
    // `fmt` itself compares what both texts say.
    if let Ok(once) = fmt::format("routes.yaml", text, false) {
        assert_eq!(fmt::format("routes.yaml", &once, false).as_ref(), Ok(&once), "laid out twice");
    }
    let other = rewrite(text);
    if other.is_none() && reads_files(text) {
        return;
    }
    let first = load(text);
    // Aliases unfold; what has become too large to be loaded says nothing.
    let other = other.filter(|other| other.len() < 1 << 20);
    let (Some(config), Some(other)) = (&first.config, other) else { return };
    let second = load(&other);
    let again = second.config.as_ref();
    let again = again.unwrap_or_else(|| panic!("{}\nin {other}", second.render(false)));
    let changed = Diff::between(config, again);
    assert!(changed.is_empty(), "{changed:?}\nin {other}");
}

/// What a file reads besides itself is not looked at here: it might be anything on this machine.
/// YAML can spell both words with escapes as well.
fn reads_files(text: &str) -> bool {
    ["include", "file:", "\\"].iter().any(|word| text.contains(word))
}

/// Loads, and shows what was found in every way there is.
fn load(text: &str) -> Loaded {
    let input = Input::Text { name: "routes.yaml".to_owned(), text: text.to_owned() };
    let env = |name: &str| match name {
        "PORT" => Some("9000".to_owned()),
        "EMPTY" => Some(String::new()),
        "SECRET" => Some("hunter2".to_owned()),
        _ => None,
    };
    let loaded = config::load(&[input], &env);
    let shown = loaded.render(false);
    assert!(loaded.config.is_some() != loaded.diagnostics.has_errors(), "{shown}");
    assert!(loaded.config.is_some() || !shown.is_empty());
    assert!(text.contains("hunter2") || !shown.contains("hunter2"), "a secret is shown: {shown}");
    for found in loaded.diagnostics.items.iter().take(20) {
        let line = one_line(found, &loaded.sources);
        assert!(!line.contains('\n'), "{line:?}");
    }
    loaded
}
