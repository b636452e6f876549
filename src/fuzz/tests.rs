//! Every file of every corpus, and a few neighbours of each: `fuzz/README.md` says how to add one.

use std::{fs, path::Path};

use proptest::{prelude::*, sample::Index};

use super::{config, frames, gate, head, headers, path};

/// Neighbours of each file.
const MUTANTS: u32 = 8;

/// Says which input broke a property: without it a panic names the property only.
struct Running<'a>(&'a Path, &'a [u8]);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("broken by {} or its neighbour\n{}", self.0.display(), self.1.escape_ascii());
        }
    }
}

/// Runs the corpus of a target, which must have at least so many files.
fn replay(name: &str, check: fn(&[u8]), least: usize) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= least, "only {} files in {}", files.len(), directory.display());
    let seeds: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    for (at, (path, seed)) in files.iter().zip(&seeds).enumerate() {
        run(path, seed, check);
        for round in 0..MUTANTS {
            let other = &seeds[(at * 7 + round as usize) % seeds.len()];
            run(path, &mutant(seed, other, round), check);
        }
    }
}

fn run(path: &Path, data: &[u8], check: fn(&[u8])) {
    let _running = Running(path, data);
    check(data);
}

/// The same change every time: a byte flipped, left out, doubled or replaced, or another seed's end.
fn mutant(seed: &[u8], other: &[u8], round: u32) -> Vec<u8> {
    let mut data = seed.to_vec();
    let sum = seed.iter().fold(round + 1, |sum, &b| sum.wrapping_mul(31).wrapping_add(b.into()));
    let random = sum.wrapping_mul(2_654_435_761) >> 8;
    let at = random as usize % (seed.len() + 1);
    match (round % 4, data.get(at).copied()) {
        (0, Some(byte)) => data[at] = byte ^ (1 << (random % 8)),
        (1, Some(_)) => drop(data.remove(at)),
        (2, Some(byte)) => data.insert(at, byte),
        _ => {
            data.truncate(at);
            data.extend_from_slice(&other[at.min(other.len())..]);
        }
    }
    data
}

#[test]
fn the_corpus_of_head_holds() {
    replay("head", head, 60);
}

#[test]
fn the_corpus_of_frames_holds() {
    replay("frames", frames, 15);
}

#[test]
fn the_corpus_of_gate_holds() {
    replay("gate", gate, 40);
}

#[test]
fn the_corpus_of_path_holds() {
    replay("path", path, 40);
}

#[test]
fn the_corpus_of_headers_holds() {
    replay("headers", headers, 30);
}

#[test]
fn the_corpus_of_config_holds() {
    replay("config", config, 30);
}

/// Everybody who runs the tests waits for the corpora.
#[test]
fn corpora_stay_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for corpus in fs::read_dir(root).unwrap() {
        let corpus = corpus.unwrap().path();
        let sizes =
            fs::read_dir(&corpus).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
        let sizes: Vec<_> = sizes.collect();
        let (count, bytes) = (sizes.len(), sizes.iter().sum::<u64>());
        assert!(
            count <= 300 && bytes <= 1 << 20,
            "{}: {count} files, {bytes} bytes",
            corpus.display()
        );
    }
}

// === for a moment, what the fuzzer does for hours ===

/// What to put in the place of something.
fn patch() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "",
        "\n",
        "  ",
        "\t",
        ":",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "#",
        "&a ",
        "*a",
        "<<: *a",
        "!",
        "|\n",
        ">-\n",
        "'",
        "\"",
        "---\n",
        "${SECRET}",
        "${",
        "${X:-",
        "~",
        "none",
        "true",
        "10s",
        "\u{feff}",
        "\\",
        "%",
        "é",
        "routes",
        "match",
        "to: x",
        "version: 1\n",
        "/**",
        "/{a}",
        "*.x",
        "{ regex: '('",
        "99999999999999999999",
    ];
    prop_oneof![
        8 => prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A file of the corpus with a few things changed.
    #[test]
    fn no_file_breaks_the_loader(seed in any::<Index>(), edits in prop::collection::vec((any::<Index>(), 0..12usize, patch()), 1..10)) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/config");
        let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let path = seed.get(&files);
        let mut data = fs::read(path).unwrap();
        for (at, taken, put) in edits {
            let at = at.index(data.len() + 1);
            let end = (at + taken).min(data.len());
            data.splice(at..end, put);
        }
        run(path, &data, config);
    }

    /// No file at all.
    #[test]
    fn no_bytes_break_the_loader(parts in prop::collection::vec(patch(), 0..40)) {
        run(Path::new("bytes"), &parts.concat(), config);
    }
}
