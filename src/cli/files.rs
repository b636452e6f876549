//! Which files a verb reads: those named by `-c`, or the first that is found.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::config::Input;

/// Where a file is looked for when none is named.
const SEARCH: [&str; 2] = ["routes.yaml", "/etc/tidegate/routes.yaml"];

/// A larger text on standard input is cut here; the loader refuses it for its size.
const MAX_STDIN: u64 = 128 << 20;

/// What `-c` names, or what is found without it. Standard input is read here, once, so that a
/// reload finds the same text again.
///
/// # Errors
/// Standard input cannot be read, or there is no file.
pub(super) fn inputs(named: &[PathBuf]) -> io::Result<Vec<Input>> {
    if named.is_empty() {
        let found = SEARCH.iter().map(Path::new).find(|path| path.exists());
        let found = found.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "there is no ./routes.yaml and no /etc/tidegate/routes.yaml; name a file with -c, \
                 or see what `tidegate demo` does",
            )
        })?;
        return Ok(vec![Input::File(found.to_owned())]);
    }
    named.iter().map(|path| input(path)).collect()
}

fn input(path: &Path) -> io::Result<Input> {
    if path != Path::new("-") {
        return Ok(Input::File(path.to_owned()));
    }
    let mut text = String::new();
    io::stdin().lock().take(MAX_STDIN).read_to_string(&mut text)?;
    Ok(Input::Text { name: "<stdin>".to_owned(), text })
}
