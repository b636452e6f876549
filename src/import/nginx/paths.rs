//! Locations as path patterns. nginx takes the longest prefix unless an expression takes the path, here the
//! more exact pattern wins: where both agree, a location is `/api/**`; where they do not, it is an
//! expression like the others, and `priority` is nginx's order.

use super::{
    expressions::{body, escape, literal, whole},
    model::{Kind, Location},
};
use crate::routing::PathPattern;

/// What a location takes.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) patterns: Vec<Pattern>,
    pub(super) priority: i32,
    pub(super) tail: Tail,
    /// nginx asks in an order that cannot be had: it may not be open.
    pub(super) denied: bool,
}

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Path(String),
    Regex(String),
}

/// How what follows the location's own text is called in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// There is none: an exact path.
    Fixed,
    /// `{**}`, below this.
    Below(String),
    /// `{rest}`
    Rest,
    /// An expression of the operator.
    Unknown,
}

struct Shaper<'a> {
    locations: &'a [Location<'a>],
    /// Whole-path expressions of those that are expressions.
    sources: Vec<Option<String>>,
    /// Those that are written as expressions although nginx has a prefix or a path.
    demoted: Vec<bool>,
    denied: Vec<bool>,
    rewritten: &'a [bool],
}

/// The shapes of a server's locations; nothing where there is none. `rewritten` are those whose text is
/// replaced by something else.
pub(super) fn shapes(locations: &[Location<'_>], rewritten: &[bool]) -> Vec<Option<Shape>> {
    let count = locations.len();
    let mut shaper = Shaper {
        locations,
        sources: vec![None; count],
        demoted: vec![false; count],
        denied: vec![false; count],
        rewritten,
    };
    shaper.expressions();
    shaper.demote();
    let priorities = shaper.priorities();
    (0..count).map(|number| shaper.shape(number, priorities[number])).collect()
}

/// Whether the text is no plain path in some spelling of clients.
fn is_odd(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    !text.chars().all(plain)
        || text.contains("//")
        || text.split('/').any(|it| matches!(it, "." | ".."))
}

// === impl Shaper ===

impl Shaper<'_> {
    fn is_prefix(&self, number: usize) -> bool {
        matches!(self.locations[number].kind, Kind::Prefix { .. })
    }

    fn is_final(&self, number: usize) -> bool {
        self.locations[number].kind == Kind::Prefix { final_: true }
    }

    fn text(&self, number: usize) -> &str {
        &self.locations[number].text
    }

    fn regexes(&self) -> Vec<usize> {
        let is = |number: &usize| matches!(self.locations[*number].kind, Kind::Regex { .. });
        (0..self.locations.len()).filter(is).collect()
    }

    fn expressions(&mut self) {
        let regexes = self.regexes();
        for number in &regexes {
            self.sources[*number] = self.expression(*number);
        }
        // Only those of one level compete; an expression with literal segments would rank higher.
        let outer: Vec<usize> =
            regexes.iter().copied().filter(|it| self.locations[*it].parent.is_none()).collect();
        let finals = (0..self.locations.len()).filter(|it| self.is_final(*it));
        let overlap = finals.clone().any(|it| outer.iter().any(|r| self.overlap(*r, it)));
        let ranks: Vec<usize> = outer.iter().map(|it| self.literal_segments(*it)).collect();
        if overlap || ranks.windows(2).any(|pair| pair[0] != pair[1]) {
            for number in &outer {
                if let Some(source) = &mut self.sources[*number] {
                    *source = format!("^/(?:{})", &source[2..]);
                }
            }
        }
        let nothing_else =
            (0..self.locations.len()).any(|it| self.is_final(it) && self.text(it) == "/");
        for number in outer.into_iter().filter(|_| nothing_else) {
            self.denied[number] = true;
        }
    }

    fn expression(&self, number: usize) -> Option<String> {
        let it = &self.locations[number];
        let Kind::Regex { any_case } = it.kind else { return None };
        let Some(parent) = it.parent else { return whole(&it.text, any_case) };
        let around = &self.locations[parent];
        if !matches!(around.kind, Kind::Prefix { .. }) || is_odd(&around.text) {
            return None;
        }
        if literal(&it.text).is_some_and(|text| text.starts_with(&around.text)) && !any_case {
            return whole(&it.text, any_case);
        }
        let inside = around.text.ends_with('/') && it.text.ends_with('$');
        if !inside || it.text.starts_with('^') || it.text.contains('/') {
            return None;
        }
        whole(&it.text, any_case)?;
        let inner = body(&it.text)?;
        let inner = if any_case { format!("(?i:{inner})") } else { inner };
        Some(format!("^{}{inner}", escape(&around.text)))
    }

    fn pattern(&self, number: usize) -> Option<PathPattern> {
        PathPattern::regex(self.sources[number].as_deref()?).ok()
    }

    fn literal_segments(&self, number: usize) -> usize {
        self.pattern(number).map_or(0, |it| it.literal_prefix().matches('/').count())
    }

    /// Whether an expression may take a path below a prefix.
    fn overlap(&self, regex: usize, prefix: usize) -> bool {
        let it = &self.locations[regex];
        let begins = match it.parent {
            Some(parent) => self.text(parent).to_owned(),
            None if it.kind == (Kind::Regex { any_case: true }) => String::new(),
            None => literal(&it.text).unwrap_or_default(),
        };
        begins.starts_with(self.text(prefix)) || self.text(prefix).starts_with(&begins)
    }

    fn demote(&mut self) {
        let regexes = self.regexes();
        for number in 0..self.locations.len() {
            let text = self.text(number);
            let fixed = self.locations[number].kind == Kind::Exact || self.is_prefix(number);
            let beaten = self.is_prefix(number)
                && !self.is_final(number)
                && text != "/"
                && regexes.iter().any(|regex| {
                    let ranks_higher =
                        self.pattern(*regex).is_some_and(|it| it.covers_prefix(text));
                    self.overlap(*regex, number) && !ranks_higher
                });
            let open_end = self.is_prefix(number) && !text.ends_with('/') && self.rewritten[number];
            self.demoted[number] = fixed && (is_odd(text) || beaten || open_end);
        }
        self.close();
    }

    /// An expression ranks below a prefix: all shorter ones must be expressions, too.
    fn close(&mut self) {
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for long in 0..self.locations.len() {
                for short in 0..self.locations.len() {
                    let below = long != short
                        && self.demoted[long]
                        && self.is_prefix(short)
                        && self.text(short) != "/"
                        && self.text(long).starts_with(self.text(short));
                    if !below {
                        continue;
                    }
                    if self.is_final(short) && !self.is_final(long) && !self.denied[long] {
                        self.denied[long] = true;
                        self.demoted[long] = is_odd(self.text(long));
                        changed = true;
                    } else if !self.demoted[short] {
                        self.demoted[short] = true;
                        changed = true;
                    }
                }
            }
        }
    }

    /// nginx's order among those that rank alike.
    fn priorities(&self) -> Vec<i32> {
        let mut priorities = vec![0; self.locations.len()];
        let mut ordered: Vec<usize> = (0..self.locations.len())
            .filter(|it| self.demoted[*it] || self.sources[*it].is_some())
            .collect();
        if ordered.len() > 1 {
            // Weakest first.
            ordered.sort_by_key(|it| {
                let location = &self.locations[*it];
                let length = location.text.len();
                match location.kind {
                    Kind::Prefix { final_: false } | Kind::Named => (0, length, 0),
                    Kind::Regex { .. } => {
                        (1, usize::from(location.parent.is_some()), usize::MAX - *it)
                    }
                    Kind::Prefix { final_: true } => (2, length, 0),
                    Kind::Exact => (3, length, 0),
                }
            });
            for (rank, number) in ordered.iter().enumerate() {
                // One between each for what a location has besides.
                priorities[*number] = i32::try_from(rank).unwrap_or(i32::MAX).min(498) * 2 + 2;
            }
        }
        // `/api` takes `/apis`, too: there the longer one must win.
        let open: Vec<usize> = (0..self.locations.len())
            .filter(|it| {
                self.is_prefix(*it) && !self.demoted[*it] && !self.text(*it).ends_with('/')
            })
            .collect();
        for number in &open {
            let text = self.text(*number);
            let shorter = open.iter().filter(|it| {
                let other = self.text(**it);
                **it != *number
                    && text.starts_with(other)
                    && text.matches('/').count() == other.matches('/').count()
            });
            priorities[*number] = i32::try_from(shorter.count()).unwrap_or(0);
        }
        priorities
    }

    fn shape(&self, number: usize, priority: i32) -> Option<Shape> {
        let location = &self.locations[number];
        let text = location.text.as_str();
        let denied = self.denied[number];
        let of = |patterns, tail| Some(Shape { patterns, priority, tail, denied });
        match location.kind {
            Kind::Named => None,
            Kind::Regex { .. } => {
                of(vec![Pattern::Regex(self.sources[number].clone()?)], Tail::Unknown)
            }
            _ if !text.starts_with('/') => None,
            Kind::Exact if self.demoted[number] => {
                let source = format!("^/(?:{})$", escape(&text[1..]));
                of(vec![Pattern::Regex(source)], Tail::Fixed)
            }
            Kind::Exact => of(vec![Pattern::Path(text.to_owned())], Tail::Fixed),
            Kind::Prefix { .. } if self.demoted[number] => {
                let rest = if self.rewritten[number] { "(?<rest>.*)" } else { "" };
                let source = format!("^/(?:{}){rest}", escape(&text[1..]));
                of(vec![Pattern::Regex(source)], Tail::Rest)
            }
            Kind::Prefix { .. } => {
                let Some(base) = text.strip_suffix('/') else {
                    return of(self.open_end(text), Tail::Below(text.to_owned()));
                };
                of(vec![Pattern::Path(format!("{base}/**"))], Tail::Below(base.to_owned()))
            }
        }
    }

    /// A prefix without a slash at its end: nginx compares text, not segments.
    fn open_end(&self, text: &str) -> Vec<Pattern> {
        let slash = format!("{text}/");
        let sibling = self
            .locations
            .iter()
            .any(|it| matches!(it.kind, Kind::Prefix { .. }) && it.text == slash);
        let (parent, last) = text.rsplit_once('/').unwrap_or(("", text));
        let own = if sibling { text.to_owned() } else { format!("{text}/**") };
        let longer = format!("{parent}/{{rest:{}.+}}/**", escape(last));
        // Exactly this may be a location of its own, which nginx asks first.
        let exact = self.locations.iter().any(|it| it.kind == Kind::Exact && it.text == text);
        match sibling && exact {
            true => vec![Pattern::Path(longer)],
            false => vec![Pattern::Path(own), Pattern::Path(longer)],
        }
    }
}
