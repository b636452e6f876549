//! `api_key`: the keys of consumers.

use std::sync::Arc;

use http::HeaderName;

use super::{
    super::{
        super::{
            diagnostic::Diagnostic,
            model::{ApiKey, ApiKeys, Located, Name, Secret},
            tree::Kind,
        },
        reader::Fields,
        slot::Slot,
    },
    Source, carrier, flag, one_of,
};
use crate::auth::api_key::{Form, Keys, carrier::Carrier};

pub(super) fn api_key(f: &Fields<'_>) -> Option<ApiKey> {
    let from = carrier(f, Carrier::Header(HeaderName::from_static("x-api-key")))?;
    let form = match f.get("hash").map(|slot| slot.word()) {
        None | Some(Some("plain")) => Form::Plain,
        Some(Some(_)) => Form::Sha256,
        Some(None) => return None,
    };
    let keys = match one_of(f, "keys", "keys_file")? {
        Source::Here(slot) => ApiKeys::Inline(inline_keys(&slot, form)?),
        Source::File(path) => ApiKeys::File(path),
    };
    let pass_key = flag(f, "pass_key")?;
    Some(ApiKey { from, keys, form, pass_key })
}

/// `keys`: a map from consumer to secret, or to a list of them.
fn inline_keys(slot: &Slot<'_>, form: Form) -> Option<Vec<(Name, Located<Secret>)>> {
    let Kind::Map(entries) = &slot.node.kind else {
        slot.wrong("a map of consumer and secret", None);
        return None;
    };
    let mut keys = Vec::new();
    for entry in entries {
        let values = match &entry.value.kind {
            Kind::Seq(items) => items.as_slice(),
            Kind::Map(_) | Kind::Scalar(_) | Kind::Null => std::slice::from_ref(&entry.value),
        };
        for node in values {
            let value = Slot { node, ..*slot }.text()?.to_owned();
            let name = Name::from(entry.key.as_str());
            keys.push((name, Located { value: Secret(value), place: node.place }));
        }
    }
    if keys.is_empty() {
        slot.error(format!("{} has no key", slot.subject()), None);
        return None;
    }
    let written = keys.iter().map(|(name, secret)| (Arc::clone(name), secret.value.0.as_str()));
    if let Err(wrong) = Keys::new(written, form) {
        let (name, secret) = &keys[wrong.entry];
        let message = format!("the key of consumer `{name}`: {}", wrong.why);
        slot.r.report(
            Diagnostic::error(secret.place, message).help("`tidegate hash --new-key` makes one"),
        );
        return None;
    }
    Some(keys)
}
