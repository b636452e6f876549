//! `client_auth` of a listener and `client_cert` of a route: who may come in with which certificate, and
//! what the upstream hears of it.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rustls::{ClientConfig, HandshakeKind, pki_types::ServerName};

use crate::support::{
    certs::Issued,
    gateway::everything,
    h2client::H2,
    http::{Client, Response},
    prelude::*,
    tls::connect_async,
};

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;
const WEB: &str = "spiffe://prod/web";

/// A gateway that asks for certificates, with the authority of clients in a file of its own.
struct Mesh {
    gateway: Gateway,
    upstream: Raw,
    server: Authority,
    clients: Authority,
    home: Arc<tempfile::TempDir>,
    yaml: String,
}

impl Mesh {
    /// `auth` is what `client_auth` has besides the authority.
    fn start(auth: &str, routes: &str) -> Self {
        let (server, clients) = (Authority::new(), Authority::new());
        let upstream = Raw::echo();
        let home = crate::support::gateway::temporary();
        let file = |name: &str| home.path().join(name).display().to_string();
        std::fs::copy(clients.file(), home.path().join("clients.pem")).unwrap();
        let auth = auth.replace("CRL", &format!("crl: \"{}\"", file("list.pem")));
        if auth.contains("crl") {
            put(&home.path().join("list.pem"), &clients.revoke(&[], DAY));
        }
        let yaml = format!(
            "listeners: {{ https: {{ address: \"127.0.0.1:0\", tls: true }} }}\n\
             tls: {{ certificates: [{}], client_auth: {{ ca: \"{}\", {auth} }} }}\n\
             policies:\n  auth:\n    \
             web: {{ client_cert: {{ san: [\"{WEB}\", \"spiffe://prod/ns/shop/*\", \"dns:web.internal\"] }}, pass_consumer: X-Consumer }}\n    \
             all: {{ client_cert: {{ pass_cert: true }}, pass_consumer: X-Consumer }}\n    \
             watch: {{ client_cert: {{ san: [\"{WEB}\"] }}, mode: shadow, pass_consumer: X-Consumer }}\n    \
             key: {{ api_key: {{ keys: {{ ann: ann-key-0123456789 }} }}, pass_consumer: X-Consumer }}\n\
             routes:\n{}",
            server.issue("server", &["a.example"]).yaml(),
            file("clients.pem"),
            routes.replace("UP", &upstream.url())
        );
        let gateway = Gateway::builder().home(&home).start(&yaml);
        Self { gateway, upstream, server, clients, home, yaml }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.addr("https")
    }

    fn config(&self, issued: Option<&Issued>) -> Arc<ClientConfig> {
        self.server.client_as(&["http/1.1"], issued)
    }

    fn get(&self, issued: Option<&Issued>, target: &str, fields: &[&str]) -> Option<Response> {
        let (mut client, _) = connect(self.address(), &self.config(issued))?;
        ask(&mut client, target, fields)
    }

    fn status(&self, issued: &Issued, target: &str) -> Option<u16> {
        self.get(Some(issued), target, &[]).map(|answer| answer.status)
    }

    /// The same with curl, over HTTP/2.
    fn curl(&self, issued: &Issued, target: &str, fields: &[&str]) -> (u16, String) {
        let port = self.address().port();
        let fields: Vec<&str> = fields.iter().flat_map(|field| ["-H", field]).collect();
        let resolve = format!("a.example:{port}:127.0.0.1");
        let url = format!("https://a.example:{port}{target}");
        let ca = self.server.file().display().to_string();
        let (cert, key) = (issued.cert.display().to_string(), issued.key.display().to_string());
        let mut arguments = vec!["--http2", "--resolve", &resolve, "--cacert", &ca, "--cert"];
        arguments.extend([&*cert, "--key", &key, &url]);
        arguments.extend(fields);
        let answer = curl(&arguments);
        assert!(answer.status == 0 || answer.version == "2", "{answer:?}");
        (answer.status, String::from_utf8_lossy(&answer.body).to_ascii_lowercase())
    }
}

/// Writes a file as a careful tool does.
fn put(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

/// A connection, if the handshake succeeds on this side, and whether it resumed a session.
fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Option<(Client, bool)> {
    let mut tcp = std::net::TcpStream::connect_timeout(&address, DEADLINE).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let name = ServerName::try_from("a.example").unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
    tls.complete_io(&mut tcp).ok()?;
    let resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
    let copy = tcp.try_clone().unwrap();
    Some((Client::over_tls(copy, rustls::StreamOwned::new(tls, tcp)), resumed))
}

/// An answer; `None` when the connection ends instead.
fn ask(client: &mut Client, target: &str, fields: &[&str]) -> Option<Response> {
    client.request("GET", "a.example", target, fields);
    client.try_response("GET").map(|(answer, _)| answer)
}

#[test]
fn only_whom_the_route_is_for_and_the_upstream_hears_who_it_is() {
    let mesh = Mesh::start("mode: optional", "  web: { match: /web, to: UP, auth: web }\n");
    let issue = |stem: &str, uri: &str| mesh.clients.issue_client(stem, &[uri], DAY);
    let (web, cart) = (issue("web", WEB), issue("cart", "spiffe://prod/ns/shop/cart"));
    let named = mesh.clients.issue("named", &["web.internal"]);
    let other = issue("other", "spiffe://prod/other");
    let two = mesh.clients.issue_client("two", &[WEB, "spiffe://prod/admin"], DAY);
    let none = mesh.get(None, "/web", &[]).unwrap();
    assert_eq!((none.status, none.reason().as_str()), (401, "unauthenticated"));
    assert!(none.header("www-authenticate").is_some());
    for (issued, consumer) in
        [(&web, WEB), (&cart, "spiffe://prod/ns/shop/cart"), (&named, "web.internal")]
    {
        // What a client says of itself, in whatever spelling, is not what the upstream hears.
        let lies = [
            "X-Consumer: root",
            "x-consumer: admin",
            "Client-Cert: :AAAA:",
            "CLIENT-CERT: :BBBB:",
            "Client-Cert-Chain: :CCCC:",
            "X-Client-Cert: DDDD",
            "Connection: X-Consumer, Client-Cert",
        ];
        let answer = mesh.get(Some(issued), "/web", &lies).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.echoed("x-consumer").as_deref(), Some(consumer));
        let seen = answer.text().to_ascii_lowercase();
        assert!(!seen.contains("client-cert") && !seen.contains("aaaa"), "{seen}");
        let (status, seen) = mesh.curl(issued, "/web", &lies[..6]);
        assert!(status == 200 && seen.contains(&format!("x-consumer: {consumer}\n")), "{seen}");
        assert!(!seen.contains("client-cert") && !seen.contains("root"), "{seen}");
    }
    for alias in ["X_Consumer: root", "Client_Cert: :AAAA:", "client_cert-chain: :AAAA:"] {
        assert_eq!(mesh.get(Some(&web), "/web", &[alias]).unwrap().status, 400, "{alias}");
        assert_eq!(mesh.curl(&web, "/web", &[alias]).0, 400, "{alias}");
    }
    for issued in [&other, &two] {
        let refused = mesh.get(Some(issued), "/web", &[]).unwrap();
        assert_eq!((refused.status, refused.reason().as_str()), (403, "forbidden"));
        assert_eq!(mesh.curl(issued, "/web", &[]).0, 403);
    }
}

#[test]
fn certificates_beside_other_policies() {
    let mesh = Mesh::start(
        "mode: optional",
        "  all: { match: /all, to: UP, auth: all }\n  \
         any: { match: /any, to: UP, auth: { any: [web, key] } }\n  \
         both: { match: /both, to: UP, auth: { all: [web, key] } }\n  \
         watch: { match: /watch, to: UP, auth: watch }\n  open: { match: /open, to: UP }\n",
    );
    let web = mesh.clients.issue_client("web", &[WEB], DAY);
    let other = mesh.clients.issue_client("other", &["spiffe://prod/other"], DAY);
    // The certificate itself, for an upstream that wants to see it.
    let answer = mesh.get(Some(&other), "/all", &["Client-Cert: :AAAA:"]).unwrap();
    use base64::{Engine, engine::general_purpose::STANDARD};
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let der = CertificateDer::from_pem_file(&other.cert).unwrap();
    let field = format!(":{}:", STANDARD.encode(&der));
    assert_eq!(answer.echoed("client-cert"), Some(field));
    assert_eq!(answer.echoed("x-consumer").as_deref(), Some("spiffe://prod/other"));
    let key = "X-Api-Key: ann-key-0123456789";
    let of = |issued, target: &str, fields: &[&str]| {
        let answer = mesh.get(issued, target, fields).unwrap();
        (answer.status, answer.echoed("x-consumer"))
    };
    assert_eq!(of(Some(&web), "/any", &[]), (200, Some(WEB.to_owned())));
    assert_eq!(of(None, "/any", &[key]), (200, Some("ann".to_owned())));
    assert_eq!(of(Some(&other), "/any", &[]).0, 403);
    assert_eq!(of(None, "/both", &[key]).0, 401);
    assert_eq!(of(Some(&web), "/both", &[]).0, 401);
    assert_eq!(of(Some(&web), "/both", &[key]).0, 200);
    assert_eq!(of(Some(&other), "/watch", &["X-Consumer: root"]), (200, None));
    assert_eq!(of(Some(&web), "/watch", &[]), (200, Some(WEB.to_owned())));
    let labels = [("route", "watch"), ("result", "shadow")];
    assert_eq!(mesh.gateway.metric("tidegate_policy_decisions_total", &labels), Some(1.0));
    assert_eq!(of(None, "/open", &[]).0, 200);
    // A proxy that is believed in everything else says nothing of certificates where we know better.
    let trusted = "tls: true, trusted_proxies: [127.0.0.0/8] }";
    mesh.gateway.reload(&mesh.yaml.replacen("tls: true }", trusted, 1));
    let lies = ["Client-Cert: :AAAA:", "Client-Cert-Chain: :BBBB:"];
    let seen = |issued, target: &str| mesh.get(issued, target, &lies).unwrap().text();
    assert!(seen(None, "/open").contains(":AAAA:"), "{}", seen(None, "/open"));
    for target in ["/any", "/watch"] {
        let seen = seen(Some(&web), target);
        assert!(
            seen.contains(WEB) && !seen.contains(":AAAA:") && !seen.contains(":BBBB:"),
            "{seen}"
        );
    }
    let seen = seen(Some(&web), "/all");
    assert!(!seen.contains(":AAAA:") && !seen.contains(":BBBB:"), "{seen}");
    let lines = mesh.gateway.access_log(9);
    assert!(lines.iter().any(|line| line["consumer"] == WEB), "{lines:#?}");
}

#[test]
fn a_certificate_of_somebody_else_or_of_yesterday_opens_no_connection() {
    let mesh = Mesh::start("mode: optional", "  web: { to: UP, auth: web }\n");
    let good = mesh.clients.issue_client("good", &[WEB], DAY);
    let strangers = Authority::new();
    let stranger = strangers.issue_client("stranger", &[WEB], DAY);
    let old = mesh.clients.issue_client("old", &[WEB], -10);
    assert_eq!(mesh.status(&good, "/"), Some(200));
    for issued in [&stranger, &old] {
        // Not even where none would have been enough: it is a lie.
        assert_eq!(mesh.status(issued, "/"), None);
        assert_eq!(mesh.curl(issued, "/", &[]).0, 0);
    }
    assert_eq!(mesh.upstream.requests().len(), 1);
    let failed = [("listener", "https"), ("result", "failed")];
    assert_eq!(mesh.gateway.metric("tidegate_tls_handshakes_total", &failed), Some(4.0));
}

#[test]
fn a_listener_may_require_one_and_its_files_are_followed() {
    let mesh = Mesh::start("CRL", "  web: { to: UP, auth: web }\n");
    let (ann, bob) = (
        mesh.clients.issue_client("ann", &[WEB], DAY),
        mesh.clients.issue_client("bob", &[WEB], DAY),
    );
    assert!(mesh.get(None, "/", &[]).is_none(), "no certificate, no connection");
    assert_eq!((mesh.status(&ann, "/"), mesh.status(&bob, "/")), (Some(200), Some(200)));
    // Connections that are open when one of them is revoked, over both protocols.
    let config = mesh.config(Some(&bob));
    let (mut kept, _) = connect(mesh.address(), &config).unwrap();
    assert_eq!(ask(&mut kept, "/", &[]).unwrap().status, 200);
    let (mut second, resumed) = connect(mesh.address(), &config).unwrap();
    assert!(resumed, "sessions are resumed");
    assert_eq!(ask(&mut second, "/", &[]).unwrap().status, 200);
    let request = || http::Request::get("https://a.example/").body(()).unwrap();
    let h2 = mesh.server.client_as(&["h2"], Some(&bob));
    let address = mesh.address();
    let mut streams = block_on(async {
        let mut streams = H2::over(connect_async(address, "a.example", h2).await.unwrap()).await;
        let answer = streams.exchange(request(), b"", None).await.unwrap();
        assert_eq!(answer.head.status(), 200);
        streams
    });
    put(&mesh.home.path().join("list.pem"), &mesh.clients.revoke(&[&bob], DAY));
    until("the list counts", || mesh.status(&bob, "/").is_none());
    assert_eq!(mesh.status(&ann, "/"), Some(200));
    for client in [&mut kept, &mut second] {
        let answer = ask(client, "/", &[]).map(|answer| answer.status);
        assert!(matches!(answer, None | Some(401)), "{answer:?}");
    }
    let answer = block_on(streams.exchange(request(), b"", None));
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.head.status() == 401));
    // A session of before the change goes on nowhere.
    let again = connect(mesh.address(), &config).is_some_and(|(mut client, resumed)| {
        assert!(!resumed, "its keys are gone");
        ask(&mut client, "/", &[]).is_some()
    });
    assert!(!again);
    // A list whose time is over lets nobody in, and says so.
    put(&mesh.home.path().join("list.pem"), &mesh.clients.revoke(&[], -10));
    until("nobody gets in", || mesh.status(&ann, "/").is_none());
    let said = || mesh.gateway.logs().contains("a list of revoked certificates ended on");
    until("it is said", said);
    // A file that is broken changes nothing.
    put(&mesh.home.path().join("list.pem"), &mesh.clients.revoke(&[], DAY));
    until("both get in", || mesh.status(&bob, "/") == Some(200));
    put(&mesh.home.path().join("list.pem"), "nothing");
    let refused = everything(&mesh.gateway.verb(&["reload", "--wait"]));
    assert!(refused.contains("holds no list of revoked certificates"), "{refused}");
    assert_eq!(mesh.status(&bob, "/"), Some(200));
}

#[test]
fn another_authority_takes_over() {
    let mesh = Mesh::start("", "  web: { to: UP, auth: web }\n");
    let old = mesh.clients.issue_client("old", &[WEB], DAY);
    let next = Authority::new();
    let new = next.issue_client("new", &[WEB], DAY);
    let pem = |authority: &Authority| std::fs::read_to_string(authority.file()).unwrap();
    assert_eq!((mesh.status(&old, "/"), mesh.status(&new, "/")), (Some(200), None));
    // A client of the old authority that stays connected while both are trusted is not disturbed for long.
    let config = mesh.config(Some(&old));
    let (mut kept, _) = connect(mesh.address(), &config).unwrap();
    assert_eq!(ask(&mut kept, "/", &[]).unwrap().status, 200);
    put(&mesh.home.path().join("clients.pem"), &(pem(&mesh.clients) + &pem(&next)));
    until("both are trusted", || mesh.status(&new, "/") == Some(200));
    assert_eq!(mesh.status(&old, "/"), Some(200));
    let answer = ask(&mut kept, "/", &[]).map(|answer| answer.status);
    assert!(matches!(answer, None | Some(200)), "{answer:?}");
    put(&mesh.home.path().join("clients.pem"), &pem(&next));
    until("the old one is not", || mesh.status(&old, "/").is_none());
    assert_eq!(mesh.status(&new, "/"), Some(200));
    // Nothing has changed, so sessions go on.
    let config = mesh.config(Some(&new));
    let (mut first, _) = connect(mesh.address(), &config).unwrap();
    assert_eq!(ask(&mut first, "/", &[]).unwrap().status, 200);
    mesh.gateway.reload(&format!("{}# changed\n", mesh.yaml));
    let (mut second, resumed) = connect(mesh.address(), &config).unwrap();
    assert!(resumed);
    assert_eq!(ask(&mut second, "/", &[]).unwrap().status, 200);
    assert_eq!(ask(&mut first, "/", &[]).unwrap().status, 200, "nor are connections");
    // No certificates any more: whoever has shown one has shown nothing.
    let none = mesh.yaml.replace("client_auth: { ca:", "client_auth: { mode: none, ca:");
    mesh.gateway.write(&none);
    let refused = everything(&mesh.gateway.verb(&["reload", "--wait"]));
    assert!(refused.contains("does not ask for any"), "{refused}");
}

#[test]
fn a_certificate_ends_while_its_connection_is_open() {
    let mesh = Mesh::start("", "  web: { match: /web, to: UP, auth: web }\n");
    let short = mesh.clients.issue_client("short", &[WEB], 4);
    let config = mesh.config(Some(&short));
    let (mut kept, _) = connect(mesh.address(), &config).unwrap();
    assert_eq!(ask(&mut kept, "/web", &[]).unwrap().status, 200);
    until("its time is over", || {
        let answer = ask(&mut kept, "/web", &[]).unwrap();
        pause(Duration::from_millis(200));
        answer.status == 401 && answer.reason() == "unauthenticated"
    });
    // Its session is resumed no more either.
    let again = connect(mesh.address(), &config);
    assert!(again.is_none_or(|(mut client, _)| ask(&mut client, "/web", &[]).is_none()));
    let line = mesh.gateway.access_log(2).pop().unwrap();
    assert!(line.to_string().contains("certificate_expired"), "{line}");
}

#[test]
fn a_broken_authority_refuses_the_file() {
    let home = crate::support::gateway::temporary();
    let server = Authority::new();
    let ca = home.path().join("ca.pem");
    let yaml = format!(
        "version: 1\nlisteners: {{ https: {{ address: \"127.0.0.1:0\", tls: true }} }}\n\
         tls: {{ certificates: [{}], client_auth: {{ ca: \"{}\" }} }}\nroutes: {{ app: {{ respond: 204 }} }}\n",
        server.issue("server", &["a.example"]).yaml(),
        ca.display()
    );
    std::fs::write(home.path().join("routes.yaml"), yaml).unwrap();
    let check = || {
        everything(&crate::support::gateway::tidegate(home.path(), &["check", "-c", "routes.yaml"]))
    };
    assert!(check().contains("No such file"), "{}", check());
    std::fs::write(&ca, "").unwrap();
    assert!(check().contains("holds no certificate"), "{}", check());
    std::fs::copy(server.file(), &ca).unwrap();
    assert!(!check().contains("error"), "{}", check());
}
