//! `oidc`: logins with a browser at a real provider.

use serde_json::json;

use crate::support::{
    chromium::Chromium,
    gateway::{everything, temporary, tidegate},
    http::Response,
    oidc::{Browser, Provider, SECRET},
    prelude::*,
    tls,
};

const REFUSALS: &str = "tidegate_policy_refusals_total";
const OLD: &str = "an old secret of thirty-two characters";
const NEW: &str = "a newer secret of thirty-two characters";

/// A gateway with these lines under `oidc`, and these lines more.
fn yaml(provider: &Provider, upstream: &Raw, oidc: &str, more: &str) -> String {
    let secrets = match oidc.contains("secrets:") {
        true => String::new(),
        false => format!("secrets: [{OLD}],"),
    };
    let client = if oidc.contains("client_id:") {
        String::new()
    } else {
        format!("client_id: app, client_secret: \"{SECRET}\", ")
    };
    format!(
        "policies:\n  auth:\n    sso:\n      oidc: {{ issuer: \"{}\", {client}scopes: [email, profile], \
         pass_claims: {{ X-User: sub, X-Email: email, X-Groups: groups }}, {secrets} {oidc} }}\n{more}\
         routes:\n  app: {{ match: 127.0.0.1/**, to: \"{}\", auth: sso }}\n",
        provider.issuer(),
        upstream.url()
    )
}

struct Parts {
    provider: Provider,
    upstream: Raw,
    gateway: Gateway,
}

fn start(oidc: &str) -> Parts {
    let (provider, upstream) = (Provider::start(), Raw::echo());
    let gateway = Gateway::start(&yaml(&provider, &upstream, oidc, ""));
    Parts { provider, upstream, gateway }
}

impl Parts {
    fn url(&self, target: &str) -> String {
        self.gateway.url("http") + target
    }

    /// How often the policy has said so.
    fn decided(&self, result: &str) -> Option<f64> {
        let labels = [("policy", "sso"), ("result", result)];
        self.gateway.metric("tidegate_policy_decisions_total", &labels)
    }

    /// Somebody who has logged in.
    #[track_caller]
    fn ann(&self) -> Browser {
        let mut browser = Browser::default();
        let (_, answer) = browser.log_in(&self.url("/"), "ann", "");
        assert_eq!(answer.echoed("x-user").as_deref(), Some("ann"), "{}", answer.text());
        browser
    }

    /// The URL the provider sends somebody back to, who has not gone there.
    #[track_caller]
    fn answer_to(&self, browser: &mut Browser, user: &str) -> String {
        browser.log_in(&self.url("/deep"), user, &self.url("/oauth2/callback")).0
    }
}

/// No session came of it, and the browser is told so.
#[track_caller]
fn failed(browser: &Browser, answer: &Response, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(!browser.names().contains(&"tidegate_sso"), "{:?}", browser.names());
}

#[test]
fn a_person_logs_in_and_lands_where_they_wanted_to_go() {
    let parts = start("");
    let mut browser = Browser::default();
    let (url, answer) = browser.log_in(&parts.url("/deep/er?a=%20b&c"), "ann", "");
    assert_eq!(url, parts.url("/deep/er?a=%20b&c"));
    assert_eq!((answer.status, &*answer.echoed_target()), (200, "/deep/er?a=%20b&c"));
    assert_eq!(browser.names(), ["tidegate_sso"], "the login is forgotten");
    let lies = ["X-User: root", "x-user: admin", "X-EMAIL: root@x", "Connection: X-Groups"];
    let answer = browser.ask("GET", &parts.url("/again"), &lies, "");
    for (name, value) in [("x-user", "ann"), ("x-email", "ann@example.com"), ("x-groups", "staff")]
    {
        assert_eq!(answer.echoed(name).as_deref(), Some(value), "{}", answer.text());
    }
    assert_eq!(answer.echoed("cookie"), None, "{}", answer.text());
    assert_eq!(browser.ask("GET", &parts.url("/"), &["X_User: root"], "").status, 400);
    assert_eq!(parts.provider.asked("code"), 1);
    // Each step has a word of its own, and none of them is a refusal.
    for (result, count) in [("login", 1.0), ("logged_in", 1.0), ("allowed", 2.0)] {
        assert_eq!(parts.decided(result), Some(count), "{result}");
    }
    assert_eq!((parts.decided("denied"), parts.gateway.metric(REFUSALS, &[])), (None, None));
    // Nobody reads a secret in a log.
    let lines = parts.gateway.access_log(5);
    for detail in ["login for `sso`", "logged_in for `sso`"] {
        let line = eventually(detail, || {
            let lines = parts.gateway.access_log(1);
            lines.into_iter().find(|line| line["detail"] == detail)
        });
        assert_eq!((&line["status"], &line["reason"]), (&json!(303), &json!(null)));
    }
    assert!(lines.iter().any(|line| line["consumer"] == "ann"), "{lines:?}");
    let log = std::fs::read_to_string(parts.gateway.home().join("access.log")).unwrap();
    assert!(log.contains("/oauth2/callback") && log.contains("code=***"), "{log}");
    let session = browser.value("tidegate_sso").unwrap();
    for secret in [SECRET, OLD, session, &session[2..60]] {
        assert!(!log.contains(secret) && !parts.gateway.logs().contains(secret));
    }
}

#[test]
fn only_who_looks_at_a_page_is_sent_to_the_provider() {
    let parts = start("");
    let mut browser = Browser::default();
    let page = "Accept: text/html";
    let cases: &[(&str, &[&str])] = &[
        ("GET", &[]),
        ("GET", &["Accept: */*"]),
        ("GET", &["Accept: application/json"]),
        ("GET", &[page, "Sec-Fetch-Mode: cors"]),
        ("GET", &[page, "Sec-Fetch-Mode: websocket"]),
        ("GET", &[page, "X-Requested-With: XMLHttpRequest"]),
        ("POST", &[page]),
        ("HEAD", &[page]),
        ("GET", &["Cookie: tidegate_sso=1.AAAA"]),
        ("GET", &["Cookie: tidegate_sso=x"]),
    ];
    for (method, fields) in cases {
        let answer = browser.ask(method, &parts.url("/"), fields, "");
        assert_eq!(answer.status, 401, "{method} {fields:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Cookie realm=\"sso\""));
        assert_eq!(answer.header("set-cookie"), None);
    }
    let grpc = browser.ask("POST", &parts.url("/"), &["Content-Type: application/grpc"], "");
    assert_eq!((grpc.status, grpc.header("grpc-status")), (200, Some("16")));
    for fields in [&[page][..], &["Sec-Fetch-Mode: navigate"]] {
        let answer = browser.ask("GET", &parts.url("/"), fields, "");
        assert_eq!((answer.status, answer.header("cache-control")), (303, Some("no-store")));
        let to = answer.header("location").unwrap();
        assert!(to.starts_with(&format!("{}/auth?", parts.provider.issuer())), "{to}");
        assert!(to.contains("&code_challenge_method=S256") && to.contains("&nonce="), "{to}");
    }
    assert_eq!(parts.upstream.requests().len(), 0);
}

/// Why each of those came to nothing is counted, and in the log.
#[track_caller]
fn told_why(parts: &Parts) {
    let why = |reason| parts.gateway.metric(REFUSALS, &[("policy", "sso"), ("reason", reason)]);
    for (reason, count) in
        [("unknown_state", 8.0), ("wrong_issuer", 1.0), ("no_issuer", 1.0), ("code_refused", 3.0)]
    {
        assert_eq!(why(reason), Some(count), "{reason}");
    }
    until("the line of the log", || {
        parts.gateway.access_log(1).iter().any(|line| line["detail"] == "no_code for `sso`")
    });
}

#[test]
fn what_comes_back_must_belong_to_a_login_of_this_browser() {
    let parts = start("");
    let (mut ann, mut eve) = (Browser::default(), Browser::default());
    // Eve's answer in Ann's browser.
    let of_eve = parts.answer_to(&mut eve, "eve");
    let _ = parts.answer_to(&mut ann, "ann");
    let answer = ann.page(&of_eve);
    failed(&ann, &answer, 400);
    assert!(answer.text().contains("Try again") && answer.header("set-cookie").is_none());
    // With a state of Ann's, Eve's code is bound to Eve's verifier.
    let mut ann = Browser::default();
    let of_ann = parts.answer_to(&mut ann, "ann");
    let part = |url: &str, name: &str| {
        let (_, rest) = url.split_once(&format!("{name}=")).unwrap();
        rest.split('&').next().unwrap().to_owned()
    };
    let mixed = of_ann.replace(&part(&of_ann, "code"), &part(&of_eve, "code"));
    let answer = ann.page(&mixed);
    failed(&ann, &answer, 400);
    // No state, no code, two of them, another issuer.
    let mut ann = Browser::default();
    let good = parts.answer_to(&mut ann, "ann");
    let (state, code) = (part(&good, "state"), part(&good, "code"));
    let callback = parts.url("/oauth2/callback");
    let iss = format!(
        "iss=http%3A%2F%2Flocalhost%3A{}",
        parts.provider.issuer().rsplit_once(':').unwrap().1
    );
    for query in [
        String::new(),
        format!("?code={code}&{iss}"),
        format!("?code={code}&state={}&{iss}", &state[1..]),
        format!("?code={code}&state={}x&{iss}", &state[..42]),
        format!("?code={code}&state={state}&state={state}&{iss}"),
    ] {
        let answer = ann.page(&format!("{callback}{query}"));
        failed(&ann, &answer, 400);
    }
    let mut copies = [ann.copy(), ann.copy(), ann.copy(), ann.copy(), ann.copy()];
    for (browser, query) in copies.iter_mut().zip([
        format!("?state={state}&{iss}"),
        format!("?code={code}&code={code}&state={state}&{iss}"),
        format!("?code={code}&state={state}&iss=http%3A%2F%2Flocalhost%3A1"),
        format!("?code={code}&state={state}"),
        format!("?code={code}x&state={state}&{iss}"),
    ]) {
        let answer = browser.page(&format!("{callback}{query}"));
        failed(browser, &answer, 400);
    }
    let answer = ann.copy().ask("POST", &good, &["Accept: text/html"], "");
    assert_eq!(answer.status, 400);
    // A login's cookie that was changed.
    let mut changed = ann.copy();
    changed.change("tidegate_sso.login.", |value| {
        let last = if value.ends_with('A') { 'B' } else { 'A' };
        format!("{}{last}", &value[..value.len() - 1])
    });
    let answer = changed.page(&good);
    failed(&changed, &answer, 400);
    // After all that the true one still is, once.
    let mut twice = ann.copy();
    assert_eq!(ann.page(&good).header("location"), Some("/deep"));
    let answer = twice.page(&good);
    failed(&twice, &answer, 400);
    told_why(&parts);
}

#[test]
fn a_provider_that_lies_is_not_believed() {
    let parts = start("");
    for (behaviour, word) in [
        (json!({ "nonce": "another" }), "wrong_nonce"),
        (json!({ "iss": "http://localhost:1" }), "wrong_issuer"),
        (json!({ "code_challenge": "x".repeat(43) }), "code_refused"),
        (json!({ "token": [200, { "access_token": "a", "token_type": "Bearer" }] }), "no_id_token"),
        (json!({ "token": [200, { "id_token": "a.b.c" }] }), "malformed"),
    ] {
        parts.provider.behave(&behaviour);
        let mut browser = Browser::default();
        let (_, answer) = browser.log_in(&parts.url("/"), "ann", "");
        failed(&browser, &answer, 400);
        until(word, || parts.gateway.logs().contains(word));
    }
    for (behaviour, status) in [
        (json!({ "error": "access_denied" }), 403),
        (json!({ "error": "server_error" }), 503),
        (json!({ "token": [401, { "error": "invalid_client" }] }), 503),
        (json!({ "token": [500, "no"] }), 503),
        (json!({ "token": [200, "no"] }), 503),
        (json!({ "delay": 8000 }), 503),
    ] {
        parts.provider.behave(&behaviour);
        let mut browser = Browser::default();
        let (_, answer) = browser.log_in(&parts.url("/"), "ann", "");
        failed(&browser, &answer, status);
    }
    parts.provider.behave(&json!({}));
    parts.ann();
}

#[test]
fn nobody_is_sent_to_another_site() {
    let parts = start("");
    for target in
        ["//evil.example.com/", "/%2F/evil.example.com", "/.//evil.example.com", "/%5Cevil"]
    {
        let mut browser = Browser::default();
        let (url, answer) = browser.log_in(&parts.url(target), "ann", "");
        assert!(url.starts_with(&parts.url("/")), "{target} leads to {url}");
        assert!(answer.status == 200 || answer.status == 400, "{target}: {}", answer.status);
    }
    // The paths of the login itself lead nowhere after it.
    let mut browser = Browser::default();
    let long = format!("/long?{}", "x".repeat(3000));
    let (url, _) = browser.log_in(&parts.url(&long), "ann", "");
    assert_eq!(url, parts.url("/"));
}

#[test]
fn a_session_that_was_changed_is_none() {
    let parts = start("");
    let ann = parts.ann();
    let good = ann.value("tidegate_sso").unwrap().to_owned();
    for changed in [
        String::new(),
        good[2..].to_owned(),
        good[..good.len() - 1].to_owned(),
        good[..40].to_owned(),
        format!("{good}A"),
        good.replacen("1.", "2.", 1),
        good.replacen("1.A", "1.B", 1),
        "1.".to_owned(),
    ] {
        let mut browser = ann.copy();
        browser.change("tidegate_sso", |_| changed.clone());
        assert_eq!(browser.script(&parts.url("/")).status, 401, "{changed}");
    }
    // A login under way is no session.
    let mut browser = Browser::default();
    parts.answer_to(&mut browser, "ann");
    let name = browser.names()[0].to_owned();
    let login = browser.value(&name).unwrap().to_owned();
    let mut browser = ann.copy();
    browser.change("tidegate_sso", |_| format!("1.{login}"));
    assert_eq!(browser.script(&parts.url("/")).status, 401);
    assert_eq!(ann.copy().script(&parts.url("/")).status, 200);
}

#[test]
fn a_session_is_for_its_policy_and_its_secrets() {
    let (provider, upstream) = (Provider::start(), Raw::echo());
    let settings = |secrets: &str| yaml(&provider, &upstream, &format!("secrets: [{secrets}]"), "");
    let gateway = Gateway::start(&settings(OLD));
    let parts = Parts { provider: Provider::start(), upstream: Raw::echo(), gateway };
    let mut ann = parts.ann();
    let page = parts.url("/");
    // The new secret seals, the old one still opens: nobody is logged out.
    parts.gateway.reload(&settings(&format!("{NEW}, {OLD}")));
    assert_eq!(ann.script(&page).status, 200);
    let mut bob = Browser::default();
    bob.log_in(&page, "bob", "");
    parts.gateway.reload(&settings(NEW));
    assert_eq!((ann.script(&page).status, bob.script(&page).status), (401, 200));
    parts.gateway.reload(&settings(OLD));
    assert_eq!((ann.script(&page).status, bob.script(&page).status), (200, 401));
    // The same secret and the same cookie under another name.
    let other = settings(OLD).replace("    sso:", "    other:").replace("auth: sso", "auth: other");
    let other = other.replace("oidc: {", "oidc: { session: { cookie: tidegate_sso },");
    parts.gateway.reload(&other);
    assert_eq!(ann.script(&page).status, 401);
}

#[test]
fn several_tabs_log_in_at_once() {
    let parts = start("");
    let mut browser = Browser::default();
    let callback = parts.url("/oauth2/callback");
    let of = |browser: &mut Browser, target: &str| {
        browser.log_in(&parts.url(target), "ann", &callback).0
    };
    let tabs: Vec<_> = (0..4).map(|tab| of(&mut browser, &format!("/tab{tab}"))).collect();
    assert_eq!(browser.names().len(), 4);
    for tab in [2, 0, 3, 1] {
        let to = browser.page(&tabs[tab]);
        assert_eq!(to.header("location"), Some(&*format!("/tab{tab}")), "{}", to.text());
    }
    assert_eq!(browser.names(), ["tidegate_sso"]);
    // A browser that begins and begins keeps the last ones.
    let mut restless = Browser::default();
    for tab in 0..9 {
        restless.page(&parts.url(&format!("/tab{tab}")));
    }
    assert_eq!(restless.names().len(), 4);
}

#[test]
fn sessions_are_renewed_once_and_end_when_the_provider_says_so() {
    let parts = start("");
    parts.provider.behave(&json!({ "ttl": 3, "groups": ["staff"] }));
    let mut ann = parts.ann();
    assert_eq!(parts.provider.asked("refresh"), 0);
    parts.provider.behave(&json!({ "ttl": 600, "groups": ["staff", "admins"], "delay": 300 }));
    pause(Duration::from_millis(3100));
    // Many requests with the old cookie, at once and one after another.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..12)
            .map(|_| {
                let mut copy = ann.copy();
                let url = parts.url("/");
                scope.spawn(move || copy.script(&url))
            })
            .collect();
        tasks.into_iter().map(|task| task.join().unwrap()).collect()
    });
    for answer in &answers {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.echoed("x-groups").as_deref(), Some("staff,admins"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(parts.provider.asked("refresh"), 1, "one for all of them");
    assert_eq!(ann.script(&parts.url("/")).status, 200);
    assert_eq!((parts.provider.asked("refresh"), parts.provider.asked("refused")), (1, 0));
    let answer = ann.script(&parts.url("/"));
    assert_eq!(answer.header("set-cookie"), None, "the new one is there now");
    // Refused: a script hears it, a page leads to a new login.
    parts.provider.behave(&json!({ "ttl": 2 }));
    let mut bob = Browser::default();
    bob.log_in(&parts.url("/"), "bob", "");
    parts.provider.behave(&json!({ "token": [400, { "error": "invalid_grant" }] }));
    pause(Duration::from_millis(2100));
    assert_eq!(bob.script(&parts.url("/")).status, 401);
    assert_eq!(bob.page(&parts.url("/")).status, 303);
    assert_eq!(parts.provider.asked("refused"), 1);
}

#[test]
fn a_provider_that_is_away_ends_no_session_before_its_time() {
    let mut parts = start("");
    parts.provider.behave(&json!({ "ttl": 10 }));
    let mut ann = parts.ann();
    parts.provider.stop();
    // About to end: it is asked, in vain.
    pause(Duration::from_millis(9100));
    assert_eq!(ann.script(&parts.url("/")).status, 200);
    pause(Duration::from_millis(1000));
    let answer = ann.script(&parts.url("/"));
    assert_eq!((answer.status, answer.reason().as_str()), (503, "auth_unavailable"));
    // Nobody can log in, and nothing else is the matter.
    assert!(matches!(Browser::default().page(&parts.url("/")).status, 303 | 503));
    // It comes back with other keys.
    parts.provider.restart();
    parts.ann();
    assert!(parts.gateway.alive());
}

#[test]
fn a_gateway_starts_while_the_provider_is_away() {
    let (mut provider, upstream) = (Provider::start(), Raw::echo());
    provider.stop();
    let gateway = Gateway::start(&yaml(&provider, &upstream, "", ""));
    let page = gateway.url("http") + "/";
    let answer = Browser::default().page(&page);
    assert_eq!(answer.status, 503);
    assert_eq!(Browser::default().script(&page).status, 401);
    provider.restart();
    let parts = Parts { provider, upstream, gateway };
    until("the provider is asked again", || Browser::default().page(&page).status == 303);
    parts.ann();
}

#[test]
fn logging_out_is_the_wish_of_the_site_or_of_the_person() {
    let parts = start("after_logout: /bye, ");
    let mut ann = parts.ann();
    let logout = parts.url("/oauth2/logout");
    for fields in [
        &["Sec-Fetch-Site: cross-site"][..],
        &["Sec-Fetch-Site: same-site"],
        &["Accept: text/html"],
        &["Origin: https://evil.example.com"],
    ] {
        for method in ["GET", "POST"] {
            let answer = ann.ask(method, &logout, fields, "");
            assert_eq!((answer.status, answer.header("set-cookie")), (200, None), "{fields:?}");
            assert!(answer.text().contains("<button>Log out</button>"));
        }
    }
    assert_eq!(ann.script(&parts.url("/")).status, 200);
    let origin = format!("Origin: {}", parts.gateway.url("http"));
    for (method, field) in [
        ("POST", &*origin),
        ("GET", "Sec-Fetch-Site: same-origin"),
        ("GET", "Sec-Fetch-Site: none"),
    ] {
        let mut copy = ann.copy();
        let answer = copy.ask(method, &logout, &[field], "");
        assert_eq!(answer.status, 303);
        let to = answer.header("location").unwrap();
        assert!(
            to.starts_with(&format!("{}/session/end?client_id=app&", parts.provider.issuer())),
            "{to}"
        );
        assert!(to.ends_with("%2Fbye"), "{to}");
        assert!(copy.names().is_empty(), "{field}");
        assert!(parts.decided("logout").is_some_and(|count| count >= 9.0));
        assert_eq!(copy.script(&parts.url("/")).status, 401);
    }
}

#[test]
fn a_policy_in_the_shadow_knows_people_and_sends_nobody_away() {
    let (provider, upstream) = (Provider::start(), Raw::echo());
    let enforced = yaml(&provider, &upstream, "", "");
    let parts = Parts {
        gateway: Gateway::start(&enforced),
        provider: Provider::start(),
        upstream: Raw::echo(),
    };
    let mut ann = parts.ann();
    let shadow = enforced.replace("X-Groups: groups }", "X-Groups: groups } ");
    let at = shadow.find("routes:").unwrap();
    let shadow = format!("{}      mode: shadow\n{}", &shadow[..at], &shadow[at..]);
    parts.gateway.reload(&shadow);
    let answer = ann.ask("GET", &parts.url("/"), &["X-User: root"], "");
    assert_eq!(answer.echoed("x-user").as_deref(), Some("ann"));
    for target in ["/", "/oauth2/callback?code=a&state=b", "/oauth2/logout"] {
        let answer = Browser::default().ask(
            "GET",
            &parts.url(target),
            &["Accept: text/html", "X-User: root"],
            "",
        );
        assert_eq!((answer.status, answer.echoed("x-user")), (200, None), "{target}");
    }
}

#[test]
fn claims_must_hold_and_long_sessions_take_several_cookies() {
    let parts = start("require: { groups: [admins] }, ");
    let mut browser = Browser::default();
    let (_, answer) = browser.log_in(&parts.url("/"), "ann", "");
    assert_eq!((answer.status, answer.head.has("location")), (403, false), "{}", answer.text());
    assert_eq!(browser.script(&parts.url("/")).status, 403);
    for (length, cookies) in [(10, 1), (4000, 2), (8000, 4)] {
        parts.provider.behave(&json!({ "groups": ["admins"], "padding": "x".repeat(length) }));
        let mut browser = Browser::default();
        let (_, answer) = browser.log_in(&parts.url("/"), "ann", "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.echoed("cookie"), None);
        let names = browser.names();
        assert!(names.len().abs_diff(cookies) <= 1, "{length}: {names:?}");
    }
    parts.provider.behave(&json!({ "groups": ["admins"], "padding": "x".repeat(11_500) }));
    let mut browser = Browser::default();
    let (_, answer) = browser.log_in(&parts.url("/"), "ann", "");
    failed(&browser, &answer, 500);
    let line = "a session does not fit into cookies";
    until(line, || parts.gateway.logs().contains(line));
}

#[test]
fn clients_without_a_secret_and_only_what_is_kept() {
    let parts = start("client_id: public, claims: [email, groups], ");
    let mut browser = Browser::default();
    let (_, answer) = browser.log_in(&parts.url("/"), "ann", "");
    assert_eq!(answer.echoed("x-email").as_deref(), Some("ann@example.com"));
    assert_eq!(browser.script(&parts.url("/")).status, 200);
}

#[test]
fn over_https_cookies_are_for_this_host_and_in_the_clear_there_are_none() {
    let (provider, upstream, authority) = (Provider::start(), Raw::echo(), Authority::new());
    let issued = authority.issue("app", &["app.example.com"]);
    let yaml = yaml(&provider, &upstream, "", "")
        .replace("match: 127.0.0.1/**", "match: app.example.com/**");
    let gateway = Gateway::start(&format!(
        "listeners:\n  http: {{ address: \"127.0.0.1:0\" }}\n  \
         https: {{ address: \"127.0.0.1:0\", tls: true }}\ntls: {{ certificates: [{}] }}\n{yaml}",
        issued.yaml()
    ));
    let mut client = tls::connect(gateway.addr("https"), "app.example.com", &authority);
    let answer = client.exchange("GET", "app.example.com", "/", &["Accept: text/html"]);
    assert_eq!(answer.status, 303);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-tidegate_sso.login."), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
    let to = answer.header("location").unwrap();
    assert!(to.contains("redirect_uri=https%3A%2F%2Fapp.example.com%2Foauth2%2Fcallback&"), "{to}");
    let clear = |fields: &[&str]| gateway.client().exchange("GET", "app.example.com", "/", fields);
    let answer = clear(&["Accept: text/html", "X-Forwarded-Proto: https"]);
    assert_eq!((answer.status, answer.header("set-cookie")), (400, None), "nobody is believed");
    assert!(answer.text().contains("This needs https"));
    assert_eq!(clear(&[]).status, 401);
}

#[test]
fn a_callback_nobody_answers_is_an_error() {
    let home = temporary();
    let check = |route: &str, oidc: &str| {
        let text = format!(
            "version: 1\nlisteners: {{ http: \"127.0.0.1:0\" }}\npolicies:\n  auth:\n    sso: {{ oidc: {{ issuer: \
             \"https://idp.example.com\", client_id: app, secrets: [{OLD}], {oidc} }} }}\nroutes:\n{route}"
        );
        std::fs::write(home.path().join("routes.yaml"), text).unwrap();
        everything(&tidegate(home.path(), &["check", "-c", "routes.yaml"]))
    };
    let app = "  app: { match: a.example.com/app/**, respond: 200, auth: sso }\n";
    let said = check(app, "");
    let wanted =
        "the `callback` of auth policy `sso` leads to no route: a.example.com/oauth2/callback";
    assert!(said.contains(wanted), "{said}");
    let rest = "  rest: { match: a.example.com/**, respond: 200 }\n";
    let said = check(&format!("{app}{rest}"), "");
    assert!(said.contains("leads to route `rest`, which does not have it"), "{said}");
    let below = "callback: /app/callback, logout: /app/logout";
    let said = check(&format!("{app}{rest}"), below);
    assert!(!said.contains("auth policy"), "{said}");
    let said = check(&format!("{app}{rest}"), "callback: /app/callback");
    assert!(
        said.contains("warning") && said.contains("the `logout` of auth policy `sso`"),
        "{said}"
    );
}

#[test]
fn in_a_real_browser() {
    let parts = start("after_logout: /bye, ");
    parts.provider.behave(&json!({ "ttl": 4 }));
    let browser = Chromium::start();
    let deep = parts.url("/deep?a=1");
    browser.open(&deep);
    browser.wait_for(&format!("{}/interaction/", parts.provider.issuer()));
    browser.write("input[name=login]", "ann");
    browser.write("input[name=password]", "x");
    browser.click("button[type=submit]");
    browser.wait_for(&deep);
    let text = browser.text().to_ascii_lowercase();
    assert!(text.contains("get /deep?a=1") && text.contains("x-user: ann"), "{text}");
    assert_eq!(browser.run("return document.cookie"), "", "no script reads it");
    // Its scripts pass with the session, across a refresh.
    let fetched = "return fetch('/data').then(answer => answer.text())";
    assert!(browser.run(fetched).as_str().unwrap().to_ascii_lowercase().contains("x-user: ann"));
    pause(Duration::from_millis(4100));
    assert!(browser.run(fetched).as_str().unwrap().to_ascii_lowercase().contains("x-user: ann"));
    assert_eq!(parts.provider.asked("refresh"), 1);
    // A picture on another site logs nobody out.
    browser.open(&format!("{}/test", parts.provider.issuer()));
    browser.run(&format!(
        "return fetch('{}', {{ mode: 'no-cors', credentials: 'include' }}).then(() => 1, () => 0)",
        parts.url("/oauth2/logout")
    ));
    browser.open(&deep);
    assert!(browser.text().to_ascii_lowercase().contains("x-user: ann"));
    // The person does, here and at the provider.
    browser.run("location.href = '/oauth2/logout'");
    browser.wait_for(&format!("{}/session/end", parts.provider.issuer()));
    browser.click("button[value=yes]");
    // `/bye` wants a login too, and the provider knows nobody any more.
    browser.wait_for(&format!("{}/interaction/", parts.provider.issuer()));
    browser.open(&deep);
    browser.wait_for(&format!("{}/interaction/", parts.provider.issuer()));
}
