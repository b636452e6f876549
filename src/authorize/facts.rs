//! What is known of a request, as a rule asks for it.

use std::{
    borrow::Cow,
    cell::Cell,
    net::IpAddr,
    str,
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, Version};

use super::{
    COST, Failed,
    value::{Map, Value},
    vars::Var,
};
use crate::{
    auth::{
        Claims,
        api_key::carrier::{parameter, unescaped},
    },
    config::model::Name,
    layers::Request,
    telemetry::exchange::Exchange,
};

/// A request, its client and who it is from, and what may still be spent on judging it.
pub(crate) struct Facts<'r> {
    exchange: &'r Exchange,
    headers: &'r HeaderMap,
    consumer: Option<Name>,
    claims: Option<Arc<Claims>>,
    left: Cell<u32>,
}

static NO_CLAIMS: LazyLock<Claims> = LazyLock::new(Claims::new);

// === impl Facts ===

impl<'r> Facts<'r> {
    /// The facts of a request. Who it is from is looked up only where `who` wants it.
    pub(crate) fn new(request: &'r Request, exchange: &'r Exchange, who: bool) -> Self {
        let (mut consumer, mut claims) = (None, None);
        if who {
            exchange.note(|outcome| {
                consumer.clone_from(&outcome.consumer);
                claims.clone_from(&outcome.claims);
            });
        }
        let (headers, left) = (request.headers(), Cell::new(COST));
        Self { exchange, headers, consumer, claims, left }
    }

    /// Another policy, with all its steps before it.
    pub(super) fn begin(&self) {
        self.left.set(COST);
    }

    /// Pays for some steps.
    pub(super) fn spend(&self, steps: usize) -> Result<(), Failed> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.left.get().checked_sub(steps));
        // What could not be paid for leaves nothing for others: no later step can hide it.
        self.left.set(left.unwrap_or(0));
        left.map(drop).ok_or(Failed::TooCostly)
    }

    /// The client's own address.
    pub(super) fn client_ip(&self) -> Option<IpAddr> {
        self.exchange.client_ip.map(|ip| ip.to_canonical())
    }

    /// The value of a variable.
    pub(super) fn get(&self, var: Var) -> Value<'_> {
        let connection = &self.exchange.connection;
        match var {
            Var::Method => Value::text(self.exchange.method.as_str()),
            Var::Path => Value::text(self.exchange.uri.path()),
            Var::Host => Value::text(&self.exchange.host),
            Var::Query => Value::Map(Map::Query(self.exchange.uri.query().unwrap_or_default())),
            Var::Headers => Value::Map(Map::Headers(self.headers)),
            Var::Protocol => Value::text(match self.exchange.version {
                Version::HTTP_10 => "HTTP/1.0",
                Version::HTTP_2 => "HTTP/2",
                _ => "HTTP/1.1",
            }),
            Var::Scheme => Value::text(if connection.tls.is_some() { "https" } else { "http" }),
            Var::ClientIp => {
                let text = self.client_ip().map(|ip| ip.to_string()).unwrap_or_default();
                Value::Text(Cow::Owned(text))
            }
            Var::Listener => Value::text(&connection.listener),
            Var::Tls => Value::Bool(connection.tls.is_some()),
            Var::Consumer => Value::text(self.consumer.as_deref().unwrap_or_default()),
            Var::Claims => Value::Map(Map::Json(self.claims.as_deref().unwrap_or(&NO_CLAIMS))),
            Var::RouteName => Value::text(&self.exchange.route.name),
            Var::RouteLabels => Value::Map(Map::Labels(&self.exchange.route.labels)),
            Var::Now => Value::Time(i64::try_from(self.exchange.started_unix).unwrap_or(i64::MAX)),
        }
    }

    /// What a map holds under a key.
    pub(super) fn lookup<'a>(&self, map: Map<'a>, key: &str) -> Result<Option<Value<'a>>, Failed> {
        match map {
            Map::Json(claims) => Ok(claims.get(key).map(Value::from)),
            Map::Labels(labels) => Ok(labels.get(key).map(|label| Value::text(label))),
            Map::Headers(headers) => self.header(headers, key),
            Map::Query(query) => {
                self.spend(query.len() / 8)?;
                let mut values = query.split('&').filter_map(|pair| parameter(pair, key));
                let Some(raw) = values.next() else { return Ok(None) };
                if values.next().is_some() {
                    return Err(Failed::Ambiguous);
                }
                // Services read a plus as a space.
                let value = match raw.contains('+') {
                    true => Cow::Owned(unescaped(&raw.replace('+', " ")).into_owned()),
                    false => unescaped(raw),
                };
                text(value).map(Some)
            }
        }
    }

    /// All values of a header, joined as RFC 9110 section 5.3 says.
    fn header<'a>(&self, headers: &'a HeaderMap, name: &str) -> Result<Option<Value<'a>>, Failed> {
        let mut values = headers.get_all(name).iter();
        let Some(first) = values.next() else { return Ok(None) };
        self.spend(first.len() / 32)?;
        let Some(second) = values.next() else {
            return text(Cow::Borrowed(first.as_bytes())).map(Some);
        };
        let mut joined = first.as_bytes().to_vec();
        for value in std::iter::once(second).chain(values) {
            self.spend(1 + value.len() / 32)?;
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value.as_bytes());
        }
        text(Cow::Owned(joined)).map(Some)
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Result<Value<'_>, Failed> {
    let text = match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(str::from_utf8(bytes).map_err(|_| Failed::NoText)?),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).map_err(|_| Failed::NoText)?),
    };
    Ok(Value::Text(text))
}
