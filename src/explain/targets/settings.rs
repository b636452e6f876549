//! The settings of an upstream in words, each with where it was written.

use super::super::{
    Setting,
    steps::causes,
    words::{count, percent, span},
    written_of,
};
use crate::config::model::{self, Balance, Config, Discover, HashOn, HostHeader, Probe, Records};

/// All of them that matter to a request.
pub(crate) fn of(config: &Config, it: &model::Upstream) -> Vec<Setting> {
    let mut all = Vec::new();
    let mut add = |key: &str, what: String| {
        let from = written_of(config, &it.origins, key);
        all.push(Setting { key: key.to_owned(), what, from });
    };
    if let Some(discover) = &it.discover {
        add("discover", source(discover));
    }
    add("lb", balance(it));
    if let Some(sticky) = &it.sticky {
        add("sticky", format!("cookie {}", sticky.cookie));
    }
    if let Some(window) = it.slow_start {
        add("slow_start", span(window));
    }
    add("connect_timeout", span(it.connect_timeout));
    let limits = it.limits;
    let (each, most, queue) = (limits.connections, limits.requests, limits.queue);
    add("limits", format!("{each} connections each · {most} requests · {queue} waiting"));
    if let Some(adaptive) = &it.adaptive {
        let (min, max) = (adaptive.min, adaptive.max);
        add("limits.adaptive", format!("{min} to {max} requests, as the service can take"));
    }
    match &it.host_header {
        HostHeader::Client => {}
        HostHeader::Upstream => add("host_header", "the endpoint's".to_owned()),
        HostHeader::Literal(value) => {
            add("host_header", value.to_str().unwrap_or_default().to_owned());
        }
    }
    if let Some(health) = &it.health {
        add("health", checks(health));
    }
    if let Some(outlier) = it.outlier {
        let (after, out) = (outlier.after, percent(outlier.max_ejected));
        let eject_for = span(outlier.eject_for);
        add("outlier", format!("out for {eject_for} after {after} failures · at most {out} out"));
    }
    if let Some(breaker) = &it.breaker {
        let (errors, window) = (percent(breaker.errors), span(breaker.window));
        let (least, open_for) = (breaker.min_requests, span(breaker.open_for));
        let what = causes(&breaker.count);
        add(
            "breaker",
            format!("opens at {errors} {what} of {least} or more in {window}, for {open_for}"),
        );
    }
    all
}

fn source(discover: &Discover) -> String {
    match discover {
        Discover::Dns(dns) => {
            let records = match dns.records {
                Records::Srv => "SRV records",
                Records::Addresses { v4: true, v6: false, .. } => "A records",
                Records::Addresses { v4: false, .. } => "AAAA records",
                Records::Addresses { .. } => "addresses",
            };
            format!("{records} of {}", dns.name)
        }
        Discover::File(path) => format!("file {}", path.value.display()),
        Discover::Etcd(etcd) => {
            format!("etcd, prefix {}, {}", etcd.prefix, count(etcd.endpoints.len(), "member"))
        }
    }
}

fn balance(it: &model::Upstream) -> String {
    let on = match &it.hash_on {
        None => String::new(),
        Some(HashOn::ClientIp) => " of the client's address".to_owned(),
        Some(HashOn::Header(name)) => format!(" of header {name}"),
        Some(HashOn::Cookie(name)) => format!(" of cookie {name}"),
        Some(HashOn::Query(name)) => format!(" of query parameter {name}"),
        Some(HashOn::Path) => " of the path".to_owned(),
    };
    let word = match it.balance {
        Balance::RoundRobin => "round_robin",
        Balance::LeastRequests => "least_requests",
        Balance::Random => "random",
        Balance::PeakEwma => "peak_ewma",
        Balance::Hash => "hash",
    };
    format!("{word}{on}")
}

fn checks(health: &model::Health) -> String {
    let probe = match &health.probe {
        Probe::Http(path) => format!("GET {path}"),
        Probe::Grpc(service) if service.is_empty() => "gRPC".to_owned(),
        Probe::Grpc(service) => format!("gRPC {service}"),
    };
    let (every, timeout) = (span(health.every), span(health.timeout));
    let (bad, good) = (health.unhealthy_after, health.healthy_after);
    format!("{probe} every {every}, limit {timeout} · out after {bad} bad, back after {good} good")
}
