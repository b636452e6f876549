//! `auth: { jwt }`: an issuer that is there, away, slow, lying or changing its keys, and what clients and
//! upstreams see of it.

use serde_json::json;

use crate::support::{
    gateway::{everything, temporary},
    h2client::H2,
    issuer::{Issuer, Signer, now},
    prelude::*,
};

/// No fetch follows another sooner than this.
const LEAST: Duration = Duration::from_secs(5);

fn policy(issuer: &Issuer, more: &str) -> String {
    format!("{{ jwt: {{ issuer: \"{}\", audience: api{more} }} }}", issuer.url())
}

fn file(policy: &str, upstream: &Raw) -> String {
    format!(
        "policies: {{ auth: {{ users: {policy} }} }}\nroutes:\n  \
         app: {{ to: \"{}\", auth: users }}\n  ok: {{ match: /ok, respond: {{ status: 200, body: ok }} }}\n",
        upstream.url()
    )
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn get(gateway: &Gateway, fields: &[&str]) -> crate::support::http::Response {
    gateway.client().exchange("GET", "h", "/a", &[fields, &["Connection: close"]].concat())
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    get(gateway, &[&bearer(token)]).status
}

/// Waits until a good token passes.
fn known(gateway: &Gateway, token: &str) {
    until("the keys", || status(gateway, token) == 200);
}

#[test]
fn only_who_has_a_token_may_pass_and_the_upstream_hears_what_it_says() {
    let (signer, other) = (Signer::new("ES256", "a"), Signer::new("ES256", "a"));
    let (issuer, upstream) = (Issuer::start(&[&signer]), Raw::echo());
    let more = ", require: { scope: [read] }, pass_claims: { X-User: sub, X-Mail: email }";
    let gateway = Gateway::start(&file(&policy(&issuer, more), &upstream));
    let mut claims = issuer.claims("ann");
    claims["scope"] = "write read".into();
    let token = signer.token(&claims);
    known(&gateway, &token);
    let none = get(&gateway, &[]);
    assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer")));
    let mut over = claims.clone();
    over["exp"] = (now() - 60).into();
    for (token, word) in [
        (signer.token(&over), "expired"),
        (other.token(&claims), "bad_signature"),
        ("a.b.c".to_owned(), "malformed"),
    ] {
        let answer = get(&gateway, &[&bearer(&token)]);
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{word}\"");
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some(&*challenge));
        let labels = [("policy", "users"), ("reason", word)];
        assert_eq!(gateway.metric("tidegate_policy_refusals_total", &labels), Some(1.0), "{word}");
    }
    let weak = get(&gateway, &[&bearer(&signer.token(&issuer.claims("bob")))]);
    assert_eq!((weak.status, weak.reason().as_str()), (403, "forbidden"));
    assert!(weak.header("www-authenticate").unwrap().contains("insufficient_scope"));
    let seen = get(&gateway, &[&bearer(&token)]).text().to_ascii_lowercase();
    assert!(seen.contains("\nx-user: ann\n") && !seen.contains("x-mail"), "{seen}");
    assert!(!seen.contains("authorization"), "{seen}");
    assert_eq!(gateway.metric("tidegate_jwks_up", &[("source", &issuer.url())]), Some(1.0));
    assert_eq!(gateway.metric("tidegate_jwks_keys", &[]), Some(1.0));
    assert_eq!(issuer.asked(), 1, "whatever came");
}

/// A client's own copy of what the gateway says never reaches an upstream.
#[test]
fn row_50_claims_in_headers_cannot_be_forged_in_any_spelling() {
    let signer = Signer::new("EdDSA", "a");
    let (issuer, upstream) = (Issuer::start(&[&signer]), Raw::echo());
    let more = ", pass_claims: { X-User: sub, X-Role: role }";
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n{}",
        file(&policy(&issuer, more), &upstream)
    ));
    let token = signer.token(&issuer.claims("ann"));
    known(&gateway, &token);
    let shown = bearer(&token);
    for forged in [
        &["X-User: root", "X-Role: admin"][..],
        &["x-user: root", "X-USER: root", "x-ROLE: admin", "x-role: admin"],
        &["X-User: root", "Connection: X-User", "X-Role: admin", "Connection: x-role"],
        &["Connection: X-User, X-Role, close", "X-Role: admin"],
    ] {
        let answer = gateway.client().exchange("GET", "h", "/a", &[forged, &[&shown]].concat());
        assert_eq!(answer.status, 200, "{forged:?}");
        let seen = answer.text().to_ascii_lowercase();
        let users: Vec<_> = seen.lines().filter(|line| line.starts_with("x-user")).collect();
        assert_eq!(users, ["x-user: ann"], "{forged:?}\n{seen}");
        assert!(!seen.contains("x-role") && !seen.contains("root"), "{forged:?}\n{seen}");
    }
    for forged in ["X_User: root", "x_USER: root", "X_ROLE: admin", "x_role: admin"] {
        assert_eq!(get(&gateway, &[&shown, forged]).status, 400, "{forged}");
    }
    block_on(async {
        let mut h2 = H2::plain(gateway.addr("http")).await;
        for name in ["x-user", "x-role"] {
            let request = http::Request::get(format!("http://h/{name}"))
                .header("authorization", format!("Bearer {token}"))
                .header(name, "root")
                .header(name, "admin");
            let answer = h2.exchange(request.body(()).unwrap(), b"", None).await.unwrap();
            assert_eq!(answer.head.status(), 200);
            let seen = String::from_utf8(answer.body).unwrap().to_ascii_lowercase();
            assert!(seen.contains("x-user: ann"), "{seen}");
            assert!(!seen.contains("root") && !seen.contains("admin"), "{seen}");
        }
        let request = http::Request::get("http://h/under")
            .header("authorization", format!("Bearer {token}"))
            .header("x_user", "root");
        let answer = h2.exchange(request.body(()).unwrap(), b"", None).await.unwrap();
        assert_eq!(answer.head.status(), 400);
    });
    let seen: Vec<_> = upstream.requests().iter().map(|head| format!("{head:?}")).collect();
    assert!(!seen.iter().any(|head| head.contains("root")), "{seen:?}");
}

#[test]
fn row_85_nobody_passes_before_the_first_keys_and_lies_are_no_keys() {
    let signer = Signer::new("ES256", "a");
    let (issuer, upstream) = (Issuer::start(&[&signer]), Raw::echo());
    let whole = |kind: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    issuer.say(Some(&whole("text/html", "<html>please log in</html>")));
    let mut gateway = Gateway::start(&file(&policy(&issuer, ""), &upstream));
    let token = signer.token(&issuer.claims("ann"));
    gateway.wait_log(&["no keys from the issuer", "no JSON object"]);
    let refused = get(&gateway, &[&bearer(&token)]);
    assert_eq!((refused.status, refused.reason().as_str()), (503, "auth_unavailable"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(gateway.metric("tidegate_jwks_up", &[]), Some(0.0));
    assert_eq!(gateway.metric("tidegate_jwks_last_success_timestamp_seconds", &[]), Some(0.0));
    for lie in [
        whole("application/json", &format!("{{\"keys\":[],\"a\":\"{}\"}}", "a".repeat(600 << 10))),
        whole("application/json", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"),
        "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"keys\":".to_owned(),
    ] {
        issuer.say(Some(&lie));
        let asked = issuer.asked();
        // Who asks has it asked sooner than it would be by itself.
        until("it is asked again", || {
            assert_eq!(status(&gateway, &token), 503);
            issuer.asked() > asked
        });
    }
    assert_eq!(upstream.requests().len(), 0);
    issuer.say(None);
    known(&gateway, &token);
    gateway.wait_log(&["the keys of the issuer are there again"]);
}

#[test]
fn metadata_of_another_issuer_is_not_believed() {
    let signer = Signer::new("ES256", "a");
    let (issuer, upstream) = (Issuer::start(&[&signer]), Raw::echo());
    issuer.name("https://evil.example");
    let mut gateway = Gateway::start(&file(&policy(&issuer, ""), &upstream));
    gateway.wait_log(&["the metadata is of another `issuer`"]);
    let token = signer.token(&issuer.claims("ann"));
    assert_eq!((status(&gateway, &token), issuer.asked()), (503, 0));
    issuer.name(&issuer.url());
    known(&gateway, &token);
}

#[test]
fn keys_are_changed_under_load_and_the_removed_one_counts_no_more() {
    let (old, new) = (Signer::new("ES256", "old"), Signer::new("RS256", "new"));
    let (issuer, upstream) = (Issuer::start(&[&old]), Raw::echo());
    let gateway = Gateway::start(&file(&policy(&issuer, ""), &upstream));
    let before = old.token(&issuer.claims("ann"));
    known(&gateway, &before);
    pause(LEAST);
    issuer.publish(&[&old, &new]);
    let after = new.token(&issuer.claims("ann"));
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (gateway, before, after) = (&gateway, &before, &after);
            scope.spawn(move || {
                let mut client = gateway.client();
                for turn in 0..100 {
                    let token = if (turn + worker) % 2 == 0 { before } else { after };
                    let answer = client.exchange("GET", "h", "/a", &[&bearer(token)]);
                    assert_eq!(answer.status, 200, "{turn}");
                }
            });
        }
    });
    assert_eq!(issuer.asked(), 2, "one fetch for all who wanted the new key");
    // The old one is withdrawn; the next fetch, for whatever reason, makes it worthless.
    issuer.publish(&[&new]);
    pause(LEAST);
    let unknown = Signer::new("ES256", "unknown").token(&issuer.claims("eve"));
    assert_eq!(status(&gateway, &unknown), 401);
    assert_eq!((status(&gateway, &before), status(&gateway, &after)), (401, 200));
    // The issuer is away: what was known last goes on to count.
    pause(LEAST);
    issuer.say(Some("HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(status(&gateway, &unknown), 401);
    assert_eq!((issuer.asked(), status(&gateway, &after)), (4, 200));
    assert_eq!(gateway.metric("tidegate_jwks_up", &[]), Some(0.0));
    assert_eq!(gateway.metric("tidegate_jwks_keys", &[]), Some(1.0));
}

#[test]
fn keys_outlive_a_reload_and_go_with_the_last_who_names_them() {
    let signer = Signer::new("ES256", "a");
    let (issuer, upstream) = (Issuer::start(&[&signer]), Raw::echo());
    let text = file(&policy(&issuer, ""), &upstream);
    let gateway = Gateway::start(&text);
    let token = signer.token(&issuer.claims("ann"));
    known(&gateway, &token);
    // From now on the issuer says nothing, and nobody notices.
    issuer.say(Some(""));
    for number in 0..3 {
        gateway.reload(&text.replace("/ok", &format!("/ok{number}")));
        assert_eq!(status(&gateway, &token), 200);
    }
    gateway.reload(&file(&policy(&issuer, ", leeway: 10s, refresh: 5m"), &upstream));
    assert_eq!(status(&gateway, &token), 200, "asked more often, and with what is known");
    let twice = text.replace(
        "users: {",
        &format!("others: {}, users: {{", policy(&issuer, ", consumer: none")),
    );
    gateway.reload(&format!(
        "{twice}  more: {{ match: /more, to: \"{}\", auth: others }}\n",
        upstream.url()
    ));
    let answer = gateway.client().exchange("GET", "h", "/more", &[&bearer(&token)]);
    assert_eq!(answer.status, 200, "two policies share them");
    gateway.reload("routes: { ok: { respond: 204 } }\n");
    until("the keys to be gone", || gateway.metric("tidegate_jwks_up", &[]).is_none());
    gateway.reload(&text);
    assert_eq!(status(&gateway, &token), 503, "and they are");
    issuer.say(None);
    known(&gateway, &token);
}

#[test]
fn keys_in_a_file_are_followed_and_keys_in_their_place_are_there_at_once() {
    let (one, two) = (Signer::new("ES384", "1"), Signer::new("PS256", "2"));
    let (upstream, home) = (Raw::echo(), temporary());
    let write = |signer: &Signer| {
        let text = crate::support::issuer::jwks([signer]);
        std::fs::write(home.path().join(".new"), text).unwrap();
        std::fs::rename(home.path().join(".new"), home.path().join("keys.json")).unwrap();
    };
    write(&one);
    let inline = crate::support::issuer::jwks([&one]);
    let yaml = format!(
        "policies:\n  auth:\n    file: {{ jwt: {{ issuer: me, audience: [a, api], algorithms: [ES384, PS256], jwks: \"{}\" }} }}\n    \
         here: {{ jwt: {{ issuer: me, audience: any, algorithms: ES384, from: \"cookie:session\", jwks: {inline} }} }}\n\
         routes:\n  app: {{ to: \"{url}\", auth: file }}\n  web: {{ match: /web, to: \"{url}\", auth: here }}\n",
        home.path().join("keys.json").display(),
        url = upstream.url()
    );
    let gateway = Gateway::builder().home(&home).start(&yaml);
    let claims = json!({ "iss": "me", "aud": "api", "sub": "ann", "exp": now() + 60 });
    let (first, second) = (one.token(&claims), two.token(&claims));
    assert_eq!((status(&gateway, &first), status(&gateway, &second)), (200, 401));
    let cookie = format!("Cookie: a=1; session={first}");
    let fields = [cookie.as_str(), "Connection: close"];
    let answer = gateway.client().exchange("GET", "h", "/web", &fields);
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("a=1") && !answer.text().contains("session"));
    write(&two);
    until("the file is read", || status(&gateway, &second) == 200);
    assert_eq!(status(&gateway, &first), 401);
}

#[test]
fn any_all_and_those_that_only_watch() {
    let signer = Signer::new("ES256", "a");
    let (issuer, upstream) = (Issuer::start(&[&signer]), Raw::echo());
    let users = policy(&issuer, ", pass_token: true");
    let watching = users.replace(" } }", " }, mode: shadow }");
    let gateway = Gateway::start(&format!(
        "policies:\n  auth:\n    users: {users}\n    watching: {watching}\n    \
         keys: {{ api_key: {{ keys: {{ bob: bob-key-0123456789 }} }} }}\nroutes:\n  \
         app: {{ to: \"{url}\", auth: users }}\n  \
         any: {{ match: /any, to: \"{url}\", auth: {{ any: [users, keys] }} }}\n  \
         all: {{ match: /all, to: \"{url}\", auth: {{ all: [users, keys] }} }}\n  \
         watch: {{ match: /watch, to: \"{url}\", auth: watching }}\n",
        url = upstream.url()
    ));
    let token = signer.token(&issuer.claims("ann"));
    known(&gateway, &token);
    let (user, key) = (bearer(&token), "X-Api-Key: bob-key-0123456789");
    let ask = |target: &str, fields: &[&str]| {
        gateway.client().exchange("GET", "h", target, &[fields, &["Connection: close"]].concat())
    };
    assert_eq!(ask("/any", &[&user]).status, 200);
    assert_eq!(ask("/any", &[key]).status, 200);
    assert_eq!(ask("/any", &[key, &bearer("a.b.c")]).status, 200);
    let none = ask("/any", &[]);
    let wanted = none.head.all("www-authenticate");
    assert_eq!((none.status, wanted), (401, vec!["Bearer", "ApiKey"]));
    assert_eq!(ask("/all", &[&user]).status, 401);
    assert_eq!(ask("/all", &[key]).status, 401);
    let both = ask("/all", &[&user, key]);
    assert!(both.status == 200 && both.text().contains(&token), "`pass_token`: {}", both.text());
    assert_eq!(ask("/watch", &[]).status, 200);
    assert_eq!(ask("/watch", &[&bearer("a.b.c")]).status, 200);
    let labels = [("route", "watch"), ("result", "shadow")];
    assert_eq!(gateway.metric("tidegate_policy_decisions_total", &labels), Some(2.0));
}

#[test]
fn no_token_is_ever_shown() {
    let signer = Signer::new("ES256", "a");
    let (issuer, upstream) = (Issuer::start(&[&signer]), Raw::echo());
    let text = file(&policy(&issuer, ", from: \"query:token\""), &upstream);
    let gateway = Gateway::start(&text);
    let token = signer.token(&issuer.claims("ann"));
    let ask = |token: &str| gateway.get("h", &format!("/a?x=1&token={token}"));
    until("the keys", || ask(&token).status == 200);
    assert!(!ask(&token).text().contains("token="));
    let forged = format!("{token}x");
    let mut answers = ask(&forged).text();
    answers += &ask(&signer.signed("{\"alg\":\"none\"}", "{}")).text();
    let unknown = Signer::new("ES256", "elsewhere").token(&issuer.claims("eve"));
    answers += &ask(&unknown).text();
    gateway.write(&text.replace("audience", "audiense"));
    let refused = everything(&gateway.verb(&["reload", "--wait"]));
    until("the lines", || gateway.access_log(1).len() >= 5);
    let log = std::fs::read_to_string(gateway.home().join("access.log")).unwrap();
    let parts: Vec<_> = [&token, &forged, &unknown].iter().flat_map(|it| it.split('.')).collect();
    for (what, text) in [
        ("answers", answers),
        ("answers to a reload", refused),
        ("the log", gateway.logs()),
        ("the access log", log),
        ("the metrics", gateway.admin("/metrics").text()),
    ] {
        for secret in &parts {
            assert!(!text.contains(secret), "{secret} in {what}:\n{text}");
        }
    }
}
