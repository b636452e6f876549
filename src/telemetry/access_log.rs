//! The access log: one line for every request when its response has ended. What is written and
//! where is decided by the configuration; how a line looks is in `line`, how it gets to the file
//! in `writer`.

mod date;
mod escape;
mod line;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};

pub use self::line::{Fields, Record};
use self::writer::Sink;
use super::request_id;
use crate::config::model::{self, AccessFormat, QueryLog};

/// What stands in the place of a secret.
const REDACTED: HeaderValue = HeaderValue::from_static("[redacted]");

/// An access log as configured. Two of them that write to the same target share its writer.
#[derive(Debug)]
pub struct AccessLog {
    settings: model::AccessLog,
    /// Request headers to keep for the line.
    request_headers: Vec<HeaderName>,
    /// A response that may be left out is kept if a random number is below this.
    sample: u64,
    sink: Arc<Sink>,
}

// === impl AccessLog ===

impl AccessLog {
    /// Opens the target, or goes on with the writer of `previous` if that has the same target.
    /// `dropped` counts lines that are lost.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or the writer's thread cannot be started.
    pub fn open(
        settings: &model::AccessLog,
        previous: Option<&Self>,
        dropped: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let sink = match previous {
            Some(previous) if *previous.sink.target() == settings.to => Arc::clone(&previous.sink),
            _ => Arc::new(Sink::open(&settings.to, dropped)?),
        };
        let mut request_headers = settings.request_headers.clone();
        if settings.format == AccessFormat::Combined && !request_headers.contains(&header::REFERER)
        {
            request_headers.push(header::REFERER);
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 2^32
        let sample = (settings.sample.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
        Ok(Self { settings: settings.clone(), request_headers, sample, sink })
    }

    /// Whether a line may want request header fields that the gateway writes.
    pub(crate) fn looks_at_requests(&self) -> bool {
        self.request_headers.iter().any(|name| *name != header::REFERER)
    }

    /// The same of response header fields.
    pub(crate) fn looks_at_answers(&self) -> bool {
        !self.settings.response_headers.is_empty()
    }

    /// The request header fields a line will want.
    pub fn of_request(&self, headers: &HeaderMap) -> Fields {
        self.pick(&self.request_headers, headers)
    }

    /// The response header fields a line will want.
    pub fn of_response(&self, headers: &HeaderMap) -> Fields {
        self.pick(&self.settings.response_headers, headers)
    }

    /// Writes a line, if the configuration wants one for this request.
    pub fn write(&self, record: &Record<'_>) {
        if !self.wants(record) {
            return;
        }
        let query = self.settings.query;
        self.sink.line(|out| match self.settings.format {
            AccessFormat::Json => line::json(out, record, query),
            AccessFormat::Clf => line::clf(out, record, query, false),
            AccessFormat::Combined => line::clf(out, record, query, true),
        });
    }

    /// Opens the file again under its name, after somebody moved it. Blocks: not for a worker.
    ///
    /// # Errors
    ///
    /// If it cannot be opened; then the old file is written on.
    pub fn reopen(&self) -> io::Result<()> {
        self.sink.reopen()
    }

    /// Waits until all lines of before are written, at most `timeout`; whether they are. Blocks:
    /// not for a worker.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.sink.flush(timeout)
    }

    /// `only` keeps what meets one of its conditions; of those, `sample` keeps a share of the
    /// successes. A success that failed on the way is none.
    fn wants(&self, record: &Record<'_>) -> bool {
        let settings = &self.settings;
        let status = record.status;
        let limited = !settings.only_status.is_empty() || settings.only_slower_than.is_some();
        let by_status =
            || settings.only_status.iter().any(|(from, to)| (*from..=*to).contains(&status));
        let by_time = || settings.only_slower_than.is_some_and(|limit| record.total > limit);
        if limited && !by_status() && !by_time() {
            return false;
        }
        let success = (200..400).contains(&status) && record.outcome.reason.is_none();
        !success || self.sample > u64::from(u32::MAX) || {
            u64::from(request_id::random_u32()) < self.sample
        }
    }

    fn pick(&self, names: &[HeaderName], headers: &HeaderMap) -> Fields {
        let mut out = Fields::new();
        for name in names {
            let values = headers.get_all(name).iter();
            out.extend(values.map(|value| (name.clone(), self.shown(name, value))));
        }
        out
    }

    /// A header value as it may be written.
    fn shown(&self, name: &HeaderName, value: &HeaderValue) -> HeaderValue {
        if is_secret(name) || value.is_sensitive() {
            return REDACTED;
        }
        let query = value.as_bytes().iter().position(|b| *b == b'?');
        match query {
            // A Referer holds a query too.
            Some(at) if *name == header::REFERER && self.settings.query != QueryLog::Keep => {
                HeaderValue::from_bytes(&value.as_bytes()[..at])
                    .expect("part of a valid value is valid")
            }
            _ => value.clone(),
        }
    }
}

/// Headers whose values are never written.
fn is_secret(name: &HeaderName) -> bool {
    [
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
        header::SET_COOKIE,
        HeaderName::from_static("x-api-key"),
    ]
    .contains(name)
}
