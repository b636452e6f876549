//! Which checks run, and what becomes of them and of what they found at a reload.

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::upstream::health::checker::Checks;

/// An endpoint whose status can be changed.
struct App {
    url: String,
    status: Arc<Mutex<u16>>,
    checks: Arc<Mutex<usize>>,
}

impl App {
    async fn start() -> Self {
        let (status, checks) = (Arc::new(Mutex::new(200)), Arc::new(Mutex::new(0)));
        let (said, count) = (Arc::clone(&status), Arc::clone(&checks));
        let address = serve(move |mut stream| {
            let (said, count) = (Arc::clone(&said), Arc::clone(&count));
            async move {
                head(&mut stream).await;
                let answer = format!("HTTP/1.1 {} X\r\n\r\n", *said.lock());
                let _ = stream.write_all(answer.as_bytes()).await;
                *count.lock() += 1;
            }
        });
        Self { url: format!("http://{}", address.await), status, checks }
    }

    fn says(&self, status: u16) {
        *self.status.lock() = status;
    }

    fn checks(&self) -> usize {
        *self.checks.lock()
    }
}

/// The gateway as far as checks are concerned.
struct Gateway {
    context: Context,
    runtime: Runtime,
    checks: Checks,
}

impl Gateway {
    fn start(upstreams: &str) -> Self {
        let context = context();
        let runtime = compile(upstreams, None, &context);
        let checks = Checks::new(Handle::current());
        checks.follow(&runtime.upstreams);
        Self { context, runtime, checks }
    }

    fn reload(&mut self, upstreams: &str) {
        self.runtime = compile(upstreams, Some(&self.runtime), &self.context);
        self.checks.follow(&self.runtime.upstreams);
    }

    fn is_in(&self) -> bool {
        self.runtime.upstreams["app"].get().endpoints[0].vitals.is_in()
    }

    async fn becomes(&self, is_in: bool) {
        until(|| self.is_in() == is_in).await;
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// A gateway with one upstream of one endpoint and more settings of it.
fn app(app: &App, health: &str, more: &str) -> String {
    let url = &app.url;
    let fast = "path: /, every: 500ms, timeout: 500ms, healthy_after: 3";
    format!("app: {{ endpoints: [\"{url}\"], health: {{ {fast}{health} }}{more} }}")
}

#[tokio::test]
async fn checks_take_an_endpoint_out_and_bring_it_back() {
    let server = App::start().await;
    let gateway = Gateway::start(&app(&server, ", unhealthy_after: 4", ""));
    until(|| server.checks() >= 2).await;
    assert!(gateway.is_in());
    server.says(500);
    let before = server.checks();
    gateway.becomes(false).await;
    assert!(server.checks() - before >= 3, "{} checks", server.checks() - before);
    server.says(204);
    let before = server.checks();
    gateway.becomes(true).await;
    assert!(server.checks() - before >= 2, "{} checks", server.checks() - before);
    let text = gateway.context.metrics.render();
    let count = |result: &str| {
        let start = format!(
            "tidegate_endpoint_health_checks_total{{upstream=\"app\",endpoint=\"{}\",result=\"{result}\"}} ",
            server.url
        );
        let rest = text.lines().find_map(|line| line.strip_prefix(&start));
        rest.unwrap_or_else(|| panic!("{text}")).parse::<f64>().unwrap()
    };
    assert!(count("bad") >= 4.0 && count("good") >= 5.0, "{text}");
    assert!(text.contains("tidegate_endpoint_up{"), "{text}");
}

#[tokio::test]
async fn an_endpoint_may_have_to_prove_itself_first() {
    let server = App::start().await;
    server.says(503);
    let gateway = Gateway::start(&app(&server, ", initial: unhealthy", ""));
    assert!(!gateway.is_in());
    until(|| server.checks() >= 3).await;
    assert!(!gateway.is_in());
    server.says(200);
    gateway.becomes(true).await;
    // With a good first check, at once.
    let server = App::start().await;
    let gateway = Gateway::start(
        &app(&server, ", initial: unhealthy, healthy_after: 20", "")
            .replace("healthy_after: 3, ", ""),
    );
    gateway.becomes(true).await;
    assert!(server.checks() < 5, "{} checks", server.checks());
}

#[tokio::test]
async fn reloads_disturb_only_what_they_change() {
    let server = App::start().await;
    let with = |more: &str, rest: &str| {
        format!(
            "app: {{ endpoints: [\"{}\"], health: {{ path: /, every: 1h{more} }} }}{rest}",
            server.url
        )
    };
    let mut gateway = Gateway::start(&with("", ""));
    until(|| server.checks() == 1).await;
    // Nothing that concerns it has changed: the next check is in an hour.
    gateway.reload(&with("", ", other: { endpoints: [\"http://127.0.0.1:9\"] }"));
    gateway.reload(&with("", ""));
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert_eq!(server.checks(), 1);
    assert_eq!(gateway.checks.count(), 1);
    // Other settings, another shape: checked anew.
    gateway.reload(&with(", timeout: 3s", ""));
    until(|| server.checks() == 2).await;
    gateway.reload(&with(", timeout: 3s", "").replace("health:", "connect_timeout: 7s, health:"));
    until(|| server.checks() == 3).await;
    assert_eq!(gateway.checks.count(), 1);
}

#[tokio::test]
async fn what_is_known_survives_whatever_else_changes() {
    let server = App::start().await;
    server.says(500);
    let mut gateway = Gateway::start(&app(&server, ", unhealthy_after: 1", ""));
    gateway.becomes(false).await;
    let before = Arc::clone(&gateway.runtime.upstreams["app"].get().endpoints[0]);
    for (health, more) in [
        (", unhealthy_after: 20", ""),
        (", unhealthy_after: 20", ", connect_timeout: 7s"),
        (", unhealthy_after: 20, initial: unhealthy", ", pool: { max_idle: 1 }"),
    ] {
        gateway.reload(&app(&server, health, more));
        assert!(!gateway.is_in(), "{health}{more}");
    }
    let now = &gateway.runtime.upstreams["app"].get().endpoints[0];
    assert!(!Arc::ptr_eq(&before, now) && Arc::ptr_eq(&before.vitals, &now.vitals));
}

#[tokio::test]
async fn without_checks_nothing_is_unhealthy() {
    let server = App::start().await;
    server.says(500);
    let mut gateway = Gateway::start(&app(&server, ", unhealthy_after: 1", ""));
    gateway.becomes(false).await;
    gateway.reload(&format!("app: {{ endpoints: [\"{}\"] }}", server.url));
    assert!(gateway.is_in());
    assert_eq!(gateway.checks.count(), 0);
    // And with them again, they have their say again.
    gateway.reload(&app(&server, ", unhealthy_after: 2", ""));
    assert!(gateway.is_in());
    gateway.becomes(false).await;
}

#[tokio::test]
async fn what_gets_no_requests_gets_no_checks() {
    let (a, b) = (App::start().await, App::start().await);
    let with = |weight: u32| {
        format!(
            "app: {{ endpoints: [\"{}\", {{ url: \"{}\", weight: {weight} }}], \
             health: {{ path: /, every: 500ms, timeout: 500ms }} }}",
            a.url, b.url
        )
    };
    let mut gateway = Gateway::start(&with(0));
    until(|| a.checks() >= 5).await;
    assert_eq!((b.checks(), gateway.checks.count()), (0, 1));
    gateway.reload(&with(1));
    until(|| b.checks() >= 1).await;
    gateway.checks.end();
    assert_eq!(gateway.checks.count(), 0);
    // One may have been under way.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let last = (a.checks(), b.checks());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((a.checks(), b.checks()), last);
}
