//! A tonic server of Envoy's `ext_authz`. Its messages are written by hand here once more, so that a
//! mistake in those of the gateway is seen.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Response, Status, body::Body, server::Grpc as Server, server::NamedService,
    transport::server::TcpIncoming,
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::wait::{block_on, spawn};

/// A running service.
pub(crate) struct Authz {
    address: SocketAddr,
    task: JoinHandle<()>,
    seen: Seen,
}

type Seen = Arc<Mutex<Vec<Said>>>;

/// What it was told of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) scheme: String,
    pub(crate) protocol: String,
    pub(crate) size: i64,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) raw_body: Vec<u8>,
    pub(crate) source: String,
    pub(crate) route: String,
}

macro_rules! message {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Clone, PartialEq, prost::Message)]
        struct $name { $($(#[$attribute])* $field: $type,)* }
    };
}

message! { CheckRequest { #[prost(message, optional, tag = "1")] attributes: Option<Attributes>, } }
message! { Attributes {
    #[prost(message, optional, tag = "1")] source: Option<Peer>,
    #[prost(message, optional, tag = "4")] request: Option<AttributeRequest>,
    #[prost(map = "string, string", tag = "10")] context_extensions: HashMap<String, String>,
} }
message! { Peer { #[prost(message, optional, tag = "1")] address: Option<Address>, } }
message! { Address { #[prost(message, optional, tag = "1")] socket: Option<Socket>, } }
message! { Socket { #[prost(string, tag = "2")] address: String, } }
message! { AttributeRequest { #[prost(message, optional, tag = "2")] http: Option<Http>, } }
message! { Http {
    #[prost(string, tag = "1")] id: String,
    #[prost(string, tag = "2")] method: String,
    #[prost(map = "string, string", tag = "3")] headers: HashMap<String, String>,
    #[prost(string, tag = "4")] path: String,
    #[prost(string, tag = "5")] host: String,
    #[prost(string, tag = "6")] scheme: String,
    #[prost(int64, tag = "9")] size: i64,
    #[prost(string, tag = "10")] protocol: String,
    #[prost(bytes = "vec", tag = "12")] raw_body: Vec<u8>,
} }
message! { CheckResponse {
    #[prost(message, optional, tag = "1")] status: Option<RpcStatus>,
    #[prost(message, optional, tag = "2")] denied: Option<Denied>,
    #[prost(message, optional, tag = "3")] ok: Option<Ok>,
} }
message! { RpcStatus { #[prost(int32, tag = "1")] code: i32, } }
message! { HttpStatus { #[prost(int32, tag = "1")] code: i32, } }
message! { Denied {
    #[prost(message, optional, tag = "1")] status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")] headers: Vec<HeaderOption>,
    #[prost(string, tag = "3")] body: String,
} }
message! { Ok {
    #[prost(message, repeated, tag = "2")] headers: Vec<HeaderOption>,
    #[prost(string, repeated, tag = "5")] headers_to_remove: Vec<String>,
    #[prost(message, repeated, tag = "6")] response_headers_to_add: Vec<HeaderOption>,
} }
message! { HeaderOption { #[prost(message, optional, tag = "1")] header: Option<Header>, } }
message! { Header {
    #[prost(string, tag = "1")] key: String,
    #[prost(string, tag = "2")] value: String,
} }

// === impl Authz ===

impl Authz {
    /// Starts it on a free port, plain text HTTP/2.
    pub(crate) fn start() -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Seen::default();
        let check = Check(Arc::clone(&seen));
        let task = spawn(async move {
            tonic::transport::Server::builder()
                .add_service(check)
                .serve_with_incoming(TcpIncoming::from(listener))
                .await
                .expect("the server runs until it is aborted");
        });
        Self { address, task, seen }
    }

    /// As an upstream URL.
    pub(crate) fn url(&self) -> String {
        format!("h2c://{}", self.address)
    }

    /// What it was asked last.
    #[track_caller]
    pub(crate) fn last(&self) -> Said {
        self.seen.lock().last().cloned().expect("it was asked")
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().len()
    }
}

impl Drop for Authz {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Check(Seen);

impl NamedService for Check {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl tower::Service<http::Request<Body>> for Check {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Result::Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let seen = Arc::clone(&self.0);
        Box::pin(async move {
            if request.uri().path() != "/envoy.service.auth.v3.Authorization/Check" {
                return Result::Ok(Status::unimplemented("no such method").into_http());
            }
            let mut server = Server::new(ProstCodec::<CheckResponse, CheckRequest>::default());
            let service = service_fn(|request| check(request, Arc::clone(&seen)));
            Result::Ok(server.unary(service, request).await)
        })
    }
}

fn header(key: &str, value: &str) -> HeaderOption {
    HeaderOption { header: Some(Header { key: key.into(), value: value.into() }) }
}

async fn check(
    request: Request<CheckRequest>,
    seen: Seen,
) -> Result<Response<CheckResponse>, Status> {
    let attributes = request.into_inner().attributes.expect("it says something");
    let http = attributes.request.expect("of a request").http.expect("over HTTP");
    let source = attributes.source.and_then(|peer| peer.address?.socket);
    seen.lock().push(Said {
        id: http.id,
        method: http.method,
        path: http.path,
        host: http.host,
        scheme: http.scheme,
        protocol: http.protocol,
        size: http.size,
        headers: http.headers.clone().into_iter().collect(),
        raw_body: http.raw_body,
        source: source.map(|socket| socket.address).unwrap_or_default(),
        route: attributes.context_extensions.get("route").cloned().unwrap_or_default(),
    });
    let no = |code| Some(RpcStatus { code });
    let shown = http.headers.get("authorization").map_or("", String::as_str);
    Result::Ok(Response::new(match shown {
        "Bearer good" => {
            let headers =
                vec![header("X-User", "ann"), header("x-not-taken", "1"), header("host", "evil")];
            let headers_to_remove =
                ["Authorization", "Host", "x-forwarded-for", ":path", "X-Internal"];
            let headers_to_remove = headers_to_remove.map(str::to_owned).to_vec();
            let response_headers_to_add = vec![header("x-told", "yes"), header("x-untold", "1")];
            let ok = Some(Ok { headers, headers_to_remove, response_headers_to_add });
            CheckResponse { status: no(0), ok, denied: None }
        }
        "Bearer denied" => {
            let headers = vec![header("x-why", "rules"), header("content-length", "99")];
            let status = Some(HttpStatus { code: 418 });
            let denied = Some(Denied { status, headers, body: "tea".into() });
            CheckResponse { status: no(7), denied, ok: None }
        }
        "Bearer both" => {
            let ok = Some(Ok::default());
            CheckResponse { status: no(7), ok, denied: None }
        }
        "Bearer fails" => return Err(Status::internal("out of order")),
        "Bearer slow" => {
            tokio::time::sleep(Duration::from_secs(10)).await;
            CheckResponse::default()
        }
        _ => CheckResponse { status: no(16), denied: None, ok: None },
    }))
}
