//! Active health checks: an endpoint that fails them gets no requests, and nobody notices.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use rustix::process::Signal;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService},
    transport::server::TcpIncoming,
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::support::{prelude::*, wait::spawn};

/// An upstream that says its name, and to checks the status it is told to.
struct App {
    raw: Raw,
    status: Arc<AtomicU16>,
    checks: Arc<AtomicUsize>,
}

impl App {
    fn start(name: &'static str) -> Self {
        let (status, checks) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicUsize::new(0)));
        let (said, count) = (Arc::clone(&status), Arc::clone(&checks));
        let raw = Raw::serve(move |peer| {
            while let Some(request) = peer.request() {
                if request.head.word(1) != "/up" {
                    peer.ok(name.as_bytes());
                    continue;
                }
                let status = said.load(Ordering::SeqCst);
                peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
                count.fetch_add(1, Ordering::SeqCst);
                return;
            }
        });
        Self { raw, status, checks }
    }

    fn says(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn checks(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }

    /// Requests that are no checks.
    fn requests(&self) -> usize {
        self.raw.requests().iter().filter(|head| head.word(1) != "/up").count()
    }
}

/// One upstream of these, checked with these settings.
fn over(apps: &[&App], health: &str) -> String {
    let urls: Vec<_> = apps.iter().map(|app| format!("\"{}\"", app.raw.url())).collect();
    checked(&urls.join(", "), &format!("path: /up, {health}"))
}

fn checked(endpoints: &str, health: &str) -> String {
    format!(
        "upstreams: {{ app: {{ endpoints: [{endpoints}], lb: round_robin, health: {{ {health} }} }} }}\n\
         routes: {{ app: {{ to: app }} }}\n"
    )
}

fn up(gateway: &Gateway, app: &App) -> Option<f64> {
    gateway.metric("tidegate_endpoint_up", &[("endpoint", &app.raw.url())])
}

const FAST: &str = "every: 500ms, timeout: 500ms";

#[test]
fn an_endpoint_is_out_while_its_checks_fail() {
    let (a, b) = (App::start("a"), App::start("b"));
    let mut gateway =
        Gateway::start(&over(&[&a, &b], &format!("{FAST}, unhealthy_after: 3, healthy_after: 4")));
    let mut client = gateway.client();
    let answers: String = (0..10).map(|_| client.get("h", "/").text()).collect();
    assert_eq!(answers.matches('a').count(), 5, "{answers}");
    a.says(500);
    let before = a.checks();
    let url = a.raw.url();
    gateway.wait_log(&["an endpoint is unhealthy", "\"app\"", &url, "status 500"]);
    let failed = a.checks() - before;
    assert!((3..=5).contains(&failed), "{failed} checks until it was out");
    assert_eq!(up(&gateway, &a), Some(0.0));
    let answers: String = (0..20).map(|_| client.get("h", "/").text()).collect();
    assert_eq!(answers, "b".repeat(20));
    a.says(204);
    let before = a.checks();
    gateway.wait_log(&["an endpoint is healthy", &url]);
    let passed = a.checks() - before;
    assert!((4..=6).contains(&passed), "{passed} checks until it was back");
    assert_eq!(up(&gateway, &a), Some(1.0));
    let answers: String = (0..10).map(|_| client.get("h", "/").text()).collect();
    assert_eq!(answers.matches('a').count(), 5, "{answers}");
    let said = gateway.logs();
    assert_eq!(said.matches("an endpoint is unhealthy").count(), 1, "{said}");
    assert_eq!(said.matches("an endpoint is healthy").count(), 1, "{said}");
    for result in ["good", "bad"] {
        let name = "tidegate_endpoint_health_checks_total";
        let count = gateway.metric(name, &[("endpoint", &url), ("result", result)]);
        assert!(count >= Some(3.0), "{result}: {count:?}");
    }
}

/// Sets it when dropped.
struct End<'o>(&'o AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn clients_see_no_error_while_endpoints_come_and_go() {
    let (a, b) = (App::start("a"), App::start("b"));
    let settings = format!("{FAST}, unhealthy_after: 1, healthy_after: 1");
    let gateway = Gateway::start(&over(&[&a, &b], &settings));
    let over = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = gateway.client();
                while !over.load(Ordering::SeqCst) {
                    assert_eq!(client.get("h", "/").status, 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                    pause(Duration::from_millis(1));
                }
            });
        }
        // Also where this panics.
        let end = End(&over);
        for _ in 0..2 {
            for app in [&a, &b] {
                app.says(503);
                until("it is out", || up(&gateway, app) == Some(0.0));
                // Those chosen before it was out may still be on their way.
                pause(Duration::from_millis(50));
                let before = app.requests();
                pause(Duration::from_millis(100));
                assert_eq!(app.requests(), before, "it gets requests while it is out");
                app.says(200);
                until("it is back", || up(&gateway, app) == Some(1.0));
                until("it gets requests", || app.requests() > before);
            }
        }
        drop(end);
    });
    assert!(answered.load(Ordering::SeqCst) > 100);
}

#[test]
fn a_server_that_stands_still_is_noticed() {
    let (stopped, other) = (
        Nginx::start("location / { return 200 a; }"),
        Nginx::start("location / { return 200 b; }"),
    );
    let mut gateway = Gateway::start(&checked(
        &format!("\"{}\", \"{}\"", stopped.url(), other.url()),
        "path: /, every: 500ms, timeout: 500ms, unhealthy_after: 2, healthy_after: 1",
    ));
    let mut client = gateway.client();
    let answers: String = (0..10).map(|_| client.get("h", "/").text()).collect();
    assert_eq!(answers.matches('a').count(), 5, "{answers}");
    stopped.signal(Signal::STOP);
    gateway.wait_log(&["an endpoint is unhealthy", &stopped.url(), "timeout: no answer in time"]);
    let answers: String = (0..20).map(|_| client.get("h", "/").text()).collect();
    assert_eq!(answers, "b".repeat(20));
    stopped.signal(Signal::CONT);
    gateway.wait_log(&["an endpoint is healthy", &stopped.url()]);
    until("it gets requests again", || client.get("h", "/").text() == "a");
}

#[test]
fn a_reload_forgets_nothing() {
    let (a, b) = (App::start("a"), App::start("b"));
    let settings = |every: &str| over(&[&a, &b], &format!("every: {every}, unhealthy_after: 1"));
    let mut gateway = Gateway::start(&settings("2s"));
    a.says(500);
    gateway.wait_log(&["an endpoint is unhealthy"]);
    let mut client = gateway.client();
    let mut all_b = |when: &str| {
        let answers: String = (0..20).map(|_| client.get("h", "/").text()).collect();
        assert_eq!(answers, "b".repeat(20), "{when}");
    };
    all_b("before");
    gateway.reload(&format!("{}# the same\n", settings("2s")));
    all_b("nothing has changed");
    gateway.reload(&settings("1h"));
    all_b("other checks");
    gateway.reload(&settings("1h").replace("lb:", "connect_timeout: 7s, lb:"));
    all_b("other connections");
    assert_eq!(up(&gateway, &a), Some(0.0));
    // Without checks nobody knows that it is sick.
    let urls = format!("\"{}\", \"{}\"", a.raw.url(), b.raw.url());
    gateway.reload(&format!("upstreams: {{ app: [{urls}] }}\nroutes: {{ app: {{ to: app }} }}\n"));
    until("it is asked again", || client.get("h", "/").text() == "a");
    assert_eq!(up(&gateway, &a), Some(1.0));
    let last = a.checks();
    pause(Duration::from_millis(1500));
    assert_eq!(a.checks(), last, "it is still checked");
}

#[test]
fn with_none_healthy_the_answer_is_503_or_they_are_used_all_the_same() {
    let (a, b) = (App::start("a"), App::start("b"));
    let settings = "every: 1500ms, timeout: 1s, unhealthy_after: 1";
    a.says(500);
    b.says(404);
    let gateway = Gateway::start(&over(&[&a, &b], settings));
    until("both are out", || [&a, &b].map(|app| up(&gateway, app)) == [Some(0.0); 2]);
    let mut client = gateway.client();
    let answer = client.get("h", "/");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.reason(), "no_healthy_endpoint");
    assert_eq!(answer.header("retry-after"), Some("2"));
    gateway.reload(&over(&[&a, &b], &format!("{settings}, on_none_healthy: use_all")));
    let answers: String = (0..10).map(|_| client.get("h", "/").text()).collect();
    assert_eq!(answers.matches('a').count(), 5, "{answers}");
    // But not where one of them is.
    b.says(200);
    until("one is healthy", || up(&gateway, &b) == Some(1.0));
    let answers: String = (0..10).map(|_| client.get("h", "/").text()).collect();
    assert_eq!(answers, "b".repeat(10));
}

#[test]
fn an_endpoint_that_must_prove_itself_gets_nothing_before() {
    let a = App::start("a");
    a.says(503);
    let mut gateway =
        Gateway::start(&over(&[&a], &format!("{FAST}, healthy_after: 2, initial: unhealthy")));
    let answer = gateway.get("h", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "no_healthy_endpoint"));
    gateway.wait_log(&["an endpoint is not healthy yet", "status 503"]);
    assert_eq!(a.requests(), 0);
    a.says(200);
    until("it may answer", || gateway.get("h", "/").status == 200);
}

// === gRPC ===

/// The messages as a generator would have made them.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// A server's health service; the status of `shop.Cart` can be changed.
#[derive(Clone)]
struct Health(Arc<AtomicUsize>);

impl NamedService for Health {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl tower::Service<http::Request<Body>> for Health {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let status = Arc::clone(&self.0);
        Box::pin(async move {
            let check = service_fn(|asked: Request<HealthCheckRequest>| {
                let status = status.load(Ordering::SeqCst).try_into().unwrap();
                async move {
                    match asked.get_ref().service.as_str() {
                        "shop.Cart" => Ok(Response::new(HealthCheckResponse { status })),
                        _ => Err(Status::not_found("no such service")),
                    }
                }
            });
            let codec = ProstCodec::<HealthCheckResponse, HealthCheckRequest>::default();
            Ok(Grpc::new(codec).unary(check, request).await)
        })
    }
}

#[test]
fn a_grpc_server_is_asked_by_its_own_protocol() {
    let status = Arc::new(AtomicUsize::new(1));
    let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let health = Health(Arc::clone(&status));
    let server = spawn(async move {
        let builder = tonic::transport::Server::builder().add_service(health);
        builder.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
    });
    let yaml = |service: &str| {
        let more = format!("{FAST}, unhealthy_after: 1, healthy_after: 1, initial: unhealthy");
        checked(&format!("\"h2c://{address}\""), &format!("grpc: {service}, {more}"))
    };
    let mut gateway = Gateway::start(&yaml("shop.Cart"));
    gateway.wait_log(&["an endpoint is healthy"]);
    status.store(2, Ordering::SeqCst);
    gateway.wait_log(&["an endpoint is unhealthy", "NOT_SERVING"]);
    status.store(1, Ordering::SeqCst);
    until("it serves", || gateway.metric("tidegate_endpoint_up", &[]) == Some(1.0));
    gateway.reload(&yaml("shop.Till"));
    gateway.wait_log(&["an endpoint is unhealthy", "grpc-status 5"]);
    server.abort();
}
