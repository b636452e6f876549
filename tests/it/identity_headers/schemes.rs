//! All ways to say who one is, each with what the upstream is told of it. A new one is one more entry.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::Method;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::support::{
    certs::Issued,
    ext_authz::Authz,
    issuer::{Issuer, Signer},
    oidc::{self, Browser, Provider},
    prelude::*,
    signed::{self, Draft},
};

/// The name in the client's certificate.
const WEB: &str = "spiffe://prod/web";
/// What one sender signs with.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A way to say who one is, and what the upstream is told of it.
pub(super) struct Scheme {
    /// Name of policy and route.
    pub(super) name: &'static str,
    /// `policies.auth.NAME`.
    pub(super) policy: String,
    /// The fields that say it.
    shown: Shown,
    /// What the upstream hears.
    told: Vec<(&'static str, String)>,
    /// What it never hears of this request: a claim that is not there, a field the service takes out.
    silent: &'static [&'static str],
    /// On the listener that asks for certificates, and on no other.
    pub(super) over_tls: bool,
}

/// What a request has to show.
enum Shown {
    Fields(Vec<String>),
    /// A signature of this very request.
    Signature,
    /// The cookie of a session, once somebody has logged in.
    Session(Option<String>),
}

/// Everybody who is asked, and what clients have of them.
pub(super) struct Others {
    signer: Signer,
    issuer: Issuer,
    provider: Provider,
    service: Flask,
    authz: Authz,
    pub(super) server: Authority,
    pub(super) clients: Authority,
    pub(super) certificate: Issued,
}

// === impl Others ===

impl Others {
    pub(super) fn start() -> Self {
        let signer = Signer::new("ES256", "a");
        let clients = Authority::new();
        Self {
            issuer: Issuer::start(&[&signer]),
            signer,
            provider: Provider::start(),
            service: Flask::auth(),
            authz: Authz::start(),
            server: Authority::new(),
            certificate: clients.issue_client("web", &[WEB], 24 * 60 * 60),
            clients,
        }
    }

    pub(super) fn schemes(&self) -> Vec<Scheme> {
        let own = [self.token(), self.session(), Self::signature(), self.certificate()];
        let asked = [self.external(), self.ext_authz(), self.introspection()];
        secrets().into_iter().chain(own).chain(asked).collect()
    }

    fn token(&self) -> Scheme {
        let token = self.signer.token(&self.issuer.claims("ann"));
        let issuer = self.issuer.url();
        Scheme::new(
            "token",
            &format!(
                "jwt: {{ issuer: \"{issuer}\", audience: api, pass_claims: {{ X-User: sub, X-Role: role }} }}"
            ),
            Shown::Fields(vec![format!("Authorization: Bearer {token}")]),
        )
        .tells(&[("x-consumer", "ann"), ("x-user", "ann")])
        .silent(&["x-role"])
    }

    fn session(&self) -> Scheme {
        let (issuer, secret) = (self.provider.issuer(), oidc::SECRET);
        Scheme::new(
            "session",
            &format!(
                "oidc: {{ issuer: \"{issuer}\", client_id: app, client_secret: \"{secret}\", scopes: [email], \
                 secrets: [{SECRET}], callback: /session/callback, logout: none, \
                 pass_claims: {{ X-User: sub, X-Email: email, X-Role: role }} }}"
            ),
            Shown::Session(None),
        )
        .tells(&[("x-consumer", "ann"), ("x-user", "ann"), ("x-email", "ann@example.com")])
        .silent(&["x-role"])
    }

    fn signature() -> Scheme {
        let keys = format!("keys: {{ ann: {{ id: k1, secret: {SECRET} }} }}");
        Scheme::new("signature", &format!("signature: {{ {keys} }}"), Shown::Signature)
            .tells(&[("x-consumer", "ann")])
    }

    fn certificate(&self) -> Scheme {
        let der = CertificateDer::from_pem_file(&self.certificate.cert).expect("our own file");
        let field = format!(":{}:", STANDARD.encode(der));
        let policy = format!("client_cert: {{ san: \"{WEB}\", pass_cert: true }}");
        let scheme = Scheme::new("certificate", &policy, Shown::Fields(Vec::new()))
            .tells(&[("x-consumer", WEB), ("client-cert", &field)])
            .silent(&["client-cert-chain", "x-client-cert", "x-ssl-client-verify", "remote-user"]);
        Scheme { over_tls: true, ..scheme }
    }

    fn external(&self) -> Scheme {
        Scheme::new(
            "external",
            &format!(
                "external: {{ url: \"{}/verify\", timeout: 10s, consumer: X-User, \
                 response_headers: [x-user, x-role, x-team] }}",
                self.service.url()
            ),
            Shown::Fields(vec!["Authorization: Bearer good".to_owned()]),
        )
        .tells(&[
            ("x-consumer", "ann"),
            ("x-user", "ann"),
            ("x-role", "reader"),
            ("x-role", "writer"),
        ])
        .silent(&["x-team", "x-auth-request-user"])
    }

    fn ext_authz(&self) -> Scheme {
        Scheme::new(
            "ext_authz",
            &format!(
                "ext_authz: {{ url: \"{}\", timeout: 10s, consumer: x-user, response_headers: [x-user, x-role] }}",
                self.authz.url()
            ),
            Shown::Fields(vec!["Authorization: Bearer good".to_owned()]),
        )
        .tells(&[("x-consumer", "ann"), ("x-user", "ann")])
        // No word of the file says that the last one is taken out: the service does.
        .silent(&["x-role", "x-internal"])
    }

    fn introspection(&self) -> Scheme {
        Scheme::new(
            "introspection",
            &format!(
                "introspection: {{ url: \"{}/introspect\", timeout: 10s, client_id: gate way, \
                 client_secret: \"s3cret: %&?\", audience: orders, \
                 pass_claims: {{ X-User: sub, X-Scope: scope, X-Role: role }} }}",
                self.service.url()
            ),
            Shown::Fields(vec!["Authorization: Bearer good-token".to_owned()]),
        )
        .tells(&[("x-consumer", "ann"), ("x-user", "ann"), ("x-scope", "read write")])
        .silent(&["x-role"])
    }
}

/// What the operator has given to clients: nobody is asked.
fn secrets() -> Vec<Scheme> {
    let keys = "api_key: { keys: { ann: ann-key-0123456789 } }";
    let hash = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";
    let key = || Shown::Fields(vec!["X-Api-Key: ann-key-0123456789".to_owned()]);
    // `ann:password`
    let password = Shown::Fields(vec!["Authorization: Basic YW5uOnBhc3N3b3Jk".to_owned()]);
    // These do not refuse, but they speak.
    let shadow = format!("{keys}, mode: shadow");
    vec![
        Scheme::new("key", keys, key()).tells(&[("x-consumer", "ann")]),
        Scheme::new("password", &format!("basic: {{ users: {{ ann: \"{hash}\" }} }}"), password)
            .tells(&[("x-consumer", "ann")]),
        Scheme::new("watching", &shadow, key()).tells(&[("x-consumer", "ann")]),
        Scheme::new("nobody", &shadow, Shown::Fields(Vec::new())).silent(&["x-consumer"]),
    ]
}

// === impl Scheme ===

impl Scheme {
    fn new(name: &'static str, policy: &str, shown: Shown) -> Self {
        let policy = format!("{{ {policy}, pass_consumer: X-Consumer }}");
        Self { name, policy, shown, told: Vec::new(), silent: &[], over_tls: false }
    }

    fn tells(mut self, told: &[(&'static str, &str)]) -> Self {
        self.told = told.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self
    }

    fn silent(mut self, silent: &'static [&'static str]) -> Self {
        self.silent = silent;
        self
    }

    /// Logs somebody in, where that is what a request has to show.
    pub(super) fn log_in(&mut self, gateway: &Gateway) {
        if let Shown::Session(cookie) = &mut self.shown {
            let (mut browser, url) = (Browser::default(), gateway.url("http"));
            let (_, answer) = browser.log_in(&format!("{url}/session/a"), "ann", "");
            assert_eq!(answer.status, 200, "{}", answer.text());
            *cookie = browser.value("tidegate_session").map(str::to_owned);
        }
    }

    /// The host requests are for: sessions are for this very machine, certificates have a name.
    pub(super) fn host(&self) -> &'static str {
        if self.over_tls { "a.example" } else { "127.0.0.1" }
    }

    /// What all its requests are for.
    pub(super) fn path(&self) -> String {
        format!("/{}/a", self.name)
    }

    /// The fields that say who it is.
    pub(super) fn shown(&self, method: &Method, body: Option<&[u8]>) -> Vec<String> {
        match &self.shown {
            Shown::Fields(fields) => fields.clone(),
            Shown::Session(cookie) => {
                vec![format!("Cookie: tidegate_session={}", cookie.as_ref().expect("logged in"))]
            }
            Shown::Signature => {
                let (authority, path) = (self.host(), self.path());
                let draft = Draft::get("/");
                Draft { method: method.as_str(), authority, path: &path, body, ..draft }
                    .signed(&signed::Signer::Secret(SECRET))
            }
        }
    }

    /// Each name under which the upstream is told something, or never is.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let told = self.told.iter().map(|(name, _)| *name);
        let mut names: Vec<_> = told.chain(self.silent.iter().copied()).collect();
        names.dedup();
        names
    }

    /// The upstream heard what the gateway says, and nothing else under these names.
    #[track_caller]
    pub(super) fn heard(&self, seen: &str, how: &str) {
        assert!(!seen.contains("forged"), "{}: {how}\n{seen}", self.name);
        for name in self.names() {
            let said: Vec<&str> = seen
                .lines()
                .filter_map(|line| line.split_once(':'))
                .filter(|(key, _)| key.trim().to_ascii_lowercase().replace('_', "-") == name)
                .map(|(_, value)| value.trim())
                .collect();
            let right: Vec<&str> =
                self.told.iter().filter(|(told, _)| *told == name).map(|(_, it)| &**it).collect();
            assert_eq!(said, right, "{}: {name}, {how}\n{seen}", self.name);
        }
    }
}
