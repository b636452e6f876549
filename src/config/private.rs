//! Credentials in the queries `tests` ask with: a policy that takes a key from `query:NAME` makes that parameter
//! a secret in every test of every file, so that no message shows it with its line.

use super::{
    diagnostic::{Place, Sources},
    load::Files,
    tree::{Entry, Kind, Node},
};

/// Finds out which parameters these are, and hides them.
pub(super) fn hide(files: &mut Files) {
    for unit in &files.units {
        carriers(&unit.root, &mut files.sources.private);
    }
    if files.sources.private.is_empty() {
        return;
    }
    for unit in &files.units {
        let mut places = Vec::new();
        for request in requests(&unit.root) {
            hidden(request, &files.sources, &mut places);
        }
        files.sources.conceal(&places);
    }
}

/// `from: query:NAME`, alone or in a list, wherever a policy stands.
fn carriers(node: &Node, names: &mut std::collections::BTreeSet<String>) {
    let one = |node: &Node| Some(node.text()?.strip_prefix("query:")?.to_owned());
    match &node.kind {
        Kind::Null | Kind::Scalar(_) => {}
        Kind::Seq(items) => items.iter().for_each(|item| carriers(item, names)),
        Kind::Map(entries) => {
            for Entry { key, value, .. } in entries {
                match &value.kind {
                    Kind::Seq(items) if key == "from" => names.extend(items.iter().filter_map(one)),
                    _ if key == "from" => names.extend(one(value)),
                    _ => carriers(value, names),
                }
            }
        }
    }
}

fn requests(root: &Node) -> impl Iterator<Item = &Node> {
    let items = match get(root, "tests").map(|it| &it.kind) {
        Some(Kind::Seq(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter().filter_map(|it| get(it, "request"))
}

fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.entries()?.iter().find(|it| it.key == key).map(|it| &it.value)
}

/// Where the values stand; the whole request if that cannot be told.
fn hidden(request: &Node, sources: &Sources, places: &mut Vec<Place>) {
    let (Some(scalar), Some((_, file))) =
        (request.scalar(), sources.files.get(request.place.file as usize))
    else {
        return;
    };
    let values = sources.private_values(&scalar.text);
    let place = request.place;
    let raw = file.get(place.start as usize..place.end as usize).unwrap_or_default();
    let skip = usize::from(raw != scalar.text);
    if values.is_empty() {
        return;
    }
    if raw.get(skip..raw.len().saturating_sub(skip)) != Some(scalar.text.as_str()) {
        places.push(place);
        return;
    }
    let at = |byte: usize| place.start + u32::try_from(skip + byte).unwrap_or(0);
    places.extend(values.into_iter().map(|it| Place {
        start: at(it.start),
        end: at(it.end),
        ..place
    }));
}
