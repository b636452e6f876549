//! What a record of a request does not tell and a route may want to know: then nobody can say which route
//! takes it.

use http::HeaderName;

use super::{
    branch::{Branch, RequestFacts},
    table::Table,
};

/// What is known of a request besides its host, path and method.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// Whether it is known if there was this header, and with what value.
    pub header: &'a dyn Fn(&HeaderName) -> bool,
    /// The query is known with its values.
    pub query: bool,
    /// The client's address is known.
    pub address: bool,
}

// === impl Table: what is not told ===

impl<T> Table<T> {
    /// The branches that look at more than host, path, method and listener. Most tables have few.
    pub fn curious(&self) -> Vec<usize> {
        let curious = |it: &Branch<T>| {
            !(it.headers.is_empty() && it.query.is_empty() && it.client_ip.is_empty())
        };
        let all = self.branches().iter().enumerate();
        all.filter(|(_, branch)| curious(branch)).map(|(at, _)| at).collect()
    }

    /// What would have to be known to say which route takes a request of which `told` is known; nothing
    /// if `winner` takes it whatever that is. `curious` are those of this table.
    pub fn undecided(
        &self,
        facts: &RequestFacts<'_>,
        winner: Option<usize>,
        curious: &[usize],
        told: Told<'_>,
    ) -> Option<String> {
        let stronger = |at: &&usize| winner.is_none_or(|winner| self.outranks(**at, winner));
        let mut candidates = curious.iter().filter(stronger).map(|at| &self.branches()[*at]);
        candidates.find_map(|branch| branch.wants_to_know(facts, told))
    }
}

impl<T> Branch<T> {
    /// What it would have to know of a request it may take.
    fn wants_to_know(&self, facts: &RequestFacts<'_>, told: Told<'_>) -> Option<String> {
        let known = |name: &HeaderName| (told.header)(name);
        let may = self.host.matches(facts.host)
            && self.path.matches(facts.path)
            && self.takes_method(facts)
            && self.listener_holds(facts)
            && (!told.address || self.address_holds(facts))
            && (!told.query
                || self.query.iter().all(|(key, want)| want.matches_query(facts.query, key)))
            && self
                .headers
                .iter()
                .all(|(name, want)| !known(name) || want.matches_header(facts.headers, name));
        if !may {
            return None;
        }
        if let Some((name, _)) = self.headers.iter().find(|(name, _)| !known(name)) {
            return Some(format!("header {name}"));
        }
        match self.query.first().filter(|_| !told.query) {
            Some((key, _)) => Some(format!("query parameter {key}")),
            None => (!told.address && !self.client_ip.is_empty())
                .then(|| "the client's address".to_owned()),
        }
    }
}
