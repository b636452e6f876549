//! Tests of one policy.

use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::{
    super::{
        Algorithm, Audience, Demand,
        testing::{Signer, jwks},
    },
    *,
};
use crate::{auth::Refused, body::Body, telemetry::testing::head};

const NOW: u64 = 1_800_000_000;

fn scheme(signer: &Signer, change: impl FnOnce(&mut Settings)) -> Jwt {
    let mut settings = Settings {
        from: Carrier::Header(AUTHORIZATION),
        rules: Rules {
            issuer: "https://issuer.example".to_owned(),
            audience: Audience::Any,
            nonce: None,
            algorithms: vec![Algorithm::EdDsa],
            leeway: std::time::Duration::ZERO,
        },
        keys: Keys::Fixed(Arc::new(KeySet::parse(jwks([signer]).as_bytes()).unwrap())),
        reading: Reading {
            require: Vec::new(),
            consumer: Some("sub".to_owned()),
            pass_claims: Vec::new(),
        },
        pass_token: false,
    };
    change(&mut settings);
    Jwt::new(settings)
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({ "iss": "https://issuer.example", "sub": "ann", "exp": NOW + 60 });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn request(fields: &[(&str, &str)]) -> Request {
    let mut request = http::Request::get("/a?b=1");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn judged(
    scheme: &Jwt,
    now: u64,
    fields: &[(&str, &str)],
) -> Result<Arc<Identity>, &'static str> {
    let mut head = head();
    head.started_unix = now * 1_000_000;
    let exchange = Arc::new(Exchange::new(head));
    let mut request = request(fields);
    scheme.judge(&mut request, &exchange).await.map_err(|refused| match refused {
        Refused::Denied(denied) => denied.word,
        Refused::Answer(..) => panic!("an answer"),
    })
}

#[tokio::test]
async fn a_token_is_verified_once_and_counts_until_it_ends() {
    let signer = Signer::new("EdDSA", "a");
    let scheme = scheme(&signer, |_| {});
    let bearer = format!("Bearer {}", signer.token(&claims(&json!({}))));
    let shown = [("authorization", bearer.as_str())];
    let first = judged(&scheme, NOW, &shown).await.unwrap();
    assert_eq!(first.consumer.as_deref(), Some("ann"));
    assert_eq!(first.claims.as_ref().unwrap()["sub"], "ann");
    let again = judged(&scheme, NOW + 59, &shown).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again), "remembered");
    assert_eq!(judged(&scheme, NOW + 60, &shown).await.unwrap_err(), "expired");
    let changed = bearer[..bearer.len() - 6].to_owned() + "AAAAAA";
    let shown = [("authorization", changed.as_str())];
    assert_eq!(judged(&scheme, NOW, &shown).await.unwrap_err(), "bad_signature");
}

#[tokio::test]
async fn what_is_no_bearer_token_is_somebody_elses() {
    let signer = Signer::new("EdDSA", "a");
    let scheme = scheme(&signer, |_| {});
    let token = signer.token(&claims(&json!({})));
    let bearer = format!("bEARER  {token}");
    for (fields, word) in [
        (vec![], "no_credentials"),
        (vec![("authorization", "Basic YTpi")], "no_credentials"),
        (vec![("authorization", token.as_str())], "no_credentials"),
        (vec![("authorization", "Bearer")], "malformed"),
        (vec![("authorization", "Bearer ")], "malformed"),
        (
            vec![("authorization", bearer.as_str()), ("authorization", "Basic YTpi")],
            "several_credentials",
        ),
    ] {
        assert_eq!(judged(&scheme, NOW, &fields).await.unwrap_err(), word, "{fields:?}");
    }
    assert!(judged(&scheme, NOW, &[("authorization", &bearer)]).await.is_ok());
}

#[tokio::test]
async fn claims_say_who_it_is_and_what_the_upstream_hears() {
    let signer = Signer::new("EdDSA", "a");
    let told = HeaderName::from_static("x-roles");
    let scheme = scheme(&signer, |settings| {
        settings.reading.consumer = Some("client.id".to_owned());
        settings.reading.pass_claims = vec![(told.clone(), "roles".to_owned())];
        settings.reading.require =
            vec![Demand { claim: "scope".to_owned(), any_of: vec!["read".to_owned()] }];
    });
    let judge = async |more: &Value| {
        let bearer = format!("Bearer {}", signer.token(&claims(more)));
        judged(&scheme, NOW, &[("authorization", &bearer)]).await
    };
    let good = json!({ "scope": "read write", "client": { "id": 7 }, "roles": ["a", "b"] });
    let identity = judge(&good).await.unwrap();
    assert_eq!(identity.consumer.as_deref(), Some("7"));
    assert_eq!(identity.tells, [(told.clone(), HeaderValue::from_static("a,b"))]);
    assert!(identity.tells[0].1.is_sensitive());
    assert_eq!(scheme.tells(), [told]);
    for (name, value, word) in [
        ("scope", json!("write"), "claim_not_allowed"),
        ("scope", json!(null), "claim_not_allowed"),
        ("client", json!({}), "missing_claim"),
        ("client", json!({ "id": [] }), "malformed_claim"),
        ("client", json!({ "id": "" }), "malformed_claim"),
        ("client", json!({ "id": "a\nb" }), "malformed_claim"),
        ("client", json!({ "id": "a".repeat(257) }), "malformed_claim"),
    ] {
        let mut claims = good.clone();
        claims[name] = value;
        assert_eq!(judge(&claims).await.unwrap_err(), word, "{claims}");
    }
}

#[test]
fn the_token_is_taken_out_unless_the_upstream_is_to_see_it() {
    let signer = Signer::new("EdDSA", "a");
    for (pass_token, left) in [(false, false), (true, true)] {
        let scheme = scheme(&signer, |settings| settings.pass_token = pass_token);
        let mut request = request(&[("authorization", "Bearer x"), ("x-other", "a")]);
        scheme.strip(&mut request);
        assert_eq!(request.headers().contains_key(AUTHORIZATION), left);
        assert!(request.headers().contains_key("x-other"));
    }
}

#[test]
fn a_challenge_says_what_was_wrong_in_our_words() {
    let signer = Signer::new("EdDSA", "a");
    let scheme = scheme(&signer, |_| {});
    for (denied, challenge) in [
        (Denied::NOTHING, "Bearer"),
        (Flaw::Expired.into(), "Bearer error=\"invalid_token\", error_description=\"expired\""),
        (
            Flaw::ClaimNotAllowed.into(),
            "Bearer error=\"insufficient_scope\", error_description=\"claim_not_allowed\"",
        ),
        (Denied::unavailable("no_keys"), "Bearer"),
    ] {
        assert_eq!(scheme.challenge(denied).unwrap(), challenge);
    }
}
