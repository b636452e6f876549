//! Tests of what people write.

use super::{Input, Loaded, load, render::line_column};

mod budgets;
mod corpus;
mod defaults;
mod discovery;
mod loads;
mod mistakes;
mod origins;
mod quarantine;
mod reference;
mod rendering;
mod resilience;
mod schema;
mod show;
mod shown;
mod yaml;

/// The variables of the tests.
fn env(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("9000".to_owned()),
        "SECRET" => Some("hunter2".to_owned()),
        "EMPTY" => Some(String::new()),
        "PARTNER_A_KEY" | "CF_TOKEN" | "CONSUL_TOKEN" => Some("0123456789abcdef".to_owned()),
        _ => None,
    }
}

fn read(text: &str) -> Loaded {
    load(&[Input::Text { name: "routes.yaml".to_owned(), text: text.to_owned() }], &env)
}

/// `line:column: message (help)` of everything found.
fn findings(loaded: &Loaded) -> Vec<String> {
    let show = |found: &super::Diagnostic| {
        let (place, _) = found.labels.first().expect("every finding has a place");
        let (_, text) = &loaded.sources.files[place.file as usize];
        let (line, column) = line_column(text, place.start as usize);
        let help = found.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{line}:{column}: {}{help}", found.message)
    };
    loaded.diagnostics.items.iter().map(show).collect()
}
