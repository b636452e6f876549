//! Listeners from all `listen` directives, their certificates, and whom they believe about clients.

use std::{collections::BTreeMap, path::Path};

use super::{
    super::{
        names::Names,
        report::At,
        write::{Entry, Line, Value},
    },
    Import,
    guard::is_readable,
    model::{Listen, Server},
};
use crate::{
    config::{diagnostic::Place, model::Located},
    tls,
};

/// The listeners of a file.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// By the address nginx has: what it is called here.
    names: BTreeMap<String, String>,
    all: Vec<Listener>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) tls: bool,
    h2: bool,
    at: At,
}

// === impl Listeners ===

impl Listeners {
    /// Of all servers.
    pub(super) fn of(servers: &[Server<'_>]) -> Self {
        let listens: Vec<&Listen> = servers.iter().flat_map(|it| &it.listens).collect();
        let mut made = Self::default();
        let mut names = Names::default();
        for listen in &listens {
            let port = listen.address.rsplit_once(':').map_or("", |(_, port)| port);
            let is = |host: &str| listens.iter().any(|it| it.address == format!("{host}:{port}"));
            let everywhere =
                ["0.0.0.0", "[::]"].iter().any(|it| listen.address == format!("{it}:{port}"));
            let address = match everywhere && is("0.0.0.0") && is("[::]") {
                true => format!(":{port}"),
                false => listen.address.clone(),
            };
            if let Some(known) = made.all.iter_mut().find(|it| it.address == address) {
                known.tls |= listen.tls;
                known.h2 |= listen.h2;
                made.names.insert(listen.address.clone(), known.name.clone());
                continue;
            }
            let wanted = match (port, listen.tls) {
                ("80", false) => "http".to_owned(),
                ("443", true) => "https".to_owned(),
                (port, tls) => format!("{}-{port}", if tls { "https" } else { "http" }),
            };
            let name =
                names.unique(if listen.address.starts_with("unix:") { "unix" } else { &wanted });
            made.names.insert(listen.address.clone(), name.clone());
            made.all.push(Listener {
                name,
                address,
                tls: listen.tls,
                h2: listen.h2,
                at: listen.at,
            });
        }
        made
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The listeners of a server, each once.
    pub(super) fn of_server(&self, server: &Server<'_>) -> Vec<&Listener> {
        let mut found: Vec<&Listener> = Vec::new();
        for listen in &server.listens {
            let Some(name) = self.names.get(&listen.address) else { continue };
            let Some(listener) = self.all.iter().find(|it| it.name == *name) else { continue };
            if !found.iter().any(|it| it.name == listener.name) {
                found.push(listener);
            }
        }
        found
    }
}

/// Which server takes requests for hosts nobody has, by listener.
pub(super) fn defaults(listeners: &Listeners, servers: &[Server<'_>]) -> BTreeMap<String, usize> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for written in [true, false] {
        for (number, server) in servers.iter().enumerate() {
            for listen in server.listens.iter().filter(|it| it.default == written) {
                if let Some(name) = listeners.names.get(&listen.address) {
                    found.entry(name.clone()).or_insert(number);
                }
            }
        }
    }
    found
}

/// Writes `listeners` and `tls`.
pub(super) fn write(import: &mut Import<'_>, listeners: &Listeners, servers: &[Server<'_>]) {
    let certificates = certificates(import, servers);
    for listener in &listeners.all {
        let mut entry = Entry::new(listener.name.clone());
        let mine: Vec<&Server<'_>> = servers
            .iter()
            .filter(|it| listeners.of_server(it).iter().any(|it| it.name == listener.name))
            .collect();
        let clash = |other: &&Listener| {
            let port = |it: &Listener| it.address.rsplit_once(':').map(|(_, port)| port.to_owned());
            let any =
                |it: &Listener| it.address.starts_with("0.0.0.0:") || it.address.starts_with(':');
            other.name != listener.name && any(other) && port(other) == port(listener)
        };
        if listeners.all.iter().any(|it| clash(&it)) && !listener.address.starts_with('[') {
            let todo = "another listener has all addresses of this port: keep one of them";
            entry.comment(import.report.todo(
                listener.at,
                format!("`listen {}`", listener.address),
                todo,
            ));
        }
        entry.key("address", listener.address.clone());
        if listener.tls {
            with_tls(import, &mut entry, listener, &mine, certificates);
        } else if listener.h2 {
            entry.key("protocols", Value::list(["h1", "h2c"]));
        }
        for it in mine.iter().flat_map(|it| &it.listens).filter(|it| it.proxy_protocol) {
            let todo = "Tidegate does not read the PROXY protocol yet";
            entry.comment(import.report.todo(it.at, "`proxy_protocol`", todo));
        }
        trust(import, &mut entry, &mine);
        import.doc.listeners.push(entry);
    }
}

/// Writes the certificates; whether there is one.
fn certificates(import: &mut Import<'_>, servers: &[Server<'_>]) -> bool {
    let (mut list, mut comments): (Vec<Value>, Vec<String>) = Default::default();
    for server in servers.iter().filter(|it| it.listens.iter().any(|it| it.tls)) {
        let certs = server.scope.nearest(&["ssl_certificate"]);
        let keys = server.scope.nearest(&["ssl_certificate_key"]);
        for (cert, key) in certs.iter().zip(&keys) {
            let path = |name: &str| import.directory.join(name);
            let (cert_path, key_path) = (path(cert.arg(0)), path(key.arg(0)));
            let value = Value::map([
                ("cert", Value::from(cert_path.display().to_string())),
                ("key", Value::from(key_path.display().to_string())),
            ]);
            let good = is_identity(&cert_path, &key_path);
            if good && !list.contains(&value) {
                list.push(value);
            } else if !good {
                let todo = "cannot be used with its key here: add both to `tls.certificates`";
                let what = format!("`{}`", cert.shown());
                let comment = import.report.todo(cert.at, what, todo);
                if !comments.contains(&comment) {
                    comments.push(comment);
                }
            }
        }
        if let Some(it) = server.scope.one("ssl_protocols")
            && !it.args.iter().any(|arg| arg != "TLSv1.3")
            && !import.doc.tls.iter().any(|line| matches!(line, Line::Key(..)))
        {
            import.doc.tls.push(Line::Key("min_version".to_owned(), "1.3".into()));
        }
    }
    let any = !list.is_empty();
    if any {
        import.doc.tls.extend(comments.into_iter().map(Line::Comment));
        import.doc.tls.push(Line::Key("certificates".to_owned(), Value::List(list)));
    } else {
        import.doc.head.extend(comments);
    }
    any
}

fn with_tls(
    import: &mut Import<'_>,
    entry: &mut Entry,
    listener: &Listener,
    servers: &[&Server<'_>],
    certificates: bool,
) {
    if !certificates {
        let todo =
            "until `tls.certificates` has one, the development CA signs: then write `tls: true`";
        entry.comment(import.report.todo(listener.at, "no certificate that can be used", todo));
        entry.key("tls", "dev");
        return;
    }
    let mut ca: Vec<String> = Vec::new();
    let mut all = true;
    for server in servers {
        let verifies = server.scope.one("ssl_verify_client").filter(|it| it.arg(0) == "on");
        all &= verifies.is_some();
        if let (Some(_), Some(it)) = (verifies, server.scope.one("ssl_client_certificate")) {
            ca.push(import.directory.join(it.arg(0)).display().to_string());
        }
    }
    ca.dedup();
    match ca.as_slice() {
        [ca] if import.client_auth => {
            let mode = if all { "require" } else { "optional" };
            let client = Value::map([("ca", Value::from(ca.as_str())), ("mode", mode.into())]);
            entry.key("tls", Value::map([("client_auth", client)]));
        }
        _ => {
            entry.key("tls", "true");
        }
    }
}

/// Whether the client certificates the file asks for can be asked for here: one authority that can be read.
pub(super) fn client_auth(import: &Import<'_>, servers: &[Server<'_>]) -> bool {
    let on =
        |it: &&Server<'_>| it.scope.one("ssl_verify_client").is_some_and(|it| it.arg(0) == "on");
    let files: Vec<&str> = servers
        .iter()
        .filter(on)
        .map(|it| it.scope.one("ssl_client_certificate").map_or("", |it| it.arg(0)))
        .collect();
    let usable = |server: &Server<'_>| {
        let (cert, key) =
            (server.scope.one("ssl_certificate"), server.scope.one("ssl_certificate_key"));
        cert.zip(key).is_some_and(|(cert, key)| {
            let path = |name: &str| import.directory.join(name);
            is_identity(&path(cert.arg(0)), &path(key.arg(0)))
        })
    };
    !files.is_empty()
        && files.windows(2).all(|pair| pair[0] == pair[1])
        && !files[0].is_empty()
        && is_readable(&import.directory.join(files[0]))
        && servers.iter().any(usable)
        && servers.iter().filter(on).all(|it| it.scope.one("ssl_crl").is_none())
}

/// `set_real_ip_from`.
fn trust(import: &mut Import<'_>, entry: &mut Entry, servers: &[&Server<'_>]) {
    let of = |server: &Server<'_>| -> (Vec<String>, String) {
        let from = server.scope.nearest(&["set_real_ip_from"]);
        let header = server.scope.one("real_ip_header").map_or("X-Real-IP", |it| it.arg(0));
        (from.iter().map(|it| it.arg(0).to_owned()).collect(), header.to_ascii_lowercase())
    };
    let mut all = servers.iter().map(|it| of(it));
    let Some(first) = all.next() else { return };
    let Some(it) =
        servers.iter().find_map(|it| it.scope.nearest(&["set_real_ip_from"]).first().copied())
    else {
        return;
    };
    let (networks, header) = &first;
    let good = |text: &String| {
        text.parse::<ipnet::IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok()
    };
    let known =
        http::HeaderName::from_bytes(header.as_bytes()).is_ok() && header != "proxy_protocol";
    if all.any(|it| it != first) || !networks.iter().all(good) || !known {
        let todo = "not the same for all servers of this listener, or not addresses: write `trusted_proxies`";
        entry.comment(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
        return;
    }
    entry.key("trusted_proxies", Value::list(networks.clone()));
    if header != "x-forwarded-for" {
        entry.key("client_ip_from", header.as_str());
    }
}

/// Whether a certificate and its key can be used.
fn is_identity(cert: &Path, key: &Path) -> bool {
    let located = |path: &Path| Located { value: path.to_owned(), place: Place::default() };
    tls::identity(&located(cert), &located(key), tls::now()).is_ok()
}
