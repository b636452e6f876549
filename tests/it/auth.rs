//! `auth`: who may pass, what the upstream sees of it, and what nobody sees.

use crate::support::{gateway::everything, prelude::*};

const ANN: &str = "ann-key-0123456789";
const BOB: &str = "bob-key-0123456789";

/// What the upstream saw of a request: its head.
fn policies() -> String {
    format!(
        "policies:\n  auth:\n    partners:\n      api_key: {{ keys: {{ ann: {ANN}, bob: [{BOB}, bob-second-0123456] }} }}\n      \
         pass_consumer: X-Consumer\n    \
         links: {{ api_key: {{ from: query:key, keys: {{ link: link-key-0123456789 }} }} }}\n    \
         session: {{ api_key: {{ from: cookie:sid, keys: {{ web: web-key-0123456789 }}, pass_key: true }} }}\n    \
         watching: {{ api_key: {{ keys: {{ ann: {ANN} }} }}, mode: shadow, pass_consumer: X-Consumer }}\n"
    )
}

fn start(routes: &str) -> (Gateway, Raw) {
    let upstream = Raw::echo();
    let routes = routes.replace("UP", &upstream.url());
    (Gateway::start(&format!("{}routes:\n{routes}", policies())), upstream)
}

#[test]
fn only_who_has_a_key_may_pass_and_the_upstream_hears_who_it_is() {
    let (gateway, upstream) = start("  app: { to: UP, auth: partners }\n");
    let get = |fields: &[&str]| {
        gateway.client().exchange("GET", "h", "/a", &[fields, &["Connection: close"]].concat())
    };
    let none = get(&[]);
    assert_eq!((none.status, none.reason().as_str()), (401, "unauthenticated"));
    assert_eq!(none.header("www-authenticate"), Some("ApiKey"));
    let wrong = ["x", "", "ann-key-012345678", "ann-key-01234567890", "ANN-KEY-0123456789"];
    for key in wrong {
        assert_eq!(get(&[&format!("X-Api-Key: {key}")]).status, 401, "{key}");
    }
    let twice = [format!("X-Api-Key: {ANN}"), format!("X-Api-Key: {BOB}")];
    assert_eq!(get(&[&twice[0], &twice[1]]).status, 401, "which of them?");
    assert_eq!(upstream.requests().len(), 0, "none of these cost the upstream anything");
    for (key, consumer) in [(ANN, "ann"), (BOB, "bob"), ("bob-second-0123456", "bob")] {
        let key = format!("x-api-key: {key}");
        let answer =
            get(&[&key, "X-Consumer: admin", "x-consumer: root", "Connection: X-Consumer"]);
        assert_eq!(answer.status, 200);
        let seen = answer.text().to_ascii_lowercase();
        let said: Vec<_> =
            seen.lines().filter_map(|line| line.strip_prefix("x-consumer: ")).collect();
        assert_eq!(said, [consumer]);
        assert!(!seen.contains("x-api-key"), "{seen}");
    }
    // Many applications read `_` as `-`.
    assert_eq!(get(&[&format!("x-api-key: {ANN}"), "X_Consumer: root"]).status, 400);
    let lines = gateway.access_log(11);
    let of = |consumer: &str| lines.iter().filter(|line| line["consumer"] == consumer).count();
    assert_eq!((of("ann"), of("bob")), (1, 2));
    let count = |result| {
        let labels = [("kind", "auth"), ("policy", "partners"), ("result", result)];
        gateway.metric("tidegate_policy_decisions_total", &labels)
    };
    assert_eq!((count("allowed"), count("denied")), (Some(3.0), Some(7.0)));
}

#[test]
fn over_http2_and_grpc_it_is_the_same() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n{}\
         routes: {{ app: {{ to: \"{}\", auth: partners }} }}\n",
        policies(),
        upstream.url()
    ));
    let curl = |fields: &[&str]| {
        let fields: Vec<&str> = fields.iter().flat_map(|field| ["-H", field]).collect();
        let url = gateway.url("http");
        curl(&[&["--http2-prior-knowledge", &url], &*fields].concat())
    };
    assert_eq!(curl(&[]).status, 401);
    let answer = curl(&[&format!("x-api-key: {ANN}"), "x-consumer: root"]);
    assert_eq!(answer.status, 200);
    let seen = String::from_utf8(answer.body).unwrap().to_ascii_lowercase();
    assert!(seen.contains("x-consumer: ann") && !seen.contains("root"), "{seen}");
    assert_eq!(upstream.requests().len(), 1);
    let grpc = curl(&["content-type: application/grpc", "te: trailers"]);
    assert_eq!(grpc.status, 200);
    assert!(grpc.head.contains("grpc-status: 16"), "{}", grpc.head);
}

#[test]
fn a_key_is_taken_out_wherever_it_was_and_nothing_else() {
    let (gateway, _upstream) = start(
        "  link: { match: /link, to: UP, auth: links }\n  \
         web: { match: /web, to: UP, auth: session }\n",
    );
    let get = |target: &str, fields: &[&str]| {
        gateway.client().exchange("GET", "h", target, &[fields, &["Connection: close"]].concat())
    };
    let answer = get("/link?a=%31&key=link-key-0123456789&b&k%65y=x", &[]);
    assert_eq!(answer.status, 401, "two of them, one in disguise");
    let answer = get("/link?a=%31&key=link-key-0123456789&b", &[]);
    assert_eq!((answer.status, &*answer.echoed_target()), (200, "/link?a=%31&b"));
    let answer = get("/web", &["Cookie: a=1; sid=web-key-0123456789"]);
    assert!(answer.text().contains("sid=web-key"), "`pass_key`: {}", answer.text());
    assert_eq!(get("/web", &["Cookie: a=1; sid=web-key-012345678"]).status, 401);
    // What was in the query is not in the log.
    gateway.access_log(4);
    let log = std::fs::read_to_string(gateway.home().join("access.log")).unwrap();
    assert!(!log.contains("link-key") && log.contains("key=***"), "{log}");
}

#[test]
fn any_and_all_and_those_that_only_watch() {
    let (mut gateway, _upstream) = start(
        "  any: { match: /any, to: UP, auth: { any: [partners, links] } }\n  \
         all: { match: /all, to: UP, auth: { all: [partners, links] } }\n  \
         watch: { match: /watch, to: UP, auth: watching }\n  \
         open: { match: /open, to: UP, auth: none }\n",
    );
    let (ann, link) = (format!("X-Api-Key: {ANN}"), "key=link-key-0123456789");
    let get = |target: &str, fields: &[&str]| {
        gateway.client().exchange("GET", "h", target, &[fields, &["Connection: close"]].concat())
    };
    assert_eq!(get("/any", &[]).status, 401);
    assert_eq!(get("/any", &[&ann]).status, 200);
    let answer = get(&format!("/any?{link}"), &["X-Api-Key: wrong"]);
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("wrong"), "nothing that was shown goes on");
    assert_eq!(get("/all", &[&ann]).status, 401);
    assert_eq!(get(&format!("/all?{link}"), &[]).status, 401);
    assert_eq!(get(&format!("/all?{link}"), &[&ann]).status, 200);
    let answer = get("/watch", &["X-Consumer: root"]);
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("root"), "{}", answer.text());
    let answer = get("/watch", &[&ann]);
    assert!(answer.text().to_ascii_lowercase().contains("x-consumer: ann"), "{}", answer.text());
    let labels = [("route", "watch"), ("result", "shadow")];
    assert_eq!(gateway.metric("tidegate_policy_decisions_total", &labels), Some(1.0));
    assert_eq!(get("/open", &[]).status, 200);
    assert!(gateway.alive());
}

#[test]
fn a_file_of_keys_is_followed_and_a_broken_one_changes_nothing() {
    let upstream = Raw::echo();
    let home = crate::support::gateway::temporary();
    let write = |text: &str| {
        std::fs::write(home.path().join(".new"), text).unwrap();
        std::fs::rename(home.path().join(".new"), home.path().join("keys")).unwrap();
    };
    write(&format!("# partners\nann {ANN}\n"));
    let yaml = format!(
        "policies: {{ auth: {{ partners: {{ api_key: {{ keys_file: \"{}\" }} }} }} }}\n\
         routes: {{ app: {{ to: \"{}\", auth: partners }} }}\n",
        home.path().join("keys").display(),
        upstream.url()
    );
    let mut gateway = Gateway::builder().home(&home).start(&yaml);
    let status = |key: &str| {
        let field = format!("X-Api-Key: {key}");
        gateway.client().exchange("GET", "h", "/", &[&field, "Connection: close"]).status
    };
    assert_eq!((status(ANN), status(BOB)), (200, 401));
    write(&format!("bob {BOB}\n"));
    until("the new file counts", || status(BOB) == 200);
    assert_eq!(status(ANN), 401);
    write("bob short\n");
    let line = gateway.wait_log(&["stay as they were"]);
    assert!(line.contains("keys:1:") && !line.contains("short\""), "{line}");
    let status = |key: &str| {
        let field = format!("X-Api-Key: {key}");
        gateway.client().exchange("GET", "h", "/", &[&field, "Connection: close"]).status
    };
    assert_eq!(status(BOB), 200);
    // A reload with it is refused, and says why.
    let refused = everything(&gateway.verb(&["reload", "--wait"]));
    assert_eq!(status(BOB), 200, "{refused}");
    write(&format!("ann {ANN}\nbob {BOB}\n"));
    until("both count", || status(ANN) == 200 && status(BOB) == 200);
    gateway.reload(&(yaml + "# changed\n"));
    assert_eq!((status(ANN), status(BOB)), (200, 200));
}

#[test]
fn row_87_a_key_is_right_as_a_whole_or_not_at_all() {
    let (gateway, upstream) = start("  app: { to: UP, auth: partners }\n");
    let status = |key: &[u8]| {
        let mut client = gateway.client();
        let head =
            [b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Api-Key: ", key, b"\r\n\r\n"];
        client.send(head.concat());
        client.response().status
    };
    for length in 0..ANN.len() {
        assert_eq!(status(&ANN.as_bytes()[..length]), 401, "{length}");
        let mut other = ANN.as_bytes().to_vec();
        other[length] ^= 1;
        assert_eq!(status(&other), 401, "the byte {length}");
    }
    assert_eq!(status(&vec![b'a'; 9000]), 401, "longer than any key");
    assert_eq!(status(b"ann"), 401, "the name is no key");
    assert_eq!(upstream.requests().len(), 0);
    assert_eq!(status(ANN.as_bytes()), 200);
}

/// Nothing a gateway says holds a key, whatever is wrong with the file.
#[test]
fn no_key_is_ever_shown() {
    let (gateway, _upstream) = start("  app: { to: UP, auth: partners }\n");
    let field = format!("X-Api-Key: {ANN}");
    gateway.client().exchange("GET", "h", "/", &[&field, "Connection: close"]);
    let broken = policies().replace("pass_consumer", "pass_konsumer");
    gateway.write(&format!("{broken}routes: {{ app: {{ respond: 204, auth: partners }} }}\n"));
    let refused = everything(&gateway.verb(&["reload", "--wait"]));
    assert!(refused.contains("pass_konsumer"), "{refused}");
    let twice = policies().replace(BOB, ANN);
    gateway.write(&format!("{twice}routes: {{ app: {{ respond: 204, auth: partners }} }}\n"));
    let refused = refused + &everything(&gateway.verb(&["reload", "--wait"]));
    assert!(refused.contains("bob"), "{refused}");
    gateway.access_log(1);
    let log = std::fs::read_to_string(gateway.home().join("access.log")).unwrap();
    for (what, text) in [
        ("answers to a reload", refused),
        ("the log", gateway.logs()),
        ("the access log", log),
        ("the metrics", gateway.admin("/metrics").text()),
    ] {
        for key in [ANN, BOB, "link-key", "web-key", "bob-second"] {
            assert!(!text.contains(key), "{key} in {what}:\n{text}");
        }
    }
}

/// The hash of a password, as an operator makes it.
fn hash(arguments: &[&str], password: &str) -> String {
    use std::{io::Write, process::Stdio};
    let mut child = std::process::Command::new(crate::support::gateway::BINARY)
        .arg("hash")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn users_have_passwords_in_the_file_or_in_one_of_htpasswd() {
    let upstream = Raw::echo();
    let home = crate::support::gateway::temporary();
    let (ann, bob) = (hash(&[], "open sesame"), hash(&["--bcrypt", "10"], "s3cret:with:colons"));
    assert!(ann.starts_with("$argon2id$") && bob.starts_with("$2"), "{ann} {bob}");
    std::fs::write(home.path().join("htpasswd"), format!("bob:{bob}\n")).unwrap();
    let yaml = format!(
        "policies:\n  auth:\n    staff: {{ basic: {{ users: {{ ann: \"{ann}\" }}, realm: staff }}, pass_consumer: X-User }}\n    \
         others: {{ basic: {{ users_file: \"{}\", pass_credentials: true }} }}\n\
         routes:\n  staff: {{ match: /staff, to: \"{1}\", auth: staff }}\n  \
         others: {{ match: /others, to: \"{1}\", auth: others }}\n",
        home.path().join("htpasswd").display(),
        upstream.url()
    );
    let gateway = Gateway::builder().home(&home).start(&yaml);
    let get =
        |path: &str, user: &str| curl(&["-u", user, &format!("{}{path}", gateway.url("http"))]);
    let none = gateway.get("h", "/staff");
    assert_eq!((none.status, none.reason().as_str()), (401, "unauthenticated"));
    assert_eq!(none.header("www-authenticate"), Some("Basic realm=\"staff\", charset=\"UTF-8\""));
    for wrong in ["ann:", "ann:open", "ann:open sesame ", "nobody:open sesame", ":", "bob:x"] {
        assert_eq!(get("/staff", wrong).status, 401, "{wrong}");
    }
    assert_eq!(upstream.requests().len(), 0);
    for _ in 0..3 {
        let answer = get("/staff", "ann:open sesame");
        let seen = String::from_utf8(answer.body).unwrap().to_ascii_lowercase();
        assert_eq!(answer.status, 200);
        assert!(seen.contains("x-user: ann") && !seen.contains("authorization"), "{seen}");
    }
    let answer = get("/others", "bob:s3cret:with:colons");
    assert_eq!(answer.status, 200);
    assert!(String::from_utf8(answer.body).unwrap().to_lowercase().contains("authorization"));
    assert_eq!(get("/others", "ann:open sesame").status, 401, "each policy has its own users");
    let lines = gateway.access_log(12);
    assert_eq!(lines.iter().filter(|line| line["consumer"] == "ann").count(), 3);
    // Another user in the file, without a reload.
    let cid = hash(&["--bcrypt", "10"], "new here");
    std::fs::write(home.path().join("htpasswd"), format!("cid:{cid}\n")).unwrap();
    until("the file is read again", || get("/others", "cid:new here").status == 200);
    assert_eq!(get("/others", "bob:s3cret:with:colons").status, 401);
    // A hash nobody should use any more refuses the file, and is not shown.
    gateway.write(&yaml.replace(&ann, "$apr1$abcdefgh$secretsecretsecretsec1"));
    let refused = everything(&gateway.verb(&["reload", "--wait"]));
    assert!(refused.contains("tidegate hash") && !refused.contains("secretsecret"), "{refused}");
    let said = gateway.logs() + &gateway.admin("/metrics").text();
    for secret in [ann.as_str(), bob.as_str(), "open sesame", "s3cret"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

/// Passwords are made to take long; nobody else waits for that.
#[test]
fn verifying_passwords_holds_up_nobody_else() {
    let ann = hash(&[], "open sesame");
    let gateway = Gateway::start(&format!(
        "policies: {{ auth: {{ staff: {{ basic: {{ users: {{ ann: \"{ann}\" }} }} }} }} }}\n\
         routes:\n  staff: {{ match: /staff, respond: 204, auth: staff }}\n  \
         open: {{ match: /open, respond: 204 }}\n"
    ));
    let address = gateway.addr("http");
    let attackers: Vec<_> = (0..8)
        .map(|attacker: u32| {
            std::thread::spawn(move || {
                let mut statuses = std::collections::BTreeSet::new();
                for guess in 0..20 {
                    use base64::{Engine, engine::general_purpose::STANDARD};
                    let pair = STANDARD.encode(format!("user{attacker}:guess{guess}"));
                    let field = format!("Authorization: Basic {pair}");
                    let fields = [&*field, "Connection: close"];
                    let answer = Client::connect(address).exchange("GET", "h", "/staff", &fields);
                    statuses.insert(answer.status);
                }
                statuses
            })
        })
        .collect();
    let mut times = Vec::new();
    let mut client = gateway.client();
    while !attackers.iter().all(|attacker| attacker.is_finished()) {
        let begin = tokio::time::Instant::now();
        assert_eq!(client.get("h", "/open").status, 204);
        times.push(begin.elapsed());
        pause(Duration::from_millis(2));
    }
    for attacker in attackers {
        let statuses = attacker.join().unwrap();
        assert!(statuses.iter().all(|status| matches!(status, 401 | 503)), "{statuses:?}");
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!(
        "{} others beside 160 guesses: median {median:?}, worst {:?}",
        times.len(),
        times.last()
    );
    // One guess takes some 20 ms of a core: on a worker, half of the others would wait that long.
    assert!(median < Duration::from_millis(10), "{median:?}");
}
