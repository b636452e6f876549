//! An HTTP/2 upstream frame by frame: every byte of an answer is the test's own. Runs in a script of
//! [`Raw::serve`](super::raw::Raw::serve).

use super::raw::Peer;

/// Frame types (RFC 9113 section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The upstream's end of an HTTP/2 connection.
pub(crate) struct H2Peer<'p> {
    peer: &'p mut Peer,
}

/// A frame as received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Its type.
    pub(crate) kind: u8,
    /// Its flags.
    pub(crate) flags: u8,
    /// Its stream.
    pub(crate) stream: u32,
}

// === impl H2Peer ===

impl<'p> H2Peer<'p> {
    /// Reads the preface and sends our settings; `None` when the gateway left before that.
    pub(crate) fn accept(peer: &'p mut Peer) -> Option<Self> {
        let preface = peer.wire().take(24)?;
        assert_eq!(preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut this = Self { peer };
        this.send(SETTINGS, 0, 0, &[]);
        Some(this)
    }

    /// How many connections came before this one.
    pub(crate) fn index(&self) -> usize {
        self.peer.index
    }

    /// The next frame that is not about the connection; `None` when the gateway closed it.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        loop {
            let head = self.peer.wire().take(9)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let payload = self.peer.wire().take(length as usize)?;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match kind {
                SETTINGS if flags & ACK == 0 => {
                    self.send(SETTINGS, ACK, 0, &[]);
                }
                PING if flags & ACK == 0 => {
                    self.send(PING, ACK, 0, &payload);
                }
                DATA | HEADERS | RST_STREAM => {
                    return Some(Frame { kind, flags, stream });
                }
                _ => {}
            }
        }
    }

    /// Waits for a whole request and returns its stream; resets of others are passed over.
    pub(crate) fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.frame()?;
            if frame.kind != RST_STREAM && frame.flags & END_STREAM != 0 {
                return Some(frame.stream);
            }
        }
    }

    /// Sends a frame; false when the gateway is gone.
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.peer.send(frame(kind, flags, stream, payload))
    }

    /// Sends a 200 with this body.
    pub(crate) fn ok(&mut self, stream: u32, body: &[u8]) -> bool {
        self.send(HEADERS, END_HEADERS, stream, &field(":status", "200"))
            && self.send(DATA, END_STREAM, stream, body)
    }

    /// Sends bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.peer.send(bytes)
    }
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame of some bytes").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field as a literal that nobody remembers (RFC 7541 section 6.2.2), its bytes as they are.
pub(crate) fn field(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name.as_ref(), value.as_ref()] {
        length(text.len(), &mut bytes);
        bytes.extend_from_slice(text);
    }
    bytes
}

/// A number with a prefix of seven bits (RFC 7541 section 5.1).
fn length(number: usize, bytes: &mut Vec<u8>) {
    let Some(mut rest) = number.checked_sub(127) else {
        return bytes.push(u8::try_from(number).expect("below 127"));
    };
    bytes.push(127);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).expect("below 128") | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("below 128"));
}
