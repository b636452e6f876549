//! Which fields go to a service, and which come back from it. Hop-by-hop fields never do: those of the
//! client were taken out before a route was looked for, those of the service by `upstream/incoming`.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, ETAG, TRAILER,
        TRANSFER_ENCODING, VIA,
    },
};

use super::{Answer, Words};
use crate::{
    auth::{Fields, Identity},
    config::model::{Name, Takes},
    server::forwarding::{
        X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP,
    },
};

/// Bytes of the name of a consumer.
const LONGEST_NAME: usize = 256;

/// What the gateway itself says of a request, as it says it to the upstream.
pub(super) const OWN: [HeaderName; 6] =
    [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, X_REAL_IP, VIA];

/// Copies all values of these fields.
pub(super) fn copy<'n>(
    from: &HeaderMap,
    to: &mut HeaderMap,
    names: impl IntoIterator<Item = &'n HeaderName>,
) {
    for name in names {
        for value in from.get_all(name) {
            to.append(name.clone(), value.clone());
        }
    }
}

/// What the operator takes of these fields.
pub(super) fn taken(from: &HeaderMap, names: &[HeaderName]) -> Fields {
    let of = |name: &HeaderName| {
        let values = from.get_all(name).iter().cloned();
        values.map(|value| (name.clone(), value)).collect::<Vec<_>>()
    };
    names.iter().flat_map(of).collect()
}

/// Who it is, as the fields of a service say. `None`: the name of the consumer is no name.
pub(super) fn identity(
    takes: &Takes,
    for_upstream: &HeaderMap,
    for_client: &HeaderMap,
) -> Option<Identity> {
    let consumer = match takes.consumer.as_ref().and_then(|name| for_upstream.get(name)) {
        None => None,
        Some(value) => Some(consumer(value)?),
    };
    Some(Identity {
        consumer,
        tells: taken(for_upstream, &takes.response_headers),
        answer: taken(for_client, &takes.answer_headers),
        ..Identity::default()
    })
}

fn consumer(value: &HeaderValue) -> Option<Name> {
    let text = value.to_str().ok()?.trim();
    (!text.is_empty() && text.len() <= LONGEST_NAME).then(|| text.into())
}

/// What the client is answered with: all of it, but for what says where a body ends.
pub(super) fn words(answer: Answer) -> Words {
    let Answer { head, rest } = answer;
    let mut headers = head.headers;
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER] {
        headers.remove(name);
    }
    let body = match rest {
        Some((body, _)) => body,
        None => {
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, ETAG] {
                headers.remove(name);
            }
            bytes::Bytes::new()
        }
    };
    Words { status: head.status, headers, body }
}
