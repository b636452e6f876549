//! Rate limits that several gateways count together, in a real Redis.

mod away;
mod count;
mod reach;
mod service;

use crate::support::{http::Response, prelude::*, redis::Redis};

/// A timeout that even a loaded machine keeps.
const PATIENT: &str = "timeout: 500ms";

/// A file with one limit that is counted in this store.
fn file(upstream: &Raw, store: &str, limit: &str) -> String {
    format!(
        "version: 1\n\
         listeners: {{ http: {{ address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1] }} }}\n\
         stores: {{ main: {{ {store} }} }}\n\
         policies: {{ rate_limit: {{ shared: {{ store: main, {limit} }} }} }}\n\
         routes: {{ app: {{ to: \"{}\", rate_limit: shared }} }}\n",
        upstream.url()
    )
}

fn store_of(redis: &Redis) -> String {
    format!("redis: \"{}\", gateways: 2, {PATIENT}", redis.url())
}

/// A gateway that can ask its store.
#[track_caller]
fn start(yaml: &str) -> Gateway {
    let gateway = Gateway::start(yaml);
    until("the store is up", || is_up(&gateway) == Some(1.0));
    gateway
}

fn is_up(gateway: &Gateway) -> Option<f64> {
    gateway.metric("tidegate_store_up", &[("store", "main")])
}

fn ask(gateway: &Gateway, client: &str) -> Response {
    let client = format!("X-Forwarded-For: {client}");
    gateway.client().exchange("GET", "h", "/", &[&client, "Connection: close"])
}

fn status(gateway: &Gateway) -> u16 {
    ask(gateway, "203.0.113.7").status
}

/// `r` of the only limit.
#[track_caller]
fn left(answer: &Response) -> u32 {
    let text = answer.header("ratelimit").expect("a limit");
    let rest = text.split_once(";r=").expect("what is left").1;
    rest.split(';').next().and_then(|number| number.parse().ok()).expect("a number")
}

fn calls(gateway: &Gateway, result: &str) -> f64 {
    let labels = [("store", "main"), ("result", result)];
    gateway.metric("tidegate_store_calls_total", &labels).unwrap_or(0.0)
}

fn degraded(gateway: &Gateway, result: &str) -> f64 {
    let labels = [("store", "main"), ("policy", "shared"), ("result", result)];
    gateway.metric("tidegate_rate_limit_degraded_total", &labels).unwrap_or(0.0)
}
