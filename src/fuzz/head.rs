//! The scanner of HTTP/1 streams: the same verdict however the stream is cut, and of what passes
//! every head is one httparse (which is what hyper reads with) understands in the same way, framed
//! as a second, naive reader frames it.

use http::{HeaderName, HeaderValue, Method, Uri};

use crate::{
    error::Reason,
    server::scan::{Limits, Next, Scanner},
};

/// Small, so that small inputs reach them.
const LIMITS: Limits = Limits { header_size: 1024, header_count: 16, uri_length: 128 };

/// What came of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// So many bytes went on.
    passed: usize,
    end: End,
}

/// What of the rest.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It waits for more, in this place.
    More(Place),
    /// The head after what passed is refused.
    Refused(Reason, &'static str),
    /// The body being read is broken.
    BadBody(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    Body,
    /// After a message that asked for another protocol.
    Held,
}

/// One request as the naive reader sees it: where it starts, where its head and its body end.
struct Message {
    head_end: usize,
    end: Option<usize>,
}

pub(super) fn check(stream: &[u8]) {
    let whole = feed(stream, |_| stream.len(), &mut |_, _| ());
    let messages = read(&stream[..whole.passed]);
    agree(&whole, &messages);
    let mut visit = |passed: usize, place: Place| match place {
        Place::Head | Place::Held => {
            let between = passed == 0 || messages.iter().any(|m| m.end == Some(passed));
            assert!(between, "{passed} is no boundary");
        }
        Place::Body => {
            let inside = |m: &Message| m.head_end <= passed && m.end.is_none_or(|end| passed < end);
            assert!(messages.iter().any(inside), "{passed} is in no body");
        }
    };
    for step in [1, 7] {
        same(&whole, &feed(stream, |end| end + step, &mut visit));
    }
    let mut random = stream.iter().fold(1_u32, |sum, &byte| step_of(sum) ^ u32::from(byte));
    let cut = |end| {
        random = step_of(random);
        end + 1 + (random >> 16) as usize % 40
    };
    same(&whole, &feed(stream, cut, &mut visit));
}

/// One step of a linear congruential generator.
fn step_of(state: u32) -> u32 {
    state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
}

/// Feeds a stream in pieces, keeping what was not passed, as the wire does; every upgrade is refused.
fn feed(
    stream: &[u8],
    mut cut: impl FnMut(usize) -> usize,
    visit: &mut dyn FnMut(usize, Place),
) -> Outcome {
    let mut scanner = Scanner::new(LIMITS);
    let (mut passed, mut end) = (0, 0);
    loop {
        let scan = scanner.scan(&stream[passed..end]);
        passed += scan.pass;
        assert!(passed <= end, "more passes than was given");
        let place = match (scanner.is_at_head(), scanner.is_in_body(), scanner.is_held()) {
            (true, false, false) => Place::Head,
            (false, true, false) => Place::Body,
            (false, false, true) => Place::Held,
            places => panic!("in several places at once: {places:?}"),
        };
        visit(passed, place);
        let end_now = match scan.next {
            Next::Hold => {
                scanner.resume();
                continue;
            }
            Next::More => End::More(place),
            Next::Refuse(refusal) => End::Refused(refusal.reason, refusal.detail),
            Next::BadBody(detail) => End::BadBody(detail),
        };
        if end == stream.len() || !matches!(end_now, End::More(_)) {
            return Outcome { passed, end: end_now };
        }
        end = cut(end).clamp(end + 1, stream.len());
    }
}

/// The cuts decide two things only: which is found first of a head that is too large and also wrong,
/// and how much of a broken body has gone on before it was seen to be broken.
fn same(whole: &Outcome, cut: &Outcome) {
    if let (End::BadBody(first), End::BadBody(second)) = (&whole.end, &cut.end) {
        assert_eq!(first, second);
        return;
    }
    let large =
        |end: &End| matches!(end, End::Refused(Reason::UriTooLong | Reason::HeaderTooLarge, _));
    let refused = |end: &End| matches!(end, End::Refused(..));
    if refused(&whole.end) && refused(&cut.end) && (large(&whole.end) || large(&cut.end)) {
        assert_eq!(whole.passed, cut.passed);
    } else {
        assert_eq!(whole, cut, "the cuts decide");
    }
}

/// The end of the scan must be where the naive reader is.
fn agree(outcome: &Outcome, messages: &[Message]) {
    let last = messages.last();
    let open = last.is_some_and(|message| message.end.is_none());
    match &outcome.end {
        End::More(Place::Body) | End::BadBody(_) => assert!(open, "{outcome:?}"),
        End::More(Place::Head | Place::Held) | End::Refused(..) => assert!(!open, "{outcome:?}"),
    }
    if !open {
        assert_eq!(last.map_or(0, |message| message.end.unwrap_or(0)), outcome.passed);
    }
}

/// Reads what has passed, with httparse and the simplest framing that can be written.
fn read(passed: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut at = 0;
    while at < passed.len() {
        let mut fields = [httparse::EMPTY_HEADER; LIMITS.header_count];
        let mut request = httparse::Request::new(&mut fields);
        let length = match request.parse(&passed[at..]) {
            Ok(httparse::Status::Complete(length)) => length,
            other => panic!("httparse says {other:?} of a head that passed"),
        };
        spelled_alike(&passed[at..at + length], &request);
        at += length;
        let head_end = at;
        let length = body_length(&request, &passed[at..]).filter(|n| *n <= passed.len() - at);
        at = length.map_or(passed.len(), |length| at + length);
        messages.push(Message { head_end, end: length.map(|_| at) });
    }
    messages
}

/// The lines of a head, cut with nothing but `split`, are what httparse found, and hyper can hold
/// all of it in the types of `http`.
fn spelled_alike(head: &[u8], request: &httparse::Request<'_, '_>) {
    let text = std::str::from_utf8(head).expect("only ASCII passes");
    assert!(text.bytes().all(|b| matches!(b, b'\t' | b'\r' | b'\n' | b' '..=b'~')));
    let mut lines = text.trim_start_matches("\r\n").split("\r\n");
    let first: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
    let version = format!("HTTP/1.{}", request.version.unwrap_or(9));
    assert_eq!(first, [request.method.unwrap_or(""), request.path.unwrap_or(""), &version]);
    assert_ne!(request.method, Some("CONNECT"));
    Method::from_bytes(first[0].as_bytes()).expect("a method");
    // An absolute target that hyper cannot read gets hyper's own answer, see docs/security.md.
    assert!(Uri::try_from(first[1]).is_ok() || !first[1].starts_with('/'), "{:?}", first[1]);
    for field in request.headers.iter() {
        let (name, value) = lines.next().and_then(|line| line.split_once(':')).expect("a field");
        assert_eq!(name, field.name);
        assert_eq!(value.trim_matches([' ', '\t']).as_bytes(), field.value);
        HeaderName::from_bytes(name.as_bytes()).expect("a name");
        HeaderValue::from_bytes(field.value).expect("a value");
    }
    assert_eq!(lines.collect::<Vec<_>>(), ["", ""], "lines httparse did not see");
}

/// How long the body is; `None`: longer than what is there.
fn body_length(request: &httparse::Request<'_, '_>, rest: &[u8]) -> Option<usize> {
    let all = |wanted: &str| -> Vec<&[u8]> {
        let named = request.headers.iter().filter(|f| f.name.eq_ignore_ascii_case(wanted));
        named.map(|field| field.value).collect()
    };
    let (codings, lengths) = (all("transfer-encoding"), all("content-length"));
    assert!(codings.len() + lengths.len() <= 1, "two framings: {codings:?} {lengths:?}");
    if let Some(coding) = codings.first() {
        assert!(coding.eq_ignore_ascii_case(b"chunked") && request.version == Some(1));
        return chunked_length(rest);
    }
    let Some(length) = lengths.first() else { return Some(0) };
    assert!(!length.is_empty() && length.iter().all(u8::is_ascii_digit), "{length:?}");
    let length: u64 = std::str::from_utf8(length).ok()?.parse().expect("no overflow");
    usize::try_from(length).ok()
}

/// Where a chunked body ends. Panics at what RFC 9112 does not allow.
fn chunked_length(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = line_at(body, at)?;
        at += line.len() + 2;
        let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
        assert!(digits.iter().all(u8::is_ascii_hexdigit), "{line:?}");
        let digits = std::str::from_utf8(digits).ok()?;
        let size = u64::from_str_radix(digits, 16).expect("a size");
        if size == 0 {
            break;
        }
        at = usize::try_from(size).ok()?.checked_add(at)?;
        let close = body.get(at..at.checked_add(2)?)?;
        assert_eq!(close, b"\r\n", "chunk data longer than its size");
        at += 2;
    }
    loop {
        let line = line_at(body, at)?;
        at += line.len() + 2;
        if line.is_empty() {
            return Some(at);
        }
    }
}

fn line_at(body: &[u8], at: usize) -> Option<&[u8]> {
    let rest = body.get(at..)?;
    let length = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &rest[..length];
    assert!(!line.contains(&b'\r') && !line.contains(&b'\n'), "{line:?}");
    Some(line)
}
