//! `docs/guide.md`, typed word for word: every command of it is run, in its order, and prints what the page
//! says. Only the ports are others, for those of the page may be taken here.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use regex::Regex;

use crate::support::{
    gateway::{BINARY, private, temporary},
    prelude::*,
    process::Process,
    wait::within,
};

/// The ports of the page.
const PORTS: [&str; 6] = ["3001", "3002", "3003", "8080", "8443", "9900"];

/// A block of the page: its language, and its lines.
type Block = (String, Vec<String>);

/// Somebody who reads the page.
struct Reader {
    home: tempfile::TempDir,
    /// The port of each that the page names.
    ports: Vec<(&'static str, String)>,
    /// Services, which are there as long as it reads.
    services: Vec<Process>,
    gateway: Option<Process>,
    /// What stands in the file, without what makes it run on other ports.
    file: String,
}

fn blocks() -> Vec<Block> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide.md");
    let page = fs::read_to_string(page).unwrap();
    let fenced = page.split("\n```").skip(1).step_by(2);
    let block = |text: &str| {
        let (language, text) = text.split_once('\n').unwrap();
        (language.to_owned(), text.lines().map(str::to_owned).collect())
    };
    fenced.map(block).collect()
}

/// Commands of a block, each with what it prints.
fn commands(lines: &[String]) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push((command.to_owned(), Vec::new())),
            (None, Some((_, printed))) => printed.push(line.clone()),
            (None, None) => panic!("a block does not begin with a command: {line}"),
        }
    }
    for (_, printed) in &mut all {
        while printed.last().is_some_and(String::is_empty) {
            printed.pop();
        }
    }
    all
}

/// Without what is different each time.
fn steady(text: &str) -> String {
    let mut text = text.to_owned();
    for (what, instead) in [
        ("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}", "ID"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
        ("hash=\"[0-9a-f]{16}\"", "HASH"),
        ("config [0-9a-f]{4}", "HASH"),
        (r"workers=\d+ ms=\d+", "NUMBERS"),
    ] {
        text = Regex::new(what).unwrap().replace_all(&text, instead).into_owned();
    }
    text
}

/// Whether lines are what the page says: `…` is anything, a line of it alone any lines.
#[track_caller]
fn printed(command: &str, wanted: &[String], found: &str) {
    let mut pattern = String::new();
    for line in wanted {
        let parts: Vec<_> = steady(line).split('…').map(regex::escape).collect();
        match line.as_str() {
            "…" => pattern.push_str("(?:.*\n)*"),
            _ => pattern.push_str(&format!("{}\n", parts.join(".*"))),
        }
    }
    let text = steady(found).replace('\r', "");
    let text = format!("{}\n", text.trim_end());
    let whole = Regex::new(&format!("^{pattern}$")).unwrap();
    let quiet = wanted.is_empty() && text.trim().is_empty();
    assert!(quiet || whole.is_match(&text), "$ {command}\n{text}\nthe guide says:\n{wanted:#?}");
}

fn is_taken(port: &str) -> bool {
    TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_ok()
}

// === impl Reader ===

impl Reader {
    fn new() -> Self {
        let held = PORTS.map(|port| (port, TcpListener::bind("127.0.0.1:0").unwrap()));
        let port = |(name, it): &(&'static str, TcpListener)| {
            (*name, it.local_addr().unwrap().port().to_string())
        };
        // In the order of those of the page, for lists are sorted by them.
        let mut ports: Vec<_> = held.iter().map(port).collect();
        let mut numbers: Vec<_> = ports.iter().map(|(_, port)| port.clone()).collect();
        numbers.sort();
        ports.iter_mut().zip(numbers).for_each(|((_, port), number)| *port = number);
        let (home, file) = (temporary(), String::new());
        let home = std::sync::Arc::into_inner(home).unwrap();
        Self { home, ports, services: Vec::new(), gateway: None, file }
    }

    /// With our ports for those of the page.
    fn ported(&self, text: &str) -> String {
        let known = Regex::new(&format!(r"\b({})\b", PORTS.join("|"))).unwrap();
        let ours = |found: &regex::Captures<'_>| {
            self.ports.iter().find(|(port, _)| found[0] == **port).unwrap().1.clone()
        };
        known.replace_all(text, ours).into_owned()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        private(&mut command, self.home.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("STATE_DIRECTORY");
        let directory = Path::new(BINARY).parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(["-c", line]).env("PATH", format!("{directory}:{path}"));
        command
    }

    /// A whole file, or lines at the end of it.
    fn write(&mut self, lines: &[String]) {
        let text = self.ported(&(lines.join("\n") + "\n"));
        if text.starts_with("version: 1\n") {
            self.file = text;
        } else {
            self.file.push_str(&text);
        }
        let mut whole = self.file.clone();
        if !whole.contains("\nlisteners:") {
            whole.push_str(&self.ported("listeners: { http: \":8080\" }\n"));
        }
        whole.push_str(&self.ported("admin: { address: \"127.0.0.1:9900\" }\n"));
        whole.push_str("logs: { format: pretty }\n");
        fs::write(self.home.path().join("routes.yaml"), whole).unwrap();
    }

    fn run(&mut self, command: &str, wanted: &[String]) {
        let (line, wanted) = (self.ported(command), wanted.iter().map(|line| self.ported(line)));
        let wanted: Vec<_> = wanted.collect();
        if line == "tidegate run" {
            self.start(&wanted);
        } else if let Some((service, after)) = line.split_once(" & ") {
            // It ends with us. What comes after it asks for its number.
            let service = self.command(&format!("exec {service}"));
            let service = Process::start(service, "python3");
            let after = after.replace("$!", &service.pid().to_string());
            let port = line.split(' ').find(|word| word.parse::<u16>().is_ok()).unwrap();
            until("the service is there", || is_taken(port));
            self.services.push(service);
            self.run(&after, &wanted);
        } else {
            let errors = if line.starts_with("tidegate ") { " 2>&1" } else { "" };
            let output = self.command(&format!("{line}{errors}")).output().unwrap();
            assert!(!wanted.is_empty() || output.status.success(), "$ {command}\n{output:?}");
            printed(command, &wanted, &String::from_utf8_lossy(&output.stdout));
        }
        if line.starts_with("kill ") {
            self.services
                .retain_mut(|it| within(Duration::from_millis(100), || it.exited()).is_none());
        }
    }

    fn start(&mut self, wanted: &[String]) {
        let mut gateway = Process::ours(&mut self.command("exec tidegate run"));
        gateway.wait_for("the gateway is ready", |line| line.contains(" ready ").then_some(()));
        printed("tidegate run", wanted, &gateway.output());
        self.gateway = Some(gateway);
    }
}

#[test]
fn every_command_of_the_guide_prints_what_it_says() {
    let mut reader = Reader::new();
    let (mut typed, mut shown) = (0, 0);
    for (language, lines) in blocks() {
        match language.as_str() {
            "yaml" => reader.write(&lines),
            "console" => {
                for (command, wanted) in commands(&lines) {
                    typed += 1;
                    reader.run(&command, &wanted);
                }
            }
            // A line of the log.
            "json" => {
                let wanted = lines.iter().map(|line| reader.ported(line)).collect::<Vec<_>>();
                let gateway = reader.gateway.as_mut().unwrap();
                let parts: Vec<_> = steady(&wanted[0]).split('…').map(regex::escape).collect();
                let line = Regex::new(&format!("^{}$", parts.join(".*"))).unwrap();
                gateway.wait_for(&wanted[0], |it| line.is_match(&steady(it)).then_some(()));
                shown += 1;
            }
            other => panic!("the guide has a block of {other:?}, which nobody can type"),
        }
    }
    assert!(typed > 20 && shown == 1, "{typed} commands, {shown} lines of the log");
    let mut gateway = reader.gateway.take().unwrap();
    assert_eq!(gateway.wait(DEADLINE).code(), Some(0), "it drains and ends");
}

#[test]
fn the_guide_is_not_believed_if_it_says_something_else() {
    let lines = ["one …", "…", "last"].map(str::to_owned);
    printed("x", &lines, "one 1\nlast\n");
    printed("x", &lines, "one 1\nmore\nand more\nlast\n");
    for other in ["two 1\nlast\n", "one 1\nlast\nmore\n", "one 1\n", ""] {
        let judged = std::panic::catch_unwind(|| printed("x", &lines, other));
        assert!(judged.is_err(), "{other:?}");
    }
    assert!(std::panic::catch_unwind(|| printed("x", &[], "something\n")).is_err());
}
