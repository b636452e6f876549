//! HTTP/2 as frames: header lists go out exactly as given, pseudo-headers and all, however malformed.
//! Of answers it reads the status and the body, which is what tests of refusals need.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::wait::DEADLINE;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A field of a header list.
pub(crate) type Field<'a> = (&'a [u8], &'a [u8]);

/// One connection by prior knowledge.
pub(crate) struct Frames {
    stream: TcpStream,
    next: u32,
    open: HashMap<u32, Part>,
    gone: bool,
}

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer, whole.
    Answer { status: u16, body: Vec<u8> },
    /// A stream reset with this code.
    Reset(u32),
    /// The connection ended.
    Gone,
}

#[derive(Default)]
struct Part {
    status: u16,
    body: Vec<u8>,
    outcome: Option<Outcome>,
}

// === impl Frames ===

impl Frames {
    /// Connects and says hello.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the listener accepts");
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut it = Self { stream, next: 1, open: HashMap::new(), gone: false };
        it.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        // No table of headers, so that an answer can be read by itself, and all windows wide open.
        let settings = [&[0, 1, 0, 0, 0, 0][..], &[0, 4, 0x7F, 0xFF, 0xFF, 0xFF]].concat();
        it.frame(SETTINGS, 0, 0, &settings);
        it.frame(WINDOW, 0, 0, &(0x7FFF_FFFF_u32 - 65_535).to_be_bytes());
        it
    }

    /// Opens a stream with this header list; `end` when nothing follows.
    pub(crate) fn open(&mut self, fields: &[Field<'_>], end: bool) -> u32 {
        let id = self.next;
        self.next += 2;
        self.open.insert(id, Part::default());
        self.headers(id, fields, end);
        id
    }

    /// Sends a header list on a stream: trailers, or nonsense.
    pub(crate) fn headers(&mut self, id: u32, fields: &[Field<'_>], end: bool) {
        let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        assert!(block.len() <= 16_384, "this client sends one frame");
        self.frame(HEADERS, END_HEADERS | if end { END_STREAM } else { 0 }, id, &block);
    }

    /// Sends a piece of a body.
    pub(crate) fn data(&mut self, id: u32, data: &[u8], end: bool) {
        self.frame(DATA, if end { END_STREAM } else { 0 }, id, data);
    }

    /// What becomes of a stream; waits for it.
    #[track_caller]
    pub(crate) fn outcome(&mut self, id: u32) -> Outcome {
        loop {
            if let Some(outcome) = &self.open.get(&id).expect("a stream of ours").outcome {
                return outcome.clone();
            }
            if self.gone {
                return Outcome::Gone;
            }
            self.read();
        }
    }

    /// A request and what becomes of it.
    #[track_caller]
    pub(crate) fn exchange(&mut self, fields: &[Field<'_>]) -> Outcome {
        let id = self.open(fields, true);
        self.outcome(id)
    }

    /// A GET and what becomes of it.
    #[track_caller]
    pub(crate) fn get(&mut self, authority: &str, path: &[u8], more: &[Field<'_>]) -> Outcome {
        let fixed = get(authority.as_bytes(), path);
        self.exchange(&[&fixed[..], more].concat())
    }

    fn frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags];
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(payload);
        self.raw(&bytes);
    }

    fn raw(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).is_err() {
            self.gone = true;
        }
    }

    #[track_caller]
    fn read(&mut self) {
        let mut head = [0; 9];
        if !self.fill(&mut head) {
            return;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if !self.fill(&mut payload) {
            return;
        }
        let (kind, flags) = (head[3], head[4]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match kind {
            SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => self.frame(PING, ACK, 0, &payload),
            GOAWAY => self.gone = true,
            _ => {}
        }
        let Some(part) = self.open.get_mut(&id) else { return };
        match kind {
            HEADERS if part.status == 0 => part.status = status(&payload),
            DATA => part.body.extend_from_slice(&payload),
            RESET => {
                let code = u32::from_be_bytes(payload[..4].try_into().expect("four bytes"));
                part.outcome.get_or_insert(Outcome::Reset(code));
            }
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            let body = std::mem::take(&mut part.body);
            part.outcome.get_or_insert(Outcome::Answer { status: part.status, body });
        }
    }

    /// False at the end of the connection.
    #[track_caller]
    fn fill(&mut self, buffer: &mut [u8]) -> bool {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        match self.stream.read_exact(buffer) {
            Ok(()) => true,
            Err(error) if matches!(error.kind(), TimedOut | WouldBlock) => {
                panic!("nothing came within {DEADLINE:?}")
            }
            Err(_) => {
                self.gone = true;
                false
            }
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Status and reason word, both empty-handed when there was no answer.
    pub(crate) fn reason(&self) -> (u16, String) {
        let Self::Answer { status, body } = self else { return (0, String::new()) };
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        (*status, body["reason"].as_str().unwrap_or_default().to_owned())
    }
}

/// The pseudo-headers of a GET.
pub(crate) fn get<'a>(authority: &'a [u8], path: &'a [u8]) -> [Field<'a>; 4] {
    [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", authority), (b":path", path)]
}

/// A literal field without indexing, new name, no Huffman code (RFC 7541 section 6.2.2).
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        integer(&mut out, text.len());
        out.extend_from_slice(text);
    }
    out
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn integer(out: &mut Vec<u8>, mut value: usize) {
    if value < 127 {
        out.push(value as u8);
        return;
    }
    out.push(127);
    value -= 127;
    while value >= 128 {
        out.push((value % 128) as u8 | 128);
        value /= 128;
    }
    out.push(value as u8);
}

/// The status in front of a header block: an index of the static table, or Huffman-coded digits.
#[track_caller]
fn status(block: &[u8]) -> u16 {
    let skip = block.iter().take_while(|&&byte| byte & 0xE0 == 0x20).count();
    let block = &block[skip..];
    let common = [200, 204, 206, 304, 400, 404, 500];
    match block[0] {
        byte @ 0x88..=0x8E => common[usize::from(byte - 0x88)],
        byte if byte & 0x3F == 8 || byte & 0x0F == 8 => {
            let length = usize::from(block[1] & 0x7F);
            let value = &block[2..2 + length];
            let digits = if block[1] & 0x80 == 0 { value.to_vec() } else { huffman(value) };
            String::from_utf8_lossy(&digits).parse().expect("a status is a number")
        }
        other => panic!("no status in front: {other:#x}"),
    }
}

/// Digits of the Huffman code: 0 to 2 have five bits, 3 to 9 have six (RFC 7541 appendix B).
fn huffman(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> =
        bytes.iter().flat_map(|b| (0..8).rev().map(move |at| b >> at & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |sum, bit| sum * 2 + bit);
    let (mut out, mut at) = (Vec::new(), 0);
    while bits.len() - at >= 5 {
        let short = number(&bits[at..at + 5]);
        if short <= 2 {
            out.push(b'0' + short);
            at += 5;
        } else if bits.len() - at >= 6 && (0x19..=0x1F).contains(&number(&bits[at..at + 6])) {
            out.push(b'3' + number(&bits[at..at + 6]) - 0x19);
            at += 6;
        } else {
            break; // padding
        }
    }
    out
}
