//! HTTP/1.1 requests by the letter of RFC 9112: a small parser that corrects nothing and shares no
//! code with the gateway. It judges what reaches an upstream, and says what the bytes of a client
//! mean to the strictest of readers.

/// Whose bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A client's: what the RFC lets a recipient understand.
    Client,
    /// Those a gateway sends: nothing that two readers could take differently.
    Upstream,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// As received.
    pub(crate) method: String,
    /// As received.
    pub(crate) target: String,
    /// It came as HTTP/1.0.
    pub(crate) old: bool,
    /// Names and values in the order received.
    pub(crate) fields: Vec<(String, String)>,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
    /// Fields after the last chunk.
    pub(crate) trailers: Vec<(String, String)>,
}

/// What stands at the beginning of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A request, and how many bytes it takes.
    Whole(Request, usize),
    /// The beginning of one; its head, if that is complete.
    Part(Option<Request>),
    /// Something else; the head, if only the body is wrong.
    Bad(String, Option<Request>),
}

/// How a body is framed.
#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

/// Why reading stopped.
enum Stop {
    More,
    Bad(String),
}

type Step<T> = Result<T, Stop>;

/// Fields that belong to one hop, or that the gateway should have taken out.
const HOP: [&str; 4] = ["keep-alive", "proxy-connection", "http2-settings", "proxy-authorization"];
/// Fields whose other spelling some servers cannot tell from them.
#[rustfmt::skip]
const ALIASED: [&str; 8] = [
    "content-length", "transfer-encoding", "host", "connection", "upgrade", "te", "forwarded",
    "x-forwarded-for",
];
/// Fields that mean something in a head and nothing good after a body.
#[rustfmt::skip]
const NO_TRAILER: [&str; 8] = [
    "content-length", "transfer-encoding", "host", "authorization", "connection", "te", "trailer", "forwarded",
];

// === impl Request ===

impl Request {
    /// The first value of a field, empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    fn count(&self, name: &str) -> usize {
        self.all(name).len()
    }

    /// Whether a list field has this member.
    pub(crate) fn lists(&self, name: &str, member: &str) -> bool {
        self.all(name)
            .iter()
            .flat_map(|v| v.split(','))
            .any(|m| m.trim().eq_ignore_ascii_case(member))
    }

    /// The name a test gave this request.
    pub(crate) fn id(&self) -> &str {
        self.get("x-id")
    }
}

/// Reads one request.
pub(crate) fn parse(bytes: &[u8], side: Side) -> Parsed {
    let (mut request, at) = match head(bytes, side) {
        Ok(found) => found,
        Err(Stop::More) => return Parsed::Part(None),
        Err(Stop::Bad(why)) => return Parsed::Bad(why, None),
    };
    let end = framing(&request).and_then(|framing| body(bytes, at, framing, &mut request, side));
    match end {
        Ok(at) => Parsed::Whole(request, at),
        Err(Stop::More) => Parsed::Part(Some(request)),
        Err(Stop::Bad(why)) => Parsed::Bad(why, Some(request)),
    }
}

/// Reads all requests of a client: those that are whole, and what follows them.
pub(crate) fn requests(bytes: &[u8]) -> (Vec<Request>, Parsed) {
    let (mut whole, mut at) = (Vec::new(), 0);
    loop {
        match parse(&bytes[at..], Side::Client) {
            Parsed::Whole(request, length) => {
                at += length;
                whole.push(request);
            }
            rest => return (whole, rest),
        }
    }
}

// === the head ===

fn head(bytes: &[u8], side: Side) -> Step<(Request, usize)> {
    let mut at = 0;
    // RFC 9112 section 2.2: empty lines before a request line may be ignored, by a server.
    while side == Side::Client && at < 8 && bytes[at..].starts_with(b"\r\n") {
        at += 2;
    }
    let (first, mut at) = line(bytes, at)?;
    let mut request = request_line(first, side)?;
    loop {
        let (text, next) = line(bytes, at)?;
        at = next;
        if text.is_empty() {
            break;
        }
        request.fields.push(field(text)?);
    }
    check_fields(&request)?;
    if side == Side::Upstream {
        check_sent(&request)?;
    }
    Ok((request, at))
}

/// A line without its CRLF, and where the next begins.
fn line(bytes: &[u8], at: usize) -> Step<(&[u8], usize)> {
    let rest = &bytes[at..];
    let end = rest.iter().position(|&b| b == b'\r' || b == b'\n').ok_or(Stop::More)?;
    match rest[end..] {
        [b'\n', ..] => bad("a bare LF"),
        [_] => Err(Stop::More),
        [_, b'\n', ..] => Ok((&rest[..end], at + end + 2)),
        _ => bad("a bare CR"),
    }
}

fn request_line(text: &[u8], side: Side) -> Step<Request> {
    let words: Vec<&[u8]> = text.split(|&b| b == b' ').collect();
    let [method, target, version] = words[..] else { return bad("not a request line") };
    if method.is_empty() || !method.iter().all(|&b| is_token(b)) {
        return bad("a method that is no token");
    }
    let old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" if side == Side::Client => true,
        _ => return bad("another version"),
    };
    if method == b"CONNECT" || !is_target(target, method, side) {
        return bad("a bad target");
    }
    let (method, target) = (text_of(method), text_of(target));
    Ok(Request { method, target, old, ..Request::default() })
}

fn is_target(target: &[u8], method: &[u8], side: Side) -> bool {
    let absolute = side == Side::Client && target.contains(&b':');
    match target {
        b"*" => method == b"OPTIONS",
        [b'/', ..] | [b'h' | b'H', ..] if absolute || target[0] == b'/' => {
            let end = target.iter().position(|&b| b == b'?').unwrap_or(target.len());
            let (path, query) = target.split_at(end);
            path.iter().all(|&b| is_path(b, side)) && query.iter().all(|&b| is_query(b))
        }
        _ => false,
    }
}

/// RFC 3986 section 3.3, and the brackets everybody sends. What else browsers send the gateway escapes.
fn is_path(byte: u8, side: Side) -> bool {
    let escaped = side == Side::Client && b"^{|}".contains(&byte);
    byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@[]".contains(&byte) || escaped
}

/// What browsers send in a query (WHATWG URL, the query percent-encode set).
fn is_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"#\"<>".contains(&byte)
}

fn field(text: &[u8]) -> Step<(String, String)> {
    let Some(colon) = text.iter().position(|&b| b == b':') else {
        return bad("a field without a colon");
    };
    let (name, value) = (&text[..colon], &text[colon + 1..]);
    if name.is_empty() || !name.iter().all(|&b| is_token(b)) {
        return bad("a field name that is no token");
    }
    if !value.iter().all(|&b| matches!(b, b'\t' | b' '..=b'~')) {
        return bad("a control or 8-bit byte in a value");
    }
    let value = text_of(value);
    Ok((text_of(name), value.trim_matches([' ', '\t']).to_owned()))
}

fn check_fields(request: &Request) -> Step<()> {
    let hosts = request.count("host");
    if hosts > 1 || (hosts == 0 && !request.old) {
        return bad(&format!("Host {hosts} times"));
    }
    if hosts == 1 && !is_host(request.get("host")) {
        return bad("a malformed Host");
    }
    let (lengths, codings) = (request.count("content-length"), request.count("transfer-encoding"));
    if lengths + codings > 1 {
        return bad("more than one framing");
    }
    if codings == 1
        && (request.old || !request.get("transfer-encoding").eq_ignore_ascii_case("chunked"))
    {
        return bad("a Transfer-Encoding other than chunked, or in HTTP/1.0");
    }
    let length = request.get("content-length");
    if lengths == 1 && (length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit())) {
        return bad("a malformed Content-Length");
    }
    Ok(())
}

/// RFC 9112 section 3.2, RFC 3986 section 3.2.2, without user information.
fn is_host(host: &str) -> bool {
    let end = host.rfind(']').unwrap_or(0);
    let (name, port) = match host[end..].find(':') {
        Some(colon) => (&host[..end + colon], &host[end + colon + 1..]),
        None => (host, "0"),
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let named = |b: u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&b);
    let good = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(named),
    };
    good && !port.is_empty() && port.len() < 6 && port.bytes().all(|b| b.is_ascii_digit())
}

/// What a gateway must not send, though each line of it is well formed.
fn check_sent(request: &Request) -> Step<()> {
    for (name, _) in &request.fields {
        let name = name.to_ascii_lowercase();
        if HOP.contains(&&name[..]) {
            return bad(&format!("`{name}`, which ends at the gateway"));
        }
        if name.contains('_') && ALIASED.contains(&&name.replace('_', "-")[..]) {
            return bad(&format!("`{name}`, an alias"));
        }
    }
    let wanted = ["upgrade", "te", "close"];
    let connection = request.all("connection").join(",");
    let mut named = connection.split(',').map(str::trim).filter(|member| !member.is_empty());
    if let Some(odd) = named.find(|m| !wanted.iter().any(|w| m.eq_ignore_ascii_case(w))) {
        return bad(&format!("`Connection: {odd}`"));
    }
    for (field, option) in [("upgrade", "upgrade"), ("te", "te")] {
        if (request.count(field) > 0) != request.lists("connection", option) {
            return bad(&format!("`{field}` without its connection option, or the reverse"));
        }
    }
    if request.count("te") > 1 || !["", "trailers"].contains(&request.get("te")) {
        return bad("`TE` other than `trailers`");
    }
    let announced = request.count("transfer-encoding") > 0
        || request.get("content-length").bytes().any(|b| b != b'0');
    match &request.all("expect")[..] {
        [] => Ok(()),
        ["100-continue"] if announced => Ok(()),
        other => bad(&format!("`Expect: {other:?}`")),
    }
}

// === the body ===

fn framing(request: &Request) -> Step<Framing> {
    if request.count("transfer-encoding") > 0 {
        return Ok(Framing::Chunked);
    }
    match request.all("content-length").first() {
        None => Ok(Framing::Length(0)),
        Some(text) => text
            .parse()
            .map(Framing::Length)
            .map_err(|_| Stop::Bad("a length beyond reason".into())),
    }
}

fn body(
    bytes: &[u8],
    at: usize,
    framing: Framing,
    request: &mut Request,
    side: Side,
) -> Step<usize> {
    match framing {
        Framing::Length(length) => {
            let end = at.checked_add(length).filter(|&end| end <= bytes.len()).ok_or(Stop::More)?;
            request.body = bytes[at..end].to_vec();
            Ok(end)
        }
        Framing::Chunked => chunks(bytes, at, request, side),
    }
}

fn chunks(bytes: &[u8], mut at: usize, request: &mut Request, side: Side) -> Step<usize> {
    loop {
        let (text, next) = line(bytes, at)?;
        at = next;
        let size = chunk_size(text, side)?;
        if size == 0 {
            break;
        }
        let end = at.checked_add(size).filter(|&end| end <= bytes.len()).ok_or(Stop::More)?;
        request.body.extend_from_slice(&bytes[at..end]);
        match bytes[end..] {
            [b'\r', b'\n', ..] => at = end + 2,
            [] | [b'\r'] => return Err(Stop::More),
            _ => return bad("chunk data that does not end in CRLF"),
        }
    }
    loop {
        let (text, next) = line(bytes, at)?;
        at = next;
        if text.is_empty() {
            return Ok(at);
        }
        let (name, value) = field(text)?;
        if side == Side::Upstream {
            let plain = name.to_ascii_lowercase().replace('_', "-");
            if NO_TRAILER.contains(&&plain[..]) || plain.starts_with("x-forwarded-") {
                return bad(&format!("`{name}` after the last chunk"));
            }
        }
        request.trailers.push((name, value));
    }
}

fn chunk_size(text: &[u8], side: Side) -> Step<usize> {
    let digits = text.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, extension) = text.split_at(digits);
    if size.is_empty() || size.len() > 16 {
        return bad("a malformed chunk size");
    }
    if !extension.is_empty() && (side == Side::Upstream || !is_extension(extension)) {
        return bad("a chunk extension, or what should be one");
    }
    usize::from_str_radix(&text_of(size), 16).map_err(|_| Stop::Bad("a size beyond reason".into()))
}

/// `*( ";" BWS name [ BWS "=" BWS value ] )`, RFC 9112 section 7.1.1.
fn is_extension(mut rest: &[u8]) -> bool {
    while let [b';', tail @ ..] = rest {
        let Some(after) = token(blank(tail)) else { return false };
        rest = blank(after);
        if let [b'=', tail @ ..] = rest {
            let value = blank(tail);
            let after = if value.starts_with(b"\"") { quoted(value) } else { token(value) };
            let Some(after) = after else { return false };
            rest = blank(after);
        }
    }
    rest.is_empty()
}

fn blank(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|b| matches!(b, b' ' | b'\t')).count()..]
}

/// What follows a token; `None` when there is none.
fn token(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take_while(|&&b| is_token(b)).count();
    (length > 0).then(|| &text[length..])
}

/// What follows a quoted string.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let mut at = 1;
    loop {
        match (text.get(at)?, text.get(at + 1)) {
            (b'"', _) => return Some(&text[at + 1..]),
            (b'\\', Some(b'\t' | b' '..=b'~')) => at += 2,
            (b'\t' | b' '..=b'[' | b']'..=b'~', _) => at += 1,
            _ => return None,
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Only ASCII comes here.
fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn bad<T>(why: &str) -> Step<T> {
    Err(Stop::Bad(why.to_owned()))
}

/// Each wrong in one point.
#[rustfmt::skip]
const WRONG: &[&str] = &[
    "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", "GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n",
    "G(T / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\n\r\n",
    "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n: y\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nKeep-Alive: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\nX: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nContent_Length: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
];

#[test]
fn strict_requests_are_read_whatever_has_come_of_them() {
    let good: [&[u8]; 6] = [
        b"GET /a?b=[c] HTTP/1.1\r\nHost: h:80\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost:[::1]:8080\r\nTE: trailers\r\nConnection: te\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ];
    for text in good {
        let parsed = parse(text, Side::Upstream);
        assert!(matches!(parsed, Parsed::Whole(_, used) if used == text.len()), "{parsed:?}");
        for end in 0..text.len() {
            let parsed = parse(&text[..end], Side::Upstream);
            assert!(matches!(parsed, Parsed::Part(_)), "{end} of {text:?}: {parsed:?}");
        }
    }
}

#[test]
fn what_two_readers_could_take_differently_is_bad() {
    #[rustfmt::skip]
    let bodies = [
        "5 \r\n", "+5\r\n", "\r\n", "5;a\r\n", "5\n", "3\r\nabcd", "0\r\nHost: x\r\n", "0\r\nx_\u{e9}: y\r\n",
    ];
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bodies = bodies.map(|body| format!("{chunked}{body}"));
    for text in WRONG.iter().map(|&head| head.to_owned()).chain(bodies) {
        let parsed = parse(text.as_bytes(), Side::Upstream);
        assert!(matches!(parsed, Parsed::Bad(..)), "{text:?}: {parsed:?}");
    }
}

#[test]
fn the_grammar_of_chunk_extensions() {
    for (extension, valid) in [
        (";a", true),
        (";a=b;c = \"d\\\" e\"", true),
        ("; a", true),
        (";", false),
        (";;a", false),
        (";a=", false),
        (";a=\"b", false),
        (" ", false),
    ] {
        assert_eq!(is_extension(extension.as_bytes()), valid, "{extension:?}");
    }
}
