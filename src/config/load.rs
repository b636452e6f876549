//! Files into trees: the main file, further `-c` files, `include`, variables. Everything is bounded
//! before it is read.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    hash::{DefaultHasher, Hasher},
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::{
    Input,
    diagnostic::{About, Diagnostic, Diagnostics, Place, Sources},
    masked, private,
    snapshot::Source,
    tree::{self, Entry, Kind, Node},
    vars::Variables,
    yaml,
};

/// The largest file we read. 10,000 routes are 1.2 MB.
pub(super) const MAX_FILE: u64 = 16 << 20;
/// Files of one configuration.
const MAX_FILES: usize = 10_000;

/// How much a file may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The first `-c`.
    Main,
    /// A further `-c`: everything, but nothing twice.
    Extra,
    /// Named by `include`: no ports, no TLS, nothing of the process.
    Included,
}

/// One file as a tree.
pub(super) struct Unit {
    /// Its part.
    pub role: Role,
    /// What it says.
    pub root: Node,
    /// It is broken: only what its routes match is left of it.
    pub quarantined: bool,
    /// Then what it would define, by section or kind of policy.
    pub lost: Vec<(String, String)>,
}

/// Everything that was read.
#[derive(Default)]
pub(super) struct Files {
    /// The trees, main file first.
    pub units: Vec<Unit>,
    /// Their texts.
    pub sources: Sources,
    /// What to watch.
    pub watch: Vec<PathBuf>,
    /// What was wrong.
    pub out: Diagnostics,
    /// Some file could not be read at all.
    pub broken: bool,
    /// What stood where a variable was filled in, and whether its key says that it is a secret.
    pub raw: HashMap<Place, (String, bool)>,
    hasher: DefaultHasher,
}

/// Reads all inputs, what they include, and fills in variables.
pub(super) fn read(inputs: &[Input], source: &Source<'_>) -> Files {
    let mut files = Files::default();
    for (at, input) in inputs.iter().enumerate() {
        let role = if at == 0 { Role::Main } else { Role::Extra };
        let (path, text) = match input {
            Input::File(path) => (path.clone(), None),
            Input::Text { name, text } => (PathBuf::from(name), Some(text.as_str())),
        };
        let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let base = if text.is_some() { PathBuf::new() } else { base };
        let Some(mut root) = files.tree((&path, &base), text, role, source) else { continue };
        files.variables(&mut root, &base, source);
        let patterns = take_include(&mut root);
        files.units.push(Unit { role, root, quarantined: false, lost: Vec::new() });
        if let Some(patterns) = patterns {
            files.include(&patterns, &base, source);
        }
    }
    private::hide(&mut files);
    files.watch.sort();
    files.watch.dedup();
    files
}

/// What an I/O error means, without the number.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

// === impl Files ===

impl Files {
    /// 12 hexadecimal digits that change when any content changes.
    pub(super) fn hash(&self) -> String {
        format!("{:012x}", self.hasher.finish() >> 16)
    }

    /// The files that `include` named.
    pub(super) fn included(&self) -> BTreeSet<PathBuf> {
        let units = self.units.iter().filter(|unit| unit.role == Role::Included);
        let of = |unit: &Unit| self.sources.files.get(unit.root.place.file as usize);
        units.filter_map(of).map(|(path, _)| path.clone()).collect()
    }

    fn tree(
        &mut self,
        (path, base): (&Path, &Path),
        text: Option<&str>,
        role: Role,
        source: &Source<'_>,
    ) -> Option<Node> {
        let file = u32::try_from(self.sources.files.len()).unwrap_or(u32::MAX);
        let none = Place { file, start: 0, end: 0 };
        let text = match text {
            Some(text) if text.len() as u64 > MAX_FILE => Err(too_large()),
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => {
                self.watch.push(path.to_path_buf());
                source.file(path, role)
            }
        };
        let (text, problem) = match text {
            Ok(bytes) => decode(bytes, file),
            Err(reason) => {
                let message = format!("cannot read `{}`: {reason}", path.display());
                (String::new(), Some(Diagnostic::error(none, message)))
            }
        };
        self.hasher.write(path.as_os_str().as_encoded_bytes());
        self.hasher.write(text.as_bytes());
        let text: Arc<str> = text.into();
        self.sources.files.push((path.to_path_buf(), Arc::clone(&text)));
        self.sources.bases.push(base.to_path_buf());
        if let Some(problem) = problem {
            self.out.push(problem);
            self.broken = true;
            return None;
        }
        let before = self.out.items.len();
        let read = yaml::read(&text, file, &mut self.out);
        self.out.items[before..].iter_mut().for_each(|it| it.about = About::Writing);
        let tree = match read {
            Some(yaml::Read { root, dropped }) => {
                self.sources.conceal(&dropped);
                Some(root)
            }
            None => {
                if let Some((_, shown)) = self.sources.files.last_mut() {
                    *shown = tree::conceal_all(&text).into();
                }
                None
            }
        };
        self.broken |= tree.is_none();
        tree
    }

    fn variables(&mut self, root: &mut Node, base: &Path, source: &Source<'_>) {
        let base = base.to_path_buf();
        let (files, values, raw) = (Vec::new(), Vec::new(), Vec::new());
        let mut variables = Variables { source, base, files, values, raw };
        variables.expand(root, &mut self.out);
        self.watch.append(&mut variables.files);
        for value in variables.values {
            self.hasher.write(value.as_bytes());
            self.hasher.write_u8(0);
        }
        let mut secrets = Vec::new();
        root.mark_secrets(&mut secrets);
        for (place, text) in variables.raw {
            self.raw.insert(place, (text, secrets.contains(&place)));
        }
        self.sources.conceal(&secrets);
        let masked = masked::values(root);
        root.mark_at(&masked.secret);
        self.sources.conceal(&masked.places);
    }

    fn include(&mut self, patterns: &Node, base: &Path, source: &Source<'_>) {
        let one = std::slice::from_ref(patterns);
        let items = match &patterns.kind {
            Kind::Seq(items) => items.as_slice(),
            Kind::Scalar(_) => one,
            Kind::Map(_) | Kind::Null => {
                let message = format!("`include` takes a list of files, not {}", patterns.shown());
                self.out.push(Diagnostic::error(patterns.place, message));
                return;
            }
        };
        for item in items {
            match (&item.kind, item.text()) {
                (_, Some(pattern)) => {
                    for path in self.matching(pattern, item.place, base, source) {
                        let wild = is_wild(pattern);
                        self.take_in(&path, item.place, wild, source);
                    }
                }
                (Kind::Map(_), None) => self.out.push(Diagnostic::error(
                    item.place,
                    "a map in `include` is part of the language, but this build cannot do it yet",
                )),
                _ => {
                    let message = format!("`include` takes files, not {}", item.shown());
                    self.out.push(Diagnostic::error(item.place, message));
                }
            }
        }
    }

    /// The files of one pattern, sorted by bytes.
    fn matching(
        &mut self,
        pattern: &str,
        place: Place,
        base: &Path,
        source: &Source<'_>,
    ) -> Vec<PathBuf> {
        if Path::new(pattern).components().any(|part| part == Component::ParentDir) {
            let message = format!("`{pattern}` leaves the directory of the main file");
            self.out.push(
                Diagnostic::error(place, message).help("take out `..`, or write an absolute path"),
            );
            return Vec::new();
        }
        self.watch.push(watched_directory(base, pattern));
        if !is_wild(pattern) {
            return vec![base.join(pattern)];
        }
        let prefix = glob::Pattern::escape(&base.to_string_lossy());
        let full = Path::new(&prefix).join(pattern);
        let mut found = match source.matching(&full.to_string_lossy()) {
            Ok(paths) => paths,
            Err(problem) => {
                let message = format!("`{pattern}` is not a file pattern: {problem}");
                self.out.push(Diagnostic::error(place, message));
                Vec::new()
            }
        };
        found
            .sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
        found
    }

    fn take_in(&mut self, path: &Path, from: Place, wild: bool, source: &Source<'_>) {
        // Two patterns may name one file; the main file may match its own pattern.
        let known = self.sources.files.iter().position(|(known, _)| same_path(known, path));
        if let Some(known) = known {
            let of = |unit: &&Unit| unit.root.place.file as usize == known;
            let main = self.units.iter().find(of).is_some_and(|it| it.role != Role::Included);
            if main && !wild {
                let what = match from.file as usize == known {
                    true => "includes itself",
                    false => "is included, and is one of the `-c` files",
                };
                let message = format!("`{}` {what}", path.display());
                self.out.push(Diagnostic::error(from, message).help("take it out of `include`"));
            }
            return;
        }
        if self.sources.files.len() >= MAX_FILES {
            self.out.push(Diagnostic::error(from, format!("more than {MAX_FILES} files")));
            return;
        }
        let before = self.out.items.len();
        let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let tree = self.tree((path, &base), None, Role::Included, source);
        let Some(mut root) = tree else {
            // A file that cannot be read has no line of its own to show: show who asked for it.
            for found in &mut self.out.items[before..] {
                if found.message.starts_with("cannot read") {
                    found.labels = vec![(from, "included here".to_owned())];
                }
            }
            return;
        };
        self.variables(&mut root, &base, source);
        self.units.push(Unit { role: Role::Included, root, quarantined: false, lost: Vec::new() });
    }
}

pub(super) fn too_large() -> String {
    format!("it is larger than {} MiB", MAX_FILE >> 20)
}

/// The same of what must be a file: nobody waits for what writes into a pipe.
pub(super) fn read_regular(path: &Path) -> Result<Vec<u8>, String> {
    let meta = fs::metadata(path).map_err(|error| reason(&error))?;
    if !meta.is_file() && !meta.is_dir() {
        return Err("it is not a regular file".to_owned());
    }
    read_bounded(path)
}

fn is_wild(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| reason(&error))?;
    let meta = file.metadata().map_err(|error| reason(&error))?;
    if meta.is_dir() {
        return Err("it is a directory".to_owned());
    }
    if meta.len() > MAX_FILE {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // Pipes and files that grow have no size to trust.
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large());
    }
    Ok(bytes)
}

fn decode(bytes: Vec<u8>, file: u32) -> (String, Option<Diagnostic>) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let at = u32::try_from(error.utf8_error().valid_up_to()).unwrap_or(u32::MAX);
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let place = Place { file, start: at, end: at + 3 };
            let help = "save the file as UTF-8";
            (text, Some(Diagnostic::error(place, "not UTF-8 text").help(help)))
        }
    }
}

/// The directory in which files can come and go: everything before the first wildcard.
fn watched_directory(base: &Path, pattern: &str) -> PathBuf {
    let fixed: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
        .collect();
    let full = if fixed.as_os_str().is_empty() { base.to_path_buf() } else { base.join(&fixed) };
    let whole = fixed == Path::new(pattern);
    let directory = if whole { full.parent().map(Path::to_path_buf) } else { Some(full) };
    let directory = directory.unwrap_or_default();
    if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory }
}

fn same_path(a: &Path, b: &Path) -> bool {
    fn plain(path: &Path) -> impl Iterator<Item = Component<'_>> {
        path.components().filter(|part| *part != Component::CurDir)
    }
    plain(a).eq(plain(b))
}

/// Takes `include` out of a file that may have it.
fn take_include(root: &mut Node) -> Option<Node> {
    let Kind::Map(entries) = &mut root.kind else { return None };
    let at = entries.iter().position(|Entry { key, .. }| key == "include")?;
    Some(entries.remove(at).value)
}
