//! The check by `GET`: the status says it all. Redirects are not followed, and of the body no more is
//! read than it takes to part in peace.

use http::{HeaderValue, Request, StatusCode, header};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, timeout, timeout_at},
};

use super::{
    h2::{self, Read},
    probe::{AGENT, Bad, FAREWELL, Question},
};
use crate::upstream::http1::{self, Io};

/// Most of a body that is read, in bytes. A peer that is cut off in the middle writes errors to its log.
const BODY: usize = 64 * 1024;

/// `GET` over HTTP/1.1.
pub(super) async fn over_h1(
    question: &Question<'_>,
    path: &str,
    mut io: Io,
    due: Instant,
) -> Result<(), Bad> {
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: ").into_bytes();
    text.extend_from_slice(question.host().as_bytes());
    text.extend_from_slice(b"\r\nUser-Agent: ");
    text.extend_from_slice(AGENT.as_bytes());
    text.extend_from_slice(b"\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    let head = match timeout_at(due, http1::ask(&mut io, &text)).await {
        Ok(head) => head.map_err(|cause| Bad::new(cause.to_string()))?,
        Err(_) => return Err(Bad::silent()),
    };
    let _ = timeout(FAREWELL, drain(&mut io)).await;
    question.judge(head.status())
}

/// `GET` over HTTP/2.
pub(super) async fn over_h2(
    question: &Question<'_>,
    path: &str,
    io: Io,
    due: Instant,
) -> Result<(), Bad> {
    let mut request = question.h2_request(path)?;
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    let answer = h2::ask(io, (request, None), Read::Head, due).await?;
    question.judge(answer.status)
}

/// Reads until the peer closes, which it was asked to do.
async fn drain(io: &mut Io) {
    let mut buffer = [0; 4096];
    let mut left = BODY;
    while let Ok(count @ 1..) = io.read(&mut buffer).await {
        left = left.saturating_sub(count);
        if left == 0 {
            return;
        }
    }
}

impl Question<'_> {
    /// The `Host` that is sent.
    fn host(&self) -> &HeaderValue {
        self.settings.host.as_ref().unwrap_or(&self.endpoint.authority)
    }

    /// A request with the fields all of ours have.
    pub(super) fn h2_request(&self, path: &str) -> Result<Request<()>, Bad> {
        let scheme = if self.endpoint.tls.is_some() { "https" } else { "http" };
        let uri = http::Uri::builder()
            .scheme(scheme)
            .authority(self.host().as_bytes())
            .path_and_query(path)
            .build();
        let uri = uri.map_err(|error| Bad::new(format!("the check cannot be sent: {error}")))?;
        let mut request = Request::new(());
        *request.uri_mut() = uri;
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        Ok(request)
    }

    fn judge(&self, status: StatusCode) -> Result<(), Bad> {
        if self.settings.expect.contains(status) {
            return Ok(());
        }
        Err(Bad::new(format!("status {}", status.as_str())))
    }
}
