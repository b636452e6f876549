//! What becomes of a logged request by one configuration: the gate and the table say it, as for a request
//! that comes in; of the policies, what can be said without credentials.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::AtomicU16},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};

use super::line::Line;
use crate::{
    config::model::{Action, Address, Config, Listener, ListenerTls, Mode, Name, Route},
    explain::{exposure, windows, words::few},
    gateway::{self, Arrival, Verdict},
    routing::{Found, Told},
    runtime::{Runtime, diff::target_of},
    server::{
        client::{Connection, TlsSession},
        gate::Checked,
    },
};

/// A configuration that is asked.
pub(super) struct Judge<'r> {
    runtime: &'r Runtime,
    listeners: HashMap<&'r str, Door>,
    /// Listeners of the other configuration by name, with the one that has the same address here.
    others: HashMap<&'r str, Option<&'r str>>,
    routes: HashMap<&'r str, Arc<Known>>,
    nowhere: Arc<Known>,
    /// Branches that look at more than the log may tell.
    curious: Vec<usize>,
    /// Some branch looks at the client's address.
    by_address: bool,
    redirect_port: AtomicU16,
}

/// A listener as requests of a log come through it.
struct Door {
    name: Name,
    settings: Listener,
    tls: bool,
    /// Of somebody nobody knows.
    connection: Connection,
}

/// What is known of a route in advance.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: Option<Name>,
    pub(super) to: String,
    pub(super) auth: String,
    /// It asks for credentials.
    pub(super) asks: bool,
    pub(super) limits: String,
    /// Its file is broken.
    apart: bool,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    pub(super) known: Arc<Known>,
    /// The reason word, if it is refused.
    pub(super) refused: Option<&'static str>,
}

/// A request that can be asked about.
pub(super) struct Asked<'l> {
    head: Parts,
    line: &'l Line<'l>,
    headers_logged: bool,
}

// === impl Asked ===

impl<'l> Asked<'l> {
    /// The head of a logged request.
    ///
    /// # Errors
    /// Why it cannot be sent again.
    pub(super) fn new(line: &'l Line<'l>, host: Option<&str>) -> Result<Self, String> {
        let host = if line.host.is_empty() { host.unwrap_or_default() } else { &line.host };
        if host.is_empty() && line.reason.is_none() {
            return Err("the log does not say the host; --host says one".to_owned());
        }
        let target = match &line.query {
            Some(query) => format!("{}?{query}", line.path),
            None => line.path.clone().into_owned(),
        };
        let unusable = |what: &str| format!("the {what} cannot be sent again");
        let method = Method::from_bytes(line.method.as_bytes()).map_err(|_| unusable("method"))?;
        let uri = Uri::try_from(target).map_err(|_| unusable("path"))?;
        let (mut head, ()) = Request::new(()).into_parts();
        (head.method, head.uri) = (method, uri);
        if !host.is_empty() {
            let host = HeaderValue::from_str(host).map_err(|_| unusable("host"))?;
            head.headers.insert(header::HOST, host);
        }
        if let Some(agent) = &line.user_agent
            && let Ok(agent) = HeaderValue::from_str(agent)
        {
            head.headers.insert(header::USER_AGENT, agent);
        }
        for (name, value) in &line.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                head.headers.insert(name, value);
            }
        }
        Ok(Self { head, line, headers_logged: !line.headers.is_empty() })
    }

    /// Whether it is known if the request had this header.
    fn tells(&self, name: &HeaderName) -> bool {
        match *name {
            header::HOST => true,
            header::USER_AGENT => self.line.user_agent.is_some(),
            _ => {
                self.headers_logged
                    && self.line.headers.iter().any(|(it, value)| {
                        it.eq_ignore_ascii_case(name.as_str()) && value != "[redacted]"
                    })
            }
        }
    }

    fn copy(&self) -> Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = self.head.method.clone();
        head.uri = self.head.uri.clone();
        head.headers = HeaderMap::clone(&self.head.headers);
        head
    }
}

// === impl Judge ===

impl<'r> Judge<'r> {
    /// `other` is the one it is compared with.
    pub(super) fn new(runtime: &'r Runtime, other: &'r Config) -> Self {
        let config = &runtime.config;
        let listeners = config.listeners.iter();
        let here = |it: &Listener| {
            let same = |(_, own): &(&Name, &Listener)| own.address == it.address;
            config.listeners.iter().find(same).map(|(name, _)| &**name)
        };
        let others = other.listeners.iter().map(|(name, it)| (&**name, here(it))).collect();
        let routes = config.routes.iter();
        let routes = routes.map(|(name, route)| (&**name, Arc::new(Known::of(name, route))));
        let routes = routes.collect();
        let curious = runtime.table.curious();
        let branches = runtime.table.branches();
        Self {
            runtime,
            listeners: listeners.map(|(name, it)| (&**name, Door::new(name, it))).collect(),
            others,
            routes,
            nowhere: Arc::new(Known::nowhere()),
            by_address: curious.iter().any(|at| !branches[*at].client_ip.is_empty()),
            curious,
            redirect_port: AtomicU16::new(443),
        }
    }

    /// What becomes of a request.
    ///
    /// # Errors
    /// What would have to be known to say it.
    pub(super) fn judge(&self, asked: &Asked<'_>) -> Result<Fate, String> {
        let line = asked.line;
        let Some(door) = self.door(line)? else { return Ok(self.refused("no_listener")) };
        let mut head = asked.copy();
        let mut checked = Checked::nothing();
        let of_its_own = self.by_address.then(|| door.of(line.client));
        let arrival = Arrival {
            connection: of_its_own.as_ref().unwrap_or(&door.connection),
            listener: &door.name,
            settings: &door.settings,
            redirect_port: &self.redirect_port,
        };
        let (decision, client) = gateway::judge(self.runtime, arrival, &mut head, &mut checked);
        let found = &decision.route.info.name;
        match &decision.verdict {
            Some(Verdict::ToHttps(..)) => return Ok(self.refused("https_redirect")),
            Some(Verdict::Refused(error)) if checked.host.is_empty() => {
                return Ok(self.refused(error.reason().word()));
            }
            _ => {}
        }
        if !self.curious.is_empty() {
            let facts = gateway::facts(&door.name, &head, &checked, client);
            let winner = match self.runtime.table.find(&facts) {
                Found::Match { branch, .. } => Some(branch),
                Found::MethodNotAllowed { .. } | Found::Nothing => None,
            };
            let query = !line.query.as_ref().is_some_and(|query| query.contains("=***"));
            let told =
                Told { header: &|name| asked.tells(name), query, address: line.client.is_some() };
            let table = &self.runtime.table;
            if let Some(what) = table.undecided(&facts, winner, &self.curious, told) {
                return Err(format!(
                    "which route takes it depends on {what}, which the log does not have"
                ));
            }
        }
        if let Some(Verdict::Refused(error)) = &decision.verdict {
            return Ok(self.refused(error.reason().word()));
        }
        let known = self.routes.get(&**found).unwrap_or(&self.nowhere);
        if known.apart {
            return Ok(Fate { known: Arc::clone(known), refused: Some("quarantined") });
        }
        self.by_ip(known, line)
    }

    /// What its `ip` says of the client.
    fn by_ip(&self, known: &Arc<Known>, line: &Line<'_>) -> Result<Fate, String> {
        let name = known.name.as_deref().unwrap_or_default();
        let rules = self.runtime.config.routes.get(name).and_then(|route| route.ip.as_ref());
        let rules = rules.filter(|it| it.mode == Mode::Enforce);
        let refused = match (rules, line.client) {
            (None, _) => None,
            (Some(rules), Some(client)) => (!rules.allows(Some(client))).then_some("ip_denied"),
            (Some(_), None) => {
                return Err(
                    "`ip` depends on the client's address, which the log does not have".to_owned()
                );
            }
        };
        Ok(Fate { known: Arc::clone(known), refused })
    }

    fn refused(&self, reason: &'static str) -> Fate {
        Fate { known: Arc::clone(&self.nowhere), refused: Some(reason) }
    }

    /// The listener it came through, by name or else by address, or where the log does not say, one that
    /// would take it.
    ///
    /// # Errors
    /// Neither configuration has it.
    fn door(&self, line: &Line<'_>) -> Result<Option<&Door>, String> {
        if let Some(name) = &line.listener {
            let own = self.listeners.get(&**name);
            return match (own, self.others.get(&**name)) {
                (Some(own), _) => Ok(Some(own)),
                (None, Some(alike)) => Ok(alike.and_then(|name| self.listeners.get(name))),
                (None, None) => {
                    Err("it came through a listener that neither configuration has".to_owned())
                }
            };
        }
        let mut doors: Vec<&Door> = self.listeners.values().collect();
        doors.sort_by_key(|door| {
            let fits = line.tls.is_none_or(|tls| tls == door.tls);
            (!fits, door.settings.https_redirect.is_some(), Arc::clone(&door.name))
        });
        Ok(doors.first().copied())
    }
}

// === impl Door ===

impl Door {
    fn new(name: &Name, settings: &Listener) -> Self {
        // Who the client is, is what the log says; nobody is believed once more.
        let settings = Listener { trusted_proxies: Vec::new(), ..settings.clone() };
        let tls = settings.tls != ListenerTls::None;
        let connection = Self::connection(name, &settings, tls, None);
        Self { name: Arc::clone(name), settings, tls, connection }
    }

    /// The connection of one client.
    fn of(&self, client: Option<IpAddr>) -> Connection {
        Self::connection(&self.name, &self.settings, self.tls, client)
    }

    fn connection(
        name: &Name,
        settings: &Listener,
        tls: bool,
        client: Option<IpAddr>,
    ) -> Connection {
        let port = match settings.address.value {
            Address::Tcp { port, .. } => port,
            Address::Unix(_) | Address::Fd(_) => 0,
        };
        let tls = tls.then(|| TlsSession {
            version: "TLSv1.3",
            cipher: String::new(),
            sni: None,
            peer: None,
        });
        let peer = client.map(|ip| SocketAddr::new(ip, 0));
        Connection::new(Arc::clone(name), 0, peer, port, tls)
    }
}

// === impl Known ===

impl Known {
    fn of(name: &Name, route: &Route) -> Self {
        let limits = |mode| mode == Mode::Enforce;
        let mut all: Vec<String> = Vec::new();
        for it in route.rate_limit.iter().filter(|it| limits(it.mode)) {
            all.push(format!("{} {}", it.policy, windows(it)));
        }
        all.extend(
            route
                .concurrency
                .iter()
                .filter(|it| limits(it.mode))
                .map(|it| format!("{} at once", it.policy)),
        );
        let auth = exposure::auth(route);
        let who = [auth.clone(), exposure::authorize(route)].into_iter().flatten();
        Self {
            name: Some(Arc::clone(name)),
            to: target_of(&route.action),
            asks: auth.is_some(),
            auth: or_none(who.collect::<Vec<_>>().join(", ")),
            limits: if all.is_empty() { "none".to_owned() } else { few(&all) },
            apart: route.action == Action::Quarantined,
        }
    }

    /// Of what no route takes.
    fn nowhere() -> Self {
        let none = || "none".to_owned();
        Self { name: None, to: none(), auth: none(), asks: false, limits: none(), apart: false }
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}
