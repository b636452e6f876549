//! Directives with their blocks, includes read in. Depth, files and directives are bounded, whatever a
//! text says or includes.

use std::path::{Path, PathBuf};

use super::{
    super::report::{At, Report},
    lex::{Lexer, Token},
};
use crate::config::read_text;

const MAX_DEPTH: usize = 32;
const MAX_INCLUDES: usize = 16;
const MAX_FILES: usize = 1000;
const MAX_DIRECTIVES: usize = 200_000;

/// Files that say nothing a gateway needs.
const NEEDLESS: [&str; 7] = [
    "mime.types",
    "fastcgi_params",
    "fastcgi.conf",
    "uwsgi_params",
    "scgi_params",
    "fastcgi-php.conf",
    "modules-enabled",
];

/// One directive.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) block: Option<Vec<Self>>,
    pub(super) at: At,
}

/// Reads a text and what it includes.
pub(super) struct Parser<'a> {
    directory: &'a Path,
    report: &'a mut Report,
    directives: usize,
    includes: usize,
}

// === impl Directive ===

impl Directive {
    /// An argument, or nothing.
    pub(super) fn arg(&self, number: usize) -> &str {
        self.args.get(number).map_or("", String::as_str)
    }

    /// As it would be written, without its block.
    pub(super) fn shown(&self) -> String {
        let mut text = self.name.clone();
        for arg in &self.args {
            let odd = arg.is_empty() || arg.contains([' ', ';', '{', '"']);
            text += &if odd { format!(" \"{arg}\"") } else { format!(" {arg}") };
        }
        text
    }
}

// === impl Parser ===

impl<'a> Parser<'a> {
    pub(super) fn new(directory: &'a Path, report: &'a mut Report) -> Self {
        Self { directory, report, directives: 0, includes: 0 }
    }

    /// # Errors
    /// `file:line: why`.
    pub(super) fn parse(&mut self, text: &str, file: usize) -> Result<Vec<Directive>, String> {
        let mut lexer = Lexer::new(text, file);
        self.block(&mut lexer, 0, false)
    }

    fn wrong(&self, at: At, why: &str) -> String {
        let file = self.report.files.get(at.file).map_or("", String::as_str);
        format!("{file}:{}: {why}", at.line)
    }

    fn block(
        &mut self,
        lexer: &mut Lexer<'_>,
        depth: usize,
        inside: bool,
    ) -> Result<Vec<Directive>, String> {
        if depth > MAX_DEPTH {
            return Err(self.wrong(lexer.at(), "blocks are too deep inside one another"));
        }
        let (mut all, mut words, mut start) = (Vec::new(), Vec::new(), lexer.at());
        loop {
            let token = lexer.next();
            let Some((token, at)) = token.map_err(|why| self.wrong(lexer.at(), &why))? else {
                return match (inside, words.is_empty()) {
                    (_, false) => Err(self.wrong(start, "a directive without its `;`")),
                    (true, _) => Err(self.wrong(lexer.at(), "a `{` is never closed")),
                    (false, true) => Ok(all),
                };
            };
            match token {
                Token::Word(word) => {
                    if words.is_empty() {
                        start = at;
                    }
                    words.push(word);
                }
                Token::Close if !words.is_empty() => {
                    return Err(self.wrong(start, "a directive without its `;`"));
                }
                Token::Close if inside => return Ok(all),
                Token::Close => return Err(self.wrong(at, "a `}` without its `{`")),
                Token::End | Token::Open if words.is_empty() => {
                    return Err(self.wrong(at, "a directive without a name"));
                }
                Token::End => self.simple(std::mem::take(&mut words), start, depth, &mut all)?,
                Token::Open => {
                    let words = std::mem::take(&mut words);
                    let block = if words[0].ends_with("_by_lua_block") {
                        lexer.skip_block();
                        Vec::new()
                    } else {
                        self.block(lexer, depth + 1, true)?
                    };
                    all.push(self.directive(words, start, Some(block))?);
                }
            }
        }
    }

    fn directive(
        &mut self,
        mut words: Vec<String>,
        at: At,
        block: Option<Vec<Directive>>,
    ) -> Result<Directive, String> {
        self.directives += 1;
        if self.directives > MAX_DIRECTIVES {
            return Err(self.wrong(at, "there are too many directives"));
        }
        let name = words.remove(0);
        Ok(Directive { name, args: words, block, at })
    }

    fn simple(
        &mut self,
        words: Vec<String>,
        at: At,
        depth: usize,
        all: &mut Vec<Directive>,
    ) -> Result<(), String> {
        let directive = self.directive(words, at, None)?;
        if directive.name != "include" || directive.args.len() != 1 {
            all.push(directive);
            return Ok(());
        }
        if NEEDLESS.iter().any(|name| directive.arg(0).contains(name)) {
            return Ok(());
        }
        let pattern = self.directory.join(directive.arg(0));
        let found = files(&pattern);
        for path in &found {
            self.file(path, &directive, depth, all)?;
        }
        if found.is_empty() && !directive.arg(0).contains(['*', '?', '[']) {
            // Whoever walks over it says so, and takes it for the worst.
            all.push(directive);
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &Path,
        directive: &Directive,
        depth: usize,
        all: &mut Vec<Directive>,
    ) -> Result<(), String> {
        if self.includes >= MAX_INCLUDES || self.report.files.len() >= MAX_FILES {
            return Err(self.wrong(directive.at, "files include one another without end"));
        }
        let Ok(text) = read_text(path) else {
            all.push(directive.clone());
            return Ok(());
        };
        let file = self.report.files.len();
        let shown = path.strip_prefix(self.directory).unwrap_or(path);
        self.report.files.push(shown.display().to_string());
        self.includes += 1;
        let inner = self.block(&mut Lexer::new(&text, file), depth, false);
        self.includes -= 1;
        all.extend(inner?);
        Ok(())
    }
}

/// The files a pattern stands for, sorted.
fn files(pattern: &Path) -> Vec<PathBuf> {
    let pattern = pattern.to_string_lossy();
    let mut found: Vec<PathBuf> = match glob::glob(&pattern) {
        Ok(paths) => paths.filter_map(Result::ok).filter(|path| path.is_file()).collect(),
        Err(_) => Vec::new(),
    };
    found.sort();
    found.truncate(MAX_FILES);
    found
}
