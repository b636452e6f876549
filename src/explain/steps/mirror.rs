//! `mirror`: a copy elsewhere.

use super::{super::words::percent, Step, Walk};

pub(super) fn explain(walk: &mut Walk<'_>) -> Vec<Step> {
    let Some(mirror) = &walk.route.mirror else { return Vec::new() };
    let compare = &mirror.compare;
    let mut compared: Vec<String> = Vec::new();
    if compare.status {
        compared.push("status".to_owned());
    }
    compared.extend(compare.headers.iter().map(ToString::to_string));
    if compare.body {
        compared.push("body".to_owned());
    }
    let mut what = format!("{} copied to {}", percent(mirror.share), mirror.to.value);
    if !compared.is_empty() {
        what.push_str(&format!(", compared by {}", compared.join(", ")));
    }
    vec![Step::of("mirror", what, walk.written("mirror"))]
}
