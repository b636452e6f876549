//! `docs/reference.md`: every key of the language on one page, made of the table of fields. The page is
//! written by its test, so that it never says anything else than the program does.

use std::fmt::Write;

use super::super::fields::{
    DEFAULTS, Field, Inherit, Need, ROUTE, Section, Status, Type, UPSTREAM,
};
use crate::documentation;

mod examples;
mod parts;
mod words;

use self::{
    examples::EXAMPLES,
    parts::{Part, Parts, fields, join},
};

const HEAD: &str = "\
# Every key of `routes.yaml`

This page is made of the table the program itself reads files by. [language.md](language.md) says how things belong together, and
`tidegate schema` prints the same for [editors](tools.md#schema).

`NAME` is a name of your own, and `[]` an item of a list. `|` stands between what may be written, `none` may also be `false`, and what
may be \"list of these\" needs no brackets where it is one. Durations, sizes and percentages have [units](language.md#shape).
**NOT YET** marks what belongs to the language and this build cannot do: it is refused, never ignored. What is inherited comes from
`defaults`, and where nobody writes anything the default holds. [Policies and inheritance](language.md#policies-and-inheritance) has the rules.

";

// === the page ===

fn page() -> String {
    let parts = Parts::all();
    let mut page = HEAD.to_owned();
    contents(&parts, &mut page);
    for part in &parts.all {
        told(part, &parts, &mut page);
    }
    page
}

fn contents(parts: &Parts, page: &mut String) {
    page.push_str("| | |\n|---|---|\n");
    let mut row = String::new();
    for part in &parts.all {
        let link = |text: &str| format!("[`{text}`](#{})", anchor(&part.path));
        let (top, rest) = split(&part.path);
        if rest.is_empty() {
            if !row.is_empty() {
                let _ = writeln!(page, "{row} |");
            }
            row = format!("| {} |", link(if top.is_empty() { "the file" } else { top }));
        } else {
            let _ = write!(row, " {}", link(rest));
        }
    }
    let _ = writeln!(page, "{row} |\n");
}

/// `routes.NAME` and what is below it.
fn split(path: &str) -> (&str, &str) {
    let end = path.find(".NAME").map(|at| at + ".NAME".len());
    let end = match path.split_once('.') {
        Some((first, rest)) if !rest.starts_with("NAME") => first.len(),
        _ => end.unwrap_or(path.len()),
    };
    let (top, rest) = path.split_at(end);
    (top, rest.trim_start_matches('.'))
}

/// Where a link leads; brackets would have to be escaped there.
fn anchor(path: &str) -> String {
    if path.is_empty() { "file".to_owned() } else { path.replace("[]", "") }
}

fn told(part: &Part, parts: &Parts, page: &mut String) {
    let (_, rest) = split(&part.path);
    let title =
        if part.path.is_empty() { "The file".to_owned() } else { format!("`{}`", part.path) };
    let level = if rest.is_empty() { "##" } else { "###" };
    let _ = write!(page, "<a id=\"{}\"></a>\n\n{level} {title}\n\n", anchor(&part.path));
    let notes = notes(part);
    if !notes.is_empty() {
        let _ = write!(page, "{}\n\n", notes.join(" "));
    }
    if let Some((_, example)) = EXAMPLES.iter().find(|(path, _)| *path == part.path) {
        let _ = write!(page, "```yaml\n{}\n```\n\n", example.trim());
    }
    for field in fields(part.section) {
        entry(field, part, parts, page);
    }
    page.push('\n');
}

/// What is to be said of all keys of a map together.
fn notes(part: &Part) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(key) = part.key {
        let mut help = key.help.to_owned();
        help.get_mut(..1).map(str::make_ascii_uppercase);
        let inherit = key.inherit.told().map(|it| format!("; {it}")).unwrap_or_default();
        notes.push(format!("{help}{inherit}."));
    }
    if !part.also.is_empty() {
        let also: Vec<String> = part.also.iter().map(|path| format!("`{path}`")).collect();
        notes.push(format!("The same keys stand in {}.", listed(&also, "and")));
    }
    let mut seen: Vec<Need> = Vec::new();
    for field in fields(part.section) {
        let members = || {
            let members = fields(part.section).filter(|it| it.need == field.need);
            listed(&members.map(|it| format!("`{}`", it.key)).collect::<Vec<_>>(), "and")
        };
        if seen.contains(&field.need) {
            continue;
        }
        seen.push(field.need);
        match field.need {
            Need::OneOf(_) => notes.push(format!("Exactly one is written of {}.", members())),
            Need::SomeOf(_) => notes.push(format!("At least one is written of {}.", members())),
            Need::No | Need::Yes | Need::Elsewhere => {}
        }
    }
    notes
}

fn listed(all: &[String], word: &str) -> String {
    match all {
        [first @ .., last] if !first.is_empty() => format!("{} {word} {last}", first.join(", ")),
        _ => all.concat(),
    }
}

fn entry(field: &'static Field, part: &Part, parts: &Parts, page: &mut String) {
    let path = join(&part.path, field.key);
    // The heading of its own part is its anchor.
    let at = anchor(&path);
    let id = match parts.all.iter().any(|part| anchor(&part.path) == at) {
        true => String::new(),
        false => format!("<a id=\"{at}\"></a>"),
    };
    let mut facts = vec![words::value(field, parts)];
    if field.status == Status::Later {
        facts.push("**NOT YET**".to_owned());
    }
    if field.need == Need::Yes {
        facts.push("required".to_owned());
    }
    if !field.default.is_empty() {
        facts.push(format!("default `{}`", field.default));
    }
    facts.extend(inherit(field).map(str::to_owned));
    let _ = write!(page, "- {id}**`{path}`** · {}", facts.join(" · "));
    let mut help = field.help.to_owned();
    if let (Status::Later, Type::Map(inner) | Type::Named(inner)) = (field.status, &field.ty) {
        let keys: Vec<String> = fields(inner).map(|it| format!("`{}`", it.key)).collect();
        help = format!("{help}: {}", listed(&keys, "and"));
    }
    match help.as_str() {
        "" => page.push('\n'),
        help => _ = writeln!(page, "\\\n  {help}"),
    }
}

/// Of what is built only: of the rest nobody knows yet.
fn inherit(field: &Field) -> Option<&'static str> {
    field.inherit.told().filter(|_| field.status == Status::Built)
}

// === tests ===

#[test]
fn the_page_is_what_the_table_says() {
    documentation::holds("docs/reference.md", &page());
}

#[test]
fn every_key_of_the_table_is_on_the_page_once() {
    let page = page();
    let parts = Parts::all();
    for part in &parts.all {
        for field in fields(part.section) {
            let path = join(&part.path, field.key);
            assert_eq!(page.matches(&format!("**`{path}`**")).count(), 1, "{path}");
        }
    }
    for path in ["routes.NAME.retry.when", "upstreams.NAME.tls.ca", "tests[].request"] {
        let at = path.replace("[]", "");
        assert!(page.contains(&format!("- <a id=\"{at}\"></a>**`{path}`**")), "{path}");
    }
    let retry = "<a id=\"routes.NAME.retry\"></a>\n\n### `routes.NAME.retry`\n\nFurther tries; a \
                 number, a name, a map, or none; merges field by field with what is inherited. The \
                 same keys stand in `policies.retry.NAME` and `defaults.retry`.";
    assert!(page.contains(retry), "{page}");
}

#[test]
fn every_example_stands_under_a_heading() {
    let parts = Parts::all();
    for (path, _) in EXAMPLES {
        assert!(parts.all.iter().any(|part| part.path == *path), "{path}");
    }
}

#[test]
fn the_marks_of_inheritance_are_on_what_is_inherited() {
    let marked = |section: &'static Section| {
        let all = fields(section).filter(|field| field.inherit != Inherit::Nothing);
        all.map(|field| field.key).collect::<Vec<_>>()
    };
    let defaults: Vec<_> =
        fields(&DEFAULTS).map(|field| field.key).filter(|key| *key != "upstream").collect();
    assert_eq!(marked(&ROUTE), defaults);
    // Where it answers is said by each upstream itself.
    let own = ["endpoints", "discover", "proxy_protocol"];
    let upstream = fields(&UPSTREAM).map(|field| field.key).filter(|key| !own.contains(key));
    assert_eq!(marked(&UPSTREAM), upstream.collect::<Vec<_>>());
}
