//! Verbs that help to write a file: `init`, `schema`, `completion`, `migrate`, `show`.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::gateway::{BINARY, everything, temporary, tidegate};

#[track_caller]
fn run(home: &Path, line: &str) -> (i32, String) {
    let arguments: Vec<&str> = line.split(' ').collect();
    let output = tidegate(home, &arguments);
    (output.status.code().unwrap_or(-1), everything(&output))
}

#[test]
fn a_first_file_is_good_and_its_tests_hold() {
    for flags in
        ["", " --tls", " --upstream 10.0.0.7:8000", " --upstream https://api.example.com --tls"]
    {
        let home = temporary();
        let (code, said) = run(home.path(), &format!("init{flags}"));
        assert_eq!(code, 0, "{flags}: {said}");
        for verb in ["check --strict", "test --coverage-min 100%", "fmt --check routes.yaml"] {
            let (code, said) = run(home.path(), verb);
            assert_eq!(code, 0, "{flags}: {verb}: {said}");
        }
        let schema = fs::read_to_string(home.path().join("routes.schema.json")).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        let (code, said) = run(home.path(), "init");
        assert!(code == 1 && said.contains("left as it is"), "{said}");
    }
    let home = temporary();
    let (code, said) = run(home.path(), "init --upstream http://a/b?c");
    assert!(code == 1 && said.contains("an endpoint cannot have a path"), "{said}");
    assert!(!home.path().join("routes.yaml").exists());
    // Nothing breaks out of its place.
    let output = tidegate(home.path(), &["init", "--upstream", "http://a:1\"] x: [${HOME}"]);
    assert_eq!(output.status.code(), Some(1), "{}", everything(&output));
}

#[test]
fn a_file_elsewhere_finds_what_stands_beside_it() {
    let home = temporary();
    fs::create_dir(home.path().join("sub")).unwrap();
    fs::write(home.path().join("sub/eps.yaml"), "[http://127.0.0.1:1]\n").unwrap();
    let text = "version: 1\nupstreams: { u: { discover: { file: eps.yaml } } }\nroutes: { a: { to: u } }\n";
    fs::write(home.path().join("sub/r.yaml"), text).unwrap();
    let (code, said) = run(home.path(), "check -c sub/r.yaml");
    assert_eq!(code, 0, "{said}");
    fs::remove_file(home.path().join("sub/eps.yaml")).unwrap();
    let (code, said) = run(home.path(), "check -c sub/r.yaml");
    assert!(code == 1 && said.contains("cannot read `sub/eps.yaml`"), "{said}");
}

#[test]
fn the_schema_is_printed() {
    let home = temporary();
    let (code, main) = run(home.path(), "schema");
    let main: Value = serde_json::from_str(&main).unwrap();
    assert!(code == 0 && main["properties"]["listeners"].is_object());
    let (_, included) = run(home.path(), "schema --included");
    let included: Value = serde_json::from_str(&included).unwrap();
    assert!(
        included["properties"]["listeners"].is_null()
            && included["properties"]["routes"].is_object()
    );
}

#[test]
fn bash_completes_verbs_and_flags() {
    let home = temporary();
    let (code, script) = run(home.path(), "completion bash");
    assert_eq!(code, 0, "{script}");
    fs::write(home.path().join("complete.bash"), script).unwrap();
    let complete = |words: &str, at: usize| {
        let program = format!(
            "source ./complete.bash; COMP_WORDS=({words}); COMP_CWORD={at}; \
             $(complete -p tidegate | sed 's/.*-F \\([^ ]*\\).*/\\1/') tidegate \"${{COMP_WORDS[{at}]}}\" ''; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output =
            Command::new("bash").arg("-c").arg(program).current_dir(home.path()).output().unwrap();
        everything(&output)
    };
    let verbs = complete("tidegate exp", 1);
    assert_eq!(verbs.trim(), "explain", "{verbs}");
    let flags = complete("tidegate test --cov", 2);
    assert_eq!(flags.trim(), "--coverage-min", "{flags}");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let (code, script) = run(home.path(), &format!("completion {shell}"));
        assert!(code == 0 && script.contains("explain"), "{shell}: {script}");
    }
    let (code, said) = run(home.path(), "completion csh");
    assert!(code == 2 && said.contains("possible values"), "{said}");
    assert!(Path::new(BINARY).exists());
}

#[test]
fn files_say_which_language_they_are_in() {
    let home = temporary();
    for (text, code, part) in [
        ("version: 1\nroutes: {}\n", 0, "nothing to do"),
        ("version: 1\nroutes: { a: { unknown: 1 } }\n", 0, "nothing to do"),
        ("version: 2\nroutes: {}\n", 1, "routes.yaml:1:10"),
        ("version: 2\nroutes: {}\n", 1, "newer than this Tidegate"),
        ("version: one\n", 1, "no such version of the language"),
        ("version: [\n", 1, "routes.yaml:"),
    ] {
        fs::write(home.path().join("routes.yaml"), text).unwrap();
        let (got, said) = run(home.path(), "migrate");
        assert!(got == code && said.contains(part), "{text}: {got} {said}");
    }
}

#[test]
fn what_is_shown_can_be_checked_and_run() {
    let home = temporary();
    let text = "version: 1\ndefaults: { timeouts: { request: 10s } }\nroutes:\n  \
                a: { match: /a, respond: { status: 200, body: \"x: y # z\\n\" } }\n  b: { match: /b, to: \"http://127.0.0.1:1\", retry: 2 }\n";
    fs::write(home.path().join("routes.yaml"), text).unwrap();
    let (code, said) = run(home.path(), "show --effective");
    assert!(
        code == 0 && said.contains("request: 10s") && said.contains("# defaults routes.yaml:2"),
        "{said}"
    );
    fs::write(home.path().join("shown.yaml"), &said).unwrap();
    let (code, said) = run(home.path(), "check --strict -c shown.yaml");
    assert_eq!(code, 0, "{said}");
    let key = "listeners: { http: \"127.0.0.1:8080\" }\n\
               policies: { auth: { team: { api_key: { keys: { ann: 0123456789abcdef, bob: fedcba9876543210 } } } } }\n";
    let behind = text.replace(
        "match: /b,",
        "match: /b, auth: team, authorize: { allow: \"consumer == 'ann'\" },",
    );
    fs::write(home.path().join("keys.yaml"), format!("{behind}{key}")).unwrap();
    let (code, said) = run(home.path(), "show -c keys.yaml");
    assert!(
        code == 0 && said.starts_with("# Secrets") && !said.contains("0123456789abcdef"),
        "{said}"
    );
    fs::write(home.path().join("shown.yaml"), &said).unwrap();
    let (code, said) = run(home.path(), "check --strict -c shown.yaml");
    assert_eq!(code, 0, "{said}");
    let (code, said) =
        run(home.path(), "explain GET http://a/b -c keys.yaml --consumer ann --claims {}");
    assert!(code == 0 && said.contains("let in from `ann` without credentials"), "{code} {said}");
    assert!(said.contains("forwarded to http://127.0.0.1:1"), "{said}");
    let (code, said) = run(home.path(), "explain GET http://a/b -c keys.yaml --consumer bob");
    assert!(code == 0 && said.contains("403"), "{code} {said}");
    let (code, said) = run(home.path(), "explain GET http://a/b -c keys.yaml --consumer zed");
    assert!(code == 0 && said.contains("401 unauthenticated"), "{code} {said}");
    let (code, said) = run(home.path(), "explain GET http://a/b -c keys.yaml --claims 7");
    assert!(code == 2 && said.contains("takes a JSON object"), "{code} {said}");
    let (code, said) = run(home.path(), "show --route c");
    assert!(code == 2 && said.contains("there are: a, b"), "{said}");
    let (code, said) = run(home.path(), "show --format json");
    let parsed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &parsed["origins"]["/routes/b/retry/times"]), (0, &"routes.yaml:5".into()));
    fs::write(home.path().join("routes.yaml"), "version: 1\nroutes: { a: { respnd: 200 } }\n")
        .unwrap();
    let (code, said) = run(home.path(), "show");
    assert!(code == 1 && said.contains("did you mean `respond`?"), "{said}");
}
