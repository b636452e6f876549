//! The two small services of the demo: one answers text, one answers JSON.

use std::{convert::Infallible, io, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Runtime};

/// How a service answers.
type Answer = fn(&Request<Incoming>) -> (StatusCode, &'static str, String);

/// The services and the thread they run on; they end with it.
pub(super) struct Services {
    _runtime: Runtime,
    /// Where the text is.
    pub(super) front: SocketAddr,
    /// Where the JSON is.
    pub(super) data: SocketAddr,
}

// === impl Services ===

impl Services {
    /// Starts both on free ports.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("services")
            .enable_all()
            .build()?;
        let (front, data) = runtime
            .block_on(async { Ok::<_, io::Error>((serve(front).await?, serve(data).await?)) })?;
        Ok(Self { _runtime: runtime, front, data })
    }
}

async fn serve(answer: Answer) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request| async move {
                let (status, content_type, body) = answer(&request);
                let mut response = Response::new(Full::new(Bytes::from(body)));
                *response.status_mut() = status;
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                Ok::<_, Infallible>(response)
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

fn front(request: &Request<Incoming>) -> (StatusCode, &'static str, String) {
    let path = request.uri().path();
    (StatusCode::OK, "text/plain", format!("front: hello, you asked for {path}\n"))
}

fn data(request: &Request<Incoming>) -> (StatusCode, &'static str, String) {
    let reason = request.headers().get("x-reason").and_then(|value| value.to_str().ok());
    let (status, body) = match request.uri().path() {
        "/" => (StatusCode::OK, serde_json::json!({ "service": "data", "reason": reason })),
        "/data" => (StatusCode::OK, serde_json::json!({ "service": "data", "items": [1, 2, 3] })),
        path => (StatusCode::NOT_FOUND, serde_json::json!({ "service": "data", "unknown": path })),
    };
    (status, "application/json", format!("{body}\n"))
}
