//! `tidegate import`: what other programs are configured with, as a `routes.yaml`. Pure code from text to
//! text, but for files a source includes. No part of a request's way.
//!
//! Two rules hold everywhere: what is not translated is said (a comment where it belongs, and a
//! [`Finding`]), and what was protected does not come out open.

mod names;
mod nginx;
mod openapi;
mod report;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use self::report::Finding;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    /// An nginx.conf, or a part of one
    Nginx,
    /// An OpenAPI document, 3.0 or 3.1
    Openapi,
}

/// What came of it.
#[derive(Debug)]
pub struct Imported {
    /// A whole `routes.yaml`.
    pub text: String,
    /// What was not translated.
    pub findings: Vec<Finding>,
}

/// Where the text comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// What it says.
    pub text: &'a str,
    /// What its includes are relative to.
    pub directory: &'a Path,
}

/// Translates. `to` is where an OpenAPI document's requests go.
///
/// # Errors
/// It cannot be read at all, for people.
pub fn import(
    source: Source<'_>,
    from: Option<From>,
    to: Option<&str>,
) -> Result<Imported, String> {
    match from.or_else(|| detect(source.text)) {
        Some(From::Nginx) => nginx::import(source),
        Some(From::Openapi) => openapi::import(source, to),
        None => Err(format!(
            "{}: neither an nginx.conf nor an OpenAPI document; `--from` says which one it is",
            source.name
        )),
    }
}

/// What a text is, by its words.
fn detect(text: &str) -> Option<From> {
    let mut nginx = false;
    for line in text.lines() {
        let line =
            line.trim_start_matches(|c: char| c.is_whitespace() || "{\u{feff}\"'".contains(c));
        if line.starts_with("openapi") || line.starts_with("swagger") {
            let rest = line[7..].trim_start_matches(['"', '\'']).trim_start();
            if rest.starts_with(':') {
                return Some(From::Openapi);
            }
        }
        let word = line.split([' ', '\t', '{', ';']).next().unwrap_or_default();
        let is_block = matches!(word, "http" | "server" | "upstream" | "location" | "events");
        nginx |= is_block && line.contains('{') && !line.contains(':');
    }
    // A document on one line.
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).take(64).collect();
    match compact.contains("\"openapi\":") {
        true => Some(From::Openapi),
        false => nginx.then_some(From::Nginx),
    }
}
