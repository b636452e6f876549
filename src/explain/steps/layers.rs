//! The operator's own layers. What they say of a request nobody else knows.

use super::{Step, Verdict, Walk};
use crate::config::model::LayerPosition;

pub(super) fn start(walk: &mut Walk<'_>) -> Vec<Step> {
    at(walk, LayerPosition::Start)
}

pub(super) fn after_auth(walk: &mut Walk<'_>) -> Vec<Step> {
    at(walk, LayerPosition::AfterAuth)
}

pub(super) fn before_upstream(walk: &mut Walk<'_>) -> Vec<Step> {
    at(walk, LayerPosition::BeforeUpstream)
}

fn at(walk: &mut Walk<'_>, position: LayerPosition) -> Vec<Step> {
    let written = walk.written("layers");
    let mut steps = Vec::new();
    for layer in walk.route.layers.iter().filter(|layer| layer.at == position) {
        let name = &layer.name.value;
        walk.not_judged.push(format!("layer {name}: it is not ours"));
        let step = Step::of("layers", format!("{name}, a layer of your own"), written.clone());
        steps.push(Step { verdict: Verdict::Unknown, ..step });
    }
    steps
}
