//! The request line of HTTP/1: method, target, version. Method and target of HTTP/2 are held to the same.

use std::ops::Range;

use super::{Limits, Refusal, refuse};
use crate::error::Reason;

/// The longest target hyper can read.
const TARGET_LIMIT: usize = u16::MAX as usize - 1;

/// Where the parts of a request line are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) method: Range<usize>,
    pub(crate) target: Range<usize>,
    /// It is HTTP/1.0.
    pub(crate) old: bool,
}

/// Checks method, target and version of a line that begins at `start`.
pub(super) fn check(line: &[u8], start: usize, limits: Limits) -> Result<Line, Refusal> {
    let Some((line, version)) = line.iter().rposition(|&b| b == b' ').map(|at| line.split_at(at))
    else {
        return Err(refuse(Reason::BadRequest, "request line without a version"));
    };
    let old = match version {
        b" HTTP/1.1" => false,
        b" HTTP/1.0" => true,
        other if other.starts_with(b" HTTP/") => {
            return Err(refuse(Reason::UnsupportedVersion, "HTTP version not supported"));
        }
        _ => return Err(refuse(Reason::BadRequest, "request line without a version")),
    };
    let Some(space) = memchr::memchr(b' ', line) else {
        return Err(refuse(Reason::BadRequest, "request line without a target"));
    };
    let (method, target) = (&line[..space], &line[space + 1..]);
    if method == b"CONNECT" {
        return Err(refuse(Reason::UnsupportedMethod, "CONNECT"));
    }
    check_method(method)?;
    if target.len() > limits.uri_length.min(TARGET_LIMIT) {
        return Err(refuse(Reason::UriTooLong, "request target too long"));
    }
    check_target(method, target)?;
    let (method, end) = (start..start + space, start + line.len());
    Ok(Line { target: method.end + 1..end, method, old })
}

/// A token, of the characters methods are made of (RFC 9110 section 16.1.2).
pub(crate) fn check_method(method: &[u8]) -> Result<(), Refusal> {
    if method.is_empty() || method.len() > 32 || !method.iter().all(|&b| is_method_byte(b)) {
        return Err(refuse(Reason::BadRequest, "bad method"));
    }
    Ok(())
}

/// Whether all bytes of a target may stand where they do.
pub(crate) fn check_target_bytes(target: &[u8]) -> Result<(), Refusal> {
    let path = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at(path);
    let fits = path.iter().all(|&byte| TARGET[usize::from(byte)] == Place::Anywhere)
        && query.iter().all(|&byte| TARGET[usize::from(byte)] != Place::Nowhere);
    if fits {
        return Ok(());
    }
    Err(match memchr::memchr(b'\\', path) {
        Some(_) => refuse(Reason::BadPath, "backslash in the path"),
        None => refuse(Reason::BadRequest, "bad byte in the request target"),
    })
}

/// Origin form, absolute form, or `*` for OPTIONS (RFC 9112 section 3.2).
fn check_target(method: &[u8], target: &[u8]) -> Result<(), Refusal> {
    check_target_bytes(target)?;
    let absolute = |scheme: &[u8]| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    match target {
        [b'/', ..] => Ok(()),
        b"*" if method == b"OPTIONS" => Ok(()),
        // hyper would answer what it cannot read without a reason.
        _ if absolute(b"http://") || absolute(b"https://") => match http::Uri::try_from(target) {
            Ok(_) => Ok(()),
            Err(_) => Err(refuse(Reason::BadHost, "malformed authority in the request target")),
        },
        _ => Err(refuse(Reason::BadRequest, "not a request target")),
    }
}

fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

/// Where in a target a byte may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Query,
    Anywhere,
}

/// Visible ASCII, except what ends a target or quotes it elsewhere. Browsers send some characters as
/// they are that RFC 3986 has no place for; those do no harm, and in paths they leave escaped.
static TARGET: [Place; 256] = {
    let mut table = [Place::Nowhere; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = match byte {
            b'#' | b'"' | b'<' | b'>' => Place::Nowhere,
            b'\\' | b'`' => Place::Query,
            _ => Place::Anywhere,
        };
        byte += 1;
    }
    table
};
