//! `strip_prefix` and `rewrite`: the path the upstream sees. The layer itself changes it.

use super::{Answer, Step, Walk};
use crate::{
    config::{
        diagnostic::Diagnostics,
        model::{Action, PathRewrite},
    },
    layers::rewrite::RewriteLayer,
    runtime::rewrite,
};

pub(super) fn explain(walk: &mut Walk<'_>) -> Vec<Step> {
    let key = match &walk.route.path_rewrite {
        PathRewrite::Keep => return Vec::new(),
        PathRewrite::StripPrefix(_) => "strip_prefix",
        PathRewrite::Template(_) => "rewrite",
    };
    if !matches!(walk.route.action, Action::Forward(_)) {
        return Vec::new();
    }
    let how = rewrite(&walk.route.path_rewrite, &mut Diagnostics::default());
    let Some(how) = how else { return Vec::new() };
    let before = walk.request.uri().path().to_owned();
    let layer = RewriteLayer::new(how, walk.runtime.gate.normalize);
    let refused = layer.rewrite(&mut walk.request).err();
    let what = match refused {
        Some(_) => before,
        None => format!("{before} → {}", walk.request.uri().path()),
    };
    let step = Step::of(key, what, walk.written(key));
    vec![match refused {
        Some(error) => step.refuse(Answer::of(&error)),
        None => step,
    }]
}
