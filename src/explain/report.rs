//! The answer to a question: what is printed, and what goes over the admin socket. The names of its fields
//! are those of the JSON, which docs/explain.md describes and which only ever gets more of them.

use serde::{Deserialize, Serialize};

/// What becomes of a request, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The request as the gateway understands it.
    pub request: Understood,
    /// What becomes of it.
    pub result: Outcome,
    /// The route that takes it.
    pub route: Option<Winner>,
    /// Branches that nearly took it, the nearest first.
    pub near: Vec<Near>,
    /// What its policies say and do, in the order of the pipeline.
    pub steps: Vec<Step>,
    /// The path and query the upstream sees.
    pub upstream_path: Option<String>,
    /// Where it may go.
    pub to: Vec<Target>,
    /// What the client gets.
    pub answers: Answers,
    /// What was assumed.
    pub notes: Vec<String>,
    /// The running gateway; none for a file.
    pub live: Option<Running>,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A route.
    Route,
    /// The gateway, with an error.
    Refused,
    /// The listener, with a redirect to HTTPS.
    HttpsRedirect,
}

/// The request as the gateway understands it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understood {
    /// Method.
    pub method: String,
    /// Host, lower case, without port.
    pub host: String,
    /// The canonical path; as it was written if the request is refused.
    pub path: String,
    /// The listener it came through.
    pub listener: String,
    /// The client, past trusted proxies.
    pub client_ip: Option<String>,
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// `routes.yaml:39`.
    pub at: String,
    /// Where the policy was named that it is part of.
    pub via: Option<String>,
    /// It is inherited from `defaults`.
    pub inherited: bool,
}

/// The route that takes a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Winner {
    /// Its name.
    pub name: String,
    /// Where it was written.
    pub at: Option<String>,
    /// The branch of `match` that takes the request.
    pub matched: String,
    /// The rank of that branch, the most important first.
    pub rank: Vec<RankField>,
    /// Stronger hosts none of whose branches took the request.
    pub fell_through: Vec<String>,
    /// Branches that take it too, and what made them lose; the first ten.
    pub beats: Vec<Near>,
    /// How many there are of these.
    pub beats_in_all: usize,
}

/// One step of the precedence rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankField {
    /// `host`, `path`, `method`, …
    pub field: String,
    /// `exact`, `1 literal, tail`, …
    pub is: String,
}

/// Another branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Near {
    /// Its route.
    pub route: String,
    /// Where that was written.
    pub at: Option<String>,
    /// The branch of `match`.
    pub matched: String,
    /// What made it lose, or what it wants and did not get.
    pub because: String,
}

/// One policy, or one thing that is done to the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its key in the file.
    pub kind: String,
    /// What it is, on one line.
    pub what: String,
    /// Where that was written; empty if it is built in.
    pub from: Vec<Written>,
    /// What it says of this request.
    pub verdict: Verdict,
    /// More lines.
    pub says: Vec<String>,
    /// What the client gets, if it refuses the request.
    pub answer: Option<Answer>,
}

/// What a step says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There is no such policy on this route.
    None,
    /// It lets the request pass, or changes it.
    Passes,
    /// It refuses it.
    Refuses,
    /// It would refuse it, and only watches.
    WouldRefuse,
    /// That cannot be told.
    Unknown,
}

/// An answer a client may get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its status; none if the upstream answers.
    pub status: Option<u16>,
    /// The reason word, if the gateway fails the request.
    pub reason: Option<String>,
    /// Header fields of note.
    pub headers: Vec<(String, String)>,
    /// All of it in words.
    pub text: String,
}

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// With this request.
    pub this_request: Answer,
    /// Without any credentials, where the route asks for some.
    pub without_credentials: Option<Answer>,
    /// With good ones, where this request has none.
    pub with_credentials: Option<Answer>,
    /// Policies that could not be judged, and why.
    pub not_judged: Vec<String>,
}

/// An upstream a request may go to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub upstream: String,
    /// Where it was written.
    pub at: Option<String>,
    /// Its weight on this route.
    pub weight: u32,
    /// Its share of the requests, of one.
    pub share: f64,
    /// How many endpoints it has; none if that is yet to be found out.
    pub endpoints: Option<usize>,
    /// How many of them may be chosen.
    pub usable: Option<usize>,
    /// The first twenty of them.
    pub candidates: Vec<Candidate>,
    /// Its settings that decide what happens there.
    pub settings: Vec<Setting>,
    /// What it answers instead of the service, now.
    pub refuses: Option<Answer>,
    /// What is known of it now.
    pub now: Option<UpstreamNow>,
}

/// One setting of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// Its value.
    pub what: String,
    /// Where that was written; empty if it is built in.
    pub from: Vec<Written>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its URL.
    pub endpoint: String,
    /// Its weight; 0 is out of rotation.
    pub weight: u32,
    /// Its priority; lower first.
    pub priority: u32,
    /// Used when no other is usable.
    pub backup: bool,
    /// What is known of it now.
    pub now: Option<EndpointNow>,
}

/// What a running gateway knows of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointNow {
    /// It may be chosen.
    pub usable: bool,
    /// `healthy`, `unhealthy`, `unknown` before the first check, `unchecked` without checks.
    pub health: String,
    /// How long it stays ejected.
    pub ejected_ms: Option<u64>,
    /// Requests in flight.
    pub in_flight: usize,
    /// What an answer usually takes, with `lb: peak_ewma`.
    pub latency_us: Option<u64>,
}

/// What a running gateway knows of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamNow {
    /// `closed`, `half_open`, `open`; none without a breaker.
    pub breaker: Option<String>,
    /// How long it stays open.
    pub open_ms: Option<u64>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Most requests in flight.
    pub in_flight_most: usize,
    /// What half of the tries did not exceed, where somebody hedges.
    pub p50_us: Option<u64>,
    /// What 95 of 100 did not exceed.
    pub p95_us: Option<u64>,
}

/// The running gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its version.
    pub version: String,
    /// Fingerprint of its configuration.
    pub hash: String,
    /// Seconds since 1970 when that went live.
    pub live_since: u64,
    /// Reloads refused.
    pub reloads_refused: u64,
    /// What was wrong with the last one, if it was refused: the file is not what runs.
    pub last_reload_error: Option<String>,
}

// === impl Step ===

impl Step {
    /// There is no such policy.
    pub(super) fn none(kind: &str) -> Self {
        Self { verdict: Verdict::None, ..Self::of(kind, "none", Vec::new()) }
    }

    /// Lets the request pass.
    pub(super) fn of(kind: &str, what: impl Into<String>, from: Vec<Written>) -> Self {
        Self {
            kind: kind.to_owned(),
            what: what.into(),
            from,
            verdict: Verdict::Passes,
            says: Vec::new(),
            answer: None,
        }
    }

    /// One line more.
    pub(super) fn say(mut self, line: impl Into<String>) -> Self {
        self.says.push(line.into());
        self
    }

    /// Refuses the request so.
    pub(super) fn refuse(mut self, answer: Answer) -> Self {
        self.says.push(format!("this request: {}", answer.text));
        self.says.extend(answer.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        Self { verdict: Verdict::Refuses, answer: Some(answer), ..self }
    }
}
