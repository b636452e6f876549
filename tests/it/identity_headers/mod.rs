//! Who a request is from is said by the gateway alone: what a client sends under the names in which upstreams
//! are told never gets there, in any spelling, by any way, over both versions of HTTP. For every scheme.

mod schemes;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use self::schemes::{Others, Scheme};
use crate::support::{
    gateway::{everything, temporary, tidegate},
    h2client::H2,
    http::head,
    prelude::*,
    raw::Raw,
    tls::{connect_as, connect_async},
};

/// An upstream that answers with all it was sent: head, body and trailers.
fn mirror() -> Raw {
    Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            let fields =
                request.head.fields.iter().map(|(name, value)| format!("{name}: {value}\n"));
            let mut text = fields.collect::<String>();
            text.push_str(&String::from_utf8_lossy(&request.body));
            for (name, value) in std::mem::take(&mut peer.wire().trailers) {
                text.push_str(&format!("\n{name}: {value}"));
            }
            peer.ok(text.as_bytes());
        }
    })
}

fn start(schemes: &[Scheme], others: &Others, upstream: &Raw) -> Gateway {
    let (cert, ca) = (others.server.issue("server", &["a.example"]).yaml(), others.clients.file());
    let mut file = format!(
        "listeners:\n  http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }}\n  \
         https: {{ address: \"127.0.0.1:0\", tls: true }}\n\
         tls: {{ certificates: [{cert}], client_auth: {{ ca: \"{}\", mode: optional }} }}\npolicies:\n  auth:\n",
        ca.display()
    );
    for scheme in schemes {
        file.push_str(&format!("    {}: {}\n", scheme.name, scheme.policy));
    }
    file.push_str("routes:\n");
    for Scheme { name, over_tls, .. } in schemes {
        let (url, listener) = (upstream.url(), if *over_tls { "https" } else { "http" });
        file.push_str(&format!(
            "  {name}: {{ match: {{ path: /{name}/**, listener: {listener} }}, to: \"{url}\", auth: {name} }}\n"
        ));
    }
    Gateway::start(&file)
}

/// Spellings of a name, all of them the same to some application.
fn spellings(name: &str) -> Vec<String> {
    let capital: String = name
        .split('-')
        .map(|word| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]))
        .collect::<Vec<_>>()
        .join("-");
    let mixed = name.char_indices().map(|(at, c)| match at % 2 {
        0 => c.to_ascii_uppercase(),
        _ => c,
    });
    let plain = vec![name.to_owned(), capital, name.to_ascii_uppercase(), mixed.collect()];
    let under = plain.iter().map(|name| name.replace('-', "_")).collect::<Vec<_>>();
    [plain, under].concat()
}

/// Head fields that claim the name, each a way of its own.
fn forgeries(name: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for spelled in spellings(name) {
        all.push(vec![format!("{spelled}: forged")]);
        all.push(vec![format!("{spelled}:forged")]);
        all.push(vec![format!("{spelled}:  \t forged \t ")]);
        all.push(vec![format!("{spelled} : forged")]);
        all.push(vec![format!(" {spelled}: forged")]);
        all.push(vec![format!("X-Before: a\r\n {spelled}: forged")]);
        all.push(vec![format!("{spelled}: forged"), format!("{spelled}: forged")]);
        all.push(vec![format!("{spelled}: forged"), format!("{name}: forged, too")]);
        all.push(vec![format!("{spelled}: forged"), format!("Connection: {spelled}")]);
        all.push(vec![format!("Connection: close, {spelled}"), format!("{spelled}: forged")]);
        // Not the field of the client is taken out last, but ours.
        all.push(vec![format!("Connection: {spelled}")]);
        all.push(vec![format!("{spelled}:")]);
        all.push(vec![format!("{spelled}\t: forged")]);
        all.push(vec![format!("{spelled}\0: forged")]);
    }
    all
}

struct Bench {
    schemes: Vec<Scheme>,
    gateway: Gateway,
    upstream: Raw,
    others: Others,
}

impl Bench {
    fn start() -> Self {
        let (others, upstream) = (Others::start(), mirror());
        let mut schemes = others.schemes();
        let gateway = start(&schemes, &others, &upstream);
        schemes.iter_mut().for_each(|scheme| scheme.log_in(&gateway));
        let bench = Self { schemes, gateway, upstream, others };
        for scheme in &bench.schemes {
            until("everybody is let in", || {
                let shown = scheme.shown(&Method::GET, None);
                let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
                let mut client = bench.client(scheme);
                let answer = client.exchange("GET", scheme.host(), &scheme.path(), &shown);
                if answer.status == 200 {
                    scheme.heard(&answer.text(), "good");
                }
                answer.status == 200
            });
        }
        bench
    }

    /// A connection on which it can be said who one is.
    fn client(&self, scheme: &Scheme) -> Client {
        if !scheme.over_tls {
            return self.gateway.client();
        }
        let config = self.others.server.client_as(&["http/1.1"], Some(&self.others.certificate));
        connect_as(self.gateway.addr("https"), scheme.host(), config)
    }

    /// The same over HTTP/2.
    async fn h2(&self, scheme: &Scheme) -> H2 {
        if !scheme.over_tls {
            return H2::plain(self.gateway.addr("http")).await;
        }
        let config = self.others.server.client_as(&["h2"], Some(&self.others.certificate));
        let stream = connect_async(self.gateway.addr("https"), scheme.host(), config).await;
        H2::over(stream.expect("it is trusted")).await
    }
}

#[test]
fn over_http1_in_any_spelling() {
    let bench = Bench::start();
    let (mut passed, mut refused) = (0, 0);
    for scheme in &bench.schemes {
        let (before, already) = (bench.upstream.requests().len(), passed);
        for name in scheme.names() {
            for forged in forgeries(name) {
                let how = format!("{forged:?}");
                let shown = scheme.shown(&Method::GET, None);
                // Before what is true, and after it.
                for fields in [[&forged[..], &shown].concat(), [&shown, &forged[..]].concat()] {
                    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
                    let mut client = bench.client(scheme);
                    client.send(head("GET", scheme.host(), &scheme.path(), &fields));
                    let answer = client.response();
                    match answer.status {
                        200 => {
                            scheme.heard(&answer.text(), &how);
                            passed += 1;
                        }
                        400 => refused += 1,
                        other => panic!("{}: {how}: {other}", scheme.name),
                    }
                }
            }
        }
        let more = bench.upstream.requests().len() - before;
        assert_eq!(more, passed - already, "{}: only these reached it", scheme.name);
    }
    assert!(passed > 1000 && refused > 1000, "{passed} passed, {refused} refused");
}

#[test]
fn over_http1_in_trailers() {
    let bench = Bench::start();
    for scheme in &bench.schemes {
        for name in scheme.names() {
            for spelled in spellings(name) {
                let announced = format!("Trailer: {spelled}");
                let shown = scheme.shown(&Method::POST, Some(b"hi"));
                let mut fields: Vec<&str> = shown.iter().map(String::as_str).collect();
                fields.extend(["Transfer-Encoding: chunked", "TE: trailers", &announced]);
                let mut client = bench.client(scheme);
                client.send(head("POST", scheme.host(), &scheme.path(), &fields));
                client.send(format!("2\r\nhi\r\n0\r\n{spelled}: forged\r\nx-check: ok\r\n\r\n"));
                let answer = client.response();
                if answer.status == 200 {
                    let seen = answer.text();
                    assert!(seen.contains("x-check: ok"), "other trailers pass: {seen}");
                    scheme.heard(&seen, &format!("{spelled} in the trailers"));
                } else {
                    assert_eq!(answer.status, 400, "{}: {spelled}", scheme.name);
                }
            }
        }
    }
}

#[test]
fn over_http2_in_head_and_trailers() {
    let bench = Bench::start();
    block_on(async {
        let mut passed = 0;
        for scheme in &bench.schemes {
            for name in scheme.names() {
                for (spelled, in_trailers) in [
                    (name.to_owned(), false),
                    (name.replace('-', "_"), false),
                    (name.to_owned(), true),
                    (name.replace('-', "_"), true),
                ] {
                    passed += usize::from(over_http2(&bench, scheme, &spelled, in_trailers).await);
                }
            }
        }
        assert!(passed >= 2 * bench.schemes.len(), "{passed}");
    });
}

/// One forgery over HTTP/2, and whether the request went on without it.
async fn over_http2(bench: &Bench, scheme: &Scheme, spelled: &str, in_trailers: bool) -> bool {
    let how = format!("{}: {spelled}, in the trailers: {in_trailers}", scheme.name);
    let kind = if scheme.over_tls { "https" } else { "http" };
    let uri = format!("{kind}://{}{}", scheme.host(), scheme.path());
    let mut request = http::Request::post(uri).header("te", "trailers");
    for shown in scheme.shown(&Method::POST, Some(b"hi")) {
        let (key, value) = shown.split_once(": ").unwrap();
        request = request.header(key, value);
    }
    let forged = HeaderName::from_bytes(spelled.as_bytes()).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", HeaderValue::from_static("ok"));
    if in_trailers {
        trailers.append(forged.clone(), HeaderValue::from_static("forged"));
        trailers.append(forged, HeaderValue::from_static("forged"));
    } else {
        request = request.header(&forged, "forged").header(&forged, "forged, too");
    }
    let mut h2 = bench.h2(scheme).await;
    let answer = h2.exchange(request.body(()).unwrap(), b"hi", Some(trailers)).await;
    let Ok(answer) = answer else {
        assert!(spelled.contains('_'), "{how}");
        return false;
    };
    if answer.head.status() == 200 {
        scheme.heard(&String::from_utf8_lossy(&answer.body), &how);
        return true;
    }
    assert_eq!(answer.head.status(), 400, "{how}");
    assert!(spelled.contains('_'), "{how}");
    false
}

#[test]
fn edits_of_the_operator_are_the_operators() {
    let upstream = mirror();
    let file = format!(
        "routes:\n  app:\n    to: \"{}\"\n    \
         auth: {{ api_key: {{ keys: {{ ann: ann-key-0123456789 }} }}, pass_consumer: X-Consumer }}\n    \
         headers: {{ request: {{ remove: [X-Consumer] }} }}\n",
        upstream.url()
    );
    let home = temporary();
    std::fs::write(home.path().join("routes.yaml"), format!("version: 1\n{file}")).unwrap();
    let output = tidegate(home.path(), &["check"]);
    assert!(output.status.success(), "{}", everything(&output));
    let gateway = Gateway::start(&file);
    let fields = ["X-Api-Key: ann-key-0123456789", "X-Consumer: forged"];
    let seen = gateway.client().exchange("GET", "h", "/", &fields).text();
    assert!(!seen.to_ascii_lowercase().contains("x-consumer"), "{seen}");
}
