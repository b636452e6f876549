//! A line that is typed without being shown. The terminal hands out every key, Ctrl-C as well: so
//! there is no way out that leaves it without its echo.

use std::io::{self, BufRead, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// Bytes of a line.
const LONGEST: usize = 64 << 10;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const DELETE: u8 = 127;

/// The terminal as it was, which it is again when this goes.
struct Echo(Termios);

// === impl Echo ===

impl Echo {
    fn off() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(
            LocalModes::ECHO
                | LocalModes::ECHONL
                | LocalModes::ICANON
                | LocalModes::ISIG
                | LocalModes::IEXTEN,
        );
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
        // The one that was typed was not shown either.
        let _ = io::stderr().write_all(b"\n");
    }
}

/// Asks for a line.
pub(super) fn hidden(question: &str) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("cannot read from the terminal: {error}");
    let _echo = Echo::off().map_err(failed)?;
    let _ = io::stderr().write_all(question.as_bytes());
    line(io::stdin().lock()).map_err(failed)?.ok_or_else(|| "cancelled".to_owned())
}

/// A line with what was taken back taken back; nothing if it was cancelled.
fn line(keys: impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    for key in keys.bytes() {
        match key? {
            b'\n' | b'\r' => return Ok(Some(line)),
            CTRL_C => return Ok(None),
            CTRL_D if line.is_empty() => return Ok(None),
            CTRL_D => {}
            CTRL_U => line.clear(),
            // A character may have several bytes, of which the first is none that continues one.
            BACKSPACE | DELETE => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            byte if line.len() < LONGEST => line.push(byte),
            _ => return Err(io::Error::other("the line is too long")),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        for (typed, made) in [
            ("secret\n", Some("secret")),
            ("secret\rmore", Some("secret")),
            ("secrex\u{7f}t\n", Some("secret")),
            ("a\u{8}\u{8}\u{8}b\n", Some("b")),
            ("schö\u{7f}on€\u{7f}\n", Some("schon")),
            ("wrong\u{15}right\n", Some("right")),
            ("a\u{4}b\n", Some("ab")),
            ("\n", Some("")),
            ("secret\u{3}\n", None),
            ("\u{4}", None),
            ("no end", None),
        ] {
            let line = line(typed.as_bytes()).unwrap();
            assert_eq!(line.as_deref(), made.map(str::as_bytes), "{typed:?}");
        }
        assert!(line(io::BufReader::new(io::repeat(b'x'))).is_err());
    }
}
