//! Pages of `docs/` that are made of what the program itself works by. Their tests compare them, and write
//! them anew where `TIDEGATE_BLESS=1` says so.

use std::{env, fs, path::Path};

/// Holds a page to what it must say.
#[track_caller]
pub(crate) fn holds(page: &str, wanted: &str) {
    let wanted = format!("{}\n", wanted.trim_end());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if env::var_os("TIDEGATE_BLESS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let mut lines = found.lines().zip(wanted.lines()).zip(1..);
    let differs = lines.find(|((found, wanted), _)| found != wanted);
    assert!(
        found == wanted,
        "{page} is stale; `TIDEGATE_BLESS=1 cargo test --lib the_page` writes it anew.\n\
         The first line that differs: {differs:#?}"
    );
}
