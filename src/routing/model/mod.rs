//! A naive model of the precedence rule, written from its text and from the operator's strings
//! alone, and random tables and requests on which the table must agree with it.

pub(crate) mod random;
mod tests;

use std::{
    cmp::Ordering,
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use regex::Regex;

use super::{Branch, HostPattern, PathPattern, RequestFacts, ValueCondition};

/// A branch as text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spec {
    pub(crate) host: &'static str,
    pub(crate) path: String,
    pub(crate) methods: Vec<&'static str>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) query: Vec<(&'static str, &'static str)>,
    pub(crate) client_ip: Vec<&'static str>,
    pub(crate) listeners: Vec<&'static str>,
    pub(crate) priority: i32,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) host: &'static str,
    pub(crate) path: String,
    pub(crate) method: &'static str,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) query: &'static str,
    pub(crate) client_ip: &'static str,
    pub(crate) listener: &'static str,
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

pub(crate) fn compare(a: &Spec, b: &Spec) -> Ordering {
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
    let path = path.replace("%3B", ";");
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
pub(crate) fn winner(specs: &[Spec], request: &Request) -> Option<usize> {
    let takes =
        |spec: &Spec| takes_all_but_method(spec, request) && takes_method(spec, request.method);
    let candidates: Vec<usize> = (0..specs.len()).filter(|at| takes(&specs[*at])).collect();
    let best = candidates.iter().copied().max_by(|a, b| compare(&specs[*a], &specs[*b]))?;
    let ties = candidates.iter().filter(|at| compare(&specs[**at], &specs[best]).is_eq());
    assert_eq!(ties.count(), 1, "tie for {request:?} in {specs:#?}");
    Some(best)
}

pub(crate) fn disjoint(a: &Spec, b: &Spec) -> bool {
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
