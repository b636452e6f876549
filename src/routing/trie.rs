//! The index behind [`super::Table`]: hosts by hash, paths by segment.
//!
//! Every branch carries its rank as a small number, and every node the best one below it. A walk
//! may then try the ways down in any order and leave out those that cannot win any more: the rule
//! is kept by comparing numbers, not by the order of the walk.

use std::collections::HashMap;

use ahash::RandomState;
use regex::{Regex, RegexSet, RegexSetBuilder};

use super::{
    canonical::stem,
    host::HostPattern,
    path::{End, PathPattern, Step, cut, may_have_parameters, without_parameters},
};

/// A rank as a number: greater wins, 0 is none.
pub(super) type RankNumber = u32;

/// Up to this many literals are compared one by one; a hash costs more.
const FEW: usize = 4;

/// From this many whole-path expressions at one node on, one automaton runs them all at once.
const MANY_EXPRESSIONS: usize = 8;

/// All hosts with their path tries.
#[derive(Default)]
pub(super) struct Index {
    exact: HashMap<Box<str>, NodeId, RandomState>,
    suffixes: HashMap<Box<str>, Suffix, RandomState>,
    /// Bit n: some suffix has n labels. Spares the look-up of all others.
    suffix_labels: u128,
    /// The best rank below a suffix.
    suffix_best: RankNumber,
    any: Option<NodeId>,
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Suffix {
    one_label: Option<NodeId>,
    any_labels: Option<NodeId>,
}

type NodeId = u32;

#[derive(Default)]
struct Node {
    /// The best rank below.
    best: RankNumber,
    literals: Literals,
    expressions: Vec<(Regex, NodeId)>,
    any: Option<NodeId>,
    end: Leaf,
    paths: Paths,
    tail: Leaf,
}

enum Literals {
    Few(Vec<(Box<str>, NodeId)>),
    Many(HashMap<Box<str>, NodeId, RandomState>),
}

/// Whole-path expressions below the same literal segments.
#[derive(Default)]
struct Paths {
    /// Best first.
    items: Vec<(Regex, Leaf)>,
    /// All of `items`, when they are many.
    set: Option<RegexSet>,
}

/// Branches with the same host and path pattern, best first.
#[derive(Default)]
pub(super) struct Leaf {
    pub(super) entries: Vec<Entry>,
}

/// A branch at its leaf.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) rank: RankNumber,
    pub(super) branch: u32,
    /// Nothing but host and path matters.
    pub(super) plain: bool,
}

/// Somebody who looks at leaves whose host and path match.
pub(super) trait Visit {
    /// Whether leaves of this rank or below are of interest.
    fn wants(&self, best: RankNumber) -> bool;
    /// Looks at a leaf.
    fn leaf(&mut self, leaf: &Leaf);
}

// === impl Index ===

impl Index {
    /// Adds a branch. All must be added best first.
    pub(super) fn insert(&mut self, host: &HostPattern, path: &PathPattern, entry: Entry) {
        let mut at = self.root(host);
        self.improve(at, entry);
        if matches!(host, HostPattern::OneLabel(_) | HostPattern::AnyLabels(_)) {
            self.suffix_best = self.suffix_best.max(entry.rank);
        }
        for step in &path.steps {
            at = self.step(at, step);
            self.improve(at, entry);
        }
        let node = &mut self.nodes[at as usize];
        let leaf = match &path.end {
            End::Exact => &mut node.end,
            End::Tail => &mut node.tail,
            End::Regex(regex) => node.paths.leaf(regex),
        };
        leaf.entries.push(entry);
    }

    /// To be called after the last `insert`.
    pub(super) fn finish(&mut self) {
        for node in &mut self.nodes {
            node.paths.finish();
        }
    }

    /// Whether some pattern other than "any host" takes `host`.
    pub(super) fn knows_host(&self, host: &str) -> bool {
        let mut known = self.exact.contains_key(host);
        self.each_suffix(host, |_| {
            known = true;
            false
        });
        known
    }

    /// Shows the visitor every leaf whose host and path match and that it wants.
    #[inline]
    pub(super) fn walk(&self, host: &str, path: &str, visitor: &mut impl Visit) {
        let walk =
            Walk { nodes: &self.nodes, path, may_have_parameters: may_have_parameters(path) };
        let rest = path.strip_prefix('/');
        if let Some(root) = self.exact.get(host) {
            walk.node(*root, rest, visitor);
        }
        // From the longest suffix to the shortest, which is from the best to the weakest.
        if visitor.wants(self.suffix_best) {
            self.each_suffix(host, |root| {
                walk.node(root, rest, visitor);
                true
            });
        }
        if let Some(root) = self.any {
            walk.node(root, rest, visitor);
        }
    }

    fn each_suffix(&self, host: &str, mut found: impl FnMut(NodeId) -> bool) {
        if self.suffix_labels == 0 {
            return;
        }
        let mut labels = memchr::memchr_iter(b'.', host.as_bytes()).count();
        let mut one_label = true;
        for dot in memchr::memchr_iter(b'.', host.as_bytes()) {
            let suffix = &host[dot + 1..];
            if dot > 0
                && self.suffix_labels & label_bit(labels) != 0
                && let Some(suffix) = self.suffixes.get(suffix)
            {
                let one = suffix.one_label.filter(|_| one_label);
                for root in one.into_iter().chain(suffix.any_labels) {
                    if !found(root) {
                        return;
                    }
                }
            }
            labels -= 1;
            one_label = false;
        }
    }

    fn root(&mut self, host: &HostPattern) -> NodeId {
        let fresh = NodeId::try_from(self.nodes.len()).expect("routes are fewer than 2^32");
        let slot = match host {
            HostPattern::Any => &mut self.any,
            HostPattern::Exact(name) => {
                let root = *self.exact.entry(name.clone()).or_insert(fresh);
                return self.made(root);
            }
            HostPattern::OneLabel(suffix) | HostPattern::AnyLabels(suffix) => {
                self.suffix_labels |= label_bit(suffix.split('.').count());
                let entry = self.suffixes.entry(suffix.clone()).or_default();
                match host {
                    HostPattern::OneLabel(_) => &mut entry.one_label,
                    _ => &mut entry.any_labels,
                }
            }
        };
        let root = *slot.get_or_insert(fresh);
        self.made(root)
    }

    /// Makes the node of that id if it is the next one.
    fn made(&mut self, id: NodeId) -> NodeId {
        if id as usize == self.nodes.len() {
            self.nodes.push(Node::default());
        }
        id
    }

    fn step(&mut self, at: NodeId, step: &Step) -> NodeId {
        let fresh = NodeId::try_from(self.nodes.len()).expect("segments are fewer than 2^32");
        let node = &mut self.nodes[at as usize];
        let id = match step {
            Step::Literal(text) => node.literals.get_or_insert(text, fresh),
            Step::Any { .. } => *node.any.get_or_insert(fresh),
            Step::Regex { regex, .. } => {
                let same = node.expressions.iter().find(|(r, _)| r.as_str() == regex.as_str());
                match same {
                    Some((_, id)) => *id,
                    None => {
                        node.expressions.push((regex.clone(), fresh));
                        fresh
                    }
                }
            }
        };
        self.made(id)
    }

    fn improve(&mut self, at: NodeId, entry: Entry) {
        let node = &mut self.nodes[at as usize];
        node.best = node.best.max(entry.rank);
    }
}

fn label_bit(labels: usize) -> u128 {
    // A host name of 253 characters has at most 127 labels.
    1 << labels.min(127)
}

// === the walk ===

struct Walk<'a> {
    nodes: &'a [Node],
    path: &'a str,
    may_have_parameters: bool,
}

impl Walk<'_> {
    /// `rest` is what follows the slash, `None` when the path has ended.
    fn node(&self, id: NodeId, rest: Option<&str>, visitor: &mut impl Visit) {
        let node = &self.nodes[id as usize];
        if !visitor.wants(node.best) {
            return;
        }
        match rest {
            None => visitor.leaf(&node.end),
            Some(rest) => self.segment(node, rest, visitor),
        }
        if !node.paths.items.is_empty() {
            self.paths(&node.paths, visitor);
        }
        visitor.leaf(&node.tail);
    }

    fn segment(&self, node: &Node, rest: &str, visitor: &mut impl Visit) {
        let (segment, next) = cut(rest);
        let segment = if self.may_have_parameters { stem(segment) } else { segment };
        if let Some(child) = node.literals.get(segment) {
            self.node(child, next, visitor);
        }
        if segment.is_empty() {
            return;
        }
        for (regex, child) in &node.expressions {
            if visitor.wants(self.nodes[*child as usize].best) && regex.is_match(segment) {
                self.node(*child, next, visitor);
            }
        }
        if let Some(child) = node.any {
            self.node(child, next, visitor);
        }
    }

    fn paths(&self, paths: &Paths, visitor: &mut impl Visit) {
        if !visitor.wants(paths.items[0].1.best()) {
            return;
        }
        let path = without_parameters(self.path);
        let Some(set) = &paths.set else {
            for (regex, leaf) in &paths.items {
                if visitor.wants(leaf.best()) && regex.is_match(&path) {
                    visitor.leaf(leaf);
                }
            }
            return;
        };
        // The list of matches is allocated, so first ask whether there is one.
        if set.is_match(&path) {
            for at in &set.matches(&path) {
                visitor.leaf(&paths.items[at].1);
            }
        }
    }
}

// === impl Leaf, Literals, Paths ===

impl Leaf {
    fn best(&self) -> RankNumber {
        self.entries.first().map_or(0, |entry| entry.rank)
    }
}

impl Default for Literals {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Literals {
    #[inline]
    fn get(&self, segment: &str) -> Option<NodeId> {
        match self {
            Self::Few(few) => few.iter().find(|(text, _)| **text == *segment).map(|(_, id)| *id),
            Self::Many(many) => many.get(segment).copied(),
        }
    }

    fn get_or_insert(&mut self, text: &str, fresh: NodeId) -> NodeId {
        if let Some(id) = self.get(text) {
            return id;
        }
        match self {
            Self::Few(few) if few.len() < FEW => few.push((text.into(), fresh)),
            Self::Few(few) => {
                let all = few.drain(..).chain([(text.into(), fresh)]);
                *self = Self::Many(all.collect());
            }
            Self::Many(many) => {
                many.insert(text.into(), fresh);
            }
        }
        fresh
    }
}

impl Paths {
    fn leaf(&mut self, regex: &Regex) -> &mut Leaf {
        let found = self.items.iter().position(|(r, _)| r.as_str() == regex.as_str());
        let at = found.unwrap_or_else(|| {
            self.items.push((regex.clone(), Leaf::default()));
            self.items.len() - 1
        });
        &mut self.items[at].1
    }

    fn finish(&mut self) {
        if self.items.len() >= MANY_EXPRESSIONS {
            let sources = self.items.iter().map(|(regex, _)| regex.as_str());
            // Beyond the limit they are tried one by one.
            self.set = RegexSetBuilder::new(sources).size_limit(64 << 20).build().ok();
        }
    }
}
