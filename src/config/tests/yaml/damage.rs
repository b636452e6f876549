//! Files of the corpus with something done to them.

use proptest::{prelude::*, sample::Index};

use super::texts::{HEADS, flow, word};

const CORPUS: [&str; 6] = [
    include_str!("../corpus/hello.yaml"),
    include_str!("../corpus/built.yaml"),
    include_str!("../corpus/shop.yaml"),
    include_str!("../corpus/reference.yaml"),
    include_str!("../../../../routes.yaml"),
    include_str!("../../../../examples/limits.yaml"),
];

/// Something done to a text.
#[derive(Clone, Debug)]
enum Damage {
    Delete(Index, usize),
    Insert(Index, String),
    Repeat(Index, usize),
    DeleteLine(Index),
    RepeatLine(Index),
    Indent(Index, &'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    let insert = prop_oneof![
        "[ \n\t:{}\\[\\]&*!|>'\"#,$<~a0é?%@`=.\r\\\\-]{1,4}",
        word(),
        flow(),
        prop::sample::select(&HEADS[..]).prop_map(|it| format!(" {it}\n")),
    ];
    prop_oneof![
        (at(), 1..12_usize).prop_map(|(at, len)| Damage::Delete(at, len)),
        (at(), insert).prop_map(|(at, text)| Damage::Insert(at, text)),
        (at(), 1..30_usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
        at().prop_map(Damage::DeleteLine),
        at().prop_map(Damage::RepeatLine),
        (at(), prop::sample::select(vec![" ", "  ", "\t", "    ", "# ", "- "]))
            .prop_map(|(at, by)| Damage::Indent(at, by)),
    ]
}

fn apply(text: &mut String, damage: &Damage) {
    let near = |text: &str, at: usize| {
        (0..=at.min(text.len())).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0)
    };
    let place = |text: &str, at: &Index| near(text, at.index(text.len() + 1));
    let line = |text: &str, at: &Index| {
        let at = place(text, at);
        let start = text[..at].rfind('\n').map_or(0, |it| it + 1);
        start..text[at..].find('\n').map_or(text.len(), |it| at + it + 1)
    };
    match damage {
        Damage::Delete(at, len) => {
            let start = place(text, at);
            let end = near(text, start + len).max(start);
            text.replace_range(start..end, "");
        }
        Damage::Insert(at, what) => text.insert_str(place(text, at), what),
        Damage::Repeat(at, len) => {
            let start = place(text, at);
            let end = near(text, start + len).max(start);
            let again = text[start..end].to_owned();
            text.insert_str(end, &again);
        }
        Damage::DeleteLine(at) => text.replace_range(line(text, at), ""),
        Damage::RepeatLine(at) => {
            let line = line(text, at);
            let again = text[line.clone()].to_owned();
            text.insert_str(line.end, &again);
        }
        Damage::Indent(at, by) => text.insert_str(line(text, at).start, by),
    }
}

/// Some lines of a file, with something done to them.
pub(super) fn damaged() -> impl Strategy<Value = String> {
    let lines = (any::<Index>(), 1..25_usize);
    (prop::sample::select(&CORPUS[..]), lines, prop::collection::vec(damage(), 1..4)).prop_map(
        |(file, (from, count), damages)| {
            let lines: Vec<&str> = file.split_inclusive('\n').collect();
            let from = from.index(lines.len());
            let mut text = lines[from..(from + count).min(lines.len())].concat();
            damages.iter().for_each(|it| apply(&mut text, it));
            text
        },
    )
}
