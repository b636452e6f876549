//! Large files: ten thousand routes load at once, and the last of them is found.

use std::fmt::Write as _;

use crate::support::{gateway::tidegate, prelude::*};

/// Routes of the kinds real files have: by host, by path, by both with a variable.
fn many(count: usize) -> String {
    let mut text = "routes:\n".to_owned();
    for number in 0..count {
        let matches = match number % 3 {
            0 => format!("h{number}.example.com"),
            1 => format!("api.example.com/service-{number}/**"),
            _ => format!("api.example.com/v1/things-{number}/{{id}}/parts"),
        };
        let _ = writeln!(
            text,
            "  r{number}: {{ match: \"{matches}\", respond: {{ status: 200, body: r{number} }} }}"
        );
    }
    text
}

/// Routes with conditions of all kinds, and many for each path.
fn conditional(count: usize) -> String {
    let mut text = "version: 1\nupstreams: { app: \"http://10.0.0.1:8080\" }\nroutes:\n".to_owned();
    for number in 0..count {
        let tenant = number / 4;
        let method = ["GET", "POST", "PUT", "DELETE"][number % 4];
        let matches = match number % 5 {
            0 => format!("host: \"h{number}.example.com\""),
            1 => format!(
                "host: api.example.com, path: \"/service-{number}/**\", method: [GET, POST]"
            ),
            2 => format!(
                "host: \"*.t{}.example.com\", path: \"/a/{number}/{{id}}\", headers: {{ x-debug: absent }}",
                number % 100
            ),
            3 => format!(
                "path: \"/items/{number}\", query: {{ page: present }}, client_ip: [10.0.0.0/8]"
            ),
            _ => format!(
                "host: api.example.com, path: \"/api/**\", method: {method}, headers: {{ x-tenant: t{tenant} }}"
            ),
        };
        let _ = writeln!(text, "  r{number}: {{ match: {{ {matches} }}, to: app }}");
    }
    text
}

#[test]
fn ten_thousand_routes_with_conditions_are_checked_at_once() {
    let home = crate::support::gateway::temporary();
    std::fs::write(home.path().join("routes.yaml"), conditional(10_000)).unwrap();
    let start = tokio::time::Instant::now();
    let output = tidegate(home.path(), &["check", "-c", "routes.yaml"]);
    let took = start.elapsed();
    let said = crate::support::gateway::everything(&output);
    eprintln!("10,000 routes with conditions: {} ms to check", took.as_millis());
    assert_eq!(output.status.code(), Some(0), "{}", &said[..said.len().min(2000)]);
    assert!(said.contains("10000 routes"), "{}", &said[..said.len().min(2000)]);
    // The bar is two seconds for an optimised build on an idle machine.
    let bar = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 2 });
    assert!(took < bar, "{took:?}");
}

#[test]
fn ten_thousand_routes_load_and_the_last_is_found() {
    let gateway = Gateway::start(&many(10_000));
    let ready = gateway.logs();
    let line = ready.lines().find(|line| line.contains("\"ready\"")).unwrap().to_owned();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let fields = line.get("fields").unwrap_or(&line);
    let took = fields["ms"].as_u64().unwrap();
    eprintln!("10,000 routes: {took} ms from start to ready");
    // The bar is one second for an optimised build on an idle machine.
    let bar = if cfg!(debug_assertions) { 15_000 } else { 2_000 };
    assert!(took < bar, "{took} ms");
    assert_eq!(gateway.get("h9999.example.com", "/any").text(), "r9999");
    assert_eq!(gateway.get("api.example.com", "/service-9997/x").text(), "r9997");
    assert_eq!(gateway.get("api.example.com", "/v1/things-9998/7/parts").text(), "r9998");
    assert_eq!(gateway.get("api.example.com", "/v1/things-9998/7/other").status, 404);

    let start = tokio::time::Instant::now();
    gateway.reload(&many(10_001));
    eprintln!("10,001 routes: {} ms to reload", start.elapsed().as_millis());
    assert_eq!(gateway.get("api.example.com", "/v1/things-10000/7/parts").status, 404);
    assert_eq!(gateway.get("api.example.com", "/service-10000/x").text(), "r10000");
}

#[test]
fn ten_thousand_mistakes_end_in_a_page_one_can_read() {
    let home = crate::support::gateway::temporary();
    let text = format!("version: 1\n{}", many(10_000).replace("respond", "respnd"));
    std::fs::write(home.path().join("routes.yaml"), text).unwrap();
    let start = tokio::time::Instant::now();
    let output = tidegate(home.path(), &["check", "-c", "routes.yaml"]);
    let took = start.elapsed();
    let said = crate::support::gateway::everything(&output);
    eprintln!("10,000 mistakes: {} ms, {} bytes", took.as_millis(), said.len());
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("respnd") && said.contains("routes.yaml:3:"), "{}", &said[..1000]);
    assert!(took < DEADLINE, "{took:?}");
}

/// Routes of which each has a limit of its own, inherited.
fn limited(count: usize) -> String {
    let routes = many(count);
    format!("defaults: {{ rate_limit: 100/min, concurrency: 5000 }}\n{routes}")
}

/// KiB that a process holds, or held at most, if it still runs.
fn memory(pid: u32, what: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    line.split_whitespace().next()?.parse().ok()
}

#[test]
fn a_limit_of_each_of_a_thousand_routes_costs_a_look_at_the_file_next_to_nothing() {
    use crate::support::gateway::{private, temporary};
    let home = temporary();
    std::fs::write(home.path().join("routes.yaml"), limited(1_000)).unwrap();
    for verb in [&["check"][..], &["explain", "GET", "http://h0.example.com/"], &["test"]] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let command = private(command.args(verb), home.path());
        let command = command.stdout(std::process::Stdio::null());
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        // It only ever grows, so what is read last is all of it.
        let mut peak = 0;
        let status = loop {
            peak = memory(child.id(), "VmHWM:").unwrap_or(peak);
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None => std::thread::yield_now(),
            }
        };
        eprintln!("1,000 routes with a limit each: {verb:?} takes {peak} KiB");
        assert!(status.code().is_some_and(|code| code < 2), "{verb:?}: {status}");
        assert!(peak > 0 && peak < 200 << 10, "{verb:?}: {peak} KiB");
    }
}

#[test]
fn a_running_gateway_pays_for_keys_that_came_and_not_for_those_that_may() {
    let gateway = Gateway::start(&limited(1_000));
    let at_first = gateway.usage().own;
    assert_eq!(gateway.get("h0.example.com", "/").status, 200);
    gateway.reload(&limited(1_001));
    let after = gateway.usage().own;
    eprintln!("1,000 routes with a limit each: {at_first} KiB, {after} KiB after a reload");
    assert!(at_first < 150 << 10, "{at_first} KiB");
    assert!(after < 200 << 10, "{after} KiB after a reload");
}
