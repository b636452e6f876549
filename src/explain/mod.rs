//! Why a request goes where it goes: `tidegate explain`, on a file and on the running gateway.
//!
//! There is no second way to decide anything. The question is made into the bytes of a request, and these
//! are read as a listener reads them (`arrive`); the gate and the table that serve traffic judge them
//! ([`gateway::judge`](crate::gateway)); the policies of the route are asked in the order of the pipeline
//! (`steps`) by the code their layers run; the upstreams (`targets`) are those requests go to. Nothing is
//! sent anywhere and nothing is counted.
//!
//! A kind of policy is one file in `steps` and one line in its list.

mod arrive;
mod asked;
pub mod exposure;
mod human;
mod matching;
mod report;
mod steps;
mod targets;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use tokio::runtime::Handle;

use self::arrive::Arrived;
pub use self::{
    asked::{Asked, Caller},
    human::human,
    report::*,
};
pub(crate) use self::{
    steps::{causes, class, parts, windows},
    targets::settings,
};
use crate::{
    config::model::{Action, Config, Origin, Origins, Place},
    error::Error,
    runtime::Runtime,
};

/// Says what becomes of a request. Blocks: passwords take their time.
///
/// # Errors
/// The question cannot be answered: no such listener.
pub(crate) fn explain(
    runtime: &Runtime,
    asked: &Asked,
    handle: &Handle,
    live: Option<Running>,
) -> Result<Explanation, String> {
    let mut arrived = arrive::arrive(runtime, asked)?;
    let mut explanation = Explanation {
        request: arrived.understood(),
        result: Outcome::Refused,
        route: None,
        near: Vec::new(),
        steps: Vec::new(),
        upstream_path: None,
        to: Vec::new(),
        answers: Answers {
            this_request: Answer {
                status: None,
                reason: None,
                headers: Vec::new(),
                text: String::new(),
            },
            without_credentials: None,
            with_credentials: None,
            not_judged: Vec::new(),
        },
        notes: std::mem::take(&mut arrived.notes),
        live,
    };
    match arrived.verdict.take() {
        Some(arrive::Ended::Refused(error)) => {
            // Where the gate refused it there is nothing the table could have been asked.
            explanation.near = matching::near(runtime, &arrived);
            explanation.answers.this_request = Answer::of(&error);
        }
        Some(arrive::Ended::ToHttps(answer)) => {
            explanation.result = Outcome::HttpsRedirect;
            explanation.answers.this_request = answer;
        }
        None => answered(runtime, arrived, handle, &mut explanation),
    }
    Ok(explanation)
}

/// Why a route does not take a request, if it does not.
pub(crate) fn difference(runtime: &Runtime, asked: &Asked, route: &str) -> Option<String> {
    matching::difference(runtime, &arrive::arrive(runtime, asked).ok()?, route)
}

/// A route takes it.
fn answered(runtime: &Runtime, arrived: Arrived, handle: &Handle, explanation: &mut Explanation) {
    explanation.result = Outcome::Route;
    explanation.near = matching::near(runtime, &arrived);
    explanation.route = matching::winner(runtime, &arrived);
    let Some(route) = runtime.config.routes.get(&*arrived.route) else { return };
    let live = explanation.live.is_some();
    let mut walk = steps::Walk::new(runtime, route, arrived, (handle, live));
    explanation.steps = walk.all();
    explanation.to = targets::all(runtime, route, live);
    if matches!(route.action, Action::Forward(_)) {
        explanation.upstream_path = Some(walk.target());
    }
    let end = targets::end(&mut walk, &explanation.to);
    explanation.answers = walk.answers(&explanation.steps, &end);
}

// === places ===

/// Where these were written, each line once.
fn written<'o>(config: &Config, origins: impl IntoIterator<Item = &'o Origin>) -> Vec<Written> {
    let mut all: Vec<Written> = Vec::new();
    for origin in origins {
        let Some(at) = place(config, origin.place) else { continue };
        let via = origin.via.and_then(|via| place(config, via));
        let one = Written { at, via, inherited: origin.inherited };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

/// Where a key and those below it were written.
fn written_of(config: &Config, origins: &Origins, key: &str) -> Vec<Written> {
    written(config, origins.of(key))
}

fn place(config: &Config, place: Place) -> Option<String> {
    config.lines.show(place)
}

// === impl Answer ===

impl Answer {
    /// What a client is told of an error.
    fn of(error: &Error) -> Self {
        let reason = error.reason();
        let status = reason.status().as_u16();
        let mut text = format!("{status} {}", reason.word());
        // The near routes are told apart, with their places.
        let detail = error.detail();
        if !detail.is_empty() {
            text.push_str(&format!(" ({detail})"));
        }
        let headers = error.headers().iter().filter(|(name, _)| *name != http::header::CONNECTION);
        let headers = headers
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        Self {
            status: Some(status),
            reason: Some(reason.word().to_owned()),
            headers: headers.collect(),
            text,
        }
    }

    /// An answer the gateway makes that is no error.
    fn plain(status: u16, text: String) -> Self {
        Self { status: Some(status), reason: None, headers: Vec::new(), text }
    }
}
