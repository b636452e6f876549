//! How servers find out which path was meant: each step by itself, the order of the steps as known
//! servers have it, and all other orders.

use std::collections::HashSet;

/// A path on its way to what it means.
type Path = Vec<u8>;
type Step = fn(&[u8]) -> Path;

/// Everything a path may mean to one server.
pub(super) type Resolver = Box<dyn Fn(&[u8]) -> Vec<Path>>;

/// The closed path, or something below it.
pub(super) fn is_closed(path: &[u8]) -> bool {
    path == b"/admin" || path.starts_with(b"/admin/")
}

/// All servers, by name.
pub(super) fn judges() -> Vec<(&'static str, Resolver)> {
    let known: [(&str, &[Step]); 10] = [
        ("nginx", &[decode, merge, remove_dots]),
        ("Apache", &[decode, remove_dots, merge]),
        ("Node (WHATWG URL)", &[backslashes, encoded_dots, remove_dots]),
        ("Node, then decoded", &[backslashes, encoded_dots, remove_dots, decode]),
        ("Go (ServeMux, path.Clean)", &[decode, merge, remove_dots]),
        ("Flask (Werkzeug)", &[decode, merge]),
        ("Tomcat", &[parameters, decode, cut_at_nul, backslashes, merge, remove_dots]),
        ("Spring", &[decode, parameters, merge, remove_dots]),
        ("IIS", &[wide, decode, overlong, decode, backslashes, merge, remove_dots]),
        ("a proxy before nginx", &[decode, remove_dots, decode, merge, remove_dots]),
    ];
    let resolver = |steps: &'static [Step]| -> Resolver {
        Box::new(move |path| vec![steps.iter().fold(without_query(path), |path, step| step(&path))])
    };
    let mut all: Vec<_> = known.into_iter().map(|(name, steps)| (name, resolver(steps))).collect();
    all.push(("any order of all steps", Box::new(any_order)));
    all
}

/// Every path that any steps in any order lead to, of decodings at most three.
fn any_order(path: &[u8]) -> Vec<Path> {
    const STEPS: [Step; 7] =
        [merge, remove_dots, backslashes, parameters, cut_at_nul, overlong, encoded_dots];
    const DECODINGS: [Step; 2] = [decode, wide];
    let first = (without_query(path), 0);
    let mut seen = HashSet::from([first.clone()]);
    let mut left = vec![first];
    while let Some((path, decoded)) = left.pop() {
        let more = DECODINGS.iter().filter(|_| decoded < 3).map(|step| (step(&path), decoded + 1));
        let same = STEPS.iter().map(|step| (step(&path), decoded));
        for next in more.chain(same) {
            // A step that changes nothing counts for nothing.
            if next.0 != path && seen.insert(next.clone()) {
                left.push(next);
            }
        }
    }
    seen.into_iter().map(|(path, _)| path).collect()
}

fn without_query(path: &[u8]) -> Path {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    path[..end].to_vec()
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// `%41`; what is no escape stays.
fn decode(path: &[u8]) -> Path {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < path.len() {
        let value = hex(path.get(at + 1..at + 3)).filter(|_| path[at] == b'%');
        out.push(value.map_or(path[at], |value| value as u8));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}

/// `%u0041`.
fn wide(path: &[u8]) -> Path {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < path.len() {
        let marked = path[at..].starts_with(b"%u") || path[at..].starts_with(b"%U");
        let value = hex(path.get(at + 2..at + 6)).filter(|value| marked && *value < 256);
        out.push(value.map_or(path[at], |value| value as u8));
        at += if value.is_some() { 6 } else { 1 };
    }
    out
}

/// UTF-8 that takes more bytes than it needs, as decoders without a check read it.
fn overlong(path: &[u8]) -> Path {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < path.len() {
        let (byte, length) = match path[at..] {
            [first @ 0xC0..=0xC1, next, ..] => ((first & 1) << 6 | next & 0x3F, 2),
            [0xE0, middle @ 0x80..=0x81, next, ..] => ((middle & 1) << 6 | next & 0x3F, 3),
            [0xF0, 0x80, middle @ 0x80..=0x81, next, ..] => ((middle & 1) << 6 | next & 0x3F, 4),
            _ => (path[at], 1),
        };
        out.push(byte);
        at += length;
    }
    out
}

fn merge(path: &[u8]) -> Path {
    let mut out: Path = Vec::new();
    for &byte in path {
        if byte != b'/' || out.last() != Some(&b'/') {
            out.push(byte);
        }
    }
    out
}

fn backslashes(path: &[u8]) -> Path {
    path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect()
}

/// RFC 3986 section 5.2.4.
fn remove_dots(path: &[u8]) -> Path {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments =
        path.strip_prefix(b"/").unwrap_or(path).split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    kept.pop();
                }
                if last {
                    kept.push(b"");
                }
            }
            _ => kept.push(segment),
        }
    }
    [b"/", kept.join(&b'/').as_slice()].concat()
}

/// WHATWG: `%2e` is a dot where it makes a dot segment.
fn encoded_dots(path: &[u8]) -> Path {
    let segments = path.split(|&byte| byte == b'/').map(|segment| {
        let text = String::from_utf8_lossy(segment).to_lowercase().replace("%2e", ".");
        if matches!(text.as_str(), "." | "..") { text.into_bytes() } else { segment.to_vec() }
    });
    segments.collect::<Vec<_>>().join(&b'/')
}

fn parameters(path: &[u8]) -> Path {
    let segments = path.split(|&byte| byte == b'/');
    let bare =
        segments.map(|segment| segment.split(|&byte| byte == b';').next().unwrap_or_default());
    bare.collect::<Vec<_>>().join(&b'/')
}

fn cut_at_nul(path: &[u8]) -> Path {
    path.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}
