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
    } else {
        json_escaped(out, text);
    }
}

/// Apart, so that the usual way needs no registers for it.
#[cold]
#[inline(never)]
fn json_escaped(out: &mut Vec<u8>, text: &[u8]) {
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

/// Whether no byte needs an escape. Blocks without an early exit are one vector each; the last one
/// overlaps the one before it, as a loop over what is left costs more than all blocks.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let mut special = blocks.iter().fold(false, |any, block| any | is_special(block));
    if !rest.is_empty() {
        special |= match text.last_chunk::<BLOCK>() {
            Some(last) => is_special(last),
            None => {
                let mut block = [b' '; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                is_special(&block)
            }
        };
    }
    !special
}

const BLOCK: usize = 16;

#[inline(never)] // as part of a loop over blocks it gets worse code
fn is_special(block: &[u8; BLOCK]) -> bool {
    let special = |b: u8| !(0x20..=0x7e).contains(&b) | (b == b'"') | (b == b'\\');
    block.iter().fold(false, |any, b| any | special(*b))
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

    #[test]
    fn one_byte_is_found_wherever_it_stands() {
        for length in 0..70 {
            assert!(is_plain(&vec![b'a'; length]), "{length}");
            for at in 0..length {
                for byte in [b'"', b'\\', 0x1f, 0x7f, 0xff] {
                    let mut text = vec![b'~'; length];
                    text[at] = byte;
                    assert!(!is_plain(&text), "{byte} at {at} of {length}");
                }
            }
        }
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
