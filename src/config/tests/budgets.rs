//! Hostile and enormous files: an answer within a second, and never a panic.

use std::{fmt::Write, fs, io::Write as _};

use proptest::prelude::*;

use super::{
    super::{Input, load},
    env, findings, read,
};

/// A second in a release build. Debug builds take up to three, and on a shared machine several times
/// that, for what another machine takes of the processor counts as ours. What is quadratic in 60,000
/// takes minutes.
const LIMIT_SECONDS: f64 = if cfg!(debug_assertions) { 25.0 } else { 1.0 };

/// What this thread has had of a processor: what else runs on the machine does not count.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
    // The name of the thread may hold anything, but nothing after its last bracket does.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let ticks = rest.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

fn timed<T>(work: impl FnOnce() -> T) -> T {
    let start = processor_seconds();
    let result = work();
    let took = processor_seconds() - start;
    println!("{took:.3} s");
    assert!(took < LIMIT_SECONDS, "{took} s");
    result
}

fn refused(text: &str, message: &str) {
    let loaded = timed(|| read(text));
    assert!(loaded.config.is_none());
    let found = findings(&loaded);
    assert!(found.len() <= 3 && found[0].contains(message), "{found:#?}");
    assert!(loaded.render(true).len() < 20_000);
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..7 {
        let alias = format!("*a{}", level - 1);
        let all = [alias.as_str(); 9].join(", ");
        writeln!(text, "a{level}: &a{level} [{all}]").unwrap();
    }
    refused(&text, "the aliases of this file unfold to too much");
    // Few nodes, much text.
    let text = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(10_000));
    refused(&text, "the aliases of this file unfold to too much");
    // One level deeper with every line.
    let mut text = String::from("a0: &a0 [x]\n");
    for level in 1..2000 {
        writeln!(text, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    refused(&text, "more than 64 levels of maps and lists");
}

#[test]
fn deep_nesting_is_refused() {
    refused(&"[".repeat(200_000), "more than 64 levels");
    refused(&"{a: ".repeat(200_000), "more than 64 levels");
    refused(&"- ".repeat(200_000), "64");
    let mut text = String::new();
    for level in 0..1000 {
        writeln!(text, "{}a:", " ".repeat(level)).unwrap();
    }
    refused(&text, "64");
}

#[test]
fn a_file_of_nothing_but_values_is_refused() {
    refused(&format!("a: [{}]", "1,".repeat(2_000_000)), "more than 1000000 keys and values");
}

#[test]
fn a_100_mb_file_is_refused_unread() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("routes.yaml");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"version: 1\n").unwrap();
    file.set_len(100 << 20).unwrap();
    let loaded = timed(|| load(&[Input::File(path)], &env));
    assert!(loaded.config.is_none());
    assert!(findings(&loaded)[0].ends_with("it is larger than 16 MiB"), "{:?}", findings(&loaded));
    // A pipe or a device has no size to look at.
    let loaded = timed(|| load(&[Input::File("/dev/zero".into())], &env));
    assert!(findings(&loaded)[0].ends_with("it is larger than 16 MiB"));
}

fn many_routes(count: usize) -> String {
    let mut text = String::from("version: 1\nupstreams: { shop: \"http://shop:1\" }\nroutes:\n");
    for at in 0..count {
        let path = format!("/tenants/{at}/orders/{{id}}/**");
        writeln!(text, "  route-{at}:\n    match: GET tenant-{at}.example.com{path}\n    to: shop\n    timeouts: {{ request: 10s }}").unwrap();
    }
    text
}

#[test]
fn many_routes_load() {
    let text = many_routes(10_000);
    assert!(text.len() > 1_000_000, "{}", text.len());
    let loaded = timed(|| read(&text));
    assert_eq!(loaded.config.unwrap().routes.len(), 10_000);
    let text = many_routes(60_000);
    let loaded = timed(|| read(&text));
    assert_eq!(loaded.config.unwrap().routes.len(), 60_000);
}

#[test]
fn sixty_thousand_mistakes_are_counted_not_listed() {
    let text = many_routes(60_000).replace("to: shop", "to: shpo");
    let loaded = timed(|| read(&text));
    assert_eq!(loaded.diagnostics.items.len(), 60_001 - 1);
    let shown = timed(|| loaded.render(false));
    assert!(shown.ends_with("60000 errors in 1 file; the first 200 are shown\n"));
}

const CORPUS: [&str; 3] = [
    include_str!("corpus/built.yaml"),
    include_str!("corpus/shop.yaml"),
    include_str!("corpus/reference.yaml"),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_text_makes_it_panic(text in "(\\PC|[ \n\t:\\-{}\\[\\]&*!|>'\"%@`#,?$<])*") {
        let loaded = read(&text);
        let _ = loaded.render(true);
        prop_assert!(loaded.config.is_none() || !loaded.diagnostics.has_errors());
    }

    #[test]
    fn no_damage_to_a_file_makes_it_panic(
        which in 0..3_usize,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, "[ \n\t:{}\\[\\]&*!|>'\"#,$<~a0é]{0,4}"), 1..6),
    ) {
        let mut text = CORPUS[which].to_owned();
        for (at, len, insert) in cuts {
            let mut start = at.index(text.len() + 1);
            while !text.is_char_boundary(start) { start -= 1; }
            let mut end = (start + len).min(text.len());
            while !text.is_char_boundary(end) { end += 1; }
            text.replace_range(start..end, &insert);
        }
        let loaded = read(&text);
        let _ = loaded.render(false);
        for found in &loaded.diagnostics.items {
            let _ = super::super::one_line(found, &loaded.sources);
            prop_assert!(!found.labels.is_empty());
        }
    }
}
