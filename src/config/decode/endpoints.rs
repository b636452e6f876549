//! Endpoints as they are written: one URL, or a map with its weight. The same in `routes.yaml`, in a
//! file of `discover` and in the values of etcd.

use std::collections::HashMap;

use super::{
    super::{
        diagnostic::{Diagnostic, Place, Sources},
        fields::ENDPOINT,
        load,
        model::{Endpoint, Located, Name},
        render,
        tree::{Kind, Node},
        yaml,
    },
    address,
    edge::{set, wrong_scalar},
    reader::{Fields, Owner, Reader},
};

/// The endpoints of a file of its own: a list, as it would stand after `endpoints:`. `name` is what
/// messages call the file.
///
/// # Errors
/// The first thing that is wrong with it, with line and column, on one line.
pub(in crate::config) fn list(name: &str, text: &str) -> Result<Vec<Endpoint>, String> {
    read(name, text, |r, root| match &root.kind {
        // An empty list is an answer: there are none.
        Kind::Seq(items) if items.is_empty() => Some(Vec::new()),
        Kind::Seq(items) => endpoints(r, root, items, &Owner::named("file", name)),
        _ => {
            let message = format!("a list of endpoints is needed, not {}", root.shown());
            r.report(Diagnostic::error(root.place, message));
            None
        }
    })
}

/// One endpoint as text of its own: a URL, or a map. `name` is what messages call it.
///
/// # Errors
/// The first thing that is wrong with it, on one line.
pub(in crate::config) fn one(name: &str, text: &str) -> Result<Endpoint, String> {
    read(name, text, |r, root| item(r, root, &Owner::named("value", name)))
}

fn read<T>(
    name: &str,
    text: &str,
    decode: impl FnOnce(&Reader<'_>, &Node) -> Option<T>,
) -> Result<T, String> {
    let sources = Sources { files: vec![(name.into(), text.into())], ..Sources::default() };
    let mut found = Default::default();
    let root = if text.len() as u64 > load::MAX_FILE {
        return Err(load::too_large());
    } else {
        yaml::read(text, 0, &mut found).map(|read| read.root)
    };
    let reader = Reader::new(&sources, found);
    let made = root.and_then(|root| decode(&reader, &root));
    let found = reader.finish();
    match (made, found.items.iter().find(|found| found.is_error())) {
        (Some(made), None) => Ok(made),
        (_, Some(error)) => Err(render::one_line(error, &sources)),
        (None, None) => Err(format!("{name}: nothing in it")),
    }
}

pub(super) fn endpoints(
    r: &Reader<'_>,
    list: &Node,
    items: &[Node],
    owner: &Owner<'_>,
) -> Option<Vec<Endpoint>> {
    if items.is_empty() {
        r.report(Diagnostic::error(list.place, format!("{owner} has no endpoint")));
        return None;
    }
    let mut all: Vec<Endpoint> = Vec::with_capacity(items.len());
    let mut known: HashMap<Name, usize> = HashMap::with_capacity(items.len());
    let mut good = true;
    for item in items {
        let made = self::item(r, item, owner);
        let Some(made) = made else {
            good = false;
            continue;
        };
        let first = *known.entry(made.url.value.clone()).or_insert(all.len());
        if let Some(first) = all.get(first) {
            let shown = if item.is_secret() { "«redacted»" } else { &made.url.value };
            let message = format!("{owner} has the endpoint `{shown}` twice");
            let found =
                Diagnostic::error(made.url.place, message).and(first.url.place, "first here");
            r.report(found.help("`{ url: …, weight: 2 }` gives it a larger share"));
        }
        all.push(made);
    }
    good.then_some(all)
}

/// A URL or a map.
fn item(r: &Reader<'_>, item: &Node, owner: &Owner<'_>) -> Option<Endpoint> {
    match &item.kind {
        Kind::Scalar(scalar) => endpoint(r, item, &scalar.text, item.place),
        _ => r
            .fields(item, &ENDPOINT, Owner::of(ENDPOINT.name, owner))
            .and_then(|f| endpoint_map(r, &f)),
    }
}

fn endpoint_map(r: &Reader<'_>, f: &Fields<'_>) -> Option<Endpoint> {
    let Some(slot) = f.get("url") else {
        f.missing("url");
        return None;
    };
    let mut made = endpoint(r, slot.node, slot.text()?, slot.place())?;
    let weight = f.get("weight").and_then(|slot| slot.int());
    set(&mut made.weight, weight.and_then(|weight| u32::try_from(weight).ok()));
    set(&mut made.backup, f.get("backup").and_then(|slot| slot.bool()));
    let priority = f.get("priority").and_then(|slot| slot.int());
    set(&mut made.priority, priority.and_then(|number| u32::try_from(number).ok()));
    if let (Some(backup), true) = (f.get("backup"), made.backup && made.priority > 0) {
        backup.error(format!("{} is both backup and has a priority", f.owner), None);
    }
    Some(made)
}

pub(super) fn endpoint(r: &Reader<'_>, node: &Node, text: &str, place: Place) -> Option<Endpoint> {
    match address::endpoint(text) {
        Ok(address::EndpointUrl { name, tls, h2c, target }) => {
            let url = Located { value: name, place };
            Some(Endpoint {
                url,
                tls,
                h2c,
                target,
                weight: 1,
                backup: false,
                priority: 0,
                host: None,
            })
        }
        Err((message, Some(help))) if (&*message, &*help) == address::USER_INFO => {
            r.report(Diagnostic::error(place, message).help(help));
            None
        }
        Err(wrong) => {
            wrong_scalar(r, node, place, wrong, "a URL of an endpoint");
            None
        }
    }
}
