//! Cases of HTTP/2: frames written by hand, header fields never compressed, so that every byte of
//! them can be wrong.

use std::{
    collections::{BTreeMap, HashMap},
    net::TcpStream,
};

use rand::{RngExt, rngs::StdRng};

use super::{
    Case, Got, Meaning, Outcome, Protocol, QUIET, REFUSAL, body, chance, is_answer, pick, reason,
    receive, scramble, send, smuggled, split,
};
use crate::support::{
    strict::{self, Parsed, Request, Side},
    wait::DEADLINE,
};

/// HTTP/2 connections by prior knowledge.
pub(super) struct Http2;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A request before it is made into frames.
struct Draft {
    fields: Fields,
    data: Vec<Vec<u8>>,
    trailers: Option<Fields>,
}

/// Fields that must not stand in a request, or not twice, or not so.
#[rustfmt::skip]
const ODD_FIELDS: [(&[u8], &[u8]); 60] = [
    (b"connection", b"close"), (b"connection", b"x-id"), (b"keep-alive", b"1"),
    (b"proxy-connection", b"close"), (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"identity"),
    (b"upgrade", b"h2c"), (b"upgrade", b"websocket"), (b"http2-settings", b"AAMAAABk"), (b"te", b"chunked"),
    (b"te", b"trailers"), (b"te", b"trailers, chunked"), (b"expect", b"100-continue"), (b"expect", b"odd"),
    (b"content-length", b"0"), (b"content-length", b"5"), (b"content-length", b"+5"),
    (b"content-length", b"5, 5"), (b"content-length", b""), (b"content-length", b"18446744073709551621"),
    (b"content_length", b"5"), (b"transfer_encoding", b"chunked"), (b"host", b"a"), (b"host", b"b"),
    (b"host", b"a\r\nX: y"), (b"X-Upper", b"x"), (b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked"),
    (b"", b"nameless"), (b"x y", b"z"), (b"x:y", b"z"), (b"x\r\ny", b"z"),
    (b"x: y\r\ntransfer-encoding", b"chunked"), (b"x\0", b"z"), (b"x\xe9", b"z"), (b"x\n", b"z"),
    (b"x-v", b"a\r\nTransfer-Encoding: chunked"),
    (b"x-v", b"a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\nX-Id: smuggled-0\r\n\r\n"), (b"x-v", b"a\nb"),
    (b"x-v", b"a\rb"), (b"x-v", b"a\0b"), (b"x-v", b"\xe9"), (b"x-v", b"\x7f"), (b"x-v", b""),
    (b"cookie", b"a=b"), (b"cookie", b"c=d\r\nX: y"), (b"trailer", b"content-length"), (b":method", b"POST"),
    (b":path", b"/other"), (b":authority", b"b"), (b":scheme", b"http"), (b":status", b"200"),
    (b":protocol", b"websocket"), (b":unknown", b"x"), (b":", b"x"), (b"x-forwarded-for", b"1.2.3.4"),
    (b"x-v", b" a"), (b"x-v", b"a "), (b"x-v", b"\ta"), (b"x\"v", b"a"),
];

/// What may stand for the value of a pseudo-header field.
#[rustfmt::skip]
const ODD_VALUES: [&[u8]; 34] = [
    b"", b" ", b"GET", b"get", b"CONNECT", b"OPTIONS", b"HEAD", b"G T", b"GET / HTTP/1.1\r\nHost: a\r\nX: y",
    b"POST\r\nTransfer-Encoding: chunked", b"*", b"/", b"a", b"/a b",
    b"/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y",
    b"/\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\nX-Id: smuggled-0\r\n\r\n", b"/a\0b", b"/a#b", b"/\xe9",
    b"/%00", b"/../x", b"/..;/x", b"//b/c", b"http://b/", b"b", b"a:80", b"a:x", b"u@a", b"a/b", b"a b",
    b"a\r\nX: y", b"http", b"https", b"http://b/x?y=",
];

impl Protocol for Http2 {
    const NAME: &'static str = "h2";

    fn case(random: &mut StdRng, number: usize) -> Case {
        let clean = chance(random, 20);
        let count = random.random_range(1..=4);
        let mut frames: Vec<Vec<Frame>> = (0..count)
            .map(|index| {
                let mut draft = draft(random, number, index);
                if !clean && chance(random, 55) {
                    mutate(random, &mut draft, number);
                }
                into_frames(random, draft, 2 * index + 1)
            })
            .collect();
        if !clean && chance(random, 35) {
            let which = random.random_range(0..frames.len());
            mutate_frames(random, &mut frames[which]);
        }
        let mut bytes = PREFACE.to_vec();
        Frame { kind: SETTINGS, flags: 0, stream: 0, payload: Vec::new() }.write(&mut bytes);
        // Streams take turns, block by block; they are opened in their order.
        for frame in interleave(random, frames) {
            frame.write(&mut bytes);
        }
        if !clean && chance(random, 25) {
            let mut tail = bytes.split_off(if chance(random, 90) { PREFACE.len() } else { 0 });
            scramble(random, &mut tail);
            bytes.append(&mut tail);
        }
        if !clean && chance(random, 6) {
            bytes.truncate(random.random_range(0..=bytes.len()));
        }
        let pieces = split(random, &bytes);
        Case { pieces, clean, meaning: meaning(&bytes) }
    }

    fn play(case: &Case, mut stream: TcpStream) -> Result<Outcome, String> {
        send(&case.pieces, &mut stream);
        let meaning = &case.meaning;
        let (mut outcome, mut buffer, mut answers) =
            (Outcome::default(), Vec::new(), BTreeMap::<u32, Answer>::new());
        loop {
            while let Some((frame, length)) = Frame::read(&buffer) {
                buffer.drain(..length);
                note(&mut answers, &mut outcome, &frame);
            }
            let due = |(stream, _): &(u32, Request)| !answers.get(stream).is_some_and(|a| a.ended);
            let patience = match (meaning.whole.iter().any(due), case.clean) {
                (true, true) => DEADLINE,
                (true, false) => REFUSAL,
                (false, true) => break,
                (false, false) => QUIET,
            };
            match receive(&mut stream, &mut buffer, patience) {
                Got::Bytes => {}
                Got::Closed | Got::Nothing => break,
            }
        }
        for (stream, answer) in answers {
            let request = meaning.whole.iter().find(|(id, _)| *id == stream).map(|(_, r)| r);
            if answer.body.starts_with(b"recorded ") && answer.ended {
                let known = request.is_some_and(|request| is_answer(&answer.body, request));
                if !known && !meaning.vague {
                    let text = String::from_utf8_lossy(&answer.body).into_owned();
                    return Err(complaint(
                        case,
                        stream,
                        &format!("answered {text:?}, to {request:?}"),
                    ));
                }
                outcome.passed += 1;
            } else if answer.ended && !answer.body.is_empty() {
                outcome.refused.push(reason(&answer.body));
            }
        }
        if case.clean && outcome.passed < meaning.whole.len() {
            return Err(complaint(case, 0, &format!("clean, but {:?}", outcome.refused)));
        }
        Ok(outcome)
    }
}

/// What came on one stream.
#[derive(Default)]
struct Answer {
    body: Vec<u8>,
    ended: bool,
}

fn note(answers: &mut BTreeMap<u32, Answer>, outcome: &mut Outcome, frame: &Frame) {
    let code = |at: usize| frame.payload.get(at..at + 4).map_or(0, number);
    match frame.kind {
        RST_STREAM => {
            outcome.refused.push(format!("reset {}", h2::Reason::from(code(0)).description()));
            answers.entry(frame.stream).or_default().ended = true;
        }
        GOAWAY if code(4) != 0 => {
            outcome.refused.push(format!("goaway {}", h2::Reason::from(code(4)).description()));
        }
        DATA | HEADERS => {
            let answer = answers.entry(frame.stream).or_default();
            answer.ended |= frame.flags & END_STREAM != 0;
            if frame.kind == DATA {
                answer.body.extend_from_slice(&frame.payload);
            }
        }
        _ => {}
    }
}

fn complaint(case: &Case, stream: u32, what: &str) -> String {
    let names: Vec<_> = case.meaning.whole.iter().map(|(_, request)| request.id()).collect();
    let sent: Vec<u8> = case.pieces.concat();
    format!("stream {stream} of {names:?}: {what}; sent: {}", sent.escape_ascii())
}

// === making requests ===

fn pair(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.as_bytes().to_vec())
}

fn draft(random: &mut StdRng, number: usize, index: u32) -> Draft {
    let body = body(random, number);
    let get = body.is_empty() && chance(random, 70);
    let method = if get { "GET" } else { pick(random, &["POST", "PUT", "PATCH"]) };
    let mut fields = vec![
        pair(":method", method),
        pair(":scheme", "http"),
        pair(":path", &format!("/{}/{number}/{index}", Http2::NAME)),
        pair(":authority", "a"),
    ];
    for at in (1..fields.len()).rev() {
        fields.swap(at, random.random_range(0..=at));
    }
    fields.push(pair("x-id", &format!("{}-{number}-{index}", Http2::NAME)));
    for (name, value) in [
        ("user-agent", "test"),
        ("accept", "*/*"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("te", "trailers"),
    ] {
        if chance(random, 25) {
            fields.push(pair(name, value));
        }
    }
    let trailers = (!get && chance(random, 20)).then(|| vec![pair("x-sum", "1")]);
    if trailers.is_some() {
        fields.push(pair("trailer", "x-sum"));
    }
    if !get && chance(random, 60) {
        fields.push(pair("content-length", &body.len().to_string()));
    }
    let mut data = Vec::new();
    let mut rest = &body[..];
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(random.random_range(1..=rest.len()));
        data.push(piece.to_vec());
        rest = tail;
    }
    if data.is_empty() && !get {
        data.push(Vec::new());
    }
    Draft { fields, data, trailers }
}

fn mutate(random: &mut StdRng, draft: &mut Draft, number: usize) {
    let at = random.random_range(0..draft.fields.len());
    match random.random_range(0..14) {
        0..5 => {
            let (name, value) = ODD_FIELDS[random.random_range(0..ODD_FIELDS.len())];
            let at = if chance(random, 50) { draft.fields.len() } else { at };
            draft.fields.insert(at, (name.to_vec(), value.to_vec()));
        }
        5..8 => {
            let pseudo = draft.fields.iter_mut().filter(|(name, _)| name.starts_with(b":"));
            let mut pseudo: Vec<_> = pseudo.collect();
            let which = random.random_range(0..pseudo.len());
            pseudo[which].1 = pick(random, &ODD_VALUES).to_vec();
        }
        8 => drop(draft.fields.remove(at)),
        9 => {
            let copy = draft.fields[at].clone();
            draft.fields.push(copy);
        }
        10 => {
            let wrong = random.random_range(0..600).to_string();
            draft.fields.retain(|(name, _)| name != b"content-length");
            draft.fields.push(pair("content-length", &wrong));
        }
        11 => {
            let (name, value) = ODD_FIELDS[random.random_range(0..ODD_FIELDS.len())];
            draft.trailers.get_or_insert_default().push((name.to_vec(), value.to_vec()));
        }
        12 => {
            let (name, value) = &mut draft.fields[at];
            let which = if chance(random, 30) { name } else { value };
            scramble(random, which);
        }
        _ => {
            let text = format!("x\r\n\r\n{}", smuggled(number));
            draft.fields[at].1.extend_from_slice(text.as_bytes());
        }
    }
}

// === making frames ===

fn into_frames(random: &mut StdRng, draft: Draft, stream: u32) -> Vec<Frame> {
    let Draft { fields, data, trailers } = draft;
    let end = |last: bool| if last { END_STREAM } else { 0 };
    let mut frames = block(random, &fields, stream, end(data.is_empty() && trailers.is_none()));
    let count = data.len();
    for (at, payload) in data.into_iter().enumerate() {
        let flags = end(at + 1 == count && trailers.is_none());
        frames.push(padded(random, Frame { kind: DATA, flags, stream, payload }));
    }
    if let Some(trailers) = trailers {
        frames.extend(block(random, &trailers, stream, END_STREAM));
    }
    frames
}

/// HEADERS and, now and then, CONTINUATION.
fn block(random: &mut StdRng, fields: &Fields, stream: u32, flags: u8) -> Vec<Frame> {
    let mut rest = encode(fields);
    let mut parts = Vec::new();
    while chance(random, 25) && parts.len() < 4 {
        let tail = rest.split_off(random.random_range(0..=rest.len()));
        parts.push(std::mem::replace(&mut rest, tail));
    }
    parts.push(rest);
    let count = parts.len();
    let frame = |(at, payload)| {
        let last = if at + 1 == count { END_HEADERS } else { 0 };
        let (kind, flags) = if at == 0 { (HEADERS, flags) } else { (CONTINUATION, 0) };
        Frame { kind, flags: flags | last, stream, payload }
    };
    let mut frames: Vec<Frame> = parts.into_iter().enumerate().map(frame).collect();
    if chance(random, 15) {
        frames[0].flags |= PRIORITY;
        frames[0].payload.splice(0..0, [0, 0, 0, 0, 15]);
    }
    frames[0] = padded(random, frames[0].clone());
    frames
}

fn padded(random: &mut StdRng, mut frame: Frame) -> Frame {
    if chance(random, 15) {
        let count: u8 = random.random_range(0..40);
        frame.flags |= PADDED;
        frame.payload.insert(0, count);
        frame.payload.extend(std::iter::repeat_n(0, count.into()));
    }
    frame
}

fn mutate_frames(random: &mut StdRng, frames: &mut Vec<Frame>) {
    let at = random.random_range(0..frames.len());
    let stream = frames[at].stream;
    let mut insert = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        frames.insert(at, Frame { kind, flags, stream, payload: payload.to_vec() });
    };
    match random.random_range(0..16) {
        0 => frames[at].flags ^= 1 << random.random_range(0..8),
        1 => frames[at].kind = random.random_range(0..12),
        2 => frames[at].stream = random.random_range(0..10),
        3 => drop(frames.remove(at)),
        4 => {
            let copy = frames[at].clone();
            frames.insert(at, copy);
        }
        5 => {
            let other = random.random_range(0..frames.len());
            frames.swap(at, other);
        }
        6 => scramble(random, &mut frames[at].payload),
        7 => insert(DATA, 0, stream, b""),
        8 => insert(DATA, END_STREAM, stream, b"GET /smuggled HTTP/1.1\r\n"),
        9 => insert(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
        10 => insert(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]),
        11 => insert(6, 0, 0, b"12345678"),
        12 => insert(8, 0, stream, &[0, 0, 0, 0]),
        13 => insert(0x42, 0xff, stream, b"unknown"),
        14 => insert(5, 0, stream, &[0, 0, 0, 2]),
        _ => insert(CONTINUATION, END_HEADERS, stream, b""),
    }
}

/// Streams take turns; a header block stays together.
fn interleave(random: &mut StdRng, streams: Vec<Vec<Frame>>) -> Vec<Frame> {
    let mut all = Vec::new();
    let mut waiting: Vec<std::vec::IntoIter<Frame>> =
        streams.into_iter().map(Vec::into_iter).collect();
    let mut open = 0;
    let mut inside = None;
    while !waiting.is_empty() {
        // The first frames of streams come in the order of their numbers.
        let at = inside.unwrap_or_else(|| random.random_range(0..waiting.len().min(open + 1)));
        match waiting[at].next() {
            Some(frame) => {
                open = open.max(at + 1);
                let block = matches!(frame.kind, HEADERS | CONTINUATION);
                inside = (block && frame.flags & END_HEADERS == 0).then_some(at);
                all.push(frame);
            }
            None => {
                drop(waiting.remove(at));
                open = open.saturating_sub(1);
                inside = None;
            }
        }
    }
    all
}

impl Frame {
    fn write(&self, bytes: &mut Vec<u8>) {
        let length = u32::try_from(self.payload.len()).expect("a short frame").to_be_bytes();
        bytes.extend_from_slice(&length[1..]);
        bytes.extend_from_slice(&[self.kind, self.flags]);
        bytes.extend_from_slice(&self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
    }

    /// The first frame, and how many bytes it takes.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = bytes.get(..9)?;
        let length = number(&[0, head[0], head[1], head[2]]) as usize;
        let payload = bytes.get(9..9 + length)?.to_vec();
        let stream = number(&head[5..9]) & 0x7fff_ffff;
        Some((Self { kind: head[3], flags: head[4], stream, payload }, 9 + length))
    }

    /// The payload without padding and priority; `None` when that cannot be.
    fn content(&self) -> Option<&[u8]> {
        let mut content = &self.payload[..];
        if self.flags & PADDED != 0 {
            let (&count, rest) = content.split_first()?;
            content = rest.get(..rest.len().checked_sub(count.into())?)?;
        }
        if self.kind == HEADERS && self.flags & PRIORITY != 0 {
            content = content.get(5..)?;
        }
        Some(content)
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, &byte| (sum << 8) | u32::from(byte))
}

/// Literal fields, never indexed (RFC 7541 section 6.2.3).
fn encode(fields: &Fields) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0x10);
        for text in [name, value] {
            let mut left = text.len();
            if left < 127 {
                bytes.push(u8::try_from(left).expect("below 127"));
            } else {
                bytes.push(127);
                left -= 127;
                while left >= 128 {
                    bytes.push(u8::try_from(left % 128).expect("below 128") | 128);
                    left /= 128;
                }
                bytes.push(u8::try_from(left).expect("below 128"));
            }
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

/// The reverse; `None` when anything is compressed, or broken.
fn decode(mut bytes: &[u8]) -> Option<Fields> {
    let mut fields = Vec::new();
    while let Some((&first, rest)) = bytes.split_first() {
        if first != 0x10 && first != 0 {
            return None;
        }
        bytes = rest;
        let name = string(&mut bytes)?;
        let value = string(&mut bytes)?;
        fields.push((name, value));
    }
    Some(fields)
}

fn string(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut length = usize::from(first);
    if first == 127 {
        for shift in [0, 7, 14] {
            let (&byte, tail) = rest.split_first()?;
            rest = tail;
            length += usize::from(byte & 127) << shift;
            if byte < 128 {
                break;
            }
        }
    } else if first > 127 {
        return None;
    }
    let text = rest.get(..length)?.to_vec();
    *bytes = &rest[length..];
    Some(text)
}

// === what they mean ===

/// A request as far as it has come.
#[derive(Default)]
struct Stream {
    /// `None`: malformed.
    head: Option<Request>,
    length: Option<u64>,
    ended: bool,
}

/// What a strict reader makes of a connection. It does not look for errors of the connection: after
/// one the gateway reads less than this, which is its right.
fn meaning(bytes: &[u8]) -> Meaning {
    let mut meaning = Meaning::default();
    let Some(mut rest) = bytes.strip_prefix(PREFACE) else {
        // Another protocol now; at least nothing may come of it.
        return meaning;
    };
    let mut streams = HashMap::<u32, Stream>::new();
    let mut block: Option<Frame> = None;
    let mut parts = 0;
    while let Some((mut frame, length)) = Frame::read(rest) {
        rest = &rest[length..];
        if matches!(frame.kind, HEADERS | DATA) {
            let Some(content) = frame.content() else { break };
            frame.payload = content.to_vec();
        }
        match (&mut block, frame.kind) {
            (None, HEADERS) => {
                parts = 1;
                block = Some(frame);
            }
            (Some(begun), CONTINUATION) if begun.stream == frame.stream => {
                parts += 1;
                begun.payload.append(&mut frame.payload);
                begun.flags |= frame.flags & END_HEADERS;
            }
            (Some(_), _) | (None, CONTINUATION) => break,
            (None, DATA) => streams.entry(frame.stream).or_default().data(&frame, &mut meaning),
            (None, RST_STREAM) => streams.entry(frame.stream).or_default().ended = true,
            (None, _) => {}
        }
        if let Some(whole) = block.take_if(|block| block.flags & END_HEADERS != 0) {
            let Some(fields) = decode(&whole.payload) else {
                meaning.vague = true;
                break;
            };
            match streams.get_mut(&whole.stream) {
                None => {
                    let stream = Stream::begin(fields, parts > 1, &whole, &mut meaning);
                    streams.insert(whole.stream, stream);
                }
                Some(stream) => stream.trailers(&fields, &whole, &mut meaning),
            }
        }
    }
    meaning
}

impl Stream {
    fn begin(fields: Fields, forgets: bool, frame: &Frame, meaning: &mut Meaning) -> Self {
        let mut stream = Self { head: head_of(fields, forgets), ..Self::default() };
        if let Some(head) = &stream.head {
            meaning.part.push(head.clone());
            stream.length = head.all("content-length").first().and_then(|text| text.parse().ok());
        }
        stream.end(frame, meaning);
        stream
    }

    fn data(&mut self, frame: &Frame, meaning: &mut Meaning) {
        if let Some(head) = self.head.as_mut().filter(|_| !self.ended) {
            head.body.extend_from_slice(&frame.payload);
        }
        self.end(frame, meaning);
    }

    fn trailers(&mut self, fields: &Fields, frame: &Frame, meaning: &mut Meaning) {
        // Pseudo-header fields among trailers are malformed (row 57), and mean nothing to anybody.
        let good =
            |(name, value): &(Vec<u8>, Vec<u8>)| name.starts_with(b":") || is_field(name, value);
        if frame.flags & END_STREAM == 0 || !fields.iter().all(good) {
            self.ended = true;
        }
        self.end(frame, meaning);
    }

    fn end(&mut self, frame: &Frame, meaning: &mut Meaning) {
        let Some(head) = &mut self.head else { return };
        let here = head.body.len() as u64;
        // As many bytes as were announced are sent on before it is known whether more will come.
        let full = self.length.is_some_and(|length| here >= length);
        if self.ended || (frame.flags & END_STREAM == 0 && !full) {
            return;
        }
        self.ended = true;
        if full || self.length.is_none() {
            let length = self.length.unwrap_or(here).min(here);
            head.body.truncate(usize::try_from(length).expect("no more than there is"));
            meaning.whole.push((frame.stream, head.clone()));
        }
    }
}

/// The request of a header block, if it is one (RFC 9113 section 8). Where a frame of the block ends
/// inside a field, h2 0.4.20 forgets that a field before that was malformed: it is left out, and the
/// request goes on without it.
fn head_of(fields: Fields, forgets: bool) -> Option<Request> {
    let mut pseudo = HashMap::new();
    let mut regular: Vec<(String, String)> = Vec::new();
    for (name, value) in fields {
        let name = String::from_utf8(name).unwrap_or_default();
        let good = match (name, String::from_utf8(value)) {
            (name, Ok(value)) if name.starts_with(':') => {
                let known = [":method", ":scheme", ":path", ":authority"].contains(&&name[..]);
                let good = known && regular.is_empty() && !pseudo.contains_key(&name[1..]);
                if good && !is_field(b"x", value.as_bytes()) {
                    return None;
                }
                if good {
                    pseudo.insert(name[1..].to_owned(), value);
                }
                good
            }
            (name, _) if is_hop(&name) => false,
            (name, value) if name == "te" && value.as_deref() != Ok("trailers") => false,
            (name, Ok(value)) if is_field(name.as_bytes(), value.as_bytes()) => {
                regular.push((name, value));
                true
            }
            _ => false,
        };
        if !good && !forgets {
            return None;
        }
    }
    as_http1(&pseudo, &regular)
}

fn is_hop(name: &str) -> bool {
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].contains(&name)
}

/// What HTTP/1 asks of a head is asked of this, too.
fn as_http1(pseudo: &HashMap<String, String>, regular: &[(String, String)]) -> Option<Request> {
    let get = |name: &str| pseudo.get(name).map(String::as_str);
    let (method, path, scheme) = (get("method")?, get("path")?, get("scheme")?);
    let odd = |b: u8| !b.is_ascii_alphanumeric() && !b"+-.".contains(&b);
    if scheme.bytes().any(odd) || path.contains("://") {
        return None;
    }
    // The library that holds targets drops a fragment.
    let path = path.split('#').next().unwrap_or_default();
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if let Some(authority) = get("authority") {
        text += &format!("host: {authority}\r\n");
    }
    for (name, value) in regular {
        match get("authority") {
            Some(authority) if name == "host" => {
                if !authority.eq_ignore_ascii_case(value) {
                    return None;
                }
            }
            _ => text += &format!("{name}: {value}\r\n"),
        }
    }
    text += "\r\n";
    match strict::parse(text.as_bytes(), Side::Client) {
        Parsed::Whole(request, used) if used == text.len() => Some(request),
        // The body is not known yet.
        Parsed::Part(Some(request)) => Some(request),
        _ => None,
    }
}

/// RFC 9113 section 8.2.1.
fn is_field(name: &[u8], value: &[u8]) -> bool {
    let token =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    !name.is_empty()
        && name.iter().all(|&b| token(b))
        && value.iter().all(|&b| matches!(b, b'\t' | b' '..=b'~'))
        && !blank(value.first())
        && !blank(value.last())
}
