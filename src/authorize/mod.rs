//! Rules in CEL (the Common Expression Language) over a request, its client and who it is from. Nothing
//! here knows of the file; `config/decode/guard/authorize` compiles, `layers/authorize` asks. The grammar
//! is that of the crate `cel`. What it parses is lowered once, at load, to a [`node::Op`]: names are
//! resolved, patterns and networks compiled, and whatever can never be evaluated is refused with its place.
//! Evaluation is ours, as that of the crate has no limit: here every step is paid for out of a [`COST`] that
//! a request cannot raise, and whoever asks too much gets no answer, which allows nothing.

mod eval;
mod facts;
mod functions;
mod kind;
mod lower;
mod node;
mod parse;
mod time;
mod value;
mod vars;

#[cfg(test)]
mod tests;

use std::{fmt, ops::Range};

use http::HeaderName;

pub(crate) use self::facts::Facts;
use self::{eval::Run, lower::Made, node::Op, value::Value};

/// Steps that all rules of a policy may take together for one request; reading long texts is several.
pub(crate) const COST: u32 = 50_000;
/// Bytes of an expression.
pub(crate) const LONGEST: usize = 4096;

/// One expression, ready to be asked.
pub(crate) struct Rule {
    text: Box<str>,
    op: Op,
    /// Whether it asks who a request is from.
    asks_who: bool,
    /// The headers it names.
    headers: Vec<HeaderName>,
}

/// What must hold of a request.
#[derive(Debug, PartialEq)]
pub(crate) struct Rules {
    /// One of these, unless there are none.
    pub(crate) allow: Vec<Rule>,
    /// None of these.
    pub(crate) deny: Vec<Rule>,
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nothing allows it.
    NotAllowed,
    /// Something denies it.
    Denied,
    /// Nobody can say.
    Failed(Failed),
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong.
    pub(crate) message: String,
    /// Where, in bytes of the expression.
    pub(crate) at: Range<usize>,
    /// What to do.
    pub(crate) help: Option<String>,
}

/// Why a rule has no answer. Says nothing of what the request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failed {
    /// A map lacks a key, or a list an item.
    #[error("a key that is not there")]
    NoSuchKey,
    /// Something cannot be done with such values.
    #[error("a value of another type")]
    WrongType,
    /// A number that is too large for its type, or a division by zero.
    #[error("a number out of range")]
    OutOfRange,
    /// A parameter of the query that was sent twice: which of them the service takes nobody knows.
    #[error("a query parameter sent twice")]
    Ambiguous,
    /// Bytes that are no text.
    #[error("a value that is no text")]
    NoText,
    /// A text that is no address.
    #[error("a value that is no address")]
    NoAddress,
    /// All steps are used up.
    #[error("more steps than a rule may take")]
    TooCostly,
}

// === impl Rule ===

impl Rule {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn compile(text: &str) -> Result<Self, Problem> {
        parse::deeply(|| {
            let (expr, source) = parse::parse(text)?;
            let Made { op, asks_who, headers } = lower::lower(text, &expr, &source)?;
            Ok(Self { text: text.into(), op, asks_who, headers })
        })
    }

    /// Whether its text has this word in it.
    pub(crate) fn mentions(&self, word: &str) -> bool {
        self.text.contains(word)
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// It cannot be said.
    fn holds<'a>(&'a self, facts: &'a Facts<'a>) -> Result<bool, Failed> {
        match Run::new(facts).eval(&self.op)? {
            Value::Bool(holds) => Ok(holds),
            _ => Err(Failed::WrongType),
        }
    }
}

// === impl Rules ===

impl Rules {
    /// Whether one of them asks who a request is from.
    pub(crate) fn ask_who(&self) -> bool {
        self.allow.iter().chain(&self.deny).any(|rule| rule.asks_who)
    }

    /// The headers that are named in them.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.allow.iter().chain(&self.deny).flat_map(|rule| &rule.headers)
    }

    /// Whether a request may pass. A denial that cannot be evaluated denies, and what allows must be
    /// evaluated.
    pub(crate) fn judge<'a>(&'a self, facts: &'a Facts<'a>) -> Result<(), Refused> {
        facts.begin();
        let mut failed = None;
        for rule in &self.deny {
            match rule.holds(facts) {
                Ok(true) => return Err(Refused::Denied),
                Ok(false) => {}
                Err(why) => failed = Some(why),
            }
        }
        if let Some(why) = failed {
            return Err(Refused::Failed(why));
        }
        for rule in &self.allow {
            match rule.holds(facts) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(why) => failed = Some(why),
            }
        }
        match failed {
            Some(why) => Err(Refused::Failed(why)),
            None if self.allow.is_empty() => Ok(()),
            None => Err(Refused::NotAllowed),
        }
    }
}

// === impl Refused ===

impl Refused {
    /// For log and metric.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NotAllowed => "rule_false",
            Self::Denied => "rule_denied",
            Self::Failed(_) => "rule_failed",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => write!(f, "{}: {why}", self.word()),
            _ => f.write_str(self.word()),
        }
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may have come from a variable.
        f.write_str("Rule(…)")
    }
}

// === impl Problem ===

impl Problem {
    fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), at, help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
