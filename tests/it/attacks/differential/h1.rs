//! Cases of HTTP/1: pipelined requests taken apart into their grammar, mutated, put together.

use std::net::TcpStream;

use rand::{RngExt, rngs::StdRng};
use tokio::time::Instant;

use super::{
    Case, Got, Meaning, Outcome, Protocol, QUIET, REFUSAL, body, chance, is_answer, pick, reason,
    receive, scramble, send, smuggled, split,
};
use crate::support::{
    strict::{Parsed, Request, requests},
    wait::DEADLINE,
};

/// HTTP/1 connections.
pub(super) struct Http1;

/// A piece of a message and what it is.
#[derive(Clone)]
struct Atom(Kind, Vec<u8>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Method,
    Space,
    Target,
    Version,
    End,
    Name,
    Colon,
    Blank,
    Value,
    Length,
    Size,
    Extension,
    Data,
}

/// What may stand for each kind of atom.
fn odd(kind: Kind) -> &'static [&'static [u8]] {
    match kind {
        Kind::Method => METHODS,
        Kind::Space => SPACES,
        Kind::Version => VERSIONS,
        Kind::End => ENDS,
        Kind::Name => NAMES,
        Kind::Colon => COLONS,
        Kind::Length => LENGTHS,
        Kind::Size => SIZES,
        Kind::Extension => EXTENSIONS,
        Kind::Data => DATA,
        Kind::Target => TARGETS,
        Kind::Blank => BLANKS,
        Kind::Value => VALUES,
    }
}

#[rustfmt::skip]
const METHODS: &[&[u8]] = &[
    b"HEAD", b"OPTIONS", b"CONNECT", b"TRACE", b"get", b"G ET", b"", b"PRI", b"\0GET", b"POST\t",
    b"P\xc3\xb6ST", b"TIDEGATE-REFUSED", b"GET\r\nX", b" GET", b"DELETE", b"M!THOD",
];

const SPACES: &[&[u8]] = &[b"", b"  ", b"\t", b"\x0b", b"\x0c", b"\xa0", b"\r\n ", b"\0"];

#[rustfmt::skip]
const VERSIONS: &[&[u8]] = &[
    b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.10", b"HTTP/1.1 ", b"HTTP/1.1x",
    b"", b"HTTP/11", b"HTTP /1.1", b"HTTP/1.1\t",
];

#[rustfmt::skip]
const ENDS: &[&[u8]] = &[
    b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"\r\n\t", b"", b"\r\n\r\n", b" \r\n", b"\0\r\n", b"\x0b\r\n",
    b"\n\n", b"\r\n\n", b"\x85",
];

#[rustfmt::skip]
const NAMES: &[&[u8]] = &[
    b"", b"X", b"Content-Length", b"Transfer-Encoding", b"content_length", b"Transfer_Encoding", b"Host",
    b"Connection", b"Upgrade", b"Expect", b"TE", b"Trailer", b"Keep-Alive", b"X Y", b"X\0", b"\xefX",
    b"X\r\nY", b"Content-Length ", b" X", b"\"X\"", b"X(Y)", b"transfer-encoding", b"Content-Lengt\xc4\xa7",
];

const COLONS: &[&[u8]] =
    &[b"", b" :", b"\t:", b"::", b": :", b"\0:", b";", b"\x0b:", b"=", b":\r\n"];

#[rustfmt::skip]
const LENGTHS: &[&[u8]] = &[
    b"0", b"1", b"5", b"+5", b"-5", b"0x5", b"5 5", b"5, 5", b"", b" ", b"05", b"1_0", b"5.0",
    b"18446744073709551616", b"18446744073709551615", b"9999999999", b"5\0", b"\x0b5", b"5\r\n 0", b"five",
    b"00000000000000000000000005",
];

#[rustfmt::skip]
const SIZES: &[&[u8]] = &[
    b"", b"0", b"00", b"1", b"5", b"+5", b"-5", b"0x5", b" 5", b"5 ", b"g", b"5g", b"ffffffffffffffff",
    b"10000000000000000", b"7fffffffffffffff", b"\x005", b"5\t", b"_5", b"5\n", b"000000000000000000005",
];

#[rustfmt::skip]
const EXTENSIONS: &[&[u8]] = &[
    b";", b";;", b";a", b";a=b", b";a=\"b\"", b";a=\"b\\\"c\"", b";a=\"b", b"; a = b", b" ;a", b";a\n",
    b";a\r", b";a\0", b";\xe9", b";a=\"\r\n\"", b" ", b"\t", b",a", b";a;b=c;d",
];

const DATA: &[&[u8]] = &[b"", b"\r\n", b"0\r\n\r\n", b"x"];

#[rustfmt::skip]
const TARGETS: &[&[u8]] = &[
    b"*", b"", b"a", b"a:443", b"//a/b", b"/a b", b"/a#b", b"/\\a", b"/../..", b"/%2e%2e/x", b"/%00", b"/%zz", b"/a\0b",
    b"/\xe9", b"http://a/x", b"http://other/", b"https://a/", b"http://u@a/", b"http://a:80/x", b"HTTP://A/",
    b"http:///x", b"http:/x", b"ftp://a/", b"/x?y=[1]&z={2}", b"/x HTTP/1.1\r\nX: y", b"/..;/x", b"http://a?x", b"http://a",
];

const BLANKS: &[&[u8]] =
    &[b"", b" ", b"\t", b"   ", b"\x0b", b"\x0c", b"\0", b"\r\n ", b"\xc2\xa0"];

#[rustfmt::skip]
const VALUES: &[&[u8]] = &[
    b"", b"chunked", b"identity", b"chunked, chunked", b"gzip, chunked", b"x, chunked", b"\x0bchunked", b"chunked\0",
    b"5", b"0", b"5, 5", b"-1", b"keep-alive", b"close", b"x-id", b"upgrade", b"te", b"content-length",
    b"host, content-length", b"transfer-encoding", b"websocket", b"h2c", b"100-continue", b"100-continue, x", b"trailers",
    b"a\rb", b"a\nb", b"a\0b", b"\x80\xff", b"a\r\n b", b"a\r\nContent-Length: 5", b"a, b", b"@a", b"a:80", b"[::1]", b"\"", b"\\",
];

/// Whole lines that change what a message means, to some reader.
#[rustfmt::skip]
const LINES: [&[u8]; 44] = [
    b"Content-Length: 5", b"Content-Length: 0", b"content-length:5", b"Content-Length : 5",
    b"Content-Length\t: 5", b"Content-Length:", b"Content-Length: 5, 5", b"Content_Length: 5",
    b" Content-Length: 5", b"X-Content-Length: 5", b"Transfer-Encoding: chunked", b"transfer-encoding:CHUNKED",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding:\r\n chunked", b"Transfer_Encoding: chunked",
    b"\tTransfer-Encoding: chunked", b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked",
    b"Transfer-Encoding\0: chunked", b"Host: b", b"Host: a", b"Host:", b"Host : a", b"Connection: close",
    b"Connection: keep-alive, x-id", b"Connection: content-length", b"Connection: transfer-encoding, host",
    b"Connection: upgrade", b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk", b"Upgrade: x",
    b"Expect: 100-continue", b"Expect: odd", b"Expect : 100-continue",
    b"TE: trailers\r\nTrailer: content-length, x-t", b"TE: chunked", b"Keep-Alive: timeout=5",
    b"X_Forwarded_For: 1.2.3.4", b": nameless",
];

#[rustfmt::skip]
const EXTRA: [&[u8]; 10] = [
    b"User-Agent: test", b"Accept: */*", b"Cookie: a=b; c=d", b"Content-Type: text/plain",
    b"X-Thing: one\ttwo", b"Connection: keep-alive", b"X-Empty:", b"Forwarded: for=1.2.3.4",
    b"X-Forwarded-For: 1.2.3.4, 5.6.7.8", b"TE: trailers",
];

impl Protocol for Http1 {
    const NAME: &'static str = "h1";

    fn case(random: &mut StdRng, number: usize) -> Case {
        let count = random.random_range(1..=3);
        let mut atoms: Vec<Vec<Atom>> =
            (0..count).map(|index| request(random, number, index, index + 1 == count)).collect();
        let clean = chance(random, 20);
        let mutations = if clean { 0 } else { random.random_range(1..=3) };
        let mut scrambles = 0;
        for _ in 0..mutations {
            let which = random.random_range(0..count);
            match random.random_range(0..10) {
                0..7 => mutate(random, &mut atoms[which], number),
                _ => scrambles += 1,
            }
        }
        let mut bytes: Vec<u8> = atoms.iter().flatten().flat_map(|atom| atom.1.clone()).collect();
        for _ in 0..scrambles {
            scramble(random, &mut bytes);
        }
        if !clean && chance(random, 8) {
            bytes.truncate(random.random_range(0..=bytes.len()));
        }
        if !clean && chance(random, 8) {
            bytes.extend_from_slice(smuggled(number).as_bytes());
        }
        let pieces = split(random, &bytes);
        Case { pieces, clean, meaning: meaning(&bytes) }
    }

    fn play(case: &Case, mut stream: TcpStream) -> Result<Outcome, String> {
        send(&case.pieces, &mut stream);
        let (meaning, whole) = (&case.meaning, &case.meaning.whole);
        let (mut outcome, mut buffer, mut answers) = (Outcome::default(), Vec::new(), 0);
        let begun = Instant::now();
        loop {
            while let Some((status, body)) = answer(&mut buffer, meaning.at(answers))? {
                if body.starts_with(b"recorded ") || status == 200 {
                    let right = whole.get(answers).is_some_and(|(_, request)| {
                        request.method == "HEAD" || is_answer(&body, request)
                    });
                    if !right {
                        return Err(complaint(case, answers, &body));
                    }
                    outcome.passed += 1;
                } else {
                    outcome.refused.push(reason(&body));
                    if case.clean {
                        return Err(complaint(case, answers, &body));
                    }
                }
                answers += 1;
            }
            let due = answers < whole.len();
            let patience = match (due, meaning.bad, meaning.open) {
                (true, ..) => DEADLINE,
                (false, true, _) => REFUSAL,
                (false, false, true) => QUIET,
                (false, false, false) => break,
            };
            match receive(&mut stream, &mut buffer, patience) {
                Got::Bytes => {}
                Got::Closed => break,
                Got::Nothing if due => {
                    return Err(format!(
                        "{} after {:?}",
                        complaint(case, answers, b"no answer"),
                        begun.elapsed()
                    ));
                }
                Got::Nothing => {
                    outcome.refused.extend(meaning.bad.then(|| "waits for more".to_owned()));
                    break;
                }
            }
        }
        if case.clean && outcome.passed < whole.len() {
            return Err(complaint(case, answers, b"closed"));
        }
        // The body of an error may have come after its head was taken for that of a HEAD.
        if !buffer.is_empty() && !buffer.starts_with(b"{\"type\":") {
            return Err(complaint(case, answers, &buffer));
        }
        Ok(outcome)
    }
}

fn complaint(case: &Case, index: usize, body: &[u8]) -> String {
    let first: Vec<u8> = case.pieces.concat();
    let wanted = case.meaning.whole.get(index).map(|(_, request)| request);
    let name = wanted.map_or("", Request::id).to_owned();
    format!(
        "answer {index} ({name}) is {:?}, instead of that to {wanted:?}; sent: {}",
        String::from_utf8_lossy(body),
        first.escape_ascii()
    )
}

/// The next answer: status and body.
fn answer(buffer: &mut Vec<u8>, to: Option<&Request>) -> Result<Option<(u16, Vec<u8>)>, String> {
    loop {
        let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") else { return Ok(None) };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let status = head.get(9..12).and_then(|text| text.parse::<u16>().ok());
        let status = status.ok_or_else(|| format!("no status line: {head:?}"))?;
        if status < 200 {
            buffer.drain(..end + 4);
            continue;
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
        });
        // The answer to HEAD has no body, unless it was refused before its method was known; neither
        // has what hyper refuses by itself. What is no request may be HEAD, too.
        let head = to.is_none_or(|request| request.method == "HEAD");
        let bare = head && buffer.get(end + 4) != Some(&b'{');
        let length = if bare { 0 } else { length.unwrap_or(0) };
        if buffer.len() < end + 4 + length {
            return Ok(None);
        }
        let body = buffer[end + 4..end + 4 + length].to_vec();
        buffer.drain(..end + 4 + length);
        return Ok(Some((status, body)));
    }
}

fn meaning(bytes: &[u8]) -> Meaning {
    let (mut whole, rest) = requests(bytes);
    whole.iter_mut().for_each(without_named);
    let used = matches!(rest, Parsed::Part(None)) && bytes.is_empty();
    let (bad, head) = match rest {
        Parsed::Bad(_, head) => (true, head),
        Parsed::Part(head) => (false, head),
        Parsed::Whole(..) => unreachable!("it would have been taken"),
    };
    let mut part: Vec<Request> = head.into_iter().collect();
    part.iter_mut().for_each(without_named);
    Meaning {
        part,
        open: !bad && !used,
        whole: whole.into_iter().map(|request| (0, request)).collect(),
        bad,
        vague: false,
    }
}

/// A name the client itself has named in `Connection` ends at the gateway.
fn without_named(request: &mut Request) {
    if request.lists("connection", "x-id") {
        request.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("x-id"));
    }
}

// === making requests ===

fn request(random: &mut StdRng, number: usize, index: usize, last: bool) -> Vec<Atom> {
    let body = body(random, number);
    let mut atoms = Vec::new();
    let kind = random.random_range(0..4);
    let method: &[u8] = match kind {
        0 => b"GET",
        1 => b"DELETE",
        _ => pick(random, &[&b"POST"[..], b"PUT", b"PATCH"]),
    };
    let target = format!("/{}/{number}/{index}?q={index}", Http1::NAME);
    for (kind, text) in [
        (Kind::Method, method),
        (Kind::Space, b" "),
        (Kind::Target, target.as_bytes()),
        (Kind::Space, b" "),
        (Kind::Version, b"HTTP/1.1"),
        (Kind::End, b"\r\n"),
    ] {
        atoms.push(Atom(kind, text.to_vec()));
    }
    let mut lines: Vec<Vec<u8>> =
        vec![b"Host: a".to_vec(), format!("X-Id: {}-{number}-{index}", Http1::NAME).into_bytes()];
    for _ in 0..random.random_range(0..4) {
        lines.push(pick(random, &EXTRA).to_vec());
    }
    // One of each is enough, and two `TE` would be odd.
    lines.sort();
    lines.dedup();
    if last && chance(random, 10) {
        lines.retain(|line| !line.starts_with(b"Connection"));
        lines.push(b"Connection: close".to_vec());
    }
    match kind {
        0 => {}
        1 => lines.push(b"Content-Length: 0".to_vec()),
        2 => lines.push(format!("Content-Length: {}", body.len()).into_bytes()),
        _ => lines.push(b"Transfer-Encoding: chunked".to_vec()),
    }
    if kind > 1 && chance(random, 10) {
        lines.push(b"Expect: 100-continue".to_vec());
    }
    let trailers = kind == 3 && chance(random, 30);
    if trailers {
        lines.push(b"Trailer: X-Sum".to_vec());
    }
    for at in (1..lines.len()).rev() {
        lines.swap(at, random.random_range(0..=at));
    }
    lines.iter().for_each(|line| field(&mut atoms, line));
    atoms.push(Atom(Kind::End, b"\r\n".to_vec()));
    match kind {
        2 => atoms.push(Atom(Kind::Data, body)),
        3 => chunks(random, &mut atoms, &body, trailers),
        _ => {}
    }
    atoms
}

fn field(atoms: &mut Vec<Atom>, line: &[u8]) {
    let colon = line.iter().position(|&b| b == b':').unwrap_or(line.len());
    let (name, rest) = line.split_at(colon);
    let value = rest.strip_prefix(b":").unwrap_or(rest);
    let value = value.strip_prefix(b" ").unwrap_or(value);
    let length = name.eq_ignore_ascii_case(b"content-length");
    atoms.extend([
        Atom(Kind::Name, name.to_vec()),
        Atom(Kind::Colon, b":".to_vec()),
        Atom(Kind::Blank, b" ".to_vec()),
        Atom(if length { Kind::Length } else { Kind::Value }, value.to_vec()),
        Atom(Kind::End, b"\r\n".to_vec()),
    ]);
}

fn chunks(random: &mut StdRng, atoms: &mut Vec<Atom>, mut body: &[u8], trailers: bool) {
    while !body.is_empty() {
        let (chunk, rest) = body.split_at(random.random_range(1..=body.len()));
        body = rest;
        let extension: &[u8] = pick(random, &[&b""[..], b"", b"", b";a", b";a=b;c=\"d e\""]);
        atoms.extend([
            Atom(Kind::Size, format!("{:x}", chunk.len()).into_bytes()),
            Atom(Kind::Extension, extension.to_vec()),
            Atom(Kind::End, b"\r\n".to_vec()),
            Atom(Kind::Data, chunk.to_vec()),
            Atom(Kind::End, b"\r\n".to_vec()),
        ]);
    }
    atoms.extend([Atom(Kind::Size, b"0".to_vec()), Atom(Kind::End, b"\r\n".to_vec())]);
    if trailers {
        field(atoms, b"X-Sum: 1");
    }
    atoms.push(Atom(Kind::End, b"\r\n".to_vec()));
}

// === mutating them ===

fn mutate(random: &mut StdRng, atoms: &mut Vec<Atom>, number: usize) {
    let at = random.random_range(0..atoms.len());
    match random.random_range(0..12) {
        0..5 => {
            let kind = atoms[at].0;
            atoms[at].1 = pick(random, odd(kind)).to_vec();
        }
        5..8 => insert_line(random, atoms),
        8 => drop(atoms.remove(at)),
        9 => {
            let copy = atoms[at].clone();
            atoms.insert(at, copy);
        }
        10 => off_by_some(random, atoms),
        _ => {
            let smuggled = Atom(Kind::Data, smuggled(number).into_bytes());
            atoms.insert(at, smuggled);
        }
    }
}

/// A line that some reader takes for another framing, before one of the fields.
fn insert_line(random: &mut StdRng, atoms: &mut Vec<Atom>) {
    let ends: Vec<usize> =
        (0..atoms.len()).filter(|&at| atoms[at].0 == Kind::Name).chain([0]).collect();
    let at = ends[random.random_range(0..ends.len())];
    let line = pick(random, &LINES);
    atoms.insert(at, Atom(Kind::Value, [line, b"\r\n"].concat()));
}

/// A length or a chunk size that is nearly right.
fn off_by_some(random: &mut StdRng, atoms: &mut [Atom]) {
    let numbers: Vec<usize> =
        (0..atoms.len()).filter(|&at| matches!(atoms[at].0, Kind::Length | Kind::Size)).collect();
    if numbers.is_empty() {
        return;
    }
    let atom = &mut atoms[numbers[random.random_range(0..numbers.len())]];
    let radix = if atom.0 == Kind::Size { 16 } else { 10 };
    let text = String::from_utf8_lossy(&atom.1).into_owned();
    let Ok(value) = u64::from_str_radix(&text, radix) else { return };
    let wrong = value.wrapping_add_signed(random.random_range(-3..=3));
    atom.1 = if radix == 16 { format!("{wrong:x}") } else { wrong.to_string() }.into_bytes();
}
