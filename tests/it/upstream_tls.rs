//! TLS towards upstreams: whom the gateway believes, what it shows of itself.

use crate::support::{
    certs::Issued,
    grpc::{GrpcClient, GrpcServer, Note},
    prelude::*,
};

/// An nginx that asks for a client certificate of this authority and shows what it saw.
fn asks(authority: &Authority, server: &Issued) -> Nginx {
    Nginx::tls(
        server,
        &format!(
            "ssl_verify_client optional; ssl_client_certificate {};\n\
             location / {{ return 200 \"$ssl_client_verify $ssl_client_s_dn $ssl_server_name\"; }}",
            authority.file().display()
        ),
    )
}

#[test]
fn a_client_certificate_is_shown_when_there_is_one() {
    let authority = Authority::new();
    let nginx = asks(&authority, &authority.issue("up", &["up.example", "127.0.0.1"]));
    let own = authority.issue("gateway", &["gateway"]);
    let gateway = Gateway::start(&format!(
        "upstreams:\n  with: {{ endpoints: [\"{0}\"], tls: {{ ca: \"{1}\", cert: \"{2}\", key: \"{3}\", server_name: up.example }} }}\n\
         \x20 without: {{ endpoints: [\"{0}\"], tls: {{ ca: \"{1}\", server_name: up.example }} }}\n\
         routes: {{ a: {{ match: /with, to: with }}, b: {{ match: /without, to: without }} }}\n",
        nginx.url(),
        authority.file().display(),
        own.cert.display(),
        own.key.display()
    ));
    assert_eq!(gateway.get("h", "/with").text(), "SUCCESS CN=gateway up.example");
    assert_eq!(gateway.get("h", "/without").text(), "NONE  up.example");
}

#[test]
fn verify_false_believes_anybody_and_says_so() {
    let (authority, other) = (Authority::new(), Authority::new());
    let nginx = asks(&authority, &authority.issue("up", &["up.example"]));
    let mut gateway = Gateway::start(&format!(
        "upstreams:\n  blind: {{ endpoints: [\"{0}\"], tls: {{ verify: false }} }}\n\
         \x20 wrong: {{ endpoints: [\"{0}\"], tls: {{ ca: \"{1}\", server_name: up.example }} }}\n\
         routes: {{ a: {{ match: /blind, to: blind }}, b: {{ match: /wrong, to: wrong }} }}\n",
        nginx.url(),
        other.file().display()
    ));
    gateway.wait_log(&["verify", "blind"]);
    assert_eq!(gateway.get("h", "/blind").status, 200);
    let answer = gateway.get("h", "/wrong");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_tls"));
}

#[test]
fn an_upstreams_authority_exchanged_on_disk_is_used() {
    let (authority, other) = (Authority::new(), Authority::new());
    let nginx = asks(&authority, &authority.issue("up", &["127.0.0.1"]));
    let home = crate::support::gateway::temporary();
    let ca = home.path().join("ca.pem");
    std::fs::copy(other.file(), &ca).unwrap();
    let gateway = Gateway::builder().home(&home).start(&format!(
        "upstreams: {{ app: {{ endpoints: [\"{}\"], tls: {{ ca: \"{}\" }} }} }}\nroutes: {{ app: {{ to: app }} }}\n",
        nginx.url(),
        ca.display()
    ));
    assert_eq!(gateway.get("h", "/").status, 502);
    std::fs::copy(authority.file(), &ca).unwrap();
    until("the new authority is believed", || gateway.get("h", "/").status == 200);
}

#[test]
fn grpc_passes_a_tls_listener_to_a_plain_upstream() {
    let authority = Authority::new();
    let server = GrpcServer::start();
    let gateway = Gateway::start(&format!(
        "listeners: {{ https: {{ address: \"127.0.0.1:0\", tls: true }} }}\n\
         tls: {{ certificates: [{}] }}\n\
         routes: {{ echo: {{ match: \"/tide.Echo/**\", to: \"{}\" }} }}\n",
        authority.issue("a", &["a.example"]).yaml(),
        server.url()
    ));
    let address = gateway.addr("https");
    block_on(async {
        let mut client = GrpcClient::secure(address, "a.example", &authority).await;
        let note = client.unary(tonic::Request::new(Note::new("hi", 3))).await.unwrap();
        assert_eq!(note.into_inner(), Note::new("hi", 3));
        let notes = futures_util::stream::iter((1..=10).map(|n| Note::new("", n)));
        assert_eq!(client.sum(notes.clone()).await.unwrap().number, 55);
        let heard = client.chat(notes).await.unwrap();
        assert_eq!(futures_util::StreamExt::count(heard).await, 10);
        let status = client.unary(tonic::Request::new(Note::new("fail", 0))).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    });
}
