//! Why a branch won: its rank in words, the branches that would have taken the request as well with what
//! they lack, and the stronger hosts that were asked in vain. For people asking why; slow.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    branch::{Branch, RequestFacts},
    rank::{HostRank, Rank, StepRank},
    table::Table,
};

/// A branch that takes a request too, and loses.
#[derive(Debug)]
pub struct Beaten<'t, T> {
    /// The target of the branch.
    pub target: &'t T,
    /// Its place among the branches the table was built from.
    pub branch: usize,
    /// The first thing in which it is weaker: `host: *.example.com is weaker than api.example.com`.
    pub lost: String,
}

// === impl Table: reasons ===

impl<T> Table<T> {
    /// The branches that take the request besides the winner, the strongest first.
    pub fn beaten(&self, facts: &RequestFacts<'_>, winner: usize) -> Vec<Beaten<'_, T>> {
        let all = self.branches();
        let best = Rank::of(&all[winner]);
        let others = all.iter().enumerate();
        let mut found: Vec<(Rank, usize)> = others
            .filter(|(at, branch)| *at != winner && branch.takes(facts))
            .map(|(at, branch)| (Rank::of(branch), at))
            .collect();
        found.sort_by(|a, b| b.cmp(a));
        let beaten = |(rank, at): (Rank, usize)| Beaten {
            target: &all[at].target,
            branch: at,
            lost: lost(&all[winner], &best, &all[at], &rank),
        };
        found.into_iter().map(beaten).collect()
    }

    /// Host patterns that take the request's host and are stronger than the winner's: none of their
    /// branches took the request.
    pub fn fell_through(&self, facts: &RequestFacts<'_>, winner: usize) -> Vec<String> {
        let best = HostRank::of(&self.branches()[winner].host);
        let stronger = |branch: &&Branch<T>| {
            HostRank::of(&branch.host) > best && branch.host.matches(facts.host)
        };
        let hosts = self.branches().iter().filter(stronger);
        let hosts: BTreeSet<_> = hosts
            .map(|it| (std::cmp::Reverse(HostRank::of(&it.host)), it.host.to_string()))
            .collect();
        hosts.into_iter().map(|(_, host)| host).collect()
    }
}

// === impl Branch: in words ===

impl<T> Branch<T> {
    /// What it takes, on one line: `GET, HEAD shop.example.com/orders/** header x-beta: present`.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        if let Some(methods) = &self.methods {
            let _ = write!(text, "{} ", methods.allow());
        }
        if !matches!(self.host, super::HostPattern::Any) {
            let _ = write!(text, "{}", self.host);
        }
        text.push_str(self.path.as_str());
        for (name, want) in &self.headers {
            let _ = write!(text, " · header {name}: {want}");
        }
        for (key, want) in &self.query {
            let _ = write!(text, " · query {key}: {want}");
        }
        let nets: Vec<_> = self.client_ip.iter().map(ToString::to_string).collect();
        if !nets.is_empty() {
            let _ = write!(text, " · client_ip {}", nets.join(", "));
        }
        if !self.listeners.is_empty() {
            let _ = write!(text, " · listener {}", self.listeners.join(", "));
        }
        text
    }

    /// What its rank consists of, the most important first: `("host", "exact")`.
    pub fn rank_in_words(&self) -> Vec<(&'static str, String)> {
        let rank = Rank::of(self);
        let mut words = vec![("host", rank.host.words()), ("path", path_words(&rank.path))];
        if rank.has_methods {
            words.push(("method", "named".to_owned()));
        }
        for (field, number) in
            [("headers", rank.headers), ("query", rank.query), ("client_ip, listener", rank.others)]
        {
            if number > 0 {
                words.push((field, conditions(number)));
            }
        }
        if rank.priority != 0 {
            words.push(("priority", rank.priority.to_string()));
        }
        words
    }
}

fn path_words(path: &[StepRank]) -> String {
    let mut words: Vec<String> = Vec::new();
    for step in path.chunk_by(|a, b| a == b) {
        let what = step[0].word();
        words.push(match (step[0], step.len()) {
            (StepRank::Tail | StepRank::PathRegex | StepRank::End, _) => what.to_owned(),
            (_, 1) => format!("1 {what}"),
            (_, many) => format!("{many} {what}s"),
        });
    }
    words.join(", ")
}

fn conditions(number: usize) -> String {
    if number == 1 { "1 condition".to_owned() } else { format!("{number} conditions") }
}

/// The first thing in which a branch is weaker than the winner.
fn lost<T>(winner: &Branch<T>, best: &Rank, loser: &Branch<T>, rank: &Rank) -> String {
    if rank.host != best.host {
        return format!("host: {} is weaker than {}", loser.host, winner.host);
    }
    let steps = rank.path.iter().zip(&best.path).enumerate();
    if let Some((at, (its, better))) = steps.into_iter().find(|(_, (a, b))| a != b) {
        let (its, better, at) = (its.word(), better.word(), at + 1);
        return format!("path: {its} in segment {at}, where the winner has {better}");
    }
    if rank.has_methods != best.has_methods {
        return "method: it takes any, the winner names its own".to_owned();
    }
    for (field, its, better) in [
        ("headers", rank.headers, best.headers),
        ("query", rank.query, best.query),
        ("client_ip, listener", rank.others, best.others),
    ] {
        if its != better {
            let its = conditions(its);
            return format!("{field}: {its}, the winner has {better}");
        }
    }
    format!("priority: {}, the winner has {}", rank.priority, best.priority)
}

// === words ===

impl HostRank {
    fn words(self) -> String {
        match self {
            Self::Exact => "exact".to_owned(),
            Self::Wildcard { labels, one_label } => {
                let depth = if one_label { "" } else { " of any depth" };
                let s = if labels == 1 { "" } else { "s" };
                format!("wildcard{depth}, {labels} label{s}")
            }
            Self::Any => "any".to_owned(),
        }
    }
}

impl StepRank {
    fn word(self) -> &'static str {
        match self {
            Self::Tail => "tail",
            Self::PathRegex => "whole-path expression",
            Self::Any => "parameter",
            Self::Regex => "expression",
            Self::Literal => "literal",
            Self::End => "end",
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::routing::{Found, HostPattern, PathPattern};

    fn branch(text: &str) -> Branch<String> {
        let (method, rest) = text.split_once(' ').map_or((None, text), |(m, rest)| (Some(m), rest));
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        Branch {
            host: match host {
                "" => HostPattern::Any,
                host => HostPattern::parse(host).unwrap(),
            },
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

    fn table() -> Table<String> {
        let mut beta = branch("a.com/x/{id}");
        beta.priority = 2;
        beta.target = "beta".to_owned();
        beta.headers.push((http::header::ACCEPT, crate::routing::ValueCondition::Present));
        let texts = ["/**", "*.com/x/**", "**.com/x/y", "a.com/x/{id}", "a.com/x/y", "a.com/x/**"];
        let mut all: Vec<_> = texts.iter().map(|text| branch(text)).collect();
        all.extend([beta, branch("GET a.com/x/y"), branch("POST a.com/x/y")]);
        Table::build(all).unwrap()
    }

    fn why(method: &Method, url: &str) -> (String, Vec<String>, Vec<String>) {
        let (host, path) = url.split_at(url.find('/').unwrap());
        let headers: HeaderMap =
            [(http::header::ACCEPT, "a".parse().unwrap())].into_iter().collect();
        let facts = RequestFacts {
            host,
            path,
            query: None,
            method,
            headers: &headers,
            client_ip: None,
            listener: "http",
        };
        let table = table();
        let Found::Match { target, branch } = table.find(&facts) else { panic!("{url}: none") };
        let beaten = table.beaten(&facts, branch);
        let beaten = beaten.iter().map(|it| format!("{}: {}", it.target, it.lost)).collect();
        (target.clone(), beaten, table.fell_through(&facts, branch))
    }

    #[test]
    fn each_step_of_the_rule_is_named() {
        let (winner, beaten, through) = why(&Method::GET, "a.com/x/y");
        assert_eq!((winner.as_str(), through.len()), ("GET a.com/x/y", 0));
        assert_eq!(
            beaten,
            [
                "a.com/x/y: method: it takes any, the winner names its own",
                "beta: path: parameter in segment 2, where the winner has literal",
                "a.com/x/{id}: path: parameter in segment 2, where the winner has literal",
                "a.com/x/**: path: tail in segment 2, where the winner has literal",
                "*.com/x/**: host: *.com is weaker than a.com",
                "**.com/x/y: host: **.com is weaker than a.com",
                "/**: host: any host is weaker than a.com",
            ]
        );
        let (winner, beaten, _) = why(&Method::GET, "a.com/x/z");
        assert_eq!(winner, "beta");
        assert_eq!(beaten[0], "a.com/x/{id}: headers: 0 conditions, the winner has 1");
    }

    #[test]
    fn stronger_hosts_that_did_not_take_it_are_named() {
        let (winner, beaten, through) = why(&Method::GET, "a.com/other");
        assert_eq!((winner.as_str(), beaten.len()), ("/**", 0));
        assert_eq!(through, ["a.com", "*.com", "**.com"]);
    }

    #[test]
    fn branches_and_ranks_in_words() {
        let table = table();
        let words = |at: usize| {
            let words = table.branches()[at].rank_in_words();
            let words: Vec<_> = words.iter().map(|(field, is)| format!("{field}: {is}")).collect();
            words.join(" · ")
        };
        assert_eq!(words(0), "host: any · path: tail");
        assert_eq!(words(1), "host: wildcard, 1 label · path: 1 literal, tail");
        let beta =
            "host: exact · path: 1 literal, 1 parameter, end · headers: 1 condition · priority: 2";
        assert_eq!(words(6), beta);
        assert_eq!(words(7), "host: exact · path: 2 literals, end · method: named");
        assert_eq!(table.branches()[7].describe(), "GET, HEAD a.com/x/y");
        assert_eq!(table.branches()[6].describe(), "a.com/x/{id} · header accept: present");
        assert_eq!(table.branches()[0].describe(), "/**");
    }
}
