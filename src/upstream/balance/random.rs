//! `random`: a member by weight.

use super::{Group, View, dice::Dice};

/// The next member; none if none is usable.
pub(super) fn pick(group: &Group, view: &impl View, random: u64) -> Option<usize> {
    if !view.is_ramping() {
        let member = group.shares.draw(random);
        if group.usable(view, member) {
            return Some(member);
        }
    }
    group.draw_usable(view, &mut Dice::new(random))
}
