//! The layer, in front of a service that counts.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use http::{HeaderMap, Method};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    body::Body,
    config::model::{Period, Window},
    limit::Limiter,
    telemetry::testing,
};

fn rule(most: u32, burst: u32) -> RateLimit {
    let number = |number| NonZeroU32::new(number).expect("more than nothing");
    let period = Period::Every(Duration::from_secs(60));
    limit::tests::rule(vec![Window { limit: number(most), period, burst: number(burst) }])
}

/// A limit under this name, with buckets of its own.
fn limit(rule: RateLimit, name: &str) -> Limit {
    let shown = Shown::new(&rule, &name.into(), Arc::new(Limiter::new(&rule)));
    Limit { rule: Arc::new(rule), shown: Arc::new(shown), decisions: Arc::default(), stored: None }
}

/// A route behind these limits, and how many have come to it.
struct Route {
    layer: RateLimitLayer,
    seen: Arc<AtomicUsize>,
    /// What the answer says a request has cost.
    cost: Option<&'static str>,
}

impl Route {
    fn new(limits: Vec<Limit>) -> Self {
        Self { layer: RateLimitLayer::new(limits, true), seen: Arc::default(), cost: None }
    }

    /// A request, and the fields its client is told of.
    async fn ask(&self, method: Method, ip: &str) -> (Result<Response, Error>, HeaderMap) {
        let mut head = testing::head();
        head.client_ip = ip.parse().ok();
        head.method = method;
        let exchange = Arc::new(Exchange::new(head));
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(Arc::clone(&exchange));
        let (seen, cost) = (Arc::clone(&self.seen), self.cost);
        let inner = service_fn(move |_: Request| {
            seen.fetch_add(1, Relaxed);
            let mut response = Response::new(Body::empty());
            if let Some(cost) = cost {
                response.headers_mut().insert("x-cost", HeaderValue::from_static(cost));
            }
            std::future::ready(Ok::<_, Error>(response))
        });
        let answer = self.layer.layer(inner).oneshot(request).await;
        let mut fields = HeaderMap::new();
        exchange.note(|outcome| limit::fields::insert(&mut fields, &outcome.limits));
        (answer, fields)
    }

    async fn passes(&self) -> bool {
        self.ask(Method::GET, "192.0.2.1").await.0.is_ok()
    }
}

fn left(fields: &HeaderMap) -> Vec<u32> {
    let text = fields.get("ratelimit").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let of = |item: &str| item.split_once(";r=")?.1.split_once(';')?.0.parse().ok();
    text.split(", ").filter_map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_it_is_a_429_that_says_when_to_come_again() {
    let route = Route::new(vec![limit(rule(6, 2), "per-ip")]);
    assert_eq!(left(&route.ask(Method::GET, "192.0.2.1").await.1), [1]);
    assert!(route.passes().await);
    let (answer, fields) = route.ask(Method::GET, "192.0.2.1").await;
    let error = answer.expect_err("the third of two");
    assert_eq!(error.reason(), Reason::RateLimited);
    assert!(error.detail().contains("`per-ip`"), "{}", error.detail());
    assert_eq!(error.headers(), [(RETRY_AFTER, HeaderValue::from_static("10"))]);
    let problem = error.kind().expect("a problem");
    assert_eq!(problem.kind, QUOTA_EXCEEDED);
    assert_eq!(problem.member, (VIOLATED, serde_json::json!(["per-ip"])));
    assert_eq!(fields["ratelimit"], "\"per-ip\";r=0;t=10");
    assert_eq!(fields["ratelimit-policy"], "\"per-ip\";q=6;w=60");
    assert_eq!(route.seen.load(Relaxed), 2, "the third one went no further");
    assert!(route.ask(Method::GET, "192.0.2.2").await.0.is_ok(), "another client");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(route.passes().await && !route.passes().await);
}

#[tokio::test(start_paused = true)]
async fn when_one_limit_refuses_the_others_take_nothing() {
    let route =
        Route::new(vec![limit(rule(60, 9), "a"), limit(rule(1, 1), "b"), limit(rule(60, 9), "c")]);
    assert_eq!(left(&route.ask(Method::GET, "192.0.2.1").await.1), [8, 0, 8]);
    for _ in 0..5 {
        let (answer, fields) = route.ask(Method::GET, "192.0.2.1").await;
        assert_eq!(left(&fields), [8, 0, 8]);
        let error = answer.expect_err("`b` has had one");
        assert_eq!(error.kind().expect("a problem").member.1, serde_json::json!(["b"]));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_exempt_is_neither_counted_nor_told() {
    let exempt = vec!["10.0.0.0/8".parse().expect("a network")];
    let route = Route::new(vec![limit(RateLimit { exempt, ..rule(1, 1) }, "per-ip")]);
    for ip in ["10.1.2.3", "::ffff:10.1.2.3", "10.1.2.3"] {
        let (answer, fields) = route.ask(Method::GET, ip).await;
        assert!(answer.is_ok() && fields.is_empty(), "{ip}");
    }
    assert!(route.passes().await && !route.passes().await);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_counts_and_lets_everybody_pass() {
    let shadow = limit(RateLimit { mode: Mode::Shadow, ..rule(1, 1) }, "per-ip");
    let decisions = Arc::clone(&shadow.decisions);
    let route = Route::new(vec![shadow]);
    for _ in 0..3 {
        let (answer, fields) = route.ask(Method::GET, "192.0.2.1").await;
        assert!(answer.is_ok() && fields.is_empty());
    }
    assert_eq!(
        [Verdict::Allowed, Verdict::Denied, Verdict::Shadow].map(|v| decisions.of(v)),
        [1, 0, 2]
    );
}

#[tokio::test(start_paused = true)]
async fn methods_have_their_costs() {
    let cost = Cost::Methods(vec![(Method::POST, 3), (Method::OPTIONS, 0)]);
    let route = Route::new(vec![limit(RateLimit { cost, ..rule(5, 5) }, "per-ip")]);
    let ask = async |method| left(&route.ask(method, "192.0.2.1").await.1);
    assert_eq!(ask(Method::POST).await, [2]);
    assert_eq!(ask(Method::POST).await, [2], "refused");
    assert_eq!(ask(Method::GET).await, [1]);
    assert_eq!(
        ask(Method::OPTIONS).await,
        [0; 0],
        "costs nothing, and is no business of the limit"
    );
    assert_eq!(route.seen.load(Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_answer_says_is_taken_afterwards() {
    let cost = || Cost::Answer("x-cost".parse().expect("a name"));
    let mut route = Route::new(vec![limit(RateLimit { cost: cost(), ..rule(60, 10) }, "per-ip")]);
    for (said, expected) in
        [(None, 9), (Some("4"), 5), (Some("0"), 5), (Some("many"), 4), (Some("9"), 0)]
    {
        route.cost = said;
        let (answer, fields) = route.ask(Method::GET, "192.0.2.1").await;
        assert_eq!(left(&fields), [expected], "{said:?}");
        assert!(answer.expect("it passes").headers().is_empty(), "the client does not see it");
    }
    assert!(!route.passes().await, "five are owed");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(!route.passes().await);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(route.passes().await);
}
