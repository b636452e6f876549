//! No secret is ever shown: secrets are planted in every key of the language that holds one and in requests, every
//! kind of output is made, and none of it may have any of them.

mod running;
mod schemes;

use std::fs;

use crate::support::{
    gateway::{BINARY, everything, private, temporary},
    prelude::*,
    tools::curl,
};

/// In the place of a secret in the snippets below.
const HERE: &str = "SECRET";

/// What a secret looks like: nobody else writes that.
fn secret(of: usize) -> String {
    format!("pl4nted-{of:03}-0123456789")
}

/// A route `b` with this setting.
fn route(setting: &str) -> String {
    format!(
        "routes:\n  a: {{ respond: 200 }}\n  b: {{ match: /b, to: \"http://127.0.0.1:1\", {setting} }}\n"
    )
}

fn upstream(settings: &str) -> String {
    format!(
        "upstreams:\n  u: {{ {settings} }}\nroutes:\n  a: {{ respond: 200 }}\n  b: {{ match: /b, to: u }}\n"
    )
}

/// Settings of a route with something wrong at the secret, beside it, around it, and not with it at all. A key of
/// the language that holds a secret is some more lines here.
const SETTINGS: &[&str] = &[
    // API keys: what is wrong is the key itself, the one beside it, the map around it.
    "auth: { api_key: { keys: { ann: 'SECRET with spaces' } } }",
    "auth: { api_key: { keys: { ann: SECRET, bob: SECRET } } }",
    "auth: { api_key: { keys: { ann: [SECRET, short] } } }",
    "auth: { api_key: { keys: { ann: [[SECRET]] } } }",
    "auth: { api_key: { keys: { ann: { key: SECRET } } } }",
    "auth: { api_key: { keys: { '-': SECRET } } }",
    "auth: { api_key: { keys: SECRET } }",
    "auth: { api_key: { keys: [SECRET] } }",
    "auth: { api_key: SECRET }",
    "auth: { api_key: { keys: { ann: SECRET }, hash: sha256 } }",
    "auth: { api_key: { keys: { ann: SECRET }, hash: md5 } }",
    "auth: { api_key: { keys: { ann: SECRET }, form: header } }",
    "auth: { api_key: { keys: { ann: SECRET }, keys_file: /none } }",
    "auth: { api_key: { keys: { ann: SECRET }, from: nowhere } }",
    "auth: { api_key: { keys: { ann: SECRET } }, mode: watch, frobnicate: 1 }",
    "auth: { api_key: { keys: { ann: SECRET } }, basic: { users: {} } }",
    "auth: { any: [none-such], api_key: { keys: { ann: SECRET } } }",
    "auth: { api_key: { keys_file: \"${file:/none/such}\", keys: { ann: SECRET } } }",
    // Users: a password in the place of its hash, a hash in the wrong place.
    "auth: { basic: { users: { ann: SECRET } } }",
    "auth: { basic: { users: { ann: '$2y$10$SECRET' } } }",
    "auth: { basic: { users: { ann: '$argon2id$v=19$m=19456,t=2,p=1$SECRET' } } }",
    "auth: { basic: { users: { ann: ['$2y$10$SECRET'] } } }",
    "auth: { basic: { users: [SECRET] } }",
    "auth: { basic: { users: SECRET } }",
    "auth: { basic: SECRET }",
    "auth: { basic: { users: { ann: SECRET }, realm: [] } }",
    // The secret of a client, and those that seal sessions.
    "auth: { oidc: { issuer: 'https://a', client_id: c, client_secret: SECRET, secrets: [SECRET] } }",
    "auth: { oidc: { issuer: 'https://a', client_secret: SECRET, secrets: SECRET, frobnicate: 1 } }",
    "auth: { oidc: { issuer: 'https://a', client_id: c, client_secret: [SECRET], secrets: { a: SECRET } } }",
    "auth: { oidc: SECRET }",
    // Keys that senders sign with.
    "auth: { signature: { keys: { ann: SECRET }, frobnicate: 1 } }",
    "auth: { signature: { keys: { ann: [SECRET, { secret: SECRET }] } } }",
    "auth: { signature: { keys: SECRET } }",
    "auth: { signature: SECRET }",
    // With what an issuer is asked.
    "auth: { introspection: { url: 'http://a:1', audience: any, client_id: c, client_secret: SECRET, frobnicate: 1 } }",
    "auth: { introspection: { url: 'http://a:1', audience: any, client_secret: SECRET } }",
    "auth: { introspection: { url: a, audience: any, client_id: c, client_secret: [SECRET], client_secret_file: /x } }",
    "auth: { introspection: { url: 'http://a:1', client_id: c, client_secret: { a: SECRET } } }",
    "auth: { introspection: SECRET }",
    "auth: { introspection: [SECRET] }",
    // Passwords that nobody asked for, in URLs.
    "auth: { external: { url: 'http://user:SECRET@a:1/verify' } }",
    "auth: { external: { url: 'http://SECRET@a:1', frobnicate: 1 } }",
    "auth: { ext_authz: { url: 'h2c://user:SECRET@a:1' } }",
    "auth: { introspection: { url: 'https://user:SECRET@a:1/introspect', audience: any } }",
    "auth: { jwt: { issuer: 'https://a', audience: a, jwks: 'https://user:SECRET@a/keys' } }",
    "auth: { jwt: { issuer: 'https://user:SECRET@a', audience: a } }",
    "auth: { oidc: { issuer: 'https://user:SECRET@a', client_id: c } }",
    "mirror: 'http://user:SECRET@a:1'",
    "redirect: 'https://user:SECRET@a:1/%zz'",
    // Beside a misspelt key, or one that is not there yet.
    "auth: { api_kye: { keys: { ann: SECRET } } }",
    "auth: { api_key: { kyes: { ann: SECRET } } }",
    "auth: { basic: { usres: { ann: SECRET } } }",
    "auth: { oidc: { issuer: 'https://a', client_secrt: SECRET } }",
    "auth: { oidc: { issuer: 'https://a', clientsecret: SECRET, secret: [SECRET] } }",
    "auth: { odic: { client_secret: SECRET } }",
    "headers: { request: { sett: { Authorization: SECRET } } }",
    "tkoen: SECRET",
    "cache: { x: SECRET }",
    // Values of variables, whatever they are for.
    "timeouts: { request: \"${PLANTED}\" }",
    "frobnicate: \"${PLANTED}\"",
    "authorize: { allow: \"${PLANTED} == 1\" }",
    "authorize: \"${PLANTED}\"",
    "ip: \"${PLANTED}\"",
    "ip: { allow: \"${PLANTED}\" }",
    "auth: \"${PLANTED}\"",
    "auth: { api_key: { keys: { ann: \"${PLANTED} and more\" } } }",
    "auth: { api_key: { keys: { ann: 0123456789abcdef }, from: \"header:${PLANTED} x\" } }",
    "auth: { jwt: { issuer: \"${PLANTED}\", audience: a } }",
    "headers: { request: { set: { Host: \"${PLANTED}\" } } }",
    "headers: { request: { set: { X-A: \"${PLANTED}\\n\" } } }",
    "rewrite: \"${PLANTED}\"",
    "retry: \"${PLANTED}\"",
    "upgrade: [\"${PLANTED} x\"]",
    "mirror: \"${PLANTED}\"",
    // The set of keys of an issuer, by mistake with the private part.
    "auth: { jwt: { issuer: 'https://a', audience: a, jwks: '{\"keys\":[{\"kty\":\"oct\",\"k\":\"SECRET\"}]}' } }",
    "auth: { jwt: { issuer: 'https://a', audience: a, jwks: { keys: [{ kty: oct, k: SECRET }] } } }",
    "auth: { jwt: { issuer: 'https://a', audience: a, jwks: { keys: [{ kty: EC, crv: P-256, d: SECRET }] } } }",
];

/// The same of an upstream.
const UPSTREAMS: &[&str] = &[
    "endpoints: ['http://a'], sticky: { cookie: c, secret: SECRET, frobnicate: 1 }",
    "endpoints: ['http://a'], sticky: { cookie: 'c d', secret: SECRET }",
    "endpoints: ['http://a'], sticky: { cookie: c, secret: [SECRET] }",
    "endpoints: ['http://a'], sticky: { cookie: c, secret: { is: SECRET } }",
    "endpoints: ['http://a'], sticky: { cookie: c, secret: SECRET }, lb: hash",
    "endpoints: ['http://a'], sticky: { cookie: c, secret: \"${PLANTED}\", ttl: 1ms }",
    "endpoints: ['http://a'], sticky: { cookie: c, secret: SECRET, secret: SECRET }",
    "discover: { etcd: { endpoints: ['http://127.0.0.1:1'], prefix: /a, user: u, password: SECRET, x: 1 } }",
    "discover: { etcd: { endpoints: ['http://127.0.0.1:1'], prefix: /a, password: SECRET } }",
    "discover: { etcd: { endpoints: [], prefix: /a, user: u, password: [SECRET] } }",
    "discover: { etcd: { endpoints: ['ftp://a'], prefix: /a, user: u, password: SECRET } }",
    "discover: { etcd: { endpoints: ['http://user:SECRET@a'], prefix: /a } }",
    "endpoints: ['http://a'], sticky: { cookie: c, secrt: SECRET }",
    "endpoints: ['http://a'], secret: SECRET",
    "discover: { etcd: { endpoints: ['http://127.0.0.1:1'], prefix: /a, passwd: SECRET } }",
    "discover: { consul: { token: SECRET } }",
    "endpoints: ['http://user:SECRET@a']",
    "endpoints: [{ url: 'http://user:SECRET@a', weight: x }]",
];

/// Routes in a file with mistakes in itself: it cannot be read, and nobody knows what is a secret.
const ROUTE_BLOCKS: &[&str] = &[
    "auth:\n      api_key:\n        keys:\n          ann: SECRET\n         bob: SECRET",
    "auth:\n      api_key:\n        keys:\n          ann: SECRET: x",
    "auth:\n      api_key:\n        keys:\n          ann: \"SECRET",
    "auth:\n      api_key:\n        keys:\n          ann:\n            - SECRET\n           - SECRET",
    "auth:\n      api_key:\n        keys: { ann: SECRET",
    "auth:\n      basic:\n        users:\n          ann: @SECRET",
    "auth:\n      basic:\n        users:\n          ann: \tSECRET: [",
    "auth:\n      introspection:\n        client_secret: SECRET: [",
    "auth: { external: { url: http://user:SECRET@a:1/verify }",
];

/// Upstreams in such a file.
const UPSTREAM_BLOCKS: &[&str] = &[
    "sticky:\n      cookie: c\n      secret: %SECRET",
    "sticky:\n      cookie: c\n      secret: SECRET: a",
    "discover:\n      etcd:\n        password: \"SECRET\" x",
];

/// Other sections with a misspelt key in them.
const SECTIONS: &[&str] = &[
    "policies: { auth: { p: { api_kye: { keys: { ann: SECRET } } } } }",
    "policies:\n  auth:\n    p:\n      api_key:\n        kyes:\n          ann: SECRET # hers",
    "polcies: { auth: { p: { api_key: { keys: { ann: SECRET } } } } }",
    "stores: { s: { redis: 'redis://a:1', passwrd: SECRET } }",
    "admin: { token: SECRET }",
    "tests: [{ header: { x-api-key: SECRET } }]",
    "token: SECRET",
];

fn wrong() -> Vec<String> {
    let mut all = Vec::new();
    all.extend(SECTIONS.iter().map(|it| format!("{it}\nroutes: {{ a: {{ respond: 200 }} }}\n")));
    for file in SETTINGS.iter().map(|it| route(it)).chain(UPSTREAMS.iter().map(|it| upstream(it))) {
        // Once as it is, and once with a bracket too many.
        all.push(file.replacen("\n  b:", "\n  { b:", 1).replacen("\n  u:", "\n  { u:", 1));
        all.push(file);
    }
    all.extend(
        ROUTE_BLOCKS
            .iter()
            .map(|block| format!("routes:\n  b:\n    to: \"http://127.0.0.1:1\"\n    {block}\n")),
    );
    all.extend(
        UPSTREAM_BLOCKS
            .iter()
            .map(|block| format!("upstreams:\n  u:\n    {block}\nroutes: {{ b: {{ to: u }} }}\n")),
    );
    all
}

/// What was said, and by whom.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn hear(&mut self, who: impl Into<String>, what: impl Into<String>) {
        self.0.push((who.into(), what.into()));
    }

    #[track_caller]
    fn has_none_of(&self, secrets: &[String]) {
        let mut leaks = Vec::new();
        for (who, what) in &self.0 {
            for secret in secrets.iter().filter(|secret| what.contains(secret.as_str())) {
                leaks.push(format!("{secret} in {who}:\n{what}\n"));
            }
        }
        assert!(leaks.is_empty(), "{} leaks\n{}", leaks.len(), leaks.join("\n"));
    }
}

#[test]
fn no_message_about_a_file_shows_a_secret() {
    let (home, mut said, mut secrets) = (temporary(), Said::default(), Vec::new());
    let gateway = Gateway::builder()
        .env("PLANTED", "pl4nted-variable-0123456789")
        .start("routes: { a: { respond: 200 } }\n");
    for (at, file) in wrong().iter().enumerate() {
        let planted = secret(at);
        let text = format!("version: 1\n{}", file.replace(HERE, &planted));
        fs::write(home.path().join("routes.yaml"), &text).unwrap();
        let mut check = std::process::Command::new(BINARY);
        private(check.arg("check"), home.path()).env("PLANTED", "pl4nted-variable-0123456789");
        let output = check.output().unwrap();
        let what = everything(&output);
        // Some are warnings only, most are errors; none is silent.
        assert!(what.contains("error") || what.contains("warning"), "{text}\n{what}");
        said.hear(format!("`check` of\n{text}"), what);
        if at % 4 == 0 {
            gateway.write(&text);
            said.hear(
                format!("`reload` of\n{text}"),
                everything(&gateway.verb(&["reload", "--wait"])),
            );
            let socket = gateway.socket();
            let socket = ["--unix-socket", socket.to_str().unwrap(), "http://x/status"];
            said.hear("the admin socket", curl(&socket).text());
        }
        secrets.push(planted);
    }
    said.hear("the history", everything(&gateway.verb(&["history"])));
    said.hear("the history", everything(&gateway.verb(&["history", "--format", "json"])));
    let socket = gateway.socket();
    let history = ["--unix-socket", socket.to_str().unwrap(), "http://x/history"];
    said.hear("the history of the admin socket", curl(&history).text());
    said.hear("the log", gateway.logs());
    said.hear("the metrics", gateway.admin("/metrics").text());
    secrets.push("pl4nted-variable".to_owned());
    said.has_none_of(&secrets);
    // It is shown where something is wrong, or nothing of this would prove anything.
    assert!(said.0.iter().any(|(_, what)| what.contains("frobnicate")));
}
