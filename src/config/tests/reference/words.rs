//! What a value may be, in words.

use super::{
    super::super::{
        decode,
        fields::{Field, Form, Grammar, Section, Type},
    },
    parts::Parts,
};

/// What may be written for a key.
pub(super) fn value(field: &'static Field, parts: &Parts) -> String {
    let mut all = if field.is.is_empty() { typed(field, parts) } else { Vec::new() };
    for form in field.is.iter().chain(field.or) {
        let other = self::form(form, parts);
        // A name of a policy and one that stands in its place look the same.
        if !all.contains(&other) {
            all.push(other);
        }
    }
    either(&all)
}

/// `a | b | c`.
fn either(all: &[String]) -> String {
    all.join(" | ")
}

/// The same where more follows.
fn one_of(all: &[String]) -> String {
    if all.len() > 1 { format!("({})", either(all)) } else { either(all) }
}

fn typed(field: &'static Field, parts: &Parts) -> Vec<String> {
    let of: Vec<String> = field.of.iter().map(|form| self::form(form, parts)).collect();
    let or: Vec<String> = field.or.iter().map(|form| self::form(form, parts)).collect();
    match &field.ty {
        // One item may stand alone, by whichever way the table says it.
        Type::List if field.alone || (!of.is_empty() && of == or) => {
            let these = "list of these".to_owned();
            if of.is_empty() { vec!["text".to_owned(), these] } else { [of, vec![these]].concat() }
        }
        Type::List if of.is_empty() => vec!["list of text".to_owned()],
        Type::List => vec![format!("list of {}", one_of(&of))],
        Type::Map(section) => vec![map(section, "map", parts)],
        Type::Named(section) => {
            let entries = [vec![map(section, "map", parts)], of].concat();
            vec![format!("map of NAME to {}", one_of(&entries))]
        }
        Type::Many(section) => {
            let items = [vec![map(section, "map", parts)], of].concat();
            vec![format!("list of {}", one_of(&items))]
        }
        Type::Free if of.is_empty() => vec!["map with keys of your own".to_owned()],
        Type::Free => vec![format!("map with keys of your own to {}", one_of(&of))],
        scalar => vec![self::scalar(scalar)],
    }
}

/// A map, and where its keys are.
fn map(section: &'static Section, word: &str, parts: &Parts) -> String {
    match parts.place(section) {
        Some(place) => format!("[{word}](#{})", super::anchor(place)),
        None => word.to_owned(),
    }
}

fn scalar(ty: &Type) -> String {
    match ty {
        Type::Bool => "`true` or `false`".to_owned(),
        Type::Int(min, max) if min == max => format!("`{min}`"),
        Type::Int(min, max) => format!("whole number {min} to {max}"),
        Type::Duration(least) if least.is_zero() => "duration".to_owned(),
        Type::Duration(least) if least.subsec_millis() == 0 => {
            format!("duration ≥ {}s", least.as_secs())
        }
        Type::Duration(least) => format!("duration ≥ {}ms", least.as_millis()),
        Type::Size(0, most) => format!("size ≤ {}", decode::show_size(*most)),
        Type::Size(least, most) => {
            format!("size {} to {}", decode::show_size(*least), decode::show_size(*most))
        }
        Type::Percent => "`0%` to `100%`".to_owned(),
        Type::Word(built, later) => {
            let later: Vec<String> = later.iter().map(|it| format!("`{it}` NOT YET")).collect();
            let built: Vec<String> = built.iter().map(|it| format!("`{it}`")).collect();
            let later =
                if later.is_empty() { later.concat() } else { format!(" ({})", later.join(", ")) };
            format!("{}{later}", either(&built))
        }
        Type::Text => "text".to_owned(),
        Type::List => "list".to_owned(),
        Type::Map(_) | Type::Named(_) | Type::Free => "map".to_owned(),
        Type::Many(_) => "list of maps".to_owned(),
    }
}

fn form(form: &'static Form, parts: &Parts) -> String {
    match form {
        Form::A(ty) => scalar(ty),
        Form::Map(section) => map(section, "map", parts),
        Form::Words(words) => {
            let words: Vec<String> = words.iter().map(|it| format!("`{it}`")).collect();
            either(&words)
        }
        Form::Nothing => "`none`".to_owned(),
        Form::Empty => "text that may be empty".to_owned(),
        Form::Like(grammar) => like(*grammar).to_owned(),
        Form::List(items) => {
            let items: Vec<String> = items.iter().map(|item| self::form(item, parts)).collect();
            format!("list of {}", one_of(&items))
        }
        Form::Anything => "anything".to_owned(),
    }
}

fn like(grammar: Grammar) -> &'static str {
    match grammar {
        Grammar::Name => "name",
        Grammar::Rate => "rate like `100/min`",
        Grammar::Bytes => "bytes a second like `10MiB/s`",
        Grammar::Url => "URL",
        Grammar::Network => "address | network like `10.0.0.0/8`",
        Grammar::Status => "status | range like `500-599`",
        Grammar::Path => "path",
        Grammar::Carrier => "`header:NAME` | `query:NAME` | `cookie:NAME`",
        Grammar::Part => {
            "`client_ip` | `consumer` | `route` | `claim:NAME` | `header:NAME` | `cookie:NAME` | `query:NAME`"
        }
        Grammar::Cost => "whole number | `header:NAME`",
        Grammar::Hashed => "`client_ip` | `path` | `header:NAME` | `cookie:NAME` | `query:NAME`",
        Grammar::Request => "method and URL like `GET https://host/path`",
    }
}
