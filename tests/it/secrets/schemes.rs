//! Secrets of logins, of senders that sign, and of services that are asked, while all of that goes right and
//! wrong: what the gateway shows to others, what others have given to browsers, what clients show.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{Said, running::everywhere};
use crate::support::{
    ext_authz::Authz,
    gateway::everything,
    oidc::{Browser, Provider, SECRET},
    prelude::*,
    signed::{Draft, Signer},
};

/// Who seals sessions, before and after a reload.
const SEALS: [&str; 2] =
    ["pl4nted-seal-old-0123456789-0123456789", "pl4nted-seal-new-0123456789-0123456789"];
/// What a sender signs with, before and after.
const SIGNS: [&str; 2] =
    ["pl4nted-sign-old-0123456789-0123456789", "pl4nted-sign-new-0123456789-0123456789"];
/// What the service of the tests wants to hear of who asks about tokens.
const CLIENT: &str = "s3cret: %&?";

/// Everybody the gateway talks to.
struct Others {
    provider: Provider,
    service: Flask,
    authz: Authz,
    upstream: Raw,
}

impl Others {
    fn start() -> Self {
        Self {
            provider: Provider::start(),
            service: Flask::auth(),
            authz: Authz::start(),
            upstream: Raw::echo(),
        }
    }

    /// The file with the old secrets (0) or the new ones (1).
    fn file(&self, age: usize) -> String {
        let (seal, sign, up) = (SEALS[age], SIGNS[age], self.upstream.url());
        let (issuer, service, authz) =
            (self.provider.issuer(), self.service.url(), self.authz.url());
        let kept = "timeout: 5s, request_headers: [authorization, cookie], \
                    cache: { key: [\"header:authorization\", \"header:cookie\", path], ttl: 1h, negative_ttl: 1h }";
        let mut file = format!(
            "logs: {{ level: trace, format: json, access: {{ to: \"HOME/access.log\", headers: {{ \
               request: [authorization, cookie, signature-input], response: [set-cookie, www-authenticate] }} }} }}\n\
             policies:\n  auth:\n    \
               sso: {{ oidc: {{ issuer: \"{issuer}\", client_id: app, client_secret: \"{SECRET}\", secrets: [{seal}], \
                 scopes: [email], callback: /sso/callback, logout: /sso/logout, pass_claims: {{ X-User: sub }} }} }}\n    \
               signed: {{ signature: {{ keys: {{ ann: {{ id: k1, secret: {sign} }} }} }} }}\n    \
               tokens: {{ introspection: {{ url: \"{service}/introspect\", timeout: 5s, client_id: gate way, \
                 client_secret: \"{CLIENT}\", audience: orders, cache: {{ ttl: 1h }} }} }}\n    \
               strange: {{ introspection: {{ url: \"{service}/introspect\", timeout: 5s, client_id: gate way, \
                 client_secret: \"pl4nted-client\", audience: orders }} }}\n    \
               asked: {{ external: {{ url: \"{service}/verify\", {kept} }} }}\n    \
               away: {{ external: {{ url: \"http://127.0.0.1:1/verify\", timeout: 1s }} }}\n    \
               grpc: {{ ext_authz: {{ url: \"{authz}\", {kept} }} }}\n\
             routes:\n"
        );
        for name in ["sso", "signed", "tokens", "strange", "asked", "away", "grpc"] {
            file.push_str(&format!(
                "  {name}: {{ match: /{name}/**, to: \"{up}\", auth: {name} }}\n"
            ));
        }
        file
    }
}

/// What browsers were given, and what their requests say of it.
#[derive(Default)]
struct Given(Vec<String>);

impl Given {
    /// The cookies of a browser, and parts of them: sealed text that was cut is a leak as well.
    fn cookies(&mut self, browser: &Browser) {
        for name in browser.names() {
            let value = browser.value(name).unwrap_or_default();
            self.0.extend([value.to_owned(), value[2..42].to_owned()]);
        }
    }

    /// The code in the URL of a callback.
    fn code(&mut self, url: &str) -> String {
        let (_, rest) = url.split_once("code=").expect("a code");
        let code = rest.split('&').next().expect("the code").to_owned();
        self.0.push(code.clone());
        code
    }
}

/// Hears an answer of the gateway itself. What it gives to a browser is for that browser.
fn hear(said: &mut Said, what: &str, answer: &crate::support::http::Response) {
    assert_ne!(answer.status, 200, "{what}: {}", answer.text());
    let ours = |name: &str| !["set-cookie", "location"].contains(&&*name.to_ascii_lowercase());
    let fields = answer.head.fields.iter().filter(|(name, _)| ours(name));
    let fields: Vec<_> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
    said.hear(what, format!("{fields:?}\n{}", answer.text()));
}

/// Logins that go right and wrong, and sessions that go on and end.
fn log_in(gateway: &Gateway, provider: &Provider, said: &mut Said, given: &mut Given) -> Browser {
    let url = |target: &str| gateway.url("http") + target;
    let callback = url("/sso/callback");
    let mut ann = Browser::default();
    let to = ann.log_in(&url("/sso/page"), "ann", &callback).0;
    given.cookies(&ann);
    let code = given.code(&to);
    // A code that was changed, one without its login, and the true one twice.
    for (mut browser, to) in [
        (ann.copy(), to.replace(&code, &format!("{code}-pl4nted"))),
        (Browser::default(), to.clone()),
        (ann.copy(), to.replace("state=", "state=pl4nted")),
        (ann.copy(), to.replace("iss=", "iss=pl4nted")),
    ] {
        hear(said, "a callback that is wrong", &browser.page(&to));
    }
    let mut twice = ann.copy();
    assert_eq!(ann.page(&to).status, 303);
    given.cookies(&ann);
    hear(said, "a callback that comes again", &twice.page(&to));
    assert_eq!(ann.script(&url("/sso/page")).status, 200);
    // A provider that does not know the gateway, breaks, or says what cannot be true.
    for behaviour in [
        json!({ "nonce": "pl4nted" }),
        json!({ "token": [401, { "error": "invalid_client", "error_description": "pl4nted" }] }),
        json!({ "token": [500, "pl4nted"] }),
        json!({ "token": [200, { "id_token": "pl4nted.pl4nted.pl4nted", "refresh_token": "pl4nted" }] }),
        json!({ "token": [200, "{\"id_token\": \"pl4nted\""] }),
        json!({ "error": "server_error" }),
    ] {
        provider.behave(&behaviour);
        let mut browser = Browser::default();
        let (to, _) = browser.log_in(&url("/sso/page"), "eve", &callback);
        given.cookies(&browser);
        hear(said, &format!("a login with {behaviour}"), &browser.page(&to));
    }
    // Cookies that were changed.
    for change in [|value: &str| format!("{value}A"), |value: &str| value.replacen("1.", "2.", 1)] {
        let mut changed = ann.copy();
        changed.change("tidegate_sso", change);
        hear(said, "a session that was changed", &changed.script(&url("/sso/page")));
    }
    ann
}

/// A session that is renewed, then refused, then nobody can say.
fn renew(gateway: &Gateway, provider: &mut Provider, said: &mut Said, given: &mut Given) {
    let page = gateway.url("http") + "/sso/page";
    provider.behave(&json!({ "ttl": 2 }));
    let mut browsers = [Browser::default(), Browser::default(), Browser::default()];
    for browser in &mut browsers {
        assert_eq!(browser.log_in(&page, "ann", "").1.status, 200);
        given.cookies(browser);
    }
    let [renewed, refused, away] = &mut browsers;
    pause(Duration::from_millis(2100));
    assert_eq!(renewed.script(&page).status, 200);
    given.cookies(renewed);
    assert!(provider.asked("refresh") >= 1);
    provider.behave(
        &json!({ "token": [400, { "error": "invalid_grant", "error_description": "pl4nted" }] }),
    );
    hear(said, "a session that is refused", &refused.script(&page));
    given.0.extend(provider.issued());
    provider.stop();
    let answer = away.script(&page);
    assert_eq!(answer.status, 503);
    hear(said, "a session whose provider is away", &answer);
}

/// What clients show to the other policies: target, fields, and whether it is true.
fn shown(sign: &'static str) -> Vec<(&'static str, Vec<String>, bool)> {
    let signed = |sign, path| Draft::get(path).signed(&Signer::Secret(sign));
    let bearer = |token: &str| vec![format!("Authorization: Bearer {token}")];
    let mut all = vec![
        ("/signed/a", signed(sign, "/signed/a"), true),
        ("/signed/b", signed("pl4nted-sign-of-somebody-else-0123456789", "/signed/b"), false),
        ("/signed/c", signed(sign, "/signed/other"), false),
        ("/tokens/a", bearer("good-token"), true),
        ("/strange/a", bearer("good-token"), false),
        ("/asked/a", vec!["Cookie: sid=good; other=pl4nted-cookie".to_owned()], true),
        ("/asked/b", vec!["Cookie: sid=pl4nted-cookie".to_owned()], false),
    ];
    for target in ["/tokens/b", "/strange/b", "/asked/c", "/away/a", "/grpc/a"] {
        all.push((target, bearer("pl4nted-token"), false));
    }
    for token in ["lying-token", "other-token"] {
        all.push(("/tokens/c", bearer(token), false));
    }
    for what in ["denied", "both", "fails"] {
        all.push(("/grpc/b", bearer(what), false));
    }
    all
}

#[test]
fn nobody_hears_of_logins_signatures_and_services_what_they_must_not() {
    let mut others = Others::start();
    let (mut said, mut given) = (Said::default(), Given::default());
    let home = crate::support::gateway::temporary();
    let directory = home.path().display().to_string();
    let file = |others: &Others, age| others.file(age).replace("HOME", &directory);
    let mut gateway = Gateway::builder().home(&home).start(&file(&others, 0));
    let mut requests = Vec::new();
    for (target, fields, good) in shown(SIGNS[0]) {
        let mut words: Vec<&str> = fields.iter().map(String::as_str).collect();
        words.push("Connection: close");
        let answer = gateway.client().exchange("GET", "api.example", target, &words);
        assert_eq!(answer.status == 200, good, "{target} {fields:?}: {}", answer.text());
        if !good {
            hear(&mut said, &format!("the answer to {target} {fields:?}"), &answer);
        }
        requests.push((target.to_owned(), fields.join("\r\n")));
    }
    let ann = log_in(&gateway, &others.provider, &mut said, &mut given);
    let session = format!("Cookie: tidegate_sso={}", ann.value("tidegate_sso").unwrap());
    requests.push(("/sso/page".to_owned(), session));
    requests.push((
        "/sso/callback?code=pl4nted&state=pl4nted".to_owned(),
        "Accept: text/html".to_owned(),
    ));
    // Other secrets, in a file that is good, and in one that is not.
    said.hear("the difference", gateway.reload(&file(&others, 1)));
    for (policy, broken) in [
        ("signature: {", "signature: { frobnicate: 1,"),
        ("client_secret: \"", "frobnicate: 1, client_secret: \""),
        ("secrets: [", "secrets: [short, "),
    ] {
        let text = file(&others, 1).replace(policy, broken);
        assert_ne!(text, file(&others, 1));
        gateway.write(&text);
        said.hear("the refusal", everything(&gateway.verb(&["reload", "--wait"])));
    }
    gateway.reload(&file(&others, 1));
    renew(&gateway, &mut others.provider, &mut said, &mut given);
    assert!(given.0.len() > 20, "{:?}", given.0);
    gateway.wait_log(&["cannot renew sessions"]);
    everywhere(gateway, &requests, &mut said);
    let encoded = ["the+secret%3A", "the%20secret%3A", "s3cret%3A+", "s3cret: ", "the secret: "];
    let basic = [
        "app:the+secret%3A+of+a%2Bclient%2F%3D",
        "gate+way:s3cret%3A+%25%26%3F",
        "gate+way:pl4nted-client",
    ];
    let mut secrets = given.0;
    secrets.extend(encoded.map(str::to_owned));
    secrets.extend(basic.map(|pair| STANDARD.encode(pair)));
    secrets.extend(["pl4nted", "good-token", "lying-token"].map(str::to_owned));
    said.has_none_of(&secrets);
}
