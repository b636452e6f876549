//! Whether a 101 agrees to what was asked, and was made by somebody who has read it (RFC 9110 section
//! 7.8, RFC 6455 section 4.2.2). Asked by `upstream/tunnel` before a byte is tunnelled.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};

use crate::{
    error::{Error, Reason},
    server::forwarding,
};

/// What every WebSocket server appends to the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a request offers the upstream.
#[derive(Debug)]
pub(super) struct Offer {
    protocol: HeaderValue,
    websocket: Option<Handshake>,
}

/// The opening handshake of a WebSocket as it was sent.
#[derive(Debug)]
struct Handshake {
    key: Option<HeaderValue>,
    version: Option<HeaderValue>,
}

// === impl Offer ===

impl Offer {
    /// What a head that is ready to be sent offers.
    pub(super) fn new(protocol: HeaderValue, headers: &HeaderMap) -> Self {
        let websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
        let websocket = websocket.then(|| Handshake {
            key: single(headers, &SEC_WEBSOCKET_KEY).cloned(),
            version: single(headers, &SEC_WEBSOCKET_VERSION).cloned(),
        });
        Self { protocol, websocket }
    }

    /// The protocol as it was asked for.
    pub(super) fn protocol(&self) -> &HeaderValue {
        &self.protocol
    }

    /// Refuses the head of a 101 that is not the answer to this.
    pub(super) fn check(&self, answer: &HeaderMap) -> Result<(), Error> {
        let bad = |detail: &str| Err(Error::new(Reason::BadResponse, detail));
        let agreed = single(answer, &UPGRADE).is_some_and(|protocol| {
            protocol.as_bytes().eq_ignore_ascii_case(self.protocol.as_bytes())
        });
        if !agreed || !forwarding::has_token(answer, &CONNECTION, "upgrade") {
            return bad("the upstream switched to another protocol");
        }
        let Some(asked) = &self.websocket else { return Ok(()) };
        if asked.version.as_ref().is_none_or(|version| version != "13") {
            return bad("the upstream switched to a WebSocket version nobody knows");
        }
        let accept = asked.key.as_ref().map(|key| accept(key.as_bytes()));
        let given = single(answer, &SEC_WEBSOCKET_ACCEPT);
        if accept.is_none() || given.map(HeaderValue::as_bytes) != accept.as_deref() {
            return bad("the Sec-WebSocket-Accept is not the answer to the key");
        }
        Ok(())
    }
}

/// The only value of a field.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// What a server must answer to a key.
fn accept(key: &[u8]) -> Vec<u8> {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    STANDARD.encode(hash).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_has_the_answer_of_the_rfc() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_given_twice_has_no_answer() {
        let mut asked = HeaderMap::new();
        asked.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let mut answer = HeaderMap::new();
        answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        answer.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        let offer = |asked: &HeaderMap| Offer::new(HeaderValue::from_static("websocket"), asked);
        assert!(offer(&asked).check(&answer).is_err(), "no key and no answer");
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        asked.insert(SEC_WEBSOCKET_KEY, key.clone());
        answer
            .insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(offer(&asked).check(&answer).is_ok());
        asked.append(SEC_WEBSOCKET_KEY, key);
        assert!(offer(&asked).check(&answer).is_err());
    }
}
