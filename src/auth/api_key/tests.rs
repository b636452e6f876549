//! A set of keys, and the file they come from.

use proptest::prelude::*;

use super::*;

const PLAIN: &str = "0123456789abcdef";
/// `printf 0123456789abcdef | sha256sum`
const HASHED: &str = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";

fn keys(entries: &[(&str, &str)], form: Form) -> Result<Keys, Wrong> {
    Keys::new(entries.iter().map(|(name, secret)| (Name::from(*name), *secret)), form)
}

fn parse(text: &str, form: Form) -> Result<Keys, String> {
    Keys::parse_file("keys", text, form)
}

fn owner<'k>(keys: &'k Keys, presented: &str) -> Option<&'k str> {
    keys.consumer_of(presented.as_bytes()).map(AsRef::as_ref)
}

#[test]
fn both_forms_find_the_consumer() {
    let upper = HASHED.to_uppercase();
    for (secret, form) in
        [(PLAIN, Form::Plain), (HASHED, Form::Sha256), (upper.as_str(), Form::Sha256)]
    {
        let keys = keys(&[("acme", secret)], form).unwrap();
        assert_eq!(owner(&keys, PLAIN), Some("acme"), "{form:?}");
        // The hash is no key.
        assert_eq!(owner(&keys, HASHED), None, "{form:?}");
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "acme"] {
            assert_eq!(owner(&keys, other), None, "{form:?} {other}");
        }
    }
}

#[test]
fn a_consumer_has_several_and_two_never_share_one() {
    let two = "another secret of 16".replace(' ', "_");
    let entries = [("acme", PLAIN), ("acme", &*two), ("acme", PLAIN), ("beta", "sixteen_letters_")];
    let found = keys(&entries, Form::Plain).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!((owner(&found, &two), owner(&found, PLAIN)), (Some("acme"), Some("acme")));
    assert_eq!(owner(&found, "sixteen_letters_"), Some("beta"));
    let entries = [("beta", &*two), ("acme", PLAIN), ("acme", PLAIN), ("beta", PLAIN)];
    let wrong = keys(&entries, Form::Plain).unwrap_err();
    assert_eq!(wrong, Wrong { entry: 3, why: Why::Taken(1) });
    // However the digits are written.
    let upper = HASHED.to_uppercase();
    let wrong = keys(&[("a", HASHED), ("b", &upper)], Form::Sha256).unwrap_err();
    assert_eq!(wrong, Wrong { entry: 1, why: Why::Taken(0) });
}

#[test]
fn what_cannot_be_a_key_is_refused() {
    let (long, longest) = ("x".repeat(LONGEST + 1), "x".repeat(LONGEST));
    for (secret, why) in [
        ("", Why::Short),
        ("fifteen_letters", Why::Short),
        ("ääääääääääääääa", Why::Short),
        ("with a space in it", Why::Characters),
        ("with_a\u{7}bell_in_it", Why::Characters),
        (&long, Why::Long),
    ] {
        let wrong = keys(&[("acme", secret)], Form::Plain).unwrap_err();
        assert_eq!(wrong, Wrong { entry: 0, why }, "{secret}");
    }
    let found = keys(&[("acme", &longest)], Form::Plain).unwrap();
    assert_eq!(owner(&found, &longest), Some("acme"));
    let digits = &HASHED[1..];
    for secret in ["", PLAIN, digits, &format!("{digits}g"), &format!("+{digits}")] {
        let wrong = keys(&[("acme", secret)], Form::Sha256).unwrap_err();
        assert_eq!(wrong, Wrong { entry: 0, why: Why::NoHash }, "{secret}");
    }
    let long = "x".repeat(LONGEST_NAME + 1);
    for name in ["", "-a", "two words", "line\nfeed", "schön", &long] {
        let wrong = keys(&[(name, PLAIN)], Form::Plain).unwrap_err();
        assert_eq!(wrong, Wrong { entry: 0, why: Why::Name }, "{name}");
    }
}

/// One that is longer than any key may be is not hashed, and so is nobody's, whoever hashed it.
#[test]
fn what_is_too_long_is_nobodys() {
    let long = "x".repeat(LONGEST + 1);
    let hash = digest(&SHA256, long.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let found = keys(&[("acme", &hex)], Form::Sha256).unwrap();
    assert_eq!(owner(&found, &long), None);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let found = keys(&[("acme", empty)], Form::Sha256).unwrap();
    assert_eq!(owner(&found, ""), None);
}

#[test]
fn a_file_has_lines_and_comments() {
    let text = format!(
        "# ours\n\n  acme\t{PLAIN}  \r\n\t# theirs\nbeta.eu sixteen_letters#\n#beta x\nacme sixteen_letters_"
    );
    let found = parse(&text, Form::Plain).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(owner(&found, PLAIN), Some("acme"));
    assert_eq!(owner(&found, "sixteen_letters#"), Some("beta.eu"));
    assert_eq!(owner(&found, "sixteen_letters_"), Some("acme"));
    // Who writes none lets nobody in.
    assert_eq!(parse("", Form::Plain).unwrap().len(), 0);
    assert_eq!(parse("# nobody", Form::Sha256).unwrap().len(), 0);
}

#[test]
fn what_is_wrong_with_a_file_is_one_line_without_the_secret() {
    for (text, form, at, what) in [
        ("\nacme\n", Form::Plain, 2, "a consumer and a secret"),
        ("hunter2hunter2hunter2", Form::Plain, 1, "a consumer and a secret"),
        ("acme hunter2 hunter2", Form::Plain, 1, "a consumer and a secret"),
        ("acme hunter2", Form::Plain, 1, "at least 16"),
        ("acme hunter2", Form::Sha256, 1, "64 hexadecimal digits"),
        ("# x\nhunter2!hunter2!hunter2 acme", Form::Plain, 2, "a consumer's name"),
        ("hunter2hunter2hunter2 acme", Form::Plain, 1, "at least 16"),
        (
            "a hunter2hunter2hunter2\n\nb hunter2hunter2hunter2",
            Form::Plain,
            3,
            "same secret: the one of line 1",
        ),
    ] {
        let error = parse(text, form).unwrap_err();
        assert!(error.starts_with(&format!("keys:{at}: ")), "{text:?}: {error}");
        assert!(error.contains(what) && !error.contains('\n'), "{text:?}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_file_ends_somewhere() {
    let line = |number| format!("c{number} secret_number_{number:08}\n");
    let mut text: String = (0..MOST).map(line).collect();
    let found = parse(&text, Form::Plain).unwrap();
    assert_eq!(found.len(), MOST);
    assert_eq!(owner(&found, "secret_number_00099999"), Some("c99999"));
    text.push('\n');
    assert_eq!(parse(&text, Form::Plain).unwrap_err(), "keys:100001: there may be at most 100000");
    let entries = (0..=MOST).map(|_| (Name::from("a"), PLAIN));
    let wrong = Keys::new(entries, Form::Plain).unwrap_err();
    assert_eq!(wrong, Wrong { entry: MOST, why: Why::TooMany });
}

#[test]
fn nothing_shows_a_secret() {
    let found = keys(&[("acme", PLAIN)], Form::Plain).unwrap();
    assert_eq!(format!("{found:?}"), "Keys { len: 1, .. }");
    // What is kept is neither the secret nor its hash, and not the same in two sets.
    let other = keys(&[("acme", PLAIN)], Form::Plain).unwrap();
    let kept = |keys: &Keys| keys.consumers.keys().next().copied().unwrap();
    assert_ne!(kept(&found), hex(HASHED).unwrap());
    assert_ne!(kept(&found), kept(&other));
}

proptest! {
    #[test]
    fn every_secret_has_its_consumer_and_nothing_else_has_one(
        entries in proptest::collection::btree_map("[ -~]{14,20}", 0usize..4, 0..20),
        guess in "[ -~]{14,20}",
    ) {
        let entries: Vec<(String, &str)> = entries
            .iter()
            .map(|(secret, name)| (secret.replace(' ', "_") + "..", ["a", "b", "c", "d"][*name]))
            .collect();
        let pairs: Vec<_> = entries.iter().map(|(secret, name)| (*name, &**secret)).collect();
        // Two may have become the same.
        let Ok(found) = keys(&pairs, Form::Plain) else { return Ok(()) };
        for (secret, name) in &entries {
            prop_assert_eq!(owner(&found, secret), Some(*name));
            prop_assert_eq!(owner(&found, &secret[1..]), None);
        }
        let known = entries.iter().any(|(secret, _)| *secret == guess);
        prop_assert_eq!(owner(&found, &guess).is_some(), known);
    }

    #[test]
    fn no_file_is_a_panic_or_more_than_a_line(text in "([a-f0-9 #\n\r\t\u{b}ä]{0,40}\n){0,6}") {
        for form in [Form::Plain, Form::Sha256] {
            if let Err(error) = parse(&text, form) {
                prop_assert!(error.starts_with("keys:") && !error.contains('\n'), "{}", error);
            }
        }
    }
}
