//! HTTP/2 as frames, for a client that does what no library would: every frame is written as given,
//! header lists go out pseudo-headers and all, as literals without any table, however malformed. Of
//! answers it reads the status and the body.

use std::{
    collections::VecDeque,
    net::{SocketAddr, TcpStream},
};

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

/// `SETTINGS_HEADER_TABLE_SIZE` and `SETTINGS_INITIAL_WINDOW_SIZE`.
const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW: u16 = 4;

/// The longest payload anybody has to take.
const LONGEST: usize = 16_384;

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
    wire: Wire<TcpStream>,
    /// Frames of other streams, read while the outcome of one was waited for.
    kept: VecDeque<Frame>,
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
pub(crate) fn get<'f>(path: &'f (impl AsRef<[u8]> + ?Sized), more: &[Field<'f>]) -> Vec<Field<'f>> {
    let fixed: [Field<'f>; 4] = [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"a"),
        (b":path", path.as_ref()),
    ];
    [&fixed, more].concat()
}

/// The same fields, one of them with another value.
pub(crate) fn replaced<'f>(
    mut fields: Vec<Field<'f>>,
    name: &[u8],
    value: &'f [u8],
) -> Vec<Field<'f>> {
    fields.iter_mut().filter(|field| field.0 == name).for_each(|field| field.1 = value);
    fields
}

/// A HEADERS frame with a whole head, or with trailers.
#[track_caller]
pub(crate) fn headers(stream: u32, flags: u8, fields: &[Field<'_>]) -> Vec<u8> {
    let block = block(fields);
    assert!(block.len() <= LONGEST, "this client does not split header blocks");
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

// === impl Frames ===

impl Frames {
    /// Connects and sends the preface with these settings, and with the one that lets every answer be
    /// read by itself: no table of headers.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr, values: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the listener accepts");
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        stream.set_write_timeout(Some(DEADLINE)).expect("not zero");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut wire = Wire::new(stream);
        let settings = settings(&[&[(HEADER_TABLE_SIZE, 0)], values].concat());
        wire.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings].concat());
        Self { wire, kept: VecDeque::new() }
    }

    /// The socket once more, for whoever ends the connection from another thread.
    pub(crate) fn socket(&self) -> TcpStream {
        self.wire.stream().try_clone().expect("a process may have many descriptors")
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

    /// Sends a request without a body and reads what came of it.
    #[track_caller]
    pub(crate) fn exchange(&mut self, stream: u32, fields: &[Field<'_>]) -> Outcome {
        self.send(headers(stream, END_STREAM, fields));
        self.outcome(stream)
    }

    /// Reads until it is known what came of a stream; the streams may be asked after in any order.
    #[track_caller]
    pub(crate) fn outcome(&mut self, stream: u32) -> Outcome {
        let (mut status, mut body) = (0, Vec::new());
        let (ours, others) = self.kept.drain(..).partition(|frame| frame.stream == stream);
        self.kept = others;
        let mut ours: VecDeque<Frame> = ours;
        while let Some(frame) = ours.pop_front().or_else(|| self.next()) {
            match frame.kind {
                GOAWAY if frame.code(4) != 0 => return Outcome::Ended(frame.code(4)),
                _ if frame.stream != stream => {
                    self.kept.push_back(frame);
                    continue;
                }
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

    /// The status in front of a response head: an entry of the static table, or a literal with the name
    /// of entry 8 (RFC 7541 appendix A).
    #[track_caller]
    fn status(&self) -> u16 {
        // Updates of the table's size may come first.
        let skip = self.payload.iter().take_while(|&&byte| byte & 0xe0 == 0x20).count();
        let block = &self.payload[skip..];
        let common = [200, 204, 206, 304, 400, 404, 500];
        match block[0] {
            byte @ 0x88..=0x8e => common[usize::from(byte - 0x88)],
            0x48 | 0x08 | 0x18 => {
                let value = &block[2..2 + usize::from(block[1] & 0x7f)];
                let digits = if block[1] & 0x80 == 0 { value.to_vec() } else { huffman(value) };
                String::from_utf8_lossy(&digits).parse().expect("a status is a number")
            }
            other => panic!("no status in front: {other:#x}"),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Status and reason word of a refusal; nothing of either when there was no answer.
    pub(crate) fn reason(&self) -> (u16, String) {
        let Self::Answer { status, body } = self else { return (0, String::new()) };
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        (*status, body["reason"].as_str().unwrap_or_default().to_owned())
    }
}

/// Three digits in the Huffman code: 0 to 2 have five bits, 3 to 9 have six (RFC 7541 appendix B).
fn huffman(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |sum, bit| sum << 1 | bit);
    let mut at = 0;
    let mut digit = || {
        let short = number(&bits[at..at + 5]);
        let (digit, length) =
            if short < 3 { (short, 5) } else { (number(&bits[at..at + 6]) - 0x19 + 3, 6) };
        at += length;
        b'0' + digit
    };
    vec![digit(), digit(), digit()]
}
