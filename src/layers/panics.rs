//! A panic is a fault in one request, of a layer of the operator's own or ours: it ends that request
//! with `internal` and touches nothing else.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    panic::{AssertUnwindSafe, catch_unwind},
};

use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_TYPE},
};

use super::Response;
use crate::{
    body::Body,
    error::{Error, Reason},
};

/// Runs something that may panic. What it was working on must not be used again.
///
/// # Errors
/// What the panic said, as the error of the request.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| report(&*panic))
}

#[cold]
fn report(panic: &(dyn Any + Send)) -> Error {
    Error::new(Reason::Internal, format!("panic: {}", text(panic)))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message")
}

/// From now on panics are diagnostics like all others: one line, in the form that was asked for.
pub(crate) fn log_them() {
    std::panic::set_hook(Box::new(|info| {
        let panic = text(info.payload());
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(panic, location, %backtrace, "panic");
        } else {
            tracing::error!(panic, location, "panic");
        }
    }));
}

/// The answer when the layers that make answers are what failed.
#[cold]
pub(crate) fn bare_answer(http1: bool) -> Response {
    let body = "{\"type\":\"urn:tidegate:reason:internal\",\"title\":\"Internal error\",\
                \"status\":500,\"reason\":\"internal\"}\n";
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let problem = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, problem);
    if http1 {
        // Nobody knows how much of the request was read.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_says_what_it_said() {
        let fixed = catch(|| panic!("fixed")).map(|(): ()| ()).expect_err("it panics");
        assert_eq!((fixed.reason(), fixed.detail()), (Reason::Internal, "panic: fixed"));
        assert_eq!(fixed.public_detail(), None, "clients are told nothing of it");
        let made = catch(|| panic!("made of {}", 2)).map(|(): ()| ()).expect_err("it panics");
        assert_eq!(made.detail(), "panic: made of 2");
        assert_eq!(catch(|| 7).ok(), Some(7));
    }

    #[test]
    fn the_bare_answer_has_the_reason() {
        let answer = bare_answer(true);
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["connection"]),
            (500, &"close".parse().expect("a value"))
        );
        assert!(!bare_answer(false).headers().contains_key("connection"));
    }
}
