//! Text of strangers made safe for a line of a log: whatever bytes come in, printable ASCII goes
//! out, without a line break, a quote or an escape sequence of its own.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a JSON string with its quotes. Characters beyond ASCII are written as `\u` escapes, so
/// that no control character of any encoding reaches a terminal; bytes that are no UTF-8 become
/// the character of the same number, so that nothing is lost.
pub(super) fn json(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    json_part(out, text);
    out.push(b'"');
}

/// The inside of a JSON string.
pub(super) fn json_part(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|c| json_char(out, c));
        chunk.invalid().iter().for_each(|byte| unit(out, u16::from(*byte)));
    }
}

/// Appends text as Apache and nginx do inside the quotes of their formats: `\"`, `\\`, `\xHH`.
pub(super) fn clf(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        out.extend_from_slice(text);
        return;
    }
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => out.extend_from_slice(&[b'\\', b'x', high(*byte), low(*byte)]),
        }
    }
}

/// Whether no byte needs an escape. Without an early exit, so that the compiler uses vectors.
fn is_plain(text: &[u8]) -> bool {
    let special = |b: u8| !(0x20..=0x7e).contains(&b) | (b == b'"') | (b == b'\\');
    !text.iter().fold(false, |any, b| any | special(*b))
}

fn json_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        ' '..='~' => out.push(c as u8),
        _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|part| unit(out, *part)),
    }
}

fn unit(out: &mut Vec<u8>, unit: u16) {
    let [a, b] = unit.to_be_bytes();
    out.extend_from_slice(&[b'\\', b'u', high(a), low(a), high(b), low(b)]);
}

fn high(byte: u8) -> u8 {
    HEX[usize::from(byte >> 4)]
}

fn low(byte: u8) -> u8 {
    HEX[usize::from(byte & 15)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json_of(text: &[u8]) -> String {
        let mut out = Vec::new();
        json(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_bytes_are_escaped() {
        assert_eq!(json_of(b"a\"b\\c\r\n\t\x1b[31m\x7f"), r#""a\"b\\c\r\n\t\u001b[31m\u007f""#);
        assert_eq!(json_of("\u{9b}é\u{2028}🚪".as_bytes()), r#""\u009b\u00e9\u2028\ud83d\udeaa""#);
        assert_eq!(json_of(b"\xff\xc3("), r#""\u00ff\u00c3(""#);
    }

    #[test]
    fn clf_cannot_be_left_by_a_quote_or_line_break() {
        let mut out = Vec::new();
        clf(&mut out, b"a\" 200\\\r\n\x1b\xe9");
        assert_eq!(out, br#"a\" 200\\\x0d\x0a\x1b\xe9"#);
    }

    proptest! {
        #[test]
        fn json_reads_back_and_is_printable(text in any::<Vec<u8>>()) {
            let out = json_of(&text);
            prop_assert!(out.bytes().all(|b| (0x20..0x7f).contains(&b)));
            let back: String = serde_json::from_str(&out).unwrap();
            if let Ok(text) = String::from_utf8(text) {
                prop_assert_eq!(back, text);
            }
        }

        #[test]
        fn clf_is_printable(text in any::<Vec<u8>>()) {
            let mut out = Vec::new();
            clf(&mut out, &text);
            prop_assert!(out.iter().all(|b| (0x20..0x7f).contains(b)));
        }
    }
}
