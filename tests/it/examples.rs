//! The examples do what their READMEs say.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    flask::python,
    gateway::{BINARY, complete, everything, private, temporary},
    http::Client,
    prelude::*,
    process::Process,
};

/// Starts a service of the Flask example on a free port.
fn service(file: &str) -> (Process, String) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flask");
    let mut command = Command::new(python());
    command.args(["-u", file]).env("PORT", "0").current_dir(directory);
    let mut process = Process::start(command, "python3-flask");
    let address = process.wait_for("the port", |line| {
        Some(line.split_once("Running on http://")?.1.split_whitespace().next()?.to_owned())
    });
    (process, address)
}

#[test]
fn two_flask_services_share_one_gateway() {
    let (_greeting, greeting) = service("greeting.py");
    let (_inventory, inventory) = service("inventory.py");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flask/routes.yaml");
    let text = fs::read_to_string(file).unwrap();
    for port in ["127.0.0.1:5001", "127.0.0.1:5002", "127.0.0.1:8080"] {
        assert_eq!(text.matches(port).count(), 1, "{port}");
    }
    let gateway = Gateway::start(
        &text
            .replace("127.0.0.1:5001", &greeting)
            .replace("127.0.0.1:5002", &inventory)
            .replace("127.0.0.1:8080", "127.0.0.1:0"),
    );
    let base = gateway.url("http");
    let text = |target: &str| curl(&["-L", &format!("{base}{target}")]).text();
    assert_eq!(text("/"), "Hello from the greeting service!\n");
    assert_eq!(text("/greeting"), "Hello from the greeting service!\n");
    assert_eq!(text("/inventory/"), "Hello from the inventory service!\n");
    assert!(text("/inventory/data").contains("\"stock\""));
    assert!(text("/data").contains("no_route"));
    // Lines of two workers are in no order, and a redirect that is followed makes two.
    until("the line of `/data`", || {
        gateway.access_log(5).iter().any(|line| line["path"] == "/data")
    });
}

/// Lines with a `?` inside of braces or brackets and outside of quotes.
fn bare_questions(text: &str) -> Vec<usize> {
    let (mut found, mut depth) = (Vec::new(), 0_usize);
    for (number, line) in text.lines().enumerate() {
        let (mut quote, mut before) = (None, ' ');
        for c in line.chars() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '#') if before == ' ' => break,
                (None, '"' | '\'') if " {[,:".contains(before) => quote = Some(c),
                (None, '{' | '[') => depth += 1,
                (None, '}' | ']') => depth = depth.saturating_sub(1),
                (None, '?') if depth > 0 => found.push(number + 1),
                (_, _) => {}
            }
            before = c;
        }
    }
    found
}

/// All files of the examples.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (below, here): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let yaml = here.into_iter().filter(|path| path.extension().is_some_and(|it| it == "yaml"));
    yaml.chain(below.iter().flat_map(|path| files(path))).collect()
}

#[test]
fn other_readers_of_yaml_read_the_examples() {
    assert_eq!(bare_questions("a: { b: c?d, e: \"f?g\" } # {?}\nh: i?j\nk: ['?', ?]\n"), [1, 3]);
    let all = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"));
    assert!(all.len() > 20, "{all:?}");
    for path in all {
        let found = bare_questions(&fs::read_to_string(&path).unwrap());
        assert_eq!(
            found,
            [0_usize; 0],
            "{}: PyYAML does not read these lines: quote the value",
            path.display()
        );
    }
}

/// The example with a layer of its own; `cargo test` builds it beside the binary.
fn own_layer() -> PathBuf {
    let binary = Path::new(BINARY).with_file_name("examples").join("own_layer");
    assert!(binary.exists(), "{}: `cargo build --examples` makes it", binary.display());
    binary
}

/// The file of that example.
fn own_routes() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/own_layer.yaml");
    fs::read_to_string(file).unwrap()
}

#[test]
fn a_layer_of_ones_own_refuses_and_leaves_its_mark() {
    let home = temporary();
    let text = own_routes();
    assert_eq!(text.matches("127.0.0.1:8080").count(), 1);
    let text = text.replace("127.0.0.1:8080", "127.0.0.1:0");
    fs::write(home.path().join("routes.yaml"), complete(home.path(), &text)).unwrap();
    let mut command = Command::new(own_layer());
    let mut process = Process::ours(private(command.arg("run"), home.path()));
    let address = process.wait_for("the address", |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = line["message"] == "listening" && line["listener"] == "http";
        ours.then(|| line["address"].as_str()?.parse::<std::net::SocketAddr>().ok())?
    });
    let get = |target: &str, field: &str| {
        let fields = [field, "Connection: close"];
        Client::connect(address).exchange("GET", "localhost", target, &fields)
    };
    let refused = get("/orders/7", "X-Team: green");
    assert_eq!((refused.status, &*refused.text()), (403, "which team are you?\n"));
    let passed = get("/orders/7", "X-Team: blue");
    assert_eq!((passed.status, &*passed.text()), (200, "your orders\n"));
    assert_eq!(passed.header("x-checked-by"), Some("team"));
    let other = get("/other", "X-Team: green");
    assert_eq!((other.status, other.header("x-checked-by")), (200, None));
}

#[test]
fn settings_a_layer_does_not_like_refuse_the_file() {
    let home = temporary();
    let text = own_routes().replace("allow: [red, blue]", "alow: [red]");
    fs::write(home.path().join("routes.yaml"), &text).unwrap();
    let check = |binary: &Path| {
        let mut command = Command::new(binary);
        private(command.arg("check"), home.path()).output().unwrap()
    };
    let output = check(&own_layer());
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("`team` needs the names of teams"), "{said}");
    let line = 1 + text.lines().position(|line| line.contains("alow")).unwrap();
    assert!(said.contains(&format!("routes.yaml:{line}:")), "{said}");
    // A binary without the layer says that it has none of this name.
    let said = everything(&check(Path::new(BINARY)));
    assert!(said.contains("team") && said.contains(&format!("routes.yaml:{line}:")), "{said}");
}

#[test]
fn the_files_that_need_nothing_are_good() {
    good("resilient.yaml", "4 routes, 3 upstreams");
    good("overload.yaml", "4 routes, 1 upstream");
    good("oidc.yaml", "4 routes, 1 upstream");
    good("limits.yaml", "4 routes, 2 upstreams");
    good("global-limits.yaml", "3 routes, 1 upstream");
}

#[track_caller]
fn good(file: &str, summary: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file);
    let home = temporary();
    let mut command = Command::new(BINARY);
    command.args(["check", "--strict", "-c"]).arg(file);
    let output = private(&mut command, home.path()).output().unwrap();
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(summary), "{said}");
}

#[test]
fn the_file_for_tokens_is_good() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/jwt.yaml");
    let home = temporary();
    let keys = home.path().join("machines");
    fs::write(&keys, "robot 0123456789abcdef\n").unwrap();
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.matches("/run/secrets/machines").count(), 1);
    let text = text.replace("/run/secrets/machines", keys.to_str().unwrap());
    fs::write(home.path().join("routes.yaml"), text).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["check", "--strict", "-c"]).arg(home.path().join("routes.yaml"));
    let output = private(&mut command, home.path()).output().unwrap();
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("3 routes, 2 upstreams"), "{said}");
}

#[test]
fn the_file_for_rules_is_good() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/authorize.yaml");
    let home = temporary();
    let mut command = Command::new(BINARY);
    command.args(["check", "--strict", "-c"]).arg(file);
    let output = private(&mut command, home.path()).output().unwrap();
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("4 routes, 1 upstream"), "{said}");
}

/// The first file, and every example but the recipes of the cookbook.
fn shipped() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("routes.yaml")];
    for directory in ["examples", "examples/flask"] {
        let all = fs::read_dir(root.join(directory)).unwrap().map(|entry| entry.unwrap().path());
        files.extend(all.filter(|path| path.extension().is_some_and(|it| it == "yaml")));
    }
    assert_eq!(files.len(), 10, "{files:?}");
    files
}

#[test]
fn shipped_files_keep_the_layout() {
    let output = Command::new(BINARY).args(["fmt", "--check"]).args(shipped()).output().unwrap();
    assert!(output.status.success(), "{}", everything(&output));
}

#[test]
fn tests_of_shipped_files_hold_and_cover_every_route() {
    let home = temporary();
    let machines = home.path().join("machines");
    fs::write(&machines, "robot 0123456789abcdef0123\n").unwrap();
    for file in shipped() {
        let binary = if file.ends_with("own_layer.yaml") { own_layer() } else { BINARY.into() };
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("/run/secrets/machines", machines.to_str().unwrap());
        fs::write(home.path().join("routes.yaml"), text).unwrap();
        for verb in [&["check"][..], &["test", "--coverage-min", "100%"]] {
            let mut command = Command::new(&binary);
            let output = private(command.args(verb), home.path()).output().unwrap();
            let said = everything(&output);
            assert!(output.status.success(), "{}, {verb:?}:\n{said}", file.display());
        }
    }
}

/// Whole files in the documentation: blocks of YAML that begin with the version.
fn documented() -> Vec<(String, String)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pages = fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for page in pages.filter(|path| path.extension().is_some_and(|it| it == "md")) {
        let (name, text) = (page.display().to_string(), fs::read_to_string(&page).unwrap());
        for block in text.split("```yaml\nversion: 1\n").skip(1) {
            let block = block.split("```").next().unwrap();
            found.push((name.clone(), format!("version: 1\n{block}")));
        }
    }
    found
}

/// The variables a file names.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).map(|rest| rest.split(['}', ':']).next().unwrap_or_default())
}

#[test]
fn every_whole_file_in_the_documentation_is_good() {
    let (home, clients) = (temporary(), Authority::new());
    fs::copy(clients.file(), home.path().join("clients.pem")).unwrap();
    let ann = "ann:$2y$12$Lnq8JFo4x0QeKlP.bPmA5OhiO9tYcQEjHkRBWHvFvPwY8u7kGV4uC\n";
    fs::write(home.path().join("htpasswd"), ann).unwrap();
    let files = documented();
    assert!(files.len() >= 11, "only {} were found", files.len());
    for (page, text) in files {
        let file = text.replace("/etc/tidegate/", &format!("{}/", home.path().display()));
        fs::write(home.path().join("routes.yaml"), file).unwrap();
        let mut command = Command::new(BINARY);
        private(command.args(["check", "--strict"]), home.path());
        let secret = |name| (name, format!("{name}-0123456789abcdef0123456789abcdef"));
        let output = command.envs(variables(&text).map(secret)).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{page}\n{text}\n{}", everything(&output));
    }
}
