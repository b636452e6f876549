//! A tree as YAML, each value with where it was written behind it.

use std::fmt::Write as _;

use super::{Entry, Kind, Node, Places};

/// Where the column of places begins.
const COLUMN: usize = 60;

/// A whole file.
pub(super) fn yaml(root: &Node, places: &Places) -> String {
    let mut page = String::new();
    let top = root.entries().unwrap_or_default();
    for (at, entry) in top.iter().enumerate() {
        if at > 0 && entry.value.entries().is_some() {
            page.push('\n');
        }
        one(entry, 0, "", places, &mut page);
    }
    page
}

/// One key. `before` stands before it: the dash of a list, or nothing.
fn one(entry: &Entry, depth: usize, before: &str, places: &Places, page: &mut String) {
    let indent = "  ".repeat(depth);
    let lead = format!("{}{before}", &indent[..indent.len() - before.len()]);
    if let Some(key) = entry.key.strip_prefix('#') {
        let text = format!("{indent}# {key}: {}", flow(&entry.value));
        return line(page, &text, "built in");
    }
    let key = quoted(&entry.key, false);
    match &entry.value.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            // Comments alone would be no map.
            let empty = entries.iter().all(|it| it.key.starts_with('#'));
            let _ = writeln!(page, "{lead}{key}:{}", if empty { " {}" } else { "" });
            entries.iter().for_each(|entry| one(entry, depth + 1, "", places, page));
        }
        Kind::Seq(items) if items.iter().any(|item| item.scalar().is_none()) => {
            let _ = writeln!(page, "{lead}{key}:");
            items.iter().for_each(|node| item(node, depth + 2, places, page));
        }
        _ => {
            let text = format!("{lead}{key}: {}", flow(&entry.value));
            let origin = first(&entry.value).map_or_else(String::new, |it| places.origin(it.place));
            line(page, &text, &origin);
        }
    }
}

/// One item of a list.
fn item(node: &Node, depth: usize, places: &Places, page: &mut String) {
    let dash = format!("{}- ", "  ".repeat(depth - 1));
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            for (at, entry) in entries.iter().enumerate() {
                one(entry, depth, if at == 0 { "- " } else { "" }, places, page);
            }
        }
        _ => {
            let origin = first(node).map_or_else(String::new, |it| places.origin(it.place));
            line(page, &format!("{dash}{}", flow(node)), &origin);
        }
    }
}

fn line(page: &mut String, text: &str, origin: &str) {
    page.push_str(text);
    if !origin.is_empty() {
        let pad = COLUMN.saturating_sub(text.chars().count()).max(2);
        let _ = write!(page, "{:pad$}# {origin}", "");
    }
    page.push('\n');
}

/// The first scalar of what stands on one line.
fn first(node: &Node) -> Option<&Node> {
    match &node.kind {
        Kind::Scalar(_) => Some(node),
        Kind::Seq(items) => items.iter().find_map(first),
        Kind::Map(entries) => entries.iter().find_map(|entry| first(&entry.value)),
        Kind::Null => None,
    }
}

fn flow(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "null".to_owned(),
        Kind::Scalar(scalar) => quoted(&scalar.text, scalar.quoted || scalar.secret),
        Kind::Seq(items) => {
            let all: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", all.join(", "))
        }
        Kind::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Kind::Map(entries) => {
            let one = |it: &Entry| format!("{}: {}", quoted(&it.key, false), flow(&it.value));
            format!("{{ {} }}", entries.iter().map(one).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Text as a scalar: in quotes unless it cannot be taken for anything else. What was a number stays one.
fn quoted(text: &str, quoted: bool) -> String {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_./%+*@-".contains(c);
    let first = |c: char| c.is_ascii_alphanumeric() || "_./".contains(c);
    let plain = text.starts_with(first) && text.chars().all(inner);
    if plain && !quoted && text != "null" {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}
