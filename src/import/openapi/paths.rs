//! Paths of OpenAPI as patterns: `/pets/{petId}` as it stands, `/reports/{year}.json` as an expression for one
//! segment.

use super::super::write::encoded;
use crate::routing::{Normalize, PathPattern};

/// A pattern, and a path it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) text: String,
    pub(super) example: String,
    /// One of its segments is an expression.
    pub(super) expression: bool,
    /// What two paths have in common that take the same requests.
    pub(super) shape: String,
}

/// The pattern for a path.
///
/// # Errors
/// Why there is none.
pub(super) fn pattern(base: &str, path: &str) -> Result<Pattern, String> {
    if !path.starts_with('/') {
        return Err("a path begins with a slash".to_owned());
    }
    let base = graphic(base);
    let mut made =
        Pattern { text: base.clone(), example: base.clone(), expression: false, shape: base };
    let mut names: Vec<String> = Vec::new();
    for segment in path[1..].split('/') {
        for part in [&mut made.text, &mut made.example, &mut made.shape] {
            part.push('/');
        }
        let inner = segment.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        match inner.filter(|it| !it.contains(['{', '}'])) {
            Some(name) => {
                made.text += &format!("{{{}}}", unique(name, &mut names));
                made.example.push_str("x1");
                made.shape.push_str("{}");
            }
            None if segment.contains(['{', '}']) => {
                let (expression, example) = parts(&graphic(segment))?;
                made.text += &format!("{{{}:{expression}}}", unique("part", &mut names));
                made.example += &example;
                made.shape += &expression;
                made.expression = true;
            }
            None => {
                let segment = graphic(segment);
                for part in [&mut made.text, &mut made.example, &mut made.shape] {
                    part.push_str(&segment);
                }
            }
        }
    }
    // The file says nothing of `server.normalize`.
    let usual = Normalize { merge_slashes: true, keep_encoded_slash: false };
    match PathPattern::parse(&made.text)?.never(usual) {
        Some((problem, _)) => Err(problem),
        None => Ok(made),
    }
}

/// Text as requests have it: what cannot stand in one is percent-encoded. Escapes stay what they are.
fn graphic(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_graphic() => out.push(c),
            c => out += &encoded(c.encode_utf8(&mut [0; 4]), true),
        }
    }
    out
}

/// A segment with parameters and text in it.
fn parts(segment: &str) -> Result<(String, String), String> {
    let (mut expression, mut example, mut rest) = (String::new(), String::new(), segment);
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').ok_or("a `{` is never closed")? + open;
        expression += &regex::escape(&rest[..open]);
        example += &rest[..open];
        expression.push_str(".+");
        example.push_str("x1");
        rest = &rest[close + 1..];
    }
    expression += &regex::escape(rest);
    example += rest;
    Ok((expression, example))
}

/// A name of a parameter, valid and only once in a path.
fn unique(name: &str, names: &mut Vec<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let mut name: String = name.chars().map(plain).collect();
    if name.is_empty() {
        name.push('x');
    }
    while names.contains(&name) {
        name.push('_');
    }
    names.push(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_patterns() {
        for (path, text, example) in [
            ("/pets", "/v1/pets", "/v1/pets"),
            ("/pets/{petId}", "/v1/pets/{petId}", "/v1/pets/x1"),
            ("/a/{x}/b/{x}", "/v1/a/{x}/b/{x_}", "/v1/a/x1/b/x1"),
            ("/r/{year}.json", "/v1/r/{part:.+\\.json}", "/v1/r/x1.json"),
            ("/a/{b.c}", "/v1/a/{b_c}", "/v1/a/x1"),
            ("/a b/\u{e4}", "/v1/a%20b/%C3%A4", "/v1/a%20b/%C3%A4"),
            ("/a%20b", "/v1/a%20b", "/v1/a%20b"),
            ("/a b/\u{e4}{x}", "/v1/a%20b/{part:%C3%A4.+}", "/v1/a%20b/%C3%A4x1"),
        ] {
            let made = pattern("/v1", path).unwrap();
            assert_eq!((made.text.as_str(), made.example.as_str()), (text, example));
        }
        for bad in ["pets", "/a/*", "/a/{b", "/a;b"] {
            assert!(pattern("", bad).is_err(), "{bad}");
        }
    }
}
