//! The one host of a request (RFC 9112 section 3.2, RFC 9113 section 8.3.1).

use std::{cell::RefCell, sync::Arc};

use http::{HeaderValue, Uri, uri::Authority};

use super::bad;
use crate::error::{Error, Reason};

/// `:authority` or the absolute form, and Host, must agree; either may be the one there is.
pub(super) fn agree(uri: &Uri, host: &mut Option<HeaderValue>) -> Result<(), Error> {
    let Some(authority) = uri.authority().map(Authority::as_str) else { return Ok(()) };
    if let Some(host) = host
        && !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes())
    {
        return Err(bad(Reason::BadHost, "Host differs from the authority of the target"));
    }
    let value = HeaderValue::from_str(authority);
    *host = Some(value.map_err(|_| bad(Reason::BadHost, "bad authority"))?);
    Ok(())
}

/// A value and the host it names.
type Known = (Box<[u8]>, Arc<str>);

/// Hosts a thread remembers; few are asked for again and again.
const PLACES: usize = 64;

thread_local! {
    static KNOWN: RefCell<[Option<Known>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
}

/// What [`host_of`] says, from memory if it was asked a moment ago.
pub(super) fn known(value: &HeaderValue) -> Result<Arc<str>, Error> {
    let bytes = value.as_bytes();
    let last = bytes.last_chunk().map_or(0, |last| u32::from_le_bytes(*last) as usize);
    let place = (last ^ last >> 8 ^ bytes.len()) % PLACES;
    KNOWN.with_borrow_mut(|known| {
        if let Some((text, host)) = &known[place]
            && **text == *bytes
        {
            return Ok(Arc::clone(host));
        }
        let host: Arc<str> = host_of(value)?.into();
        known[place] = Some((bytes.into(), Arc::clone(&host)));
        Ok(host)
    })
}

/// Host without port, lower case, without a trailing dot (RFC 3986 section 3.2.2, no user-info).
fn host_of(value: &HeaderValue) -> Result<Box<str>, Error> {
    let malformed = || bad(Reason::BadHost, "malformed Host");
    let bytes = value.as_bytes();
    let end = match bytes {
        [b'[', ..] => address_end(bytes).ok_or_else(malformed)?,
        _ => bytes.iter().position(|&byte| !HOST[usize::from(byte)]).unwrap_or(bytes.len()),
    };
    let (host, port) = bytes.split_at(end);
    let host = host.strip_suffix(b".").unwrap_or(host);
    // One dot ends the name of the root; a second would be a name that is never asked for.
    if host.is_empty() || host.ends_with(b".") || host.len() > 253 || !is_port(port) {
        return Err(malformed());
    }
    // What `HOST` and an IPv6 address allow is ASCII.
    let mut host: Box<str> = std::str::from_utf8(host).map_err(|_| malformed())?.into();
    host.make_ascii_lowercase();
    Ok(host)
}

/// Where an address in brackets ends.
fn address_end(bytes: &[u8]) -> Option<usize> {
    let end = memchr::memchr(b']', bytes)?;
    let address = std::str::from_utf8(&bytes[1..end]).ok()?;
    address.parse::<std::net::Ipv6Addr>().ok().map(|_| end + 1)
}

/// Nothing, or a colon and a port number.
fn is_port(bytes: &[u8]) -> bool {
    let [b':', digits @ ..] = bytes else { return bytes.is_empty() };
    let number = digits.iter().try_fold(0_u32, |sum, &digit| {
        (digit.is_ascii_digit() && sum <= 65_535).then(|| sum * 10 + u32::from(digit - b'0'))
    });
    !digits.is_empty() && number.is_some_and(|number| number <= 65_535)
}

/// The characters of a name or an IPv4 address.
static HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};
