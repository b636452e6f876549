//! What two gateways count in one Redis.

use super::*;
use crate::support::{
    gateway::everything,
    tools::{Load, h2load},
};
use tokio::time::Instant;

#[test]
fn two_gateways_have_one_bucket_and_say_so() {
    let (redis, upstream) = (Redis::start(), Raw::text("in"));
    let yaml = file(&upstream, &store_of(&redis), "limit: 4/h, burst: 4");
    let (one, two) = (start(&yaml), start(&yaml));
    let answers = [&one, &two, &one, &two].map(|gateway| ask(gateway, "203.0.113.7"));
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200; 4]);
    assert_eq!(answers.each_ref().map(left), [3, 2, 1, 0]);
    assert_eq!(answers[0].header("ratelimit-policy"), Some("\"shared\";q=4;w=3600"));
    for gateway in [&one, &two] {
        let answer = ask(gateway, "203.0.113.7");
        assert_eq!((answer.status, answer.reason().as_str()), (429, "rate_limited"));
        let again: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
        assert!((880..=900).contains(&again), "{again}");
        assert_eq!(answer.json()["violated-policies"], serde_json::json!(["shared"]));
        assert_eq!(left(&answer), 0);
    }
    assert_eq!(ask(&one, "203.0.113.8").status, 200, "somebody else");
    assert!(calls(&one, "answered") >= 4.0, "{}", calls(&one, "answered"));
    let count = |result| {
        let labels = [("kind", "rate_limit"), ("policy", "shared"), ("result", result)];
        one.metric("tidegate_policy_decisions_total", &labels)
    };
    assert_eq!((count("allowed"), count("denied")), (Some(3.0), Some(1.0)));
    let seconds = one.metric("tidegate_store_call_duration_seconds_count", &[("store", "main")]);
    assert!(seconds >= Some(4.0), "{seconds:?}");
    assert_eq!(upstream.requests().len(), 5);
}

/// Nothing of a key can be read in the store, and what nobody uses any more goes by itself.
#[test]
fn keys_are_digests_and_expire() {
    let (redis, upstream) = (Redis::start(), Raw::text("in"));
    let limit = "limit: [10/s, 100/day, 1000/month], burst: 10, key: [header:x-api-key, client_ip]";
    let gateway = start(&file(&upstream, &store_of(&redis), limit));
    let fields = ["X-Api-Key: s3cret-of-ann", "X-Forwarded-For: 203.0.113.7", "Connection: close"];
    for _ in 0..3 {
        assert_eq!(gateway.client().exchange("GET", "h", "/", &fields).status, 200);
    }
    let keys: Vec<String> = redis.keys().into_iter().filter(|key| !key.contains("probe")).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let hex = keys[0].strip_prefix("tidegate:{shared:").and_then(|rest| rest.strip_suffix('}'));
    let hex = hex.expect("named after its policy");
    assert!(hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hex}");
    let value = redis.cli(&["get", &keys[0]]);
    assert!(value.bytes().all(|byte| byte.is_ascii_digit() || byte == b' '), "{value}");
    let numbers: Vec<&str> = value.split(' ').collect();
    assert_eq!((numbers.len(), numbers[3], numbers[5]), (6, "3", "3"), "{value}");
    let life: i64 = redis.cli(&["pttl", &keys[0]]).parse().expect("milliseconds");
    assert!((30 * 86_400_000..=32 * 86_400_000).contains(&life), "{life}");
    let short = file(&upstream, &store_of(&redis), "limit: 10/s, burst: 2");
    let gateway = start(&short.replace("shared", "brief"));
    assert_eq!(status(&gateway), 200);
    until("the key of 10/s is gone", || !redis.keys().iter().any(|key| key.contains("brief")));
}

#[test]
fn days_and_months_are_those_of_the_server_and_all_windows_hold() {
    let (redis, upstream) = (Redis::start(), Raw::text("in"));
    let yaml = file(&upstream, &store_of(&redis), "limit: [50/min, 3/day, 100/month], burst: 50");
    let (one, two) = (start(&yaml), start(&yaml));
    assert_eq!([&one, &two, &one, &two, &one].map(status), [200, 200, 200, 429, 429]);
    let answer = ask(&two, "203.0.113.7");
    let text = answer.header("ratelimit").expect("a limit").to_owned();
    assert!(
        text.contains("\"shared-day\";r=0;") && text.contains("\"shared-month\";r=97;"),
        "{text}"
    );
    let again: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    let server: u64 = redis.cli(&["time"]).lines().next().unwrap().parse().expect("seconds");
    let midnight = 86_400 - server % 86_400;
    assert!(again.abs_diff(midnight) < 60, "{again} {midnight}");
}

#[test]
fn costs_of_answers_are_settled_and_refusals_put_back() {
    let upstream = Raw::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Cost: 4\r\n\r\nin");
    let redis = Redis::start();
    for sync in ["sync: exact", "sync: leased, batch: 2"] {
        redis.cli(&["flushall"]);
        let limit = format!("limit: 10/h, burst: 10, cost: header:x-cost, {sync}");
        let yaml = file(&upstream, &store_of(&redis), &limit);
        let (one, two) = (start(&yaml), start(&yaml));
        let answers = [&one, &two].map(|gateway| ask(gateway, "203.0.113.7"));
        assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200]);
        assert!(answers[0].header("x-cost").is_none(), "it was for us");
        assert_eq!(left(&answers[0]), 6, "{sync}");
        assert_eq!(left(&answers[1]), 2, "{sync}");
        assert_eq!(
            [&one, &two].map(status),
            [200, 429],
            "{sync}: two more than there were are owed"
        );
        // One that is refused by another limit takes nothing from this one.
        let both = yaml.replace("rate_limit: shared }", "rate_limit: [shared, strict] }").replace(
            "policies: { rate_limit: {",
            "policies: { rate_limit: { strict: { store: main, limit: 1/h, burst: 1 },",
        );
        redis.cli(&["flushall"]);
        let gateway = start(&both);
        assert_eq!([&gateway, &gateway, &gateway].map(status), [200, 429, 429], "{sync}");
        let members = || ask(&gateway, "203.0.113.7").head.all("ratelimit").join(", ");
        until("what was taken is put back", || members().contains("\"shared\";r=6"));
    }
}

#[test]
fn a_shadow_refuses_nobody() {
    let (redis, upstream) = (Redis::start(), Raw::text("in"));
    let gateway = start(&file(&upstream, &store_of(&redis), "limit: 1/h, mode: shadow"));
    for _ in 0..3 {
        let answer = ask(&gateway, "203.0.113.7");
        assert_eq!(answer.status, 200);
        assert!(answer.header("ratelimit").is_none(), "it does not bind");
    }
    let count = |result| {
        let labels = [("route", "app"), ("kind", "rate_limit"), ("result", result)];
        gateway.metric("tidegate_policy_decisions_total", &labels)
    };
    assert_eq!((count("allowed"), count("shadow"), count("denied")), (Some(1.0), Some(2.0), None));
}

#[test]
fn reloads_keep_connections_and_leases() {
    let (redis, upstream) = (Redis::start(), Raw::text("in"));
    let yaml =
        file(&upstream, &store_of(&redis), "limit: 100/h, burst: 50, sync: leased, batch: 20");
    let gateway = start(&yaml);
    assert_eq!(left(&ask(&gateway, "203.0.113.7")), 49);
    let connections = || redis.cli(&["info", "stats"]);
    let received = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("total_connections_received:"));
        line.and_then(|line| line.trim().split_once(':')?.1.parse::<u64>().ok()).expect("a number")
    };
    let before = received(&connections());
    let said = gateway.reload(&yaml.replace("burst: 50,", "burst: 50, headers: both,"));
    assert!(said.contains("rate_limit"), "{said}");
    assert_eq!(left(&ask(&gateway, "203.0.113.7")), 48);
    // The tool that asks is the only one that has connected.
    assert_eq!(received(&connections()), before + 1);
    let said = gateway.reload(&yaml.replace("gateways: 2", "gateways: 3"));
    assert!(said.contains("~ store main  gateways"), "{said}");
    until("the store is up", || is_up(&gateway) == Some(1.0));
    // One that was taken ahead may be on its way back.
    let left = left(&ask(&gateway, "203.0.113.7"));
    assert!((46..=47).contains(&left), "what is counted there stays: {left}");
}

/// A running gateway asks the store how things stand, and takes nothing.
#[test]
fn explain_tells_what_all_gateways_have_left() {
    let (mut redis, upstream) = (Redis::start(), Raw::text("in"));
    let limit = "limit: 3/h, burst: 3, key: route, on_store_error: deny";
    let yaml = file(&upstream, &store_of(&redis), limit);
    let (one, two) = (start(&yaml), start(&yaml));
    let explain = || {
        let output = two.verb(&["explain", "GET", "http://h/", "--live", "--format", "json"]);
        everything(&output)
    };
    for left in [3, 2, 1] {
        assert!(explain().contains(&format!("this request: {left} left at once")), "{}", explain());
        assert_eq!(status(&one), 200);
    }
    assert!(explain().contains("rate_limited"), "{}", explain());
    redis.kill();
    until("it is away", || is_up(&two) == Some(0.0));
    let said = explain();
    assert!(said.contains("503 limit_unavailable"), "{said}");
    assert!(said.contains("store main is away now") && !said.contains("forwarded"), "{said}");
    assert_eq!(status(&two), 503, "as requests get it");
}

// === how many pass ===

/// Ten times as many as may pass, or more, come to two gateways for so long: how many pass, and how many
/// may.
fn offered(sync: &str, seconds: u64) -> (f64, f64) {
    const RATE: f64 = 100.0;
    const BURST: f64 = 100.0;
    let (redis, upstream) = (Redis::start(), Raw::text("in"));
    let limit = format!("limit: 100/s, burst: 100, key: route, {sync}");
    let yaml = file(&upstream, &store_of(&redis), &limit);
    let (one, two) = (start(&yaml), start(&yaml));
    let started = Instant::now();
    let load = |gateway: &Gateway| -> Load {
        let seconds = seconds.to_string();
        h2load(&["--h1", "-c", "8", "-t", "1", "-D", &seconds, &gateway.url("http")])
    };
    let loads = std::thread::scope(|scope| {
        let both = [&one, &two].map(|gateway| scope.spawn(move || load(gateway)));
        both.map(|thread| thread.join().expect("h2load runs"))
    });
    let took = started.elapsed().as_secs_f64();
    let count = |result| {
        let labels = [("kind", "rate_limit"), ("result", result)];
        let of = |gateway: &Gateway| {
            gateway.metric("tidegate_policy_decisions_total", &labels).unwrap_or(0.0)
        };
        of(&one) + of(&two)
    };
    let (allowed, denied) = (count("allowed"), count("denied"));
    let may = BURST + RATE * took;
    println!(
        "{sync}: {allowed} of {} passed in {took:.2}s, {may:.0} may; {} calls",
        allowed + denied,
        calls(&one, "answered") + calls(&two, "answered")
    );
    assert!(loads.iter().all(|load| load.ok > 0), "{loads:?}");
    assert!(allowed + denied >= 10.0 * RATE * took, "too few came: {allowed} {denied} in {took}");
    assert_eq!((degraded(&one, "local"), degraded(&two, "local")), (0.0, 0.0));
    // Nobody is held back either, but for the moment both wait for the first answer and the last is over.
    assert!(allowed >= 0.9 * RATE * (took - 1.0), "{allowed} in {took}");
    (allowed, may)
}

#[test]
fn exact_lets_pass_what_the_limit_says_and_none_more() {
    let (allowed, may) = offered("sync: exact", 8);
    assert!(allowed <= may, "{allowed} {may}");
}

#[test]
fn leased_lets_pass_no_more_than_its_bound() {
    let (allowed, may) = offered("sync: leased, batch: 10", 8);
    assert!(allowed <= may + 2.0 * 10.0, "{allowed} {may}");
}

/// `cargo test --release --test it -- --ignored --nocapture a_minute_of_ten_times_too_many`
#[test]
#[ignore = "takes two minutes"]
fn a_minute_of_ten_times_too_many() {
    let (allowed, may) = offered("sync: exact", 60);
    assert!(allowed <= may, "{allowed} {may}");
    let (allowed, may) = offered("sync: leased, batch: 10", 60);
    assert!(allowed <= may + 2.0 * 10.0, "{allowed} {may}");
}
