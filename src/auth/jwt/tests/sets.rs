//! Sets of keys: which key fits, what is no set, and which keys of one are left out.

use super::*;

#[test]
fn several_keys_fit_a_token_that_names_none() {
    let (one, two) = (Signer::new("ES256", "one"), Signer::new("ES256", "two"));
    let keys = KeySet::parse(jwks([&one, &two]).as_bytes()).unwrap();
    let token = one.signed(r#"{"alg":"ES256"}"#, &claims().to_string());
    assert_eq!(verify(token.as_bytes(), &keys, &rules(), NOW), Err(Flaw::AmbiguousKey));
    // Of several kinds only one fits.
    let keys = KeySet::parse(jwks([&one, &world().rsa]).as_bytes()).unwrap();
    assert!(verify(token.as_bytes(), &keys, &rules(), NOW).is_ok());
    let keys = KeySet::parse(jwks([&world().rsa]).as_bytes()).unwrap();
    assert_eq!(verify(token.as_bytes(), &keys, &rules(), NOW), Err(Flaw::UnknownKey));
}

/// How many keys a set has, and what is wrong with the others.
fn reads(set: &str) -> Result<(usize, String), String> {
    KeySet::parse(set.as_bytes()).map(|set| (set.len(), set.left_out().join("; ")))
}

/// The key with other members.
fn changed(jwk: &Value, changes: &Value) -> Value {
    let mut jwk = jwk.clone();
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

#[test]
fn sets_that_are_none() {
    for (text, why) in [
        ("", "no JSON object"),
        ("<html>", "no JSON object"),
        ("[]", "no JSON object"),
        ("{}", "no list `keys`"),
        (r#"{"keys":{}}"#, "no list `keys`"),
        (r#"{"keys":[],"keys":[]}"#, "no JSON object"),
        (r#"{"keys":[]}"#, "no usable key"),
        (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, "no usable key"),
    ] {
        let error = reads(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    assert!(KeySet::parse(&vec![b' '; keys::LARGEST + 1]).unwrap_err().contains("KiB"));
    let many = json!({ "keys": vec![json!({}); 300] }).to_string();
    assert!(reads(&many).unwrap_err().contains("256"));
}

#[test]
fn wrong_keys_are_left_out_and_said() {
    let good = Signer::new("ES256", "good").jwk();
    let change = |changes| changed(&good, &changes);
    let rsa = |n: Vec<u8>, e: &[u8]| json!({ "kty": "RSA", "n": part(n), "e": part(e) });
    for (jwk, why) in [
        (json!("text"), "no object"),
        (json!({}), "no `kty`"),
        (json!({ "kty": 1 }), "no text"),
        (change(json!({ "d": "AAAA" })), "private key"),
        (change(json!({ "alg": "RS256" })), "`alg`"),
        (change(json!({ "alg": "ES384" })), "`alg`"),
        (change(json!({ "crv": "P-384" })), "length"),
        (change(json!({ "x": part([1; 32]) })), "no point"),
        (change(json!({ "x": part([1; 31]) })), "length"),
        (change(json!({ "x": "+" })), "base64url"),
        (change(json!({ "y": null })), "no text"),
        (change(json!({ "kid": 1 })), "no text"),
        (change(json!({ "key_ops": "verify" })), "no list"),
        (change(json!({ "kid": "k".repeat(600) })), "too long"),
        (change(json!({ "crv": null })), "no text"),
        (rsa(vec![0xff; 255], &[1, 0, 1]), "2048"),
        (rsa(vec![0xff; 1025], &[1, 0, 1]), "8192"),
        (rsa(vec![], &[1, 0, 1]), "2048"),
        (rsa(vec![0xff; 256], &[1]), "exponent"),
        (rsa(vec![0xff; 256], &[2]), "exponent"),
        (rsa(vec![0xff; 256], &[]), "exponent"),
        (rsa(vec![0xff; 256], &[1, 0, 0, 0, 1]), "exponent"),
        (good.clone(), "another has its `kid`"),
    ] {
        let (count, said) = reads(&json!({ "keys": [good, jwk] }).to_string()).unwrap();
        assert!(count == 1 && said.starts_with("key 2: ") && said.contains(why), "{jwk}: {said}");
    }
}

#[test]
fn keys_for_something_else_are_passed_over() {
    let good = Signer::new("ES256", "good").jwk();
    let change = |changes| changed(&good, &changes);
    for other in [
        change(json!({ "crv": "secp256k1" })),
        change(json!({ "alg": "ECDH-ES", "use": "enc" })),
        change(json!({ "key_ops": [] })),
        json!({ "kty": "OKP", "crv": "X25519", "x": part([1; 32]) }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44" }),
    ] {
        let read = reads(&json!({ "keys": [good, other] }).to_string()).unwrap();
        assert_eq!(read, (1, String::new()), "{other}");
    }
}
