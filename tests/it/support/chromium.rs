//! A real browser: headless Chromium, driven over WebDriver (W3C).

use std::{process::Command, time::Duration};

use serde_json::{Value, json};

use super::{http::Client, process::Process, wait::eventually};

/// A running browser with nothing in it.
pub(crate) struct Chromium {
    /// Declared first: it ends first, and its browser with it.
    session: String,
    port: u16,
    _driver: Process,
    _profile: tempfile::TempDir,
}

// === impl Chromium ===

impl Chromium {
    #[track_caller]
    pub(crate) fn start() -> Self {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let mut driver = Process::start(command, "chromium-driver");
        let port = driver.wait_for("the port", |line| {
            line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        let profile = tempfile::tempdir().expect("a temporary directory can be made");
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": arguments },
        } } });
        let mut chromium =
            Self { session: String::new(), port, _driver: driver, _profile: profile };
        let started = chromium.post("", &wanted);
        chromium.session = started["sessionId"].as_str().expect("a session").to_owned();
        chromium
    }

    /// Opens a URL and waits until the page is there.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Where it is.
    #[track_caller]
    pub(crate) fn url(&self) -> String {
        self.get("/url").as_str().expect("a URL").to_owned()
    }

    /// Waits until it is at a URL that begins so.
    #[track_caller]
    pub(crate) fn wait_for(&self, url: &str) {
        let mut last = String::new();
        let at = super::wait::within(super::wait::DEADLINE, || {
            last = self.url();
            last.starts_with(url).then_some(())
        });
        assert!(at.is_some(), "not at {url} but at {last}: {}", self.text());
    }

    /// What a person reads.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        self.run("return document.body ? document.body.innerText : ''")
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Runs a script in the page.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Writes into the field.
    #[track_caller]
    pub(crate) fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Clicks.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = eventually(selector, || {
            let found = self.post("/elements", &wanted);
            found.get(0).cloned()
        });
        let name = found.as_object().and_then(|it| it.values().next()).and_then(Value::as_str);
        name.expect("an element has a name").to_owned()
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let target = format!("/session/{}{path}", self.session);
        self.value(&Client::connect(([127, 0, 0, 1], self.port).into()).get("127.0.0.1", &target))
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let session =
            if self.session.is_empty() { String::new() } else { format!("/{}", self.session) };
        let target = format!("/session{session}{path}");
        let body = body.to_string();
        let mut client = Client::connect(([127, 0, 0, 1], self.port).into());
        let answer = client.post("127.0.0.1", &target, body.as_bytes());
        self.value(&answer)
    }

    #[track_caller]
    fn value(&self, answer: &super::http::Response) -> Value {
        let value = answer.json()["value"].clone();
        assert_eq!(answer.status, 200, "port {}: {value}", self.port);
        value
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The browser is a child of the driver, which takes it along only when it is asked to.
        let target = format!("/session/{}", self.session);
        let mut client = Client::connect(([127, 0, 0, 1], self.port).into());
        client.request("DELETE", "127.0.0.1", &target, &[]);
        let _ = client.try_response("DELETE");
        std::thread::sleep(Duration::from_millis(10));
    }
}
