//! The examples do what their READMEs say.

use std::{fs, path::Path, process::Command};

use crate::support::{flask::python, prelude::*, process::Process};

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
