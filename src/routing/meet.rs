//! Two branches beside each other: whether some request may be taken by both, and whether one takes all that
//! the other takes. For whoever compares two tables; where it cannot be proven, the answer is the one that
//! lets nothing slip: they may meet, and neither covers the other.

use http::Method;

use super::{
    branch::Branch,
    conflict, example,
    host::HostPattern,
    path::{End, PathPattern, Step},
    rank::Rank,
    shadow,
};

impl<T> Branch<T> {
    /// Equal for branches that are written alike; what they lead to does not matter.
    pub fn key(&self) -> String {
        let regex = matches!(self.path.end, End::Regex(_));
        let Self { host, methods, headers, query, client_ip, listeners, priority, .. } = self;
        let path = self.path.as_str();
        format!(
            "{host} {regex} {path} {methods:?} {headers:?} {query:?} {client_ip:?} {listeners:?} {priority}"
        )
    }

    /// Whether it is found first where both take a request.
    pub fn outranks(&self, other: &Self) -> bool {
        Rank::of(self) > Rank::of(other)
    }

    /// Whether some request may be taken by both.
    pub fn may_meet(&self, other: &Self) -> bool {
        hosts_meet(&self.host, &other.host)
            && paths_meet(&self.path, &other.path)
            && !conflict::disjoint(self, other)
    }

    /// Whether it takes every request the other takes, as far as it can be proven.
    pub fn covers(&self, other: &Self) -> bool {
        host_covers(&self.host, &other.host)
            && path_covers(&self.path, &other.path)
            && shadow::covers(self, other)
    }

    /// The part of it that one method and one listener reach.
    #[must_use]
    pub fn only(&self, method: &Method, listener: &std::sync::Arc<str>) -> Self
    where
        T: Clone,
    {
        let methods = Some(std::iter::once(method).collect());
        Self { methods, listeners: vec![std::sync::Arc::clone(listener)], ..self.clone() }
    }

    /// Requests both take, of as many kinds as can be made up; `seen` has branches whose conditions are tried
    /// both ways.
    pub fn samples_with(&self, other: &Self, seen: &[&Self]) -> Vec<example::Sample> {
        let Some(first) = example::request(self, other) else { return Vec::new() };
        let mut found = vec![first.clone()];
        let mut add = |sample: example::Sample| {
            let facts = sample.facts(&sample.listener);
            if self.takes(&facts) && other.takes(&facts) {
                found.push(sample.clone());
            }
        };
        for path in example::paths(&self.path, &other.path) {
            add(example::Sample { path, ..first.clone() });
        }
        for branch in [&self.host, &other.host] {
            if let HostPattern::AnyLabels(suffix) = branch {
                add(example::Sample { host: format!("x.y.{suffix}"), ..first.clone() });
            }
        }
        for (name, _) in seen.iter().flat_map(|it| &it.headers) {
            let mut sample = first.clone();
            sample.headers.insert(name, http::HeaderValue::from_static("x"));
            add(sample);
        }
        for (key, _) in seen.iter().flat_map(|it| &it.query) {
            let more = format!("{}=x", example::escaped(key));
            let query =
                first.query.as_ref().map_or(more.clone(), |query| format!("{query}&{more}"));
            add(example::Sample { query: Some(query), ..first.clone() });
        }
        found
    }
}

// === hosts ===

fn hosts_meet(a: &HostPattern, b: &HostPattern) -> bool {
    use HostPattern::{Any, AnyLabels, Exact, OneLabel};
    match (a, b) {
        (Any, _) | (_, Any) => true,
        (Exact(name), other) | (other, Exact(name)) => other.matches(name),
        (OneLabel(a), OneLabel(b)) => a == b,
        (OneLabel(one), AnyLabels(any)) | (AnyLabels(any), OneLabel(one)) => below(one, any),
        (AnyLabels(a), AnyLabels(b)) => below(a, b) || below(b, a),
    }
}

fn host_covers(a: &HostPattern, b: &HostPattern) -> bool {
    use HostPattern::{Any, AnyLabels, Exact, OneLabel};
    match (a, b) {
        (Any, _) => true,
        (a, Exact(name)) => a.matches(name),
        (AnyLabels(a), AnyLabels(b) | OneLabel(b)) => below(b, a),
        (a, b) => a == b,
    }
}

/// Whether a name is another or one below it.
fn below(name: &str, other: &str) -> bool {
    name == other || name.strip_suffix(other).is_some_and(|rest| rest.ends_with('.'))
}

// === paths ===

fn paths_meet(a: &PathPattern, b: &PathPattern) -> bool {
    let steps = a.steps.iter().zip(&b.steps);
    if !steps.into_iter().all(|(one, other)| steps_meet(one, other)) {
        return false;
    }
    let (longer, shorter) = if a.steps.len() >= b.steps.len() { (a, b) } else { (b, a) };
    if matches!(shorter.end, End::Exact) {
        let ends = longer.steps.len() == shorter.steps.len();
        return ends && literal(shorter).is_none_or(|path| longer.matches(&path));
    }
    literal(longer).is_none_or(|path| shorter.matches(&path))
}

/// The only path a pattern takes, if it is only one.
fn literal(path: &PathPattern) -> Option<String> {
    let whole = matches!(path.end, End::Exact) && path.literals().count() == path.steps.len();
    whole.then(|| path.literal_prefix())
}

fn steps_meet(one: &Step, other: &Step) -> bool {
    match (one, other) {
        (Step::Literal(a), Step::Literal(b)) => a == b,
        (Step::Literal(text), step) | (step, Step::Literal(text)) => takes(step, text),
        _ => true,
    }
}

/// Whether a step that is no literal takes a segment.
fn takes(step: &Step, text: &str) -> bool {
    let fits = match step {
        Step::Literal(literal) => **literal == *text,
        Step::Regex { regex, .. } => regex.is_match(text),
        Step::Any { .. } => true,
    };
    fits && !text.is_empty()
}

fn path_covers(a: &PathPattern, b: &PathPattern) -> bool {
    let fits = b.steps.len() >= a.steps.len()
        && a.steps.iter().zip(&b.steps).all(|(a, b)| step_covers(a, b));
    match (&a.end, &b.end) {
        (End::Tail, _) => fits,
        (End::Exact, End::Exact) => fits && a.steps.len() == b.steps.len(),
        (End::Regex(one), End::Regex(other)) => one.as_str() == other.as_str(),
        _ => false,
    }
}

fn step_covers(a: &Step, b: &Step) -> bool {
    match (a, b) {
        (Step::Literal(a), Step::Literal(b)) => a == b,
        (Step::Any { .. }, Step::Any { .. } | Step::Regex { .. }) => true,
        (Step::Any { .. } | Step::Regex { .. }, Step::Literal(text)) => takes(a, text),
        (Step::Regex { regex: a, .. }, Step::Regex { regex: b, .. }) => a.as_str() == b.as_str(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(host: &str, path: &str) -> Branch<()> {
        let host = if host.is_empty() { Ok(HostPattern::Any) } else { HostPattern::parse(host) };
        let path = match path.strip_prefix("~") {
            Some(regex) => PathPattern::regex(regex),
            None => PathPattern::parse(path),
        };
        Branch {
            host: host.unwrap(),
            path: path.unwrap(),
            methods: None,
            headers: Vec::new(),
            query: Vec::new(),
            client_ip: Vec::new(),
            listeners: Vec::new(),
            priority: 0,
            target: (),
        }
    }

    #[test]
    fn whether_branches_meet_and_cover_is_known_by_host_and_path() {
        for (a, b, meet, covers, covered) in [
            (("", "/a/**"), ("", "/a"), true, true, false),
            (("", "/a/**"), ("", "/b"), false, false, false),
            (("", "/a/{x}"), ("", "/a/b"), true, true, false),
            (("", "/a/{x}"), ("", "/a/"), false, false, false),
            (("", "/a/{x}"), ("", "/a/{x}/b"), false, false, false),
            (("", "/a/{x}/**"), ("", "/a/**"), true, false, true),
            (("", "/a/{x:[0-9]+}"), ("", "/a/{y}"), true, false, true),
            (("", "/a/{x:[0-9]+}"), ("", "/a/{y:[0-9]+}"), true, true, true),
            (("", "/a/{x:[0-9]+}"), ("", "/a/b"), false, false, false),
            (("", "~^/adm"), ("", "~^/adm/"), true, false, false),
            (("", "~^/adm"), ("", "/**"), true, false, true),
            (("", "~^/adm"), ("", "/administrator"), true, false, false),
            (("", "~^/adm"), ("", "/user"), false, false, false),
            (("**.x.com", "/**"), ("*.x.com", "/**"), true, true, false),
            (("**.x.com", "/**"), ("**.y.x.com", "/**"), true, true, false),
            (("*.x.com", "/**"), ("*.y.x.com", "/**"), false, false, false),
            (("*.x.com", "/**"), ("a.x.com", "/**"), true, true, false),
            (("*.x.com", "/**"), ("a.b.x.com", "/**"), false, false, false),
            (("**.x.com", "/**"), ("**.ax.com", "/**"), false, false, false),
            (("", "/**"), ("a.com", "/**"), true, true, false),
        ] {
            let (one, other) = (branch(a.0, a.1), branch(b.0, b.1));
            assert_eq!(one.may_meet(&other), meet, "{a:?} and {b:?}");
            assert_eq!(other.may_meet(&one), meet, "{b:?} and {a:?}");
            assert_eq!(one.covers(&other), covers, "{a:?} over {b:?}");
            assert_eq!(other.covers(&one), covered, "{b:?} over {a:?}");
        }
    }
}
