//! Path patterns: `/a/{id}/{n:[0-9]+}/**`, or a whole-path regular expression.
//!
//! A path is cut at its slashes; `/orders/` has an empty last segment and so differs from
//! `/orders`. A segment is compared without its path parameters (`;x`, also as `%3Bx`). `{name}` takes one segment
//! that is not empty.

use std::borrow::Cow;

use regex::Regex;
use smallvec::SmallVec;

use super::canonical::stem;

/// Which paths a branch takes.
#[derive(Clone, Debug)]
pub struct PathPattern {
    /// As the operator wrote it.
    pub(super) source: Box<str>,
    pub(super) steps: Vec<Step>,
    pub(super) end: End,
}

/// One segment of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// This text, in canonical form.
    Literal(Box<str>),
    /// `{name:regex}`; the expression has anchors at both ends.
    Regex { name: Box<str>, regex: Regex },
    /// `{name}`.
    Any { name: Box<str> },
}

/// What follows the last segment of a pattern.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// Nothing.
    Exact,
    /// `/**`: nothing or anything.
    Tail,
    /// A whole-path expression; the steps are its literal leading segments.
    Regex(Regex),
}

/// What a pattern captured from a path, by name; `**` is the tail.
#[derive(Clone, Debug, Default)]
pub struct Captures<'p> {
    values: SmallVec<[(&'p str, Cow<'p, str>); 4]>,
}

// === impl PathPattern ===

impl PathPattern {
    /// The pattern that takes every path: `/**`.
    pub fn any() -> Self {
        Self { source: "/**".into(), steps: Vec::new(), end: End::Tail }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The leading literal segments, `/orders` of `/orders/{id}/**`: what `strip_prefix: true`
    /// takes off. Empty when the pattern does not start with a literal.
    pub fn literal_prefix(&self) -> String {
        self.literals().flat_map(|literal| ["/", literal]).collect()
    }

    /// Whether `prefix` consists of leading literal segments of this pattern, so that every path
    /// the pattern takes starts with it. A slash at its end is ignored.
    pub fn covers_prefix(&self, prefix: &str) -> bool {
        let Some(prefix) = prefix.strip_prefix('/') else { return prefix.is_empty() };
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let mut literals = self.literals();
        prefix.is_empty() || prefix.split('/').all(|segment| literals.next() == Some(segment))
    }

    /// Whether an empty segment stands in the middle (`/a//b`): it never matches while slashes are
    /// merged.
    pub fn has_empty_segment(&self) -> bool {
        let inner = match self.end {
            End::Exact => self.steps.len().saturating_sub(1),
            End::Tail | End::Regex(_) => self.steps.len(),
        };
        self.steps[..inner].iter().any(|s| matches!(s, Step::Literal(text) if text.is_empty()))
    }

    /// The names a template may use: those of `{name}`, of groups of a whole-path expression, and
    /// `**` for the tail.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Literal(_) => None,
                Step::Regex { name, .. } | Step::Any { name } => Some(&**name),
            })
            .collect();
        match &self.end {
            End::Exact => {}
            End::Tail => names.push("**"),
            End::Regex(regex) => names.extend(regex.capture_names().flatten()),
        }
        names
    }

    /// Whether the pattern takes a canonical path.
    pub fn matches(&self, path: &str) -> bool {
        self.capture(path).is_some()
    }

    /// What the pattern captures from a canonical path; `None` when it does not take it. Values
    /// come without path parameters, so that `{id:[0-9]+}` is digits and nothing else; only the
    /// tail (no slash in front) keeps them.
    pub fn capture<'p>(&'p self, path: &'p str) -> Option<Captures<'p>> {
        let mut captures = Captures::default();
        let mut rest = path.strip_prefix('/');
        for step in &self.steps {
            let (segment, next) = cut(rest?);
            let segment = stem(segment);
            match step {
                Step::Literal(text) if **text == *segment => {}
                Step::Any { name } if !segment.is_empty() => {
                    captures.values.push((name, segment.into()));
                }
                Step::Regex { name, regex } if !segment.is_empty() && regex.is_match(segment) => {
                    captures.values.push((name, segment.into()));
                }
                _ => return None,
            }
            rest = next;
        }
        match &self.end {
            End::Exact if rest.is_some() => return None,
            End::Exact => {}
            End::Tail => captures.values.push(("**", rest.unwrap_or_default().into())),
            End::Regex(regex) => captures.add_groups(regex, path)?,
        }
        Some(captures)
    }

    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map_while(|step| match step {
            Step::Literal(text) => Some(&**text),
            Step::Regex { .. } | Step::Any { .. } => None,
        })
    }
}

// === impl Captures ===

impl<'p> Captures<'p> {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, value)| &**value)
    }

    /// All names with their values, in the order of the path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (*name, &**value))
    }

    /// Adds the named groups of a whole-path expression, an unused one as empty.
    fn add_groups(&mut self, regex: &'p Regex, path: &'p str) -> Option<()> {
        let bare = without_parameters(path);
        let found = regex.captures(&bare)?;
        for name in regex.capture_names().flatten() {
            let value = found.name(name).map_or("", |group| group.as_str());
            self.values.push((name, Cow::Owned(value.to_owned())));
        }
        Some(())
    }
}

/// The first segment of what follows a slash, and what follows the next slash.
#[inline]
pub(super) fn cut(rest: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'/', rest.as_bytes()) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    }
}

/// Whether a path may have parameters: `;`, or some escape that may be one.
#[inline]
pub(super) fn may_have_parameters(path: &str) -> bool {
    memchr::memchr2(b';', b'%', path.as_bytes()).is_some()
}

/// A path as whole-path expressions see it. Copies only when there may be parameters.
pub(super) fn without_parameters(path: &str) -> Cow<'_, str> {
    if !may_have_parameters(path) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(path.split('/').map(stem).collect::<Vec<_>>().join("/"))
}

/// Takes whole leading segments off a canonical path, path parameters ignored: `/orders` off
/// `/orders;v=1/7` leaves `/7`; of `/orders` itself nothing is left, which is `/`. `None` when the
/// path does not start with these segments.
pub fn strip_segments<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let Some(prefix) = prefix.strip_prefix('/') else { return prefix.is_empty().then_some(path) };
    let mut rest = path.strip_prefix('/');
    for want in prefix.split('/') {
        let (segment, next) = cut(rest?);
        if stem(segment) != want {
            return None;
        }
        rest = next;
    }
    // The slash in front of what is left: `rest` is a suffix of `path` that follows one.
    Some(rest.map_or("/", |rest| &path[path.len() - rest.len() - 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    #[test]
    fn matches_whole_segments() {
        let orders = pattern("/orders/**");
        for (path, takes) in [
            ("/orders", true),
            ("/orders/", true),
            ("/orders/7", true),
            ("/orders;v=1/7", true),
            ("/orders%3Bv=1/7", true),
            ("/orders%20%3B", false),
            ("/orders-old", false),
            ("/orders.", false),
            ("/order", false),
            ("/", false),
        ] {
            assert_eq!(orders.matches(path), takes, "{path}");
        }
        assert!(pattern("/").matches("/") && !pattern("/").matches("/a"));
        assert!(pattern("/a").matches("/a") && !pattern("/a").matches("/a/"));
        assert!(!pattern("/a/{id}").matches("/a/") && pattern("/a/{id}").matches("/a/b"));
        assert!(!pattern("/a/{id}").matches("/a/;x"));
        assert!(!pattern("/a/{id}").matches("/a/%3Bx"));
        assert!(pattern("/a/{id:[0-9]+}").matches("/a/12"));
        assert!(!pattern("/a/{id:[0-9]|x}").matches("/a/1y"), "alternatives are anchored too");
        assert!(pattern("/caf\u{e9}/{x}").matches("/caf%C3%A9/1"));
    }

    #[test]
    fn captures_by_name() {
        let path = "/orders/12;v=1/a/b;c";
        let pattern = pattern("/orders/{id:[0-9]+}/**");
        let captures = pattern.capture(path).unwrap();
        assert_eq!(captures.iter().collect::<Vec<_>>(), [("id", "12"), ("**", "a/b;c")]);
        assert_eq!(captures.get("nope"), None);
        assert_eq!(pattern.names(), ["id", "**"]);
        let regex = PathPattern::regex("^/v(?<major>[0-9]+)/(?<rest>.*)").unwrap();
        assert_eq!(regex.names(), ["major", "rest"]);
        let captures = regex.capture("/v2;x/a").unwrap();
        assert_eq!((captures.get("major"), captures.get("rest")), (Some("2"), Some("a")));
    }

    #[test]
    fn prefixes_are_whole_segments() {
        let orders = pattern("/shop/orders/{id}/**");
        assert_eq!(orders.literal_prefix(), "/shop/orders");
        for (prefix, covered) in [
            ("/shop", true),
            ("/shop/", true),
            ("/shop/orders", true),
            ("/", true),
            ("/sh", false),
            ("/shop/orders/x", false),
            ("shop", false),
        ] {
            assert_eq!(orders.covers_prefix(prefix), covered, "{prefix}");
        }
        assert!(pattern("/a//b").has_empty_segment() && !pattern("/a/").has_empty_segment());
    }

    #[test]
    fn strips_whole_segments() {
        for (path, prefix, left) in [
            ("/orders/7", "/orders", Some("/7")),
            ("/orders;v=1/7", "/orders/", Some("/7")),
            ("/orders", "/orders", Some("/")),
            ("/orders/", "/orders", Some("/")),
            ("/orders-old", "/orders", None),
            ("/a/b/c", "/a/b", Some("/c")),
            ("/a", "/a/b", None),
            ("/a", "/", Some("/a")),
        ] {
            assert_eq!(strip_segments(path, prefix), left, "{path} {prefix}");
        }
    }
}
