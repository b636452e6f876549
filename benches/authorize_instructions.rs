//! Rules asked a fixed number of times, for counting instructions and time; run by `rule-cost.sh`. `RULE` names one
//! of them, `TIMES` is how often it is asked.
#![allow(missing_docs)] // a bench has no public items

use serde_json::{Map, Value, json};
use tidegate::layers::authorize::bench::Bench;
use tokio::time::Instant;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RULES: [(&str, &str); 8] = [
    ("method", "request.method in ['GET', 'HEAD']"),
    ("typical", "request.method == 'GET' && 'admin' in claims.groups"),
    (
        "all",
        "inNetwork(client.ip, '203.0.113.0/24') && request.path.startsWith('/orders/') && claims.level >= 3",
    ),
    ("pattern", "request.path.matches('^/orders/[0-9]+$')"),
    ("thousand", "claims.crowd.exists(g, g == 'nobody')"),
    // What a hostile request can make of rules that are unwise.
    ("pairs", "claims.crowd.all(a, claims.crowd.exists(b, a + 'x' == b))"),
    ("patterns", "claims.crowd.exists(a, claims.long.matches('(a|aa|b|ab)*[cd]{3,9}e$'))"),
    ("texts", "claims.crowd.exists(a, (claims.long + a).contains('ab'))"),
];

fn claims() -> Map<String, Value> {
    let crowd: Vec<_> = (0..2000).map(|at| format!("group-{at}")).collect();
    let claims = json!({
        "groups": ["dev", "ops", "admin"], "level": 3, "crowd": crowd, "long": "a".repeat(8000),
    });
    match claims {
        Value::Object(claims) => claims,
        _ => Map::new(),
    }
}

fn main() {
    let named = std::env::var("RULE").ok();
    let times = std::env::var("TIMES").map_or(100, |text| text.parse().expect("a number"));
    for (name, rule) in RULES {
        if named.as_deref().is_some_and(|it| it != name) {
            continue;
        }
        let bench = Bench::new(rule, claims()).expect("a good rule");
        bench.run(1);
        let since = Instant::now();
        let passed = bench.run(times);
        let each = since.elapsed() / u32::try_from(times.max(1)).unwrap_or(u32::MAX);
        println!("{name}: {passed} of {times} passed, {each:?} each");
    }
}
