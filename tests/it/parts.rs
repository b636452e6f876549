//! The parts of the tests themselves, without a gateway: a suite that fails because a part does not
//! work should fail here first.

use futures_util::{StreamExt, stream};

use serde_json::json;
use tidegate::upstream::dns::Resolver;

use crate::support::{
    dnsmasq::{Dnsmasq, Records},
    etcd::Etcd,
    grpc::{GrpcClient, GrpcServer, Note},
    h2client::H2,
    prelude::*,
    tls,
    tools::h2load,
    websocket::{EchoServer, Socket},
    wire::Cut,
};

#[test]
fn nginx_serves_files_over_plain_http_and_over_http2() {
    let authority = Authority::new();
    let issued = authority.issue("nginx", &["localhost"]);
    let plain = Nginx::start("location = /x { return 200 \"plain\"; }");
    plain.file("f.txt", b"file");
    assert_eq!(curl(&[&format!("{}/x", plain.url())]).text(), "plain");
    assert_eq!(curl(&[&format!("{}/f.txt", plain.url())]).text(), "file");

    let secure = Nginx::tls(&issued, "location / { return 200 \"$server_protocol\"; }");
    let url = secure.url().replace("127.0.0.1", "localhost");
    let answer = curl(&["--cacert", authority.file().to_str().unwrap(), &url]);
    assert_eq!((answer.text().as_str(), answer.version.as_str()), ("HTTP/2.0", "2"), "{answer:?}");
    assert_eq!(answer.header("content-length").as_deref(), Some("8"));
}

#[test]
fn dnsmasq_knows_what_it_is_told() {
    let records = Records::new()
        .address("orders.example", "127.0.0.2")
        .address("orders.example", "127.0.0.3")
        .address("orders.example", "fd00::1")
        .alias("alias.example", "orders.example")
        .srv("_http._tcp.orders.example", (1, 2), "orders.example", 80)
        .srv("_http._tcp.orders.example", (1, 2), "orders.example", 81)
        .no_service("_http._tcp.gone.example");
    let many = |count| {
        let address = |records: Records, n| records.address("many.example", &format!("10.0.0.{n}"));
        (0..count).fold(records.clone(), address)
    };
    let mut server = Dnsmasq::start(many(200));
    let address = server.address();
    let table = [
        ("orders.example", 1, (0, 2)),
        ("orders.example", 28, (0, 1)),
        ("alias.example", 1, (0, 3)),
        ("_http._tcp.orders.example", 33, (0, 2)),
        ("_http._tcp.gone.example", 33, (0, 1)),
        ("nobody.example", 1, (3, 0)),
        ("nobody.invalid", 1, (5, 0)),
    ];
    for (name, kind, expected) in table {
        assert_eq!(ask(address, name, kind), Some(expected), "{name} {kind}");
    }

    // Over TCP, by a process of its own that only knows what was when it began.
    let resolver = block_on(async {
        Resolver::with_nameserver(tokio::runtime::Handle::current(), address).unwrap()
    });
    let known = resolver.watch("many.example");
    until("200 addresses are found", || known.addresses().len() == 200);
    server.change(many(150));
    until("150 addresses are left", || known.addresses().len() == 150);
    assert_eq!(ask(address, "_http._tcp.orders.example", 33), Some((0, 2)));

    server.kill();
    assert_eq!(ask(address, "orders.example", 1), None);
    server.restart();
    assert_eq!(ask(address, "orders.example", 1), Some((0, 2)));
    server.change(records.srv("_http._tcp.orders.example", (9, 9), "orders.example", 82));
    assert_eq!(ask(address, "_http._tcp.orders.example", 33), Some((0, 3)));
}

/// The code of an answer, and how many records it has.
fn ask(server: std::net::SocketAddr, name: &str, kind: u8) -> Option<(u8, u8)> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(server).unwrap();
    let label = |label: &str| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
    let mut query = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(name.split('.').flat_map(label));
    query.extend([0, 0, kind, 0, 1]);
    socket.send(&query).ok()?;
    let mut answer = [0; 1500];
    socket.recv(&mut answer).ok()?;
    assert_eq!(answer[..2], [7, 7]);
    Some((answer[3] & 15, answer[7]))
}

#[test]
fn flask_answers_json() {
    let flask = Flask::start();
    let answer = curl(&[&format!("{}/data", flask.url())]);
    assert_eq!((answer.code, answer.status), (0, 200), "{answer:?} {}", flask.output());
    assert!(answer.text().contains("\"items\""));
}

#[test]
fn a_raw_upstream_shows_what_it_got_and_breaks_as_told() {
    let echo = Raw::echo();
    let answer = Client::connect(echo.address()).post("a.example", "/x?y", b"body");
    assert_eq!(answer.echoed("host").as_deref(), Some("a.example"));
    assert_eq!(answer.echoed_target(), "/x?y");
    assert!(answer.text().ends_with("\n\nbody"));
    assert_eq!(echo.requests().len(), 1);

    let half = Raw::always("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    let mut client = Client::connect(half.address());
    client.request("GET", "a", "/", &[]);
    client.tcp().shutdown(std::net::Shutdown::Write).unwrap();
    let (_, cut) = client.try_response("GET").unwrap();
    assert_eq!(cut, Some(Cut(b"half".to_vec())));

    let reset = Raw::serve(|peer| {
        peer.request();
        peer.reset();
    });
    assert_eq!(curl(&[&reset.url()]).code, 56);
}

#[test]
#[should_panic(expected = "the script's own panic")]
fn a_panic_in_a_script_reaches_its_test() {
    let raw = Raw::serve(|peer| {
        peer.request();
        panic!("the script's own panic");
    });
    let mut client = Client::connect(raw.address());
    client.request("GET", "a", "/", &[]);
    client.wire().rest();
}

#[test]
fn chunks_and_trailers_are_read_as_they_stand() {
    let raw = Raw::always(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n",
    );
    let answer = Client::connect(raw.address()).get("a", "/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "abcde"));
    assert_eq!(answer.interim.len(), 1);
    assert_eq!(answer.trailers, [("X-Sum".to_owned(), "5".to_owned())]);
}

#[test]
fn websockets_echo() {
    let server = EchoServer::start();
    let mut socket = Socket::connect(server.address(), "a.example", "/").unwrap();
    assert_eq!(socket.ask("hello").as_deref(), Some("hello"));
    socket.close();
}

#[test]
fn grpc_works_in_all_four_kinds() {
    let server = GrpcServer::start();
    block_on(async {
        let mut client = GrpcClient::connect(server.address()).await;
        let note = client.unary(tonic::Request::new(Note::new("hi", 1))).await.unwrap();
        assert_eq!(note.into_inner(), Note::new("hi", 1));
        let notes = client.count(Note::new("", 3)).await.unwrap();
        assert_eq!(notes.collect::<Vec<_>>().await.len(), 3);
        let notes = stream::iter([Note::new("", 2), Note::new("", 40)]);
        assert_eq!(client.sum(notes.clone()).await.unwrap().number, 42);
        let heard = client.chat(notes).await.unwrap();
        assert_eq!(heard.collect::<Vec<_>>().await.len(), 2);
    });
}

#[test]
fn h2load_counts_failures() {
    let nginx = Nginx::start("location = / { return 200 \"x\"; }");
    let url = format!("{}/", nginx.url());
    let load = h2load(&["--h1", "-n", "50", "-c", "2", &url]);
    assert_eq!((load.succeeded, load.failed, load.ok), (50, 0, 50));
    let load = h2load(&["--h1", "-n", "10", "-c", "1", &format!("{}/none", nginx.url())]);
    assert_eq!((load.succeeded, load.failed, load.ok), (0, 10, 0));
}

#[test]
fn tls_clients_trust_the_authority_of_their_test() {
    let authority = Authority::new();
    let nginx = Nginx::tls(
        &authority.issue("site", &["site.example"]),
        "location / { return 200 \"$ssl_server_name\"; }",
    );
    let address = nginx.url().trim_start_matches("https://").parse().unwrap();
    let answer = tls::connect(address, "site.example", &authority).get("site.example", "/");
    assert_eq!(answer.text(), "site.example");
    assert!(!tls::certificate(address, "site.example", &authority).is_empty());
    let version = block_on(async {
        let config = authority.client(&["h2"]);
        let stream = tls::connect_async(address, "site.example", config).await.unwrap();
        let request = http::Request::get("https://site.example/").body(()).unwrap();
        H2::over(stream).await.exchange(request, b"", None).await.unwrap().head.version()
    });
    assert_eq!(version, http::Version::HTTP_2);
}

#[test]
fn etcd_keeps_what_is_put_and_hangs_when_told() {
    let mut etcd = Etcd::start();
    let put = etcd.put("/a", "1");
    assert_eq!(etcd.put_with_lease("/b", "2", 60), put + 1);
    assert_eq!(etcd.delete("/b"), put + 2);
    etcd.restart();
    // All there is.
    let asked = json!({"key": "AA==", "range_end": "AA=="});
    let all = etcd.call("kv/range", &asked, None);
    assert_eq!((&all["count"], &all["kvs"][0]["value"]), (&json!("1"), &json!("MQ==")), "{all}");

    let health = format!("{}/health", etcd.url());
    etcd.stop();
    assert_eq!(curl(&["-m", "1", &health]).code, 28, "it does not answer");
    etcd.cont();
    assert_eq!(curl(&[&health]).status, 200);
    etcd.kill();
    assert_eq!(curl(&[&health]).code, 7, "it does not listen");
}

#[test]
fn etcd_speaks_tls_and_has_members() {
    let authority = Authority::new();
    let issued = authority.issue("etcd", &["localhost"]);
    let etcd = Etcd::tls(&issued.cert, &issued.key, &authority.file());
    let health = format!("{}/health", etcd.tls_url().replace("127.0.0.1", "localhost"));
    let [cert, key, ca] =
        [&issued.cert, &issued.key, &authority.file()].map(|file| file.display().to_string());
    let with = curl(&["--cacert", &ca, "--cert", &cert, "--key", &key, &health]);
    assert_eq!(with.status, 200, "{with:?}");
    assert_ne!(curl(&["--cacert", &ca, &health]).code, 0, "it wants a certificate");

    let members = Etcd::cluster(2);
    let revision = members[0].put("/a", "1");
    assert_eq!(members[1].put("/a", "2"), revision + 1);
}
