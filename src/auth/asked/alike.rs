//! Which requests are alike for a service: the parts the operator names, as a key.

use http::{HeaderValue, header::COOKIE};

use super::Kept;
use crate::{
    auth::{api_key::carrier, decisions::Key},
    config::model::AlikePart,
    layers::Request,
    telemetry::exchange::Exchange,
};

/// The key of a request.
pub(crate) fn key(kept: &Kept, parts: &[AlikePart], request: &Request, exchange: &Exchange) -> Key {
    let mut all = kept.parts();
    for part in parts {
        match part {
            AlikePart::Method => all.add([exchange.method.as_str().as_bytes()]),
            AlikePart::Scheme => all.add([scheme(exchange).as_bytes()]),
            AlikePart::Host => all.add(exchange.authority.as_ref().map(HeaderValue::as_bytes)),
            AlikePart::Path => all.add([exchange.uri.path().as_bytes()]),
            AlikePart::Query => all.add(exchange.uri.query().map(str::as_bytes)),
            AlikePart::ClientIp => {
                let ip = exchange.client_ip.map(|ip| ip.to_string());
                all.add(ip.as_deref().map(str::as_bytes));
            }
            AlikePart::Header(name) => {
                all.add(request.headers().get_all(name).iter().map(HeaderValue::as_bytes));
            }
            AlikePart::Cookie(name) => {
                let lines = request.headers().get_all(COOKIE).iter().map(HeaderValue::as_bytes);
                let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
                all.add(pairs.filter_map(|pair| carrier::cookie(pair, name)));
            }
        }
    }
    all.key()
}

/// How the client has come.
pub(super) fn scheme(exchange: &Exchange) -> &'static str {
    if exchange.connection.tls.is_some() { "https" } else { "http" }
}
