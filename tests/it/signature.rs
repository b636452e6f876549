//! `signature` of a route: requests their senders have signed (RFC 9421).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::support::{
    gateway::everything,
    h2client::H2,
    http::Response,
    issuer::now,
    prelude::*,
    signed::{Draft, Signer, digest_of},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const BODY: &[u8] = b"{\"hello\": \"world\"}";

fn policies(more: &str) -> String {
    format!(
        "policies:\n  auth:\n    partners: {{ signature: {{ keys: {{ ann: {{ id: k1, secret: {SECRET} }} }} }}, pass_consumer: X-Consumer }}\n    \
         once: {{ signature: {{ keys: {{ ann: {{ id: k1, secret: {SECRET} }} }}, nonce: once, pass_signature: true }} }}\n    \
         watch: {{ signature: {{ keys: {{ ann: {{ id: k1, secret: {SECRET} }} }} }}, mode: shadow, pass_consumer: X-Consumer }}\n    \
         key: {{ api_key: {{ keys: {{ bob: bob-key-0123456789 }} }}, pass_consumer: X-Consumer }}\n{more}"
    )
}

fn send(gateway: &Gateway, draft: &Draft<'_>, fields: &[String], body: &[u8]) -> Response {
    let mut client = gateway.client();
    let length = format!("Content-Length: {}", body.len());
    let mut all: Vec<&str> = fields.iter().map(String::as_str).collect();
    all.push("Connection: close");
    if draft.body.is_some() {
        all.push(&length);
    }
    let target = match draft.query {
        "" => draft.path.to_owned(),
        query => format!("{}?{query}", draft.path),
    };
    client.request(draft.method, draft.authority, &target, &all);
    client.send(body);
    client.response()
}

fn status(gateway: &Gateway, draft: &Draft<'_>, signer: &Signer) -> u16 {
    send(gateway, draft, &draft.signed(signer), draft.body.unwrap_or_default()).status
}

#[test]
fn a_signed_request_passes_and_any_other_does_not() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "{}routes: {{ app: {{ to: \"{}\", auth: partners }} }}\n",
        policies(""),
        upstream.url()
    ));
    let signer = Signer::Secret(SECRET);
    let none = gateway.get("api.example", "/");
    assert_eq!((none.status, none.reason().as_str()), (401, "unauthenticated"));
    assert_eq!(none.header("www-authenticate"), Some("Signature"));
    let good = Draft { query: "a=1&b=%20", ..Draft::post("/orders", BODY) };
    let mut fields = good.signed(&signer);
    fields.extend(["X-Consumer: root".to_owned(), "Connection: X-Consumer, Signature".to_owned()]);
    // Whoever names the signature away has signed nothing.
    assert_eq!(send(&gateway, &good, &fields, BODY).status, 401);
    fields.pop();
    let answer = send(&gateway, &good, &fields, BODY);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.echoed("x-consumer").as_deref(), Some("ann"));
    let seen = answer.text().to_ascii_lowercase();
    assert!(!seen.contains("\nsignature") && seen.contains("content-digest: "), "{seen}");
    assert!(answer.text().ends_with("{\"hello\": \"world\"}"));
    let alias = [good.signed(&signer), vec!["X_Consumer: root".to_owned()]].concat();
    assert_eq!(send(&gateway, &good, &alias, BODY).status, 400);
    for other in [
        Draft { method: "PUT", ..Draft::post("/orders", BODY) },
        Draft { path: "/Orders", ..Draft::post("/orders", BODY) },
        Draft { query: "a=1", ..Draft::post("/orders", BODY) },
        Draft { authority: "other.example", ..Draft::post("/orders", BODY) },
    ] {
        let fields = Draft::post("/orders", BODY).signed(&signer);
        assert_eq!(send(&gateway, &other, &fields, BODY).status, 401);
    }
    let other = Signer::Secret("0123456789abcdef0123456789abcdeX");
    assert_eq!(status(&gateway, &Draft::post("/orders", BODY), &other), 401);
    let old = Draft { params: format!(";created={};keyid=\"k1\"", now() - 400), ..Draft::get("/") };
    assert_eq!(status(&gateway, &old, &signer), 401);
    // The path that counts is the one that is served.
    let fields = Draft::get("/orders").signed(&signer);
    let dotted = Draft { path: "/x/../orders", ..Draft::get("/") };
    let answer = send(&gateway, &dotted, &fields, b"");
    assert_eq!((answer.status, &*answer.echoed_target()), (200, "/orders"));
    assert_eq!(status(&gateway, &Draft { path: "/x/../orders", ..Draft::get("/") }, &signer), 401);
    assert_eq!(upstream.requests().len(), 2);
    let lines = gateway.access_log(12);
    assert_eq!(lines.iter().filter(|line| line["consumer"] == "ann").count(), 2);
    let said = gateway.logs() + &gateway.admin("/metrics").text() + &format!("{lines:?}");
    assert!(!said.contains(SECRET) && said.contains("wrong_signature"), "{said}");
}

#[test]
fn over_http2_it_is_the_same() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         {}routes: {{ app: {{ to: \"{}\", auth: partners }} }}\n",
        policies(""),
        upstream.url()
    ));
    let signer = Signer::Secret(SECRET);
    let draft = Draft { query: "a=1", ..Draft::post("/orders", BODY) };
    let address = gateway.addr("http");
    let ask = |fields: Vec<String>, body: &'static [u8]| {
        let mut request = http::Request::post("http://api.example/orders?a=1");
        for field in &fields {
            let (name, value) = field.split_once(": ").unwrap();
            request = request.header(name.to_ascii_lowercase(), value);
        }
        let request = request.body(()).unwrap();
        block_on(async {
            let mut client = H2::plain(address).await;
            client.exchange(request, body, None).await
        })
    };
    let good = ask([draft.signed(&signer), vec!["x-consumer: root".to_owned()]].concat(), BODY);
    let good = good.unwrap();
    let seen = String::from_utf8(good.body).unwrap().to_ascii_lowercase();
    assert_eq!(good.head.status(), 200, "{seen}");
    assert!(seen.contains("x-consumer: ann") && !seen.contains("root"), "{seen}");
    assert!(!seen.contains("\nsignature"), "{seen}");
    assert_eq!(ask(Vec::new(), BODY).unwrap().head.status(), 401);
    // The body of somebody else: no upstream has taken it for a whole one.
    let other = ask(draft.signed(&signer), b"{\"hello\": \"World\"}");
    assert!(other.is_err() || other.is_ok_and(|answer| answer.head.status() == 400));
    assert!(gateway.access_log(3).iter().any(|line| line["reason"] == "bad_body"));
}

/// What is not the body that was signed never arrives as a whole.
#[test]
fn a_body_nobody_has_signed_is_never_complete() {
    let whole = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&whole);
    let upstream = Raw::serve(move |peer| {
        while let Some(request) = peer.request() {
            count.fetch_add(1, Ordering::SeqCst);
            peer.ok(&request.body);
        }
    });
    let gateway = Gateway::start(&format!(
        "{}routes:\n  stream: {{ match: /stream, to: \"{1}\", auth: partners }}\n  \
         buffer: {{ match: /buffer, to: \"{1}\", auth: partners, body: {{ buffer: true }} }}\n  \
         retry: {{ match: /retry, to: \"{1}\", auth: partners, retry: {{ times: 2, methods: any }} }}\n  \
         watch: {{ match: /watch, to: \"{1}\", auth: watch }}\n",
        policies(""),
        upstream.url()
    ));
    let signer = Signer::Secret(SECRET);
    let other = b"{\"hello\": \"World\"}";
    for path in ["/stream", "/buffer", "/retry"] {
        let draft = Draft::post(path, BODY);
        assert_eq!(send(&gateway, &draft, &draft.signed(&signer), BODY).text().as_bytes(), BODY);
        let before = whole.load(Ordering::SeqCst);
        let answer = send(&gateway, &draft, &draft.signed(&signer), other);
        assert_eq!((answer.status, answer.reason().as_str()), (400, "bad_body"), "{path}");
        // Without a length, in chunks.
        let mut client = gateway.client();
        let mut fields = draft.signed(&signer);
        fields.push("Transfer-Encoding: chunked".to_owned());
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        client.request("POST", "api.example", path, &fields);
        client.send(b"8\r\n{\"hello\"\r\n");
        pause(Duration::from_millis(50));
        client.send(b"a\r\n: \"World\"}\r\n0\r\n\r\n");
        assert_eq!(client.response().status, 400, "{path}");
        assert_eq!(whole.load(Ordering::SeqCst), before, "{path}");
    }
    // The right one in chunks.
    let draft = Draft::post("/stream", BODY);
    let mut fields = draft.signed(&signer);
    fields.push("Transfer-Encoding: chunked".to_owned());
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let mut client = gateway.client();
    client.request("POST", "api.example", "/stream", &fields);
    client.send(b"8\r\n{\"hello\"\r\na\r\n: \"world\"}\r\n0\r\n\r\n");
    assert_eq!(client.response().text().as_bytes(), BODY);
    // Who only watches stops nothing.
    let draft = Draft::post("/watch", BODY);
    assert_eq!(send(&gateway, &draft, &draft.signed(&signer), other).text().as_bytes(), other);
    // A body without a digest, and one whose digest nobody has signed.
    let bare = Draft { method: "POST", ..Draft::get("/stream") };
    let sent = Draft { body: Some(BODY), ..Draft { method: "POST", ..Draft::get("/stream") } };
    assert_eq!(send(&gateway, &sent, &bare.signed(&signer), BODY).status, 401);
    let mut fields = bare.signed(&signer);
    fields.push(format!("Content-Digest: {}", digest_of(BODY)));
    assert_eq!(send(&gateway, &sent, &fields, BODY).status, 401);
}

#[test]
fn a_nonce_counts_once_and_a_reload_forgets_none() {
    let upstream = Raw::echo();
    let yaml = format!(
        "{}routes: {{ app: {{ to: \"{}\", auth: once }} }}\n",
        policies(""),
        upstream.url()
    );
    let gateway = Gateway::start(&yaml);
    let signer = Signer::Secret(SECRET);
    let with = |nonce: &str| Draft {
        params: format!(";created={};keyid=\"k1\"{nonce}", now()),
        ..Draft::get("/orders")
    };
    assert_eq!(status(&gateway, &with(""), &signer), 401);
    let first = with(";nonce=\"one\"");
    let fields = first.signed(&signer);
    let answer = send(&gateway, &first, &fields, b"");
    assert_eq!(answer.status, 200);
    assert!(answer.echoed("signature").is_some() && answer.echoed("signature-input").is_some());
    assert_eq!(send(&gateway, &first, &fields, b"").status, 401);
    assert_eq!(status(&gateway, &with(";nonce=\"one\""), &signer), 401, "not with a new signature");
    assert_eq!(status(&gateway, &with(";nonce=\"two\""), &signer), 200);
    gateway.reload(&format!("{yaml}# changed\n"));
    assert_eq!(send(&gateway, &first, &fields, b"").status, 401);
    let denied = [("policy", "once"), ("result", "denied")];
    assert_eq!(gateway.metric("tidegate_policy_decisions_total", &denied), Some(4.0));
}

#[test]
fn keys_are_in_files_that_are_followed() {
    let upstream = Raw::echo();
    let home = crate::support::gateway::temporary();
    let pair = || Ed25519KeyPair::generate().unwrap();
    let (ann, next) = (pair(), pair());
    // RFC 8410: what stands before the 32 bytes of a key.
    let spki = |pair: &Ed25519KeyPair| {
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend_from_slice(pair.public_key().as_ref());
        STANDARD.encode(der)
    };
    let put = |name: &str, text: &str| {
        std::fs::write(home.path().join(".new"), text).unwrap();
        std::fs::rename(home.path().join(".new"), home.path().join(name)).unwrap();
        home.path().join(name).display().to_string()
    };
    let pem = |key: &str| format!("-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n");
    let keys = put("keys", &format!("ann k1 ed25519 {}\n", spki(&ann)));
    let public = put("ann.pem", &pem(&spki(&ann)));
    let yaml = format!(
        "policies:\n  auth:\n    filed: {{ signature: {{ keys_file: \"{keys}\" }} }}\n    \
         pem: {{ signature: {{ keys: {{ ann: {{ id: k1, public_key: \"{public}\" }} }} }} }}\n\
         routes:\n  filed: {{ match: /filed, to: \"{0}\", auth: filed }}\n  pem: {{ match: /pem, to: \"{0}\", auth: pem }}\n",
        upstream.url()
    );
    let (ann_key, next_key) = (spki(&ann), spki(&next));
    let (ann, next) = (Signer::Ed25519(ann), Signer::Ed25519(next));
    let gateway = Gateway::builder().home(&home).start(&yaml);
    for path in ["/filed", "/pem"] {
        assert_eq!(status(&gateway, &Draft::post(path, BODY), &ann), 200);
        assert_eq!(status(&gateway, &Draft::post(path, BODY), &next), 401);
        // The public key is no secret, and known to everybody.
        assert_eq!(status(&gateway, &Draft::get(path), &Signer::Secret(SECRET)), 401);
    }
    put("keys", &format!("ann k1 ed25519 {next_key}\n"));
    until("the file is read again", || status(&gateway, &Draft::get("/filed"), &next) == 200);
    put("ann.pem", &pem(&next_key));
    until("the key is read again", || status(&gateway, &Draft::get("/pem"), &next) == 200);
    for path in ["/filed", "/pem"] {
        assert_eq!(status(&gateway, &Draft::get(path), &ann), 401);
    }
    put("keys", &format!("ann k1 ecdsa-p256-sha256 {ann_key}\n"));
    until("it is broken", || gateway.logs().contains("keys that sign stay as they were"));
    assert_eq!(status(&gateway, &Draft::get("/filed"), &next), 200);
    put("ann.pem", "nothing");
    let refused = everything(&gateway.verb(&["reload", "--wait"]));
    assert!(refused.contains("holds no PUBLIC KEY"), "{refused}");
    assert!(!refused.contains(&ann_key) && !gateway.logs().contains(&ann_key));
}

#[test]
fn any_and_all_and_those_that_only_watch() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "{}routes:\n  any: {{ match: /any, to: \"{1}\", auth: {{ any: [partners, key] }} }}\n  \
         all: {{ match: /all, to: \"{1}\", auth: {{ all: [partners, key] }} }}\n  \
         watch: {{ match: /watch, to: \"{1}\", auth: watch }}\n",
        policies(""),
        upstream.url()
    ));
    let signer = Signer::Secret(SECRET);
    let key = "X-Api-Key: bob-key-0123456789".to_owned();
    let ask = |path: &'static str, signed: bool, keyed: bool| {
        let draft = Draft::get(path);
        let mut fields = if signed { draft.signed(&signer) } else { Vec::new() };
        fields.extend(keyed.then(|| key.clone()));
        let answer = send(&gateway, &draft, &fields, b"");
        (answer.status, answer.echoed("x-consumer"))
    };
    assert_eq!(ask("/any", true, false), (200, Some("ann".to_owned())));
    assert_eq!(ask("/any", false, true), (200, Some("bob".to_owned())));
    assert_eq!(ask("/any", false, false).0, 401);
    assert_eq!(ask("/all", true, false).0, 401);
    assert_eq!(ask("/all", false, true).0, 401);
    assert_eq!(ask("/all", true, true).0, 200);
    assert_eq!(ask("/watch", true, false), (200, Some("ann".to_owned())));
    assert_eq!(ask("/watch", false, false), (200, None));
    let shadow = [("route", "watch"), ("result", "shadow")];
    assert_eq!(gateway.metric("tidegate_policy_decisions_total", &shadow), Some(1.0));
}
