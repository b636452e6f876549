//! Hostile tokens, each with the word it is refused with. The numbers are those of `docs/security.md`.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;

#[test]
fn row_83_no_signature_and_shared_secrets() {
    let (world, claims) = (world(), claims().to_string());
    let unsigned = |alg: &str| format!("{}.{}.", part(header(alg, "ec")), part(&claims));
    let hmac = |alg: &str, kid: &str, algorithm, secret: &[u8]| {
        let signed = format!("{}.{}", part(header(alg, kid)), part(&claims));
        let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
        format!("{signed}.{}", part(tag.as_ref()))
    };
    let modulus = world.rsa.jwk()["n"].as_str().unwrap().to_owned();
    let mut table = Vec::new();
    for none in ["none", "None", "NONE", "nOnE", " none", "none\u{0}", ""] {
        table.push((none, unsigned(none), "wrong_algorithm"));
    }
    table.extend([
        (
            "HS256 with the public key",
            hmac("HS256", "rsa", hmac::HMAC_SHA256, modulus.as_bytes()),
            "wrong_algorithm",
        ),
        (
            "HS256 with the key in the set",
            hmac("HS256", "secret", hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef"),
            "wrong_algorithm",
        ),
        ("HS384", hmac("HS384", "rsa", hmac::HMAC_SHA384, b""), "wrong_algorithm"),
        ("HS512", hmac("HS512", "rsa", hmac::HMAC_SHA512, b""), "wrong_algorithm"),
        (
            "an HMAC said to be RS256",
            hmac("RS256", "rsa", hmac::HMAC_SHA256, modulus.as_bytes()),
            "bad_signature",
        ),
    ]);
    refused(&table);
}

#[test]
fn row_83_algorithms_of_other_keys() {
    let (world, claims) = (world(), claims().to_string());
    refused(&[
        (
            "an algorithm of another case",
            world.ec.signed(&header("es256", "ec"), &claims),
            "wrong_algorithm",
        ),
        (
            "one the policy does not accept",
            world.rsa.signed(&header("PS256", "rsa"), &claims),
            "wrong_algorithm",
        ),
        (
            "RS256 with a key on a curve",
            world.ec.signed(&header("RS256", "ec"), &claims),
            "wrong_algorithm",
        ),
        (
            "ES256 with a key of RSA",
            world.rsa.signed(&header("ES256", "rsa"), &claims),
            "wrong_algorithm",
        ),
        (
            "EdDSA with a key on P-256",
            world.ed.signed(&header("EdDSA", "ec"), &claims),
            "wrong_algorithm",
        ),
        ("another curve", world.ec.signed(&header("ES384", "ec"), &claims), "wrong_algorithm"),
        ("secp256k1", world.ec.signed(&header("ES256K", "ec"), &claims), "wrong_algorithm"),
        ("no algorithm", world.ec.signed(r#"{"kid":"ec"}"#, &claims), "malformed"),
        (
            "an algorithm that is a list",
            world.ec.signed(r#"{"alg":["ES256"],"kid":"ec"}"#, &claims),
            "malformed",
        ),
        (
            "an algorithm that is nothing",
            world.ec.signed(r#"{"alg":null,"kid":"ec"}"#, &claims),
            "malformed",
        ),
        (
            "two algorithms",
            world.ec.signed(r#"{"alg":"none","alg":"ES256","kid":"ec"}"#, &claims),
            "malformed",
        ),
        (
            "two, one escaped",
            world.ec.signed(r#"{"alg":"ES256","\u0061lg":"none","kid":"ec"}"#, &claims),
            "malformed",
        ),
    ]);
}

#[test]
fn row_84_hostile_keys() {
    let (world, claims) = (world(), claims().to_string());
    let es = |kid: &str| world.stranger.signed(&header("ES256", kid), &claims);
    let bring = |name: &str, value: Value| {
        let mut header = json!({ "alg": "ES256", "kid": "ec" });
        header[name] = value;
        world.stranger.signed(&header.to_string(), &claims)
    };
    refused(&[
        ("somebody else's key under a known name", es("ec"), "bad_signature"),
        ("a path", es("../../../../dev/null"), "unknown_key"),
        ("SQL", es("x' UNION SELECT 'secret"), "unknown_key"),
        ("a shell", es("ec|whoami"), "unknown_key"),
        ("a URL", es("https://evil.example/key"), "unknown_key"),
        ("a name that begins so", es("ec\u{0}"), "unknown_key"),
        ("a name of another case", es("EC"), "unknown_key"),
        ("no name", es(""), "unknown_key"),
        ("an enormous name", es(&"k".repeat(8000)), "unknown_key"),
        ("a key for encryption", es("encrypts"), "unknown_key"),
        ("a key for something else", es("derives"), "unknown_key"),
        ("a key with a secret", es("secret"), "unknown_key"),
        ("a weak key", world.rsa.signed(&header("RS256", "weak"), &claims), "unknown_key"),
        (
            "a name that is a number",
            world.ec.signed(r#"{"alg":"ES256","kid":1}"#, &claims),
            "malformed",
        ),
        (
            "a name that is a list",
            world.ec.signed(r#"{"alg":"ES256","kid":["ec"]}"#, &claims),
            "malformed",
        ),
        (
            "two names",
            world.ec.signed(r#"{"alg":"ES256","kid":"ec","kid":"ed"}"#, &claims),
            "malformed",
        ),
        ("its own key", bring("jwk", world.stranger.jwk()), "embedded_key"),
        ("a key that is nothing", bring("jwk", Value::Null), "embedded_key"),
        ("where its key is", bring("jku", json!("https://evil.example/keys")), "bad_signature"),
        (
            "where its certificate is",
            bring("x5u", json!("https://evil.example/cert")),
            "bad_signature",
        ),
        ("its certificate", bring("x5c", json!(["MIIBIjANBg"])), "bad_signature"),
        ("no name at all", world.stranger.signed(r#"{"alg":"ES256"}"#, &claims), "bad_signature"),
    ]);
}

#[test]
fn row_84_hostile_headers() {
    let (world, claims) = (world(), claims().to_string());
    let says =
        |more: &str| world.ec.signed(&format!(r#"{{"alg":"ES256","kid":"ec",{more}}}"#), &claims);
    refused(&[
        ("unencoded payload", says(r#""b64":false"#), "unknown_extension"),
        ("unencoded payload, critical", says(r#""b64":false,"crit":["b64"]"#), "unknown_extension"),
        ("a critical extension", says(r#""crit":["exp"],"exp":1"#), "unknown_extension"),
        ("nothing critical", says(r#""crit":[]"#), "unknown_extension"),
        ("compression", says(r#""zip":"DEF""#), "unknown_extension"),
        ("encryption", says(r#""enc":"A128GCM""#), "encrypted"),
        ("a token in a token", says(r#""cty":"JWT""#), "nested"),
        ("other content", says(r#""cty":"text/plain""#), "wrong_type"),
        ("a proof of possession", says(r#""typ":"dpop+jwt""#), "wrong_type"),
        ("a logout token", says(r#""typ":"logout+jwt""#), "wrong_type"),
        ("an event", says(r#""typ":"application/secevent+jwt""#), "wrong_type"),
        ("a type that is a number", says(r#""typ":1"#), "malformed"),
    ]);
}

#[test]
fn row_86_hostile_forms() {
    let world = world();
    let (header, payload, signature) = good();
    let all = format!("{header}.{payload}.{signature}");
    let (head, text) = (header_text(), claims().to_string());
    let padded = |text: &str| STANDARD.encode(text);
    let inner = world.ec.token(&claims());
    // The last letter of 64 bytes stands for two bits and four that are nothing.
    let last = signature.chars().last().unwrap();
    let next = char::from(last as u8 + 1);
    let loose = format!("{header}.{payload}.{}{next}", &signature[..signature.len() - 1]);
    refused(&[
        ("nothing", String::new(), "malformed"),
        ("dots", "..".to_owned(), "malformed"),
        ("one part", header.clone(), "malformed"),
        ("two parts", format!("{header}.{payload}"), "malformed"),
        ("four parts", format!("{all}.{signature}"), "malformed"),
        ("five parts", format!("{header}.a.{payload}.{signature}.a"), "encrypted"),
        ("six parts", format!("{all}.a.a.a"), "malformed"),
        ("a space before it", format!(" {all}"), "malformed"),
        ("a line after it", format!("{all}\n"), "malformed"),
        ("padding", format!("{header}.{payload}.{signature}=="), "malformed"),
        ("bits that stand for nothing", loose, "malformed"),
        (
            "base64 of the other alphabet",
            format!("{header}.{payload}.+/{}", &signature[2..]),
            "malformed",
        ),
        ("a header with padding", format!("{}.{payload}.{signature}", padded(&head)), "malformed"),
        ("a header that is text", world.ec.signed("ES256", &text), "malformed"),
        ("a header that is a list", world.ec.signed("[]", &text), "malformed"),
        ("something after the header", world.ec.signed(&format!("{head}{{}}"), &text), "malformed"),
        ("a byte order mark", world.ec.signed(&format!("\u{feff}{head}"), &text), "malformed"),
        ("claims that are text", world.ec.signed(&head, "\"ann\""), "malformed"),
        ("no claims", world.ec.signed(&head, ""), "malformed"),
        ("claims that are a token", world.ec.signed(&head, &inner), "malformed"),
        ("claims that end early", world.ec.signed(&head, &text[..text.len() - 1]), "malformed"),
        ("claims with a comment", world.ec.signed(&head, &format!("{text}//")), "malformed"),
        ("half a character", world.ec.signed(&head, r#"{"a":"\ud800"}"#), "malformed"),
        ("a number too large", world.ec.signed(&head, r#"{"exp":1e999}"#), "malformed"),
        (
            "very deep",
            world.ec.signed(&head, &format!("{{\"a\":{}{}}}", "[".repeat(3000), "]".repeat(3000))),
            "malformed",
        ),
        ("too long", format!("{header}.{}.{signature}", "A".repeat(token::LONGEST)), "too_large"),
        ("too long and nothing else", ".".repeat(token::LONGEST + 1), "too_large"),
    ]);
}

#[test]
fn row_83_hostile_signatures() {
    let world = world();
    let (header, payload, signature) = good();
    let with = |signature: &str| format!("{header}.{payload}.{signature}");
    let der = Signer::new("DER", "ec");
    let keys = KeySet::parse(jwks([&der]).as_bytes()).unwrap();
    let in_der = der.token(&claims());
    assert_eq!(verify(in_der.as_bytes(), &keys, &rules(), NOW), Err(Flaw::BadSignature));
    let (rsa, ed) = (world.rsa.token(&claims()), world.ed.token(&claims()));
    let zero = |token: &str, length| {
        let (signed, _) = token.rsplit_once('.').unwrap();
        format!("{signed}.{}", part(vec![0; length]))
    };
    let mut other = claims();
    other["sub"] = "root".into();
    let changed = format!("{header}.{}.{signature}", part(other.to_string()));
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&order[at..at + 2], 16).unwrap()).collect();
    refused(&[
        ("none", with(""), "bad_signature"),
        ("zeros", with(&part([0; 64])), "bad_signature"),
        ("zeros for RSA", zero(&rsa, 256), "bad_signature"),
        ("zeros for Ed25519", zero(&ed, 64), "bad_signature"),
        ("the order of the curve", with(&part([&*order, &*order].concat())), "bad_signature"),
        ("ones", with(&part([255; 64])), "bad_signature"),
        ("a shorter one", with(&part([1; 63])), "bad_signature"),
        ("a longer one", with(&part([1; 65])), "bad_signature"),
        ("half of it", with(&signature[..signature.len() / 2 / 4 * 4]), "bad_signature"),
        ("other claims", changed, "bad_signature"),
        ("the signature of another", with(ed.rsplit_once('.').unwrap().1), "bad_signature"),
        ("an enormous one", with(&part(vec![1; 8000])), "bad_signature"),
    ]);
}

#[test]
fn row_86_hostile_claims() {
    let sign = |claims: Value| world().ec.token(&claims);
    let one = |name: &str, value: Value| sign(with(name, value));
    let raw = |payload: &str| world().ec.signed(&header_text(), payload);
    let text = claims().to_string();
    refused(&[
        ("no issuer", one("iss", Value::Null), "missing_claim"),
        ("another issuer", one("iss", json!("https://evil.example")), "wrong_issuer"),
        ("an issuer with a slash", one("iss", json!("https://issuer.example/")), "wrong_issuer"),
        ("an issuer of another case", one("iss", json!("https://Issuer.example")), "wrong_issuer"),
        ("a list of issuers", one("iss", json!(["https://issuer.example"])), "wrong_issuer"),
        ("no audience", one("aud", Value::Null), "missing_claim"),
        ("another audience", one("aud", json!("apis")), "wrong_audience"),
        ("no audience in a list", one("aud", json!([])), "wrong_audience"),
        ("an audience that is a number", one("aud", json!(1)), "wrong_audience"),
        ("an audience that is an object", one("aud", json!({ "api": true })), "wrong_audience"),
        ("an audience among numbers", one("aud", json!(["api", 1])), "wrong_audience"),
        ("an audience in a list in a list", one("aud", json!([["api"]])), "wrong_audience"),
        ("audiences in one text", one("aud", json!("api web")), "wrong_audience"),
        ("no end", one("exp", Value::Null), "missing_claim"),
        ("over now", one("exp", json!(NOW)), "expired"),
        ("over a second ago", one("exp", json!(NOW - 1)), "expired"),
        ("over long ago", one("exp", json!(0)), "expired"),
        ("over before time", one("exp", json!(-1)), "malformed_claim"),
        ("an end that is text", one("exp", json!("9999999999")), "malformed_claim"),
        ("an end that is true", one("exp", json!(true)), "malformed_claim"),
        ("an end beyond all time", one("exp", json!(1e300)), "malformed_claim"),
        ("an end in milliseconds that is over", one("exp", json!(NOW as f64 / 1000.0)), "expired"),
        ("a second too early", one("nbf", json!(NOW + 1)), "not_yet_valid"),
        ("a beginning that is text", one("nbf", json!("0")), "malformed_claim"),
        ("made in a second", one("iat", json!(NOW + 1)), "issued_in_future"),
        ("made at a time that is an object", one("iat", json!({})), "malformed_claim"),
        ("two ends", raw(&text.replacen('{', "{\"exp\":1,", 1)), "malformed"),
        ("two subjects", raw(&text.replacen('{', "{\"sub\":\"root\",", 1)), "malformed"),
        ("two names inside", raw(&text.replacen('{', "{\"a\":{\"b\":1,\"b\":2},", 1)), "malformed"),
    ]);
}
