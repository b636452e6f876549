//! Text to syntax, by the parser of the crate `cel`, with its macros left as the calls they are written as.

use std::{ops::Range, thread};

use cel::{Env, IdedExpr, ParseError, common::ast::SourceInfo};

use super::{LONGEST, Problem};

/// How deep the parser goes.
const DEEPEST: u16 = 32;
/// What that may need: each level of brackets takes more than 100 KiB in a build without optimisation.
/// Only what is used is ever there.
const STACK: usize = 64 << 20;

/// Runs something that parses, on a stack that is large enough.
pub(super) fn deeply<T: Send>(
    run: impl FnOnce() -> Result<T, Problem> + Send,
) -> Result<T, Problem> {
    let failed = |what: &str| Err(Problem::new(0..0, format!("{what} while it was read")));
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("rule".to_owned()).stack_size(STACK);
        match thread.spawn_scoped(scope, run) {
            // The parser is generated code that is not ours; a fault in it refuses the rule.
            Ok(running) => running.join().unwrap_or_else(|_| failed("a fault")),
            Err(error) => failed(&format!("no thread ({error})")),
        }
    })
}

/// Parses an expression.
pub(super) fn parse(text: &str) -> Result<(IdedExpr, SourceInfo), Problem> {
    let whole = 0..text.len();
    if text.len() > LONGEST {
        let message = format!("a rule has at most {LONGEST} bytes, this one {}", text.len());
        return Err(Problem::new(whole, message));
    }
    let parser = Env::default().with_optional_support(false).parser();
    let parser = parser.max_recursion_depth(DEEPEST).error_recovery_limit(1);
    parser.parse_with_source_info(text).map_err(|wrong| {
        let none = || Problem::new(whole, "it is no expression");
        wrong.errors.first().map_or_else(none, |first| problem(text, first))
    })
}

fn problem(text: &str, error: &ParseError) -> Problem {
    // "Syntax error: mismatched input '<EOF>' expecting {…}": the list of tokens helps nobody.
    let said = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
    let said = said.split(" expecting ").next().unwrap_or(said);
    let said = said.replace("'<EOF>'", "the end").replace('\n', " ");
    let found = Problem::new(place(text, error.pos), format!("it is no expression: {said}"));
    let single = text.replace("==", "").replace("!=", "").replace(">=", "").replace("<=", "");
    match () {
        () if single.contains('=') => found.help("`==` compares"),
        () if text.contains(" and ") || text.contains(" or ") => {
            found.help("`&&` is and, `||` is or")
        }
        () => found,
    }
}

/// Line and column, both from 1, as bytes.
fn place(text: &str, (line, column): (isize, isize)) -> Range<usize> {
    let (line, column) = (usize::try_from(line), usize::try_from(column));
    let (Ok(line @ 1..), Ok(column @ 1..)) = (line, column) else { return 0..text.len() };
    let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let start = (before + column - 1).min(text.len());
    range(text, start, start + 1)
}

/// A range with whole characters, and never outside.
pub(super) fn range(text: &str, start: usize, end: usize) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(start);
    start..floor(end).max(start)
}
