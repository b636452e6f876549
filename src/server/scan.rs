//! Reads HTTP/1 requests just far enough to know where each ends, before hyper sees them.
//!
//! What hyper hides from its service (bare line feeds, a fragment in the target, junk in chunk
//! lines) or answers without our reason is refused here; everything that passes is framed the way
//! hyper will frame it, because every ambiguity has been refused. Pure: bytes in, verdict out.

#[cfg(test)]
mod hyper_agrees;
mod line;

pub(crate) use self::line::{check_method, check_target_bytes};
use std::ops::Range;

use smallvec::SmallVec;

use self::line::Line;
use super::gate::NAME_LIMIT;
use crate::{error::Reason, http1::chunk::Chunk};

/// Limits on a request head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of the head.
    pub(crate) header_size: usize,
    /// Fields in the head.
    pub(crate) header_count: usize,
    /// Bytes of the target.
    pub(crate) uri_length: usize,
}

/// Why a request was refused before anybody parsed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The reason word.
    pub(crate) reason: Reason,
    /// What exactly was wrong; safe to show to the client.
    pub(crate) detail: &'static str,
}

/// What to do with the bytes that were scanned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// So many bytes may be read by hyper.
    pub(crate) pass: usize,
    /// What about the rest.
    pub(crate) next: Next,
}

/// What follows the bytes that may pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, or the beginning of a head that is not complete yet.
    More,
    /// A head that must be answered with an error.
    Refuse(Refusal),
    /// The body being read is broken.
    BadBody(&'static str),
    /// Bytes after a request that asked for another protocol: whose they are is not known yet.
    Hold,
}

/// Where in the stream of requests we are.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    /// The request being read asked for an upgrade: hold what follows it.
    upgrade: bool,
    limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body { left: u64 },
    Chunk(Chunk),
    Hold,
    Tunnel,
}

/// The framing of a message as its head declares it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// Where the parts of a head are.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// Bytes in all, empty lines in front of it included.
    pub(crate) length: usize,
    pub(crate) framing: Framing,
    pub(crate) line: Line,
    /// Names and trimmed values.
    pub(crate) fields: SmallVec<[(Range<usize>, Range<usize>); 16]>,
}

impl Framing {
    /// Nothing follows the head that belongs to it.
    pub(crate) fn is_bodiless(self) -> bool {
        !self.chunked && !self.upgrade && self.length.unwrap_or(0) == 0
    }
}

// === impl Scanner ===

impl Scanner {
    /// Waits for the first head.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { state: State::Head, upgrade: false, limits }
    }

    /// Between two requests.
    pub(crate) fn is_at_head(&self) -> bool {
        self.state == State::Head
    }

    /// In the middle of a request.
    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self.state, State::Body { .. } | State::Chunk(_))
    }

    /// After a request that asked for another protocol.
    pub(crate) fn is_held(&self) -> bool {
        self.state == State::Hold
    }

    /// The answer was not a switch of protocols: what follows is the next request.
    pub(crate) fn resume(&mut self) {
        self.state = State::Head;
        self.upgrade = false;
    }

    /// The protocol was switched: everything passes.
    pub(crate) fn tunnel(&mut self) {
        self.state = State::Tunnel;
    }

    /// Scans what follows the bytes that have passed so far.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut pass = 0;
        loop {
            let rest = &bytes[pass..];
            if rest.is_empty() {
                return Scan { pass, next: Next::More };
            }
            match self.state {
                State::Tunnel => return Scan { pass: bytes.len(), next: Next::More },
                State::Hold => return Scan { pass, next: Next::Hold },
                State::Head => match parse_head(rest, self.limits) {
                    Ok(Some(head)) => {
                        pass += head.length;
                        self.begin_body(head.framing);
                    }
                    Ok(None) => return Scan { pass, next: Next::More },
                    Err(refusal) => return Scan { pass, next: Next::Refuse(refusal) },
                },
                State::Body { left } => {
                    let taken = left.min(rest.len() as u64);
                    pass += usize::try_from(taken).unwrap_or(rest.len());
                    self.state = State::Body { left: left - taken };
                    if left == taken {
                        self.end_message();
                    }
                }
                State::Chunk(chunk) => match chunk.scan(rest) {
                    Ok((taken, next)) => {
                        pass += taken;
                        match next {
                            Some(chunk) => self.state = State::Chunk(chunk),
                            None => self.end_message(),
                        }
                    }
                    Err(detail) => return Scan { pass, next: Next::BadBody(detail) },
                },
            }
        }
    }

    fn begin_body(&mut self, framing: Framing) {
        self.upgrade = framing.upgrade;
        if framing.chunked {
            self.state = State::Chunk(Chunk::START);
        } else {
            match framing.length {
                None | Some(0) => self.end_message(),
                Some(left) => self.state = State::Body { left },
            }
        }
    }

    fn end_message(&mut self) {
        self.state = if self.upgrade { State::Hold } else { State::Head };
    }
}

// === the head ===

/// Finds the end of a request head, its framing and its parts. `None`: not complete yet.
pub(crate) fn parse_head(bytes: &[u8], limits: Limits) -> Result<Option<Head>, Refusal> {
    let mut head = Head::default();
    Ok(read_head(bytes, limits, &mut head)?.then_some(head))
}

/// The same into an empty one of the caller's, as a head is large to be moved. Whether it is complete.
pub(crate) fn read_head(bytes: &[u8], limits: Limits, head: &mut Head) -> Result<bool, Refusal> {
    let mut at = skip_empty_lines(bytes)?;
    let begin = at;
    loop {
        let Some(length) = memchr::memchr(b'\n', &bytes[at..]) else {
            return incomplete(bytes, begin, at, limits);
        };
        let line = &bytes[at..at + length];
        let Some((b'\r', line)) = line.split_last() else {
            return Err(refuse(Reason::BadFraming, "bare LF"));
        };
        let start = at;
        at += length + 1;
        if start == begin {
            head.line = line::check(line, begin, limits)?;
        } else if line.is_empty() {
            break;
        } else {
            let (name, value) = field_line(line, head.line.old, &mut head.framing)?;
            head.fields.push((start..start + name, start + value.start..start + value.end));
        }
    }
    check_head(at - begin, head.fields.len(), limits)?;
    head.length = at;
    Ok(true)
}

/// RFC 9112 section 2.2: an empty line before a request line is ignored.
fn skip_empty_lines(bytes: &[u8]) -> Result<usize, Refusal> {
    let mut at = 0;
    while bytes[at..].starts_with(b"\r\n") {
        at += 2;
        if at > 8 {
            return Err(refuse(Reason::BadRequest, "empty lines before a request"));
        }
    }
    Ok(at)
}

fn incomplete(bytes: &[u8], begin: usize, at: usize, limits: Limits) -> Result<bool, Refusal> {
    if at == begin && bytes.len() - begin > limits.uri_length + 64 {
        return Err(refuse(Reason::UriTooLong, "request line too long"));
    }
    if bytes.len() - begin > limits.header_size {
        return Err(refuse(Reason::HeaderTooLarge, "header too large"));
    }
    Ok(false)
}

fn check_head(length: usize, fields: usize, limits: Limits) -> Result<(), Refusal> {
    if length > limits.header_size {
        return Err(refuse(Reason::HeaderTooLarge, "header too large"));
    }
    if fields > limits.header_count {
        return Err(refuse(Reason::HeaderTooLarge, "too many header fields"));
    }
    Ok(())
}

/// Looks for the three fields that decide how a message is framed. Returns where the name ends and where
/// the value is.
fn field_line(
    line: &[u8],
    old: bool,
    framing: &mut Framing,
) -> Result<(usize, Range<usize>), Refusal> {
    let length = line.iter().position(|&byte| !TOKEN[usize::from(byte)]).unwrap_or(line.len());
    if length > NAME_LIMIT {
        return Err(refuse(Reason::HeaderTooLarge, "header field name too long"));
    }
    let (name, rest) = line.split_at(length);
    // Nearly always there is nothing else, and of that a processor looks at many at once.
    let plain = |byte: &u8| byte.wrapping_sub(b' ') <= b'~' - b' ';
    if !rest.iter().fold(true, |all, byte| all & plain(byte)) {
        let bad = rest.iter().fold(0, |bad, &byte| bad | VALUE[usize::from(byte)]);
        wrong_value(bad)?;
    }
    match rest {
        [b':', ..] if !name.is_empty() => {
            let place = trim(line, length + 1);
            let value = &line[place.clone()];
            match name.len() {
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    content_length(value, framing)?;
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    transfer_encoding(value, old, framing)?;
                }
                7 => framing.upgrade |= name.eq_ignore_ascii_case(b"upgrade"),
                _ => {}
            }
            Ok((length, place))
        }
        [b' ' | b'\t', ..] if name.is_empty() => {
            Err(refuse(Reason::BadFraming, "folded header line"))
        }
        _ => Err(refuse(Reason::BadRequest, "malformed header field name")),
    }
}

/// A control character in a value (RFC 9110 section 5.5).
const CONTROL: u8 = 1;
/// A byte beyond ASCII in a value: recipients disagree on what it means.
const EIGHT_BIT: u8 = 2;

/// What is wrong with each byte in a field value.
pub(crate) static VALUE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'\t' | b' '..=b'~' => 0,
            128.. => EIGHT_BIT,
            _ => CONTROL,
        };
        byte += 1;
    }
    table
};

/// The characters of a token (RFC 9110 section 5.6.2).
pub(crate) static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
            || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    table
};

/// What is wrong with a value with such bytes in it.
fn wrong_value(bad: u8) -> Result<(), Refusal> {
    match bad {
        0 => Ok(()),
        bad if bad & CONTROL != 0 => Err(refuse(Reason::BadRequest, "control character")),
        _ => Err(refuse(Reason::BadRequest, "8-bit byte")),
    }
}

fn content_length(value: &[u8], framing: &mut Framing) -> Result<(), Refusal> {
    if framing.length.is_some() || framing.chunked {
        return Err(refuse(Reason::BadFraming, "more than one length"));
    }
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(refuse(Reason::BadFraming, "bad Content-Length"));
    }
    let length = value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    framing.length = Some(length);
    Ok(())
}

fn transfer_encoding(value: &[u8], old: bool, framing: &mut Framing) -> Result<(), Refusal> {
    if framing.length.is_some() || framing.chunked {
        return Err(refuse(Reason::BadFraming, "more than one length"));
    }
    if old {
        return Err(refuse(Reason::BadFraming, "Transfer-Encoding in HTTP/1.0"));
    }
    if !value.eq_ignore_ascii_case(b"chunked") {
        return Err(refuse(Reason::BadFraming, "Transfer-Encoding other than chunked"));
    }
    framing.chunked = true;
    Ok(())
}

/// What is left of a line from here on without white space around it.
fn trim(line: &[u8], mut start: usize) -> Range<usize> {
    let mut end = line.len();
    while start < end && matches!(line[start], b' ' | b'\t') {
        start += 1;
    }
    while start < end && matches!(line[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    start..end
}

const fn refuse(reason: Reason, detail: &'static str) -> Refusal {
    Refusal { reason, detail }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { header_size: 4096, header_count: 10, uri_length: 256 };

    /// Feeds `bytes` in pieces of `step`, keeping what was not passed, as the wire does.
    fn run(bytes: &[u8], step: usize) -> (usize, Next) {
        let mut scanner = Scanner::new(LIMITS);
        let mut passed = 0;
        let mut end = 0;
        while end < bytes.len() {
            end = (end + step).min(bytes.len());
            let scan = scanner.scan(&bytes[passed..end]);
            passed += scan.pass;
            if scan.next != Next::More {
                return (passed, scan.next);
            }
        }
        (passed, Next::More)
    }

    fn refused(text: &str) -> Option<Reason> {
        match run(text.as_bytes(), 7).1 {
            Next::Refuse(refusal) => Some(refusal.reason),
            Next::BadBody(_) => Some(Reason::BadBody),
            Next::More | Next::Hold => None,
        }
    }

    #[test]
    fn clean_requests_pass_whole_however_they_are_cut() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nx: a\tb\r\n\r\n\
                    OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n\
                    GET HTTP://a/ HTTP/1.1\r\nHost: a\r\n\r\n\
                    POST /x?y=%20 HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\nhello\
                    POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nHost: a\r\n\r\n\
                    5\r\nhello\r\nA;x=\"y \\\" z\"; v = w;u\r\n0123456789\r\n0\r\nx: y\r\n\r\n\
                    \r\nGET / HTTP/1.0\r\n\r\n";
        for step in 1..text.len() {
            assert_eq!(run(text.as_bytes(), step), (text.len(), Next::More), "step {step}");
        }
    }

    #[test]
    fn a_head_passes_only_when_it_is_complete() {
        let mut scanner = Scanner::new(LIMITS);
        assert_eq!(scanner.scan(b"GET / HTTP/1.1\r\nHo"), Scan { pass: 0, next: Next::More });
        assert!(scanner.is_at_head());
    }

    #[test]
    fn ambiguous_or_broken_heads_are_refused() {
        let host = "Host: a\r\n";
        for (head, reason) in [
            ("GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(), Reason::BadFraming),
            (format!("GET / HTTP/1.1\r\n{host}\n"), Reason::BadFraming),
            (format!("GET /#x HTTP/1.1\r\n{host}\r\n"), Reason::BadRequest),
            (format!("GET /\u{e9} HTTP/1.1\r\n{host}\r\n"), Reason::BadRequest),
            (format!("GET / HTTP/1.1\r\n{host}x: \u{e9}\r\n\r\n"), Reason::BadRequest),
            (format!("get / HTTP/1.1\r\n{host}\r\n"), Reason::BadRequest),
            (format!("GET / HTTP/2.0\r\n{host}\r\n"), Reason::UnsupportedVersion),
            ("GET /\r\n\r\n".to_owned(), Reason::BadRequest),
            (format!("CONNECT a:1 HTTP/1.1\r\n{host}\r\n"), Reason::UnsupportedMethod),
            (format!("GET /{} HTTP/1.1\r\n{host}\r\n", "x".repeat(300)), Reason::UriTooLong),
            (format!("GET / HTTP/1.1\r\n{}\r\n", host.repeat(11)), Reason::HeaderTooLarge),
            (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(5000)), Reason::HeaderTooLarge),
            (format!("GET / HTTP/1.1\r\n{host} folded\r\n\r\n"), Reason::BadFraming),
            (format!("GET / HTTP/1.1\r\n{host}x: a\0b\r\n\r\n"), Reason::BadRequest),
            (format!("GET / HTTP/1.1\r\n{host}x: a\x1bb\r\n\r\n"), Reason::BadRequest),
            (format!("GET / HTTP/1.1\r\n{host}x: a\x7fb\r\n\r\n"), Reason::BadRequest),
            (format!("GET / HTTP/1.1\r\n{host}x: a\rb\r\n\r\n"), Reason::BadRequest),
            (format!("GET / HTTP/1.1\r\n{host}x : b\r\n\r\n"), Reason::BadRequest),
            (format!("GET / HTTP/1.1\r\n{host}: b\r\n\r\n"), Reason::BadRequest),
            (format!("GET / HTTP/1.1\r\n{host}no colon\r\n\r\n"), Reason::BadRequest),
            (format!("GET a HTTP/1.1\r\n{host}\r\n"), Reason::BadRequest),
            (format!("GET * HTTP/1.1\r\n{host}\r\n"), Reason::BadRequest),
            (format!("GET a:80 HTTP/1.1\r\n{host}\r\n"), Reason::BadRequest),
            (format!("GET ftp://a/ HTTP/1.1\r\n{host}\r\n"), Reason::BadRequest),
            (format!("GET /a\\b HTTP/1.1\r\n{host}\r\n"), Reason::BadPath),
            (format!("GET /a`b HTTP/1.1\r\n{host}\r\n"), Reason::BadRequest),
            (format!("GET http://[::1 HTTP/1.1\r\n{host}\r\n"), Reason::BadHost),
            (format!("GET http:///a HTTP/1.1\r\n{host}\r\n"), Reason::BadHost),
            (format!("GET / HTTP/1.1\r\n{}: b\r\n\r\n", "x".repeat(257)), Reason::HeaderTooLarge),
        ] {
            assert_eq!(refused(&head), Some(reason), "{head:?}");
        }
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for fields in [
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: identity",
        ] {
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            assert_eq!(refused(&text), Some(Reason::BadFraming), "{fields:?}");
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(old), Some(Reason::BadFraming));
    }

    #[test]
    fn junk_in_chunks_is_refused() {
        for body in [
            "5 \r\nhello\r\n",
            "+5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "\r\nhello",
            "5\nhello\r\n",
            "5;\r\nhello\r\n",
            "5;a\0b\r\nhello\r\n",
            "5;;a\r\nhello\r\n",
            "5;a=\r\nhello\r\n",
            "5;a=\"b\\\"\r\nhello\r\n",
            "0\r\nx: \u{e9}\r\n\r\n",
            "5\r\nhelloSPILL\r\n",
            "11111111111111111\r\n",
            "0\r\nx: y\n\r\n",
        ] {
            let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            assert_eq!(refused(&text), Some(Reason::BadBody), "{body:?}");
        }
        let long = format!("5;{}\r\nhello\r\n", "x".repeat(300));
        let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{long}");
        assert_eq!(refused(&text), Some(Reason::BadBody));
    }

    #[test]
    fn what_follows_an_upgrade_is_held_until_it_is_decided() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n";
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(b"\x81\x00");
        let mut scanner = Scanner::new(LIMITS);
        assert_eq!(scanner.scan(&bytes), Scan { pass: head.len(), next: Next::Hold });
        scanner.tunnel();
        assert_eq!(scanner.scan(b"\x81\x00\n"), Scan { pass: 3, next: Next::More });
        scanner.resume();
        assert!(scanner.is_at_head());
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_verdict_and_no_more_passes_than_was_given(
            bytes in proptest::collection::vec(any::<u8>(), 0..600), step in 1usize..50
        ) {
            let (passed, _) = run(&bytes, step);
            prop_assert!(passed <= bytes.len());
        }
    }
}
