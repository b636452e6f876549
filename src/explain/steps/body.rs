//! `body`: how large a request may be.

use super::{super::words::size, Answer, Step, Walk};
use crate::layers::body::BodyLayer;

pub(super) fn explain(walk: &mut Walk<'_>) -> Vec<Step> {
    let rule = walk.route.body;
    let mut what = match rule.max {
        Some(max) => format!("at most {}", size(max)),
        None => "of any size".to_owned(),
    };
    if rule.buffer {
        what.push_str(", read whole before the upstream gets it");
    }
    let step = Step::of("body", what, walk.written("body"));
    let refused = BodyLayer::new(rule, walk.route.timeouts).refuses(&walk.request);
    vec![match refused {
        Some(error) => step.refuse(Answer::of(&error)),
        None => step,
    }]
}
