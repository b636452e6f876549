//! Writes a file's tree down again in another style: on one line, with brackets and quotes, aliases
//! and merge keys unfolded. What a file says must not depend on how it is written; the fuzzer
//! compares the two. Built for tests and for the fuzzer only.

use super::{
    diagnostic::Diagnostics,
    tree::{Entry, Kind, Node},
    yaml,
};

/// The file in another style; `None` if it is no YAML, has faults, or would read other files.
pub(crate) fn rewrite(text: &str) -> Option<String> {
    let mut found = Diagnostics::default();
    let root = yaml::read(text, 0, &mut found)?.root;
    if found.has_errors() || !stands_alone(&root) {
        return None;
    }
    let mut out = String::new();
    write(&root, &mut out);
    Some(out)
}

/// Neither `include` nor `${file:…}` in it.
fn stands_alone(node: &Node) -> bool {
    match &node.kind {
        Kind::Null => true,
        Kind::Scalar(scalar) => !scalar.text.contains("file:"),
        Kind::Seq(items) => items.iter().all(stands_alone),
        Kind::Map(entries) => entries.iter().all(|e| e.key != "include" && stands_alone(&e.value)),
    }
}

fn write(node: &Node, out: &mut String) {
    match &node.kind {
        Kind::Null => out.push('~'),
        Kind::Scalar(scalar) if !scalar.quoted && is_plain(&scalar.text) => {
            out.push_str(&scalar.text);
        }
        Kind::Scalar(scalar) => quote(&scalar.text, out),
        Kind::Seq(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push_str(", ");
            }
            out.push(']');
        }
        Kind::Map(entries) => {
            out.push('{');
            for Entry { key, value, .. } in entries {
                quote(key, out);
                out.push_str(": ");
                write(value, out);
                out.push_str(", ");
            }
            out.push('}');
        }
    }
}

/// Words and numbers, whose type may matter: they stay without quotes.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'))
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.' | b'_'))
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            ' '..='~' => out.push(char),
            other => out.push_str(&format!("\\U{:08x}", u32::from(other))),
        }
    }
    out.push('"');
}
