//! Broken included files, kept apart (`--quarantine`): of such a file only what its routes match is left, and
//! these answer 503. So nobody else's routes suffer, and none of its requests falls to a weaker route. What
//! cannot be read that way refuses everything, as without the flag.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
};

use super::{
    Loaded,
    diagnostic::{Diagnostic, Diagnostics, Place, Severity},
    load::{Files, Role, Unit},
    meant,
    model::{Config, Name, Quarantined},
    tree::{Kind, Node},
};

/// What is left of a file.
const TOP: [&str; 2] = ["version", "routes"];
/// What is left of a route: which requests it takes, and with what rank.
pub(super) const KEPT: [&str; 3] = ["match", "enabled", "priority"];

/// What came of decoding.
pub(super) struct Decoded {
    pub(super) config: Option<Config>,
    pub(super) diagnostics: Diagnostics,
    /// The files that are kept apart.
    pub(super) apart: BTreeSet<PathBuf>,
}

/// Decodes, and keeps apart those of `wanted` first, and then whatever is broken and may be.
pub(super) fn decode(files: &mut Files, wanted: &BTreeSet<PathBuf>) -> Decoded {
    let found = std::mem::take(&mut files.out);
    let mut first = None;
    let mut told = Vec::new();
    let forced = blamed(files, |path| wanted.contains(path));
    forced.into_iter().for_each(|at| confine(&mut files.units[at]));
    loop {
        let here = still_true(files, &found);
        let (config, mut diagnostics) = super::decode_once(files, here);
        let first = first.get_or_insert_with(|| diagnostics.clone());
        if !diagnostics.has_errors() {
            let apart = apart(files);
            diagnostics.items.extend(told);
            if let Some(config) = &config {
                diagnostics.items.extend(config.quarantined.iter().map(|it| notice(files, it)));
            }
            return Decoded { config, diagnostics, apart };
        }
        let culprits = match culprits(files, &diagnostics) {
            Ok(culprits) => culprits,
            Err(why) => {
                let mut diagnostics = first.clone();
                diagnostics.items.extend(why);
                return Decoded { config: None, diagnostics, apart: BTreeSet::new() };
            }
        };
        told.extend(diagnostics.items.into_iter().filter(Diagnostic::is_error).map(softened));
        culprits.into_iter().for_each(|at| confine(&mut files.units[at]));
    }
}

/// The files, by their paths, that are to blame for errors which were found later; nothing if one of these
/// cannot be laid on an included file.
pub(crate) fn to_blame(loaded: &Loaded, problems: &Diagnostics) -> Option<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::new();
    for error in problems.items.iter().filter(|it| it.is_error()) {
        let (place, _) = error.labels.first()?;
        let (path, _) = loaded.sources.files.get(place.file as usize)?;
        let known = loaded.included.contains(path) && !loaded.snapshot.keeps_apart(path);
        if !known || *place == Place::default() {
            return None;
        }
        paths.insert(path.clone());
    }
    (!paths.is_empty()).then_some(paths)
}

/// An error that refuses nothing any more.
pub(crate) fn softened(found: Diagnostic) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, ..found }
}

// === who is to blame ===

fn blamed(files: &Files, is: impl Fn(&PathBuf) -> bool) -> Vec<usize> {
    let units = files.units.iter().enumerate();
    let of = |unit: &Unit| files.sources.files.get(unit.root.place.file as usize);
    let named = units.filter(|(_, unit)| of(unit).is_some_and(|(path, _)| is(path)));
    named.map(|(at, _)| at).collect()
}

/// The units that all errors are in, if these are included files that are still whole, and it is known which
/// requests their routes take. If not, why, where there is more to say than the errors do.
fn culprits(
    files: &Files,
    diagnostics: &Diagnostics,
) -> Result<BTreeSet<usize>, Option<Diagnostic>> {
    let mut culprits: BTreeMap<usize, Vec<&Diagnostic>> = BTreeMap::new();
    if files.broken {
        return Err(None);
    }
    for error in diagnostics.items.iter().filter(|it| it.is_error()) {
        let file = error.labels.first().map(|(place, _)| place.file);
        let at = files.units.iter().position(|unit| Some(unit.root.place.file) == file);
        let at = at.filter(|at| files.units[*at].role == Role::Included).ok_or(None)?;
        if files.units[at].quarantined {
            return Err(Some(refusal(files, error, "it is in what is left of the file")));
        }
        culprits.entry(at).or_default().push(error);
    }
    for (at, errors) in &culprits {
        let root = &files.units[*at].root;
        if let Some((error, why)) = meant::doubt(root, errors) {
            return Err(Some(refusal(files, error, why)));
        }
        // A list where routes should be.
        if readable(root).is_none() {
            return Err(Some(refusal(files, errors[0], "its routes are no map of maps")));
        }
    }
    let culprits: BTreeSet<usize> = culprits.into_keys().collect();
    if culprits.is_empty() { Err(None) } else { Ok(culprits) }
}

/// Why a file is not kept apart.
fn refusal(files: &Files, error: &Diagnostic, why: &str) -> Diagnostic {
    let place = error.labels.first().map(|(place, _)| *place).unwrap_or_default();
    let file = files.sources.files.get(place.file as usize);
    let file = file.map(|(path, _)| path.display().to_string()).unwrap_or_default();
    let message =
        format!("`{file}` cannot be quarantined: nobody knows which requests its routes take");
    Diagnostic::error(place, message).label(why).help("so everything is refused; correct the file")
}

/// Whether there are routes to be read, or none.
fn readable(root: &Node) -> Option<()> {
    let top = root.entries()?;
    let routes = top.iter().find(|entry| entry.key == "routes");
    let Some(routes) = routes else { return Some(()) };
    let all = routes.value.entries()?;
    all.iter().all(|route| route.value.entries().is_some()).then_some(())
}

/// What files that are kept apart would define.
pub(super) fn lost(files: &Files) -> HashMap<(String, String), PathBuf> {
    let mut lost = HashMap::new();
    for unit in files.units.iter().filter(|unit| unit.quarantined) {
        let Some((path, _)) = files.sources.files.get(unit.root.place.file as usize) else {
            continue;
        };
        for name in &unit.lost {
            lost.insert(name.clone(), path.clone());
        }
    }
    lost
}

/// Its upstreams, and its policies by their kind.
fn defines(root: &Node) -> Vec<(String, String)> {
    let section = |node: &Node, key: &str| {
        let entries = node.entries().unwrap_or_default();
        entries.iter().find(|it| it.key == key).map(|it| it.value.clone())
    };
    let mut all = Vec::new();
    let mut names = |section: &str, node: &Node| {
        let entries = node.entries().unwrap_or_default().iter();
        all.extend(entries.map(|it| (section.to_owned(), it.key.clone())));
    };
    if let Some(upstreams) = section(root, "upstreams") {
        names("upstreams", &upstreams);
    }
    let policies = section(root, "policies");
    for kind in policies.iter().flat_map(|it| it.entries().unwrap_or_default()) {
        names(&kind.key, &kind.value);
    }
    all
}

/// Takes everything out of a file but what its routes match.
fn confine(unit: &mut Unit) {
    if !unit.quarantined {
        unit.lost = defines(&unit.root);
    }
    unit.quarantined = true;
    let Kind::Map(top) = &mut unit.root.kind else { return };
    top.retain(|entry| TOP.contains(&entry.key.as_str()));
    for section in top.iter_mut().filter(|entry| entry.key == "routes") {
        let Kind::Map(routes) = &mut section.value.kind else { continue };
        for route in routes {
            if let Kind::Map(keys) = &mut route.value.kind {
                keys.retain(|entry| KEPT.contains(&entry.key.as_str()));
            }
        }
    }
}

/// What was found while reading, without what was taken out since.
fn still_true(files: &Files, found: &Diagnostics) -> Diagnostics {
    let stays = |it: &&Diagnostic| {
        let Some((place, _)) = it.labels.first() else { return true };
        let unit = files.units.iter().find(|unit| unit.root.place.file == place.file);
        unit.is_none_or(|unit| !unit.quarantined || holds(&unit.root, *place))
    };
    Diagnostics { items: found.items.iter().filter(stays).cloned().collect() }
}

/// Whether a place is one of what is left.
fn holds(node: &Node, place: Place) -> bool {
    node.place == place
        || match &node.kind {
            Kind::Null | Kind::Scalar(_) => false,
            Kind::Seq(items) => items.iter().any(|item| holds(item, place)),
            Kind::Map(entries) => {
                entries.iter().any(|entry| entry.key_place == place || holds(&entry.value, place))
            }
        }
}

// === what is said ===

fn apart(files: &Files) -> BTreeSet<PathBuf> {
    let units = files.units.iter().filter(|unit| unit.quarantined);
    let path =
        |unit: &Unit| Some(files.sources.files.get(unit.root.place.file as usize)?.0.clone());
    units.filter_map(path).collect()
}

fn notice(files: &Files, it: &Quarantined) -> Diagnostic {
    let at = files.sources.files.iter().position(|(path, _)| *path == it.file).unwrap_or_default();
    let place = Place { file: u32::try_from(at).unwrap_or_default(), start: 0, end: 0 };
    let routes = match it.routes.len() {
        1 => "its route answers".to_owned(),
        several => format!("its {several} routes answer"),
    };
    let message = format!("`{}` is quarantined: {routes} 503", it.file.display());
    Diagnostic::warning(place, message).help("correct the file; the rest is not affected")
}

/// The quarantined files of a configuration, by the routes that say so.
pub(super) fn listed<'c>(
    units: impl Iterator<Item = (&'c Unit, PathBuf)>,
    routes: impl Iterator<Item = (Name, u32)>,
) -> Vec<Quarantined> {
    let mut by_file: BTreeMap<u32, Vec<Name>> = BTreeMap::new();
    for (name, file) in routes {
        by_file.entry(file).or_default().push(name);
    }
    let apart = units.filter(|(unit, _)| unit.quarantined);
    apart
        .map(|(unit, file)| Quarantined {
            file,
            routes: by_file.remove(&unit.root.place.file).unwrap_or_default(),
        })
        .collect()
}
