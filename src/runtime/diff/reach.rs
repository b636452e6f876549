//! Whose requests go to another route now, and whether that one asks for less. A route that is gone, one that
//! takes less than before, or one that is more specific, changes what happens to requests of others.
//!
//! Each branch that was asked for something is held against each branch that asks for less now. Where both may
//! take a request, and nothing as strict as before stands in front of the weaker one, requests are made up and
//! looked up in both tables. If none of them shows it, it cannot be judged, and that is said.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use http::Method;

use super::{
    super::routes,
    Change, Effect, guard,
    schemes::UNJUDGED,
    subject::{Side, Subject},
    texts::texts,
};
use crate::{
    config::model::{Config, Name, Route},
    routing::{self, Found, Sample, Table},
};

/// More pairs of branches than this are not looked at.
const MOST: usize = 500_000_000;
/// A method no branch names, for all of those.
const OTHER: &[u8] = b"OTHER";

type Branch = routing::Branch<Name>;

pub(super) fn all(old: &Config, new: &Config, out: &mut Vec<Change>) {
    // Nothing goes elsewhere if no route takes anything else.
    if old.routes.len() == new.routes.len()
        && old.routes.iter().all(|(name, it)| alike(name, it, new))
    {
        return;
    }
    let mut whole = |note: &str| {
        let place = crate::config::model::Place::default();
        let (was, is) = (Side::at(old, place), Side::at(new, place));
        let name = String::new();
        let mut s = Subject { kind: "routes", name, old: was, new: is, out };
        let note = Some(format!("where requests go {UNJUDGED}: {note}"));
        s.noted("takes", Effect::Widens, (String::new(), String::new()), note);
    };
    let (Some(before), Some(after)) = (routes::names(old), routes::names(new)) else {
        return whole("a pattern is wrong, or routes match the same requests");
    };
    let Some(found) = Reach::new((old, &before), (new, &after)).moved() else {
        return whole("too many of them take something else");
    };
    for ((from, to), how) in found {
        let (was, is) = (&old.routes[&from], &new.routes[&to]);
        let mut s = Subject {
            kind: "route",
            name: to.to_string(),
            old: Side::at(old, was.place),
            new: Side::at(new, is.place),
            out,
        };
        let (asked, asks) = guard::words(was, is);
        let note = match how {
            Some(sample) => {
                format!("{}, which went to `{from}` ({asked}, {asks})", shown(&sample))
            }
            None => format!("maybe what went to `{from}` ({asked}, {asks}): it {UNJUDGED}"),
        };
        s.noted("takes", Effect::Widens, (String::new(), String::new()), Some(note));
    }
}

fn alike(name: &Name, old: &Route, new: &Config) -> bool {
    new.routes.get(name).is_some_and(|new| {
        old.enabled == new.enabled
            && old.priority == new.priority
            && old.matches.iter().flat_map(texts).eq(new.matches.iter().flat_map(texts))
    })
}

/// Without values of headers and of the query, which may be secrets.
fn shown(sample: &Sample) -> String {
    let mut text = format!("{} {}{}", sample.method, sample.host, sample.path);
    if sample.query.is_some() {
        text.push_str("?…");
    }
    for name in sample.headers.keys() {
        text.push_str(&format!(" with header {name}"));
    }
    text
}

/// Both configurations with their tables.
struct Reach<'c> {
    old: &'c Config,
    new: &'c Config,
    before: &'c Table<Name>,
    after: &'c Table<Name>,
    /// Branches of each that are on the other side too, of a route that asks for as much.
    stayed: (Vec<bool>, Vec<bool>),
    /// Listeners through which requests come to routes.
    listeners: Vec<Name>,
    /// Every method that is named, and one that is not.
    methods: Vec<Method>,
    /// Whether one route asks for less than another.
    weaker: RefCell<HashMap<(Name, Name), bool>>,
}

/// A branch of the old table with those of both that may take some of its requests.
struct Around<'c> {
    /// Of the new one.
    after: Vec<&'c Branch>,
    /// Of the old one, stronger than it.
    before: Vec<&'c Branch>,
}

/// Who takes requests now that went to whom, with one that shows it.
type Moved = Vec<((Name, Name), Option<Sample>)>;

// === impl Reach ===

impl<'c> Reach<'c> {
    fn new(
        (old, before): (&'c Config, &'c Table<Name>),
        (new, after): (&'c Config, &'c Table<Name>),
    ) -> Self {
        let open = |(name, it): (&Name, &crate::config::model::Listener)| {
            let there = new.listeners.contains_key(name) && it.https_redirect.is_none();
            there.then(|| Arc::clone(name))
        };
        let mut methods: Vec<Method> =
            [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH].into();
        methods.extend([Method::HEAD, Method::OPTIONS, Method::TRACE, Method::CONNECT]);
        methods.extend(Method::from_bytes(OTHER));
        let mut known: HashSet<Method> = methods.iter().cloned().collect();
        let named = before.branches().iter().chain(after.branches());
        for method in named.filter_map(|it| it.methods.as_ref()).flat_map(|set| set.iter()) {
            if known.insert(method.clone()) {
                methods.push(method.clone());
            }
        }
        let listeners = old.listeners.iter().filter_map(open).collect();
        let (stayed, weaker) = ((Vec::new(), Vec::new()), RefCell::default());
        let mut it = Self { old, new, before, after, stayed, listeners, methods, weaker };
        it.stayed = it.both();
        it
    }

    /// Which branches of each are on the other side too.
    fn both(&self) -> (Vec<bool>, Vec<bool>) {
        let (was, is) = (self.before.branches(), self.after.branches());
        let at: HashMap<String, usize> =
            is.iter().enumerate().map(|(at, it)| (it.key(), at)).collect();
        let mut stayed = (vec![false; was.len()], vec![false; is.len()]);
        for (number, branch) in was.iter().enumerate() {
            let Some(new) = at.get(&branch.key()) else { continue };
            if !self.weaker(&branch.target, &is[*new].target) {
                (stayed.0[number], stayed.1[*new]) = (true, true);
            }
        }
        stayed
    }

    /// Whether the new route asks for less than the old one. What is different of one route is told where it
    /// is compared.
    fn weaker(&self, from: &Name, to: &Name) -> bool {
        if from == to {
            return false;
        }
        let pair = (Arc::clone(from), Arc::clone(to));
        if let Some(known) = self.weaker.borrow().get(&pair) {
            return *known;
        }
        let routes = (self.old.routes.get(from), self.new.routes.get(to));
        let weaker = match routes {
            (Some(was), Some(is)) => !guard::at_least(was, is),
            _ => true,
        };
        self.weaker.borrow_mut().insert(pair, weaker);
        weaker
    }

    /// All of it; none if there is too much to look at.
    fn moved(&self) -> Option<Moved> {
        let (was, is) = (self.before.branches(), self.after.branches());
        let came: Vec<&Branch> =
            is.iter().zip(&self.stayed.1).filter(|it| !it.1).map(|it| it.0).collect();
        let gone = self.stayed.0.iter().filter(|stayed| !**stayed).count();
        if gone.saturating_mul(is.len()).saturating_add(came.len().saturating_mul(was.len())) > MOST
        {
            return None;
        }
        let all: Vec<&Branch> = is.iter().collect();
        let (mut found, mut told) = (Moved::new(), BTreeSet::new());
        for (branch, stayed) in was.iter().zip(&self.stayed.0) {
            let others = if *stayed { &came } else { &all };
            let leaks: Vec<&Branch> = others
                .iter()
                .copied()
                .filter(|it| branch.may_meet(it) && self.weaker(&branch.target, &it.target))
                .collect();
            if leaks.is_empty() {
                continue;
            }
            let around = self.around(branch);
            for to in leaks {
                let pair = (Arc::clone(&branch.target), Arc::clone(&to.target));
                if told.contains(&pair) || !self.open(branch, to, &around) {
                    continue;
                }
                if let Some((pair, how)) = self.shows(branch, to, &around)
                    && told.insert(pair.clone())
                {
                    found.push((pair, how));
                }
            }
        }
        Some(found)
    }

    fn around(&self, branch: &Branch) -> Around<'c> {
        let meets = |it: &&Branch| branch.may_meet(it);
        let stronger = |it: &&Branch| branch.may_meet(it) && it.outranks(branch);
        Around {
            after: self.after.branches().iter().filter(meets).collect(),
            before: self.before.branches().iter().filter(stronger).collect(),
        }
    }

    /// Whether a request may have gone to `from` that goes to `to` now, for all that can be proven.
    fn open(&self, from: &Branch, to: &Branch, around: &Around<'_>) -> bool {
        let covers = |it: &Branch| it.covers(from) || it.covers(to);
        let guarded =
            |it: &&Branch| it.outranks(to) && !self.weaker(&from.target, &it.target) && covers(it);
        from.may_meet(to)
            && !around.after.iter().any(guarded)
            && !around.before.iter().any(|it| covers(it))
    }

    /// A request that shows it, or none but the suspicion. Nothing if each method and each listener is taken
    /// care of by another branch.
    fn shows(
        &self,
        from: &Branch,
        to: &Branch,
        around: &Around<'_>,
    ) -> Option<((Name, Name), Option<Sample>)> {
        let mut suspicion = None;
        let takes = |branch: &Branch, method| {
            branch.methods.as_ref().is_none_or(|methods| methods.contains(method))
        };
        let methods = self.methods.iter().filter(|it| takes(from, it) && takes(to, it));
        for (method, listener) in
            methods.flat_map(|method| self.listeners.iter().map(move |name| (method, name)))
        {
            if !from.listeners.is_empty() && !from.listeners.contains(listener) {
                continue;
            }
            let part = from.only(method, listener);
            if !self.open(&part, to, around) {
                continue;
            }
            for sample in part.samples_with(to, &around.after) {
                let facts = sample.facts(&sample.listener);
                let (Some(was), Some(is)) = (find(self.before, &facts), find(self.after, &facts))
                else {
                    continue;
                };
                if self.weaker(was, is) {
                    return Some(((Arc::clone(was), Arc::clone(is)), Some(sample)));
                }
            }
            suspicion = Some(((Arc::clone(&from.target), Arc::clone(&to.target)), None));
        }
        suspicion
    }
}

fn find<'t>(table: &'t Table<Name>, facts: &routing::RequestFacts<'_>) -> Option<&'t Name> {
    match table.find(facts) {
        Found::Match { target, .. } => Some(target),
        Found::MethodNotAllowed { .. } | Found::Nothing => None,
    }
}
