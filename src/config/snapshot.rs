//! Everything a configuration was read from, noted while it was read: so it can be read again when the files
//! are no longer what they were, or by a running gateway that is to compare it. It holds secrets.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Input, load};

/// A secret file larger than this is a mistake.
const MAX_SECRET: u64 = 1 << 20;

/// Files, patterns of files and variables as they were.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    inputs: Vec<Named>,
    files: BTreeMap<PathBuf, Result<Text, String>>,
    /// Files that stand for one value.
    values: BTreeMap<PathBuf, Result<Text, String>>,
    patterns: BTreeMap<String, Vec<PathBuf>>,
    variables: BTreeMap<String, Option<String>>,
    /// Broken included files are kept apart, and these were; none where that refuses everything.
    pub(super) quarantine: Option<BTreeSet<PathBuf>>,
}

/// An input: a file, or a text that is noted here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    name: PathBuf,
    text: Option<Text>,
}

/// A text that several snapshots share.
#[derive(Clone, PartialEq, Eq)]
struct Text(Arc<str>);

/// Where files and variables are read from: the machine, or what was noted of it. What is read is noted.
pub(super) struct Source<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    noted: Option<&'a Snapshot>,
    now: RefCell<Snapshot>,
}

// === impl Snapshot ===

impl Snapshot {
    /// What to read.
    pub(super) fn inputs(&self) -> Vec<Input> {
        let one = |it: &Named| match &it.text {
            None => Input::File(it.name.clone()),
            Some(text) => {
                Input::Text { name: it.name.display().to_string(), text: text.0.to_string() }
            }
        };
        self.inputs.iter().map(one).collect()
    }

    /// Whether broken included files may be kept apart.
    pub fn may_quarantine(&self) -> bool {
        self.quarantine.is_some()
    }

    /// Whether this file is.
    pub(super) fn keeps_apart(&self, path: &Path) -> bool {
        self.quarantine.as_ref().is_some_and(|apart| apart.contains(path))
    }

    /// Whether a file says the same in both.
    pub(crate) fn reads_alike(&self, other: &Self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|text| other.files.get(path) == Some(text))
    }

    /// The same, with these files kept apart too.
    pub(crate) fn with_apart(&self, files: BTreeSet<PathBuf>) -> Self {
        let mut apart = self.quarantine.clone().unwrap_or_default();
        apart.extend(files);
        Self { quarantine: Some(apart), ..self.clone() }
    }

    /// Bytes of the texts that are not in the other.
    pub fn size_beside(&self, other: Option<&Self>) -> usize {
        let known = |path: &PathBuf, text: &Text| {
            let there = other.and_then(|other| other.files.get(path));
            there.is_some_and(|it| it.as_ref().is_ok_and(|it| Arc::ptr_eq(&it.0, &text.0)))
        };
        let texts = self.files.iter().filter_map(|(path, text)| Some((path, text.as_ref().ok()?)));
        texts.filter(|(path, text)| !known(path, text)).map(|(_, text)| text.0.len()).sum()
    }

    /// Texts that are as in the other are kept once.
    pub fn share(&mut self, other: &Self) {
        for (path, text) in &mut self.files {
            if let Some(known) = other.files.get(path)
                && known == text
            {
                text.clone_from(known);
            }
        }
    }
}

/// Without what it says.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("files", &self.files.keys()).finish_non_exhaustive()
    }
}

// === impl Text ===

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

// === impl Source ===

impl<'a> Source<'a> {
    /// The machine.
    pub(super) fn machine(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { env, noted: None, now: RefCell::default() }
    }

    /// What was noted.
    pub(super) fn noted(snapshot: &'a Snapshot) -> Self {
        Self { env: &|_| None, noted: Some(snapshot), now: RefCell::default() }
    }

    /// All that was read.
    pub(super) fn into_snapshot(
        self,
        inputs: &[Input],
        quarantine: Option<BTreeSet<PathBuf>>,
    ) -> Snapshot {
        let one = |input: &Input| match input {
            Input::File(path) => Named { name: path.clone(), text: None },
            Input::Text { name, text } => {
                Named { name: name.into(), text: Some(Text(text.as_str().into())) }
            }
        };
        let inputs = inputs.iter().map(one).collect();
        Snapshot { inputs, quarantine, ..self.now.into_inner() }
    }

    /// A file of the configuration.
    pub(super) fn file(&self, path: &Path, role: load::Role) -> Result<Vec<u8>, String> {
        let read = match self.noted {
            Some(noted) => look_up(&noted.files, path),
            None if role == load::Role::Included => load::read_regular(path),
            None => load::read_bounded(path),
        };
        let text = read.as_ref().map(|it| Text(String::from_utf8_lossy(it).into()));
        self.now.borrow_mut().files.insert(path.to_owned(), text.map_err(Clone::clone));
        read
    }

    /// A file that stands for one value.
    pub(super) fn value(&self, path: &Path) -> Result<String, String> {
        let read = match self.noted {
            Some(noted) => look_up(&noted.values, path),
            None => read_value(path),
        };
        let read = read
            .and_then(|it| String::from_utf8(it).map_err(|_| "it is not UTF-8 text".to_owned()));
        let text = read.as_ref().map(|it| Text(it.as_str().into()));
        self.now.borrow_mut().values.insert(path.to_owned(), text.map_err(Clone::clone));
        read
    }

    /// The files of a pattern.
    pub(super) fn matching(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let found = match self.noted {
            Some(noted) => noted.patterns.get(pattern).cloned().unwrap_or_default(),
            None => glob(pattern)?,
        };
        self.now.borrow_mut().patterns.insert(pattern.to_owned(), found.clone());
        Ok(found)
    }

    /// A variable.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let value = match self.noted {
            Some(noted) => noted.variables.get(name).cloned().flatten(),
            None => (self.env)(name),
        };
        self.now.borrow_mut().variables.insert(name.to_owned(), value.clone());
        value
    }
}

fn look_up(
    noted: &BTreeMap<PathBuf, Result<Text, String>>,
    path: &Path,
) -> Result<Vec<u8>, String> {
    match noted.get(path) {
        Some(Ok(text)) => Ok(text.0.as_bytes().to_vec()),
        Some(Err(why)) => Err(why.clone()),
        None => Err("it was not read then".to_owned()),
    }
}

fn read_value(path: &Path) -> Result<Vec<u8>, String> {
    let meta = fs::metadata(path).map_err(|error| load::reason(&error))?;
    if !meta.is_file() {
        return Err("it is not a plain file".to_owned());
    }
    if meta.len() > MAX_SECRET {
        return Err("it is larger than 1 MiB".to_owned());
    }
    fs::read(path).map_err(|error| load::reason(&error))
}

fn glob(pattern: &str) -> Result<Vec<PathBuf>, String> {
    // Editors and Kubernetes leave files with a leading dot beside the real ones.
    let rules = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob::glob_with(pattern, rules).map_err(|error| error.msg.to_owned())?;
    Ok(found.flatten().filter(|path| !path.is_dir()).collect())
}
