//! What is expected of a request against what is said of it.

use std::collections::BTreeSet;

use super::{Wrong, route};
use crate::{
    config::model::{Expected, Located, Name, Route, Test},
    explain::{self, Answer, Explanation, Outcome, Step, Verdict},
    runtime::Runtime,
};

/// All that does not hold.
pub(super) fn judge(runtime: &Runtime, test: &Test, found: &Explanation) -> Vec<Wrong> {
    let judge = Judge { runtime, test, found };
    let mut wrong: Vec<Wrong> = test.expected.iter().filter_map(|it| judge.one(it)).collect();
    // What was assumed may be why.
    let notes = found.notes.iter().map(|note| note.replace("--listener", "`listener`"));
    let notes: Vec<String> = notes.collect();
    wrong.iter_mut().for_each(|it| it.because.extend(notes.iter().cloned()));
    wrong
}

struct Judge<'a> {
    runtime: &'a Runtime,
    test: &'a Test,
    found: &'a Explanation,
}

/// What an expectation turned out to be.
struct Said {
    holds: bool,
    expected: String,
    got: String,
    because: Vec<String>,
}

// === impl Judge ===

impl Judge<'_> {
    fn one(&self, expected: &Located<Expected>) -> Option<Wrong> {
        let said = match &expected.value {
            Expected::Route(name) => self.route(name.as_deref()),
            Expected::Upstream(allowed) => self.upstream(allowed.as_deref().unwrap_or_default()),
            Expected::Path(path) => self.path(path),
            Expected::Auth(names) => self.policies(names, |route| {
                let policies = route.auth.iter().flat_map(|it| &it.policies);
                policies.map(|it| &*it.policy).collect()
            }),
            Expected::RateLimit(names) => self
                .policies(names, |route| route.rate_limit.iter().map(|it| &*it.policy).collect()),
            Expected::Status(status) => self
                .answered(status.map(|status| status.as_u16().to_string()), |answer| {
                    answer.status.map(|status| status.to_string())
                }),
            Expected::Reason(reason) => self
                .answered(reason.map(|reason| reason.word().to_owned()), |answer| {
                    answer.reason.clone()
                }),
            Expected::Redirect(to) => self.answered(Some(to.clone()), location),
        };
        (!said.holds).then(|| Wrong {
            key: expected.value.key(),
            place: expected.place,
            expected: said.expected,
            got: said.got,
            because: said.because,
        })
    }

    fn route(&self, expected: Option<&str>) -> Said {
        let got = route(self.found);
        let mut because = Vec::new();
        if let Some(name) = expected {
            because.extend(self.why_not(name));
        }
        because.push(self.who());
        Said {
            holds: got.as_deref() == expected,
            expected: shown(expected),
            got: shown(got.as_deref()),
            because,
        }
    }

    /// Why a route does not take the request.
    fn why_not(&self, name: &str) -> Option<String> {
        if self.runtime.config.routes.get(name).is_some_and(|route| !route.enabled) {
            return Some(format!("`{name}` has `enabled: false`"));
        }
        let beaten = self.found.route.iter().flat_map(|won| &won.beats);
        if let Some(lost) = beaten.into_iter().find(|it| it.route == name) {
            return Some(format!("`{name}` would take it and is weaker: {}", lost.because));
        }
        let difference = explain::difference(self.runtime, &self.test.asked, name)?;
        Some(format!("`{name}` does not take it: {difference}"))
    }

    /// Who takes it, and by what.
    fn who(&self) -> String {
        let answer = &self.found.answers.this_request.text;
        match (self.found.result, &self.found.route) {
            (Outcome::Route, Some(won)) => {
                let at = won.at.as_ref().map_or_else(String::new, |at| format!(", {at}"));
                format!("`{}` takes it by {}{at}", won.name, won.matched)
            }
            (Outcome::HttpsRedirect, _) => {
                format!("listener `{}` redirects it: {answer}", self.found.request.listener)
            }
            _ => format!("no route takes it: {answer}"),
        }
    }

    fn upstream(&self, allowed: &[Located<Name>]) -> Said {
        let used = self.found.to.iter().filter(|target| target.weight > 0);
        let used: BTreeSet<&str> = used.map(|target| target.upstream.as_str()).collect();
        let allowed: BTreeSet<&str> = allowed.iter().map(|name| &*name.value).collect();
        let holds = if allowed.is_empty() { used.is_empty() } else { used.is_subset(&allowed) };
        Said {
            holds: holds && used.is_empty() == allowed.is_empty(),
            expected: listed(&allowed),
            got: listed(&used),
            because: vec![self.who()],
        }
    }

    /// Without a query here, any will do.
    fn path(&self, expected: &str) -> Said {
        let got = self.found.upstream_path.as_deref();
        let seen = got.map(|got| match expected.contains('?') {
            true => got,
            false => got.split('?').next().unwrap_or_default(),
        });
        let changes = self.found.steps.iter().filter(|step| {
            matches!(step.kind.as_str(), "strip_prefix" | "rewrite") && seen != Some(expected)
        });
        let mut because: Vec<String> =
            changes.map(|step| format!("{}: {}{}", step.kind, step.what, at(step))).collect();
        if because.is_empty() {
            because.push(match got {
                Some(_) => "nothing changes the path on its way".to_owned(),
                None => self.who(),
            });
        }
        Said {
            holds: seen == Some(expected),
            expected: expected.to_owned(),
            got: shown(got),
            because,
        }
    }

    fn policies(
        &self,
        expected: &[Located<Name>],
        of: impl for<'r> Fn(&'r Route) -> BTreeSet<&'r str>,
    ) -> Said {
        let taken = self.found.route.as_ref();
        let taken = taken.and_then(|won| self.runtime.config.routes.get(won.name.as_str()));
        let got = taken.map(of).unwrap_or_default();
        let expected: BTreeSet<&str> = expected.iter().map(|name| &*name.value).collect();
        Said {
            holds: got == expected,
            expected: listed(&expected),
            got: listed(&got),
            because: vec![self.who()],
        }
    }

    /// What the gateway answers itself.
    fn answered(&self, expected: Option<String>, of: impl Fn(&Answer) -> Option<String>) -> Said {
        let answer = &self.found.answers.this_request;
        let unsure = self.unsure();
        let got = of(answer);
        let got_shown = match (&got, answer.status) {
            _ if !unsure.is_empty() => "what cannot be told".to_owned(),
            (None, None) => "no answer of the gateway".to_owned(),
            (None, Some(status)) => format!("{status} without one"),
            (Some(got), _) => got.clone(),
        };
        let because = if unsure.is_empty() {
            let refusing = self.found.steps.iter().filter(|step| step.verdict == Verdict::Refuses);
            let refusing = refusing.map(|step| format!("{}: {}{}", step.kind, step.what, at(step)));
            let who = (self.found.result == Outcome::Route).then(|| self.who());
            [answer.text.clone()].into_iter().chain(refusing).chain(who).collect()
        } else {
            unsure
        };
        Said {
            holds: got == expected && self.unsure().is_empty(),
            expected: expected.unwrap_or_else(|| "none".to_owned()),
            got: got_shown,
            because,
        }
    }

    /// What nobody here can judge and stands before whoever answers. Layers of one's own are taken to let
    /// everything pass, or no route with one could be tested.
    fn unsure(&self) -> Vec<String> {
        let reached = self.found.steps.iter().take_while(|step| step.verdict != Verdict::Refuses);
        let unknown: BTreeSet<&str> = reached
            .filter(|step| step.verdict == Verdict::Unknown && step.kind != "layers")
            .map(|step| step.kind.as_str())
            .collect();
        let of = |line: &&String| {
            unknown
                .iter()
                .any(|kind| line.strip_prefix(*kind).is_some_and(|it| it.starts_with(':')))
        };
        self.found.answers.not_judged.iter().filter(of).map(|line| help(line)).collect()
    }
}

/// The same in the words of a test.
fn help(line: &str) -> String {
    match line.strip_prefix("ip: ") {
        Some(_) => "ip: nobody knows the address, `client_ip` says it".to_owned(),
        None if line.starts_with("auth: ") || line.starts_with("authorize: ") => {
            format!("{line}; `consumer` or `claims` say who it is from")
        }
        None => line.to_owned(),
    }
}

fn location(answer: &Answer) -> Option<String> {
    let to = answer.headers.iter().find(|(name, _)| name == "location");
    to.map(|(_, to)| to.clone())
}

fn at(step: &Step) -> String {
    let first = step.from.first();
    first.map_or_else(String::new, |written| format!(", {}", written.at))
}

fn shown(text: Option<&str>) -> String {
    text.unwrap_or("none").to_owned()
}

fn listed(names: &BTreeSet<&str>) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().copied().collect::<Vec<_>>().join(", ")
}
