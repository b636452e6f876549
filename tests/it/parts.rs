//! The parts of the tests themselves, without a gateway: a suite that fails because a part does not
//! work should fail here first.

use futures_util::{StreamExt, stream};

use crate::support::{
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
