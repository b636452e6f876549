//! The head of an upstream's answer, judged as strictly as a request's: refused when two readers
//! could disagree on where the answer ends, then freed of what belongs to the hop it came over.
//! Stands between the connection and everything that handles an answer.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, PROXY_AUTHENTICATE, TRANSFER_ENCODING, UPGRADE},
};

use crate::{
    error::{Error, Reason},
    server::{forwarding, gate},
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Most fields of an answer. hyper has the same limit for HTTP/1; HTTP/2 counts bytes only.
const MOST_FIELDS: usize = 100;

/// What one look at the fields has found.
#[derive(Default)]
struct Found {
    connection: bool,
    /// `Connection` says more than that it stays or goes.
    names: bool,
    hop: bool,
    /// `Content-Type` says that the answer is meant to be quiet now and then.
    stream: bool,
    own: bool,
    chunked: bool,
    /// There is a `Content-Length`, and whether it says 0.
    length: Option<bool>,
}

/// Refuses an answer whose status or framing cannot be trusted, and takes out what belongs to the
/// upstream's hop and what `ours` names. Returns whether it is a stream of events. Whoever is refused
/// must not be asked again on the same connection.
pub(crate) fn accept<B>(
    response: &mut http::Response<B>,
    ours: Option<&HeaderName>,
) -> Result<bool, Error> {
    let (status, version) = (response.status(), response.version());
    let headers = response.headers_mut();
    if status.as_u16() > 599 {
        return Err(bad("a status above 599"));
    }
    if headers.len() > MOST_FIELDS {
        return Err(Error::new(Reason::ResponseTooLarge, "an answer with too many fields"));
    }
    let found = look(headers, ours)?;
    if found.chunked {
        if found.length.is_some() {
            return Err(bad("an answer with Content-Length and Transfer-Encoding"));
        }
        if version == Version::HTTP_10 {
            return Err(bad("Transfer-Encoding in an HTTP/1.0 answer"));
        }
    }
    if status == StatusCode::NO_CONTENT || status.is_informational() {
        // No body whatever they say (RFC 9112 section 6.3). Many servers say that it has 0 bytes;
        // anything else is one more framing.
        if found.chunked || found.length == Some(false) {
            return Err(bad("a body announced where there is none"));
        }
        if found.length.is_some() {
            headers.remove(CONTENT_LENGTH);
        }
    }
    if found.names {
        forwarding::remove_connection(headers);
    } else if found.connection {
        headers.remove(CONNECTION);
    }
    if found.hop {
        for name in [KEEP_ALIVE, TRANSFER_ENCODING, UPGRADE, PROXY_CONNECTION] {
            headers.remove(name);
        }
        headers.remove(PROXY_AUTHENTICATE);
        headers.remove(PROXY_AUTHENTICATION_INFO);
    }
    if found.own
        && let Some(ours) = ours
    {
        headers.remove(ours);
    }
    Ok(found.stream)
}

/// One look at every field is cheaper than asking for each of these, which are seldom there.
fn look(headers: &HeaderMap, ours: Option<&HeaderName>) -> Result<Found, Error> {
    let mut found = Found::default();
    for (name, value) in headers {
        let name = name.as_str();
        // By length first: one comparison is left for nearly every name.
        match (name.len(), name) {
            (14, "content-length") => {
                let zero = value.as_bytes() == b"0";
                if found.length.replace(zero).is_some() {
                    return Err(bad("an answer with two Content-Length"));
                }
                if !is_length(value) {
                    return Err(bad("a Content-Length that is no length"));
                }
            }
            (17, "transfer-encoding") => {
                found.hop = true;
                let once = !std::mem::replace(&mut found.chunked, true);
                if !once || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(bad("a Transfer-Encoding other than `chunked`, once"));
                }
            }
            (10, "connection") => {
                found.connection = true;
                found.names |= !forwarding::names_nothing(value);
            }
            (12, "content-type") => {
                found.stream |= value.as_bytes().starts_with(b"text/event-stream");
            }
            (10, "keep-alive")
            | (7, "upgrade")
            | (16, "proxy-connection")
            | (18, "proxy-authenticate")
            | (25, "proxy-authentication-info") => found.hop = true,
            (_, other) => found.own |= ours.is_some_and(|ours| other == ours.as_str()),
        }
    }
    Ok(found)
}

/// Digits, and few enough to be a number everywhere. hyper does not look at the lengths of answers
/// without a body, and takes a list of equal ones.
fn is_length(value: &HeaderValue) -> bool {
    matches!(value.len(), 1..=19) && value.as_bytes().iter().all(u8::is_ascii_digit)
}

fn bad(detail: &str) -> Error {
    Error::new(Reason::BadResponse, detail)
}

/// Fields that mean something else in a head than after a body.
const NEVER_TRAILERS: [&str; 9] = [
    "content-length",
    "transfer-encoding",
    "host",
    "authorization",
    "connection",
    "te",
    "trailer",
    "forwarded",
    "x-real-ip",
];

/// Trailer fields that would mean something else in a head are not passed on (RFC 9110 section
/// 6.5.1).
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_from(trailers, is_never_trailer);
}

/// The same of a request, whose trailers say nothing of who asks either, whatever the field.
pub(crate) fn clean_request_trailers(trailers: &mut HeaderMap) {
    remove_from(trailers, |name| is_never_trailer(name) || gate::is_claim(name));
}

fn is_never_trailer(name: &str) -> bool {
    NEVER_TRAILERS.contains(&name) || name.starts_with("x-forwarded-")
}

/// Takes them out in either spelling: many applications cannot tell `_` from `-`.
fn remove_from(trailers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let alias = |name: &str| name.contains('_') && unwanted(&name.replace('_', "-"));
    let found = trailers.keys().filter(|name| unwanted(name.as_str()) || alias(name.as_str()));
    for name in found.cloned().collect::<Vec<_>>() {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Given<'f> = &'f [(&'f str, &'f str)];

    fn judge(
        status: u16,
        version: Version,
        fields: &[(&str, &str)],
    ) -> Result<Vec<String>, Reason> {
        let mut response = http::Response::builder().status(status).version(version);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let mut response = response.body(()).expect("a response");
        accept(&mut response, Some(&HeaderName::from_static("x-request-id")))
            .map(|_| response.headers().keys().map(ToString::to_string).collect())
            .map_err(|error| error.reason())
    }

    #[test]
    fn one_framing_and_a_status_are_asked_of_an_answer() {
        let (cl, te, h11) = ("content-length", "transfer-encoding", Version::HTTP_11);
        let passes: [(u16, Given<'_>, Vec<&str>); 6] = [
            (200, &[(cl, "5")], vec![cl]),
            (200, &[(te, "Chunked")], vec![]),
            (304, &[(cl, "5")], vec![cl]),
            (204, &[(cl, "0")], vec![]),
            (599, &[], vec![]),
            (
                200,
                &[("connection", "x-internal"), ("x-internal", "1"), ("x-request-id", "2")],
                vec![],
            ),
        ];
        for (status, fields, left) in passes {
            assert_eq!(judge(status, h11, fields).expect("an answer"), left, "{fields:?}");
        }
        let refused: [(u16, Given<'_>); 15] = [
            (200, &[(cl, "5"), (te, "chunked")]),
            (200, &[(cl, "5"), (cl, "5")]),
            (200, &[(cl, "5, 5")]),
            (200, &[(cl, "")]),
            (200, &[(cl, "+5")]),
            (200, &[(cl, "-1")]),
            (200, &[(cl, "18446744073709551616")]),
            (200, &[(te, "gzip, chunked")]),
            (200, &[(te, "chunked, chunked")]),
            (200, &[(te, "chunked"), (te, "chunked")]),
            (200, &[(te, "")]),
            (204, &[(te, "chunked")]),
            (204, &[(cl, "5")]),
            (103, &[(cl, "5")]),
            (600, &[]),
        ];
        for (status, fields) in refused {
            assert_eq!(judge(status, h11, fields), Err(Reason::BadResponse), "{status} {fields:?}");
        }
        assert!(judge(200, Version::HTTP_10, &[(te, "chunked")]).is_err());
        let many: Vec<_> = (0..101).map(|_| ("x", "y")).collect();
        assert_eq!(judge(200, Version::HTTP_2, &many), Err(Reason::ResponseTooLarge));
    }
}
