//! A request for the tests of this crate.

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderValue, Method, Uri, Version};
use tokio::time::Instant;

use super::{
    clock::unix_micros,
    exchange::{Head, RouteInfo},
    request_id::RequestId,
};
use crate::{
    config::model::{Class, ErrorFormat},
    server::{
        client::{Connection, TlsSession},
        forwarding::HopRequest,
    },
};

/// `GET /orders/7?token=s3cret&page=2` of a browser, on route `orders`.
pub(crate) fn head() -> Head {
    let id = HeaderValue::from_static("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    let tls = TlsSession {
        version: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256".into(),
        sni: Some("shop.example.com".into()),
        peer: None,
    };
    Head {
        id: RequestId::accept(&id).expect("a UUID is fit"),
        started: Instant::now(),
        started_unix: unix_micros(Instant::now()),
        connection: Arc::new(Connection::new("web".into(), 0, None, 443, Some(tls))),
        client_ip: Some([203, 0, 113, 9].into()),
        trusted: false,
        method: Method::GET,
        authority: Some(HeaderValue::from_static("shop.example.com")),
        host: "shop.example.com".into(),
        uri: Uri::from_static("/orders/7?token=s3cret&page=2"),
        version: Version::HTTP_2,
        user_agent: Some(HeaderValue::from_static("curl/8.5.0")),
        grpc: false,
        accept: None,
        route: route("orders", ErrorFormat::Auto),
        pattern: None,
        hop: HopRequest::default(),
    }
}

/// A route's part of a record.
pub(crate) fn route(name: &str, errors: ErrorFormat) -> Arc<RouteInfo> {
    let labels = BTreeMap::from([("team".to_owned(), "checkout".to_owned())]);
    let class = Class::default();
    Arc::new(RouteInfo { name: name.into(), errors, access_log: true, class, labels })
}
