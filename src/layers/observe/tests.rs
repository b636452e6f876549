//! Tests of the observing layer: what is recorded, and when.

use std::{fs, future::pending, path::PathBuf, sync::Mutex, time::Duration};

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tower::{ServiceExt as _, service_fn};

use super::*;
use crate::{
    body::BoxError,
    config::model::{self, AccessFormat, AccessTarget, QueryLog},
    error::{Error, Reason},
    telemetry::{
        exchange::{Exchange, Head},
        testing,
    },
};

/// An observed route and what it wrote.
struct Setup {
    observe: Arc<Observe>,
    log: PathBuf,
    _dir: TempDir,
}

impl Setup {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let log = dir.path().join("log");
        let metrics = Arc::new(Metrics::new(&[0.1, 1.0, 10.0]));
        metrics.listener(&"web".into());
        let settings = model::AccessLog {
            format: AccessFormat::Json,
            to: AccessTarget::File(log.clone()),
            only_status: Vec::new(),
            only_slower_than: None,
            sample: 1.0,
            request_headers: vec![HeaderName::from_static("x-in")],
            response_headers: vec![HeaderName::from_static("x-out")],
            query: QueryLog::Keep,
        };
        let access = AccessLog::open(&settings, None, metrics.log_dropped()).unwrap();
        let observe = Observe {
            route: metrics.route(&"orders".into()),
            metrics,
            access_log: Some(Arc::new(access)),
            own: Own { request_id: HeaderName::from_static("x-request-id"), via: None },
        };
        Self { observe: Arc::new(observe), log, _dir: dir }
    }

    /// The records so far.
    fn lines(&self) -> Vec<serde_json::Value> {
        let log = self.observe.access_log.as_ref().unwrap();
        assert!(log.flush(Duration::from_secs(30)));
        let text = fs::read_to_string(&self.log).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn in_flight(&self) -> String {
        let text = self.observe.metrics.render();
        let mut lines = text.lines();
        let line = lines.find(|l| l.starts_with("tidegate_http_requests_in_flight{")).unwrap();
        line.rsplit_once(' ').unwrap().1.to_owned()
    }

    /// Passes a request to a service that answers `response`.
    async fn call(&self, head: Head, response: Response) -> (Arc<Exchange>, Response) {
        let exchange = Arc::new(Exchange::new(head));
        let response = Mutex::new(Some(response));
        let inner = service_fn(|_: Request| {
            let response = response.lock().unwrap().take().unwrap();
            async { Ok::<_, Infallible>(response) }
        });
        let service = ObserveLayer::new(Arc::clone(&self.observe)).layer(inner);
        let Ok(response) = service.oneshot(request(&exchange)).await;
        (exchange, response)
    }
}

fn request(exchange: &Arc<Exchange>) -> Request {
    let mut request = Request::new(Body::empty());
    request.headers_mut().insert("x-in", "in".parse().unwrap());
    request.extensions_mut().insert(Arc::clone(exchange));
    request
}

fn answer(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert("x-out", "out".parse().unwrap());
    response
}

/// A body of these frames, without a length, that goes on for ever after a `None`.
struct Frames(Vec<Option<Result<Frame<Bytes>, BoxError>>>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.0.is_empty() {
            true => Poll::Ready(None),
            false => match self.0.remove(0) {
                Some(frame) => Poll::Ready(Some(frame)),
                None => Poll::Pending,
            },
        }
    }
}

fn data(text: &'static str) -> Option<Result<Frame<Bytes>, BoxError>> {
    Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
}

#[tokio::test(start_paused = true)]
async fn the_record_is_written_when_the_body_has_ended() {
    let setup = Setup::new();
    let exchange = Arc::new(Exchange::new(testing::head()));
    let inner = service_fn(|request: Request| async move {
        let exchange = request.extensions().get::<Arc<Exchange>>().unwrap();
        exchange.received(5);
        exchange.note(|outcome| {
            outcome.upstream = Some("orders".into());
            outcome.tries = 1;
            outcome.upstream_time = Some(Duration::from_millis(30));
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok::<_, Infallible>(answer(Body::wrap(Frames(vec![data("hello"), data("!")]))))
    });
    let service = ObserveLayer::new(Arc::clone(&setup.observe)).layer(inner);
    let Ok(response) = service.oneshot(request(&exchange)).await;
    assert_eq!(response.headers()["x-request-id"], exchange.id.as_str());
    assert_eq!((setup.lines().len(), setup.in_flight().as_str()), (0, "1"));
    tokio::time::advance(Duration::from_millis(25)).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello!");
    let lines = setup.lines();
    assert_eq!(setup.in_flight(), "0");
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for (field, value) in [
        ("status", 200.into()),
        ("reason", serde_json::Value::Null),
        ("bytes_in", 5.into()),
        ("bytes_out", 6.into()),
        ("dur_ms", 75.0.into()),
        ("gateway_ms", 20.0.into()),
        ("upstream_ms", 30.0.into()),
        ("request_headers", serde_json::json!({"x-in": "in"})),
        ("response_headers", serde_json::json!({"x-out": "out"})),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
    let text = setup.observe.metrics.render();
    assert!(
        text.contains(
            "tidegate_http_requests_total{listener=\"web\",route=\"orders\",upstream=\"orders\",\
             method=\"GET\",code=\"200\"} 1\n"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn a_client_that_leaves_during_the_body_is_gone() {
    let setup = Setup::new();
    let body = Body::wrap(Frames(vec![data("hello"), None]));
    let (_, response) = setup.call(testing::head(), answer(body)).await;
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(setup.lines().len(), 0);
    drop(body);
    let lines = setup.lines();
    assert_eq!((&lines[0]["reason"], &lines[0]["status"]), (&"client_gone".into(), &200.into()));
    assert_eq!((lines.len(), &lines[0]["bytes_out"]), (1, &5.into()));
    let text = setup.observe.metrics.render();
    let series = "tidegate_gateway_errors_total{route=\"orders\",reason=\"client_gone\"} 1\n";
    assert!(text.contains(series), "{text}");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_gone_with_499() {
    let setup = Setup::new();
    let exchange = Arc::new(Exchange::new(testing::head()));
    let inner = service_fn(|_: Request| pending::<Result<Response, Infallible>>());
    let service = ObserveLayer::new(Arc::clone(&setup.observe)).layer(inner);
    let future = service.oneshot(request(&exchange));
    assert!(tokio::time::timeout(Duration::from_millis(5), future).await.is_err());
    let lines = setup.lines();
    assert_eq!((&lines[0]["reason"], &lines[0]["status"]), (&"client_gone".into(), &499.into()));
    assert_eq!((lines.len(), setup.in_flight().as_str()), (1, "0"));
}

#[tokio::test]
async fn a_reason_already_noted_is_kept_when_the_client_leaves() {
    let setup = Setup::new();
    let body = Body::wrap(Frames(vec![None]));
    let (exchange, response) = setup.call(testing::head(), answer(body)).await;
    exchange.note(|outcome| outcome.reason = Some(Reason::RequestTimeout));
    drop(response);
    assert_eq!(setup.lines()[0]["reason"], "request_timeout");
}

#[tokio::test]
async fn a_body_that_fails_says_why() {
    let upstream = |upstream: Option<&'static str>, error: BoxError| async move {
        let setup = Setup::new();
        let body = Body::wrap(Frames(vec![data("a"), Some(Err(error))]));
        let (exchange, response) = setup.call(testing::head(), answer(body)).await;
        exchange.note(|outcome| outcome.upstream = upstream.map(Into::into));
        response.into_body().collect().await.unwrap_err();
        let lines = setup.lines();
        assert_eq!(lines.len(), 1);
        lines[0]["reason"].clone()
    };
    assert_eq!(upstream(Some("orders"), "reset".into()).await, "upstream_reset");
    assert_eq!(upstream(None, "odd".into()).await, "internal");
    let timeout = Box::new(Error::from(Reason::UpstreamTimeout));
    assert_eq!(upstream(Some("orders"), timeout).await, "upstream_timeout");
}

#[tokio::test]
async fn answers_without_a_body_end_at_once() {
    let endless = || Body::wrap(Frames(vec![None]));
    let head = |method| Head { method, ..testing::head() };
    let with = |status, body| {
        let mut response = answer(body);
        *response.status_mut() = status;
        response
    };
    for (method, response) in [
        (Method::HEAD, with(StatusCode::OK, Body::full("hello"))),
        (Method::GET, with(StatusCode::NO_CONTENT, endless())),
        (Method::GET, with(StatusCode::NOT_MODIFIED, endless())),
        (Method::GET, with(StatusCode::SWITCHING_PROTOCOLS, endless())),
        (Method::GET, with(StatusCode::OK, Body::empty())),
    ] {
        let setup = Setup::new();
        let (_, response) = setup.call(head(method), response).await;
        let lines = setup.lines();
        assert_eq!(lines.len(), 1, "{response:?}");
        assert_eq!(lines[0]["reason"], serde_json::Value::Null);
        assert_eq!(lines[0]["bytes_out"], 0);
        drop(response);
        assert_eq!(setup.lines().len(), 1);
    }
}

#[tokio::test]
async fn all_announced_bytes_are_a_whole_body_without_asking_for_the_end() {
    /// Knows its length, but not that it has ended.
    struct Sized(Frames);
    impl HttpBody for Sized {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(5)
        }
    }
    let setup = Setup::new();
    let body = Body::wrap(Sized(Frames(vec![data("hello"), None])));
    let (_, response) = setup.call(testing::head(), answer(body)).await;
    assert_eq!(response.body().size_hint().exact(), Some(5));
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(setup.lines()[0]["reason"], serde_json::Value::Null);
}

#[tokio::test]
async fn trailers_pass_and_end_the_record() {
    let setup = Setup::new();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let frames = vec![data("a"), Some(Ok(Frame::trailers(trailers)))];
    let (_, response) = setup.call(testing::head(), answer(Body::wrap(Frames(frames)))).await;
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert_eq!(setup.lines().len(), 0);
    assert_eq!(body.frame().await.unwrap().unwrap().trailers_ref().unwrap()["grpc-status"], "0");
    assert_eq!(setup.lines()[0]["reason"], serde_json::Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_ends_its_record() {
    let setup = Setup::new();
    let tunnel = Arc::new(Tunnel::default());
    let mut response = answer(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.extensions_mut().insert(Arc::clone(&tunnel));
    let (_, response) = setup.call(testing::head(), response).await;
    drop(response);
    assert_eq!((setup.lines().len(), setup.in_flight().as_str()), (0, "1"));
    tunnel.sent(7);
    tokio::time::advance(Duration::from_secs(5)).await;
    drop(tunnel);
    let lines = setup.lines();
    assert_eq!((&lines[0]["status"], &lines[0]["bytes_out"]), (&101.into(), &7.into()));
    assert_eq!(lines[0]["reason"], serde_json::Value::Null);
    assert_eq!((&lines[0]["dur_ms"], setup.in_flight().as_str()), (&5000.0.into(), "0"));
}

#[tokio::test]
async fn a_route_may_want_no_line() {
    let setup = Setup::new();
    let mut head = testing::head();
    Arc::get_mut(&mut head.route).unwrap().access_log = false;
    setup.call(head, answer(Body::empty())).await;
    assert_eq!(setup.lines().len(), 0);
    assert!(setup.observe.metrics.render().contains("tidegate_http_requests_total{"));
}
