//! Keys as they are written, and files of them.

use super::*;

#[test]
fn keys_and_files_of_them() {
    let name = Name::from("ann");
    let mut keys = Keys::none();
    let mut add = |id: &str, key| keys.add(&name, id, key);
    assert!(add("short", Written::Secret("0123456789abcdef0123456789abcde")).is_err());
    assert!(add("b64", Written::Secret("base64:AAAA")).is_err());
    assert!(add("b64", Written::Secret("base64:%%")).is_err());
    assert!(add("", Written::Secret(SECRET)).is_err());
    assert!(add("a b", Written::Secret(SECRET)).is_err());
    assert!(add("k", Written::Secret(SECRET)).is_ok());
    assert!(add("k", Written::Secret(SECRET)).is_err(), "one name, one key");
    let rsa = vectors::der(vectors::RSA_PSS);
    assert!(add("rsa", Written::Public(&rsa, Some(Algorithm::RsaPkcs1))).is_ok());
    assert!(add("rsa2", Written::Public(&rsa, Some(Algorithm::Ed25519))).is_err());
    assert!(add("rsa3", Written::Public(&rsa, Some(Algorithm::HmacSha256))).is_err());
    assert!(add("cut", Written::Public(&rsa[..100], None)).is_err());
    assert!(add("none", Written::Public(b"", None)).is_err());
    let secret = STANDARD.encode(SECRET);
    let ed = STANDARD.encode(vectors::der(vectors::ED25519));
    let text = format!("# partners\n\nann k1 hmac-sha256 {secret}\n  bob k2 ed25519 {ed}\n");
    assert_eq!(Keys::parse_file("keys", &text).unwrap().len(), 2);
    for (line, why) in [
        ("ann k1 hmac-sha256", "a line is"),
        ("ann k1 md5 AAAA", "the algorithm is"),
        ("ann k1 hmac-sha256 %%", "not base64"),
        ("ann k1 hmac-sha256 AAAA", "at least 32"),
        ("ann k1 ecdsa-p256-sha256 KEY", "another algorithm"),
        ("a!b k1 ed25519 KEY", "consumer's name"),
        ("ann k1 ed25519 KEY\nbob k1 ed25519 KEY", "keys:2: another key"),
    ] {
        let found = Keys::parse_file("keys", &line.replace("KEY", &ed)).unwrap_err();
        assert!(found.contains(why) && found.starts_with("keys:"), "{line}: {found}");
        assert!(!found.contains(&ed), "{found}");
    }
}
