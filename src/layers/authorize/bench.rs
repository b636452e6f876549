//! Rules with nothing around them, for `benches/authorize_instructions.rs`. It stands in no request's way.

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use tokio::time::Instant;

use crate::{
    authorize::{Facts, Rule, Rules},
    body::Body,
    config::model::ErrorFormat,
    layers::Request,
    server::{client::Connection, forwarding::HopRequest},
    telemetry::{
        exchange::{Exchange, Head, RouteInfo},
        request_id::RequestId,
    },
};

/// One rule and a request it is asked of.
#[derive(Debug)]
pub struct Bench {
    rules: Rules,
    request: Request,
    exchange: Exchange,
}

// === impl Bench ===

impl Bench {
    /// A rule, and a request of `ann` with these claims.
    ///
    /// # Errors
    /// What is wrong with the rule.
    pub fn new(
        rule: &str,
        claims: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, String> {
        let rule = Rule::compile(rule).map_err(|problem| problem.message)?;
        let id = HeaderValue::from_static("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        let route = RouteInfo {
            name: "orders".into(),
            errors: ErrorFormat::Auto,
            class: Default::default(),
            access_log: true,
            labels: BTreeMap::new(),
        };
        let exchange = Exchange::new(Head {
            id: RequestId::accept(&id).ok_or("a UUID is fit")?,
            started: Instant::now(),
            started_unix: 1_795_250_026_500_000,
            connection: Arc::new(Connection::new("web".into(), 0, None, 443, None)),
            client_ip: Some([203, 0, 113, 9].into()),
            trusted: false,
            method: Method::GET,
            authority: None,
            host: "shop.example.com".into(),
            uri: Uri::from_static("/orders/7?page=2&size=50"),
            version: Version::HTTP_2,
            user_agent: None,
            grpc: false,
            accept: None,
            route: Arc::new(route),
            pattern: None,
            hop: HopRequest::default(),
        });
        exchange.note(|outcome| {
            outcome.consumer = Some("ann".into());
            outcome.claims = Some(Arc::new(claims));
        });
        let mut request = Request::new(Body::empty());
        let mut headers = HeaderMap::new();
        headers.insert("x-team", HeaderValue::from_static("blue"));
        *request.headers_mut() = headers;
        Ok(Self { rules: Rules { allow: vec![rule], deny: Vec::new() }, request, exchange })
    }

    /// Asks so many times, as [`super::Authorize`] does, and says how often it may pass.
    #[inline(never)] // its name is where instruction counting starts
    pub fn run(&self, times: usize) -> usize {
        let asked = (0..times).filter(|_| {
            let facts = Facts::new(&self.request, &self.exchange, self.rules.ask_who());
            self.rules.judge(&facts).is_ok()
        });
        asked.count()
    }
}
