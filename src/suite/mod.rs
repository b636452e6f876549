//! `tidegate test`: the requests under `tests` are explained, and what is said of them is compared with what
//! the file expects. Whoever judges is [`explain`], so a test that passes is true of traffic.

mod human;
mod judge;
mod junit;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use tokio::runtime::Handle;

pub(crate) use self::{human::human, junit::junit, report::json};
use crate::{
    config::{
        diagnostic::{Diagnostic, Place, Sources},
        model::{Name, Test},
    },
    explain::{self, Explanation},
    runtime::Runtime,
};

/// What came of all tests that were run.
pub(crate) struct Report<'a> {
    /// The files, for telling places.
    pub(crate) sources: &'a Sources,
    /// One for each test, in the order written.
    pub(crate) results: Vec<Judged<'a>>,
    /// How many tests there are in all.
    pub(crate) all: usize,
    /// Which routes are tested; none if not all tests were run.
    pub(crate) coverage: Option<Coverage>,
}

/// What came of one test.
pub(crate) struct Judged<'a> {
    /// The test.
    pub(crate) test: &'a Test,
    /// The route that takes its request.
    pub(crate) route: Option<String>,
    /// What the client gets, in words.
    pub(crate) answer: String,
    /// What is not as it should be.
    pub(crate) wrong: Vec<Wrong>,
}

/// One expectation that does not hold.
pub(crate) struct Wrong {
    /// Its key.
    pub(crate) key: &'static str,
    /// Where it was written.
    pub(crate) place: Place,
    /// What the file says.
    pub(crate) expected: String,
    /// What is so.
    pub(crate) got: String,
    /// Why it is so.
    pub(crate) because: Vec<String>,
}

/// Which routes a test sends a request to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// How many routes are enabled.
    pub(crate) routes: usize,
    /// Those no test gets to.
    pub(crate) untested: Vec<Name>,
}

/// Runs the tests that `wanted` lets through. Blocks: passwords take their time.
pub(crate) fn run<'a>(
    runtime: &'a Runtime,
    sources: &'a Sources,
    handle: &Handle,
    wanted: Option<&str>,
) -> Report<'a> {
    let all = &runtime.config.tests;
    let chosen = all.iter().filter(|test| wanted.is_none_or(|text| names(test, text)));
    let results: Vec<_> = chosen.map(|test| one(runtime, test, handle)).collect();
    let coverage = wanted.is_none().then(|| Coverage::of(runtime, &results));
    Report { sources, results, all: all.len(), coverage }
}

/// Whether a part of its name or of its request is this.
fn names(test: &Test, text: &str) -> bool {
    let request = format!("{} {}", test.asked.method, test.asked.url);
    test.name.contains(text) || request.contains(text)
}

fn one<'a>(runtime: &Runtime, test: &'a Test, handle: &Handle) -> Judged<'a> {
    match explain::explain(runtime, &test.asked, handle, None) {
        Ok(found) => Judged {
            test,
            route: route(&found),
            answer: found.answers.this_request.text.clone(),
            wrong: judge::judge(runtime, test, &found),
        },
        // The file was refused if it had no such listener.
        Err(problem) => Judged {
            test,
            route: None,
            answer: problem.clone(),
            wrong: vec![Wrong {
                key: "request",
                place: test.place,
                expected: "a request".to_owned(),
                got: problem,
                because: Vec::new(),
            }],
        },
    }
}

fn route(found: &Explanation) -> Option<String> {
    found.route.as_ref().map(|route| route.name.clone())
}

// === impl Report ===

impl Report<'_> {
    /// How many tests did not hold.
    pub(crate) fn failed(&self) -> usize {
        self.results.iter().filter(|it| !it.wrong.is_empty()).count()
    }
}

// === impl Wrong ===

impl Wrong {
    /// For people, with the line it was written in.
    fn diagnostic(&self, test: &Test) -> Diagnostic {
        let message = format!(
            "`{}` of test `{}`: expected {}, got {}",
            self.key, test.name, self.expected, self.got
        );
        let found = Diagnostic::error(self.place, message).label(format!("got {}", self.got));
        if self.because.is_empty() { found } else { found.help(self.because.join("; ")) }
    }
}

// === impl Coverage ===

impl Coverage {
    fn of(runtime: &Runtime, results: &[Judged<'_>]) -> Self {
        let tested: BTreeSet<&str> = results.iter().filter_map(|it| it.route.as_deref()).collect();
        let enabled = runtime.config.routes.iter().filter(|(_, route)| route.enabled);
        let enabled: Vec<&Name> = enabled.map(|(name, _)| name).collect();
        let untested = enabled.iter().filter(|name| !tested.contains(name.as_ref()));
        Self { routes: enabled.len(), untested: untested.map(|name| (*name).clone()).collect() }
    }

    /// How many routes a test gets to.
    pub(crate) fn tested(&self) -> usize {
        self.routes - self.untested.len()
    }

    /// The share of routes that are tested, in whole percent, rounded down.
    pub(crate) fn percent(&self) -> usize {
        (self.tested() * 100).checked_div(self.routes).unwrap_or(100)
    }
}
