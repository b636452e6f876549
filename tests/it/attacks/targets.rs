//! Rows 37 to 45: hosts, targets and paths.

use crate::support::{
    frames::{
        DATA, END_STREAM, Field, Frames, Outcome, PROTOCOL_ERROR, frame, get, headers, replaced,
    },
    http::Response,
    prelude::*,
    wire::Head,
};

/// A gateway for both protocols before an upstream that records.
pub(super) struct Stand {
    pub(super) upstream: Raw,
    pub(super) gateway: Gateway,
}

/// What is sent behind a request that is refused: it must not be answered.
const BEHIND: &[u8] = b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";

// === impl Stand ===

impl Stand {
    /// One route for everything.
    #[track_caller]
    pub(super) fn new() -> Self {
        Self::with("routes: { app: { to: \"UPSTREAM\" } }\n")
    }

    /// These routes and settings, `UPSTREAM` standing for the upstream's URL.
    #[track_caller]
    pub(super) fn with(yaml: &str) -> Self {
        let upstream = Raw::echo();
        let listeners = "listeners: { http: { address: \"127.0.0.1:0\", protocols: [h1, h2c] } }\n";
        let listeners = if yaml.contains("listeners:") { "" } else { listeners };
        let yaml = format!("{listeners}{}", yaml.replace("UPSTREAM", &upstream.url()));
        Self { upstream, gateway: Gateway::start(&yaml) }
    }

    /// Over HTTP/1: refused so, the connection closed, nothing upstream, and the next client unharmed.
    #[track_caller]
    pub(super) fn refuses(&self, bytes: impl AsRef<[u8]>, status: u16, reason: &str) {
        let bytes = bytes.as_ref();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let before = self.upstream.requests().len();
        let mut client = self.gateway.client();
        client.send([bytes, BEHIND].concat());
        let Some((answer, _)) = client.try_response("GET") else {
            panic!("no answer to {shown:?}");
        };
        let said = (answer.status, answer.reason());
        assert_eq!(said, (status, reason.to_owned()), "{shown:?} {}", answer.text());
        let rest = client.wire().rest();
        assert!(rest.is_empty(), "{shown:?} went on with {:?}", String::from_utf8_lossy(&rest));
        self.nothing_since(before, &shown);
    }

    /// Over HTTP/2: the same, and other streams go on; or the library resets the stream as malformed, or
    /// ends the connection where it cannot even read the head.
    #[track_caller]
    pub(super) fn refuses_h2(&self, fields: &[Field<'_>], status: u16, reason: &str) {
        let shown: Vec<_> =
            fields.iter().map(|(n, v)| (String::from_utf8_lossy(n), short(v))).collect();
        let before = self.upstream.requests().len();
        let mut frames = Frames::connect(self.gateway.addr("http"), &[]);
        let outcome = frames.exchange(1, fields);
        let ended = matches!(outcome, Outcome::Ended(_) | Outcome::Closed);
        let fine = ended
            || outcome == Outcome::Reset(PROTOCOL_ERROR)
            || outcome.reason() == (status, reason.to_owned());
        assert!(fine, "{shown:?}: {outcome:?} instead of {status} {reason}");
        self.nothing_since(before, &format!("{shown:?}"));
        if ended {
            frames = Frames::connect(self.gateway.addr("http"), &[]);
        }
        let clean = frames.exchange(3, &get("/clean", &[]));
        assert!(matches!(clean, Outcome::Answer { status: 200, .. }), "{shown:?}: {clean:?}");
    }

    #[track_caller]
    fn nothing_since(&self, before: usize, shown: &str) {
        let came: Vec<_> = self.upstream.requests().split_off(before);
        assert!(came.is_empty(), "{shown} reached the upstream: {came:?}");
        let clean = self.gateway.get("a", "/clean");
        assert_eq!((clean.status, clean.echoed_target().as_str()), (200, "/clean"), "{shown}");
    }

    /// Over HTTP/1: answered, and what the upstream received.
    #[track_caller]
    pub(super) fn forwards(&self, bytes: impl AsRef<[u8]>) -> (Response, Head) {
        let shown = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        let mut client = self.gateway.client();
        client.send(bytes);
        let answer = client.response();
        assert_eq!(answer.status, 200, "{shown:?}: {}", answer.text());
        (answer, self.last())
    }

    /// Over HTTP/2: what the upstream received.
    #[track_caller]
    pub(super) fn forwards_h2(&self, fields: &[Field<'_>]) -> Head {
        let outcome = Frames::connect(self.gateway.addr("http"), &[]).exchange(1, fields);
        assert!(matches!(outcome, Outcome::Answer { status: 200, .. }), "{outcome:?}");
        self.last()
    }

    #[track_caller]
    fn last(&self) -> Head {
        self.upstream.requests().pop().expect("the upstream was asked")
    }
}

fn short(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned()
}

/// A GET with this `:authority`.
fn get_at<'f>(authority: &'f [u8], path: &'f str) -> Vec<Field<'f>> {
    replaced(get(path, &[]), b":authority", authority)
}

fn head(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn row_37_there_is_one_well_formed_host() {
    let stand = Stand::new();
    stand.refuses("GET / HTTP/1.1\r\n\r\n", 400, "bad_host");
    for hosts in [
        "Host: a\r\nHost: b",
        "Host: a\r\nHost: a",
        "Host: a\r\nhost: a",
        "Host:",
        "Host: u@a",
        "Host: u:p@a",
        "Host: a/b",
        "Host: a/../b",
        "Host: u@a/b",
        "Host: a b",
        "Host: a,b",
        "Host: a\tb",
        "Host: a:8x",
        "Host: a:",
        "Host: a:65536",
        "Host: a:-1",
        "Host: a:80:80",
        "Host: a?b",
        "Host: a#b",
        "Host: a\\b",
        "Host: a;b",
        "Host: a%00",
        "Host: [::1",
        "Host: [zz]",
        "Host: [::1]x",
        "Host: .",
    ] {
        stand.refuses(format!("GET / HTTP/1.1\r\n{hosts}\r\n\r\n"), 400, "bad_host");
    }
    stand.refuses("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "bad_request");
    stand.refuses("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 400, "bad_request");
    for authority in
        ["u@a", "a/b", "a b", "a,b", "a:8x", "a:", "a:65536", "[::1", "", "a#b", "a%00"]
    {
        stand.refuses_h2(&get_at(authority.as_bytes(), "/"), 400, "bad_host");
    }
    let bare: [Field<'_>; 3] = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")];
    stand.refuses_h2(&bare, 400, "bad_host");
    stand.refuses_h2(&[&bare[..], &[(b"host", b"u@a")]].concat(), 400, "bad_host");
    stand.refuses_h2(&[&bare[..], &[(b"host", b"a"), (b"host", b"a")]].concat(), 400, "bad_host");
    // A host is compared without case, port and final dot, and sent as it came.
    let (_, received) = stand.forwards("GET / HTTP/1.1\r\nHost: A.example.:8080\r\n\r\n");
    assert_eq!(received.all("host"), ["A.example.:8080"]);
}

#[test]
fn row_38_the_absolute_form_and_host_agree() {
    let stand = Stand::new();
    let (_, received) =
        stand.forwards("GET http://a.example/x?y HTTP/1.1\r\nHost: A.Example\r\n\r\n");
    assert_eq!((received.word(1), received.all("host")), ("/x?y", vec!["A.Example"]));
    let (_, received) = stand.forwards("GET HTTP://a?y HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(received.word(1), "/?y");
    // HTTP/1.0 needs no Host: the target says it.
    let (_, received) = stand.forwards("GET http://a.example:81/x HTTP/1.0\r\n\r\n");
    assert_eq!(received.all("host"), ["a.example:81"]);
    for (target, host) in [
        ("http://evil/", "a"),
        ("http://a:81/", "a"),
        ("http://u@a/", "a"),
        ("http://u@a/", "u@a"),
        ("http://a:99999/", "a:99999"),
    ] {
        stand.refuses(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400, "bad_host");
    }
    // hyper cannot read these, and would answer them without a reason.
    for target in [
        "http://[::1",
        "http://[::1]x/",
        "http://]/",
        "http:///x",
        "http://",
        "http://?x",
        "http://a:b:c/",
        "http://a@b@c/",
        "http://a^b/",
        "http://a%zz/",
        "https://a|b/",
    ] {
        stand.refuses(head(target), 400, "bad_host");
    }
    let lines = stand.gateway.access_log(35);
    assert!(lines.iter().filter(|line| line["reason"] == "bad_host").count() >= 16, "{lines:#?}");
}

#[test]
fn row_39_authority_and_host_of_http2_are_one() {
    let stand = Stand::new();
    let with =
        |host: &'static [u8]| replaced(get("/x", &[(b"host", host)]), b":authority", b"a.example");
    stand.refuses_h2(&with(b"b.example"), 400, "bad_host");
    stand.refuses_h2(&with(b"a.example:80"), 400, "bad_host");
    stand.refuses_h2(&[&with(b"a.example")[..], &[(b"host", b"b")]].concat(), 400, "bad_host");
    assert_eq!(stand.forwards_h2(&with(b"A.example")).all("host").len(), 1);
    assert_eq!(stand.forwards_h2(&get_at(b"a.example", "/x")).all("host"), ["a.example"]);
    let host: [Field<'_>; 4] =
        [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/x"), (b"host", b"b.example")];
    assert_eq!(stand.forwards_h2(&host).all("host"), ["b.example"]);
}

#[test]
fn row_39_a_pseudo_header_in_trailers_goes_nowhere() {
    let stand = Stand::new();
    let mut frames = Frames::connect(stand.gateway.addr("http"), &[]);
    let trailers: [Field<'_>; 3] =
        [(b":path", b"/admin"), (b":authority", b"evil"), (b"x-sum", b"1")];
    frames.send(headers(1, 0, &replaced(get_at(b"a.example", "/x"), b":method", b"POST")));
    frames.send(frame(DATA, 0, 1, b"hello"));
    frames.send(headers(1, END_STREAM, &trailers));
    // The library drops them before anybody sees them, or resets the stream.
    let outcome = frames.outcome(1);
    let fine = matches!(outcome, Outcome::Reset(_) | Outcome::Answer { status: 200 | 400, .. });
    assert!(fine, "{outcome:?}");
    for head in stand.upstream.requests() {
        assert_eq!((head.word(1), head.all("host")), ("/x", vec!["a.example"]));
        assert!(!format!("{head:?}").contains("evil"), "{head:?}");
    }
    assert_eq!(stand.forwards_h2(&get("/clean", &[])).word(1), "/clean");
}

#[test]
fn row_40_only_the_file_says_where_a_request_goes() {
    let stand = Stand::new();
    let elsewhere = Raw::text("not asked for");
    let target = elsewhere.address().to_string();
    // The name is data for the upstream of the file, like any Host.
    let absolute = format!("GET http://{target}/x HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let (_, received) = stand.forwards(absolute);
    assert_eq!((received.word(1), received.all("host")), ("/x", vec![target.as_str()]));
    let (_, received) = stand.forwards(head(&format!("//{target}/x")));
    assert_eq!(received.word(1), format!("/{target}/x"));
    let (_, received) = stand.forwards(head(&format!("/@{target}/?url=http://{target}/")));
    assert_eq!(received.word(1), format!("/@{target}/?url=http://{target}/"));
    stand.refuses(format!("GET http://{target}/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400, "bad_host");
    stand.refuses(head(&format!("http://a@{target}/")), 400, "bad_host");
    stand.refuses(head(&format!("@{target}/")), 400, "bad_request");
    stand.refuses(head(&format!("ftp://{target}/")), 400, "bad_request");
    stand.refuses(head(&format!("file:///{target}")), 400, "bad_request");
    stand.refuses(head(&target), 400, "bad_request");
    let connect = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    stand.refuses(connect, 405, "unsupported_method");
    let connect: [Field<'_>; 2] = [(b":method", b"CONNECT"), (b":authority", target.as_bytes())];
    stand.refuses_h2(&connect, 405, "unsupported_method");
    let scheme = replaced(get("/etc/passwd", &[]), b":scheme", b"file");
    assert_eq!(stand.forwards_h2(&scheme).word(1), "/etc/passwd");
    assert_eq!(elsewhere.connections(), 0, "nobody was sent elsewhere");
}

#[test]
fn row_41_odd_bytes_in_a_target() {
    let stand = Stand::new();
    for target in ["/a#b", "/a?b#c", "/a\"b", "/a<b", "/?<", "/a\x01", "/a\x7f", "a", "*", "?a", ""]
    {
        stand.refuses(head(target), 400, "bad_request");
    }
    stand.refuses(head("/a b"), 400, "bad_request");
    stand.refuses(head("/a\tb"), 400, "bad_request");
    stand.refuses(head("/a`b"), 400, "bad_request");
    stand.refuses(b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request");
    stand.refuses(b"GET /?\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request");
    stand.refuses("get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request");
    for path in [
        &b"/a b"[..],
        b"/a\tb",
        b"/\xe9",
        b"/\xc3\xa9",
        b"/?\xc3\xa9",
        b"/?\"",
        b"/?<",
        b"/a\x01",
        b"a",
        b"*",
        b"",
        b"?a",
        b"http://a/",
    ] {
        stand.refuses_h2(&get(path, &[]), 400, "bad_request");
    }
    stand.refuses_h2(&replaced(get("/", &[]), b":method", b"get"), 400, "bad_request");
    // The library cuts a fragment off before anybody sees it: at least it goes nowhere.
    assert_eq!(stand.forwards_h2(&get("/a#b", &[])).word(1), "/a");
    // What browsers leave unescaped passes, in a path with one spelling.
    let (_, received) = stand.forwards(head("/a|b{c}^?d=|{}\\^`"));
    assert_eq!(received.word(1), "/a%7Cb%7Bc%7D%5E?d=|{}\\^`");
    let received = stand.forwards_h2(&get("/a|b{c}?d=|{}\\^`", &[]));
    assert_eq!(received.word(1), "/a%7Cb%7Bc%7D?d=|{}\\^`");
    let (_, received) = stand.forwards("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(received.first, "OPTIONS * HTTP/1.1");
}

#[test]
fn row_42_the_path_that_was_matched_is_the_path_that_is_sent() {
    let stand = Stand::new();
    for (sent, received) in [
        ("/a/./b/../c", "/a/c"),
        ("/a/%2e%2E/b", "/b"),
        ("/%2e/a/.%2e/b", "/b"),
        ("/../../a", "/a"),
        ("/a/..", "/"),
        ("//a///b//", "/a/b/"),
        ("/a//../b", "/b"),
        ("/%61", "/a"),
        ("/%7euser/%41", "/~user/A"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a?x=/../%2e%2e//", "/a?x=/../%2e%2e//"),
        ("/.../..a/.b", "/.../..a/.b"),
    ] {
        assert_eq!(stand.forwards(head(sent)).1.word(1), received, "{sent}");
        assert_eq!(stand.forwards_h2(&get(sent, &[])).word(1), received, "h2 {sent}");
    }
    let lines = stand.gateway.access_log(24);
    assert!(lines.iter().all(
        |line| !line["path"].as_str().unwrap().contains("..") || line["path"] == "/.../..a/.b"
    ));
}

#[test]
fn row_43_encoded_twice_or_as_a_slash() {
    let stand = Stand::new();
    let refused = [
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/..%2fa",
        "/%252e%252e/a",
        "/%2561dmin",
        "/a%252fb",
        "/a%255cb",
        "/a%253bx",
        "/a%2500",
        "/a%25252e",
        "/a%252520",
        "/%25%32%65%25%32%65/a",
        "/%25%252e",
        "/%25c0%25ae",
        "/%25u0061dmin",
    ];
    for path in refused {
        stand.refuses(head(path), 400, "bad_path");
        stand.refuses_h2(&get(path, &[]), 400, "bad_path");
    }
    for path in ["/50%25/a%2520b", "/%253A%253F", "/caf%25C3%25A9", "/%25zz"] {
        assert_eq!(stand.forwards(head(path)).1.word(1), path);
        assert_eq!(stand.forwards_h2(&get(path, &[])).word(1), path);
    }
    // Where the file keeps encoded slashes they are data, and still hide no dot segment.
    let keep = Stand::with(
        "server: { normalize: { encoded_slash: keep } }\nroutes: { app: { to: \"UPSTREAM\" } }\n",
    );
    for path in ["/api/group%2Fproject", "/api/queues/%252F/x"] {
        assert_eq!(keep.forwards(head(path)).1.word(1), path);
    }
    for path in ["/a%2f..%2fb", "/a%252f..", "/a/..%252fb", "/a%25252F"] {
        keep.refuses(head(path), 400, "bad_path");
    }
}

#[test]
fn row_44_parameters_backslashes_and_bytes_that_hide_segments() {
    let stand = Stand::new();
    for path in [
        "/a/..;/b",
        "/a/..;x=1/b",
        "/a/%2e%2e;/b",
        "/a/.;/b",
        "/a/..%3b/b",
        "/a/..%3Bx/b",
        "/;x/admin",
        "/%3bx/admin",
        "/a\\..\\b",
        "/a/..\\b",
        "/%00",
        "/a%00.html",
        "/a%0d%0ab",
        "/a%7f",
        "/%c0%ae%c0%ae/a",
        "/%e0%80%af",
        "/%f0%80%80%af",
        "/a%",
        "/a%2",
        "/a%zz",
        "/%u0061",
    ] {
        stand.refuses(head(path), 400, "bad_path");
        stand.refuses_h2(&get(path, &[]), 400, "bad_path");
    }
    // A parameter, encoded or not, does not hide the segment it hangs on.
    let closed = Stand::with(
        "routes:\n  closed: { match: /admin/**, respond: 403 }\n  app: { to: \"UPSTREAM\" }\n",
    );
    for path in ["/admin;x", "/admin%3Bx", "/admin%3bx/y", "/a/../admin;x=1/y", "//admin%3B"] {
        assert_eq!(closed.gateway.get("a", path).status, 403, "{path}");
        let mut client = Frames::connect(closed.gateway.addr("http"), &[]);
        let outcome = client.exchange(1, &get(path, &[]));
        assert!(matches!(outcome, Outcome::Answer { status: 403, .. }), "{path}: {outcome:?}");
    }
    assert_eq!(closed.upstream.connections(), 0);
    assert_eq!(closed.forwards(head("/admi;n")).1.word(1), "/admi;n");
}

#[test]
fn row_45_a_rewritten_path_is_judged_again() {
    let stand = Stand::with(
        "routes:\n  closed: { match: /pub/admin/**, respond: 403 }\n\
         \x20 open: { match: /pub/**, to: \"UPSTREAM\", strip_prefix: /pub }\n\
         \x20 join: { match: \"/join/{a}/{b}\", to: \"UPSTREAM\", rewrite: \"/v2/{a}{b}\" }\n",
    );
    assert_eq!(stand.forwards(head("/pub;x/a/./b")).1.word(1), "/a/b");
    assert_eq!(stand.forwards(head("/pub%3Bx/a")).1.word(1), "/a");
    assert_eq!(stand.forwards(head("/join/a/b")).1.word(1), "/v2/ab");
    let before = stand.upstream.requests().len();
    // Policies see the canonical path, whatever is rewritten later.
    for path in ["/pub/admin", "/pub/x/../admin/y", "/pub/%61dmin", "/pub//admin;x"] {
        assert_eq!(stand.gateway.get("a", path).status, 403, "{path}");
    }
    // Nobody above the prefix.
    assert_eq!(stand.gateway.get("a", "/pub/../x").status, 404);
    // Two harmless captures become a hidden dot together.
    for path in ["/join/%25/2e", "/join/%25/2fb"] {
        let answer = stand.gateway.get("a", path);
        assert_eq!((answer.status, answer.reason().as_str()), (400, "bad_path"), "{path}");
    }
    let came: Vec<_> = stand.upstream.requests().split_off(before);
    assert!(came.is_empty(), "{came:?}");
    assert_eq!(stand.forwards(head("/pub/clean")).1.word(1), "/clean");
}
