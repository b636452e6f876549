//! All branches of all routes, ready for matching.

use super::{
    branch::{Branch, RequestFacts},
    conflict::{self, Conflict},
    methods::MethodSet,
    rank::Rank,
    shadow,
    trie::{Entry, Index, Leaf, RankNumber, Visit},
};

/// Finds the branch of greatest rank that takes a request.
pub struct Table<T> {
    branches: Vec<Branch<T>>,
    /// By branch; equal ranks have equal numbers.
    ranks: Vec<RankNumber>,
    index: Index,
}

/// What was found for a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'t, T> {
    /// A branch takes it.
    Match {
        /// The target of the branch.
        target: &'t T,
        /// Its place among the branches the table was built from.
        branch: usize,
    },
    /// Some branch takes all of it but the method.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: String,
    },
    /// No branch takes it.
    Nothing,
}

/// A branch that nearly took a request.
#[derive(Debug)]
pub struct Near<'t, T> {
    /// The target of the branch.
    pub target: &'t T,
    /// Its place among the branches the table was built from.
    pub branch: usize,
    /// The first thing that differed: `host: wants api.example.com, got shop.example.com`.
    pub difference: String,
}

/// The branches from the weakest to the strongest, and the rank of each: equal ones have the same.
fn ranked<T>(branches: &[Branch<T>]) -> (Vec<usize>, Vec<RankNumber>) {
    let keys: Vec<Rank> = branches.iter().map(Rank::of).collect();
    let mut order: Vec<usize> = (0..branches.len()).collect();
    order.sort_by(|a, b| keys[*a].cmp(&keys[*b]));
    let mut ranks = vec![0; branches.len()];
    let mut number: RankNumber = 0;
    for (at, branch) in order.iter().enumerate() {
        if at == 0 || keys[order[at - 1]] != keys[*branch] {
            number += 1;
        }
        ranks[*branch] = number;
    }
    (order, ranks)
}

// === impl Table ===

impl<T> Table<T> {
    /// Builds the table; the order of the branches plays no part.
    ///
    /// # Errors
    /// Every branch that has the same rank as an earlier one and may take the same request.
    pub fn build(branches: Vec<Branch<T>>) -> Result<Self, Vec<Conflict>> {
        let conflicts = conflict::find(&branches);
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let (order, ranks) = ranked(&branches);
        let mut index = Index::default();
        for at in order.into_iter().rev() {
            let branch = &branches[at];
            let entry = Entry {
                rank: ranks[at],
                branch: u32::try_from(at).expect("branches are fewer than 2^32"),
                plain: branch.is_plain(),
            };
            index.insert(&branch.host, &branch.path, entry);
        }
        index.finish();
        Ok(Self { branches, ranks, index })
    }

    /// The branch that takes the request. Allocates nothing for a match (but for paths with
    /// parameters, or with eight and more whole-path expressions below one prefix).
    pub fn find(&self, facts: &RequestFacts<'_>) -> Found<'_, T> {
        let mut best =
            Best { branches: &self.branches, facts, rank: 0, branch: 0, method_differs: false };
        self.index.walk(facts.host, facts.path, &mut best);
        if best.rank > 0 {
            let branch = best.branch as usize;
            return Found::Match { target: &self.branches[branch].target, branch };
        }
        if best.method_differs {
            return self.other_methods(facts);
        }
        Found::Nothing
    }

    /// The branches the table was built from, in their order.
    pub fn branches(&self) -> &[Branch<T>] {
        &self.branches
    }

    /// Whether one branch is stronger than another.
    pub(super) fn outranks(&self, one: usize, other: usize) -> bool {
        self.ranks[one] > self.ranks[other]
    }

    /// Whether some branch names this host or a wildcard that takes it. Branches for any host do
    /// not count: they say nothing about which names are served.
    pub fn known_host(&self, host: &str) -> bool {
        self.index.knows_host(host)
    }

    /// The `count` branches that came nearest to taking a request, with the first thing that
    /// differed. Looks at every branch: for people, not for every 404.
    pub fn nearest(&self, facts: &RequestFacts<'_>, count: usize) -> Vec<Near<'_, T>> {
        let mut scored: Vec<_> = self
            .branches
            .iter()
            .enumerate()
            .filter_map(|(at, branch)| Some((branch.distance(facts)?, at)))
            .collect();
        scored.sort_by_key(|(distance, at)| (*distance, std::cmp::Reverse(self.ranks[*at]), *at));
        scored.truncate(count);
        let near = |(_, at): (_, usize)| Near {
            target: &self.branches[at].target,
            branch: at,
            difference: self.branches[at].difference(facts).unwrap_or_default(),
        };
        scored.into_iter().map(near).collect()
    }

    /// Branches that never get a request because another takes all of theirs, as (shadowed, by), whether
    /// a table can be built of them or not. Says nothing of a branch shadowed by several others together.
    pub fn shadowed(branches: &[Branch<T>]) -> Vec<(usize, usize)> {
        shadow::find(branches, &ranked(branches).1)
    }

    #[cold]
    fn other_methods(&self, facts: &RequestFacts<'_>) -> Found<'_, T> {
        let mut allowed =
            Allowed { branches: &self.branches, facts, methods: MethodSet::default() };
        self.index.walk(facts.host, facts.path, &mut allowed);
        if allowed.methods.is_empty() {
            return Found::Nothing;
        }
        Found::MethodNotAllowed { allow: allowed.methods.allow() }
    }
}

// === visitors ===

/// Keeps the best branch seen.
struct Best<'a, T> {
    branches: &'a [Branch<T>],
    facts: &'a RequestFacts<'a>,
    rank: RankNumber,
    branch: u32,
    method_differs: bool,
}

impl<T> Visit for Best<'_, T> {
    #[inline]
    fn wants(&self, best: RankNumber) -> bool {
        best > self.rank
    }

    #[inline]
    fn leaf(&mut self, leaf: &Leaf) {
        for entry in &leaf.entries {
            if entry.rank <= self.rank {
                return;
            }
            if !entry.plain {
                let branch = &self.branches[entry.branch as usize];
                if !branch.takes_method(self.facts) {
                    self.method_differs = true;
                    continue;
                }
                if !branch.conditions_hold(self.facts) {
                    continue;
                }
            }
            self.rank = entry.rank;
            self.branch = entry.branch;
            return;
        }
    }
}

/// Collects the methods of all branches that differ in nothing else.
struct Allowed<'a, T> {
    branches: &'a [Branch<T>],
    facts: &'a RequestFacts<'a>,
    methods: MethodSet,
}

impl<T> Visit for Allowed<'_, T> {
    fn wants(&self, _: RankNumber) -> bool {
        true
    }

    fn leaf(&mut self, leaf: &Leaf) {
        for entry in &leaf.entries {
            let branch = &self.branches[entry.branch as usize];
            if let Some(methods) = &branch.methods
                && branch.conditions_hold(self.facts)
            {
                self.methods.extend(methods);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::*;
    use crate::routing::{HostPattern, PathPattern, ValueCondition};

    /// `[METHOD ]HOST/PATH`; the host may be empty.
    fn branch(text: &str) -> Branch<String> {
        let (method, rest) = match text.split_once(' ') {
            Some((method, rest)) => (Some(method), rest),
            None => (None, text),
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let host = match host {
            "" => HostPattern::Any,
            host => HostPattern::parse(host).unwrap(),
        };
        Branch {
            host,
            path: PathPattern::parse(path).unwrap(),
            methods: method.map(|m| [&m.parse::<Method>().unwrap()].into_iter().collect()),
            headers: Vec::new(),
            query: Vec::new(),
            client_ip: Vec::new(),
            listeners: Vec::new(),
            priority: 0,
            target: text.to_owned(),
        }
    }

    fn table(texts: &[&str]) -> Table<String> {
        Table::build(texts.iter().map(|text| branch(text)).collect()).unwrap()
    }

    fn with<R>(method: &Method, url: &str, run: impl FnOnce(&RequestFacts<'_>) -> R) -> R {
        let (host, path) = url.split_at(url.find('/').unwrap());
        run(&RequestFacts {
            host,
            path,
            query: None,
            method,
            headers: &HeaderMap::new(),
            client_ip: None,
            listener: "http",
        })
    }

    fn find(table: &Table<String>, url: &str) -> String {
        with(&Method::GET, url, |facts| match table.find(facts) {
            Found::Match { target, .. } => target.clone(),
            Found::MethodNotAllowed { allow } => format!("405 {allow}"),
            Found::Nothing => "404".to_owned(),
        })
    }

    #[test]
    fn the_rule_by_examples() {
        let table = table(&[
            "shop.x.com/orders/**",
            "shop.x.com/orders/{id}",
            "shop.x.com/orders/{id:[0-9]+}",
            "shop.x.com/orders/{id:[0-9]+}/{part}",
            "shop.x.com/orders/{n:..}/lines",
            "shop.x.com/orders/new",
            "POST shop.x.com/only",
            "DELETE *.x.com/only",
            "*.x.com/help",
            "**.x.com/help/**",
            "/help/**",
        ]);
        for (url, want) in [
            ("shop.x.com/orders", "shop.x.com/orders/**"),
            ("shop.x.com/orders/", "shop.x.com/orders/**"),
            ("shop.x.com/orders/new", "shop.x.com/orders/new"),
            ("shop.x.com/orders/new;v=2", "shop.x.com/orders/new"),
            ("shop.x.com/orders/7", "shop.x.com/orders/{id:[0-9]+}"),
            ("shop.x.com/orders/a", "shop.x.com/orders/{id}"),
            ("shop.x.com/orders/a/b", "shop.x.com/orders/**"),
            ("shop.x.com/orders/77/b", "shop.x.com/orders/{id:[0-9]+}/{part}"),
            // Both expressions take `77`; what follows decides.
            ("shop.x.com/orders/77/lines", "shop.x.com/orders/{n:..}/lines"),
            ("shop.x.com/orders-old", "404"),
            ("shop.x.com/only", "405 POST, DELETE"),
            // No branch of the best host takes it, so a weaker host may.
            ("shop.x.com/help", "*.x.com/help"),
            ("shop.x.com/help/me", "**.x.com/help/**"),
            ("a.b.x.com/help", "**.x.com/help/**"),
            ("x.com/help", "/help/**"),
            ("/help", "/help/**"),
        ] {
            assert_eq!(find(&table, url), want, "{url}");
        }
    }

    #[test]
    fn knows_its_hosts() {
        let table = table(&["a.com/**", "*.b.com/**", "**.c.com/**", "/**"]);
        for host in ["a.com", "x.b.com", "x.y.c.com"] {
            assert!(table.known_host(host), "{host}");
        }
        for host in ["", "b.com", "x.y.b.com", "z.org", "x.a.com"] {
            assert!(!table.known_host(host), "{host}");
        }
    }

    #[test]
    fn says_what_differed() {
        let mut beta = branch("shop.x.com/orders/**");
        let name = HeaderName::from_static("x-beta");
        beta.headers.push((name.clone(), ValueCondition::Exact("1".into())));
        let mut inside = branch("shop.x.com/inside");
        inside.client_ip.push("10.0.0.0/8".parse().unwrap());
        let all = vec![beta, branch("api.x.com/**"), inside, branch("PUT shop.x.com/items")];
        let table = Table::build(all).unwrap();
        let nearest = |url| {
            with(&Method::GET, url, |facts| {
                let mut headers = HeaderMap::new();
                headers.append(&name, HeaderValue::from_static("secret"));
                let facts = RequestFacts { headers: &headers, ..*facts };
                table.nearest(&facts, 2).into_iter().map(|n| n.difference).collect::<Vec<_>>()
            })
        };
        let host = "host: wants api.x.com, got shop.x.com";
        for (url, want) in [
            ("shop.x.com/orders", "header x-beta: wants `1`, got another value"),
            ("shop.x.com/inside", "client_ip: wants 10.0.0.0/8, got none"),
            ("shop.x.com/items", "method: wants PUT, got GET"),
        ] {
            assert_eq!(nearest(url), [want, host], "{url}");
        }
    }

    #[test]
    fn conflicts_name_both_and_an_example() {
        let texts = ["GET a.com/x/{id}", "a.com/x/{id}", "GET a.com/x/{n}", "GET b.com/x/{n}"];
        let all = texts.iter().map(|text| branch(text)).collect();
        let conflicts = Table::build(all).map(|_| ()).unwrap_err();
        let example = Some("GET a.com/x/x".to_owned());
        assert_eq!(conflicts, [Conflict { first: 0, second: 2, example }]);
    }

    #[test]
    fn a_higher_priority_may_shadow() {
        let mut high = branch("a.com/x");
        high.priority = 1;
        let all = vec![branch("a.com/x"), high, branch("GET a.com/x")];
        assert_eq!(Table::shadowed(&all), [(0, 1)]);
    }

    #[test]
    fn ten_thousand_of_a_kind_do_not_take_quadratic_time() {
        let started = tokio::time::Instant::now();
        let one_of = |value: usize| {
            let mut branch = branch("a.com/x");
            let value = ValueCondition::Exact(value.to_string().into());
            branch.headers.push((HeaderName::from_static("x-tenant"), value));
            branch
        };
        assert!(Table::build((0..10_000).map(one_of).collect()).is_ok());
        let conflicts = Table::build((0..10_000).map(|_| one_of(1)).collect());
        assert_eq!(conflicts.map(|_| ()).unwrap_err().len(), 9_999);
        // A debug build takes a fraction of this; pair by pair it takes a minute.
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }
}
