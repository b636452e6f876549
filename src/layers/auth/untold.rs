//! A request body whose trailers say nothing of who it is from. Fields of a trailer section may be merged
//! into the head by whoever reads it (RFC 9110 section 6.5.1), so there, too, only the gateway says so.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Frame, SizeHint};

use crate::{
    body::{Body, BoxError},
    layers::Request,
};

/// A body without these trailer fields.
struct Untold {
    body: Body,
    names: Arc<[HeaderName]>,
}

/// The same request, whose trailers have none of these names.
pub(super) fn untold(request: Request, names: &Arc<[HeaderName]>) -> Request {
    if names.is_empty() || request.body().is_empty() {
        return request;
    }
    request.map(|body| Body::wrap(Untold { body, names: Arc::clone(names) }))
}

/// Takes these names out, and what an application may take for them.
pub(super) fn remove(fields: &mut HeaderMap, names: &[HeaderName]) {
    if names.is_empty() {
        return;
    }
    // Many applications cannot tell `_` from `-`.
    let same = |a: &str, b: &str| {
        let dash = |byte: u8| if byte == b'_' { b'-' } else { byte };
        a.len() == b.len() && a.bytes().map(dash).eq(b.bytes().map(dash))
    };
    let told = |name: &&HeaderName| names.iter().any(|it| same(it.as_str(), name.as_str()));
    for name in fields.keys().filter(told).cloned().collect::<Vec<_>>() {
        fields.remove(name);
    }
}

impl http_body::Body for Untold {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_trailers() {
                Ok(mut trailers) => {
                    remove(&mut trailers, &this.names);
                    Frame::trailers(trailers)
                }
                Err(frame) => frame,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
