//! `timeouts`: the limits of a route, and whether they agree.

use std::time::Duration;

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        model::Timeouts,
    },
    edge::set,
    reader::Fields,
};

/// Timeouts, and where those that must agree were written.
#[derive(Clone, Copy)]
pub(super) struct TimeoutsSoFar {
    pub value: Timeouts,
    pub request_at: Option<Place>,
    pub per_try_at: Option<Place>,
    pub first_byte_at: Option<Place>,
}

// === impl TimeoutsSoFar ===

impl TimeoutsSoFar {
    /// What holds where nobody wrote anything.
    pub(super) fn builtin() -> Self {
        let value = Timeouts {
            request: None,
            first_byte: Some(Duration::from_secs(30)),
            per_try: None,
            connect: None,
            idle: Some(Duration::from_secs(60)),
            idle_written: false,
        };
        Self { value, request_at: None, per_try_at: None, first_byte_at: None }
    }

    /// The limits of one try that were written, and where, the one that counts most first.
    pub(super) fn of_a_try(&self) -> impl Iterator<Item = (&'static str, Duration, Place)> + use<> {
        let value = self.value;
        let written = [
            ("per_try", value.per_try.zip(self.per_try_at)),
            ("first_byte", value.first_byte.zip(self.first_byte_at)),
        ];
        written.into_iter().filter_map(|(key, found)| found.map(|(limit, at)| (key, limit, at)))
    }
}

/// What a level says, on top of what it inherits.
pub(super) fn read(f: &Fields<'_>, onto: &mut TimeoutsSoFar) {
    if let Some(slot) = f.get("request") {
        set(&mut onto.value.request, slot.duration_or_none());
        onto.request_at = Some(slot.place());
    }
    if let Some(slot) = f.get("per_try") {
        set(&mut onto.value.per_try, slot.duration_or_none());
        onto.per_try_at = Some(slot.place());
    }
    if let Some(slot) = f.get("first_byte") {
        set(&mut onto.value.first_byte, slot.duration_or_none());
        onto.first_byte_at = Some(slot.place());
    }
    if let Some(slot) = f.get("connect") {
        set(&mut onto.value.connect, slot.duration_or_none());
    }
    if let Some(slot) = f.get("idle") {
        set(&mut onto.value.idle, slot.duration_or_none());
        onto.value.idle_written = true;
    }
}

/// A limit of one try beyond `request` cannot be reached; it was not meant, if both were written.
pub(super) fn consistent(f: &Fields<'_>, timeouts: &TimeoutsSoFar) {
    let (Some(request), Some(request_at)) = (timeouts.value.request, timeouts.request_at) else {
        return;
    };
    for (key, limit, at) in timeouts.of_a_try() {
        if limit <= request {
            continue;
        }
        let inside =
            |at: Place| at.file == f.place.file && (f.place.start..f.place.end).contains(&at.start);
        // What all routes inherit is said once.
        let own = inside(at) || inside(request_at);
        let within = if own { f.owner.within() } else { "in what routes inherit".to_owned() };
        let message = format!("`{key}` is longer than `request` {within}");
        f.r.report(
            Diagnostic::error(at, message)
                .label("each try may take this long…")
                .and(request_at, "…and all of it only this long"),
        );
    }
}
