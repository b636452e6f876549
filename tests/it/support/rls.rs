//! A tonic server of Envoy's rate limit service. It counts by descriptor, and resets nothing. Its messages are
//! written by hand here once more, so that a mistake in those of the gateway is seen.

use std::{
    collections::HashMap,
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
pub(crate) struct Rls {
    address: SocketAddr,
    task: JoinHandle<()>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    used: HashMap<String, u32>,
    seen: Vec<Said>,
    slow: bool,
}

/// What it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) domain: String,
    pub(crate) hits: u32,
    /// `key=value,…|limit/unit` of each descriptor.
    pub(crate) descriptors: Vec<String>,
}

macro_rules! message {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Clone, PartialEq, prost::Message)]
        struct $name { $($(#[$attribute])* $field: $type,)* }
    };
}

message! { Ask {
    #[prost(string, tag = "1")] domain: String,
    #[prost(message, repeated, tag = "2")] descriptors: Vec<Descriptor>,
    #[prost(uint32, tag = "3")] hits_addend: u32,
} }
message! { Descriptor {
    #[prost(message, repeated, tag = "1")] entries: Vec<Entry>,
    #[prost(message, optional, tag = "2")] limit: Option<Limit>,
} }
message! { Entry {
    #[prost(string, tag = "1")] key: String,
    #[prost(string, tag = "2")] value: String,
} }
message! { Limit {
    #[prost(uint32, tag = "1")] requests_per_unit: u32,
    #[prost(int32, tag = "2")] unit: i32,
} }
message! { Answer {
    #[prost(int32, tag = "1")] overall_code: i32,
    #[prost(message, repeated, tag = "2")] statuses: Vec<DescriptorStatus>,
} }
message! { DescriptorStatus {
    #[prost(int32, tag = "1")] code: i32,
    #[prost(message, optional, tag = "2")] current_limit: Option<Limit>,
    #[prost(uint32, tag = "3")] limit_remaining: u32,
    #[prost(message, optional, tag = "4")] duration_until_reset: Option<Time>,
} }
message! { Time {
    #[prost(int64, tag = "1")] seconds: i64,
    #[prost(int32, tag = "2")] nanos: i32,
} }

// === impl Rls ===

impl Rls {
    /// Starts it on a free port, plain text HTTP/2.
    pub(crate) fn start() -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::<Mutex<State>>::default();
        let service = Service(Arc::clone(&state));
        let task = spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener))
                .await
                .expect("the server runs until it is aborted");
        });
        Self { address, task, state }
    }

    /// As a store has it.
    pub(crate) fn url(&self) -> String {
        format!("h2c://{}", self.address)
    }

    /// What it was asked.
    pub(crate) fn seen(&self) -> Vec<Said> {
        self.state.lock().seen.clone()
    }

    /// It takes very long from now on, or no more.
    pub(crate) fn slow(&self, slow: bool) {
        self.state.lock().slow = slow;
    }
}

impl Drop for Rls {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Service(Arc<Mutex<State>>);

impl NamedService for Service {
    const NAME: &'static str = "envoy.service.ratelimit.v3.RateLimitService";
}

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            if request.uri().path()
                != "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
            {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let mut server = Server::new(ProstCodec::<Answer, Ask>::default());
            let service = service_fn(|request| judge(request, Arc::clone(&state)));
            Ok(server.unary(service, request).await)
        })
    }
}

async fn judge(
    request: Request<Ask>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Answer>, Status> {
    let ask = request.into_inner();
    let name = |descriptor: &Descriptor| {
        let pairs = descriptor.entries.iter().map(|it| format!("{}={}", it.key, it.value));
        let limit = descriptor.limit.as_ref();
        let limit = limit.map(|it| format!("|{}/{}", it.requests_per_unit, it.unit));
        pairs.collect::<Vec<_>>().join(",") + &limit.unwrap_or_default()
    };
    let (answer, slow) = {
        let mut state = state.lock();
        let descriptors: Vec<String> = ask.descriptors.iter().map(name).collect();
        let statuses: Vec<DescriptorStatus> = ask
            .descriptors
            .iter()
            .map(|descriptor| {
                // Like Envoy's own: what is over is counted as well. 5 where nobody says how many.
                let limit = descriptor.limit.as_ref().map_or(5, |it| it.requests_per_unit);
                let used = state.used.entry(name(descriptor)).or_default();
                *used += ask.hits_addend;
                DescriptorStatus {
                    code: if *used > limit { 2 } else { 1 },
                    current_limit: descriptor.limit.clone(),
                    limit_remaining: limit.saturating_sub(*used),
                    duration_until_reset: Some(Time { seconds: 41, nanos: 1 }),
                }
            })
            .collect();
        let over = statuses.iter().any(|status| status.code == 2);
        state.seen.push(Said { domain: ask.domain, hits: ask.hits_addend, descriptors });
        (Answer { overall_code: if over { 2 } else { 1 }, statuses }, state.slow)
    };
    if slow {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    Ok(Response::new(answer))
}
