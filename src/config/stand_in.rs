//! STAND-IN for the loader; drop for the real one. Knows listeners, upstreams and respond routes.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use super::{
    diagnostic::{Diagnostic, Diagnostics, Place, Sources},
    model::{
        Action, Address, Admin, BodyRule, ClientIpFrom, Config, Endpoint, ErrorFormat, Headers,
        HostHeader, Listener, ListenerLimits, ListenerTimeouts, ListenerTls, Located, Logs, Match,
        Metrics, Name, PathRewrite, Pool, Protocols, RequestIdFrom, Route, Server, Target,
        Timeouts, Tls, Upstream, UpstreamLimits, UpstreamTls,
    },
};

/// STAND-IN.
#[derive(Clone, Debug)]
pub enum Input {
    /// STAND-IN.
    File(PathBuf),
    /// STAND-IN.
    Text {
        /// STAND-IN.
        name: String,
        /// STAND-IN.
        text: String,
    },
}

/// STAND-IN.
#[derive(Debug)]
pub struct Loaded {
    /// STAND-IN.
    pub config: Option<Config>,
    /// STAND-IN.
    pub sources: Sources,
    /// STAND-IN.
    pub diagnostics: Diagnostics,
    /// STAND-IN.
    pub files: Vec<PathBuf>,
    /// STAND-IN.
    pub hash: String,
}

impl Loaded {
    /// STAND-IN.
    pub fn render(&self, _: bool) -> String {
        self.diagnostics.items.iter().fold(String::new(), |mut text, item| {
            let _ = writeln!(text, "{:?}: {item}", item.severity);
            text
        })
    }
}

/// STAND-IN.
pub fn load(inputs: &[Input], env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let mut loaded = Loaded {
        config: None,
        sources: Sources::default(),
        diagnostics: Diagnostics::default(),
        files: Vec::new(),
        hash: String::new(),
    };
    let mut all = String::new();
    let mut config = default_config();
    let mut pending: Vec<Input> = inputs.to_vec();
    while let Some(input) = pending.pop() {
        let (name, text) = match input {
            Input::File(path) => {
                loaded.files.push(path.clone());
                match std::fs::read_to_string(&path) {
                    Ok(text) => (path, text),
                    Err(error) => {
                        let message = format!("{}: {error}", path.display());
                        loaded.diagnostics.push(Diagnostic::error(Place::default(), message));
                        continue;
                    }
                }
            }
            Input::Text { name, text } => (PathBuf::from(name), text),
        };
        let mut text = text;
        for name in ["FRONT_URL", "DATA_URL", "HTTP_PORT", "HTTPS_PORT", "ADMIN_PORT"] {
            while let Some(start) = text.find(&format!("${{{name}")) {
                let end = text[start..].find('}').map_or(text.len(), |e| start + e + 1);
                let default = text[start + name.len() + 4..end - 1].to_owned();
                text.replace_range(start..end, &env(name).unwrap_or(default));
            }
        }
        all.push_str(&text);
        match serde_yaml::from_str::<serde_json::Value>(&text) {
            Ok(value) => {
                for include in value["include"].as_array().into_iter().flatten() {
                    let pattern = name.with_file_name(include.as_str().unwrap_or_default());
                    loaded.files.extend(pattern.parent().map(PathBuf::from));
                    let found = glob::glob(&pattern.to_string_lossy()).ok();
                    pending.extend(found.into_iter().flatten().flatten().map(Input::File));
                }
                if let Err(message) = fill(&mut config, &value) {
                    loaded.diagnostics.push(Diagnostic::error(Place::default(), message));
                }
            }
            Err(error) => {
                loaded.diagnostics.push(Diagnostic::error(Place::default(), error.to_string()));
            }
        }
    }
    loaded.hash = format!("{:016x}", super::super::runtime::candidate::digest(&[all.as_bytes()]));
    if !loaded.diagnostics.has_errors() {
        loaded.config = Some(config);
    }
    loaded
}

fn fill(config: &mut Config, value: &serde_json::Value) -> Result<(), String> {
    for (name, listener) in value["listeners"].as_object().into_iter().flatten() {
        let text = listener.as_str().or(listener["address"].as_str()).ok_or("address missing")?;
        let tls = if listener["tls"] == "dev" { ListenerTls::Dev } else { ListenerTls::None };
        config.listeners.insert(name.as_str().into(), listener_at(address(text)?, tls));
    }
    for (name, upstream) in value["upstreams"].as_object().into_iter().flatten() {
        let url = upstream.as_str().ok_or("url missing")?;
        config.upstreams.insert(name.as_str().into(), upstream_at(url));
    }
    for (name, route) in value["routes"].as_object().into_iter().flatten() {
        let mut made = default_route();
        if let Some(to) = route["to"].as_object() {
            let weight = |w: &serde_json::Value| w.as_u64().unwrap_or(1).try_into().unwrap_or(1);
            let to = to.iter().map(|(n, w)| (located(Name::from(n.as_str())), weight(w)));
            made.action = Action::Forward(to.collect());
        } else if let Some(to) = route["to"].as_str() {
            made.action = Action::Forward(vec![(located(to.into()), 1)]);
        } else if route["respond"].is_null() && route["redirect"].is_null() {
            return Err(format!("route `{name}` does nothing"));
        }
        config.routes.insert(name.as_str().into(), made);
    }
    for item in value["tls"]["certificates"].as_array().into_iter().flatten() {
        let path = |key: &str| located(PathBuf::from(item[key].as_str().unwrap_or_default()));
        config.tls.certificates.push(super::model::Certificate {
            cert: path("cert"),
            key: path("key"),
            hosts: Vec::new(),
        });
    }
    match value["admin"]["address"].as_str() {
        Some("none") => config.admin.address = None,
        Some(text) => config.admin.address = Some(located(address(text)?)),
        None => {}
    }
    config.admin.socket = value["admin"]["socket"].as_str().map(PathBuf::from);
    if value["server"]["drain"]["delay"] == "0s" {
        config.server.drain_delay = Duration::ZERO;
    }
    if let Some(workers) = value["server"]["workers"].as_u64() {
        config.server.workers = usize::try_from(workers).unwrap_or(1);
    }
    Ok(())
}

fn located<T>(value: T) -> Located<T> {
    Located { value, place: Place::default() }
}

fn address(text: &str) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Address::Unix(path.into()));
    }
    if let Some(name) = text.strip_prefix("fd:") {
        return Ok(Address::Fd(name.to_owned()));
    }
    let (host, port) = text.rsplit_once(':').ok_or("no port")?;
    Ok(Address::Tcp {
        host: if host.is_empty() {
            None
        } else {
            Some(host.parse().map_err(|_| format!("not an address: {host}"))?)
        },
        port: port.parse().map_err(|_| format!("not a port: {port}"))?,
    })
}

fn listener_at(address: Address, tls: ListenerTls) -> Listener {
    Listener {
        place: Place::default(),
        address: located(address),
        tls,
        https_redirect: None,
        protocols: Protocols { h1: true, h2: true, h2c: false },
        trusted_proxies: Vec::new(),
        client_ip_from: ClientIpFrom::XForwardedFor,
        max_connections: 20_000,
        timeouts: ListenerTimeouts {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
        },
        limits: ListenerLimits {
            header_size: 32 << 10,
            header_count: 100,
            uri_length: 8 << 10,
            h2_streams: 128,
        },
    }
}

fn upstream_at(url: &str) -> Upstream {
    Upstream {
        place: Place::default(),
        endpoints: vec![Endpoint {
            url: located(url.into()),
            tls: false,
            h2c: false,
            target: Target::Tcp { host: url.to_owned(), port: 80 },
            weight: 1,
            backup: false,
        }],
        balance: super::model::Balance::LeastRequests,
        connect_timeout: Duration::from_secs(1),
        protocol: super::model::Protocol::Auto,
        host_header: HostHeader::Client,
        pool: Pool { idle: Duration::from_secs(60), max_idle: 64 },
        limits: UpstreamLimits { connections: 512, requests: 1024, queue: 256 },
        tls: UpstreamTls { ca: None, client: None, server_name: None, verify: true },
    }
}

fn default_route() -> Route {
    Route {
        place: Place::default(),
        matches: vec![Match {
            place: Place::default(),
            hosts: Vec::new(),
            paths: Vec::new(),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            client_ip: Vec::new(),
            listeners: Vec::new(),
        }],
        action: Action::Respond {
            status: http::StatusCode::OK,
            body: String::new(),
            headers: Vec::new(),
        },
        priority: 0,
        enabled: true,
        path_rewrite: PathRewrite::Keep,
        headers: Headers::default(),
        timeouts: Timeouts { request: None, per_try: None, idle: None, idle_written: false },
        upgrade: vec!["websocket".to_owned()],
        body: BodyRule { max: None, buffer: false },
        errors: ErrorFormat::Auto,
        access_log: true,
        layers: Vec::new(),
        labels: BTreeMap::new(),
    }
}

/// STAND-IN.
pub fn default_config() -> Config {
    Config {
        listeners: BTreeMap::new(),
        tls: Tls { only_tls13: false, session_tickets: true, certificates: Vec::new() },
        upstreams: BTreeMap::new(),
        routes: BTreeMap::new(),
        logs: Logs { level: tracing::Level::INFO, format: None, access: None },
        metrics: Metrics { path: "/metrics".to_owned(), buckets: vec![0.1, 1.0] },
        admin: Admin {
            address: Some(located(Address::Tcp {
                host: Some(std::net::Ipv4Addr::LOCALHOST.into()),
                port: 9900,
            })),
            socket: None,
        },
        server: Server {
            name: Arc::<str>::from("edge").to_string(),
            drain_delay: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(30),
            request_id_header: http::HeaderName::from_static("x-request-id"),
            request_id_from: RequestIdFrom::Trusted,
            via: true,
            merge_slashes: true,
            keep_encoded_slash: false,
            workers: 0,
        },
    }
}
