//! Compares what becomes of each request, and counts.

use std::{collections::HashMap, sync::Arc};

use super::{
    Fate, Group, Plan, Settings, fate,
    fate::{Asked, Judge, Known},
    line::{self, Line},
};

/// What one worker has counted.
pub(super) struct Tally<'j> {
    judges: &'j (Judge<'j>, Judge<'j>),
    settings: &'j Settings,
    plan: Plan,
    groups: HashMap<Key, Counted>,
}

/// What requests of one group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    now: Ended,
    then: Ended,
    means: Means,
}

/// What becomes of a request: the same [`Known`] is the same route.
#[derive(Clone, Debug, Eq)]
struct Ended {
    known: Arc<Known>,
    refused: Option<&'static str>,
}

/// What a change means for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Means {
    route: bool,
    upstream: bool,
    auth: bool,
    limits: bool,
    refused: bool,
    refused_already: bool,
    let_in: bool,
}

#[derive(Debug, Default)]
struct Counted {
    requests: u64,
    samples: Vec<String>,
}

/// More groups than this are counted together with none.
const MOST_GROUPS: usize = 10_000;
/// More reasons than this are counted as one.
const MOST_REASONS: usize = 100;
/// A sample is cut there.
const LONGEST_SAMPLE: usize = 200;

// === impl Tally ===

impl<'j> Tally<'j> {
    pub(super) fn new(judges: &'j (Judge<'j>, Judge<'j>), settings: &'j Settings) -> Self {
        Self { judges, settings, plan: Plan::default(), groups: HashMap::new() }
    }

    /// Counts a line.
    pub(super) fn line(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        self.plan.lines += 1;
        let read = std::str::from_utf8(line).map_err(|_| line::UNREADABLE).and_then(line::read);
        let replayed = match &read {
            Ok(line) => self.replay(line),
            Err(why) => Err((*why).to_owned()),
        };
        if let Err(why) = replayed {
            let known = self.plan.not_replayed.len() < MOST_REASONS;
            let there = self.plan.not_replayed.contains_key(&why);
            let why = if known || there { why } else { "for other reasons".to_owned() };
            *self.plan.not_replayed.entry(why).or_default() += 1;
        }
    }

    fn replay(&mut self, line: &Line<'_>) -> Result<(), String> {
        let asked = Asked::new(line, self.settings.host.as_deref())?;
        let (now, then) = (self.judges.0.judge(&asked)?, self.judges.1.judge(&asked)?);
        let plan = &mut self.plan;
        plan.replayed += 1;
        if line.route.as_ref().is_some_and(|logged| logged.as_deref() != now.known.name.as_deref())
        {
            plan.logged_otherwise += 1;
        }
        let means = Means::of(line, &now, &then);
        if means == Means::default() {
            return Ok(());
        }
        plan.changed += 1;
        for (count, is) in [
            (&mut plan.route, means.route),
            (&mut plan.upstream, means.upstream),
            (&mut plan.auth, means.auth),
            (&mut plan.limits, means.limits),
            (&mut plan.refused, means.refused),
            (&mut plan.refused_already, means.refused_already),
            (&mut plan.let_in, means.let_in),
        ] {
            *count += u64::from(is);
        }
        let key = Key { now: now.into(), then: then.into(), means };
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&key) {
            return Ok(());
        }
        let group = self.groups.entry(key).or_default();
        group.requests += 1;
        if group.samples.len() < self.settings.samples {
            group.samples.push(sample(line));
        }
        Ok(())
    }
}

/// Without the query, which may hold secrets.
fn sample(line: &Line<'_>) -> String {
    let query = if line.query.is_some() { "?…" } else { "" };
    let text = format!("{} {}{}{query}", line.method, line.host, line.path);
    match text.char_indices().nth(LONGEST_SAMPLE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// What all workers have counted together.
pub(super) fn plan(tallies: Vec<Tally<'_>>, samples: usize) -> Plan {
    let mut plan = Plan::default();
    let mut groups: HashMap<Key, Counted> = HashMap::new();
    for tally in tallies {
        let it = tally.plan;
        for (sum, more) in [
            (&mut plan.lines, it.lines),
            (&mut plan.replayed, it.replayed),
            (&mut plan.changed, it.changed),
            (&mut plan.route, it.route),
            (&mut plan.upstream, it.upstream),
            (&mut plan.auth, it.auth),
            (&mut plan.limits, it.limits),
            (&mut plan.refused, it.refused),
            (&mut plan.refused_already, it.refused_already),
            (&mut plan.let_in, it.let_in),
            (&mut plan.logged_otherwise, it.logged_otherwise),
        ] {
            *sum += more;
        }
        for (why, count) in it.not_replayed {
            *plan.not_replayed.entry(why).or_default() += count;
        }
        for (key, counted) in tally.groups {
            let group = groups.entry(key).or_default();
            group.requests += counted.requests;
            group.samples.extend(counted.samples);
            group.samples.truncate(samples);
        }
    }
    plan.groups = groups.into_iter().map(|(key, counted)| key.group(counted)).collect();
    plan.groups.sort_by(|a, b| (b.requests, &a.now, &a.then).cmp(&(a.requests, &b.now, &b.then)));
    plan
}

// === impl Means ===

impl Means {
    fn of(line: &Line<'_>, now: &fate::Fate, then: &fate::Fate) -> Self {
        let (old, new) = (&*now.known, &*then.known);
        let passes = (now.refused.is_none(), then.refused.is_none());
        // Whoever came without credentials comes without them again.
        let unknown = !line.consumer && line.reason.as_deref() != Some("unauthenticated");
        let asked = new.asks && !old.asks && unknown && line.route.is_some();
        let was_asked = line.reason.as_deref() == Some("unauthenticated")
            || (line.reason.is_none() && line.status == 401);
        let refused = passes.0 && (!passes.1 || asked);
        let let_in = passes.1 && (!passes.0 || (old.asks && !new.asks && was_asked));
        // Whom the log says was turned away, by the gateway or by the service, loses nothing.
        let already = matches!(line.status, 401 | 403 | 429);
        let both = passes.0 && passes.1;
        Self {
            route: old.name != new.name,
            upstream: both && old.to != new.to,
            auth: both && old.auth != new.auth,
            limits: both && old.limits != new.limits,
            refused: refused && !already,
            refused_already: refused && already,
            let_in,
        }
    }

    fn words(self) -> Vec<&'static str> {
        let all = [
            ("route", self.route),
            ("upstream", self.upstream),
            ("auth", self.auth),
            ("limits", self.limits),
            ("refused", self.refused),
            ("refused_already", self.refused_already),
            ("let_in", self.let_in),
        ];
        all.into_iter().filter(|(_, is)| *is).map(|(word, _)| word).collect()
    }
}

// === impl Key ===

impl Key {
    fn group(&self, counted: Counted) -> Group {
        let fate = |it: &Ended| Fate {
            route: it.known.name.as_deref().map(str::to_owned),
            refused: it.refused,
            to: it.known.to.clone(),
            auth: it.known.auth.clone(),
            limits: it.known.limits.clone(),
        };
        Group {
            requests: counted.requests,
            now: fate(&self.now),
            then: fate(&self.then),
            means: self.means.words(),
            samples: counted.samples,
        }
    }
}

// === impl Ended ===

impl From<fate::Fate> for Ended {
    fn from(fate: fate::Fate) -> Self {
        Self { known: fate.known, refused: fate.refused }
    }
}

impl PartialEq for Ended {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.known, &other.known) && self.refused == other.refused
    }
}

impl std::hash::Hash for Ended {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.known).hash(state);
        self.refused.hash(state);
    }
}
