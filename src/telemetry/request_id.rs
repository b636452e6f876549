//! Request ids: UUIDv7 (RFC 9562), or the id a trusted peer sent. Made by the gateway for every
//! request, so it must cost next to nothing: no system call, one small allocation.

use std::cell::RefCell;

use http::{HeaderMap, HeaderValue};
use rand::{Rng as _, rngs::StdRng};

use crate::config::model::{RequestIdFrom, Server};

/// Longest id believed when a peer sends one.
const MAX_ACCEPTED: usize = 128;

/// Two hexadecimal digits for every byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = [digits[i >> 4], digits[i & 15]];
        i += 1;
    }
    table
};

thread_local! {
    /// Seeded from the system once per thread; ids must not be guessable from each other.
    static RNG: RefCell<StdRng> = RefCell::new(rand::make_rng());
}

/// The id of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Text);

/// A header value is only made of our own when somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Own([u8; 36]),
    Given(HeaderValue),
}

// === impl RequestId ===

impl RequestId {
    /// The id a request came with, if its sender is believed, or a new one.
    pub(crate) fn of(headers: &HeaderMap, server: &Server, trusted: bool, now_ms: u64) -> Self {
        let accept = match server.request_id_from {
            RequestIdFrom::Any => true,
            RequestIdFrom::Trusted => trusted,
            RequestIdFrom::None => false,
        };
        let sent = if accept { headers.get(&server.request_id_header) } else { None };
        sent.and_then(Self::accept).unwrap_or_else(|| Self::generate(now_ms))
    }

    /// A new UUIDv7 for a request that arrived `now_ms` milliseconds after 1970.
    pub fn generate(now_ms: u64) -> Self {
        let (a, b) = RNG.with_borrow_mut(|rng| (rng.next_u64(), rng.next_u64()));
        Self::from_parts(now_ms, a, b)
    }

    /// The id a peer sent, if it is fit for logs, headers and structured fields.
    pub fn accept(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let fit = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b',' | b';');
        let good = (1..=MAX_ACCEPTED).contains(&bytes.len()) && bytes.iter().all(fit);
        good.then(|| Self(Text::Given(value.clone())))
    }

    /// The id as a header value. No two requests have the same: HTTP/2 must not keep it in its tables,
    /// where it would push out what comes again.
    pub fn to_header(&self) -> HeaderValue {
        let mut value = match &self.0 {
            Text::Own(text) => {
                HeaderValue::from_bytes(text).expect("hexadecimal digits and dashes are visible")
            }
            Text::Given(value) => value.clone(),
        };
        value.set_sensitive(true);
        value
    }

    /// The id as bytes, all of them visible ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Own(text) => text,
            Text::Given(value) => value.as_bytes(),
        }
    }

    /// Whether it was made here.
    pub(crate) const fn is_own(&self) -> bool {
        matches!(self.0, Text::Own(_))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// 48 bits of time, version 7, 12 bits of `a`, variant 2, 62 bits of `b`.
    fn from_parts(now_ms: u64, a: u64, b: u64) -> Self {
        let high = (now_ms << 16) | 0x7000 | (a & 0x0fff);
        let low = (b & (u64::MAX >> 2)) | (1 << 63);
        let (high, low) = (high.to_be_bytes(), low.to_be_bytes());
        let mut text = [b'-'; 36];
        let mut put = |at: usize, bytes: &[u8]| {
            for (pair, byte) in text[at..].chunks_exact_mut(2).zip(bytes) {
                pair.copy_from_slice(&HEX[usize::from(*byte)]);
            }
        };
        put(0, &high[..4]);
        put(9, &high[4..6]);
        put(14, &high[6..]);
        put(19, &low[..2]);
        put(24, &low[2..]);
        Self(Text::Own(text))
    }
}

/// Thirty-two random bits of this thread, for sampling.
pub(crate) fn random_u32() -> u32 {
    RNG.with_borrow_mut(rand::Rng::next_u32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn is_a_uuid_version_7_with_the_time_in_front() {
        // The example of RFC 9562, appendix A.6.
        let id = RequestId::from_parts(0x017F_22E2_79B0, 0xCC3, 0x18C4_DC0C_0C07_398F);
        assert_eq!(id.as_str(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }

    #[test]
    fn no_bits_of_randomness_leak_into_version_and_variant() {
        let id = RequestId::from_parts(0, u64::MAX, u64::MAX);
        assert_eq!(id.as_str(), "00000000-0000-7fff-bfff-ffffffffffff");
        let id = RequestId::from_parts(0, 0, 0);
        assert_eq!(id.as_str(), "00000000-0000-7000-8000-000000000000");
    }

    #[test]
    fn ids_of_one_millisecond_differ_and_later_ones_sort_behind() {
        let ids: HashSet<_> =
            (0..1000).map(|_| RequestId::generate(7).as_str().to_owned()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(RequestId::generate(7).as_str() < RequestId::generate(8).as_str());
    }

    #[test]
    fn accepts_only_ids_that_cannot_hurt() {
        let accept = |text: &[u8]| RequestId::accept(&HeaderValue::from_bytes(text).unwrap());
        assert_eq!(accept(b"01JD3-abc_9").unwrap().as_str(), "01JD3-abc_9");
        assert!(accept(&[b'a'; 128]).is_some());
        assert!(accept(&[b'a'; 129]).is_none());
        for bad in [&b""[..], b"a b", b"a\tb", b"a\"b", b"a,b", b"a;b", b"a'b", b"a\xffb"] {
            assert!(accept(bad).is_none(), "{bad:?}");
        }
    }
}
