//! One spelling for every path, made once before matching. The same text is then matched,
//! authorised, logged, rewritten and sent, so no two stages can read a path differently.

use std::borrow::Cow;

mod double;

#[cfg(test)]
mod tests;

/// What the operator may choose about the canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalize {
    /// `//` becomes `/`.
    pub merge_slashes: bool,
    /// `%2F` is data inside a segment instead of an error.
    pub keep_encoded_slash: bool,
}

/// Why a path is refused. The texts never repeat bytes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not start with `/`.
    #[error("path does not start with a slash")]
    NotAbsolute,
    /// `%2F`, or with `encoded_slash: keep` one with a dot segment beside it.
    #[error("encoded slash")]
    EncodedSlash,
    /// `\`.
    #[error("backslash")]
    Backslash,
    /// `%5C`.
    #[error("encoded backslash")]
    EncodedBackslash,
    /// `%` without two hexadecimal digits.
    #[error("bad percent escape")]
    BadEscape,
    /// `%252e`: an escape for whoever decodes twice, that would make another path of this one.
    #[error("double encoding")]
    DoubleEncoding,
    /// A character written with more UTF-8 bytes than it needs.
    #[error("overlong UTF-8")]
    Overlong,
    /// A control character, raw or escaped.
    #[error("control character")]
    Control,
    /// `..;` or `.;`: a dot segment hidden behind a path parameter.
    #[error("dot segment with a path parameter (`..;`)")]
    DotParameter,
    /// `/;x/`: an empty segment hidden behind a path parameter.
    #[error("empty segment with a path parameter")]
    EmptyParameter,
    /// A raw byte above 127.
    #[error("raw byte outside ASCII")]
    NotAscii,
    /// A raw space.
    #[error("space")]
    Space,
    /// `#` or `?` inside the path.
    #[error("fragment or query mark inside the path")]
    Delimiter,
}

/// What a byte means to the scan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself.
    Plain,
    Slash,
    Percent,
    /// Allowed by nobody's grammar but sent by some clients: escaped, so one spelling remains.
    Escape,
    Bad,
}

const CLASSES: [Class; 256] = classes();
/// Which bytes have to be looked at closely: anywhere ([`ODD`]), or behind a slash.
static MARKS: [u8; 256] = marks();
/// For which marks to watch out behind a byte.
static WATCH: [u8; 256] = {
    let mut table = [ODD; 256];
    table[b'/' as usize] = ODD | ODD_AFTER_SLASH;
    table
};
const ODD: u8 = 1;
const ODD_AFTER_SLASH: u8 = 2;
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The canonical form of a raw path (no query). Borrows, and touches each byte once, when the path
/// is canonical already, as nearly all are.
///
/// # Errors
/// The first thing wrong with the path; the request is then refused with 400.
pub fn canonical(raw: &str, rules: Normalize) -> Result<Cow<'_, str>, PathError> {
    if is_canonical(raw.as_bytes(), rules) {
        return Ok(Cow::Borrowed(raw));
    }
    if !raw.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let decoded = decode(raw.as_bytes(), rules)?;
    let path = remove_segments(&decoded, rules)?;
    double::check(&path, rules)?;
    Ok(if path == raw { Cow::Borrowed(raw) } else { Cow::Owned(path) })
}

/// The fast scan. May say `false` of a canonical path with rare escapes in it, never the reverse.
fn is_canonical(bytes: &[u8], rules: Normalize) -> bool {
    if bytes.first() != Some(&b'/') {
        return false;
    }
    if is_plain(bytes) {
        return true;
    }
    let mut at = 0;
    while at < bytes.len() {
        match CLASSES[bytes[at] as usize] {
            Class::Plain => at += 1,
            Class::Slash => {
                at += 1;
                match bytes.get(at) {
                    Some(b'/') if rules.merge_slashes => return false,
                    Some(b';') => return false,
                    Some(b'.') if may_be_dot_segment(&bytes[at..]) => return false,
                    _ => {}
                }
            }
            Class::Percent => {
                let upper = !bytes[at..].iter().take(3).any(u8::is_ascii_lowercase);
                match escape(bytes, at) {
                    Ok(b'/' | b'%' | b';') => return false,
                    Ok(value) if upper && !is_unreserved(value) => at += 3,
                    _ => return false,
                }
            }
            Class::Escape | Class::Bad => return false,
        }
    }
    true
}

/// Whether nothing has to be looked at closely, as in nearly all paths. Without a branch per byte.
fn is_plain(bytes: &[u8]) -> bool {
    let mut watch = ODD;
    let mut odd = 0;
    for &byte in bytes {
        odd |= MARKS[usize::from(byte)] & watch;
        watch = WATCH[usize::from(byte)];
    }
    odd == 0
}

/// Whether a segment that starts with a dot has to be looked at closely.
fn may_be_dot_segment(bytes: &[u8]) -> bool {
    let dots = bytes.iter().take_while(|b| **b == b'.').count();
    dots <= 2 && matches!(bytes.get(dots), None | Some(b'/' | b';' | b'%'))
}

/// The byte behind the escape at `at`, if it may stand in a path at all.
fn escape(bytes: &[u8], at: usize) -> Result<u8, PathError> {
    let value = escape_value(bytes, at).ok_or(PathError::BadEscape)?;
    match value {
        0..=0x1F | 0x7F => Err(PathError::Control),
        b'\\' => Err(PathError::EncodedBackslash),
        0x80.. if is_overlong(value, escape_value(bytes, at + 3)) => Err(PathError::Overlong),
        value => Ok(value),
    }
}

/// Whether these bytes begin a character that fewer bytes would do for.
fn is_overlong(first: u8, next: Option<u8>) -> bool {
    let next = next.unwrap_or(0xFF);
    match first {
        // Lenient decoders make `.` and `/` of these whatever byte follows.
        0xC0 | 0xC1 => true,
        0xE0 => (0x80..0xA0).contains(&next),
        0xF0 => (0x80..0x90).contains(&next),
        0xF8 => (0x80..0x88).contains(&next),
        0xFC => (0x80..0x84).contains(&next),
        _ => false,
    }
}

fn escape_value(bytes: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = *bytes.get(at..at + 3)? else { return None };
    Some(hex(high)? << 4 | hex(low)?)
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// First pass: each character gets its one spelling. No escape can come into being here, because
/// `%25` stays as it is.
fn decode(bytes: &[u8], rules: Normalize) -> Result<String, PathError> {
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match CLASSES[byte as usize] {
            Class::Plain | Class::Slash => out.push(char::from(byte)),
            Class::Escape => push_escape(&mut out, byte),
            Class::Bad => return Err(why_bad(byte)),
            Class::Percent => {
                at += 2;
                match escape(bytes, at - 2)? {
                    b'/' if !rules.keep_encoded_slash => return Err(PathError::EncodedSlash),
                    value if is_unreserved(value) => out.push(char::from(value)),
                    value => push_escape(&mut out, value),
                }
            }
        }
        at += 1;
    }
    Ok(out)
}

fn push_escape(out: &mut String, byte: u8) {
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

fn why_bad(byte: u8) -> PathError {
    match byte {
        b' ' => PathError::Space,
        b'\\' => PathError::Backslash,
        b'#' | b'?' => PathError::Delimiter,
        0x80.. => PathError::NotAscii,
        _ => PathError::Control,
    }
}

/// Second pass: dot segments and empty segments go. `..` at the root stays at the root (RFC 3986
/// 5.2.4).
fn remove_segments(path: &str, rules: Normalize) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path.strip_prefix('/');
    while let Some(now) = rest {
        let (segment, next) = match now.split_once('/') {
            Some((segment, next)) => (segment, Some(next)),
            None => (now, None),
        };
        rest = next;
        let last = next.is_none();
        check_segment(segment, last, rules)?;
        let gone = match segment {
            "." => true,
            ".." => {
                out.truncate(out.rfind('/').unwrap_or(0));
                true
            }
            "" => rules.merge_slashes,
            _ => false,
        };
        if !gone {
            out.push('/');
            out.push_str(segment);
        } else if last {
            out.push('/');
        }
    }
    Ok(out)
}

fn check_segment(segment: &str, last: bool, rules: Normalize) -> Result<(), PathError> {
    let bare = stem(segment);
    if bare.len() < segment.len() {
        if is_dots(bare) {
            return Err(PathError::DotParameter);
        }
        // A backend that drops parameters first and merges slashes next would read `/;x/admin` as
        // `/admin`. At the end (`/;jsessionid=1`) there is nothing to hide.
        if bare.is_empty() && !last && rules.merge_slashes {
            return Err(PathError::EmptyParameter);
        }
    }
    // A kept encoded slash must not hide a dot segment from us that the backend will see.
    if segment.contains("%2F") && segment.split("%2F").map(stem).any(is_dots) {
        return Err(PathError::EncodedSlash);
    }
    Ok(())
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// A segment without its path parameters: what is compared in matching. An encoded `;` begins them
/// too, because some servers decode first and drop parameters then.
pub(super) fn stem(segment: &str) -> &str {
    let bytes = segment.as_bytes();
    let mut marks = memchr::memchr2_iter(b';', b'%', bytes);
    let end = marks.find(|&at| bytes[at] == b';' || escape_value(bytes, at) == Some(b';'));
    end.map_or(segment, |end| &segment[..end])
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn marks() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match (CLASSES[byte], byte as u8) {
            (Class::Slash, _) | (Class::Plain, b'.' | b';') => ODD_AFTER_SLASH,
            (Class::Plain, _) => 0,
            (Class::Percent | Class::Escape | Class::Bad, _) => ODD,
        };
        byte += 1;
    }
    table
}

const fn classes() -> [Class; 256] {
    let mut table = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Escape,
            0..=b' ' | b'#' | b'?' | b'\\' | 0x7F.. => Class::Bad,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
}
