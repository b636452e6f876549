//! A tonic server and client of one small service. The messages and the glue are written by hand,
//! as `tonic-build` would generate them, so that no protoc is needed.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    client::Grpc,
    server::{Grpc as Server, NamedService},
    transport::{Channel, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::{
    certs::Authority,
    tls,
    wait::{block_on, spawn},
};

/// The only message there is.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Note {
    /// A text.
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    /// A number.
    #[prost(uint32, tag = "2")]
    pub(crate) number: u32,
}

/// A running server.
pub(crate) struct GrpcServer {
    address: SocketAddr,
    task: JoinHandle<()>,
    /// Calls and streams the client let go of before their end.
    pub(crate) cancelled: Arc<AtomicUsize>,
}

/// A client, over any channel.
#[derive(Clone)]
pub(crate) struct GrpcClient(Grpc<Channel>);

#[derive(Clone)]
struct Echo {
    cancelled: Arc<AtomicUsize>,
}

type Codec = ProstCodec<Note, Note>;
type Notes = Pin<Box<dyn Stream<Item = Result<Note, Status>> + Send>>;

// === impl Note ===

impl Note {
    /// A note.
    pub(crate) fn new(text: &str, number: u32) -> Self {
        Self { text: text.to_owned(), number }
    }
}

// === impl GrpcServer ===

impl GrpcServer {
    /// Starts one on a free port, plain text HTTP/2.
    pub(crate) fn start() -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let cancelled = Arc::new(AtomicUsize::new(0));
        let echo = Echo { cancelled: Arc::clone(&cancelled) };
        let task = spawn(async move {
            tonic::transport::Server::builder()
                .add_service(echo)
                .serve_with_incoming(TcpIncoming::from(listener))
                .await
                .expect("the server runs until it is aborted");
        });
        Self { address, task, cancelled }
    }

    /// As an upstream URL.
    pub(crate) fn url(&self) -> String {
        format!("h2c://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Echo ===

impl NamedService for Echo {
    const NAME: &'static str = "tide.Echo";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let cancelled = Arc::clone(&self.cancelled);
        Box::pin(async move {
            let mut server = Server::new(Codec::default());
            let path = request.uri().path().to_owned();
            Ok(match path.as_str() {
                "/tide.Echo/Unary" => {
                    let service = service_fn(|note| unary(note, Arc::clone(&cancelled)));
                    server.unary(service, request).await
                }
                "/tide.Echo/Count" => {
                    let service = service_fn(|note| count(note, Arc::clone(&cancelled)));
                    server.server_streaming(service, request).await
                }
                "/tide.Echo/Sum" => server.client_streaming(service_fn(sum), request).await,
                "/tide.Echo/Chat" => server.streaming(service_fn(chat), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// Echoes; `fail` is an error, `sleep` takes so many milliseconds, `meta` shows what arrived.
async fn unary(
    request: Request<Note>,
    cancelled: Arc<AtomicUsize>,
) -> Result<Response<Note>, Status> {
    let header =
        |name: &str| request.metadata().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    match request.get_ref().text.as_str() {
        "fail" => Err(Status::failed_precondition("as asked: 50% ü")),
        "sleep" => {
            let guard = OnDrop(cancelled);
            tokio::time::sleep(Duration::from_millis(request.get_ref().number.into())).await;
            guard.0.fetch_sub(1, Ordering::SeqCst); // answered: the drop must not count
            Ok(Response::new(request.into_inner()))
        }
        "meta" => Ok(Response::new(Note::new(
            &format!("{:?} {:?}", header("grpc-timeout"), header("te")),
            0,
        ))),
        _ => {
            let mut response = Response::new(request.into_inner());
            response.metadata_mut().insert("x-echo", "yes".parse().expect("ASCII"));
            Ok(response)
        }
    }
}

/// Sends the numbers up to `number`; `for ever` never ends and notices when the client leaves.
async fn count(
    request: Request<Note>,
    cancelled: Arc<AtomicUsize>,
) -> Result<Response<Notes>, Status> {
    let note = request.into_inner();
    if note.text == "for ever" {
        let guard = OnDrop(cancelled);
        let ticks = stream::unfold((0, guard), |(n, guard)| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok(Note::new("tick", n)), (n + 1, guard)))
        });
        return Ok(Response::new(Box::pin(ticks)));
    }
    let fails = note.text == "fail after";
    let end = fails.then(|| Err(Status::data_loss("after the messages")));
    let notes = (0..note.number).map(|n| Ok(Note::new("count", n))).chain(end);
    Ok(Response::new(Box::pin(stream::iter(notes.collect::<Vec<_>>()))))
}

async fn sum(request: Request<Streaming<Note>>) -> Result<Response<Note>, Status> {
    let mut notes = request.into_inner();
    let mut total = 0;
    while let Some(note) = notes.next().await {
        total += note?.number;
    }
    Ok(Response::new(Note::new("sum", total)))
}

async fn chat(request: Request<Streaming<Note>>) -> Result<Response<Notes>, Status> {
    let notes = request.into_inner();
    Ok(Response::new(Box::pin(notes.map(|note| note.map(|n| Note::new("heard", n.number))))))
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// === impl GrpcClient ===

impl GrpcClient {
    /// Connects by prior knowledge of HTTP/2.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("a valid URL");
        Self(Grpc::new(endpoint.connect().await.expect("the listener accepts")))
    }

    /// Connects over TLS under this name.
    pub(crate) async fn secure(address: SocketAddr, name: &str, authority: &Authority) -> Self {
        let config = authority.client(&["h2"]);
        let host = name.to_owned();
        let dial = service_fn(move |_: http::Uri| {
            let (config, host) = (Arc::clone(&config), host.clone());
            async move { tls::connect_async(address, &host, config).await.map(TokioIo::new) }
        });
        // The connector does the TLS, so the URL says nothing of it.
        let endpoint = Channel::from_shared(format!("http://{name}")).expect("a valid URL");
        Self(Grpc::new(endpoint.connect_with_connector(dial).await.expect("the listener accepts")))
    }

    /// One message, one answer.
    pub(crate) async fn unary(&mut self, request: Request<Note>) -> Result<Response<Note>, Status> {
        self.ready().await?;
        self.0.unary(request, path("Unary"), Codec::default()).await
    }

    /// One message, many answers.
    pub(crate) async fn count(&mut self, note: Note) -> Result<Streaming<Note>, Status> {
        self.ready().await?;
        let response = self.0.server_streaming(Request::new(note), path("Count"), Codec::default());
        Ok(response.await?.into_inner())
    }

    /// Many messages, one answer.
    pub(crate) async fn sum(
        &mut self,
        notes: impl Stream<Item = Note> + Send + 'static,
    ) -> Result<Note, Status> {
        self.ready().await?;
        let response = self.0.client_streaming(Request::new(notes), path("Sum"), Codec::default());
        Ok(response.await?.into_inner())
    }

    /// Many messages both ways.
    pub(crate) async fn chat(
        &mut self,
        notes: impl Stream<Item = Note> + Send + 'static,
    ) -> Result<Streaming<Note>, Status> {
        self.ready().await?;
        let response = self.0.streaming(Request::new(notes), path("Chat"), Codec::default());
        Ok(response.await?.into_inner())
    }

    /// A method nobody has.
    pub(crate) async fn unknown(&mut self, method: &'static str) -> Status {
        self.ready().await.expect("the channel is open");
        let request = Request::new(Note::default());
        let answer =
            self.0.unary(request, PathAndQuery::from_static(method), Codec::default()).await;
        answer.expect_err("there is no such method")
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|error| Status::new(Code::Unavailable, error.to_string()))
    }
}

fn path(method: &str) -> PathAndQuery {
    format!("/tide.Echo/{method}").parse().expect("a valid path")
}
