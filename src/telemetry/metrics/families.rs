//! The table of metric families: the only place where a name, its labels and its help are written.
//! The collector, the tests and `docs/metrics.md` all follow it.

use std::collections::HashMap;

use prometheus::{core::Desc, proto};

/// How a family is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

/// One metric family.
#[derive(Debug)]
pub struct Family {
    /// Name as scraped.
    pub name: &'static str,
    /// How it is read.
    pub kind: Kind,
    /// Label names, in the order values are given.
    pub labels: &'static [&'static str],
    /// One line for people.
    pub help: &'static str,
}

/// Position of a family in [`FAMILIES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(usize);

macro_rules! families {
    ($($id:ident $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// Every family there is.
        pub const FAMILIES: &[Family] = &[$(Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        }),*];

        families!(@ids 0usize; $($id)*);
    };
    (@ids $at:expr; $id:ident $($rest:ident)*) => {
        pub(super) const $id: Id = Id($at);
        families!(@ids $at + 1; $($rest)*);
    };
    (@ids $at:expr;) => {};
}

families! {
    REQUESTS Counter "tidegate_http_requests_total"
        ["listener", "route", "upstream", "method", "code"]
        "Requests finished.";
    DURATION Histogram "tidegate_http_request_duration_seconds"
        ["listener", "route", "method", "code_class"]
        "From the request's head to the end of the response's body.";
    GATEWAY_DURATION Histogram "tidegate_gateway_duration_seconds"
        ["route"]
        "From the request's head to the response's head, less the wait for the upstream.";
    UPSTREAM_DURATION Histogram "tidegate_upstream_request_duration_seconds"
        ["route", "upstream", "code_class"]
        "From sending to the upstream until its response head, of the last try.";
    REQUEST_BYTES Counter "tidegate_http_request_bytes_total"
        ["route"]
        "Bytes of request bodies received.";
    RESPONSE_BYTES Counter "tidegate_http_response_bytes_total"
        ["route"]
        "Bytes of response bodies sent.";
    IN_FLIGHT Gauge "tidegate_http_requests_in_flight"
        ["listener"]
        "Requests whose response has not ended.";
    LAST_REQUEST Gauge "tidegate_route_last_request_timestamp_seconds"
        ["route"]
        "When the route last finished a request; 0 if never.";
    ERRORS Counter "tidegate_gateway_errors_total"
        ["route", "reason"]
        "Requests the gateway itself failed, by reason.";
    RETRIES Counter "tidegate_retries_total"
        ["route", "upstream", "reason"]
        "Further tries, by what failed before; a hedge is a second try beside the first.";
    BUDGET_EXHAUSTED Counter "tidegate_retry_budget_exhausted_total"
        ["route"]
        "Further tries that were not made because the budget was spent.";
    MIRRORED Counter "tidegate_mirror_requests_total"
        ["route", "result"]
        "Copies of requests to another upstream.";
    COMPARED Counter "tidegate_mirror_comparisons_total"
        ["route", "difference"]
        "Answers compared with those to the copies, by what differs first.";
    DECISIONS Counter "tidegate_policy_decisions_total"
        ["route", "kind", "policy", "result"]
        "What policies said of requests; shadow would have refused.";
    REFUSALS Counter "tidegate_policy_refusals_total"
        ["route", "kind", "policy", "reason"]
        "Why policies refused requests, or would have.";
    AUTH_QUESTIONS Counter "tidegate_auth_questions_total"
        ["policy", "result"]
        "What policies that ask a service got: answered, failed, kept, joined, stale, let_through.";
    STORE_UP Gauge "tidegate_store_up"
        ["store"]
        "1 if every worker that counts in the store can ask it.";
    STORE_CALLS Counter "tidegate_store_calls_total"
        ["store", "result"]
        "Calls to a store: answered, timeout, failed, or away: not made because it is.";
    STORE_DURATION Histogram "tidegate_store_call_duration_seconds"
        ["store"]
        "From a call to its answer.";
    STORE_DEGRADED Counter "tidegate_rate_limit_degraded_total"
        ["store", "policy", "result"]
        "Requests judged while the store did not answer: local, allowed, denied.";
    SHED Counter "tidegate_requests_shed_total"
        ["route", "class", "why"]
        "Requests refused because there was too much to do, by how much they matter.";
    CONCURRENCY_LIMIT Gauge "tidegate_concurrency_limit"
        ["kind", "name"]
        "Requests that may be in flight at once; where the limit is adaptive, now.";
    CONCURRENCY_IN_FLIGHT Gauge "tidegate_concurrency_in_flight"
        ["kind", "name"]
        "Requests that take up a place of the limit.";
    CONCURRENCY_WAITING Gauge "tidegate_concurrency_waiting"
        ["kind", "name"]
        "Requests that wait for a place.";
    CONCURRENCY_BASELINE Gauge "tidegate_concurrency_baseline_seconds"
        ["kind", "name"]
        "What nine of ten answers take at most without load, as an adaptive limit has measured it.";
    OVERLOAD_LEVEL Gauge "tidegate_overload_level"
        []
        "0 calm, 1 idle connections are closed sooner, 2 class low is shed, 3 class normal too, 4 no new connections.";
    OVERLOAD_PRESSURE Gauge "tidegate_overload_pressure"
        ["resource"]
        "How much of it is used up; 1 is all there is.";
    BREAKER_STATE Gauge "tidegate_breaker_state"
        ["upstream"]
        "0 closed, 1 half-open, 2 open.";
    BREAKER_TRANSITIONS Counter "tidegate_breaker_transitions_total"
        ["upstream", "to"]
        "Changes of the circuit breaker.";
    ENDPOINT_UP Gauge "tidegate_endpoint_up"
        ["upstream", "endpoint"]
        "1 if requests may go there, 0 if checks or failures have taken it out.";
    EJECTIONS Counter "tidegate_endpoint_ejections_total"
        ["upstream", "endpoint"]
        "Times it was taken out of rotation for failing.";
    HEALTH_CHECKS Counter "tidegate_endpoint_health_checks_total"
        ["upstream", "endpoint", "result"]
        "Active health checks.";
    DISCOVERY_UP Gauge "tidegate_discovery_up"
        ["upstream"]
        "1 if the source of the endpoints has answered when it was asked last.";
    DISCOVERY_ENDPOINTS Gauge "tidegate_discovery_endpoints"
        ["upstream"]
        "Endpoints known; the last known ones while the source is away.";
    DISCOVERY_ANSWERS Counter "tidegate_discovery_answers_total"
        ["upstream", "result"]
        "Answers of the source of the endpoints, and failures to get one.";
    KEYS_UP Gauge "tidegate_jwks_up"
        ["source"]
        "1 if the keys of the issuer came when they were asked for last.";
    KEYS Gauge "tidegate_jwks_keys"
        ["source"]
        "Keys known; the last known ones while the issuer is away.";
    KEYS_TIME Gauge "tidegate_jwks_last_success_timestamp_seconds"
        ["source"]
        "When the keys of the issuer last came; 0 if never.";
    KEYS_FETCHES Counter "tidegate_jwks_fetches_total"
        ["source", "result"]
        "Times an issuer was asked for its keys.";
    CONNECTIONS Gauge "tidegate_connections"
        ["listener", "protocol"]
        "Client connections open.";
    ACCEPT_ERRORS Counter "tidegate_accept_errors_total"
        ["listener"]
        "Failures to accept a connection.";
    CUT Counter "tidegate_connections_cut_total"
        ["listener", "why"]
        "Connections turned away, or ended by the gateway because of a limit.";
    HANDSHAKES Counter "tidegate_tls_handshakes_total"
        ["listener", "version", "result"]
        "TLS handshakes.";
    CERTIFICATE Gauge "tidegate_tls_certificate_not_after_seconds"
        ["host"]
        "When the certificate of a host expires.";
    RELOADS Counter "tidegate_config_reloads_total"
        ["result"]
        "Reloads of the configuration that were applied or refused.";
    RELOAD_OK Gauge "tidegate_config_last_reload_successful"
        []
        "1 if the last reload was applied, 0 if it was refused.";
    RELOAD_TIME Gauge "tidegate_config_last_reload_success_timestamp_seconds"
        []
        "When a configuration was last applied.";
    ROLLED_BACK Gauge "tidegate_config_rolled_back"
        []
        "1 while an earlier configuration runs that was put back; the files say something else.";
    QUARANTINED Gauge "tidegate_config_quarantined_routes"
        ["file"]
        "Routes of a broken included file that answer 503.";
    CONFIG_INFO Gauge "tidegate_config_info"
        ["hash", "version"]
        "The configuration in use.";
    LOG_DROPPED Counter "tidegate_access_log_dropped_total"
        []
        "Access log lines lost because the writer was behind or could not write.";
    BUILD_INFO Gauge "tidegate_build_info"
        ["version"]
        "The build that is running.";
    CPU Counter "process_cpu_seconds_total"
        []
        "Total user and system CPU time spent in seconds.";
    RESIDENT Gauge "process_resident_memory_bytes"
        []
        "Resident memory size in bytes.";
    VIRTUAL Gauge "process_virtual_memory_bytes"
        []
        "Virtual memory size in bytes.";
    OPEN_FDS Gauge "process_open_fds"
        []
        "Number of open file descriptors.";
    MAX_FDS Gauge "process_max_fds"
        []
        "Maximum number of open file descriptors.";
    START_TIME Gauge "process_start_time_seconds"
        []
        "Start time of the process since unix epoch in seconds.";
    THREADS Gauge "process_threads"
        []
        "Number of OS threads in the process.";
}

/// The families of one scrape while they are being filled.
pub(super) struct Scrape {
    families: Vec<Vec<proto::Metric>>,
}

// === impl Family ===

impl Family {
    /// Its description for the registry.
    pub(super) fn desc(&self) -> Desc {
        let labels = self.labels.iter().map(|&label| label.to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new())
            .expect("the names of the table are valid, as a test registers them all")
    }
}

// === impl Scrape ===

impl Scrape {
    pub(super) fn new() -> Self {
        Self { families: FAMILIES.iter().map(|_| Vec::new()).collect() }
    }

    pub(super) fn counter(&mut self, id: Id, labels: &[&str], value: f64) {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        self.push(id, labels).set_counter(counter);
    }

    pub(super) fn gauge(&mut self, id: Id, labels: &[&str], value: f64) {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        self.push(id, labels).set_gauge(gauge);
    }

    pub(super) fn histogram(&mut self, id: Id, labels: &[&str], value: proto::Histogram) {
        self.push(id, labels).set_histogram(value);
    }

    pub(super) fn finish(self) -> Vec<proto::MetricFamily> {
        let filled = FAMILIES.iter().zip(self.families).filter(|(_, metrics)| !metrics.is_empty());
        filled
            .map(|(family, metrics)| {
                let mut out = proto::MetricFamily::default();
                out.set_name(family.name.to_owned());
                out.set_help(family.help.to_owned());
                out.set_field_type(match family.kind {
                    Kind::Counter => proto::MetricType::COUNTER,
                    Kind::Gauge => proto::MetricType::GAUGE,
                    Kind::Histogram => proto::MetricType::HISTOGRAM,
                });
                out.set_metric(metrics);
                out
            })
            .collect()
    }

    fn push(&mut self, id: Id, values: &[&str]) -> &mut proto::Metric {
        let names = FAMILIES[id.0].labels;
        debug_assert_eq!(names.len(), values.len(), "{}", FAMILIES[id.0].name);
        let pairs = names.iter().zip(values).map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let family = &mut self.families[id.0];
        family.push(proto::Metric::from_label(pairs.collect()));
        family.last_mut().expect("one was just pushed")
    }
}
