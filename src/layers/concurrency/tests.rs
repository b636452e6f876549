//! The layer around a service that waits, with paused time.

use std::collections::BTreeMap;

use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::service_fn;

use super::*;
use crate::{
    admission,
    body::Body,
    config::model::Bound,
    layers::shared::SharedService,
    telemetry::{exchange::Head, metrics::Metrics, testing},
};

const SECOND: Duration = Duration::from_secs(1);

fn exchange() -> Arc<Exchange> {
    Arc::new(Exchange::new(testing::head()))
}

fn request(exchange: &Arc<Exchange>) -> Request {
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(Arc::clone(exchange));
    request
}

fn limit(places: usize, mode: Mode) -> Limit {
    let settings = admission::Settings { bound: Bound::Fixed(places), queue: Some(1) };
    Limit {
        policy: "few".into(),
        places: Places::new(settings, &[]),
        patience: SECOND,
        mode,
        decisions: Arc::default(),
    }
}

/// A route with these limits, whose upstream answers at once.
fn service(limits: Vec<Limit>, class: PriorityClass) -> ConcurrencyService {
    let metrics = Metrics::new(&[1.0]).route(&"orders".into());
    let inner = service_fn(|_: Request| async { Ok(Response::new(Body::full("hello"))) });
    let layer = ConcurrencyLayer::new(Settings { class, limits, shedding: None, metrics });
    layer.layer(SharedService::new(inner))
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_until_the_record_is_written() {
    let limit = limit(1, Mode::Enforce);
    let Places::Shared(limiter) = limit.places.clone() else { panic!("no key") };
    let mut service = service(vec![limit], PriorityClass::default());
    let first = exchange();
    let response = service.call(request(&first)).await.expect("a place");
    response.into_body().collect().await.expect("a body");
    assert_eq!(limiter.in_flight(), 1, "somebody may still be reading");
    let error = service.call(request(&exchange())).await.expect_err("no place in time");
    assert_eq!(error.reason(), Reason::Overloaded);
    assert_eq!(error.detail(), "queue_timeout of `few`, class normal");
    drop(first.take_outcome());
    assert_eq!(limiter.in_flight(), 0);
    // A client that leaves while its answer is made.
    drop(service.call(request(&exchange())));
    assert_eq!(limiter.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn all_limits_hold_and_none_is_kept_by_who_is_refused() {
    let (wide, narrow) = (limit(5, Mode::Enforce), limit(1, Mode::Enforce));
    let Places::Shared(limiter) = wide.places.clone() else { panic!("no key") };
    let mut service = service(vec![wide, narrow], PriorityClass::default());
    let held = exchange();
    service.call(request(&held)).await.expect("a place of both");
    assert!(service.call(request(&exchange())).await.is_err());
    assert_eq!(limiter.in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_consumer_has_places_of_its_own() {
    let settings = admission::Settings { bound: Bound::Fixed(1), queue: Some(0) };
    let places = Places::new(settings, &[KeyPart::Consumer]);
    let limit = Limit { places, ..limit(1, Mode::Enforce) };
    let mut service = service(vec![limit], PriorityClass::default());
    let of = |consumer: &str| {
        let exchange = exchange();
        exchange.note(|outcome| outcome.consumer = Some(consumer.into()));
        exchange
    };
    let (ann, bob) = (of("ann"), of("bob"));
    assert!(service.call(request(&ann)).await.is_ok());
    assert!(service.call(request(&bob)).await.is_ok());
    let error = service.call(request(&of("ann"))).await.expect_err("ann has one under way");
    assert_eq!(error.reason(), Reason::RateLimited);
    drop(ann.take_outcome());
    assert!(service.call(request(&of("ann"))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_only_watches_keeps_nobody_waiting() {
    let limit = limit(1, Mode::Shadow);
    let mut service = service(vec![limit], PriorityClass::default());
    let (first, second) = (exchange(), exchange());
    let begun = Instant::now();
    assert!(service.call(request(&first)).await.is_ok());
    assert!(service.call(request(&second)).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn the_class_is_what_those_say_who_are_believed() {
    let classes = BTreeMap::from([("ann".to_owned(), Class::High), ("1".to_owned(), Class::Low)]);
    let by = |by| PriorityClass::By { by, classes: classes.clone(), default: Class::Normal };
    let header = || ClassBy::Header("x-plan".parse().expect("a name"));
    let claim = |name: &str| ClassBy::Claim(name.to_owned());
    let table = [
        (by(ClassBy::Consumer), false, Class::High),
        (by(claim("plan")), false, Class::Low),
        (by(claim("other")), false, Class::Normal),
        (by(header()), false, Class::Normal),
        (by(header()), true, Class::High),
        (PriorityClass::Fixed(Class::Low), false, Class::Normal),
    ];
    for (class, trusted, expected) in table {
        let exchange = Arc::new(Exchange::new(Head { trusted, ..testing::head() }));
        exchange.note(|outcome| {
            outcome.consumer = Some("ann".into());
            let claims = serde_json::json!({ "plan": 1 });
            outcome.claims = claims.as_object().cloned().map(Arc::new);
        });
        let mut request = request(&exchange);
        request.headers_mut().insert("x-plan", "ann".parse().expect("a value"));
        let shown = format!("{class:?}, trusted {trusted}");
        service(Vec::new(), class).call(request).await.expect("an answer");
        assert_eq!(exchange.class(), expected, "{shown}");
    }
}
