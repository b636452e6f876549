//! Which policy of an old list is which of a new one: by name, or by being the same, or, for those without
//! a name, by their order.

use std::sync::Arc;

/// Policies of two lists.
pub(super) struct Pairs<'a, P> {
    /// In both, maybe changed.
    pub(super) both: Vec<(&'a P, &'a P)>,
    /// Only in the old one.
    pub(super) gone: Vec<&'a P>,
    /// Only in the new one.
    pub(super) came: Vec<&'a P>,
}

/// What is compared of a policy.
pub(super) trait Paired {
    /// Its name, where it has one.
    fn named(&self) -> Option<&str>;

    /// Whether both do the same, whatever they are called.
    fn same(&self, other: &Self) -> bool;
}

/// Finds the pairs.
pub(super) fn pair<'a, P: Paired>(old: &'a [Arc<P>], new: &'a [Arc<P>]) -> Pairs<'a, P> {
    pairs(old, new, true)
}

/// The same, for lists of two routes: what has no name there is the same only if it does the same.
pub(super) fn alike<'a, P: Paired>(old: &'a [Arc<P>], new: &'a [Arc<P>]) -> Pairs<'a, P> {
    pairs(old, new, false)
}

fn pairs<'a, P: Paired>(old: &'a [Arc<P>], new: &'a [Arc<P>], by_order: bool) -> Pairs<'a, P> {
    let mut left: Vec<&P> = old.iter().map(|it| &**it).collect();
    let mut open: Vec<&P> = new.iter().map(|it| &**it).collect();
    let mut both = Vec::new();
    let by_name = |a: &P, b: &P| a.named().is_some() && a.named() == b.named();
    let unnamed = |a: &P, b: &P| by_order && a.named().is_none() && b.named().is_none();
    let same = |a: &P, b: &P| a.same(b);
    for fits in [&by_name as &dyn Fn(&P, &P) -> bool, &same, &unnamed] {
        open.retain(|new| match left.iter().position(|old| fits(old, new)) {
            Some(at) => {
                both.push((left.remove(at), *new));
                false
            }
            None => true,
        });
    }
    Pairs { both, gone: left, came: open }
}

impl<P: Paired> Pairs<'_, P> {
    /// Those that are policies of their own are told of once, not on each route.
    pub(super) fn written_here(&self) -> impl Iterator<Item = (&P, &P)> {
        let named = |(a, b): &&(&P, &P)| a.named().is_some() && a.named() == b.named();
        self.both.iter().filter(move |it| !named(it)).map(|(a, b)| (*a, *b))
    }
}
