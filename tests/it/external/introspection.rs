//! `introspection` with a real endpoint (RFC 7662).

use super::*;
use crate::support::gateway::{everything, temporary};

const INTROSPECTED: &str = "{ introspection: { url: \"SERVICE/introspect\", timeout: 5s, client_id: gate way, \
     client_secret: \"s3cret: %&?\", issuer: \"https://issuer\", audience: orders, pass_claims: { X-Subject: sub, X-Scope: scope }";

fn policy(more: &str) -> String {
    format!("{INTROSPECTED}{more} }} }}")
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

#[test]
fn the_issuer_says_whose_a_token_is() {
    let parts = start(&policy(", require: { scope: [read, write] }"), "");
    let good = parts.get("/app", &[&bearer("good-token"), "X-Subject: root", "x-scope: all"]);
    assert_eq!(good.status, 200, "{}", good.text());
    let told = (good.echoed("x-subject"), good.echoed("x-scope"), good.echoed("authorization"));
    assert_eq!(told, (Some("ann".into()), Some("read write".into()), None));
    assert_eq!(parts.gateway.last_access(1)["consumer"], "ann");
    let seen = parts.seen();
    assert_eq!(seen[0]["body"], "token=good-token&token_type_hint=access_token");
    assert_eq!(field(&seen[0], "content-type"), ["application/x-www-form-urlencoded"]);
    assert_eq!(field(&seen[0], "accept"), ["application/json"]);
    assert!(field(&seen[0], "x-subject").is_empty());

    let nothing = parts.get("/app", &[]);
    assert_eq!((nothing.status, nothing.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(parts.get("/app", &["Authorization: Basic YTpi"]).status, 401);
    assert_eq!(parts.seen().len(), 1, "nobody asks of no token");
    for (token, status, word) in [
        ("unknown-token", 401, "inactive"),
        ("other-token", 401, "wrong_audience"),
        ("foreign-token", 401, "wrong_issuer"),
        ("past-token", 401, "expired"),
        ("early-token", 401, "not_yet_valid"),
        ("list-token", 403, "claim_not_allowed"),
        ("lying-token", 503, "service_bad_answer"),
        ("text-token", 503, "service_bad_answer"),
    ] {
        let answer = parts.get("/app", &[&bearer(token)]);
        assert_eq!(answer.status, status, "{token}: {}", answer.text());
        if status == 401 {
            let said = answer.header("www-authenticate").unwrap();
            assert!(said.contains(&format!("error_description=\"{word}\"")), "{said}");
        }
        let labels = [("policy", "asked"), ("reason", word)];
        let count = parts.gateway.metric("tidegate_policy_refusals_total", &labels);
        assert!(count.is_some_and(|count| count >= 1.0), "{token}");
    }
    assert_eq!(parts.upstream.requests().len(), 1);
    assert_eq!(parts.get("/app", &[&bearer("a b&c=d")]).status, 401);
    let body = parts.seen().last().unwrap()["body"].clone();
    assert_eq!(body, "token=a+b%26c%3Dd&token_type_hint=access_token");
}

#[test]
fn a_token_is_asked_for_once_and_never_believed_past_its_end() {
    let parts = start(
        &policy(", cache: { ttl: 1h, negative_ttl: 1h }")
            .replace("introspect\"", "introspect?sleep=0.3\""),
        "",
    );
    let url = format!("{}/app", parts.gateway.url("http"));
    let storm = |token: &str| {
        let header = format!("authorization: Bearer {token}");
        crate::support::tools::h2load(&["-n", "1000", "-c", "10", "-m", "100", "-H", &header, &url])
    };
    assert_eq!((storm("good-token").ok, parts.seen().len()), (1000, 1));
    assert_eq!((storm("bad-token").ok, parts.seen().len()), (0, 2));
    let short = bearer("short-token");
    assert_eq!(parts.get("/app", &[&short]).status, 200);
    assert_eq!(parts.get("/app", &[&short]).status, 200);
    assert_eq!(parts.seen().len(), 3);
    pause(Duration::from_millis(2500));
    assert_eq!(parts.get("/app", &[&short]).status, 200);
    assert_eq!(parts.seen().len(), 4, "its end had come");
}

#[test]
fn a_secret_in_a_file_is_followed_and_none_is_ever_shown() {
    let home = temporary();
    let write = |text: &str| {
        std::fs::write(home.path().join(".new"), text).unwrap();
        std::fs::rename(home.path().join(".new"), home.path().join("secret")).unwrap();
    };
    write("wr0ng-secret\n");
    let (upstream, service) = (Raw::echo(), Flask::auth());
    let secret = format!("client_secret_file: {}", home.path().join("secret").display());
    let asked = policy("").replace("client_secret: \"s3cret: %&?\"", &secret);
    let yaml = file(&asked, "", &upstream.url(), &service.url());
    let mut gateway = Gateway::builder().home(&home).start(&yaml);
    let get = |gateway: &Gateway| {
        let fields = [&*bearer("good-token"), "Connection: close"];
        gateway.client().exchange("GET", "x", "/app", &fields).status
    };
    assert_eq!(get(&gateway), 503, "the issuer does not know this client");
    write("s3cret: %&?\n");
    gateway.wait_log(&["secrets of clients were read again"]);
    assert_eq!(get(&gateway), 200);
    write("");
    gateway
        .wait_log(&["secrets of clients stay as they were", "one line with the secret is needed"]);
    assert_eq!(get(&gateway), 200);

    // Written in the file itself, and wrong beside it: no message shows the line.
    let both = policy(", client_secret_file: x").replace("s3cret: %&?", "s3cret-in-line");
    let inline = file(&both, "", &upstream.url(), &service.url());
    gateway.write(&inline);
    let refused = everything(&gateway.verb(&["reload", "--wait"]));
    assert!(refused.contains("error"), "{refused}");
    let shown = [
        refused,
        gateway.logs(),
        gateway.admin("/metrics").text(),
        std::fs::read_to_string(gateway.home().join("access.log")).unwrap(),
    ];
    for text in shown {
        for secret in ["wr0ng-secret", "s3cret: %&?", "s3cret-in-line", "good-token"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
