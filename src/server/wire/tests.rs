//! Tests of the bytes before hyper.

use std::future::poll_fn;

use tokio::io::AsyncReadExt;

use super::*;
use crate::{
    config::{self, Input},
    server::{
        listener::{Listener, Sockets},
        registry::Registry,
    },
    telemetry::metrics::Metrics,
};

fn wire<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> Wire<S> {
    let text = "version: 1\nlisteners: { web: \"127.0.0.1:1\" }\n\
                routes: { a: { respond: { status: 200 } } }\n";
    let input = Input::Text { name: "test.yaml".to_owned(), text: text.to_owned() };
    let loaded = config::load(&[input], &|_| None);
    let settings = loaded.config.expect("it is fine").listeners["web"].clone();
    let metrics = Metrics::new(&[1.0]);
    let sockets = Sockets { sockets: Vec::new(), bound: String::new(), port: 0 };
    let listener = Arc::new(Listener::new("web".into(), settings, &sockets, None, &metrics));
    let connection = Arc::new(Connection::new("web".into(), 0, None, 0, None));
    let place = listener.place(None).expect("nobody else is there");
    let registry = Arc::new(Registry::default());
    let registration = registry.add(Arc::clone(&connection), listener, place);
    Wire::new(io, connection, registration)
}

#[tokio::test]
async fn an_interim_answer_never_lands_inside_another_answer() {
    let (ours, mut client) = tokio::io::duplex(64);
    let mut wire = wire(ours);
    // hyper has more of the first answer when the second request gets its 103.
    assert_eq!(poll_fn(|cx| Pin::new(&mut wire).poll_write(cx, b"first ")).await.unwrap(), 6);
    wire.connection.state.inform(b"103 late ");
    assert_eq!(poll_fn(|cx| Pin::new(&mut wire).poll_write(cx, b"answer ")).await.unwrap(), 7);
    poll_fn(|cx| Pin::new(&mut wire).poll_flush(cx)).await.expect("open");
    wire.connection.state.inform(b"103 ");
    poll_fn(|cx| Pin::new(&mut wire).poll_flush(cx)).await.expect("open");
    assert_eq!(poll_fn(|cx| Pin::new(&mut wire).poll_write(cx, b"second")).await.unwrap(), 6);
    drop(wire);
    let mut seen = String::new();
    client.read_to_string(&mut seen).await.expect("text");
    assert_eq!(seen, "first answer 103 second");
}
