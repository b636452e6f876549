//! Expressions of nginx as expressions over whole paths, which begin with `^/`. What cannot be written so
//! is nothing.

use super::{ahead::looking_at, matching::compile};

/// The source of a whole-path expression that takes the same paths.
pub(super) fn whole(text: &str, any_case: bool) -> Option<String> {
    let text = &*looking_at(text);
    // What is decoded there is percent-encoded here.
    let plain = |c: char| c.is_ascii_graphic() && !"%\"<>`#;".contains(c);
    if !text.chars().all(plain) || text.contains("\\x") || text.contains("(?") && has_flags(text) {
        return None;
    }
    if has_reserved(text) {
        return None;
    }
    compile(text, any_case)?;
    let bodies: Option<Vec<String>> =
        alternatives(text).into_iter().map(|one| body(&one.replace("\\/", "/"))).collect();
    let bodies = bodies?;
    let body = match bodies.as_slice() {
        [one] => one.clone(),
        several => format!("(?:{})", several.join("|")),
    };
    let source = if any_case { format!("^/(?i:{body})") } else { format!("^/{body}") };
    crate::routing::PathPattern::regex(&source).ok().map(|_| source)
}

/// Whether a group is anything but plain, named or without a number.
fn has_flags(text: &str) -> bool {
    text.match_indices("(?").any(|(at, _)| {
        let rest = &text[at + 2..];
        !rest.starts_with(':') && !rest.starts_with('<') && !rest.starts_with("P<")
    })
}

/// Whether it speaks of a character that clients may send in two spellings, `@` and `%40`: nginx compares what
/// is decoded, and only letters, digits and `-._~` are here.
fn has_reserved(text: &str) -> bool {
    let mut text = text.replace("(?:", "(").replace("(?P<", "(").replace("(?<", "(");
    // What is left of names, and shorthands.
    text = text.replace('>', "");
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let reserved = match c {
            '\\' => {
                chars.next().is_some_and(|c| !c.is_ascii_alphanumeric() && !"-._~/".contains(c))
            }
            c => "@:=,!&'".contains(c),
        };
        // A comma also stands in `{2,3}`.
        if reserved && c != ',' {
            return true;
        }
    }
    false
}

/// One alternative, without its `^/`.
pub(super) fn body(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix('^') {
        if let Some(rest) = rest.strip_prefix('/') {
            return repeats(rest).then(|| rest.to_owned());
        }
        // Every path begins with a slash.
        return match rest {
            "" => Some(String::new()),
            _ => {
                rest.strip_prefix("(.*)").or(rest.strip_prefix(".*")).and_then(|rest| match rest {
                    "" | "$" => Some(".*".to_owned()),
                    rest => body(rest),
                })
            }
        };
    }
    if let Some(rest) = text.strip_prefix(".*") {
        return if rest.is_empty() { Some(".*".to_owned()) } else { body(rest) };
    }
    if let Some(rest) = text.strip_prefix('/') {
        // At the first slash, or at a later one.
        return repeats(rest).then(|| format!("(?:.*/)?{rest}"));
    }
    let slashless = match text.chars().next()? {
        '\\' => text[1..].starts_with(|c: char| !c.is_ascii_alphabetic() || "dw".contains(c)),
        '[' => text.find(']').is_some_and(|end| {
            let class = &text[1..end];
            match class.strip_prefix('^') {
                Some(class) => class.contains('/'),
                None => !class.contains(['/', '\\']) && !has_wide_range(class),
            }
        }),
        '(' => {
            let end = group_end(text)?;
            let inner = text[1..end].trim_start_matches("?:");
            alternatives(inner).iter().all(|one| {
                one.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_')
                    || one.starts_with("\\.")
            })
        }
        c => c.is_ascii_alphanumeric() || "-_~@=,".contains(c),
    };
    // A first part that may be missing lets anything begin.
    let first = first_part(text)?;
    (slashless && repeats(&text[first..])).then(|| format!(".*{text}"))
}

/// Whether what follows does not make the part before it optional.
fn repeats(rest: &str) -> bool {
    !rest.starts_with(['?', '*', '+', '{'])
}

/// `0-9` and `a-z` are harmless, `+-9` has the slash in it.
fn has_wide_range(class: &str) -> bool {
    class.as_bytes().windows(3).any(|it| it[1] == b'-' && it[0] <= b'/' && it[2] >= b'/')
}

fn first_part(text: &str) -> Option<usize> {
    match text.chars().next()? {
        '\\' => Some(2),
        '[' => text.find(']').map(|end| end + 1),
        '(' => group_end(text).map(|end| end + 1),
        c => Some(c.len_utf8()),
    }
}

/// Where the group ends that the text begins with.
pub(super) fn group_end(text: &str) -> Option<usize> {
    let mut found = None;
    walk(text, |at, byte, depth| {
        if byte == b')' && depth == 0 && found.is_none() {
            found = Some(at);
        }
    });
    found
}

/// The alternatives outside of all groups.
pub(super) fn alternatives(text: &str) -> Vec<String> {
    let mut cuts = Vec::new();
    walk(text, |at, byte, depth| {
        if byte == b'|' && depth == 0 {
            cuts.push(at);
        }
    });
    let (mut all, mut start) = (Vec::new(), 0);
    for cut in cuts {
        all.push(text[start..cut].to_owned());
        start = cut + 1;
    }
    all.push(text[start..].to_owned());
    all
}

/// Goes over what is neither escaped nor in a class, with the groups around it.
fn walk(text: &str, mut see: impl FnMut(usize, u8, usize)) {
    let (mut depth, mut class, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'[' => class = true,
            b']' => class = false,
            _ if class => {}
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                see(at, byte, depth);
            }
            _ => see(at, byte, depth),
        }
    }
}

/// The plain text every path begins with that it takes; nothing if it may begin anywhere.
pub(super) fn literal(text: &str) -> Option<String> {
    if alternatives(text).len() > 1 {
        return None;
    }
    let rest = text.strip_prefix('^')?.replace("\\/", "/");
    let mut literal = String::new();
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some(c) if !c.is_ascii_alphanumeric() => c,
                _ => break,
            },
            c if c.is_ascii_alphanumeric() || "-_~/@=,".contains(c) => c,
            _ => break,
        };
        if matches!(chars.peek(), Some('?' | '*' | '+' | '{')) {
            break;
        }
        literal.push(c);
    }
    Some(literal)
}

/// Plain text in an expression, however a client may spell it.
pub(super) fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "-_~/".contains(c) {
            out.push(c);
        } else if c == '.' {
            out.push_str("\\.");
        } else {
            let mut encoded = String::new();
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                let _ = write!(encoded, "%{byte:02X}");
            }
            if c.is_ascii_graphic() && c != '%' {
                let _ = write!(out, "(?:{}|{encoded})", regex::escape(&c.to_string()));
            } else {
                out.push_str(&encoded);
            }
        }
    }
    out
}

/// A path an expression takes, where one is easily made.
pub(super) fn example(text: &str, any_case: bool) -> Option<String> {
    let text = &*looking_at(text);
    let regex = compile(text, any_case)?;
    let literal = literal(text).unwrap_or_default();
    let simple = simplified(text);
    let tries = [
        simple.clone(),
        format!("/x{simple}"),
        format!("/x/{simple}"),
        format!("{literal}x"),
        format!("{literal}1"),
        format!("{literal}1/x"),
        literal,
        format!("{simple}x"),
    ];
    let plain = |path: &String| {
        path.starts_with('/')
            && !path.contains("//")
            && path.chars().all(|c| c.is_ascii_alphanumeric() || "-_./~".contains(c))
            && !path.split('/').any(|segment| segment == "." || segment == "..")
    };
    tries.into_iter().filter(plain).find(|path| regex.is_match(path))
}

/// An expression with one choice made for everything in it.
fn simplified(text: &str) -> String {
    let text = alternatives(text).swap_remove(0);
    let (mut out, mut rest) = (String::new(), text.as_str());
    while let Some(length) = first_part(rest).filter(|length| rest.is_char_boundary(*length)) {
        let (part, after) = rest.split_at(length);
        let one = match part.chars().next().unwrap_or_default() {
            '^' | '$' => String::new(),
            '.' => "x".to_owned(),
            '\\' => match &part[1..] {
                "d" => "1".to_owned(),
                "w" => "x".to_owned(),
                other => other.to_owned(),
            },
            '[' => class_member(part),
            '(' => {
                let inner = &part[1..part.len() - 1];
                let named = inner.strip_prefix("?<").or(inner.strip_prefix("?P<"));
                let inner = named.and_then(|it| it.split_once('>')).map_or(inner, |(_, it)| it);
                simplified(inner.trim_start_matches("?:"))
            }
            _ => part.to_owned(),
        };
        out.push_str(&one);
        rest = after.trim_start_matches(['?', '*', '+']);
        if let (true, Some(end)) = (rest.starts_with('{'), rest.find('}')) {
            let times = rest[1..end].split(',').next().and_then(|n| n.parse().ok()).unwrap_or(1);
            out.extend(std::iter::repeat_n(one.as_str(), usize::clamp(times, 1, 64) - 1));
            rest = &rest[end + 1..];
        }
    }
    out
}

fn class_member(class: &str) -> String {
    let inner = class.trim_matches(['[', ']']);
    match inner.chars().next() {
        Some('^') | None => "x".to_owned(),
        Some('\\') => if inner.starts_with("\\d") { "1" } else { "x" }.to_owned(),
        Some(c) => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_take_whole_paths() {
        for (text, any_case, source) in [
            ("\\.php$", false, "^/.*\\.php$"),
            ("^/api/v[0-9]+", false, "^/api/v[0-9]+"),
            ("^\\/api\\/", false, "^/api/"),
            ("/\\.ht", false, "^/(?:.*/)?\\.ht"),
            ("\\.(png|jpg)$", true, "^/(?i:.*\\.(png|jpg)$)"),
            ("^/a|^/b", false, "^/(?:a|b)"),
            ("^(.*)$", false, "^/.*"),
            ("^", false, "^/"),
        ] {
            assert_eq!(whole(text, any_case).as_deref(), Some(source), "{text}");
        }
        for text in
            ["(?!x)", "^/@a", "^/a\\+b", "(a|/b)", "a?b", "[^a]x", "(", "^a", "^/a%20b", "\\Sx"]
        {
            assert_eq!(whole(text, false), None, "{text}");
        }
    }

    #[test]
    fn both_take_the_same_paths() {
        let paths = [
            "/",
            "/a",
            "/a.php",
            "/a.php/x",
            "/api/v1",
            "/x/api/v1",
            "/.htaccess",
            "/x/.ht",
            "/a.PNG",
            "/b/c",
        ];
        for text in [
            "\\.php$",
            "^/api/v[0-9]+",
            "/\\.ht",
            "\\.(png|jpg)$",
            "^/a|^/b",
            "[a-z]/v",
            "(a|b)\\.p",
            ".*c$",
        ] {
            for any_case in [false, true] {
                let theirs = compile(text, any_case).unwrap();
                let ours =
                    crate::routing::PathPattern::regex(&whole(text, any_case).unwrap()).unwrap();
                for path in paths {
                    assert_eq!(ours.matches(path), theirs.is_match(path), "{text} {path}");
                }
            }
        }
    }
}
