//! One question to a service, and its whole answer within its time.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Uri, Version, uri::PathAndQuery};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;

use super::Silent;
use crate::{
    body::Body,
    error::{Error, Reason},
    layers::Request,
    telemetry::exchange::Exchange,
    upstream::forward::Forward,
};

/// A service that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) forward: Forward,
    pub(crate) path: PathAndQuery,
    /// From the question to the last byte of the answer.
    pub(crate) timeout: Duration,
}

/// What a service answered.
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    /// Its body and trailers; nothing, if they were too large, too late or cut off.
    pub(crate) rest: Option<(Bytes, HeaderMap)>,
}

// === impl Service ===

impl Service {
    /// A question without fields. The upstream adds its own Host, as there is none.
    pub(crate) fn question(&self, body: Bytes) -> Request {
        let mut request = Request::new(Body::full(body));
        *request.uri_mut() = Uri::from(self.path.clone());
        *request.version_mut() = Version::HTTP_2;
        request
    }

    /// Asks. Of the body, so many bytes are read. The head is what counts: without it there is no
    /// answer, and what follows it may be missing.
    pub(crate) async fn ask(
        self,
        mut question: Request,
        of: Arc<Exchange>,
        most: usize,
    ) -> Result<Answer, Silent> {
        let deadline = Instant::now() + self.timeout;
        question.extensions_mut().insert(of);
        let answer = match timeout_at(deadline, self.forward.oneshot(question)).await {
            Ok(answer) => answer.map_err(|error| silent(&error))?,
            Err(_) => return Err(Silent::new("service_timeout", "no answer in time")),
        };
        let (head, body) = answer.into_parts();
        let rest = timeout_at(deadline, read(body, most)).await.ok().flatten();
        Ok(Answer { head, rest })
    }
}

/// A whole body with its trailers, if it is not too large.
async fn read(mut body: Body, most: usize) -> Option<(Bytes, HeaderMap)> {
    let (mut bytes, mut trailers) = (BytesMut::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.ok()?.into_data() {
            Ok(data) if bytes.len() + data.len() > most => return None,
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Some((bytes.freeze(), trailers))
}

fn silent(error: &Error) -> Silent {
    let word = match error.reason() {
        Reason::UpstreamTimeout
        | Reason::ConnectTimeout
        | Reason::DnsTimeout
        | Reason::RequestTimeout => "service_timeout",
        Reason::BadResponse | Reason::ResponseTooLarge | Reason::UpstreamReset => {
            "service_bad_answer"
        }
        _ => "service_unreachable",
    };
    Silent::new(word, error.to_string())
}
