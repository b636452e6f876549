//! A naive model of the precedence rule, written from its text and from the operator's strings
//! alone, and random tables and requests on which the table must agree with it.

use std::{
    cmp::Ordering,
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use regex::Regex;

use super::{Branch, Found, HostPattern, PathPattern, RequestFacts, Table, ValueCondition};

/// A branch as text.
#[derive(Clone, Debug, PartialEq)]
struct Spec {
    host: &'static str,
    path: String,
    methods: Vec<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
    query: Vec<(&'static str, &'static str)>,
    client_ip: Vec<&'static str>,
    listeners: Vec<&'static str>,
    priority: i32,
}

#[derive(Clone, Debug)]
struct Request {
    host: &'static str,
    path: String,
    method: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    query: &'static str,
    client_ip: &'static str,
    listener: &'static str,
}

// === the model ===

/// Whole-path expressions with the number of their literal leading segments.
const EXPRESSIONS: [(&str, usize); 11] = [
    ("^/a/.*", 1),
    ("^/a/[ab]$", 1),
    ("^/a/b/", 2),
    ("^/.*b$", 0),
    ("^/(a|b)/", 0),
    ("^/[^/]*$", 0),
    ("^/b+", 0),
    ("^/c", 0),
    ("^/.{3}$", 0),
    ("^/[a-c]/?$", 0),
    ("^/(?:a|c)(/.*)?$", 0),
];

static COMPILED: LazyLock<Vec<Regex>> =
    LazyLock::new(|| EXPRESSIONS.iter().map(|(text, _)| Regex::new(text).unwrap()).collect());

fn parts(spec: &Spec) -> Vec<String> {
    if let Some((text, literals)) = EXPRESSIONS.iter().find(|(text, _)| *text == spec.path) {
        let mut parts: Vec<String> =
            text[2..].split('/').take(*literals).map(str::to_owned).collect();
        parts.push("^".to_owned());
        return parts;
    }
    let mut parts: Vec<String> = spec.path[1..].split('/').map(str::to_owned).collect();
    if parts.last().map(String::as_str) != Some("**") {
        parts.push("$".to_owned());
    }
    parts
}

/// Greatest first: end > literal > {name:regex} > {name} > whole-path regex > /**.
fn part_rank(part: &str) -> u8 {
    match part {
        "$" => 5,
        "**" => 0,
        "^" => 1,
        "{x}" | "{y}" | "{z}" => 2,
        part if part.starts_with('{') => 3,
        _ => 4,
    }
}

fn host_rank(host: &str) -> (u8, usize, u8) {
    match host {
        "" => (0, 0, 0),
        host if host.starts_with("**.") => (1, host[3..].split('.').count(), 0),
        host if host.starts_with("*.") => (1, host[2..].split('.').count(), 1),
        _ => (2, 0, 0),
    }
}

fn compare(a: &Spec, b: &Spec) -> Ordering {
    let path = |spec: &Spec| parts(spec).iter().map(|p| part_rank(p)).collect::<Vec<_>>();
    let others =
        |s: &Spec| usize::from(!s.client_ip.is_empty()) + usize::from(!s.listeners.is_empty());
    host_rank(a.host)
        .cmp(&host_rank(b.host))
        .then_with(|| path(a).cmp(&path(b)))
        .then_with(|| a.methods.is_empty().cmp(&b.methods.is_empty()).reverse())
        .then_with(|| a.headers.len().cmp(&b.headers.len()))
        .then_with(|| a.query.len().cmp(&b.query.len()))
        .then_with(|| others(a).cmp(&others(b)))
        .then_with(|| a.priority.cmp(&b.priority))
}

fn host_takes(pattern: &str, host: &str) -> bool {
    let host: Vec<&str> = host.split('.').collect();
    let labels: Vec<&str> = pattern.split('.').collect();
    match labels[0] {
        "" => true,
        "*" => host.len() == labels.len() && host.ends_with(&labels[1..]),
        "**" => host.len() >= labels.len() && host.ends_with(&labels[1..]),
        _ => host == labels,
    }
}

fn path_takes(spec: &Spec, path: &str) -> bool {
    let segments: Vec<&str> = path[1..].split('/').map(|s| s.split(';').next().unwrap()).collect();
    if let Some(at) = EXPRESSIONS.iter().position(|(text, _)| *text == spec.path) {
        return COMPILED[at].is_match(&format!("/{}", segments.join("/")));
    }
    for (at, part) in parts(spec).iter().enumerate() {
        let segment = segments.get(at).copied();
        let takes = match part.as_str() {
            "**" => return true,
            "$" => return segment.is_none(),
            "{x}" | "{y}" | "{z}" => segment.is_some_and(|s| !s.is_empty()),
            "{x:[ab]+}" => {
                segment.is_some_and(|s| !s.is_empty() && s.chars().all(|c| "ab".contains(c)))
            }
            "{x:a|c}" => matches!(segment, Some("a" | "c")),
            literal => segment == Some(literal),
        };
        if !takes {
            return false;
        }
    }
    unreachable!("the last part is an end")
}

fn value_takes(condition: &str, value: Option<&str>) -> bool {
    match (condition, value) {
        ("present", value) => value.is_some(),
        ("absent", value) => value.is_none(),
        ("prefix 1", Some(value)) => value.starts_with('1'),
        ("regex 2", Some(value)) => value.contains('2'),
        (exact, value) => value == Some(exact),
    }
}

fn takes_all_but_method(spec: &Spec, request: &Request) -> bool {
    let header = |name: &str| {
        let all: Vec<&str> =
            request.headers.iter().filter(|(n, _)| *n == name).map(|(_, v)| *v).collect();
        (!all.is_empty()).then(|| all.join(", "))
    };
    let query = |key: &str| {
        let mut pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(k, _)| *k == key).map(|(_, v)| v)
    };
    let inside = |net: &str| match net {
        "10.0.0.0/8" => request.client_ip.starts_with("10."),
        "10.1.0.0/16" => request.client_ip.starts_with("10.1."),
        _ => request.client_ip.starts_with("192.168."),
    };
    host_takes(spec.host, request.host)
        && path_takes(spec, &request.path)
        && spec.headers.iter().all(|(n, c)| value_takes(c, header(n).as_deref()))
        && spec.query.iter().all(|(k, c)| value_takes(c, query(k)))
        && (spec.client_ip.is_empty() || spec.client_ip.iter().any(|net| inside(net)))
        && (spec.listeners.is_empty() || spec.listeners.contains(&request.listener))
}

fn takes_method(spec: &Spec, method: &str) -> bool {
    spec.methods.is_empty()
        || spec.methods.contains(&method)
        || (method == "HEAD" && spec.methods.contains(&"GET"))
}

/// The index of the winner; equal ranks must not happen.
fn winner(specs: &[Spec], request: &Request) -> Option<usize> {
    let takes =
        |spec: &Spec| takes_all_but_method(spec, request) && takes_method(spec, request.method);
    let candidates: Vec<usize> = (0..specs.len()).filter(|at| takes(&specs[*at])).collect();
    let best = candidates.iter().copied().max_by(|a, b| compare(&specs[*a], &specs[*b]))?;
    let ties = candidates.iter().filter(|at| compare(&specs[**at], &specs[best]).is_eq());
    assert_eq!(ties.count(), 1, "tie for {request:?} in {specs:#?}");
    Some(best)
}

fn disjoint(a: &Spec, b: &Spec) -> bool {
    let values = |a: &[(&str, &str)], b: &[(&str, &str)]| {
        let differ = |x: &str, y: &str| {
            let exact = |v: &str| v.len() == 1;
            match (x, y) {
                ("absent", y) | (y, "absent") => y != "absent",
                ("prefix 1", y) | (y, "prefix 1") if exact(y) => y != "1",
                (x, y) => exact(x) && exact(y) && x != y,
            }
        };
        a.iter().any(|(n, x)| b.iter().any(|(m, y)| n == m && differ(x, y)))
    };
    let literals = parts(a).iter().zip(&parts(b)).any(|(x, y)| part_rank(x) == 4 && x != y);
    let all = ["GET", "HEAD", "POST", "PURGE"];
    let methods = !all.iter().any(|m| takes_method(a, m) && takes_method(b, m));
    let nets = |nets: &[&str]| {
        let probes = ["10.1.", "10.2.", "192.168."];
        let inside = |net: &str, probe: &str| match net {
            "10.0.0.0/8" => probe.starts_with("10."),
            "10.1.0.0/16" => probe == "10.1.",
            _ => probe == "192.168.",
        };
        probes.map(|probe| nets.is_empty() || nets.iter().any(|net| inside(net, probe)))
    };
    let networks = !nets(&a.client_ip).iter().zip(nets(&b.client_ip)).any(|(x, y)| *x && y);
    let listeners = !["http", "https"]
        .iter()
        .any(|name| [a, b].iter().all(|s| s.listeners.is_empty() || s.listeners.contains(name)));
    a.host != b.host
        || literals
        || methods
        || networks
        || listeners
        || values(&a.headers, &b.headers)
        || values(&a.query, &b.query)
}

// === from text to the real thing ===

fn branch(spec: &Spec) -> Branch<Spec> {
    let condition = |text: &str| match text {
        "present" => ValueCondition::Present,
        "absent" => ValueCondition::Absent,
        "prefix 1" => ValueCondition::Prefix("1".into()),
        "regex 2" => ValueCondition::regex("2").unwrap(),
        exact => ValueCondition::Exact(exact.into()),
    };
    let methods: Vec<Method> = spec.methods.iter().map(|m| m.parse().unwrap()).collect();
    Branch {
        host: match spec.host {
            "" => HostPattern::Any,
            host => HostPattern::parse(host).unwrap(),
        },
        path: match spec.path.starts_with('^') {
            true => PathPattern::regex(&spec.path).unwrap(),
            false => PathPattern::parse(&spec.path).unwrap(),
        },
        methods: (!methods.is_empty()).then(|| methods.iter().collect()),
        headers: spec
            .headers
            .iter()
            .map(|(n, c)| (HeaderName::from_static(n), condition(c)))
            .collect(),
        query: spec.query.iter().map(|(k, c)| ((*k).into(), condition(c))).collect(),
        client_ip: spec.client_ip.iter().map(|net| net.parse().unwrap()).collect(),
        listeners: spec.listeners.iter().map(|name| Arc::from(*name)).collect(),
        priority: spec.priority,
        target: spec.clone(),
    }
}

fn branches(specs: &[Spec]) -> Vec<Branch<Spec>> {
    specs.iter().map(branch).collect()
}

fn with_facts<R>(request: &Request, run: impl FnOnce(&RequestFacts<'_>) -> R) -> R {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let method = request.method.parse().unwrap();
    run(&RequestFacts {
        host: request.host,
        path: &request.path,
        query: (!request.query.is_empty()).then_some(request.query),
        method: &method,
        headers: &headers,
        client_ip: request.client_ip.parse().ok(),
        listener: request.listener,
    })
}

// === random tables and requests ===

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    fn some<T: Copy>(&mut self, chance: usize, from: &[T]) -> Vec<T> {
        if self.roll(chance) > 0 {
            return Vec::new();
        }
        from.iter().copied().filter(|_| self.roll(2) == 0).collect()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.roll(at + 1));
        }
    }

    fn spec(&mut self, rich: bool) -> Spec {
        let conditions = ["1", "2", "present", "absent", "prefix 1", "regex 2"];
        let one_in = if rich { 2 } else { 5 };
        let headers = self.some(one_in, &["x-a", "x-b"]);
        let query = self.some(one_in, &["k", "l"]);
        Spec {
            host: self.pick(&[
                "",
                "",
                "a.com",
                "b.a.com",
                "*.a.com",
                "**.a.com",
                "**.com",
                "*.b.a.com",
                "**.b.a.com",
            ]),
            path: self.path(rich),
            methods: self.some(2, &["GET", "HEAD", "POST", "PURGE"]),
            headers: headers.into_iter().map(|n| (n, self.pick(&conditions))).collect(),
            query: query.into_iter().map(|k| (k, self.pick(&conditions))).collect(),
            client_ip: self.some(one_in + 1, &["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16"]),
            listeners: self.some(one_in + 1, &["http", "https"]),
            priority: if self.roll(4) == 0 { 1 } else { 0 },
        }
    }

    fn path(&mut self, rich: bool) -> String {
        if self.roll(4) == 0 {
            return self.pick(&EXPRESSIONS).0.to_owned();
        }
        let mut path = String::new();
        let names = ["{x}", "{y}", "{z}"];
        let count = self.roll(if rich { 2 } else { 4 });
        for name in names.into_iter().take(count) {
            let mut kinds = vec!["a", "b", "c", "d", "e", "f", "aa", name];
            if !path.contains("{x") {
                kinds.extend(["{x:[ab]+}", "{x:a|c}", "{x:[ab]+}", "{x:a|c}"]);
            }
            let kind = if path.contains("{x") && name == "{x}" { "a" } else { self.pick(&kinds) };
            path.push('/');
            path.push_str(kind);
        }
        match self.roll(3) {
            0 => path.push_str("/**"),
            1 => path.push('/'),
            _ if path.is_empty() => path.push('/'),
            _ => {}
        }
        path
    }

    fn request(&mut self) -> Request {
        let segments = ["a", "a", "b", "b", "c", "d", "e", "aa", "ab", "x", "a;v", "b;v=1"];
        let mut path = String::new();
        for _ in 0..self.roll(5) {
            path.push('/');
            path.push_str(self.pick(&segments));
        }
        if path.is_empty() || self.roll(4) == 0 {
            path.push('/');
        }
        let mut headers = Vec::new();
        for _ in 0..self.roll(3) {
            headers.push((self.pick(&["x-a", "x-b"]), self.pick(&["1", "2", "12", "3"])));
        }
        Request {
            host: self.pick(&[
                "",
                "a.com",
                "b.a.com",
                "c.a.com",
                "c.b.a.com",
                "d.c.a.com",
                "x.org",
                "com",
            ]),
            path,
            method: self.pick(&["GET", "HEAD", "POST", "PURGE"]),
            headers,
            query: self.pick(&["", "k=1", "l=2&k=2", "k=1&k=2", "l=1", "l=21&k=12"]),
            client_ip: self.pick(&["10.1.0.1", "10.2.0.1", "192.168.0.1", "8.8.8.8", ""]),
            listener: self.pick(&["http", "https"]),
        }
    }
}

fn expected_allow(specs: &[Spec], request: &Request) -> String {
    let near: Vec<_> = specs.iter().filter(|s| takes_all_but_method(s, request)).collect();
    let allowed = ["GET", "HEAD", "POST", "PURGE"].into_iter();
    let allowed = allowed.filter(|m| near.iter().any(|s| takes_method(s, m)));
    allowed.collect::<Vec<_>>().join(", ")
}

fn check(table: &Table<Spec>, specs: &[Spec], request: &Request) -> &'static str {
    with_facts(request, |facts| match (table.find(facts), winner(specs, request)) {
        (Found::Match { target, branch }, Some(best)) => {
            assert_eq!(*target, specs[best], "{request:?}");
            assert_eq!(table.branches()[branch].target, specs[best]);
            "match"
        }
        (Found::MethodNotAllowed { allow }, None) => {
            assert_eq!(allow, expected_allow(specs, request), "{request:?} in {specs:#?}");
            assert!(!allow.is_empty());
            "method"
        }
        (Found::Nothing, None) => {
            assert_eq!(expected_allow(specs, request), "", "{request:?} in {specs:#?}");
            for near in table.nearest(facts, 3) {
                assert!(near.difference.contains(": wants "), "{}", near.difference);
            }
            "nothing"
        }
        (found, best) => panic!("{found:?} instead of {best:?} for {request:?} in {specs:#?}"),
    })
}

/// Enough for every mutation of the rule that was tried to be found.
const ROUNDS: usize = 300;

#[test]
fn the_table_agrees_with_the_model() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut seen = std::collections::HashMap::<_, u32>::new();
    for round in 0..ROUNDS {
        let count = 1 + dice.roll(60);
        let rich = round % 2 == 0;
        let mut specs: Vec<Spec> = (0..count).map(|_| dice.spec(rich)).collect();
        if round % 5 == 0 {
            // One host: many expressions meet at one node.
            specs.iter_mut().for_each(|spec| spec.host = "");
        }
        specs = without_conflicts(&specs, &mut seen);
        let table = Table::build(branches(&specs)).unwrap();
        let mut shuffled = specs.clone();
        dice.shuffle(&mut shuffled);
        let reordered = Table::build(branches(&shuffled)).unwrap();
        for _ in 0..60 {
            let request = dice.request();
            *seen.entry(check(&table, &specs, &request)).or_default() += 1;
            check(&reordered, &shuffled, &request);
        }
    }
    for (what, least) in [("match", 8000), ("method", 200), ("nothing", 500), ("conflict", 100)] {
        assert!(seen[what] > least, "{what} was hardly tried: {seen:?}");
    }
}

/// Compares conflicts with the model's, and leaves out the later branch of each.
fn without_conflicts(
    specs: &[Spec],
    seen: &mut std::collections::HashMap<&'static str, u32>,
) -> Vec<Spec> {
    let clash = |a: usize, b: usize| {
        compare(&specs[a], &specs[b]).is_eq() && !disjoint(&specs[a], &specs[b])
    };
    let expected: Vec<(usize, usize)> =
        (0..specs.len()).filter_map(|b| (0..b).find(|a| clash(*a, b)).map(|a| (a, b))).collect();
    let conflicts = Table::build(branches(specs)).err().unwrap_or_default();
    let seconds: Vec<usize> = conflicts.iter().map(|c| c.second).collect();
    let want: Vec<usize> = expected.iter().map(|(_, b)| *b).collect();
    assert_eq!(seconds, want, "{specs:#?}");
    for conflict in &conflicts {
        assert!(clash(conflict.first, conflict.second), "{conflict:?} {specs:#?}");
        *seen.entry("conflict").or_default() += 1;
        *seen.entry("example").or_default() += u32::from(conflict.example.is_some());
    }
    let kept = specs.iter().enumerate().filter(|(at, _)| !seconds.contains(at));
    kept.map(|(_, spec)| spec.clone()).collect()
}

#[test]
fn many_branches_on_one_path_conflict_like_few() {
    // Large groups are split by exact values; the answer must not change.
    let mut dice = Dice(7);
    let mut seen = std::collections::HashMap::new();
    for _ in 0..60 {
        let mut spec = || {
            let mut spec = dice.spec(true);
            (spec.host, spec.path, spec.priority) = ("a.com", "/a".to_owned(), 0);
            spec
        };
        let specs: Vec<Spec> = (0..120).map(|_| spec()).collect();
        without_conflicts(&specs, &mut seen);
    }
    assert!(seen["conflict"] > 1000 && seen["example"] > 1000, "{seen:?}");
}

#[test]
fn a_shadowed_branch_never_wins() {
    let mut dice = Dice(11);
    let mut shadowed = 0;
    for _ in 0..100 {
        let specs = (0..40)
            .map(|_| {
                let mut spec = dice.spec(true);
                spec.path = dice.pick(&["/a", "/a/**"]).to_owned();
                spec.host = dice.pick(&["", "a.com"]);
                spec
            })
            .collect::<Vec<_>>();
        let specs = without_conflicts(&specs, &mut std::collections::HashMap::new());
        let table = Table::build(branches(&specs)).unwrap();
        let pairs = table.shadowed();
        shadowed += pairs.len();
        for _ in 0..200 {
            let request = dice.request();
            let best = winner(&specs, &request);
            assert!(!pairs.iter().any(|(hidden, _)| Some(*hidden) == best), "{request:?}");
        }
    }
    assert!(shadowed > 20, "{shadowed}");
}
