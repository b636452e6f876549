//! What passes the gate and what does not.

use super::*;

const RULES: Normalize = Normalize { merge_slashes: true, keep_encoded_slash: false };
const LIMITS: ListenerLimits =
    ListenerLimits { header_size: 32768, header_count: 100, uri_length: 8192, h2_streams: 128 };

fn judge(request: http::request::Builder) -> Result<Checked, Reason> {
    let (head, ()) = request.body(()).expect("a request").into_parts();
    check(&head, LIMITS, RULES).map_err(|error| error.reason())
}

#[test]
fn malformed_hosts_are_refused() {
    for host in [
        "u@a", "a/b", "a b", "a,b", "a:x", "a:", "a:99999", "a:+80", "[::1", "[zz]", "", "a?b",
        "a#b", "a\\b", "[::1]x", "a..", "..",
    ] {
        let request = http::Request::get("/").header("host", host);
        assert_eq!(judge(request).err(), Some(Reason::BadHost), "{host:?}");
    }
}

#[test]
fn one_host_is_taken_without_port_case_and_trailing_dot() {
    for (host, expected) in [
        ("A.Example.COM:8080", "a.example.com"),
        ("a.", "a"),
        ("[::1]:80", "[::1]"),
        ("1.2.3.4", "1.2.3.4"),
    ] {
        let request = http::Request::get("/").header("host", host);
        assert_eq!(&*judge(request).expect(host).host, expected);
    }
}

#[test]
fn host_must_be_there_once_and_agree_with_the_target() {
    assert_eq!(judge(http::Request::get("/")).err(), Some(Reason::BadHost));
    let twice = http::Request::get("/").header("host", "a").header("host", "a");
    assert_eq!(judge(twice).err(), Some(Reason::BadHost));
    assert_eq!(judge(http::Request::get("http://a/")).err(), Some(Reason::BadHost));
    let other = http::Request::get("http://b/").header("host", "a");
    assert_eq!(judge(other).err(), Some(Reason::BadHost));
    let same = http::Request::get("http://a/x?y").header("host", "a");
    assert_eq!(judge(same).expect("agrees").uri, "/x?y");
}

#[test]
fn http2_heads_that_would_be_malformed_as_http1_are_refused() {
    let request = || http::Request::post("http://a/").version(Version::HTTP_2);
    assert!(judge(request().header("content-length", "5")).is_ok());
    let empty = request().header("content-length", "");
    assert_eq!(judge(empty).err(), Some(Reason::BadFraming));
    // As h2 reads it; a quote is no character of a token.
    let quoted = HeaderName::from_lowercase(b"x\"y").expect("a bug of `http` to check for");
    assert_eq!(judge(request().header(quoted, "a")).err(), Some(Reason::BadRequest));
    for value in [" a", "a ", "\ta"] {
        let odd = request().header("x", value);
        assert_eq!(judge(odd).err(), Some(Reason::BadRequest), "{value:?}");
    }
    let asterisk = |method: &str| http::Request::builder().method(method).uri("*");
    let asterisk = |method| asterisk(method).version(Version::HTTP_2).header("host", "a");
    assert_eq!(judge(asterisk("POST")).err(), Some(Reason::BadRequest));
    assert!(judge(asterisk("OPTIONS")).is_ok());
}

#[test]
fn underscore_aliases_of_our_fields_are_refused_and_others_pass() {
    for name in ["content_length", "transfer_encoding", "x_forwarded_for", "x-forwarded_for"] {
        let request = http::Request::get("/").header("host", "a").header(name, "1");
        assert_eq!(judge(request).err(), Some(Reason::BadRequest), "{name}");
    }
    let request = http::Request::get("/").header("host", "a").header("my_header", "1");
    assert!(judge(request).is_ok());
}

#[test]
fn only_options_has_no_path() {
    let ask = |method: &str| http::Request::builder().method(method).uri("*").header("host", "a");
    assert_eq!(judge(ask("GET")).err(), Some(Reason::BadPath));
    assert_eq!(judge(ask("OPTIONS")).expect("fine").uri, "*");
}

#[test]
fn a_query_beyond_ascii_is_refused_over_h2_too() {
    let request = http::Request::get("/x?\u{e9}").version(Version::HTTP_2).header("host", "a");
    assert_eq!(judge(request).err(), Some(Reason::BadRequest));
}

#[test]
fn a_fragment_is_no_target() {
    let target: PathAndQuery = "#x".parse().expect("a target to `http`");
    let request = http::Request::get(Uri::from(target)).header("host", "a");
    assert_eq!(judge(request).err(), Some(Reason::BadRequest));
    let request = http::Request::get("http://a#x").header("host", "a");
    assert_eq!(judge(request).err(), Some(Reason::BadRequest));
}

#[test]
fn the_path_leaves_canonical_and_the_query_untouched() {
    let request = http::Request::get("/a/../b//%7Ec?x=/../%2e").header("host", "a");
    assert_eq!(judge(request).expect("fine").uri, "/b/~c?x=/../%2e");
    let request = http::Request::get("/a%2fb").header("host", "a");
    assert_eq!(judge(request).err(), Some(Reason::BadPath));
}
