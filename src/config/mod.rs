//! What the operator wrote: plain data with the place it was written. `load` reads the files,
//! reports everything that is wrong with them in one go, and gives the configuration if nothing is.
//!
//! `yaml` text to tree → `vars` variables → `decode` tree to [`model::Config`], by the table of
//! `fields` → `render` for people.

use std::path::PathBuf;

use self::{
    diagnostic::{Diagnostic, Diagnostics, Sources},
    model::Config,
};

mod decode;
pub mod diagnostic;
mod fields;
mod load;
pub mod model;
mod render;
#[cfg(any(test, fuzzing))]
pub(crate) mod rewrite;
mod tree;
mod vars;
mod yaml;

#[cfg(test)]
mod tests;

/// Where configuration comes from.
#[derive(Clone, Debug)]
pub enum Input {
    /// A file, watched.
    File(PathBuf),
    /// Text from elsewhere: standard input, `demo`, `proxy`.
    Text {
        /// What messages call it.
        name: String,
        /// What it says.
        text: String,
    },
}

/// What came of reading.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; `None` if anything was wrong.
    pub config: Option<Config>,
    /// The files, for printing places.
    pub sources: Sources,
    /// Everything that was found, in the order of the files.
    pub diagnostics: Diagnostics,
    /// Everything to watch: all files, the directories of `include`, files of `${file:…}`.
    pub files: Vec<PathBuf>,
    /// 12 hexadecimal digits of all contents.
    pub hash: String,
}

/// Reads all inputs, merged; the first is the main file. Never panics, whatever they say.
pub fn load(inputs: &[Input], env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let mut files = load::read(inputs, env);
    let found = std::mem::take(&mut files.out);
    let reader = decode::Reader::new(&files.sources, found);
    // Without the main file everything else would be wrong too.
    let main = files.units.first().is_some_and(|unit| unit.role == load::Role::Main);
    let config = if main { decode::config(&reader, &files.units, !files.broken) } else { None };
    let diagnostics = reader.finish();
    let config = config.filter(|_| !diagnostics.has_errors());
    let hash = files.hash();
    Loaded { config, sources: files.sources, diagnostics, files: files.watch, hash }
}

/// One finding on one line, for logs.
pub fn one_line(found: &Diagnostic, sources: &Sources) -> String {
    render::one_line(found, sources)
}

/// Findings for people, with the lines they are about and a count at the end. `runtime/compile`
/// adds its own to the same [`Sources`] and prints them with this.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, color: bool) -> String {
    render::render(diagnostics, sources, color)
}

/// Every key of the language, from the table the decoder works by, as Markdown.
pub fn reference() -> String {
    fields::reference()
}

// === impl Loaded ===

impl Loaded {
    /// All findings for people.
    pub fn render(&self, color: bool) -> String {
        render::render(&self.diagnostics, &self.sources, color)
    }
}
