//! A request from the bytes of a head the scan has passed.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri,
    header::{CONNECTION, TE},
};

use crate::{
    body::Body,
    layers::Request,
    server::{
        client::REFUSED_METHOD,
        forwarding::has_token,
        scan::{Head, Refusal},
    },
};

/// What of a request decides how its answer is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// `HEAD`: the answer has no body, whatever it says.
    pub(super) head: bool,
    /// The connection ends with the answer.
    pub(super) close: bool,
    /// The client reads trailers.
    pub(super) trailers: bool,
}

/// Fields that are added on the way, as far as anybody looks at them there.
const OURS: usize = 2;

/// Reads a head. `None`: the scan passes what the types of `http` do not take, which a test denies.
pub(crate) fn read(head: &Head, bytes: &Bytes, asked: &mut Asked) -> Option<Request> {
    let method = Method::from_bytes(&bytes[head.line.method.clone()]).ok()?;
    let target = Uri::from_maybe_shared(bytes.slice(head.line.target.clone())).ok()?;
    let mut fields = HeaderMap::with_capacity(head.fields.len() + OURS);
    let (mut connection, mut te) = (false, false);
    for (name, value) in &head.fields {
        let name = HeaderName::from_bytes(&bytes[name.clone()]).ok()?;
        let value = HeaderValue::from_maybe_shared(bytes.slice(value.clone())).ok()?;
        connection |= name == CONNECTION;
        te |= name == TE;
        fields.append(name, value);
    }
    *asked = Asked {
        head: method == Method::HEAD,
        close: connection && has_token(&fields, &CONNECTION, "close"),
        trailers: te && has_token(&fields, &TE, "trailers"),
    };
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.headers_mut() = fields;
    Some(request)
}

/// The request that takes the place of one that must be refused: the gateway knows it by its method.
pub(crate) fn refused(asked: &mut Asked) -> Request {
    let mut request = Request::new(Body::empty());
    if let Ok(method) = Method::from_bytes(REFUSED_METHOD.as_bytes()) {
        *request.method_mut() = method;
    }
    *asked = Asked { head: false, close: true, trailers: false };
    request
}

/// What is said to a head `http` cannot hold.
pub(crate) const UNREADABLE: Refusal =
    Refusal { reason: crate::error::Reason::BadRequest, detail: "not a request" };
