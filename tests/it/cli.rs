//! The verbs that need no running gateway, their exit codes, and what they say of a wrong file.

use std::{fs, process::Command};

use crate::support::{
    gateway::{BINARY, everything, private, temporary, tidegate},
    prelude::*,
    process::Process,
};

/// Checks a file of this text; exit code and everything printed.
#[track_caller]
fn check(text: &str) -> (i32, String) {
    let home = temporary();
    fs::write(home.path().join("routes.yaml"), text).unwrap();
    let start = tokio::time::Instant::now();
    let output = tidegate(home.path(), &["check", "-c", "routes.yaml"]);
    assert!(start.elapsed() < Duration::from_secs(10), "check took {:?}", start.elapsed());
    (output.status.code().unwrap_or(-1), everything(&output))
}

#[track_caller]
fn refuses(text: &str, parts: &[&str]) {
    let (code, said) = check(text);
    assert_eq!(code, 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[test]
fn a_good_file_is_exit_code_0() {
    let (code, said) = check("version: 1\nroutes: { app: { to: \"http://127.0.0.1:3000\" } }\n");
    assert_eq!(code, 0, "{said}");
}

#[test]
fn every_error_of_a_file_is_shown_at_once_with_its_place_and_a_proposal() {
    refuses(
        "version: 1\nupstreams:\n  catalog: http://127.0.0.1:1\nroutes:\n  a:\n    match: /a\n    strip_prefx: /a\n    to: catlog\n  b:\n    match: /b\n    to: catalog\n    timeouts: { request: 10 }\n",
        &[
            "routes.yaml:7:5",
            "strip_prefx",
            "strip_prefix",
            "routes.yaml:8:9",
            "catlog",
            "`catalog`",
            "routes.yaml:12:",
            "10s",
        ],
    );
}

#[test]
fn conflicts_and_duplicates_show_both_places() {
    refuses(
        "version: 1\nroutes:\n  a: { match: \"/x/**\", respond: 200 }\n  b: { match: \"/x/**\", respond: 204 }\n",
        &["routes.yaml:3:", "4 |", "priority"],
    );
    refuses(
        "version: 1\nroutes:\n  a: { match: /x, respond: 200 }\n  a: { match: /y, respond: 204 }\n",
        &["routes.yaml:4:", "a"],
    );
}

#[test]
fn what_is_not_built_yet_is_an_error_that_says_so() {
    refuses(
        "version: 1\nroutes: { a: { to: \"http://127.0.0.1:1\", auth: shoppers } }\n",
        &["auth"],
    );
    refuses(
        "version: 1\nroutes: { a: { to: \"http://127.0.0.1:1\", compress: text } }\n",
        &["compress"],
    );
}

#[test]
fn versions_units_and_variables_are_checked() {
    refuses("routes: { a: { respond: 200 } }\n", &["version"]);
    refuses("version: 2\nroutes: { a: { respond: 200 } }\n", &["version"]);
    refuses("version: 1\nroutes: { a: { to: \"${NO_SUCH_VARIABLE}\" } }\n", &["NO_SUCH_VARIABLE"]);
    refuses(
        "version: 1\nroutes: { a: { to: \"http://a\", redirect: \"http://b\" } }\n",
        &["redirect", "to"],
    );
    refuses("version: 1\nroutes: { a: { match: /a } }\n", &["respond"]);
    refuses("version: 1\nroutes:\n\ta: { respond: 200 }\n", &["tab"]);
}

#[test]
fn hostile_files_end_in_a_clear_error_and_bounded_memory() {
    let mut bomb = "version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let refs = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
    }
    let deep = format!("version: 1\nroutes: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let large =
        format!("version: 1\n# {}\nroutes: {{ a: {{ respond: 200 }} }}\n", "x".repeat(100_000_000));
    let half = "version: 1\nroutes:\n  a: { respond: 2";
    for (name, text) in
        [("bomb", bomb.as_str()), ("deep", &deep), ("large", &large), ("half", half)]
    {
        let home = temporary();
        fs::write(home.path().join("routes.yaml"), text).unwrap();
        // Half a GiB of address space is all it may have.
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -v 1048576; exec \"$0\" check -c routes.yaml", BINARY]);
        let start = tokio::time::Instant::now();
        let output = limited.current_dir(home.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {}", everything(&output));
        assert!(start.elapsed() < Duration::from_secs(5), "{name} took {:?}", start.elapsed());
        assert!(everything(&output).len() < 10_000, "{name} prints no novel");
    }
}

#[test]
fn usage_errors_are_exit_code_2_and_a_missing_file_1() {
    let home = temporary();
    for arguments in [&["frobnicate"][..], &["run", "--no-such-flag"], &["proxy"]] {
        let output = tidegate(home.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {}", everything(&output));
    }
    let output = tidegate(home.path(), &["check", "-c", "none.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let said = everything(&output);
    assert!(said.contains("--> none.yaml\n"), "a file that is not there has no line 1: {said}");
}

#[test]
fn version_names_itself() {
    let home = temporary();
    let output = tidegate(home.path(), &["version"]);
    assert!(output.status.success());
    assert!(everything(&output).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn strict_makes_warnings_fail() {
    let home = temporary();
    let text = "version: 1\nroutes: { a: { match: /, respond: 200 } }\n";
    fs::write(home.path().join("routes.yaml"), text).unwrap();
    let output = tidegate(home.path(), &["check", "-c", "routes.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", everything(&output));
    assert!(everything(&output).contains("/**"), "{}", everything(&output));
    let output = tidegate(home.path(), &["check", "--strict", "-c", "routes.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{}", everything(&output));
}

#[test]
fn proxy_shows_the_flag_that_is_wrong() {
    let home = temporary();
    for (from, to, message) in [
        (
            "18443",
            "localhost:1",
            "`--from`: `18443` is not an address\nhelp: did you mean `:18443`?\n",
        ),
        (
            ":0",
            "http://a/b",
            "`--to`: an endpoint cannot have a path\nhelp: scheme, host and port, like ",
        ),
        (
            ":0",
            "ftp://a",
            "`--to`: `ftp` is not a scheme of an endpoint\nhelp: scheme, host and port, like ",
        ),
        (
            ":0",
            "http://ann:planted@a",
            "`--to`: an endpoint cannot hold a user or password\nhelp: ",
        ),
    ] {
        let output = tidegate(home.path(), &["proxy", "--from", from, "--to", to]);
        let said = everything(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with(&format!("error: {message}")), "{said}");
        assert!(!said.contains("planted") && !said.contains("-->"), "{said}");
    }
}

#[test]
fn proxy_needs_no_file() {
    let flask = Flask::start();
    let home = temporary();
    let to = flask.url().trim_start_matches("http://").replace("127.0.0.1", "localhost");
    let mut command = Command::new(BINARY);
    command.args(["proxy", "--from", "127.0.0.1:0", "--to", &to, "--tls", "dev"]);
    let mut process = Process::ours(private(&mut command, home.path()));
    let address = process.wait_for("the address", |line| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let fields = value.get("fields").unwrap_or(&value);
        (fields["message"] == "listening" && fields["listener"] != "admin")
            .then(|| fields["address"].as_str()?.parse::<std::net::SocketAddr>().ok())?
    });
    let line = process.wait_for("the line to paste", |line| {
        line.strip_prefix("  curl ").map(|rest| format!("curl -sS {rest}"))
    });
    assert!(line.ends_with(&format!(" https://localhost:{}/", address.port())), "{line}");
    let answer = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(everything(&answer), "hello from flask\n", "{line}");
    process.signal(rustix::process::Signal::INT);
    assert_eq!(process.wait(DEADLINE).code(), Some(0));
}

#[test]
fn a_bad_pattern_does_not_hide_a_conflict() {
    refuses(
        "version: 1\nroutes:\n  a: { match: /x, respond: 200 }\n  b: { match: /x, respond: 204 }\n  c: { match: { path: { regex: \"^/(\" } }, respond: 200 }\n",
        &["routes.yaml:3:", "match the same requests", "routes.yaml:5:", "2 errors"],
    );
}

#[test]
fn check_ends_with_what_is_open_to_whom() {
    let text = "version: 1\nroutes:\n  open: { match: \"a.com/x/**\", respond: 200 }\n  office: { match: a.com/y, respond: 200, ip: { allow: [192.0.2.0/24] } }\n";
    let (code, said) = check(text);
    assert_eq!(code, 0, "{said}");
    let expected = "\
ok: 2 routes, 0 upstreams, 1 listener

listener  route   match       auth       limit
http      open    a.com/x/**  none       none
http      office  a.com/y     ip inline  none
public, for there is no auth: open
";
    assert_eq!(said, expected, "\n{said}");
}

#[test]
fn check_tells_programs_the_same() {
    let home = temporary();
    let said = |text: &str| {
        fs::write(home.path().join("routes.yaml"), text).unwrap();
        let output = tidegate(home.path(), &["check", "--format", "json"]);
        let value = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
        (output.status.code(), value)
    };
    let (code, good) = said("version: 1\nroutes: { a: { match: /x, respond: 200 } }\n");
    assert_eq!((code, good["ok"].as_bool()), (Some(0), Some(true)), "{good}");
    assert_eq!(good["exposure"][0]["public"], true, "{good}");
    let (code, bad) = said("version: 1\nroutes:\n  a: { match: /x, respnd: 200 }\n");
    assert_eq!((code, bad["ok"].as_bool()), (Some(1), Some(false)), "{bad}");
    let findings = bad["findings"].as_array().unwrap();
    let typed = findings.iter().find(|it| it["help"] == "did you mean `respond`?").unwrap();
    let place = &typed["places"][0];
    assert_eq!((&place["line"], &place["column"]), (&3.into(), &19.into()), "{bad}");
    assert!(bad["exposure"].is_null(), "{bad}");
}

#[test]
fn files_are_laid_out_and_say_the_same() {
    let home = temporary();
    let main = "version:  1\ninclude: [r.d/*.yaml]\nroutes:\n    a: {respond: 200}   # all\n";
    let laid_out = "version: 1\ninclude: [r.d/*.yaml]\nroutes:\n  a: { respond: 200 }  # all\n";
    let path = home.path().join("routes.yaml");
    fs::create_dir(home.path().join("r.d")).unwrap();
    fs::write(home.path().join("r.d/b.yaml"), "routes: { b: { match: /b, respond: 204 } }\n")
        .unwrap();
    fs::write(&path, main).unwrap();
    let fmt = |arguments: &[&str]| {
        let output = tidegate(home.path(), &[&["fmt"], arguments].concat());
        (output.status.code(), everything(&output))
    };
    let (code, said) = fmt(&["routes.yaml"]);
    assert_eq!((code, &*said), (Some(0), laid_out));
    let (code, said) = fmt(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("2 files") && said.contains("--write"), "{said}");
    let (code, said) = fmt(&["--check"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("laid out otherwise: routes.yaml") && !said.contains("b.yaml"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), main);
    let (code, said) = fmt(&["--write"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), laid_out);
    assert_eq!(fmt(&["--check"]), (Some(0), String::new()));
    assert_eq!(tidegate(home.path(), &["check"]).status.code(), Some(0));
    // A file that is not understood stays as it is, and the others are done.
    fs::write(home.path().join("r.d/c.yaml"), "routes: [\n").unwrap();
    let (code, said) = fmt(&["--write", "r.d/c.yaml", "routes.yaml", "nowhere.yaml"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot read `nowhere.yaml`"), "{said}");
    let (code, said) = fmt(&["--write", "r.d/c.yaml", "routes.yaml"]);
    assert!(code == Some(1) && said.contains("r.d/c.yaml:"), "{said}");
    assert_eq!(fs::read_to_string(home.path().join("r.d/c.yaml")).unwrap(), "routes: [\n");
}
