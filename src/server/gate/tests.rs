//! Tests of the gate.

use super::*;
use crate::config;

const LIMITS: ListenerLimits =
    ListenerLimits { header_size: 32768, header_count: 100, uri_length: 8192, h2_streams: 128 };

fn judge(request: http::request::Builder) -> Result<Checked, Reason> {
    let (mut head, ()) = request.body(()).expect("a request").into_parts();
    let mut checked = Checked::nothing();
    let judged = check(&mut head, LIMITS, &rules(""), &mut checked);
    judged.map(|()| checked).map_err(|error| error.reason())
}

/// The rules of a file with this in it.
fn rules(more: &str) -> Rules {
    let text = format!("version: 1\nroutes: {{ app: {{ respond: 200{more} }} }}\n");
    let loaded = config::load(&[config::Input::Text { name: "test".into(), text }], &|_| None);
    Rules::new(loaded.config.as_ref().expect("a good file"))
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
    let other = http::Request::get("http://b/").header("host", "a");
    assert_eq!(judge(other).err(), Some(Reason::BadHost));
    let same = http::Request::get("http://a/x?y").header("host", "a");
    assert_eq!(judge(same).expect("agrees").uri, "/x?y");
}

#[test]
fn a_scheme_over_http2_is_one() {
    for (scheme, good) in
        [("http", true), ("https", true), ("a+b-c.9", true), ("htt~", false), ("~", false)]
    {
        let uri = http::Uri::builder().scheme(scheme).authority("a").path_and_query("/").build();
        let Ok(uri) = uri else { panic!("the library has become strict: {scheme}") };
        let request = http::Request::get(uri).version(Version::HTTP_2);
        assert_eq!(judge(request).is_ok(), good, "{scheme}");
    }
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
fn the_path_leaves_canonical_and_the_query_untouched() {
    let request = http::Request::get("/a/../b//%7Ec?x=/../%2e").header("host", "a");
    assert_eq!(judge(request).expect("fine").uri, "/b/~c?x=/../%2e");
    let request = http::Request::get("/a%2fb").header("host", "a");
    assert_eq!(judge(request).err(), Some(Reason::BadPath));
}

#[test]
fn aliases_follow_from_the_configuration() {
    let rules = rules(", headers: { request: { set: { x-user: a, own_key: b } } }");
    let alias = |name: &str| rules.is_alias(name);
    assert!(alias("x_user") && alias("x-forwarded_for") && alias("remote_user"));
    assert!(alias("x_request_id") && alias("content_length"));
    assert!(!alias("own_key") && !alias("x_other"));
}

#[test]
fn one_authorization_is_enough() {
    let request = |count: usize| {
        let request = http::Request::get("/").header("host", "a");
        (0..count).fold(request, |request, _| request.header("authorization", "Basic eA=="))
    };
    assert!(judge(request(1)).is_ok());
    assert_eq!(judge(request(2)).err(), Some(Reason::BadRequest));
}

#[test]
fn a_fragment_is_no_target() {
    let path: http::uri::PathAndQuery = "#x".parse().expect("a target to `http`");
    for uri in [http::Uri::from(path), http::Uri::from_static("http://a#x")] {
        let request = http::Request::get(uri.clone()).version(Version::HTTP_2).header("host", "a");
        assert_eq!(judge(request).err(), Some(Reason::BadRequest), "{uri:?}");
    }
}

#[test]
fn http2_is_held_to_what_the_scan_holds_http1_to() {
    let request = |method: &str, uri: &str| {
        let request = http::Request::builder().method(method).uri(uri);
        request.version(Version::HTTP_2).header("host", "a")
    };
    assert!(judge(request("GET", "/a?b=|")).is_ok());
    assert!(judge(request("OPTIONS", "*")).is_ok());
    let long = "M".repeat(33);
    for (method, uri, reason) in [
        ("get", "/", Reason::BadRequest),
        ("GE!T", "/", Reason::BadRequest),
        (long.as_str(), "/", Reason::BadRequest),
        ("GET", "*", Reason::BadRequest),
        ("GET", "/a\"b", Reason::BadRequest),
        ("GET", "/a?\u{e9}", Reason::BadRequest),
        ("CONNECT", "/", Reason::UnsupportedMethod),
    ] {
        assert_eq!(judge(request(method, uri)).err(), Some(reason), "{method} {uri}");
    }
    let field = |name: &str, value: &[u8]| {
        judge(request("GET", "/").header(name, HeaderValue::from_bytes(value).expect("a value")))
    };
    assert!(field("x", b"a b").is_ok() && field("x", b"").is_ok());
    for value in [&b" a"[..], b"a ", b"\ta", b"a\t", b" ", b"\xe9"] {
        assert_eq!(field("x", value).err(), Some(Reason::BadRequest), "{value:?}");
    }
    assert_eq!(field(&"x".repeat(257), b"a").err(), Some(Reason::HeaderTooLarge));
    assert!(field(&"x".repeat(256), b"a").is_ok());
}

#[test]
fn only_what_is_taken_out_may_be_passed() {
    assert!(may_pass("x-http-method-override") && may_pass("x-forwarded-user"));
    assert!(!may_pass("x-forwarded-for") && !may_pass("forwarded") && !may_pass("x-user"));
}

#[test]
fn heads_that_would_be_malformed_as_http1_are_refused_over_http2() {
    let request = || http::Request::post("http://a/").version(Version::HTTP_2);
    assert!(judge(request().header("content-length", "5")).is_ok());
    let empty = request().header("content-length", "");
    assert_eq!(judge(empty).err(), Some(Reason::BadFraming));
    // As h2 reads a block without `:path` and `:authority`.
    let nothing = Uri::from_parts(http::uri::Parts::default()).expect("to `http` it is a target");
    let nothing = http::Request::post(nothing).version(Version::HTTP_2).header("host", "a");
    assert_eq!(judge(nothing).err(), Some(Reason::BadRequest));
    // As h2 reads names.
    let quoted = http::HeaderName::from_lowercase(b"x\"y").expect("to `http` it is a name");
    assert_eq!(judge(request().header(quoted, "a")).err(), Some(Reason::BadRequest));
}

#[test]
fn an_absolute_target_does_not_stand_in_for_host() {
    assert_eq!(judge(http::Request::get("http://a/")).err(), Some(Reason::BadHost));
}
