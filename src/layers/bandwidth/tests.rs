//! Bodies that are slowed down, with paused time.

use http_body_util::{BodyExt, StreamBody};
use tower::service_fn;

use super::*;
use crate::{
    config::model::Rates,
    layers::shared::SharedService,
    telemetry::{exchange::Exchange, testing},
};

const KIB: usize = 1024;

/// A body of so many pieces of a kibibyte.
fn pieces(count: usize) -> Body {
    let piece = || Ok::<_, BoxError>(Frame::data(Bytes::from_static(&[b'x'; KIB])));
    Body::wrap(StreamBody::new(futures_util::stream::iter((0..count).map(move |_| piece()))))
}

fn rates(request: Option<u64>, response: Option<u64>) -> Rates {
    Rates { request, response }
}

/// A route whose upstream reads all that comes and answers ten pieces.
fn service(connection: Rates, total: Rates) -> Bandwidth {
    let total = Arc::new(Buckets::new(total, Instant::now()));
    let inner = service_fn(|request: Request| async {
        request.into_body().collect().await.expect("it flows");
        Ok(Response::new(pieces(10)))
    });
    BandwidthLayer::new(Settings { connection, total }).layer(SharedService::new(inner))
}

fn request(exchange: &Arc<Exchange>, body: Body) -> Request {
    let mut request = Request::new(body);
    request.extensions_mut().insert(Arc::clone(exchange));
    request
}

/// How long a request with its answer takes.
async fn takes(mut service: Bandwidth, exchange: &Arc<Exchange>, body: Body) -> u128 {
    let begun = Instant::now();
    let response = service.call(request(exchange, body)).await.expect("an answer");
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(bytes.len(), 10 * KIB, "nothing is lost");
    begun.elapsed().as_millis()
}

fn near(took: u128, expected: u128) {
    assert!(took.abs_diff(expected) <= 10, "{took} ms, not {expected}");
}

#[tokio::test(start_paused = true)]
async fn bodies_flow_as_fast_as_they_may_each_way() {
    let exchange = || Arc::new(Exchange::new(testing::head()));
    let slow = Some(10 * KIB as u64);
    // The last piece is not waited for: nothing comes after it but the end.
    let open = service(rates(None, None), rates(None, None));
    assert_eq!(takes(open, &exchange(), pieces(10)).await, 0);
    near(
        takes(service(rates(None, slow), rates(None, None)), &exchange(), Body::empty()).await,
        1000,
    );
    near(takes(service(rates(slow, None), rates(None, None)), &exchange(), pieces(20)).await, 2000);
    let both = service(rates(None, Some(1 << 20)), rates(None, slow));
    near(takes(both, &exchange(), Body::empty()).await, 1000);
}

#[tokio::test(start_paused = true)]
async fn the_streams_of_a_connection_share_its_part_and_connections_do_not() {
    let slow = Some(10 * KIB as u64);
    let service = service(rates(None, slow), rates(None, None));
    let one = Arc::new(Exchange::new(testing::head()));
    let other = Arc::new(Exchange::new(testing::head()));
    let (first, second, third) = tokio::join!(
        takes(service.clone(), &one, Body::empty()),
        takes(service.clone(), &one, Body::empty()),
        takes(service, &other, Body::empty()),
    );
    near(first.max(second), 2000);
    near(third, 1000);
}
