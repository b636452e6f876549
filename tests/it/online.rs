//! `tidegate check --online`: what finds endpoints, TLS, providers of logins and stores, with real servers.

use std::fs;

use serde_json::Value;

use crate::support::{
    certs::Issued,
    dnsmasq::{Dnsmasq, Records},
    etcd::Etcd,
    gateway::{everything, temporary, tidegate},
    prelude::*,
    redis::Redis,
};

/// That of RFC 8037.
const KEYS: &str = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

/// Exit code and both streams.
#[track_caller]
fn online(file: &str, arguments: &[&str]) -> (i32, String) {
    let home = temporary();
    let listener = "version: 1\nlisteners: { http: \"127.0.0.1:0\" }\n";
    fs::write(home.path().join("routes.yaml"), format!("{listener}{file}")).unwrap();
    let all: Vec<&str> = ["check", "--online"].iter().chain(arguments).copied().collect();
    let output = tidegate(home.path(), &all);
    (output.status.code().unwrap_or(-1), everything(&output))
}

/// A line begins so, whatever it took.
#[track_caller]
fn says(said: &str, line: &str) {
    assert!(said.lines().any(|it| it.starts_with(line)), "no {line:?}:\n{said}");
}

fn gone() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", free.local_addr().unwrap())
}

#[test]
fn srv_records_are_asked_for_and_what_they_name_is_connected_to() {
    let (there, gone) = (Raw::text("x"), gone());
    let port = |url: &str| url.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let of = |second: u16| {
        Records::new()
            .address("a.test", "127.0.0.1")
            .srv("_http._tcp.app.test", (1, 1), "a.test", there.address().port())
            .srv("_http._tcp.app.test", (1, 1), "a.test", second)
    };
    let mut dns = Dnsmasq::start(of(port(&gone)));
    let file = |name: &str| {
        format!(
            "upstreams: {{ app: {{ discover: {{ dns: {{ name: {name}, type: srv, server: \"{}\" }} }} }} }}\n\
             routes: {{ app: {{ to: app }} }}\n",
            dns.address()
        )
    };
    let file = [file("_http._tcp.app.test"), file("_http._tcp.none.test")];
    // One of two is away: the gateway goes on with the other, so it is a warning.
    let (code, said) = online(&file[0], &[]);
    says(&said, "ok      upstream app  _http._tcp.app.test  2 endpoints (");
    says(
        &said,
        &format!("ok      upstream app  http://127.0.0.1:{}  connected", there.address().port()),
    );
    says(
        &said,
        &format!("FAILED  upstream app  {gone}  127.0.0.1:{} cannot be connected", port(&gone)),
    );
    assert_eq!(code, 0, "{said}");
    assert_eq!(online(&file[0], &["--strict"]).0, 1);
    assert!(there.requests().is_empty(), "nothing is sent");
    let (code, said) = online(&file[1], &[]);
    says(&said, "FAILED  upstream app  _http._tcp.none.test  ");
    assert!(code == 1 && said.contains("SRV of `_http._tcp.none.test`"), "{said}");
    dns.kill();
    let (code, said) = online(&file[0], &[]);
    says(&said, "FAILED  upstream app  _http._tcp.app.test  ");
    assert_eq!(code, 1, "{said}");
}

#[test]
fn files_of_endpoints_are_read_and_etcd_is_asked() {
    let (there, etcd) = (Raw::text("x"), Etcd::start());
    etcd.put("/app/1", &there.url());
    let home = temporary();
    let list = home.path().join("list.yaml");
    fs::write(&list, format!("[\"{}\"]\n", there.url())).unwrap();
    let file = |prefix: &str| {
        format!(
            "upstreams:\n  kept: {{ discover: {{ etcd: {{ endpoints: \"{}\", prefix: {prefix} }} }} }}\n  \
             listed: {{ discover: {{ file: \"{}\" }} }}\n\
             routes: {{ a: {{ match: /a, to: kept }}, b: {{ match: /b, to: listed }} }}\n",
            etcd.url(),
            list.display()
        )
    };
    let (code, said) = online(&file("/app/"), &[]);
    for line in [
        &format!("ok      upstream kept  {}  connected to 127.0.0.1", etcd.url()),
        "ok      upstream kept  etcd /app/  1 endpoint (",
        &format!("ok      upstream kept  {}  connected to 127.0.0.1", there.url()),
        &format!("ok      upstream listed  {}  1 endpoint (", list.display()),
        &format!("ok      upstream listed  {}  connected to 127.0.0.1", there.url()),
    ] {
        says(&said, line);
    }
    assert_eq!(code, 0, "{said}");
    let (code, said) = online(&file("/none/"), &[]);
    says(&said, "FAILED  upstream kept  etcd /none/  there is no endpoint");
    assert_eq!(code, 1, "{said}");
}

/// A server that speaks TLS.
fn secure(authority: &Authority, issued: &Issued) -> (Nginx, String) {
    let nginx = Nginx::tls(issued, "location / { return 200 x; }");
    let file = format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\"], tls: {{ ca: \"{}\" }} }} }}\nroutes: {{ app: {{ to: app }} }}\n",
        nginx.url(),
        authority.file().display()
    );
    (nginx, file)
}

#[test]
fn certificates_of_endpoints_are_looked_at() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (nginx, file) = secure(&authority, &authority.issue("up", &["127.0.0.1"]));
    let (code, said) = online(&file, &[]);
    says(&said, &format!("ok      upstream app  {}  connected to 127.0.0.1, TLS 1.", nginx.url()));
    assert_eq!(code, 0, "{said}");
    let (nginx, file) = secure(&authority, &other.issue("up", &["127.0.0.1"]));
    let (code, said) = online(&file, &[]);
    says(&said, &format!("FAILED  upstream app  {}  127.0.0.1:", nginx.url()));
    assert!(code == 1 && said.contains("TLS: invalid peer certificate"), "{said}");
    // What is no TLS at all.
    let plain = Raw::always("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let file = format!("routes: {{ app: {{ to: \"https://{}\" }} }}\n", plain.address());
    let (code, said) = online(&file, &[]);
    assert!(code == 1 && said.contains(" TLS: "), "{said}");
}

#[test]
fn providers_of_logins_are_asked_what_they_say_of_themselves() {
    let provider = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            let at = format!("http://{}", request.head.get("host").unwrap_or_default());
            let body = match request.head.word(1) {
                "/.well-known/openid-configuration" => format!(
                    "{{\"issuer\":\"{at}\",\"authorization_endpoint\":\"{at}/auth\",\"token_endpoint\":\"{at}/token\",\"jwks_uri\":\"{at}/keys\"}}"
                ),
                "/keys" => KEYS.to_owned(),
                _ => String::new(),
            };
            peer.ok(body.as_bytes());
        }
    });
    let file = |issuer: &str| {
        format!(
            "policies:\n  auth:\n    sso:\n      oidc: {{ issuer: \"{issuer}\", client_id: shop, client_secret: hunter2hunter2, secrets: 0123456789abcdef0123456789abcdef, callback: /a/callback, logout: none }}\n\
             routes:\n  a: {{ match: /a/**, respond: 200, auth: sso }}\n  b: {{ match: /b/**, respond: 200, auth: sso }}\n"
        )
    };
    let (code, said) = online(&file(&provider.url()), &[]);
    let url = provider.url();
    says(
        &said,
        &format!("ok      provider of `sso`, route a  {url}  1 key, logins at {url}/auth ("),
    );
    says(&said, "unseen  client of `sso`, route a  shop  only a login tells");
    assert!(code == 0 && !said.contains("route b  http"), "{said}");
    assert_eq!(provider.requests().len(), 2, "once for both routes");
    // It says that it is somebody else.
    let (code, said) =
        online(&file(&format!("http://localhost:{}", provider.address().port())), &[]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = online(&file(&format!("{url}/other")), &[]);
    says(&said, &format!("FAILED  provider of `sso`, route a  {url}/other  "));
    assert_eq!(code, 1, "{said}");
}

#[test]
fn stores_are_greeted_and_nothing_is_written() {
    let redis = Redis::with(&["--requirepass", "hunter2"], &["-a", "hunter2"]);
    let file = |password: &str| {
        format!(
            "stores: {{ main: {{ redis: \"{}\", password: {password} }} }}\n\
             routes: {{ app: {{ respond: 200, rate_limit: {{ limit: 10/s, store: main }} }} }}\n",
            redis.url()
        )
    };
    let (code, said) = online(&file("hunter2"), &[]);
    says(&said, &format!("ok      store main  127.0.0.1:{}  it answers (", redis.port));
    assert!(code == 0 && redis.keys().is_empty(), "{said}\n{:?}", redis.keys());
    let (code, said) = online(&file("wrong-secret"), &[]);
    says(&said, &format!("FAILED  store main  127.0.0.1:{}  ", redis.port));
    assert!(code == 1 && !said.contains("wrong-secret  "), "{said}");
}

#[test]
fn who_would_take_a_question_for_a_request_is_only_connected_to() {
    let service = Raw::text("x");
    let file = format!(
        "stores: {{ counts: {{ rls: \"h2c://{0}\" }} }}\n\
         routes:\n  app:\n    respond: 200\n    auth: {{ external: {{ url: \"http://{0}/verify\" }} }}\n    \
         rate_limit: {{ limit: 10/s, store: counts }}\n",
        service.address()
    );
    let (code, said) = online(&file, &[]);
    let at = service.address();
    says(&said, &format!("ok      upstream  http://{at}  connected"));
    says(
        &said,
        &format!("unseen  external of `inline`, route app  http://{at}  only connected to"),
    );
    says(
        &said,
        &format!("unseen  store counts  h2c://{at}  only connected to: who asks it is counted"),
    );
    assert!(code == 0 && service.requests().is_empty(), "{said}");
    let (_, said) = online(&file, &["--format", "json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let lines = said["online"].as_array().unwrap();
    let unseen = lines.iter().filter(|line| line["ok"].is_null());
    assert_eq!(unseen.count(), 2, "{said:#}");
}

#[test]
fn a_server_that_says_nothing_holds_nobody_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap();
    let begun = tokio::time::Instant::now();
    let (code, said) = online(
        &format!(
            "stores: {{ main: {{ redis: \"redis://{at}\" }} }}\n\
             routes:\n  a: {{ match: /a, to: \"https://{at}\" }}\n  \
             b: {{ match: /b, respond: 200, rate_limit: {{ limit: 1/s, store: main }} }}\n"
        ),
        &[],
    );
    // Each waits 3 s, and both at once.
    let late = begun.elapsed() > Duration::from_secs(20);
    says(&said, &format!("FAILED  store main  {at}  no answer in time"));
    assert!(code == 1 && !late && said.contains("TLS: no answer in time"), "{said}");
}
