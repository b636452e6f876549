//! Certificates and the names in them.

use rcgen::{CertificateParams, DnType, KeyPair, SanType, string::Ia5String};

use super::{accepted::Names, *};
use crate::telemetry::{exchange::Exchange, testing};

fn facts(names: Vec<SanType>) -> Facts {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = names;
    params.distinguished_name.push(DnType::CommonName, "web");
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Facts::read(certificate.der()).unwrap()
}

fn text(text: &str) -> Ia5String {
    text.try_into().unwrap()
}

fn uri(name: &str) -> SanType {
    SanType::URI(text(name))
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(text(name))
}

fn email(name: &str) -> SanType {
    SanType::Rfc822Name(text(name))
}

fn policy(accepted: &[&str]) -> ClientCert {
    let san = accepted.iter().map(|text| Accepted::parse(text).unwrap()).collect();
    ClientCert::new(&model::ClientCert { san, pass_cert: false })
}

#[test]
fn names_are_equal_or_they_are_not() {
    let accepted = [
        "spiffe://prod/web",
        "spiffe://prod/ns/shop/*",
        "dns:Web.Internal",
        "email:Ann@Example.com",
        "uri:urn:x:1",
        "https://a.example/id",
    ];
    let names =
        Names::new(&accepted.iter().map(|it| Accepted::parse(it).unwrap()).collect::<Vec<_>>());
    let cases: &[(SanType, bool)] = &[
        (uri("spiffe://prod/web"), true),
        (uri("spiffe://prod/web/"), false),
        (uri("spiffe://prod/webb"), false),
        (uri("spiffe://prod/Web"), false),
        (uri("SPIFFE://prod/web"), false),
        (uri("spiffe://PROD/web"), false),
        (uri("spiffe://prod:443/web"), false),
        (uri("spiffe://a@prod/web"), false),
        (uri("spiffe://prod.evil/web"), false),
        (uri("spiffe://prod/web?x"), false),
        (uri("spiffe://prod/web#x"), false),
        (uri("spiffe://prod/%77eb"), false),
        (uri("spiffe://prod/ns/shop/cart"), true),
        (uri("spiffe://prod/ns/shop/a.b-c_D9"), true),
        (uri("spiffe://prod/ns/shop/"), false),
        (uri("spiffe://prod/ns/shop"), false),
        (uri("spiffe://prod/ns/shop/*"), false),
        (uri("spiffe://prod/ns/shop/.."), false),
        (uri("spiffe://prod/ns/shop/."), false),
        (uri("spiffe://prod/ns/shop/a/b"), false),
        (uri("spiffe://prod/ns/shop//a"), false),
        (uri("spiffe://prod/ns/shop/a%2Fb"), false),
        (uri("spiffe://prod/ns/shop/a?b"), false),
        (uri("spiffe://prod/ns/shopping/a"), false),
        (uri("spiffe://dev/ns/shop/cart"), false),
        (uri("urn:x:1"), true),
        (uri("urn:x:2"), false),
        (uri("https://a.example/id"), true),
        (dns("web.internal"), true),
        (dns("WEB.internal"), true),
        (dns("web.internal."), false),
        (dns("a.web.internal"), false),
        (dns("*.internal"), false),
        // A name of one kind is none of another.
        (dns("spiffe://prod/web"), false),
        (email("spiffe://prod/web@x"), false),
        (uri("web.internal"), false),
        (email("Ann@example.COM"), true),
        (email("ann@example.com"), false),
        (email("Ann@example.com.evil"), false),
    ];
    for (name, found) in cases {
        assert_eq!(names.find(&facts(vec![name.clone()])).is_some(), *found, "{name:?}");
    }
    assert!(names.find(&facts(Vec::new())).is_none(), "the subject is no name");
}

#[test]
fn what_cannot_be_a_name_is_said() {
    for text in [
        "",
        "web.internal",
        "dns:",
        "uri:",
        "email:ann",
        "dns:*.internal",
        "https://a/*",
        "spiffe://prod",
        "spiffe:///web",
        "spiffe://*/web",
        "spiffe://Prod/web",
        "spiffe://prod/",
        "spiffe://prod/*/web",
        "spiffe://prod/we*",
        "spiffe://prod/a//b",
        "spiffe://prod/../b",
        "spiffe://prod/web?x",
        "dns:a b",
        "dns:a\n",
        "dns:ä",
    ] {
        assert!(Accepted::parse(text).is_err(), "{text}");
    }
}

#[test]
fn the_consumer_is_the_name_that_is_listed() {
    let two = facts(vec![dns("other.internal"), dns("web.internal"), uri("spiffe://prod/web")]);
    let called = |policy: &ClientCert, facts: &Facts| {
        policy.consumer(facts).map(|name| name.to_string()).map_err(|why| why.word)
    };
    assert_eq!(called(&policy(&["dns:web.internal"]), &two).unwrap(), "web.internal");
    assert_eq!(called(&policy(&["spiffe://prod/*"]), &two).unwrap(), "spiffe://prod/web");
    assert_eq!(called(&policy(&[]), &two).unwrap(), "other.internal");
    assert_eq!(called(&policy(&["dns:x"]), &two), Err("not_listed"));
    let none = facts(Vec::new());
    let name = called(&policy(&[]), &none).unwrap();
    assert!(name.starts_with("sha256:") && name.len() == 7 + 64, "{name}");
    let several = facts(vec![uri("spiffe://prod/web"), uri("spiffe://prod/admin")]);
    assert_eq!(called(&policy(&["spiffe://prod/admin"]), &several), Err("several_spiffe_ids"));
    // What cannot be printed is no name, and still a second one.
    let hidden = facts(vec![uri("spiffe://prod/web"), uri("spiffe://prod/\u{7}admin")]);
    assert_eq!(called(&policy(&["spiffe://prod/web"]), &hidden), Err("several_spiffe_ids"));
    assert_eq!(hidden.names.len(), 1);
}

#[test]
fn claims_say_what_is_in_the_certificate() {
    let facts = facts(vec![uri("spiffe://prod/web"), dns("Web.Internal"), email("a@B.c")]);
    let claims = serde_json::Value::Object((*facts.claims).clone());
    assert_eq!(claims["uri"][0], "spiffe://prod/web");
    assert_eq!(claims["dns"][0], "web.internal");
    assert_eq!(claims["email"][0], "a@b.c");
    assert_eq!(claims["cn"], "web");
    assert_eq!(claims["fingerprint"], facts.fingerprint);
    assert_eq!(claims["not_after"], facts.not_after);
}

#[test]
fn a_connection_without_a_certificate_shows_nothing() {
    let exchange = Exchange::new(testing::head());
    let Err(super::super::Refused::Denied(why)) = policy(&[]).judged(&exchange) else {
        panic!("let in");
    };
    assert_eq!(why, Denied::NOTHING);
}
