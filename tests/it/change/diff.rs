//! `tidegate diff`: files against files, standard input, and the running gateway.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use crate::support::{
    gateway::{BINARY, everything, private, temporary, tidegate},
    prelude::*,
};

const OLD: &str = "version: 1\npolicies: { auth: { keys: { api_key: { keys: { a: 0123456789abcdef } } } } }\n\
                   routes:\n  app: { match: /app, respond: 200, auth: keys }\n";

#[test]
fn what_widens_comes_first_and_decides_the_exit_code() {
    let home = temporary();
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    write("old.yaml", OLD);
    write("new.yaml", &OLD.replace(", auth: keys", ""));
    write("slow.yaml", &OLD.replace("auth: keys", "auth: keys, timeouts: { request: 9s }"));
    let run = |arguments: &[&str]| {
        let output = tidegate(home.path(), arguments);
        (output.status.code(), everything(&output))
    };
    let (code, text) = run(&["diff", "old.yaml", "new.yaml"]);
    assert_eq!(code, Some(4), "{text}");
    assert!(
        text.starts_with("widens access (1):\n  ~ route app  auth: keys (api_key) → none"),
        "{text}"
    );
    assert!(text.contains("new.yaml:4"), "{text}");
    for (files, fail_on, code) in [
        (["old.yaml", "old.yaml"], "any", 0),
        (["old.yaml", "slow.yaml"], "any", 4),
        (["old.yaml", "slow.yaml"], "widening", 0),
        (["old.yaml", "new.yaml"], "widening", 4),
        (["new.yaml", "old.yaml"], "widening", 0),
        (["old.yaml", "new.yaml"], "none", 0),
    ] {
        let (found, text) = run(&["diff", files[0], files[1], "--fail-on", fail_on]);
        assert_eq!(found, Some(code), "{files:?} {fail_on}: {text}");
    }
    let (code, text) = run(&["diff", "old.yaml", "new.yaml", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["widens"]), (Some(4), &true.into()), "{text}");
    let change = &json["changes"][0];
    assert_eq!((&change["kind"], &change["name"]), (&"route".into(), &"app".into()), "{text}");
    assert_eq!((&change["key"], &change["new"]), (&"auth".into(), &"none".into()), "{text}");
    write("bad.yaml", "version: 1\nroutes: { a: { respnd: 200 } }\n");
    let (code, text) = run(&["diff", "old.yaml", "bad.yaml"]);
    assert!(code == Some(1) && text.contains("did you mean `respond`"), "{text}");
    assert_eq!(run(&["diff", "-", "-"]).0, Some(2));
    assert_eq!(run(&["diff", "--live", "old.yaml", "new.yaml"]).0, Some(2));
}

#[test]
fn the_old_one_may_come_through_a_pipe_and_includes_are_found_from_their_own_place() {
    let home = temporary();
    let place = home.path().join("else/where");
    fs::create_dir_all(place.join("routes.d")).unwrap();
    fs::write(place.join("new.yaml"), format!("include: [routes.d/*.yaml]\n{OLD}")).unwrap();
    fs::write(
        place.join("routes.d/more.yaml"),
        "routes: { more: { match: /more, respond: 200 } }\n",
    )
    .unwrap();
    let mut command = Command::new(BINARY);
    command.args(["diff", "-", "else/where/new.yaml"]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = private(&mut command, home.path()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(OLD.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = everything(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(
        text.contains("+ route more") && text.contains("else/where/routes.d/more.yaml:1"),
        "{text}"
    );
}

#[test]
fn the_running_gateway_is_compared_with_what_would_be_loaded() {
    let gateway = Gateway::builder().env("KEY", "hunter2-hunter2-hunter2").start(
        "policies: { auth: { keys: { api_key: { keys: { a: \"${KEY}\" } } } } }\n\
         routes: { app: { respond: 200, auth: keys } }\n",
    );
    // What runs was read with its own variables and is read so again; a file on disk is not looked at.
    gateway.write("routes: { broken\n");
    let new = gateway.home().join("new.yaml");
    fs::write(&new, "version: 1\nroutes: { app: { respond: 200 } }\n").unwrap();
    let output = gateway.verb(&["diff", "--live", new.to_str().unwrap()]);
    let text = everything(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("~ route app  auth: keys (api_key) → none"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let output =
        tidegate(gateway.home(), &["diff", "--live", "new.yaml", "--socket", "./none.sock"]);
    assert_eq!(output.status.code(), Some(3), "{}", everything(&output));
}
