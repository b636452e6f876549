//! Who waits for a place, in the order they get one: by class, and within a class who came first. It is
//! bounded; when it is full, whoever came last of the lowest class makes room for a higher one.
//!
//! There is no aging: as long as high ones keep coming, low ones get nothing. They do not wait for ever,
//! for everybody's patience is limited.

use std::collections::BTreeMap;

use crate::config::model::Class;

/// A bounded queue of classes.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// By class and number: the first is the next to go.
    waiting: BTreeMap<Place, T>,
    next: u64,
}

/// Where somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    class: Class,
    number: u64,
}

/// What came of joining.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined<T> {
    /// It waits there, and whoever was there for it has to go.
    Waits(Place, Option<T>),
    /// There is no room for its class.
    Full,
}

// === impl Queue ===

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }
}

impl<T> Queue<T> {
    /// Joins, if fewer than `most` wait or one of them matters less.
    pub(super) fn join(&mut self, class: Class, one: T, most: usize) -> Joined<T> {
        let mut outranked = None;
        if self.waiting.len() >= most {
            match self.waiting.last_entry() {
                Some(last) if last.key().class > class => outranked = Some(last.remove()),
                _ => return Joined::Full,
            }
        }
        self.next += 1;
        let place = Place { class, number: self.next };
        self.waiting.insert(place, one);
        Joined::Waits(place, outranked)
    }

    /// Whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, one)| one)
    }

    /// Leaves before its turn.
    pub(super) fn leave(&mut self, place: Place) {
        self.waiting.remove(&place);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody does.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class() -> impl Strategy<Value = Class> {
        prop::sample::select(Class::ALL.to_vec())
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(Class),
        Pop,
        Leave(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => class().prop_map(Step::Join),
            1 => Just(Step::Pop),
            1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        ]
    }

    proptest! {
        /// Against a plain list: the bound holds, the highest class goes first and within it the oldest,
        /// and room is made at the cost of the newest of the lowest class only.
        #[test]
        fn it_is_a_bounded_list_sorted_by_class(
            most in 0usize..6,
            steps in prop::collection::vec(step(), 0..80),
        ) {
            let mut queue = Queue::default();
            let mut list: Vec<(Class, u64, Place)> = Vec::new();
            let mut names = 0..;
            for step in steps {
                match step {
                    Step::Join(class) => {
                        let name = names.next().expect("endless");
                        let least = list.iter().map(|it| (it.0, it.1)).max();
                        match queue.join(class, name, most) {
                            Joined::Full => {
                                prop_assert!(list.len() >= most);
                                prop_assert!(least.is_none_or(|(its, _)| its <= class));
                            }
                            Joined::Waits(place, outranked) => {
                                if let Some(gone) = outranked {
                                    prop_assert_eq!(list.len(), most);
                                    let least = least.expect("somebody had to go");
                                    prop_assert!(least.0 > class);
                                    prop_assert_eq!(gone, least.1);
                                    list.retain(|it| it.1 != gone);
                                }
                                list.push((class, name, place));
                            }
                        }
                    }
                    Step::Pop => {
                        let first = list.iter().map(|it| (it.0, it.1)).min();
                        prop_assert_eq!(queue.pop(), first.map(|it| it.1));
                        list.retain(|it| Some((it.0, it.1)) != first);
                    }
                    Step::Leave(which) if !list.is_empty() => {
                        let (_, _, place) = list.remove(which.index(list.len()));
                        queue.leave(place);
                        queue.leave(place);
                    }
                    Step::Leave(_) => {}
                }
                prop_assert!(queue.len() <= most);
                prop_assert_eq!(queue.len(), list.len());
                prop_assert_eq!(queue.is_empty(), list.is_empty());
            }
        }
    }
}
