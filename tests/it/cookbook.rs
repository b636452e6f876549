//! Every recipe of the cookbook is a file that checks, whose own tests hold, and which does the same when it
//! really runs: each of its tests is sent to a gateway with real services behind it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_yaml_oracle::Value;

use crate::support::{
    gateway::{BINARY, complete, everything, private, temporary},
    prelude::*,
};

/// How many there are; the page says what each is for.
const RECIPES: usize = 22;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cookbook")
}

/// Name and text of each.
fn recipes() -> BTreeMap<String, String> {
    let recipe = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    let all: BTreeMap<_, _> = fs::read_dir(directory()).unwrap().map(recipe).collect();
    assert_eq!(all.len(), RECIPES, "{:?}", all.keys());
    all
}

#[test]
fn the_page_lists_them() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cookbook.md");
    let page = fs::read_to_string(page).unwrap();
    let listed = page.lines().filter(|line| line.contains("](../examples/cookbook/")).count();
    assert_eq!(listed, RECIPES);
    for (name, text) in recipes() {
        assert!(page.contains(&format!("](../examples/cookbook/{name})")), "{name}");
        assert!(text.starts_with("# "), "{name}: the first line says what it is for");
    }
}

#[test]
fn they_check_and_their_tests_hold_and_cover_every_route() {
    for name in recipes().keys() {
        let home = temporary();
        for verb in
            [&["check", "--strict"][..], &["test", "--coverage-min", "100%"], &["fmt", "--check"]]
        {
            let mut command = Command::new(BINARY);
            let file = directory().join(name);
            match verb[0] {
                "fmt" => command.args(verb).arg(file),
                _ => command.args(verb).arg("-c").arg(file),
            };
            let output = private(&mut command, home.path()).output().unwrap();
            assert!(output.status.success(), "{name}, {verb:?}:\n{}", everything(&output));
        }
    }
}

/// A gateway that runs a recipe, on free ports and with services that say what they were asked.
struct Running {
    gateway: Gateway,
    services: BTreeMap<String, Raw>,
}

/// The addresses of the services of a recipe.
fn services(text: &str) -> BTreeMap<String, Raw> {
    let found = text.match_indices("127.0.0.1:30").map(|(at, _)| text[at..at + 14].to_owned());
    found.map(|address| (address, Raw::echo())).collect()
}

// === impl Running ===

impl Running {
    fn start(recipe: &str) -> Self {
        let services = services(recipe);
        let mut text = recipe.to_owned();
        for (address, service) in &services {
            text = text.replace(address, &service.address().to_string());
        }
        for listener in ["\":8080\"", "\":8443\""] {
            text = text.replace(listener, "\"127.0.0.1:0\"");
        }
        let home = temporary();
        let text = complete(home.path(), &text);
        let gateway = Gateway::builder().home(&home).start(&text);
        Self { gateway, services }
    }

    /// Whether a test says something that a stranger on this machine can see.
    fn can_be_sent(test: &Value) -> bool {
        let elsewhere = test["client_ip"].as_str().is_some_and(|client| client != "127.0.0.1");
        let trusted = test["consumer"].is_null() && test["claims"].is_null();
        let says = ["status", "reason", "redirect", "path"].iter().any(|key| !test[*key].is_null());
        trusted && !elsewhere && says
    }

    fn send(&self, test: &Value) -> crate::support::tools::Fetched {
        let request = test["request"].as_str().unwrap();
        let (method, url) = request.split_once(' ').unwrap();
        let scheme = url.split(':').next().unwrap();
        let to = format!("::{}", self.gateway.addr(scheme));
        let mut arguments = vec!["-k", "-X", method, "--connect-to", &to, url];
        let headers = test["headers"].as_mapping().into_iter().flatten().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| format!("{value:?}"), str::to_owned);
            format!("{}: {value}", name.as_str().unwrap())
        });
        let headers: Vec<String> = headers.collect();
        headers.iter().for_each(|header| arguments.extend(["-H", header]));
        curl(&arguments)
    }

    /// Sends the request of a test and looks at what it says of the answer.
    fn drive(&self, name: &str, test: &Value) {
        let answer = self.send(test);
        let said = format!("{name}: {test:?}\n{}{}", answer.head, answer.text());
        let text = |key: &str| test[key].as_str();
        if let Some(status) = test["status"].as_u64() {
            assert_eq!(u64::from(answer.status), status, "{said}");
        }
        if let Some(redirect) = text("redirect") {
            let https = self.gateway.listening("https").map(|address| address.port().to_string());
            let redirect = redirect.replace("8443", &https.unwrap_or_default());
            assert_eq!(answer.header("location").as_deref(), Some(&*redirect), "{said}");
        }
        if let Some(reason) = text("reason").filter(|reason| *reason != "none") {
            assert!(answer.text().contains(reason), "{said}");
        }
        if text("status") == Some("none") {
            assert_eq!(answer.status, 200, "{said}");
            assert!(answer.text().contains(" HTTP/1.1\n"), "a service answered: {said}");
        }
        if let Some(path) = text("path") {
            assert!(answer.text().contains(&format!(" {path} HTTP/1.1\n")), "{said}");
        }
    }
}

#[test]
fn they_do_what_their_tests_say_when_they_run() {
    for (name, text) in recipes() {
        let read: Value = serde_yaml_oracle::from_str(&text).unwrap();
        let running = Running::start(&text);
        let tests = read["tests"].as_sequence().unwrap();
        let sent: Vec<&Value> = tests.iter().filter(|test| Running::can_be_sent(test)).collect();
        assert!(!sent.is_empty(), "{name}");
        sent.iter().for_each(|test| running.drive(&name, test));
        assert!(running.services.len() < 4, "{name}");
    }
}
