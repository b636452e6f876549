//! Tokens that are good, and rules and clocks at their edges. Hostile ones are in [`hostile`], sets of keys
//! in [`sets`].

mod hostile;
mod sets;

use std::{sync::OnceLock, time::Duration};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    testing::{Signer, jwks, part},
    *,
};

const NOW: u64 = 1_800_000_000;

/// An issuer with a key of each kind.
struct World {
    rsa: Signer,
    ec: Signer,
    ed: Signer,
    /// Not one of the issuer's.
    stranger: Signer,
    keys: KeySet,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let (rsa, ec) = (Signer::new("RS256", "rsa"), Signer::new("ES256", "ec"));
        let (ed, stranger) = (Signer::new("EdDSA", "ed"), Signer::new("ES256", "ec"));
        let mut set: Value = serde_json::from_str(&jwks([&rsa, &ec, &ed])).unwrap();
        let list = set["keys"].as_array_mut().unwrap();
        let mut encrypts = Signer::new("ES256", "encrypts").jwk();
        encrypts["use"] = "enc".into();
        let mut derives = Signer::new("ES256", "derives").jwk();
        derives["key_ops"] = json!(["deriveBits"]);
        list.extend([encrypts, derives]);
        list.push(
            json!({ "kty": "oct", "kid": "secret", "k": part("0123456789abcdef0123456789abcdef") }),
        );
        // The modulus of nobody, but of 1024 bits.
        list.push(json!({ "kty": "RSA", "kid": "weak", "n": part([0xc3; 128]), "e": "AQAB" }));
        let keys = KeySet::parse(set.to_string().as_bytes()).unwrap();
        World { rsa, ec, ed, stranger, keys }
    })
}

fn rules() -> Rules {
    let algorithms = ["RS256", "ES256", "EdDSA"].map(|name| Algorithm::parse(name).unwrap());
    Rules {
        issuer: "https://issuer.example".to_owned(),
        audience: Audience::OneOf(vec!["api".to_owned(), "web".to_owned()]),
        nonce: None,
        algorithms: algorithms.to_vec(),
        leeway: Duration::ZERO,
    }
}

fn claims() -> Value {
    json!({ "iss": "https://issuer.example", "aud": "api", "sub": "ann", "exp": NOW + 60 })
}

/// The same with one changed, or taken out where it is null.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let map = claims.as_object_mut().unwrap();
    if value.is_null() {
        map.remove(name)
    } else {
        map.insert(name.to_owned(), value)
    };
    claims
}

fn judged(token: &str) -> Result<Verified, Flaw> {
    verify(token.as_bytes(), &world().keys, &rules(), NOW)
}

#[track_caller]
fn refused(table: &[(&str, String, &str)]) {
    for (what, token, word) in table {
        let flaw = judged(token).expect_err(what);
        assert_eq!(flaw.word(), *word, "{what}");
    }
}

fn header(alg: &str, kid: &str) -> String {
    json!({ "alg": alg, "kid": kid }).to_string()
}

/// The header of a good token.
fn header_text() -> String {
    header("ES256", "ec")
}

/// A good token with its parts.
fn good() -> (String, String, String) {
    let token = world().ec.token(&claims());
    let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    (parts[0].clone(), parts[1].clone(), parts[2].clone())
}

#[test]
fn good_ones_pass() {
    let world = world();
    for signer in [&world.rsa, &world.ec, &world.ed] {
        let verified = judged(&signer.token(&claims())).unwrap();
        assert_eq!((verified.claims["sub"].as_str(), verified.until), (Some("ann"), NOW + 60));
    }
    for claims in [
        with("aud", json!(["other", "web"])),
        with("exp", json!(NOW + 1)),
        with("exp", json!(NOW as f64 + 0.5)),
        with("nbf", json!(NOW)),
        with("iat", json!(NOW)),
        with("sub", Value::Null),
        with("anything", json!({ "a": [1, null, 1.5, true, { "a": "é\u{0}" }] })),
    ] {
        assert!(judged(&world.ec.token(&claims)).is_ok(), "{claims}");
    }
    let claims = claims().to_string();
    for header in [
        r#"{"alg":"ES256","kid":"ec"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","typ":"at+jwt","kid":"ec","x5t":"abc","extra":{"a":1}}"#,
        r#"{"alg":"ES256","typ":"Application/AT+JWT","kid":"ec"}"#,
        // Not looked at, as some issuers write them.
        r#"{"alg":"ES256","kid":"ec","jku":"https://evil.example/keys","x5u":"http://169.254.169.254/","x5c":["MIIB"]}"#,
    ] {
        assert!(judged(&world.ec.signed(header, &claims)).is_ok(), "{header}");
    }
    let named = world.ed.signed(r#"{"alg":"Ed25519","kid":"ed"}"#, &claims);
    judged(&named).unwrap();
}

#[test]
fn each_algorithm_verifies_with_its_key_alone() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::new(algorithm.name(), "k");
        let keys = KeySet::parse(jwks([&signer]).as_bytes()).unwrap();
        let rules = Rules { algorithms: Algorithm::ALL.to_vec(), ..rules() };
        let token = signer.token(&claims());
        assert!(verify(token.as_bytes(), &keys, &rules, NOW).is_ok(), "{algorithm:?}");
        let other = Signer::new(algorithm.name(), "k").token(&claims());
        assert_eq!(verify(other.as_bytes(), &keys, &rules, NOW), Err(Flaw::BadSignature));
        let narrow = Rules { algorithms: vec![], ..rules };
        assert_eq!(verify(token.as_bytes(), &keys, &narrow, NOW), Err(Flaw::WrongAlgorithm));
    }
}

#[test]
fn clocks_may_differ_by_the_leeway() {
    let rules = Rules { leeway: Duration::from_secs(30), ..rules() };
    let judged =
        |claims: Value| verify(world().ec.token(&claims).as_bytes(), &world().keys, &rules, NOW);
    assert_eq!(judged(with("exp", json!(NOW - 29))).map(|it| it.until), Ok(NOW + 1));
    assert_eq!(judged(with("exp", json!(NOW - 30))), Err(Flaw::Expired));
    assert!(judged(with("nbf", json!(NOW + 30))).is_ok());
    assert_eq!(judged(with("nbf", json!(NOW + 31))), Err(Flaw::NotYetValid));
    assert!(judged(with("iat", json!(NOW + 30))).is_ok());
    assert_eq!(judged(with("iat", json!(NOW + 31))), Err(Flaw::IssuedInFuture));
}

#[test]
fn an_audience_may_be_anybody_and_a_login_has_a_nonce() {
    let judged = |claims: Value, rules: &Rules| {
        verify(world().ec.token(&claims).as_bytes(), &world().keys, rules, NOW).map(|_| ())
    };
    let any = Rules { audience: Audience::Any, ..rules() };
    assert_eq!(judged(with("aud", Value::Null), &any), Ok(()));
    let login = Rules { nonce: Some("abc".to_owned()), ..rules() };
    assert_eq!(judged(with("nonce", json!("abc")), &login), Ok(()));
    assert_eq!(judged(with("nonce", json!("abd")), &login), Err(Flaw::WrongNonce));
    assert_eq!(judged(claims(), &login), Err(Flaw::MissingClaim));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever byte is changed, it is refused.
    #[test]
    fn no_changed_token_passes(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut token = world().ec.token(&claims()).into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != byte);
        token[at] = byte;
        prop_assert!(verify(&token, &world().keys, &rules(), NOW).is_err());
    }

    #[test]
    fn nothing_makes_it_panic(token in "[A-Za-z0-9_.-]{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(judged(&token).is_err());
        prop_assert!(verify(&bytes, &world().keys, &rules(), NOW).is_err());
        let wrapped = world().ec.signed(&header_text(), &String::from_utf8_lossy(&bytes));
        prop_assert!(judged(&wrapped).is_err());
    }
}
