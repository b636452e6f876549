//! A gateway with a layer that panics where it is told to: in the call, in the future, in the body of
//! the answer. Built as an example, because only those lie beside the binary under test.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body as HttpBody, Frame};
use tidegate::{Body, Error, LayerService, Request, Response};
use tower::{Layer, Service};

struct Panic;

#[derive(Clone)]
struct Panicking(LayerService);

/// A body of one piece, a pause in which it is sent, and a panic.
#[derive(Default)]
struct HalfABody(u8);

fn main() -> std::process::ExitCode {
    tidegate::cli().layer("panic", |_: &serde_json::Value| Ok(Panic)).run()
}

impl Layer<LayerService> for Panic {
    type Service = Panicking;

    fn layer(&self, inner: LayerService) -> Panicking {
        Panicking(inner)
    }
}

impl Service<Request> for Panicking {
    type Response = Response;
    type Error = Error;
    type Future = <LayerService as Service<Request>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match request.uri().path() {
            "/call" => panic!("in the call\nof a layer"),
            "/future" => Box::pin(async {
                tokio::task::yield_now().await;
                panic!("in the future")
            }),
            "/body" => Box::pin(async { Ok(Response::new(Body::wrap(HalfABody::default()))) }),
            _ => self.0.call(request),
        }
    }
}

impl HttpBody for HalfABody {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Infallible>>> {
        self.0 += 1;
        match self.0 {
            1 => Poll::Ready(Some(Ok(Frame::data(bytes::Bytes::from_static(b"half"))))),
            2 => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            _ => panic!("in the body"),
        }
    }
}
