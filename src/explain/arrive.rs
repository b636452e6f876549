//! From a question to a request that has come in: the listener it would come through, the bytes it would
//! send, and what the scan, the gate and the table make of them.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::AtomicU16},
};

use bytes::Bytes;
use http::request::Parts;

use super::{Answer, Asked, Caller, asked::Url, report::Understood};
use crate::{
    config::model::{Address, Config, Listener, ListenerTls, Name},
    error::Error,
    gateway::{self, Arrival, Verdict},
    layers::Request,
    routing::RequestFacts,
    runtime::Runtime,
    server::{
        client::{Connection, TlsSession},
        client_addr::Client,
        forwarding,
        gate::Checked,
        http1::request::{self, UNREADABLE},
        scan::{self, Limits},
    },
    telemetry::exchange::Exchange,
};

/// A request that has come in.
pub(super) struct Arrived {
    pub(super) listener: Name,
    pub(super) head: Parts,
    pub(super) checked: Checked,
    pub(super) client: Client,
    /// The route that takes it; empty if it ends before.
    pub(super) route: Name,
    /// Why no route gets it.
    pub(super) verdict: Option<Ended>,
    /// It got as far as the table.
    pub(super) looked_for: bool,
    /// The request as its stack gets it.
    pub(super) passed: (Request, Arc<Exchange>),
    pub(super) notes: Vec<String>,
    /// Who it is to be taken for.
    pub(super) caller: Option<Caller>,
    method: String,
    host: String,
    path: String,
}

/// The end of a request before any route.
pub(super) enum Ended {
    Refused(Error),
    ToHttps(Answer),
}

/// Lets it come in.
pub(super) fn arrive(runtime: &Runtime, asked: &Asked) -> Result<Arrived, String> {
    let url = asked.parts()?;
    let mut notes = Vec::new();
    if url.user {
        notes.push(
            "the user in the URL is not sent; -H 'authorization: …' sends credentials".to_owned(),
        );
    }
    let (name, settings) = listener(&runtime.config, asked, url, &mut notes)?;
    let settings = unnamed(settings, asked.client_ip);
    let connection = Arc::new(connection(name, &settings, url, asked.client_ip));
    // The exchange ends it.
    connection.state.begin_request();
    let (head, refusal) = read(asked, url, &settings);
    if let Some(refusal) = refusal {
        connection.state.refuse(refusal);
    }
    let (mut head, body) = head.into_parts();
    let mut checked = Checked::nothing();
    let port = AtomicU16::new(redirect_port(&runtime.config));
    let arrival = Arrival {
        connection: &connection,
        listener: name,
        settings: &settings,
        redirect_port: &port,
    };
    let (decision, client) = gateway::judge(runtime, arrival, &mut head, &mut checked);
    let route = Arc::clone(&decision.route.info.name);
    let verdict = decision.verdict.as_ref().map(|verdict| match verdict {
        Verdict::Refused(error) => Ended::Refused(error.clone()),
        Verdict::ToHttps(status, to) => {
            let to = to.to_str().unwrap_or_default();
            let mut answer = Answer::plain(status.as_u16(), format!("{} to {to}", status.as_u16()));
            answer.headers.push(("location".to_owned(), to.to_owned()));
            Ended::ToHttps(answer)
        }
    });
    let (seen, checked_copy) = (head.clone(), copy(&checked));
    // As `Gateway::begin` goes on.
    let hop = forwarding::strip(&mut head.headers, checked.fields);
    head.uri = checked.uri.clone();
    let exchange = gateway::exchange(runtime, &connection, &head, checked, client, hop, &decision);
    head.extensions.insert(Arc::clone(&exchange));
    Ok(Arrived {
        listener: Arc::clone(name),
        looked_for: !checked_copy.host.is_empty(),
        method: asked.method.clone(),
        host: url.authority.to_ascii_lowercase(),
        path: url.target.split('?').next().unwrap_or_default().to_owned(),
        checked: checked_copy,
        head: seen,
        client,
        route,
        verdict,
        passed: (Request::from_parts(head, body), exchange),
        notes,
        caller: asked.caller.clone(),
    })
}

fn copy(checked: &Checked) -> Checked {
    Checked {
        host: Arc::clone(&checked.host),
        authority: checked.authority.clone(),
        uri: checked.uri.clone(),
        fields: checked.fields,
        noted: checked.noted.clone(),
    }
}

// === impl Arrived ===

impl Arrived {
    /// What the table looked at.
    pub(super) fn facts(&self) -> RequestFacts<'_> {
        gateway::facts(&self.listener, &self.head, &self.checked, self.client)
    }

    pub(super) fn understood(&self) -> Understood {
        let path = if self.looked_for { self.checked.uri.path() } else { &self.path };
        Understood {
            method: self.method.clone(),
            host: if self.looked_for { self.checked.host.to_string() } else { self.host.clone() },
            path: path.to_owned(),
            listener: self.listener.to_string(),
            client_ip: self.client.ip.map(|ip| ip.to_string()),
        }
    }
}

// === the listener ===

/// The listener that was named, or the first that fits: the port, then the scheme.
fn listener<'c>(
    config: &'c Config,
    asked: &Asked,
    url: Url<'_>,
    notes: &mut Vec<String>,
) -> Result<(&'c Name, &'c Listener), String> {
    if let Some(wanted) = &asked.listener {
        return config.listeners.get_key_value(wanted.as_str()).ok_or_else(|| {
            let known: Vec<&str> = config.listeners.keys().map(|name| &**name).collect();
            format!("there is no listener `{wanted}`; there are: {}", known.join(", "))
        });
    }
    let port = url.port.unwrap_or(if url.tls { 443 } else { 80 });
    let fits = |(_, it): &(&Name, &Listener)| (it.tls != ListenerTls::None) == url.tls;
    let on_port = |(_, it): &(&Name, &Listener)| matches!(it.address.value, Address::Tcp { port: bound, .. } if bound == port);
    let all = || config.listeners.iter();
    if let Some(found) = all().find(|it| fits(it) && on_port(it)) {
        return Ok(found);
    }
    let scheme = if url.tls { "https" } else { "http" };
    if let Some(port) = url.port {
        notes.push(match all().find(on_port) {
            Some((name, _)) => format!("listener `{name}` of port {port} does not speak {scheme}"),
            None => format!("nothing listens on port {port}"),
        });
        // Then the one that is assumed is named, whatever else there is to say.
        let assumed = all().find(fits).or_else(|| all().next());
        let assumed = assumed.ok_or("the file has no listener")?;
        notes.push(format!("`{}` is assumed, --listener names another", assumed.0));
        return Ok(assumed);
    }
    let mut fitting = all().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (Some(first), Some(_)) => {
            notes.push(format!(
                "several listeners speak {scheme}: `{}` is assumed, --listener names another",
                first.0
            ));
            Ok(first)
        }
        (None, _) => {
            let first = all().next().ok_or("the file has no listener")?;
            notes.push(format!("no listener speaks {scheme}: `{}` is assumed", first.0));
            Ok(first)
        }
    }
}

/// Of a client nobody has named nothing is believed: a peer without an address would be a Unix socket,
/// which is trusted as soon as anybody is.
fn unnamed(settings: &Listener, client: Option<IpAddr>) -> Listener {
    let mut settings = settings.clone();
    if client.is_none() && !matches!(settings.address.value, Address::Unix(_)) {
        settings.trusted_proxies.clear();
    }
    settings
}

fn connection(
    name: &Name,
    settings: &Listener,
    url: Url<'_>,
    client: Option<IpAddr>,
) -> Connection {
    let port = match settings.address.value {
        Address::Tcp { port, .. } => port,
        Address::Unix(_) | Address::Fd(_) => 0,
    };
    let host = url.authority.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    // Nobody sends an address as the name of a server (RFC 6066 section 3).
    let named = !host.starts_with('[') && host.parse::<IpAddr>().is_err();
    let tls = (settings.tls != ListenerTls::None).then(|| TlsSession {
        version: "TLSv1.3",
        cipher: String::new(),
        sni: named.then(|| host.into()),
        // Nobody shows one here.
        peer: None,
    });
    let peer = client.map(|ip| SocketAddr::new(ip, 0));
    Connection::new(Arc::clone(name), 0, peer, port, tls)
}

/// The port of the first listener with TLS, as the server tells its others.
fn redirect_port(config: &Config) -> u16 {
    let secure = config.listeners.values().find(|listener| listener.tls != ListenerTls::None);
    match secure.map(|listener| &listener.address.value) {
        Some(Address::Tcp { port, .. }) => *port,
        Some(Address::Unix(_) | Address::Fd(_)) | None => 443,
    }
}

// === the bytes ===

/// Reads the bytes of the request as a listener does.
fn read(asked: &Asked, url: Url<'_>, settings: &Listener) -> (Request, Option<scan::Refusal>) {
    let target = if url.target.starts_with('?') {
        format!("/{}", url.target)
    } else {
        url.target.to_owned()
    };
    let mut text = format!("{} {target} HTTP/1.1\r\n", asked.method);
    let named = asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    if !named {
        text.push_str(&format!("host: {}\r\n", url.authority));
    }
    for (name, value) in &asked.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let limits = Limits {
        header_size: settings.limits.header_size,
        header_count: settings.limits.header_count,
        uri_length: settings.limits.uri_length,
    };
    let bytes = Bytes::from(text);
    let refused = |refusal| (request::refused(&mut Default::default()), Some(refusal));
    match scan::parse_head(&bytes, limits) {
        Ok(Some(head)) => match request::read(&head, &bytes, &mut Default::default()) {
            Some(request) => (request, None),
            None => refused(UNREADABLE),
        },
        // There is an empty line at the end.
        Ok(None) => refused(UNREADABLE),
        Err(refusal) => refused(refusal),
    }
}
