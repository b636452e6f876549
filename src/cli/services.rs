//! The small services of the demo: one answers text, one answers JSON, and one fails when it is told to.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{net::TcpListener, runtime::Runtime, time::Instant};

/// Status, type and text of an answer.
type Answer = (StatusCode, &'static str, String);

/// The services and the thread they run on; they end with it.
pub(super) struct Services {
    _runtime: Runtime,
    /// Where the text is.
    pub(super) front: SocketAddr,
    /// Where the JSON is.
    pub(super) data: SocketAddr,
    /// Where it fails now and then.
    pub(super) moody: SocketAddr,
}

/// A service that fails for a while when it is told to.
#[derive(Default)]
struct Moody {
    seen: AtomicU64,
    fails_until: Mutex<Option<Instant>>,
}

/// How long it fails.
const MOOD: Duration = Duration::from_secs(3);

// === impl Services ===

impl Services {
    /// Starts them on free ports.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("services")
            .enable_all()
            .build()?;
        let mood = Moody::default();
        let [front, data, moody] = runtime.block_on(async {
            let moody = serve(move |request| mood.answer(request)).await?;
            Ok::<_, io::Error>([serve(front).await?, serve(data).await?, moody])
        })?;
        Ok(Self { _runtime: runtime, front, data, moody })
    }
}

async fn serve<A>(answer: A) -> io::Result<SocketAddr>
where
    A: Fn(&Request<Incoming>) -> Answer + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request| {
                let (status, content_type, body) = answer(&request);
                let mut response = Response::new(Full::new(Bytes::from(body)));
                *response.status_mut() = status;
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                std::future::ready(Ok::<_, Infallible>(response))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

fn front(request: &Request<Incoming>) -> Answer {
    let path = request.uri().path();
    (StatusCode::OK, "text/plain", format!("front: hello, you asked for {path}\n"))
}

fn data(request: &Request<Incoming>) -> Answer {
    let reason = request.headers().get("x-reason").and_then(|value| value.to_str().ok());
    let (status, body) = match request.uri().path() {
        "/" => (StatusCode::OK, serde_json::json!({ "service": "data", "reason": reason })),
        "/data" => (StatusCode::OK, serde_json::json!({ "service": "data", "items": [1, 2, 3] })),
        path => (StatusCode::NOT_FOUND, serde_json::json!({ "service": "data", "unknown": path })),
    };
    (status, "application/json", format!("{body}\n"))
}

// === impl Moody ===

impl Moody {
    fn answer<B>(&self, request: &Request<B>) -> Answer {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fails_until = self.fails_until.lock();
        let (status, text) =
            if *request.method() == Method::POST && request.uri().path() == "/break" {
                *fails_until = Some(Instant::now() + MOOD);
                (StatusCode::OK, format!("I fail for {} seconds from now on", MOOD.as_secs()))
            } else if fails_until.is_some_and(|until| Instant::now() < until) {
                (StatusCode::INTERNAL_SERVER_ERROR, "I am not well".to_owned())
            } else {
                (StatusCode::OK, format!("I am well, and have seen {seen} requests in all"))
            };
        (status, "text/plain", format!("moody: {text}\n"))
    }
}
