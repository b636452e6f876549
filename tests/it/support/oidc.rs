//! A real OpenID provider (npm's `oidc-provider`), and a browser without pages: it keeps cookies and
//! follows redirects.

use std::{path::PathBuf, process::Command};

use serde_json::Value;

use super::{
    http::{Client, Response},
    process::Process,
    wait::DEADLINE,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/oidc_provider.mjs");

/// The secret of all its clients that have one. It has to be encoded in every place it is sent.
pub(crate) const SECRET: &str = "the secret: of a+client/=";

/// A running provider.
pub(crate) struct Provider {
    process: Process,
    port: u16,
}

/// Cookies, and what a browser says of itself.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: Vec<Cookie>,
}

struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
}

/// Where `test.sh` installs the package.
fn installed() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").expect("a home directory")).join(".cache")
    });
    let directory = cache.join("tidegate/oidc-provider");
    assert!(
        directory.join("node_modules/oidc-provider").is_dir(),
        "the npm package `oidc-provider` is not in {}: `./test.sh` installs it",
        directory.display()
    );
    directory
}

// === impl Provider ===

impl Provider {
    /// Starts it on a free port.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::start_at(0)
    }

    #[track_caller]
    fn start_at(port: u16) -> Self {
        let mut command = Command::new("node");
        command.arg(SCRIPT).arg(installed()).arg(port.to_string());
        let mut process = Process::start(command, "nodejs");
        let port = process.wait_for("the port", |line| {
            line.strip_prefix("listening http://localhost:")?.parse().ok()
        });
        Self { process, port }
    }

    /// Starts it again where it was, with new keys and without memory.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.stop();
        *self = Self::start_at(self.port);
    }

    /// Ends it.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        if self.process.exited().is_none() {
            self.process.signal(rustix::process::Signal::KILL);
            self.process.wait(DEADLINE);
        }
    }

    /// Its issuer.
    pub(crate) fn issuer(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Has it behave as usual but for this.
    #[track_caller]
    pub(crate) fn behave(&self, but: &Value) {
        let address = ([127, 0, 0, 1], self.port).into();
        let answer =
            Client::connect(address).post("localhost", "/test", but.to_string().as_bytes());
        assert_eq!(answer.status, 200);
    }

    /// How often it was asked for something.
    #[track_caller]
    pub(crate) fn asked(&self, what: &str) -> u64 {
        let answer = self.told();
        answer[what].as_u64().unwrap_or_else(|| panic!("`{what}` is not counted: {answer}"))
    }

    /// All tokens it has issued.
    #[track_caller]
    pub(crate) fn issued(&self) -> Vec<String> {
        serde_json::from_value(self.told()["issued"].take()).expect("a list of texts")
    }

    #[track_caller]
    fn told(&self) -> Value {
        let address = ([127, 0, 0, 1], self.port).into();
        Client::connect(address).get("localhost", "/test").json()
    }
}

// === impl Browser ===

impl Browser {
    /// What a browser that looks at a page sends.
    const PAGE: &[&str] = &["Accept: text/html,application/xhtml+xml,*/*;q=0.8"];

    /// One page, wherever it leads.
    #[track_caller]
    pub(crate) fn page(&mut self, url: &str) -> Response {
        self.ask("GET", url, Self::PAGE, "")
    }

    /// What a script on a page asks.
    #[track_caller]
    pub(crate) fn script(&mut self, url: &str) -> Response {
        self.ask("GET", url, &["Accept: application/json", "Sec-Fetch-Mode: cors"], "")
    }

    /// Goes where it is sent, until that is a page or a URL that begins so.
    #[track_caller]
    pub(crate) fn follow(&mut self, url: &str, until: &str) -> (String, Response) {
        let mut url = url.to_owned();
        for _ in 0..12 {
            let answer = self.page(&url);
            let Some(to) = answer.header("location") else { return (url, answer) };
            url = absolute(&url, to);
            if !until.is_empty() && url.starts_with(until) {
                return (url, answer);
            }
        }
        panic!("sent from place to place, now to {url}")
    }

    /// Opens a page that wants a login, and logs in; up to a URL that begins so.
    #[track_caller]
    pub(crate) fn log_in(&mut self, url: &str, user: &str, until: &str) -> (String, Response) {
        let (at, form) = self.follow(url, until);
        if !until.is_empty() && at.starts_with(until) {
            return (at, form);
        }
        let text = form.text();
        let Some((_, action)) = text.split_once("action=\"") else {
            assert!(until.is_empty(), "no form at {at}: {text}");
            return (at, form); // still logged in there
        };
        let action = action.split('"').next().unwrap().to_owned();
        let body = format!("prompt=login&login={user}&password=x");
        let answer = self.ask(
            "POST",
            &action,
            &[Self::PAGE, &["Content-Type: application/x-www-form-urlencoded"]].concat(),
            &body,
        );
        let to = absolute(&action, answer.header("location").expect("on with the login"));
        self.follow(&to, until)
    }

    /// Any request.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, url: &str, fields: &[&str], body: &str) -> Response {
        let (authority, target) = split(url);
        let (host, port) = authority.rsplit_once(':').expect("tests have ports");
        let cookies = self.cookies_for(host, target);
        let length = format!("Content-Length: {}", body.len());
        let mut fields = [fields, &["Connection: close"]].concat();
        if !cookies.is_empty() {
            fields.push(&cookies);
        }
        if method == "POST" {
            fields.push(&length);
        }
        let mut client = Client::connect(([127, 0, 0, 1], port.parse().unwrap()).into());
        client.request(method, authority, target, &fields);
        client.send(body);
        let answer = client.response_to(method);
        for line in answer.head.all("set-cookie") {
            self.keep(host, line);
        }
        answer
    }

    /// The cookies of a host as it gets them.
    fn cookies_for(&self, host: &str, target: &str) -> String {
        let path = target.split('?').next().unwrap_or_default();
        let ours = self.cookies.iter().filter(|it| it.host == host && path.starts_with(&it.path));
        let pairs: Vec<_> = ours.map(|it| format!("{}={}", it.name, it.value)).collect();
        if pairs.is_empty() { String::new() } else { format!("Cookie: {}", pairs.join("; ")) }
    }

    fn keep(&mut self, host: &str, line: &str) {
        let mut parts = line.split("; ");
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a pair");
        let (mut path, mut gone) = ("/".to_owned(), value.is_empty());
        for part in parts {
            match part.split_once('=') {
                Some((key, value)) if key.eq_ignore_ascii_case("path") => path = value.to_owned(),
                Some((key, "0")) if key.eq_ignore_ascii_case("max-age") => gone = true,
                _ => {}
            }
        }
        self.cookies.retain(|it| it.host != host || it.path != path || it.name != name);
        if !gone {
            let (host, name, value) = (host.to_owned(), name.to_owned(), value.to_owned());
            self.cookies.push(Cookie { host, path, name, value });
        }
    }

    /// The names of the cookies it has of the gateway.
    pub(crate) fn names(&self) -> Vec<&str> {
        let ours = self.cookies.iter().filter(|it| it.host == "127.0.0.1");
        ours.map(|it| it.name.as_str()).collect()
    }

    /// Changes the values of the gateway's cookies whose names begin so.
    pub(crate) fn change(&mut self, prefix: &str, change: impl Fn(&str) -> String) {
        for cookie in &mut self.cookies {
            if cookie.host == "127.0.0.1" && cookie.name.starts_with(prefix) {
                cookie.value = change(&cookie.value);
            }
        }
    }

    /// The value of a cookie of the gateway.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let found = self.cookies.iter().find(|it| it.host == "127.0.0.1" && it.name == name);
        found.map(|it| it.value.as_str())
    }

    /// One with the same cookies.
    pub(crate) fn copy(&self) -> Self {
        let copy = |it: &Cookie| Cookie {
            host: it.host.clone(),
            path: it.path.clone(),
            name: it.name.clone(),
            value: it.value.clone(),
        };
        Self { cookies: self.cookies.iter().map(copy).collect() }
    }
}

/// Authority and target of a URL.
fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("no http URL: {url}"));
    let at = rest.find('/').unwrap_or(rest.len());
    (&rest[..at], if at < rest.len() { &rest[at..] } else { "/" })
}

fn absolute(base: &str, to: &str) -> String {
    if to.starts_with('/') { format!("http://{}{to}", split(base).0) } else { to.to_owned() }
}
