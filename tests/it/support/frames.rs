//! HTTP/2 as frames, for a client that does what no library would: every frame is written as given,
//! header blocks are literals without any table.

use std::net::{SocketAddr, TcpStream};

use super::{wait::DEADLINE, wire::Wire};

/// Frame types (RFC 9113 section 6), and one nobody knows.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const UNKNOWN: u8 = 0xbe;

/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
pub(crate) const INITIAL_WINDOW: u16 = 4;

/// Error codes.
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// A field: name and value as bytes.
pub(crate) type Field<'f> = (&'f [u8], &'f [u8]);

/// One frame received.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection on which anything may be sent.
pub(crate) struct Frames {
    /// The bytes.
    pub(crate) wire: Wire<TcpStream>,
}

/// What came of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole answer.
    Answer { status: u16, body: Vec<u8> },
    /// The stream was reset.
    Reset(u32),
    /// The connection was ended with this code.
    Ended(u32),
    /// The connection was closed without a word.
    Closed,
}

// === writing ===

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A SETTINGS frame.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in values {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// A WINDOW_UPDATE frame.
pub(crate) fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// A RST_STREAM frame.
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// A header block of literals (RFC 7541 section 6.2.2).
pub(crate) fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    if text.len() < 127 {
        block.push(u8::try_from(text.len()).expect("short"));
    } else {
        block.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).expect("small") | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).expect("small"));
    }
    block.extend_from_slice(text);
}

/// The pseudo-header fields of a GET, followed by these.
pub(crate) fn get<'f>(path: &'f str, more: &[Field<'f>]) -> Vec<Field<'f>> {
    let mut fields: Vec<Field<'f>> = vec![
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"a"),
        (b":path", path.as_bytes()),
    ];
    fields.extend_from_slice(more);
    fields
}

/// A HEADERS frame with a whole request head.
pub(crate) fn headers(stream: u32, flags: u8, fields: &[Field<'_>]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

// === impl Frames ===

impl Frames {
    /// Connects and sends the preface with these settings.
    pub(crate) fn connect(address: SocketAddr, values: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).expect("the listener accepts");
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        stream.set_write_timeout(Some(DEADLINE)).expect("not zero");
        let mut wire = Wire::new(stream);
        wire.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings(values)].concat());
        Self { wire }
    }

    /// Sends frames; false when the gateway is gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.send(bytes)
    }

    /// The next frame; `None` at the end of the connection.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let head = self.wire.take(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let payload = self.wire.take(length)?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads until it is known what came of a stream.
    #[track_caller]
    pub(crate) fn outcome(&mut self, stream: u32) -> Outcome {
        let (mut status, mut body) = (0, Vec::new());
        while let Some(frame) = self.next() {
            match frame.kind {
                GOAWAY if frame.code(4) != 0 => return Outcome::Ended(frame.code(4)),
                _ if frame.stream != stream => continue,
                RST_STREAM => return Outcome::Reset(frame.code(0)),
                HEADERS if status == 0 => status = frame.status(),
                DATA => body.extend_from_slice(&frame.payload),
                _ => {}
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                return Outcome::Answer { status, body };
            }
        }
        Outcome::Closed
    }

    /// Reads to the end of the connection; the code of the last GOAWAY, if there was one.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                code = Some(frame.code(4));
            }
        }
        code
    }
}

impl Frame {
    fn code(&self, at: usize) -> u32 {
        self.payload
            .get(at..at + 4)
            .map_or(u32::MAX, |code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]))
    }

    /// The status of a response head, whose first field it is (RFC 7541 appendix A and B).
    fn status(&self) -> u16 {
        let block: Vec<u8> =
            self.payload.iter().copied().skip_while(|b| b & 0xe0 == 0x20).collect();
        match block[0] {
            0x88 => 200,
            0x89 => 204,
            0x8a => 206,
            0x8b => 304,
            0x8c => 400,
            0x8d => 404,
            0x8e => 500,
            // A literal with the name of entry 8; the value is three digits, in Huffman code or not.
            0x48 | 0x08 | 0x18 if block[1] & 0x80 == 0 => {
                String::from_utf8_lossy(&block[2..5]).parse().expect("a status")
            }
            0x48 | 0x08 | 0x18 => {
                let length = usize::from(block[1] & 0x7f);
                huffman_digits(&block[2..2 + length])
            }
            other => {
                // An entry of the dynamic table: a status seen before on this connection.
                assert!(other & 0x80 != 0, "a status comes first: {other:#x}");
                0
            }
        }
    }
}

fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0_u16, |sum, bit| sum << 1 | u16::from(*bit));
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let short = number(&bits[at..at + 5]);
        let (digit, length) =
            if short < 3 { (short, 5) } else { (number(&bits[at..at + 6]) - 0x19 + 3, 6) };
        status = status * 10 + digit;
        at += length;
    }
    status
}
