//! `routes`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    super::{
        diagnostic::Diagnostic,
        fields::{LAYER, ROUTE},
        model::{
            Action, CustomLayer, ErrorFormat, LayerPosition, Located, Name, PathRewrite, Route,
            StripPrefix,
        },
        tree::Entry,
        typed::json,
    },
    Context, actions, admission,
    edge::set,
    guard, matches, mirror, origins, rate_limit,
    reader::{Fields, Owner},
    records::{Defaults, KINDS},
    retry,
    slot::Slot,
    timeouts, twice,
};

/// The routes of one file.
pub(super) fn section(
    context: &Context<'_>,
    top: &Fields<'_>,
    defaults: &Defaults,
    routes: &mut BTreeMap<Name, Route>,
) {
    let r = context.r;
    let Some(entry) = top.entry("routes") else { return };
    for entry in r.named(&entry.value, "routes") {
        if let Some(known) = routes.get(entry.key.as_str()) {
            if defaults.quarantined {
                // Somebody else has the name; it stays a route all the same.
                if let Some(route) = route(context, entry, defaults) {
                    let file = r.sources.files.get(entry.key_place.file as usize);
                    let file = file.map(|(path, _)| path.display().to_string());
                    let name = format!("{}@{}", entry.key, file.unwrap_or_default());
                    routes.insert(name.into(), route);
                }
                continue;
            }
            twice(r, "route", &entry.key, entry.key_place, known.place);
        } else if let Some(route) = route(context, entry, defaults) {
            routes.insert(entry.key.as_str().into(), route);
        }
    }
}

fn route(context: &Context<'_>, entry: &Entry, defaults: &Defaults) -> Option<Route> {
    let r = context.r;
    let errors = r.errors();
    let owner = Owner::named(ROUTE.name, &entry.key);
    let f = r.fields(&entry.value, &ROUTE, owner)?;
    let mut own = defaults.clone();
    own.records(&f, &context.policies);
    origins::keys(&mut own.origins, &f, &[&KINDS[..], &["priority_class"]].concat());
    if let Some(auth) = &own.auth {
        guard::services(context, auth, defaults);
    }
    timeouts::consistent(&f, &own.timeouts);
    let action = match defaults.quarantined {
        true => Some(Action::Quarantined),
        false => actions::action(context, &f, entry.key_place, defaults),
    };
    retry::fits(context, &f, &own, action.as_ref());
    guard::authorize::fits(r, &entry.key, own.authorize.as_ref(), own.auth.as_ref());
    rate_limit::fits(&f, &own, entry.key_place);
    admission::fits(&f, &mut own, entry.key_place);
    let path_rewrite = path_rewrite(&f, action.as_ref());
    let mirror = mirror::mirror(context, &f, action.as_ref(), defaults);
    let matches = matches::matches(&f, entry.key_place);
    let word = f.get("errors").and_then(|slot| slot.word());
    let priority = f.get("priority").and_then(|slot| slot.int()).unwrap_or(0);
    let mut it = Route {
        place: entry.key_place,
        matches: matches?,
        action: action?,
        priority: i32::try_from(priority).unwrap_or(0),
        enabled: true,
        path_rewrite,
        headers: own.headers,
        timeouts: own.timeouts.value,
        // None at all is the direct way.
        retry: own.retry.filter(|retry| retry.times > 0 || retry.hedge.is_some()),
        ip: own.ip,
        auth: own.auth,
        authorize: own.authorize,
        rate_limit: own.rate_limit,
        bandwidth: own.bandwidth,
        concurrency: own.concurrency,
        priority_class: own.priority_class,
        mirror,
        upgrade: upgrade(&f),
        body: own.body,
        errors: match word {
            Some("problem") => ErrorFormat::Problem,
            Some("html") => ErrorFormat::Html,
            Some("text") => ErrorFormat::Text,
            _ => ErrorFormat::Auto,
        },
        access_log: true,
        layers: layers(&f),
        labels: labels(&f),
        origins: own.origins,
    };
    set(&mut it.enabled, f.get("enabled").and_then(|slot| slot.bool()));
    set(&mut it.access_log, f.get("access_log").and_then(|slot| slot.bool()));
    // Half a route takes requests nobody meant: others are not held against it.
    it.enabled &= r.errors() == errors;
    Some(it)
}

fn path_rewrite(f: &Fields<'_>, action: Option<&Action>) -> PathRewrite {
    let (strip, rewrite) = (f.get("strip_prefix"), f.get("rewrite"));
    if let (Some(strip), Some(rewrite)) = (&strip, &rewrite) {
        let message = format!("{} has both `strip_prefix` and `rewrite`", f.owner);
        f.r.report(Diagnostic::error(rewrite.place(), message).and(strip.place(), ""));
        return PathRewrite::Keep;
    }
    let Some(slot) = strip.or(rewrite) else { return PathRewrite::Keep };
    if action.is_some_and(|action| !matches!(action, Action::Forward(_))) {
        let message = format!("{} has no effect: the route forwards nothing", slot.subject());
        f.r.report(Diagnostic::warning(slot.place(), message));
    }
    let place = slot.place();
    match slot.text() {
        None | Some("false" | "none") => PathRewrite::Keep,
        Some("true") if slot.key == "strip_prefix" => {
            PathRewrite::StripPrefix(Located { value: StripPrefix::Literal, place })
        }
        Some(path) if !path.starts_with('/') => {
            let help = (!slot.node.is_secret()).then(|| format!("did you mean `/{path}`?"));
            slot.wrong("a path that starts with `/`", help);
            PathRewrite::Keep
        }
        Some(path) if slot.key == "strip_prefix" => {
            let value = StripPrefix::Path(path.to_owned());
            PathRewrite::StripPrefix(Located { value, place })
        }
        Some(path) => PathRewrite::Template(Located { value: path.to_owned(), place }),
    }
}

fn upgrade(f: &Fields<'_>) -> Vec<String> {
    let Some(slot) = f.get("upgrade") else { return vec!["websocket".to_owned()] };
    if slot.node.is_none_word() {
        return Vec::new();
    }
    let mut protocols = Vec::new();
    for item in slot.items().unwrap_or_default() {
        let Some(text) = item.text() else { continue };
        let token = |c: char| c.is_ascii_alphanumeric() || "-._+/".contains(c);
        if text.chars().all(token) {
            protocols.push(text.to_ascii_lowercase());
        } else {
            item.wrong("made of protocol names", Some("like `websocket`".to_owned()));
        }
    }
    protocols
}

fn layers(f: &Fields<'_>) -> Vec<CustomLayer> {
    let mut layers = Vec::new();
    for item in f.get("layers").and_then(|slot| slot.items()).unwrap_or_default() {
        let owner = Owner::of(LAYER.name, &f.owner);
        if let Some(layer) = f.r.fields(item.node, &LAYER, owner).and_then(|f| layer(&f)) {
            layers.push(layer);
        }
    }
    layers
}

fn layer(f: &Fields<'_>) -> Option<CustomLayer> {
    for key in ["name", "at"] {
        if f.entry(key).is_none() {
            f.missing(key);
        }
    }
    let name = f.get("name").and_then(|slot| slot.located());
    let at = f.get("at").and_then(|slot| slot.word()).map(|word| match word {
        "start" => LayerPosition::Start,
        "after_auth" => LayerPosition::AfterAuth,
        _ => LayerPosition::BeforeUpstream,
    });
    let config =
        f.get("config").map(|slot| Located { value: json(slot.node), place: slot.place() });
    let none = || Located { value: Value::Object(Map::new()), place: f.place };
    Some(CustomLayer { name: name?, at: at?, config: config.unwrap_or_else(none) })
}

fn labels(f: &Fields<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(slot) = f.get("labels") else { return labels };
    let Some(entries) = slot.node.entries() else {
        slot.wrong("a map of text", None);
        return labels;
    };
    for entry in entries {
        let item = Slot { node: &entry.value, ..slot };
        match entry.value.text() {
            Some(text) => {
                labels.insert(entry.key.clone(), text.to_owned());
            }
            None => item.wrong("a map of text", None),
        }
    }
    labels
}
