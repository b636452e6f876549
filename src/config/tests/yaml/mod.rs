//! The archived `serde_yaml` 0.9 as a second opinion: what we accept it accepts too, and it means the same.
//! Whoever moves a file from one to the other is told, or nothing changes. Where the two differ for a reason
//! stands in `differences`.

mod compare;
mod damage;
mod differences;
mod texts;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use self::compare::{Verdict, judge};
use super::{super::typed, findings, read};

/// `YAML_CASES=200000 cargo test --lib yaml_we_accept` for a long run.
fn cases() -> ProptestConfig {
    let cases = std::env::var("YAML_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(1_500);
    ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::with_cases(cases) }
}

#[track_caller]
fn agree(text: &str) {
    if let Verdict::Differs(how) = judge(text) {
        panic!("{text:?}\n{text}\n{how}");
    }
}

/// We accept it, and so do they.
#[track_caller]
pub(super) fn same(text: &str) {
    assert!(matches!(judge(text), Verdict::Same), "{text:?}: {:?}", judge(text));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn yaml_we_accept_means_the_same_to_another_parser(text in texts::written()) {
        agree(&text);
    }

    #[test]
    fn damaged_yaml_we_accept_means_the_same_to_another_parser(text in damage::damaged()) {
        agree(&text);
    }
}

#[test]
fn much_of_what_is_tried_is_accepted() {
    let mut runner = TestRunner::deterministic();
    let mut one = || judge(&texts::written().new_tree(&mut runner).unwrap().current());
    let same = (0..400).filter(|_| matches!(one(), Verdict::Same)).count();
    assert!(same > 30, "{same}");
}

/// What others read otherwise or refuse, and what is said of it.
#[test]
fn what_others_read_otherwise_is_refused() {
    for (text, said) in [
        ("...\na: 1\n", "1:1: `...` ends a document, and none has begun (take it away)"),
        ("# c\n... \n", "2:1: `...` ends a document, and none has begun (take it away)"),
        ("%YAML 1.2\n---\na: 1\n", "1:1: directives (`%`) mean nothing here (take the line away)"),
        ("a: b\n\t\nc: d\n", "2:1: a tab in the indentation (YAML indents with spaces only)"),
        ("a: b\n\t# c\n", "2:1: a tab in the indentation (YAML indents with spaces only)"),
        ("a:\n-\tb\n", "2:2: a tab in the indentation (YAML indents with spaces only)"),
        ("a: b\n \tc\n", "2:2: a tab in the indentation (YAML indents with spaces only)"),
        ("a: |\n  \tb\n", "2:3: a tab in the indentation (YAML indents with spaces only)"),
        ("a: |\n  b\n \t\n", "3:2: a tab in the indentation (YAML indents with spaces only)"),
        ("a: !!int 1\n", "1:4: the tag `!!int` means nothing here (take it away)"),
        ("a: ! b\n", "1:4: the tag `!` means nothing here (take it away)"),
        ("a: !!map\n  b: c\n", "1:4: the tag `!!map` means nothing here (take it away)"),
        (": a\n", "1:1: a key is missing here"),
        ("{: a}\n", "1:2: a key is missing here"),
        ("a: {b c\n  d: e}\n", "1:5: a key must stand on one line"),
        ("a: {b:}\n", "1:6: a space is missing after this `:`"),
        ("a: [b:]\n", "1:6: a space is missing after this `:`"),
        ("a: [?]\n", "1:5: within brackets, a word with `?` or `:` like this must be in quotes"),
        ("a: {:b}\n", "1:5: within brackets, a word with `?` or `:` like this must be in quotes"),
        ("a: &é b\n", "1:4: `é` is no name for an anchor (take letters, digits, `-` and `_`)"),
        ("a: &b{}\n", "1:4: `b` is no name for an anchor (take letters, digits, `-` and `_`)"),
        ("a: &b c\nd: &b e\n", "2:4: the anchor `b` is written twice"),
        (
            "a: b\u{85}c\n",
            "1:5: the character U+0085 ends a line to some and not to others (write it as `\\u0085` in double quotes)",
        ),
        (
            "# a\u{2028}b: c\n",
            "1:4: the character U+2028 ends a line to some and not to others (write it as `\\u2028` in double quotes)",
        ),
    ] {
        let loaded = read(text);
        assert!(findings(&loaded).iter().any(|it| it == said), "{text:?}: {:?}", findings(&loaded));
    }
}

/// Tabs and the rest where everybody reads them alike.
#[test]
fn what_all_read_alike_stays() {
    for text in [
        "a:\tb\t# c\n",
        "a: [b,\n  \tc, d,\n  \t\te]\n",
        "a: \"b\n  \t c\"\nd: 'e\n  \tf'\n",
        "a: |\n  b\n  \tc\n   \td\n",
        "a: !!str 1\n",
        "---\na: &b 1\nc: *b\n...\n",
        "? a\n: b\n",
        "a: [b, c: d, {e: f}, 'g':h]\n",
        "a: http://b:80/c?d#e\n",
        "a: ?b\nc: :d\n",
        "a: [http://b:80/c?d#e]\n",
        "a: 0x1F\nb: 0o17\nc: .5\nd: 08.5\ne: 012\nf: 1e400\ng: -0\nh: 1_000\n",
        "a: &x { b: 1, c: 2 }\nd: { <<: *x, c: 3 }\ne: { <<: [*x, { f: 4 }] }\n",
    ] {
        same(text);
    }
}

#[test]
fn plain_words_are_typed_as_yaml_1_2_does() {
    let all = [
        "0x1F", "0o17", "-5", "+5", "1.50", ".5", "1e3", "True", "012", "0x", "0b1", "-0x1", "1_0",
        ".inf", "yes",
    ];
    let typed: Vec<String> = all.iter().map(|it| typed::plain(it).to_string()).collect();
    let expected = [
        "31", "15", "-5", "5", "1.5", "0.5", "1000.0", "true", "\"012\"", "\"0x\"", "\"0b1\"",
        "\"-0x1\"", "\"1_0\"", "\".inf\"", "\"yes\"",
    ];
    assert_eq!(typed, expected);
}
