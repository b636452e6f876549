//! Hashes other programs made, and what is no hash.

use super::*;

/// `printf 'correct horse' | argon2 somesaltsomesalt -id -k 19456 -t 2 -p 1 -e`, of the reference
/// implementation.
const OWASP: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                     k9ohroejZy1PN5E1SbHNPug6vB8eQAahb5SOAp6iGF4";
/// The same with `-k 64 -t 3 -p 4`.
const SMALL: &str = "$argon2id$v=19$m=64,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$\
                     CCkaoyYuGSSwJKlE+papjyKK+YzkNRFOdRn/qDfY4LQ";

/// `htpasswd -nbB -C 4 carol pässwörd`
const CAROL: &str = "$2y$04$LnIL1O30JXFTN/qriSZHs.mGUR11M09ir9xEe2aYUaW69NYE67NZe";
/// The same with a hundred times `x`.
const LONG: &str = "$2y$04$tJ7HpYDO6mMZq4kCrM/ETuZaMSgxeFiRiccx5BPweyTxPVPGnb2Dy";

fn hash(text: &str) -> Hash {
    Hash::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[track_caller]
fn refused(text: &str, why: &str) {
    let said = Hash::parse(text).expect_err(text);
    assert!(said.contains(why), "{text}: {said}");
}

#[test]
fn hashes_of_other_programs_hold() {
    // The three ways in which `$2` goes on are one for passwords like these.
    let (b, a) = (CAROL.replace("$2y", "$2b"), CAROL.replace("$2y", "$2a"));
    for (text, password) in [
        (OWASP, "correct horse"),
        (SMALL, "correct horse"),
        (CAROL, "pässwörd"),
        (&b, "pässwörd"),
        (&a, "pässwörd"),
        (LONG, &"x".repeat(100)),
        (LONG, &"x".repeat(72)),
        // Of jBCrypt's tests.
        ("$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", ""),
        ("$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", "a"),
    ] {
        let hash = hash(text);
        assert_eq!(hash.verify(password), Ok(true), "{text}");
        for wrong in ["correct horsf", "Correct horse", "z", "x\0"] {
            assert_eq!(hash.verify(wrong), Ok(wrong == password), "{text} {wrong:?}");
        }
    }
    assert_eq!(hash(LONG).verify(&"x".repeat(71)), Ok(false));
}

#[test]
fn new_hashes_hold_and_have_salts() {
    let (one, two) = (Hash::argon2id("pässwörd"), Hash::argon2id("pässwörd"));
    assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one != two, "{one} {two}");
    assert_eq!(hash(&one).verify("pässwörd"), Ok(true));
    assert_eq!(hash(&one).verify("password"), Ok(false));
    assert_eq!(hash(&one).warning(), None);
    let (one, two) = (Hash::bcrypt("pässwörd", 4), Hash::bcrypt("pässwörd", 4));
    assert!(one.starts_with("$2y$04$") && one.len() == 60 && one != two, "{one} {two}");
    assert_eq!(hash(&one).verify("pässwörd"), Ok(true));
    assert_eq!(hash(&one).verify("password"), Ok(false));
}

#[test]
fn what_is_no_hash_is_named_and_never_shown() {
    for (text, why) in [
        ("$apr1$4fcZzdno$aLold6Gs.5NfqFdYF93OD1", "`$apr1$` (MD5"),
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "`{SHA}` (SHA-1 without a salt)"),
        ("$1$4fcZzdno$aLold6Gs.5NfqFdYF93OD1", "`$1$` (MD5)"),
        ("$5$qUXRITBk0YE/16wx$Txn/MaD4JtPtAZwmc7EZ5wwH9MDZAbGsWZrHpEmlD.1", "`$5$`"),
        ("$6$pqXkH3F8Cc4U2MgF$iJI2xi7", "`$6$`"),
        ("$y$j9T$abc", "yescrypt"),
        ("$2x$04$LnIL1O30JXFTN/qriSZHs.mGUR11M09ir9xEe2aYUaW69NYE67NZe", "`$2x$`"),
        ("$argon2i$v=19$m=64,t=3,p=1$c29tZXNhbHQ$yfARiINusXi3DW+Tt0", "Argon2i is not"),
        ("$pbkdf2-sha256$x", "this hash is not supported"),
        ("jgQ7lgBzAUiVw", "crypt with DES"),
        ("hunter2", "perhaps the password itself"),
        ("", "perhaps the password itself"),
    ] {
        refused(text, why);
        let said = Hash::parse(text).unwrap_err();
        assert!(said.ends_with("`tidegate hash` or `htpasswd -nB -C 12 USER`"), "{said}");
        assert!(text.len() < 7 || !said.contains(&text[text.len() - 7..]), "{said}");
    }
}

#[test]
fn what_costs_too_much_is_refused() {
    let argon2 = |numbers: &str| SMALL.replace("m=64,t=3,p=4", numbers);
    hash(&argon2("m=262144,t=4,p=64"));
    hash(&argon2("m=16384,t=64,p=1"));
    for (numbers, why) in [
        ("m=262145,t=1,p=1", "at most 262144 KiB (256 MiB)"),
        ("m=4294967295,t=4294967295,p=1", "m=4294967295 is too much"),
        ("m=1024,t=65,p=1", "at most 64 passes"),
        ("m=262144,t=5,p=1", "m times t may be 1048576"),
        ("m=1024,t=1,p=65", "at most 64 lanes"),
        ("m=63,t=1,p=8", "m=63,t=1,p=8: "),
        ("m=7,t=1,p=1", "m=7,t=1,p=1: "),
    ] {
        refused(&argon2(numbers), why);
    }
    hash(&CAROL.replace("$04$", "$15$"));
    refused(&CAROL.replace("$04$", "$16$"), "at most 15");
    refused(&CAROL.replace("$04$", "$31$"), "at most 15");
    refused(&CAROL.replace("$04$", "$03$"), "no bcrypt cost of 3");
}

#[test]
fn what_is_cheap_is_a_warning() {
    let argon2 = |numbers: &str| hash(&SMALL.replace("m=64,t=3,p=4", numbers)).warning();
    // The five that OWASP lists.
    for good in ["m=47104,t=1", "m=19456,t=2", "m=12288,t=3", "m=9216,t=4", "m=7168,t=5"] {
        assert_eq!(argon2(&format!("{good},p=1")), None, "{good}");
    }
    for cheap in ["m=7167,t=64", "m=7168,t=4", "m=32768,t=1", "m=64,t=3"] {
        let warning = argon2(&format!("{cheap},p=1")).unwrap_or_default();
        assert!(warning.starts_with(&format!("{cheap} is less than")), "{warning}");
    }
    assert_eq!(hash(&CAROL.replace("$04$", "$10$")).warning(), None);
    let warning = hash(&CAROL.replace("$04$", "$09$")).warning().unwrap_or_default();
    assert!(warning.starts_with("a bcrypt cost of 9 is cheap"), "{warning}");
}

#[test]
fn what_is_broken_is_refused() {
    for (from, to) in [
        ("v=19$", ""),
        ("m=64,t=3,p=4", "t=3,m=64,p=4"),
        ("m=64,t=3,p=4", "m=64,t=3"),
        ("m=64", "m=+64"),
        ("m=64", "m=064"),
        ("m=64", "m="),
        ("m=64", "m=99999999999"),
        ("SSwJKlE+papjyKK+YzkNRFOdRn/qDfY4LQ", "!!"),
        ("qDfY4LQ", "qDfY4LR"),
        ("qDfY4LQ", "qDfY4LQ="),
        ("qDfY4LQ", "qDfY4LQ$"),
    ] {
        refused(&SMALL.replace(from, to), "not a whole PHC string");
    }
    refused(&SMALL.replace("v=19", "v=16"), "another version than 19");
    refused(&SMALL.replace("p=4", "p=4,keyid=aaaa"), "with a key");
    refused(&SMALL.replace("c29tZXNhbHRzb21lc2FsdA", "c29tZXM"), "a salt has 8 to 64 bytes");
    refused("$argon2id$v=19$m=64,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$CCkaoyY", "a hash 16 to 64");
    for broken in [
        &CAROL[..59],
        &format!("{CAROL}e"),
        &CAROL.replace("$04$", "$4$"),
        &CAROL.replace("$04$", "$+4$"),
        &CAROL.replace("NZe", "N!e"),
        &CAROL.replace("NZe", "Nä"),
        "$2y$",
        "$2y$04",
    ] {
        refused(broken, "not a whole bcrypt hash");
    }
}

/// Salt and output.
fn parts(hash: &Hash) -> (&[u8], &[u8]) {
    match &hash.kind {
        Kind::Argon2id { salt, output, .. } => (salt, output),
        Kind::Bcrypt { salt, output, .. } => (salt, output),
    }
}

#[test]
fn a_dummy_costs_the_same_and_is_the_hash_of_nothing() {
    for text in [SMALL, CAROL] {
        let (real, dummy) = (hash(text), hash(text).dummy());
        assert_eq!(real.cost(), dummy.cost());
        assert_ne!(real.id(), dummy.id());
        assert_ne!(parts(&dummy), parts(&real));
        assert_ne!(parts(&dummy), parts(&real.dummy()));
        for password in ["correct horse", "pässwörd"] {
            assert_eq!(dummy.verify(password), Ok(false));
        }
        assert!(!format!("{real:?}").contains(&text[text.len() - 6..]), "{real:?}");
    }
    // Of the same password, and yet another one.
    assert_ne!(hash(CAROL).id(), hash(&CAROL.replace("$2y", "$2a")).id());
}
