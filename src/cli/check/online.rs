//! `check --online`: whether what the files name is there. Names are looked up as the gateway does, endpoints
//! are connected to, addresses bound, keys and metadata fetched, sources of endpoints asked. No request is
//! sent to a service, and nothing is written anywhere. What could not be asked without that is said.

mod asking;
mod questions;

use std::{io, sync::Arc, time::Duration};

use tokio::{
    runtime::Runtime,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use self::questions::Question;
use crate::{
    config::{
        diagnostic::{Diagnostic, Place},
        model::Config,
    },
    upstream::dns::Resolver,
};

/// How long one question may take.
const ONE: Duration = Duration::from_secs(10);
/// How long all of them may take.
const ALL: Duration = Duration::from_secs(30);
/// So many questions at once.
const AT_ONCE: usize = 64;

/// What came of one question.
pub(super) struct Line {
    /// `upstream orders`.
    pub(super) what: String,
    /// What was asked: `http://orders-1:8080`.
    pub(super) asked: String,
    /// What came of it.
    pub(super) said: Said,
    pub(super) took: Duration,
    place: Place,
    /// It need not be a mistake.
    mild: bool,
}

/// What came of a question.
pub(super) enum Said {
    /// It is there.
    Good(String),
    /// It is not; why.
    Bad(String),
    /// Nobody has looked; why.
    Unseen(String),
}

/// Where a line stands: the number of its question, and that of what was found by it.
type Number = (usize, usize);

/// Asks all there is to ask, many at once; in the order of the questions.
pub(super) fn ask(config: &Config, runtime: &Runtime) -> io::Result<Vec<Line>> {
    let questions = questions::of(config);
    let resolver = Resolver::new(runtime.handle().clone())?;
    let until = Instant::now() + ALL;
    runtime.block_on(async move {
        let first = questions.into_iter().enumerate().map(|(at, it)| ((at, 0), it)).collect();
        let mut answers = all(first, &resolver, until).await;
        // What was found is connected to, as what is written is.
        let mut found = Vec::new();
        for (number, _, questions) in &mut answers {
            let questions = std::mem::take(questions).into_iter().zip(1..);
            found.extend(questions.map(|(question, at)| ((number.0, at), question)));
        }
        answers.extend(all(found, &resolver, until).await);
        answers.sort_by_key(|(number, ..)| *number);
        Ok(answers.into_iter().map(|(_, line, _)| line).collect())
    })
}

/// The lines of these questions, each with the questions that came of it.
async fn all(
    questions: Vec<(Number, Question)>,
    resolver: &Resolver,
    until: Instant,
) -> Vec<(Number, Line, Vec<Question>)> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (number, question) in questions {
        let (room, resolver) = (Arc::clone(&room), resolver.clone());
        tasks.spawn(async move {
            let Question { what, asked, place, mild, kind } = question;
            let begun = timeout_at(until, room.acquire_owned()).await;
            let start = Instant::now();
            let (said, found) = match begun {
                Ok(_one) => {
                    let limit = ONE.min(until.saturating_duration_since(start));
                    let answer = timeout(limit, kind.ask(&what, place, &resolver)).await;
                    answer.unwrap_or_else(|_| (Said::Bad("no answer in time".to_owned()), vec![]))
                }
                Err(_) => {
                    (Said::Unseen(format!("after {} s there was no time", ALL.as_secs())), vec![])
                }
            };
            let line = Line { what, asked, said, took: start.elapsed(), place, mild };
            (number, line, found)
        });
    }
    tasks.join_all().await
}

// === impl Line ===

impl Line {
    /// What is wrong, with the place of what was asked.
    pub(super) fn finding(&self) -> Option<Diagnostic> {
        let Said::Bad(why) = &self.said else { return None };
        let message = format!("{} `{}`: {why}", self.what, self.asked);
        Some(match self.mild {
            true => Diagnostic::warning(self.place, message),
            false => Diagnostic::error(self.place, message),
        })
    }
}

// === impl Said ===

impl Said {
    /// Whether it is there; nothing if nobody has looked.
    pub(super) fn ok(&self) -> Option<bool> {
        match self {
            Self::Good(_) => Some(true),
            Self::Bad(_) => Some(false),
            Self::Unseen(_) => None,
        }
    }

    /// What there is to say.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Good(text) | Self::Bad(text) | Self::Unseen(text) => text,
        }
    }
}

impl From<Result<String, String>> for Said {
    fn from(said: Result<String, String>) -> Self {
        said.map_or_else(Self::Bad, Self::Good)
    }
}
