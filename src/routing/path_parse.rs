//! Reading path patterns, with messages for the operator.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use super::{
    canonical::{Normalize, canonical, stem},
    condition::{REGEX_SIZE, complaint},
    path::{End, PathPattern, Step},
};

/// Deeper patterns are refused: matching walks one call per segment.
const MAX_SEGMENTS: usize = 64;

// === impl PathPattern: reading ===

impl PathPattern {
    /// Reads `/a/{name}/{name:regex}/**`.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("a path starts with `/`: `/{text}`"));
        };
        let mut pieces = split(rest)?;
        let end = match pieces.last() {
            Some(&"**") => {
                pieces.pop();
                End::Tail
            }
            _ => End::Exact,
        };
        if pieces.len() > MAX_SEGMENTS {
            return Err(format!("a path pattern has at most {MAX_SEGMENTS} segments"));
        }
        let steps = pieces.into_iter().map(step).collect::<Result<_, _>>()?;
        let pattern = Self { source: text.into(), steps, end };
        let mut names = pattern.names();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("the name `{}` is used twice", pair[0])),
            None => Ok(pattern),
        }
    }

    /// Why no request has a path like this, and what to write instead, where paths are made canonical by
    /// these rules: routes that protect such a path would protect nothing.
    pub fn never(&self, rules: Normalize) -> Option<(String, String)> {
        let shown = &self.source;
        for (at, step) in self.steps.iter().enumerate() {
            let Step::Literal(text) = step else { continue };
            // An empty one at the end is a slash there.
            let inner = at + 1 < self.steps.len() || !matches!(self.end, End::Exact);
            if text.is_empty() && inner && rules.merge_slashes {
                return Some((
                    format!("`{shown}`: no request has this path: empty segments are left out before matching"),
                    "write one `/` instead of several; `server: { normalize: { merge_slashes: false } }` keeps them".to_owned(),
                ));
            }
            if text.contains("%2F") && !rules.keep_encoded_slash {
                return Some((
                    format!("`{shown}`: no request has this path: an encoded slash is refused with 400"),
                    "write `/` where it separates segments; `server: { normalize: { encoded_slash: keep } }` lets `%2F` pass".to_owned(),
                ));
            }
        }
        None
    }

    /// Reads a whole-path regular expression. It must start with `^/`, and ends where the operator
    /// says (`$`).
    ///
    /// # Errors
    /// A message for the operator.
    pub fn regex(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("^/") else {
            return Err("a path expression starts with `^/`".to_owned());
        };
        if has_top_level_bar(rest) {
            return Err("put the alternatives into a group: `^/(?:a|b)`".to_owned());
        }
        // As written first, so that the message shows the operator's own text; then in a group,
        // so that no alternative can escape the anchor.
        compile(text)?;
        let regex = compile(&format!("^(?:/{rest})"))?;
        let steps: Vec<Step> =
            literal_segments(rest).into_iter().map(|text| Step::Literal(text.into())).collect();
        if steps.len() > MAX_SEGMENTS {
            return Err(format!("a path expression has at most {MAX_SEGMENTS} literal segments"));
        }
        Ok(Self { source: text.into(), steps, end: End::Regex(regex) })
    }
}

fn compile(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source).size_limit(REGEX_SIZE).build().map_err(complaint)
}

/// Cuts at slashes outside of braces.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut pieces, mut depth, mut start, mut escaped) = (Vec::new(), 0_usize, 0, false);
    for (at, byte) in text.bytes().enumerate() {
        if escaped {
            escaped = false;
            continue;
        }
        match byte {
            b'\\' if depth > 0 => escaped = true,
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1).ok_or("`}` without `{`")?;
            }
            b'/' if depth == 0 => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err("`{` without `}` (write a brace in an expression as `\\{`)".to_owned());
    }
    pieces.push(&text[start..]);
    Ok(pieces)
}

fn step(piece: &str) -> Result<Step, String> {
    let Some(inner) = piece.strip_prefix('{') else { return literal(piece) };
    let Some(inner) = inner.strip_suffix('}') else { return Err(whole_segment(piece)) };
    let (name, source) = match inner.split_once(':') {
        Some((name, source)) => (name, Some(source)),
        None => (inner, None),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.contains(['{', '}']) {
        return Err(whole_segment(piece));
    }
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("`{piece}`: a name has letters, digits, `_` and `-`"));
    }
    match source {
        None => Ok(Step::Any { name: name.into() }),
        Some("") => Err(format!("`{piece}`: the expression is empty")),
        Some(source) if source.contains('/') => {
            Err(format!("`{piece}` takes one segment, which never contains `/`"))
        }
        Some(source) => {
            compile(source)?;
            let regex = compile(&format!("^(?:{source})$"))?;
            Ok(Step::Regex { name: name.into(), regex })
        }
    }
}

fn whole_segment(piece: &str) -> String {
    format!("`{piece}`: braces take a whole segment; use {{name:regex}} for a part of one")
}

/// A literal segment in the spelling requests have after [`canonical`].
fn literal(piece: &str) -> Result<Step, String> {
    if piece.contains('*') {
        return Err(format!(
            "`{piece}`: `**` stands only at the end (`/a/**`); `{{name}}` takes one segment"
        ));
    }
    if piece.contains(['{', '}']) {
        return Err(whole_segment(piece));
    }
    if stem(piece).len() < piece.len() {
        return Err(format!("`{piece}`: path parameters (`;…`) play no part in matching"));
    }
    let mut raw = String::from("/");
    for c in piece.chars() {
        if c.is_ascii() && c != ' ' {
            raw.push(c);
        } else {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                raw.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    let rules = Normalize { merge_slashes: false, keep_encoded_slash: true };
    let path = match canonical(&raw, rules) {
        Ok(Cow::Borrowed(path)) => path.to_owned(),
        Ok(Cow::Owned(path)) => path,
        Err(error) => return Err(format!("`{piece}`: no request has this path: {error}")),
    };
    // A dot segment has vanished, and might have taken its slash along.
    if path.len() == 1 && !piece.is_empty() {
        return Err(format!("`{piece}`: dot segments are resolved before matching"));
    }
    Ok(Step::Literal(path[1..].into()))
}

/// Whether an expression has an alternative outside of every group and class.
fn has_top_level_bar(source: &str) -> bool {
    let (mut groups, mut classes, mut escaped) = (0_i32, 0_i32, false);
    for byte in source.bytes() {
        if escaped {
            escaped = false;
            continue;
        }
        match byte {
            b'\\' => escaped = true,
            b'[' => classes += 1,
            b']' if classes > 0 => classes -= 1,
            b'(' if classes == 0 => groups += 1,
            b')' if classes == 0 => groups -= 1,
            b'|' if classes == 0 && groups <= 0 => return true,
            _ => {}
        }
    }
    false
}

/// The leading segments of an expression that are plain text up to and with their slash. Anything
/// that may have a meaning ends them: too few only make the branch weaker, never wrong.
fn literal_segments(source: &str) -> Vec<String> {
    let (mut segments, mut now) = (Vec::new(), String::new());
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        let literal = match c {
            '\\' => match chars.next() {
                Some(c @ ('.' | '-')) => c,
                _ => break,
            },
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~' | '/') => c,
            _ => break,
        };
        if matches!(chars.peek(), Some('?' | '*' | '+' | '{')) {
            break;
        }
        if literal != '/' {
            now.push(literal);
            continue;
        }
        if matches!(now.as_str(), "." | "..") {
            break;
        }
        segments.push(std::mem::take(&mut now));
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_meant() {
        for bad in [
            "orders",
            "",
            "/a*",
            "/*",
            "/**/a",
            "/a/**b",
            "/{",
            "/}",
            "/{}",
            "/a{b}",
            "/{a}b",
            "/{a}/{a}",
            "/{a:}",
            "/{a:[}",
            "/{a:b/c}",
            "/..",
            "/a/./b",
            "/%2e",
            "/a;b",
            "/a?b",
            "/a#b",
            "/a%2",
            "/a\\b",
            "/{a b}",
            "/{**}",
            "/{a:x){y}",
        ] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
        for bad in ["/a", "^a", "", "^/(", "^/a|b", "^/a|/b", "^/[|]|x", "^/a{1000}{1000}{1000}"] {
            assert!(PathPattern::regex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_no_request_has_is_known_by_the_rules_paths_are_read_by() {
        let rules =
            |merge_slashes, keep_encoded_slash| Normalize { merge_slashes, keep_encoded_slash };
        let never = |text: &str, rules| {
            let pattern = match text.starts_with('^') {
                true => PathPattern::regex(text),
                false => PathPattern::parse(text),
            };
            pattern.unwrap().never(rules).is_some()
        };
        for path in ["/a//b", "//", "//a", "/a//", "/a//**", "/{x}//{y}", "^//a", "^/a//b$"] {
            assert!(never(path, rules(true, false)), "{path}");
            assert!(!never(path, rules(false, false)), "{path}");
        }
        for path in ["/a%2fb", "/x/%2F/**", "/a%2Fb/{c}"] {
            assert!(never(path, rules(true, false)), "{path}");
            assert!(!never(path, rules(true, true)), "{path}");
        }
        for path in ["/", "/a", "/a/", "/**", "/a/**", "/{x}/", "^/", "^/a/$", "/a%20b", "^/a/?/"] {
            assert!(!never(path, rules(true, false)), "{path}");
        }
    }

    #[test]
    fn accepts_braces_inside_expressions() {
        let pattern = PathPattern::parse("/{id:[0-9]{2,3}}/{x:a\\{b}").unwrap();
        assert!(pattern.matches("/123/a%7Bb") || !pattern.matches("/1/a"));
        assert!(PathPattern::parse("/{id:[0-9]{2}}").unwrap().matches("/12"));
        assert!(!PathPattern::parse("/{id:[0-9]{2}}").unwrap().matches("/123"));
    }

    #[test]
    fn literals_get_the_canonical_spelling() {
        for (text, literal) in [
            ("/%6frders", "/orders"),
            ("/a b", "/a%20b"),
            ("/%c3%a9", "/%C3%A9"),
            ("/\u{e9}", "/%C3%A9"),
        ] {
            assert_eq!(PathPattern::parse(text).unwrap().literal_prefix(), literal);
        }
    }

    #[test]
    fn an_expression_knows_its_literal_segments() {
        for (text, prefix) in [
            ("^/api/v[0-9]/x", "/api"),
            ("^/api/x\\.y/.*", "/api/x.y"),
            ("^/api/users$", "/api"),
            ("^/api/?", ""),
            ("^/apis?/x", ""),
            ("^/a{2}/x", ""),
            ("^/(a|b)/c/", ""),
            ("^/a/b*/", "/a"),
            ("^/a/%20/", "/a"),
        ] {
            assert_eq!(PathPattern::regex(text).unwrap().literal_prefix(), prefix, "{text}");
        }
    }
}
