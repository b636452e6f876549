//! A plan for people.

use std::fmt::Write as _;

use super::{Fate, Group, Plan};

/// Groups that are shown.
const GROUPS: usize = 20;

/// All of it.
pub fn human(plan: &Plan) -> String {
    let mut text = String::new();
    let skipped: u64 = plan.not_replayed.values().sum();
    let _ = writeln!(
        text,
        "{} requests replayed, {} would change",
        plan.replayed,
        part(plan.changed, plan)
    );
    for (count, what) in [
        (plan.route, "another route, or none"),
        (plan.upstream, "other upstreams, or other shares of them"),
        (plan.refused, "refused"),
        (plan.refused_already, "refused, and turned away by the log already"),
        (plan.let_in, "let in"),
        (plan.auth, "other auth"),
        (plan.limits, "other limits"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  {count:>9}  {what}");
        }
    }
    for group in plan.groups.iter().take(GROUPS) {
        text.push_str(&of_group(group));
    }
    if plan.groups.len() > GROUPS {
        let _ = writeln!(text, "… and {} more groups", plan.groups.len() - GROUPS);
    }
    if skipped > 0 {
        let _ = writeln!(text, "\nnot replayed: {skipped} of {} lines", plan.lines);
        for (why, count) in &plan.not_replayed {
            let _ = writeln!(text, "  {count:>9}  {why}");
        }
    }
    if plan.logged_otherwise > 0 {
        let _ = writeln!(
            text,
            "\nnote: the log has another route than the current configuration for {}: it was not all \
             served by this one",
            part(plan.logged_otherwise, plan)
        );
    }
    text
}

/// `412 (0.04 %)`.
fn part(count: u64, plan: &Plan) -> String {
    #[allow(clippy::cast_precision_loss)] // it is rounded anyway
    let share = count as f64 * 100.0 / plan.replayed.max(1) as f64;
    if count == 0 { "none".to_owned() } else { format!("{count} ({share:.2} %)") }
}

fn of_group(group: &Group) -> String {
    let Group { now, then, requests, means, samples } = group;
    let mut text =
        format!("\n{requests} × {} → {}  ({})\n", name(now), name(then), means.join(", "));
    let passes = now.refused.is_none() && then.refused.is_none();
    for (key, old, new) in [
        ("to", &now.to, &then.to),
        ("auth", &now.auth, &then.auth),
        ("limits", &now.limits, &then.limits),
    ] {
        if passes && old != new {
            let _ = writeln!(text, "    {key}: {old} → {new}");
        }
    }
    for sample in samples {
        let _ = writeln!(text, "    {sample}");
    }
    text
}

/// The route, or why there is none.
fn name(fate: &Fate) -> String {
    match (&fate.route, fate.refused) {
        (Some(route), None) => route.clone(),
        (Some(route), Some(reason)) => format!("{route} ({reason})"),
        (None, reason) => reason.unwrap_or("none").to_owned(),
    }
}
