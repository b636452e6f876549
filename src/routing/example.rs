//! A request that one branch takes, or two that conflict, for people to look at. Made by trying, and
//! checked by matching, so it is never wrong; where expressions are hard to satisfy there is none.

use std::{fmt, fmt::Write as _, net::IpAddr};

use http::{HeaderMap, HeaderValue, Method};

use super::{
    branch::{Branch, RequestFacts},
    condition::ValueCondition,
    host::HostPattern,
    path::{End, PathPattern, Step},
};

/// Texts that satisfy most expressions people write.
const TRIES: [&str; 12] =
    ["x", "1", "42", "abc", "en", "a1", "2024", "v1", "X", "A1", "a-b", "a_b"];

/// A request that was made up.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Host.
    pub host: String,
    /// Canonical path.
    pub path: String,
    /// Raw, without `?`.
    pub query: Option<String>,
    /// Method.
    pub method: Method,
    /// Header fields.
    pub headers: HeaderMap,
    /// The client.
    pub client_ip: Option<IpAddr>,
    /// The listener, where it matters.
    pub listener: String,
}

/// A request both take.
pub(super) fn request<T>(a: &Branch<T>, b: &Branch<T>) -> Option<Sample> {
    let listener =
        a.listeners.iter().find(|name| b.listeners.is_empty() || b.listeners.contains(name));
    let listener = listener.or(b.listeners.first()).map_or_else(String::new, ToString::to_string);
    let sample = Sample {
        host: host(a, b)?,
        path: path(a, b)?,
        query: query(a, b)?,
        method: method(a, b)?,
        headers: headers(a, b)?,
        client_ip: address(a, b),
        listener,
    };
    let facts = sample.facts(&sample.listener);
    (a.takes(&facts) && b.takes(&facts)).then_some(sample)
}

// === impl Sample ===

impl Sample {
    /// What a table looks at.
    pub fn facts<'a>(&'a self, listener: &'a str) -> RequestFacts<'a> {
        RequestFacts {
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            method: &self.method,
            headers: &self.headers,
            client_ip: self.client_ip,
            listener,
        }
    }
}

/// `GET shop.example.com/orders/x -H 'x-beta: 1'`.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.host, self.path)?;
        if let Some(query) = &self.query {
            write!(f, "?{query}")?;
        }
        for (name, value) in &self.headers {
            write!(f, " -H '{name}: {}'", value.to_str().unwrap_or("…"))?;
        }
        if let Some(ip) = self.client_ip {
            write!(f, " from {ip}")?;
        }
        if !self.listener.is_empty() {
            write!(f, " on {}", self.listener)?;
        }
        Ok(())
    }
}

fn host<T>(a: &Branch<T>, b: &Branch<T>) -> Option<String> {
    let named = |host: &HostPattern| match host {
        HostPattern::Any => "example.com".to_owned(),
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::OneLabel(suffix) | HostPattern::AnyLabels(suffix) => format!("x.{suffix}"),
    };
    let both = |host: &String| a.host.matches(host) && b.host.matches(host);
    [&a.host, &b.host].map(named).into_iter().find(both)
}

/// Paths that may be taken by both, of more kinds than one.
pub(super) fn paths<'p>(
    a: &'p PathPattern,
    b: &'p PathPattern,
) -> impl Iterator<Item = String> + use<'p> {
    let tails = |path: String| ["", "/", "/x", "/x/y"].map(|tail| format!("{path}{tail}"));
    TRIES.iter().filter_map(|text| segments(a, b, text)).flat_map(tails)
}

/// As many segments as the longer of the two names, `first` where it fits.
fn segments(a: &PathPattern, b: &PathPattern, first: &str) -> Option<String> {
    let mut path = String::new();
    for at in 0..a.steps.len().max(b.steps.len()) {
        let steps = [a.steps.get(at), b.steps.get(at)];
        let takes = |text: &&str| {
            steps.into_iter().flatten().all(|step| match step {
                Step::Literal(literal) => **literal == **text,
                Step::Any { .. } => !text.is_empty(),
                Step::Regex { regex, .. } => regex.is_match(text),
            })
        };
        let literal = steps.into_iter().flatten().find_map(|step| match step {
            Step::Literal(text) => Some(&**text),
            Step::Any { .. } | Step::Regex { .. } => None,
        });
        let mut tries = literal.into_iter().chain([first]).chain(TRIES);
        path.push('/');
        path.push_str(tries.find(takes)?);
    }
    Some(path)
}

fn path<T>(a: &Branch<T>, b: &Branch<T>) -> Option<String> {
    let mut path = segments(&a.path, &b.path, TRIES[0])?;
    if let (End::Regex(_), _) | (_, End::Regex(_)) = (&a.path.end, &b.path.end) {
        let longer = ["", "/"]
            .map(str::to_owned)
            .into_iter()
            .chain(TRIES.iter().flat_map(|text| [format!("/{text}"), format!("/{text}/{text}")]));
        return longer
            .map(|tail| format!("{path}{tail}"))
            .find(|path| a.path.matches(path) && b.path.matches(path));
    }
    if path.is_empty() {
        path.push('/');
    }
    Some(path)
}

fn method<T>(a: &Branch<T>, b: &Branch<T>) -> Option<Method> {
    let both = |method: &&Method| {
        [a, b].iter().all(|branch| branch.methods.as_ref().is_none_or(|set| set.contains(method)))
    };
    let named = [a, b].into_iter().filter_map(|branch| branch.methods.as_ref());
    std::iter::once(&Method::GET).chain(named.flat_map(|set| set.iter())).find(both).cloned()
}

fn headers<T>(a: &Branch<T>, b: &Branch<T>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, condition) in a.headers.iter().chain(&b.headers) {
        let all = a.headers.iter().chain(&b.headers).filter(|(n, _)| n == name);
        if let Some(value) = value(condition, all.map(|(_, condition)| condition))? {
            headers.insert(name, HeaderValue::from_str(&value).ok()?);
        }
    }
    Some(headers)
}

fn query<T>(a: &Branch<T>, b: &Branch<T>) -> Option<Option<String>> {
    let mut pairs: Vec<String> = Vec::new();
    for (key, condition) in a.query.iter().chain(&b.query) {
        let all = a.query.iter().chain(&b.query).filter(|(k, _)| k == key);
        if let Some(value) = value(condition, all.map(|(_, condition)| condition))? {
            let pair = format!("{}={}", escaped(key), escaped(&value));
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
    }
    Some((!pairs.is_empty()).then(|| pairs.join("&")))
}

/// A value (or none) that satisfies all conditions on one name.
fn value<'c>(
    condition: &ValueCondition,
    all: impl Iterator<Item = &'c ValueCondition>,
) -> Option<Option<String>> {
    let all: Vec<_> = all.collect();
    if matches!(condition, ValueCondition::Absent) {
        return Some(None);
    }
    let written = all.iter().filter_map(|condition| match condition {
        ValueCondition::Exact(text) | ValueCondition::Prefix(text) => Some(&**text),
        _ => None,
    });
    written
        .chain(TRIES)
        .find(|text| all.iter().all(|condition| condition.matches(Some(text.as_bytes()))))
        .map(|text| Some(text.to_owned()))
}

pub(super) fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The first address of the smaller of two overlapping networks.
fn address<T>(a: &Branch<T>, b: &Branch<T>) -> Option<IpAddr> {
    let nets = a.client_ip.iter().chain(&b.client_ip);
    nets.map(|net| net.network()).find(|ip| {
        [a, b].iter().all(|branch| {
            branch.client_ip.is_empty() || branch.client_ip.iter().any(|net| net.contains(ip))
        })
    })
}
