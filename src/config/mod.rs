//! What the operator wrote: plain data with the place it was written. `load` reads the files,
//! reports everything that is wrong with them in one go, and gives the configuration if nothing is.
//!
//! `yaml` text to tree → `vars` variables → `decode` tree to [`model::Config`], by the table of
//! `fields` → `render` for people.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

pub use self::snapshot::Snapshot;
use self::{
    diagnostic::{Diagnostic, Diagnostics, Sources},
    model::{Config, Endpoint},
    snapshot::Source,
};

mod decode;
pub mod diagnostic;
mod doubtful;
mod fields;
pub mod fmt;
mod load;
mod masked;
mod meant;
pub mod model;
mod private;
pub(crate) mod quarantine;
mod render;
#[cfg(any(test, fuzzing))]
pub(crate) mod rewrite;
mod schema;
mod show;
mod snapshot;
pub(crate) mod tree;
mod typed;
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
    /// Where something was wrong: what could be read all the same, broken routes disabled. Only for
    /// finding what else is wrong.
    pub partial: Option<Config>,
    /// The files, for printing places.
    pub sources: Sources,
    /// Everything that was found, in the order of the files.
    pub diagnostics: Diagnostics,
    /// Everything to watch: all files, the directories of `include`, files of `${file:…}`.
    pub files: Vec<PathBuf>,
    /// 12 hexadecimal digits of all contents.
    pub hash: String,
    /// All that was read.
    pub snapshot: Snapshot,
    /// The files that `include` named.
    pub included: BTreeSet<PathBuf>,
}

/// Reads all inputs, merged; the first is the main file. Never panics, whatever they say.
pub fn load(inputs: &[Input], env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load_from(inputs, Source::machine(env), None)
}

/// The same, and broken included files are kept apart (`--quarantine`).
pub fn load_quarantining(inputs: &[Input], env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load_from(inputs, Source::machine(env), Some(BTreeSet::new()))
}

/// Reads again what was noted when it was read, whatever has become of the files.
pub fn load_again(snapshot: &Snapshot) -> Loaded {
    load_from(&snapshot.inputs(), Source::noted(snapshot), snapshot.quarantine.clone())
}

/// `quarantine`: the files that are to be kept apart in any case; none where nothing may be.
fn load_from(
    inputs: &[Input],
    source: Source<'_>,
    quarantine: Option<BTreeSet<PathBuf>>,
) -> Loaded {
    let mut files = load::read(inputs, &source);
    let (config, diagnostics, quarantine) = match quarantine {
        None => {
            let found = std::mem::take(&mut files.out);
            let (config, diagnostics) = decode_once(&files, found);
            (config, diagnostics, None)
        }
        Some(wanted) => {
            let decoded = quarantine::decode(&mut files, &wanted);
            (decoded.config, decoded.diagnostics, Some(decoded.apart))
        }
    };
    let hash = files.hash();
    let snapshot = source.into_snapshot(inputs, quarantine);
    let included = files.included();
    let (config, partial) = match diagnostics.has_errors() {
        false => (config, None),
        true => (None, config),
    };
    Loaded {
        config,
        partial,
        sources: files.sources,
        diagnostics,
        files: files.watch,
        hash,
        snapshot,
        included,
    }
}

/// Decodes what was read, and goes on with what was found then. Where that is an error, what is returned is
/// what could be read all the same.
fn decode_once(files: &load::Files, found: Diagnostics) -> (Option<Config>, Diagnostics) {
    let reader = decode::Reader::new(&files.sources, found).with(quarantine::lost(files));
    // Without the main file everything else would be wrong too.
    let main = files.units.first().is_some_and(|unit| unit.role == load::Role::Main);
    let config = if main { decode::config(&reader, &files.units, !files.broken) } else { None };
    (config, reader.finish())
}

/// All files as one, with where each value was written. They load.
pub(crate) fn show(
    inputs: &[Input],
    env: &dyn Fn(&str) -> Option<String>,
    built_in: bool,
    route: Option<&str>,
) -> show::Shown {
    let files = load::read(inputs, &Source::machine(env));
    let reader = decode::Reader::new(&files.sources, Diagnostics::default());
    let _ = decode::config(&reader, &files.units, true);
    let relative = reader.into_relative();
    show::show(files, &relative, built_in, route)
}

/// Which version of the language files are written in.
#[derive(Debug)]
pub(crate) struct Versions {
    /// Each file, with what it says and where; a file that cannot be read is not among them.
    pub(crate) files: Vec<(PathBuf, Option<Version>)>,
    /// The files, for printing places.
    pub(crate) sources: Sources,
    /// What kept them from being read.
    pub(crate) problems: Diagnostics,
}

/// What a file says its version is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version {
    /// The number, if it is one.
    pub(crate) number: Option<u64>,
    /// Where it was written.
    pub(crate) place: diagnostic::Place,
}

/// Reads the versions and nothing else.
pub(crate) fn versions(inputs: &[Input], env: &dyn Fn(&str) -> Option<String>) -> Versions {
    let files = load::read(inputs, &Source::machine(env));
    let one = |unit: &load::Unit| {
        let file = unit.root.place.file as usize;
        let written = unit.root.entries().unwrap_or_default();
        let written = written.iter().find(|entry| entry.key == "version");
        let written = written.map(|entry| Version {
            number: entry.value.text().and_then(|text| text.parse().ok()),
            place: entry.value.place,
        });
        (files.sources.files[file].0.clone(), written)
    };
    let all = files.units.iter().map(one).collect();
    Versions { files: all, sources: files.sources, problems: files.out }
}

/// One finding on one line, for logs.
pub fn one_line(found: &Diagnostic, sources: &Sources) -> String {
    render::one_line(found, sources)
}

/// One finding for people, with the lines it is about.
pub(crate) fn render_one(found: &Diagnostic, sources: &Sources, color: bool) -> String {
    render::render_one(found, sources, color)
}

/// Findings for people, with the lines they are about and a count at the end. `runtime/compile`
/// adds its own to the same [`Sources`] and prints them with this.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, color: bool) -> String {
    render::render(diagnostics, sources, color)
}

/// The endpoints of a file of its own, a list as it would stand after `endpoints:`.
///
/// # Errors
/// What is wrong with it, on one line.
pub(crate) fn endpoints(path: &Path) -> Result<Vec<Endpoint>, String> {
    let name = path.display().to_string();
    let text = read_text(path).map_err(|why| format!("cannot read `{name}`: {why}"))?;
    decode::endpoints::list(&name, &text)
}

/// What a file says, if it is not too large for one of ours.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(load::read_bounded(path)?).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// What is wrong with the address of a service, and what to do.
///
/// # Errors
/// Why it is none.
pub(crate) fn judge_endpoint(text: &str) -> Result<(), (String, Option<String>)> {
    decode::address::endpoint(text).map(drop)
}

/// What is wrong with an address to listen on, and what to do.
///
/// # Errors
/// Why it is none.
pub(crate) fn judge_listener(text: &str) -> Result<(), (String, Option<String>)> {
    decode::address::listen(text).map(drop)
}

/// What any YAML or JSON says, with places. `name` is what messages call it.
///
/// # Errors
/// It is not YAML, said for people with the lines it is about.
pub(crate) fn tree(name: &str, text: &str) -> Result<tree::Node, String> {
    let mut found = Diagnostics::default();
    let read = yaml::read(text, 0, &mut found);
    match read {
        Some(read) if !found.has_errors() => Ok(read.root),
        _ => {
            let sources =
                Sources { files: vec![(PathBuf::from(name), text.into())], ..Sources::default() };
            Err(render::render(&found, &sources, false))
        }
    }
}

/// One endpoint as text of its own: a URL, or a map. `name` is what messages call it.
///
/// # Errors
/// What is wrong with it, on one line.
pub(crate) fn endpoint(name: &str, text: &str) -> Result<Endpoint, String> {
    decode::endpoints::one(name, text)
}

/// The file, line and column of a place, both from 1; nothing for what stands in no file.
pub(crate) fn line_column(
    sources: &Sources,
    place: diagnostic::Place,
) -> Option<(String, usize, usize)> {
    let (path, text) = sources.files.get(place.file as usize)?;
    let (line, column) = render::line_column(text, place.start as usize);
    Some((path.display().to_string(), line, column))
}

/// A size as one would write it.
pub(crate) fn show_size(bytes: u64) -> String {
    decode::show_size(bytes)
}

/// The language as a JSON Schema: that of a main file, or of one that is included.
pub fn schema(included: bool) -> serde_json::Value {
    schema::schema(included)
}

// === impl Loaded ===

impl Loaded {
    /// All findings for people.
    pub fn render(&self, color: bool) -> String {
        render::render(&self.diagnostics, &self.sources, color)
    }
}
