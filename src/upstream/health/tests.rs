//! Checks against small servers, and which checks there are.

mod get;
mod grpc;
mod tasks;

use std::{fmt::Display, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::mpsc,
    time::timeout,
};

use super::probe::{self, Outcome};
use crate::{
    auth::{
        oidc::logins::Logins,
        password::{Limits, Passwords},
    },
    config::{self, Input},
    layers::custom::Registry,
    runtime::{self, Context, Runtime},
    telemetry::metrics::Metrics,
    upstream::{Upstream, dns::Resolver},
};

/// What a file may ask for. Tests get a tiny part of it.
const SHORTEST: Duration = Duration::from_millis(500);

/// What outlives a reload, for all of a test.
fn context() -> Context {
    Context {
        dry: false,
        metrics: Arc::new(Metrics::new(&[])),
        registry: Registry::default(),
        resolver: Resolver::with_nameserver(Handle::current(), "127.0.0.1:1".parse().unwrap())
            .unwrap(),
        secret: Arc::new([0; 32]),
        nonces: Arc::default(),
        issuers: Arc::default(),
        passwords: Arc::new(Passwords::new(
            Limits::for_cores(std::num::NonZeroUsize::MIN),
            tokio::runtime::Handle::current(),
        )),
        logins: Arc::new(Logins::new(Handle::current())),
    }
}

/// A configuration with these upstreams.
fn compile(upstreams: &str, previous: Option<&Runtime>, context: &Context) -> Runtime {
    let text = format!(
        "version: 1\nlisteners: {{ http: {{ address: \"127.0.0.1:0\" }} }}\nlogs: {{ access: none }}\n\
         routes: {{ x: {{ respond: 200 }} }}\nupstreams: {{ {upstreams} }}\n"
    );
    let input = Input::Text { name: "routes.yaml".to_owned(), text };
    let loaded = config::load(&[input], &|_| None);
    let Some(mut config) = loaded.config.clone() else { panic!("{}", loaded.render(false)) };
    for health in config.upstreams.values_mut().filter_map(|upstream| upstream.health.as_mut()) {
        if health.every == SHORTEST {
            health.every = Duration::from_millis(20);
        }
    }
    let compiled = runtime::compile(Arc::new(config), previous, context);
    compiled.unwrap_or_else(|problems| panic!("{problems:?}")).0
}

/// Checks the only endpoint of an upstream once.
async fn check_upstream(upstream: &Upstream) -> Outcome {
    let settings = upstream.care.health.as_ref().expect("it is checked");
    soon(probe::check(&upstream.endpoints[0], settings)).await
}

/// Checks `endpoint` with these settings and no more than half a second of patience.
async fn check(endpoint: impl Display, settings: &str) -> Outcome {
    let text = format!(
        "app: {{ endpoints: [\"{endpoint}\"], health: {{ every: 1s, timeout: 500ms, {settings} }} }}"
    );
    check_upstream(&compile(&text, None, &context()).upstreams["app"].get()).await
}

/// Why a check was bad.
async fn why(endpoint: impl Display, settings: &str) -> String {
    match check(endpoint, settings).await {
        Outcome::Bad(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("in time")
}

/// Runs a script on each connection.
async fn serve<F, R>(script: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream));
        }
    });
    address
}

/// The text of a head.
async fn head(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        match io.read_u8().await {
            Ok(byte) => text.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(text).unwrap()
}

type Asked = (http::Request<RecvStream>, SendResponse<Bytes>);

/// Speaks HTTP/2 and hands each request on; `gone` hears of the end of the connection.
async fn serve_h2<S, F>(io: S, answer: F, gone: mpsc::UnboundedSender<()>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Asked),
{
    let Ok(mut connection) = h2::server::handshake(io).await else { return };
    while let Some(Ok(asked)) = connection.accept().await {
        answer(asked);
    }
    let _ = gone.send(());
}
