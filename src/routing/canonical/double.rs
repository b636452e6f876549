//! Paths that are encoded twice. Some servers decode a path twice (a proxy and then a framework, or
//! an old rewrite rule): what they would read must not differ from what was matched here.

use super::{Normalize, PathError, escape_value, is_dots, is_overlong, is_unreserved, stem};

/// Refuses a canonical path with an escape that a second decoding makes something of that matters
/// to matching. Others (`%2520`, `%253A`) are data.
pub(super) fn check(path: &str, rules: Normalize) -> Result<(), PathError> {
    if !path.contains("%25") {
        return Ok(());
    }
    let once = decode(path.as_bytes(), |_| true).ok_or(PathError::DoubleEncoding)?;
    let keeps = |value| value == b'/' && rules.keep_encoded_slash;
    let twice = decode(&once, |value| keeps(value) || !matters(value));
    let twice = twice.ok_or(PathError::DoubleEncoding)?;
    let mut bytes = twice.iter().enumerate();
    let overlong = bytes.any(|(at, &byte)| is_overlong(byte, twice.get(at + 1).copied()));
    let climbs = || twice.split(|&byte| byte == b'/').any(is_hidden_dots);
    if overlong || (rules.keep_encoded_slash && climbs()) {
        return Err(PathError::DoubleEncoding);
    }
    Ok(())
}

/// Decodes every escape, as long as `fits` likes what it stands for. What is no escape stays.
fn decode(bytes: &[u8], fits: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let value = escape_value(bytes, at);
        if value.is_some_and(|value| !fits(value)) || is_wide(&bytes[at..]) {
            return None;
        }
        out.push(value.unwrap_or(bytes[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    Some(out)
}

/// `%u002e`, which one family of servers decodes as well.
fn is_wide(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', b'u' | b'U', digits @ ..]
        if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit))
}

const fn matters(value: u8) -> bool {
    is_unreserved(value) || matches!(value, b'/' | b'\\' | b';' | b'%' | 0..=0x1F | 0x7F)
}

fn is_hidden_dots(part: &[u8]) -> bool {
    std::str::from_utf8(part).is_ok_and(|part| is_dots(stem(part)))
}
