//! `signature`: whose signatures are believed, and what they must cover.

use std::time::Duration;

use http::HeaderName;

use super::{
    super::{
        super::{
            diagnostic::Diagnostic,
            fields::SIGNATURE_KEY,
            model::{KeyMaterial, Name, Secret, Signature, SignatureKey, SignatureKeys},
            tree::{Kind, Node},
        },
        reader::{Fields, Owner},
        slot::Slot,
    },
    Source, one_of,
};
use crate::auth::signature::{Algorithm, COMPONENTS, Keys, Rules, Written};

/// Parts of a request that have no name of a field.
const DERIVED: [&str; 7] =
    ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"];

pub(super) fn signature(f: &Fields<'_>) -> Option<Signature> {
    let keys = match one_of(f, "keys", "keys_file")? {
        Source::Here(slot) => SignatureKeys::Inline(inline_keys(&slot)?),
        Source::File(path) => SignatureKeys::File(path),
    };
    let components = match f.get("components") {
        None => COMPONENTS.map(str::to_owned).to_vec(),
        Some(slot) => components(&slot)?,
    };
    let time = |key, default: u64| match f.get(key) {
        None => Some(Duration::from_secs(default)),
        Some(slot) => slot.duration(),
    };
    let text = |key| match f.get(key) {
        None => Some(None),
        Some(slot) => slot.text().map(|text| Some(text.to_owned())),
    };
    let rules = Rules {
        components,
        max_age: time("max_age", 300)?,
        skew: time("skew", 30)?,
        nonce: match f.get("nonce") {
            None => false,
            Some(slot) => slot.word()? == "once",
        },
        tag: text("tag")?,
        label: text("label")?,
        pass_signature: match f.get("pass_signature") {
            None => false,
            Some(slot) => slot.bool()?,
        },
    };
    Some(Signature { keys, rules })
}

fn components(slot: &Slot<'_>) -> Option<Vec<String>> {
    let mut components = Vec::new();
    for item in slot.one_or_many()? {
        let name = item.text()?;
        let field = || HeaderName::from_lowercase(name.as_bytes()).is_ok();
        if !(DERIVED.contains(&name) || field()) {
            let help = "names of fields in lower case, `@method`, `@authority`, `@path`, `@query`, `@scheme`, `@target-uri` or `@request-target`";
            item.wrong("made of parts of a request", Some(help.to_owned()));
            return None;
        }
        components.push(name.to_owned());
    }
    Some(components)
}

/// `keys`: a map from consumer to a key, or to a list of them.
fn inline_keys(slot: &Slot<'_>) -> Option<Vec<SignatureKey>> {
    let Kind::Map(entries) = &slot.node.kind else {
        slot.wrong("a map of consumer and key", None);
        return None;
    };
    let mut keys = Vec::new();
    for entry in entries {
        let nodes = match &entry.value.kind {
            Kind::Seq(items) => items.as_slice(),
            Kind::Map(_) | Kind::Scalar(_) | Kind::Null => std::slice::from_ref(&entry.value),
        };
        for node in nodes {
            keys.push(key(slot, entry.key.as_str().into(), node)?);
        }
    }
    if keys.is_empty() {
        slot.error(format!("{} has no key", slot.subject()), None);
        return None;
    }
    // What can be judged without files.
    let mut known = Keys::none();
    for key in &keys {
        let KeyMaterial::Secret(secret) = &key.material else { continue };
        if let Err(why) = known.add(&key.consumer, &key.id, Written::Secret(&secret.0)) {
            let message = format!("the key of consumer `{}`: {why}", key.consumer);
            slot.r.report(Diagnostic::error(key.place, message));
            return None;
        }
    }
    Some(keys)
}

fn key(slot: &Slot<'_>, consumer: Name, node: &Node) -> Option<SignatureKey> {
    let owner = Owner::of("`keys`", slot.owner);
    let owner = Owner::of(SIGNATURE_KEY.name, &owner);
    let f = slot.r.fields(node, &SIGNATURE_KEY, owner)?;
    let Some(id) = f.get("id") else {
        f.missing("id");
        return None;
    };
    let id = id.text()?.to_owned();
    let algorithm = match f.get("algorithm") {
        None => None,
        Some(slot) => Algorithm::parse(slot.word()?),
    };
    let material = match (f.get("secret"), f.get("public_key")) {
        (Some(secret), None) => {
            if algorithm.is_some_and(|it| it != Algorithm::HmacSha256) {
                secret.error(format!("{} is for `hmac-sha256`", secret.subject()), None);
                return None;
            }
            KeyMaterial::Secret(Secret(secret.text()?.to_owned()))
        }
        (None, Some(file)) => KeyMaterial::Public(file.path()?),
        _ => {
            let message = format!("{} has either `secret` or `public_key`", f.owner);
            slot.r.report(Diagnostic::error(f.place, message));
            return None;
        }
    };
    Some(SignatureKey { consumer, id, material, algorithm, place: f.place })
}
