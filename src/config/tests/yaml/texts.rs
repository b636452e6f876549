//! Random YAML, of all ways to write it.

use proptest::prelude::*;

/// A value, and how it is written.
#[derive(Clone, Debug)]
enum Piece {
    /// On the line of its key.
    Inline(String),
    /// A head (`|2-`, `"`), and lines below it with an indentation of their own.
    Lines(String, Vec<(usize, String)>),
    List(Vec<(Odd, Self)>),
    /// Keys are letters where nothing else is said.
    Map(Vec<(Option<String>, Odd, Self)>),
}

/// What may be odd around a value.
#[derive(Clone, Debug)]
struct Odd {
    /// Spaces a level.
    step: usize,
    /// Between `:` or `-` and the value.
    gap: &'static str,
    /// Anchors and tags.
    properties: &'static str,
    /// Behind the value.
    after: &'static str,
}

const WORDS: [&str; 73] = [
    "a",
    "b",
    "key",
    "x y",
    "to",
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "True",
    "FALSE",
    "true",
    "false",
    "NULL",
    "Null",
    "null",
    "nULL",
    "~",
    "0o7",
    "0o17",
    "0x1F",
    "0xFF_FF",
    "0b11",
    "1_000",
    "012",
    "0",
    "-0",
    "+5",
    "-5",
    "1.50",
    ".5",
    "5.",
    "08.5",
    "1e3",
    "1E+3",
    "1e400",
    "-1e-3",
    ".inf",
    "-.INF",
    "+.inf",
    ".nan",
    "NaN",
    "inf",
    "2024-01-02",
    "2024-01-02T03:04:05Z",
    "12:30:45",
    "99999999999999999999",
    "-99999999999999999999",
    "18446744073709551615",
    "0x",
    "-0x1F",
    "a#b",
    "a:b",
    "http://a:1/b?c#d",
    "-a",
    "?a",
    ":a",
    "--",
    "a'b",
    "a\"b",
    "é",
    "日本",
    "\u{1F600}",
    "10s",
    "20%",
    "GET /a/{id}/**",
    "<<",
    "=",
    "a\\nb",
    "a  b",
    "",
];
const DOUBLE: [&str; 24] = [
    "",
    "a",
    " ",
    "  ",
    "\\n",
    "\\t",
    "\t",
    "\\\"",
    "\\\\",
    "\\/",
    "\\x41",
    "\\u00e9",
    "\\U0001F600",
    "\\0",
    "\\e",
    "\\N",
    "\\_",
    "\\L",
    "\\ ",
    "'",
    "#",
    ": ",
    "\\q",
    "é",
];
const SINGLE: [&str; 10] = ["", "a", " ", "''", "\"", "\\", "# b", ": c", "\t", "é"];
const LINES: [&str; 22] = [
    "", " ", "a", "b c", "# no", "- x", "a: b", "  more", "\tt", "---", "...", "é", "'", "\"",
    "end ", "\\", "x\\", "}", "]", "%YAML", "a\t", "? k",
];
pub(super) const HEADS: [&str; 26] = [
    "|", ">", "|-", ">-", "|+", ">+", "|2", ">1", "|2-", "|-2", ">+1", ">3+", "| # c", "|  ",
    ">\t", "|9", "|0", "|#c", "\"", "'", "a", "\"a ", "'b ", "k: ", "[", "{",
];
const TOP: [&str; 11] = [
    "---\n",
    "--- ",
    "# c\n",
    "\n",
    "%YAML 1.2\n---\n",
    "%YAML 1.1\n---\n",
    "%TAG ! tag:x,1:\n---\n",
    "\u{feff}",
    " ",
    "---\t",
    "...\n",
];
const BOTTOM: [&str; 9] =
    ["\n", "...\n", "---\n", "...\n# c\n", "# c", "\n\n  \n", "\t", "--- b\n", "...\n---\n"];

/// Mostly nothing.
fn rarely(all: &'static [&'static str], nothing: usize) -> impl Strategy<Value = &'static str> {
    prop::sample::select([all, &vec![""; nothing]].concat())
}

fn odd() -> impl Strategy<Value = Odd> {
    let gap = prop::sample::select([vec![" "; 40], vec!["  ", "\t", " \t", "\t ", ""]].concat());
    let properties = prop::sample::select(
        [
            vec![""; 200],
            vec![
                "&a ",
                "&b ",
                "&a ",
                "&b ",
                "&c ",
                "&d ",
                "&e ",
                "!!str ",
                "!!int ",
                "!!null ",
                "!!map ",
                "!!seq ",
                "! ",
                "!x ",
                "&a !!str ",
                "!!str &b ",
                "&a\n",
                "&a",
                "!<tag:yaml.org,2002:str> ",
            ],
        ]
        .concat(),
    );
    let after = prop::sample::select(
        [
            vec![""; 100],
            vec![" # c", "#c", " ", "\t", "\t# c", "\n", "\n# c", "\n  # c", "\n\t", "\n \n"],
        ]
        .concat(),
    );
    let step = prop::sample::select(vec![1_usize, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4, 0]);
    (step, gap, properties, after).prop_map(|(step, gap, properties, after)| Odd {
        step,
        gap,
        properties,
        after,
    })
}

fn joined(parts: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(parts), 0..most).prop_map(|it| it.concat())
}

/// A scalar on one line.
pub(super) fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        24 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        6 => joined(&DOUBLE, 5).prop_map(|it| format!("\"{it}\"")),
        6 => joined(&SINGLE, 5).prop_map(|it| format!("'{it}'")),
        1 => prop::sample::select(vec!["*a", "*b", "*a ", "*c"]).prop_map(str::to_owned),
        3 => "[+-]?(0[xob]?)?[0-9._]{1,5}(e[+-]?[0-9]{1,2})?",
        1 => "[ -~]{0,6}",
        1 => "\\PC{0,4}",
        1 => "[ \t:\\-{}\\[\\]&*!|>'\"%@`#,?$<~a0\u{85}\u{2028}\u{a0}\u{feff}\r]{0,5}",
    ]
}

/// Between brackets.
pub(super) fn flow() -> impl Strategy<Value = String> {
    let space = || {
        prop::sample::select(vec![
            "", " ", "", " ", "", " ", "", " ", "", " ", "", " ", "  ", "\n", "\n  ", "\t",
            " # c\n  ", "\n\t",
        ])
    };
    word().prop_recursive(3, 12, 4, move |inner| {
        let item = (space(), inner.clone(), space()).prop_map(|(a, it, b)| format!("{a}{it}{b}"));
        let colon = prop::sample::select(vec![
            ": ", ": ", ": ", ": ", ": ", ": ", ": ", ": ", ":", " : ", ":\n ", "",
        ]);
        let pair = (
            space(),
            prop::sample::select(vec!["", "", "", "", "", "", "", "", "? ", "&a ", "!!str "]),
            word(),
            colon,
            inner,
            space(),
        )
            .prop_map(|(a, b, key, colon, it, c)| format!("{a}{b}{key}{colon}{it}{c}"));
        let comma = prop::sample::select(vec!["", "", "", "", "", ",", ",,"]);
        let pair = pair.boxed();
        prop_oneof![
            (prop::collection::vec(prop_oneof![4 => item, 1 => pair.clone()], 0..4), comma.clone())
                .prop_map(|(all, comma)| format!("[{}{comma}]", all.join(","))),
            (prop::collection::vec(pair, 0..4), comma)
                .prop_map(|(all, comma)| format!("{{{}{comma}}}", all.join(","))),
        ]
    })
}

fn key() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        24 => Just(None),
        2 => word().prop_map(|it| Some(format!("{it}:"))),
        1 => prop::sample::select(vec!["<<:", "&a k:", "*a :", "*a:", "!!str k:", "? k\n:", "? ", "[a]:", "k :", "\"k\" :", "k\t:"])
            .prop_map(|it| Some(it.to_owned())),
    ]
}

fn piece() -> impl Strategy<Value = Piece> {
    let lines = prop::collection::vec(
        (0..4_usize, prop::sample::select(&LINES[..]).prop_map(str::to_owned)),
        0..5,
    );
    let close = prop::sample::select(vec!["", "", "\"", "'", "]", "}"]);
    let plain = prop::sample::select(vec!["|", ">", "|-", ">+", "|2", ">-2", "| # c"]);
    let text = prop::sample::select(vec![
        "a", "b c", "", "  more", "\ttab", "# no", "x: y", "end ", "- z", " ",
    ]);
    let block =
        (plain, 1..4_usize, prop::collection::vec(text, 1..5)).prop_map(|(head, by, lines)| {
            Piece::Lines(
                head.to_owned(),
                lines.into_iter().map(|line| (by, line.to_owned())).collect(),
            )
        });
    let rough =
        (prop::sample::select(&HEADS[..]), lines, close).prop_map(|(head, mut lines, close)| {
            let end = match head.chars().next() {
                Some(it @ ('"' | '\'')) => it.to_string(),
                Some('[') => "]".to_owned(),
                Some('{') => "}".to_owned(),
                _ => close.to_owned(),
            };
            if let Some((_, last)) = lines.last_mut() {
                last.push_str(&end);
            }
            Piece::Lines(head.to_owned(), lines)
        });
    let leaf = prop_oneof![8 => word().prop_map(Piece::Inline), 3 => flow().prop_map(Piece::Inline), 2 => block, 1 => rough];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let map = prop::collection::vec((key(), odd(), inner.clone()), 0..5).prop_map(Piece::Map);
        let list = prop::collection::vec((odd(), inner), 0..5).prop_map(Piece::List);
        prop_oneof![2 => map, 1 => list]
    })
}

/// Writes a value. `dash`: it may begin on the line of the dash before it.
fn write(piece: &Piece, odd: &Odd, indent: usize, dash: bool, out: &mut String) {
    out.push_str(odd.properties);
    let pad = |by: usize| " ".repeat(indent + by);
    let block = matches!(piece, Piece::Map(_) | Piece::List(_));
    let compact = block && dash && odd.gap == " " && odd.properties.is_empty() && odd.step == 2;
    if block && !compact && indent > 0 {
        out.push_str(odd.after);
        out.push('\n');
    }
    let lead = |at: usize| if at == 0 && compact { String::new() } else { pad(0) };
    match piece {
        Piece::Inline(text) => {
            out.push_str(text);
            out.push_str(odd.after);
            out.push('\n');
        }
        Piece::Lines(head, lines) => {
            out.push_str(head);
            for (by, line) in lines {
                out.push('\n');
                out.push_str(&pad(*by));
                out.push_str(line);
            }
            out.push_str(odd.after);
            out.push('\n');
        }
        Piece::Map(entries) => {
            for (at, (key, odd, value)) in entries.iter().enumerate() {
                let key =
                    key.clone().unwrap_or_else(|| format!("{}:", ["c", "b", "e", "a", "d"][at]));
                out.push_str(&format!("{}{key}{}", lead(at), odd.gap));
                write(value, odd, indent + odd.step, false, out);
            }
        }
        Piece::List(items) => {
            for (at, (odd, value)) in items.iter().enumerate() {
                out.push_str(&format!("{}-{}", lead(at), odd.gap));
                write(value, odd, indent + odd.step, true, out);
            }
        }
    }
}

/// YAML of all kinds; about half of it is accepted.
pub(super) fn written() -> impl Strategy<Value = String> {
    let map = prop::collection::vec((key(), odd(), piece()), 0..5).prop_map(Piece::Map);
    let line = prop::sample::select([vec!["\n"; 20], vec!["\r\n", "\r"]].concat());
    let top = prop_oneof![20 => map, 1 => piece()];
    (rarely(&TOP, 60), odd(), top, rarely(&BOTTOM, 40), line).prop_map(
        |(before, odd, piece, after, line)| {
            let mut text = before.to_owned();
            write(&piece, &odd, 0, false, &mut text);
            text.push_str(after);
            if line == "\n" { text } else { text.replace('\n', line) }
        },
    )
}
