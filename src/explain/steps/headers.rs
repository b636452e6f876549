//! `headers`: what is changed of the request and of the answer. Values that came from variables are not
//! shown.

use http::{HeaderName, HeaderValue};

use super::{super::words::few, Step, Walk};
use crate::{
    config::model::HeaderEdits,
    layers::headers::{apply, is_empty},
};

/// Of the request.
pub(super) fn request(walk: &mut Walk<'_>) -> Vec<Step> {
    let edits = &walk.route.headers.request;
    apply(edits, walk.request.headers_mut());
    edited(walk, edits, "headers.request")
}

/// Of the answer, errors of the gateway included.
pub(super) fn response(walk: &mut Walk<'_>) -> Vec<Step> {
    edited(walk, &walk.route.headers.response, "headers.response")
}

fn edited(walk: &Walk<'_>, edits: &HeaderEdits, kind: &str) -> Vec<Step> {
    if is_empty(edits) {
        return Vec::new();
    }
    let mut parts = Vec::new();
    if !edits.remove.is_empty() {
        parts.push(format!("remove {}", few(&edits.remove)));
    }
    for (verb, fields) in [("set", &edits.set), ("add", &edits.add)] {
        let fields: Vec<String> = fields.iter().map(shown).collect();
        if !fields.is_empty() {
            parts.push(format!("{verb} {}", few(&fields)));
        }
    }
    vec![Step::of(kind, parts.join(" · "), walk.written(kind))]
}

fn shown((name, value): &(HeaderName, HeaderValue)) -> String {
    let value = match value.to_str() {
        Ok(text) if !value.is_sensitive() => text,
        _ => "«redacted»",
    };
    format!("{name}: {value}")
}
