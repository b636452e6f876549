//! What there is to ask about a configuration.

use std::net::SocketAddr;

use crate::{
    auth::{jwt::Published, oidc::provider},
    config::{
        diagnostic::Place,
        model::{
            Address, AskedService, AuthPolicy, AuthScheme, Config, Discover, Endpoint, JwtKeys,
            Listener, Name, Oidc, Protocol, RedisStore, Store, StoreKind, Target, Upstream,
            UpstreamTls,
        },
    },
};

/// One question.
pub(super) struct Question {
    pub(super) what: String,
    pub(super) asked: String,
    pub(super) place: Place,
    pub(super) mild: bool,
    pub(super) kind: Kind,
}

/// How it is asked.
pub(super) enum Kind {
    Connect(Box<Peer>),
    /// For endpoints, which are then connected to like this.
    Source(Box<Discover>, Box<Manner>),
    Bind(Address),
    Keys(Box<Published>),
    Provider(Box<provider::Settings>, Box<UpstreamTls>),
    Store(Box<RedisStore>),
    /// Not at all, and why.
    Unseen(&'static str),
}

/// What is connected to.
pub(super) struct Peer {
    pub(super) target: Target,
    /// TLS to it, and the host whose certificate it must have.
    pub(super) tls: Option<(Manner, String)>,
}

/// How TLS is spoken.
#[derive(Clone)]
pub(super) struct Manner {
    pub(super) tls: UpstreamTls,
    pub(super) protocol: Protocol,
}

const UNSEEN_FD: &str = "systemd opens it";
const UNSEEN_SERVICE: &str = "only connected to: a question would be about a request that is none";
const UNSEEN_RLS: &str = "only connected to: who asks it is counted";
const UNSEEN_CLIENT: &str = "only a login tells whether the provider knows it";

/// All there is to ask.
pub(super) fn of(config: &Config) -> Vec<Question> {
    let mut all: Vec<Question> =
        config.listeners.iter().map(|(name, it)| listener(name, it)).collect();
    all.extend(config.upstreams.iter().flat_map(|(name, it)| upstream(name, it)));
    all.extend(config.stores.iter().map(|(name, it)| store(name, it)));
    for (route, policy) in policies(config) {
        for question in asked_of(policy, &config.routes[route].place, route) {
            // Policies of several routes, and those with the same issuer, are one question.
            let same =
                |it: &Question| it.asked == question.asked && alike(&it.kind, &question.kind);
            if !all.iter().any(same) {
                all.push(question);
            }
        }
    }
    all
}

fn alike(one: &Kind, other: &Kind) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn policies(config: &Config) -> impl Iterator<Item = (&Name, &AuthPolicy)> {
    config.routes.iter().flat_map(|(route, it)| {
        let policies = it.auth.iter().flat_map(|auth| &auth.policies);
        policies.map(move |policy| (route, &**policy))
    })
}

fn listener(name: &Name, it: &Listener) -> Question {
    let address = &it.address;
    let kind = match &address.value {
        Address::Fd(_) => Kind::Unseen(UNSEEN_FD),
        address => Kind::Bind(address.clone()),
    };
    let asked = shown(&address.value);
    Question { what: format!("listener {name}"), asked, place: address.place, mild: true, kind }
}

fn shown(address: &Address) -> String {
    match address {
        Address::Tcp { host: Some(ip), port } => SocketAddr::new(*ip, *port).to_string(),
        Address::Tcp { host: None, port } => format!(":{port}"),
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Fd(name) => format!("fd:{name}"),
    }
}

fn upstream(name: &Name, it: &Upstream) -> Vec<Question> {
    // One that is written as a URL is called so.
    let inline = it.endpoints.iter().any(|endpoint| endpoint.url.value == *name);
    let what = if inline { "upstream".to_owned() } else { format!("upstream {name}") };
    let manner = Manner { tls: it.tls.clone(), protocol: it.protocol };
    let mut all: Vec<_> =
        it.endpoints.iter().map(|one| endpoint(&what, one, &manner, one.url.place)).collect();
    let Some(discover) = &it.discover else { return all };
    let asked = match discover {
        Discover::Dns(dns) => dns.name.clone(),
        Discover::File(path) => path.value.display().to_string(),
        Discover::Etcd(etcd) => {
            let manner = Manner { tls: etcd.tls.clone(), protocol: Protocol::H2 };
            let members = etcd.endpoints.iter();
            all.extend(members.map(|one| endpoint(&what, one, &manner, one.url.place)));
            format!("etcd {}", etcd.prefix)
        }
    };
    let kind = Kind::Source(Box::new(discover.clone()), Box::new(manner));
    all.push(Question { what, asked, place: it.place, mild: false, kind });
    all
}

/// Whether an endpoint is there.
pub(super) fn endpoint(what: &str, it: &Endpoint, manner: &Manner, place: Place) -> Question {
    let host = match (&it.host, &it.target) {
        (Some(host), _) | (None, Target::Tcp { host, .. }) => host.clone(),
        (None, Target::Unix(_)) => String::new(),
    };
    let tls = it.tls.then(|| (manner.clone(), host));
    Question {
        what: what.to_owned(),
        asked: it.url.value.to_string(),
        place,
        mild: false,
        kind: Kind::Connect(Box::new(Peer { target: it.target.clone(), tls })),
    }
}

fn store(name: &Name, it: &Store) -> Question {
    let (asked, kind) = match &it.kind {
        StoreKind::Redis(redis) => {
            let nodes: Vec<_> = redis.nodes.iter().map(ToString::to_string).collect();
            (nodes.join(", "), Kind::Store(Box::new(redis.clone())))
        }
        StoreKind::Rls(rls) => (rls.to.value.to_string(), Kind::Unseen(UNSEEN_RLS)),
    };
    Question { what: format!("store {name}"), asked, place: it.place, mild: false, kind }
}

/// Of whom a policy asks something.
fn asked_of(it: &AuthPolicy, place: &Place, route: &Name) -> Vec<Question> {
    let question = |what: &str, asked: String, kind: Kind| {
        let what = format!("{what} `{}`, route {route}", it.policy);
        Question { what, asked, place: *place, mild: false, kind }
    };
    let service = |scheme: &str, service: &AskedService| {
        let what = format!("{scheme} of");
        question(&what, service.to.value.to_string(), Kind::Unseen(UNSEEN_SERVICE))
    };
    match &it.scheme {
        AuthScheme::Jwt(jwt) => match &jwt.keys {
            JwtKeys::Published(published) => {
                vec![question("keys of", published.name(), Kind::Keys(published.clone()))]
            }
            JwtKeys::Inline(_) | JwtKeys::File(_) => Vec::new(),
        },
        AuthScheme::Oidc(oidc) => vec![
            question("provider of", oidc.issuer.value.clone(), provider(oidc)),
            question("client of", oidc.client_id.clone(), Kind::Unseen(UNSEEN_CLIENT)),
        ],
        AuthScheme::External(it) => vec![service("external", &it.judge.service)],
        AuthScheme::ExtAuthz(it) => vec![service("ext_authz", &it.service)],
        AuthScheme::Introspection(it) => vec![service("introspection", &it.service)],
        AuthScheme::ApiKey(_)
        | AuthScheme::Basic(_)
        | AuthScheme::ClientCert(_)
        | AuthScheme::Signature(_) => Vec::new(),
    }
}

fn provider(oidc: &Oidc) -> Kind {
    let settings = provider::Settings {
        issuer: oidc.issuer.value.clone(),
        client_id: oidc.client_id.clone(),
        // Nothing is asked that needs it.
        client_secret: None,
    };
    Kind::Provider(Box::new(settings), Box::new(oidc.tls.clone()))
}
