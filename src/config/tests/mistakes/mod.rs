//! Every mistake: its words, its line and column, its proposal.

use super::{findings, read, schema::differs};

mod admission;
mod asked;
mod authorize;
mod discovery;
mod files;
mod guard;
mod jwt;
mod listeners;
mod oidc;
mod plain_http;
mod rate_limit;
mod resilience;
mod retry;
mod routes;
mod signed;
mod stores;
mod suite;
mod upstreams;
mod values;
mod variables;

/// A good file with these lines added; their first line is line 4. Where they ask for credentials, nobody
/// else can read these.
fn with(lines: &str) -> String {
    let text = whole(lines);
    let quiet = !lines.contains("auth:") || lines.contains("listeners:");
    if quiet { text } else { format!("{text}listeners: {{ here: \"127.0.0.1:8080\" }}\n") }
}

/// A file with these lines added and no others; their first line is line 4.
fn whole(lines: &str) -> String {
    format!("version: 1\nroutes:\n  app: {{ to: \"http://a:1\" }}\n{lines}\n")
}

/// Lines and what is found in them.
type Case = (&'static str, &'static [&'static str]);

fn check(cases: &[Case]) {
    compare(cases, with);
}

fn compare(cases: &[Case], text: impl Fn(&str) -> String) {
    let mut wrong = Vec::new();
    for (lines, expected) in cases {
        let loaded = read(&text(lines));
        let found = findings(&loaded);
        wrong.extend(differs(&text(lines), &loaded).map(|how| format!("{lines}\n  {how}")));
        if found != *expected {
            wrong.push(format!("{lines}\n  expected {expected:#?}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
