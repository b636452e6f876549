//! The words of an nginx.conf, as nginx cuts them: quotes, escapes, comments, `;` and braces.

use super::super::report::At;

/// One piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    End,
    Open,
    Close,
}

/// Cuts a text.
pub(super) struct Lexer<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    at: At,
}

// === impl Lexer ===

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, file: usize) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { chars: text.chars().peekable(), at: At { file, line: 1 } }
    }

    /// Where the next piece begins, or the last one ended.
    pub(super) fn at(&self) -> At {
        self.at
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.chars.next();
        if c == Some('\n') {
            self.at.line += 1;
        }
        c
    }

    fn skip_space(&mut self) {
        while let Some(c) = self.chars.peek().copied() {
            if c == '#' {
                while self.chars.peek().is_some_and(|c| *c != '\n') {
                    self.bump();
                }
            } else if c.is_ascii_whitespace() {
                self.bump();
            } else {
                return;
            }
        }
    }

    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// A quote that does not close.
    pub(super) fn next(&mut self) -> Result<Option<(Token, At)>, String> {
        self.skip_space();
        let at = self.at;
        let Some(c) = self.chars.peek().copied() else { return Ok(None) };
        let token = match c {
            ';' | '{' | '}' => {
                self.bump();
                match c {
                    ';' => Token::End,
                    '{' => Token::Open,
                    _ => Token::Close,
                }
            }
            '"' | '\'' => {
                self.bump();
                Token::Word(self.quoted(c)?)
            }
            _ => Token::Word(self.word()),
        };
        Ok(Some((token, at)))
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut word = String::new();
        loop {
            match self.bump() {
                None => return Err(format!("a {quote} is never closed")),
                Some(c) if c == quote => return Ok(word),
                Some('\\') => self.escape(&mut word),
                Some(c) => word.push(c),
            }
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.chars.peek().copied() {
            match c {
                '{' if word.ends_with('$') => {
                    // A variable: `${name}`.
                    while let Some(c) = self.bump() {
                        word.push(c);
                        if c == '}' {
                            break;
                        }
                    }
                    continue;
                }
                ';' | '{' => break,
                c if c.is_ascii_whitespace() => break,
                _ => {}
            }
            self.bump();
            if c == '\\' { self.escape(&mut word) } else { word.push(c) }
        }
        word
    }

    /// What follows a backslash. Those nginx does not know stay, for expressions.
    fn escape(&mut self, word: &mut String) {
        match self.bump() {
            Some(c @ ('"' | '\'' | '\\')) => word.push(c),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(c) => word.extend(['\\', c]),
            None => word.push('\\'),
        }
    }

    /// Passes over a block of another language, to the brace that closes it.
    pub(super) fn skip_block(&mut self) {
        let mut depth = 1_usize;
        while let Some(c) = self.bump() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }
}
