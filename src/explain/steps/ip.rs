//! `ip`: client addresses that may pass.

use super::{super::words::few, Step, Verdict, Walk};
use crate::{
    config::model::Mode,
    error::{Error, Reason},
};

pub(super) fn explain(walk: &mut Walk<'_>) -> Vec<Step> {
    let Some(rules) = &walk.route.ip else { return vec![Step::none("ip")] };
    let mut parts = Vec::new();
    if !rules.allow.is_empty() {
        parts.push(format!("allow {}", few(&rules.allow)));
    }
    if !rules.deny.is_empty() {
        parts.push(format!("deny {}", few(&rules.deny)));
    }
    let what = format!("{}: {}", rules.policy, parts.join(" · "));
    let step = Step::of("ip", what, walk.written("ip"));
    let Some(address) = walk.client.ip else {
        walk.not_judged.push("ip: nobody knows the address, --client-ip says it".to_owned());
        return vec![Step { verdict: Verdict::Unknown, ..step }];
    };
    let policy = &rules.policy;
    vec![match (rules.allows(Some(address)), rules.mode) {
        (true, _) => step.say(format!("{address} may pass")),
        (false, Mode::Shadow) => {
            let step = step.say(format!("{address} would be refused (mode: shadow)"));
            Step { verdict: Verdict::WouldRefuse, ..step }
        }
        (false, Mode::Enforce) => {
            let detail = format!("{address} is not let in by `{policy}`");
            step.refuse(super::Answer::of(&Error::new(Reason::IpDenied, detail)))
        }
    }]
}
