//! Those who say who may pass are slow, silent, or change their keys: who depends on them waits or is refused in
//! time, and requests of other routes are as fast as when all is quiet. Each test takes turns of both, and
//! prints the medians.

use std::net::SocketAddr;

use serde_json::json;
use tokio::{task::JoinHandle, time::Instant};

use crate::support::{
    gateway::alone,
    h2client::H2,
    issuer::{Issuer, Signer},
    oidc::{Browser, Provider, SECRET},
    prelude::*,
    wait::spawn,
};

/// Between two fetches of the keys of an issuer.
const LEAST: Duration = Duration::from_secs(5);
/// How long is measured.
const WHILE: Duration = Duration::from_millis(1500);
/// Turns of quiet and trouble.
const TURNS: usize = 3;
/// What somebody who is held up would take at least: all that is slow here takes seconds.
const HELD_UP: Duration = Duration::from_millis(500);

/// Clients of another route, on so many connections that each worker has some.
struct Others(Vec<Client>);

/// The time 99 of 100 of their requests took at most, turn by turn.
#[derive(Default)]
struct Turns {
    quiet: Vec<Duration>,
    during: Vec<Duration>,
}

// === impl Others ===

impl Others {
    fn of(gateway: &Gateway) -> Self {
        Self((0..8).map(|_| gateway.client()).collect())
    }

    fn p99(&mut self, time: Duration) -> Duration {
        let (end, mut times) = (Instant::now() + time, Vec::new());
        for at in (0..self.0.len()).cycle() {
            let begun = Instant::now();
            if begun >= end {
                break;
            }
            assert_eq!(self.0[at].get("h", "/ok").status, 200);
            times.push(begun.elapsed());
            pause(Duration::from_millis(1));
        }
        times.sort();
        times[times.len() * 99 / 100]
    }
}

// === impl Turns ===

impl Turns {
    /// Says what came of it.
    #[track_caller]
    fn tell(mut self, what: &str) {
        let median = |times: &mut Vec<Duration>| {
            times.sort();
            times[times.len() / 2]
        };
        let (quiet, during) = (median(&mut self.quiet), median(&mut self.during));
        println!(
            "p99 of another route: {quiet:?} when it is quiet, {during:?} {what} ({:?}, {:?})",
            self.quiet, self.during
        );
        assert!(during < quiet + HELD_UP, "{what}: {quiet:?}, {during:?}");
    }
}

/// A file with these policies, a route of its name for each of them, and one for everybody.
fn file(policies: &[(&str, String)], upstream: &Raw) -> String {
    let mut file = "listeners: { http: { address: \"127.0.0.1:0\", protocols: [h1, h2c] } }\n\
                    policies:\n  auth:\n"
        .to_owned();
    for (name, policy) in policies {
        file.push_str(&format!("    {name}: {policy}\n"));
    }
    file.push_str("routes:\n  ok: { match: /ok, respond: 200 }\n");
    for (name, _) in policies {
        let url = upstream.url();
        file.push_str(&format!("  {name}: {{ match: /{name}/**, to: \"{url}\", auth: {name} }}\n"));
    }
    file
}

/// Asks for all of these at once, over a few connections. The statuses come when all are there.
fn ask(address: SocketAddr, requests: Vec<http::Request<()>>) -> JoinHandle<Vec<u16>> {
    spawn(async move {
        let mut connections = Vec::new();
        for _ in 0..10 {
            connections.push(H2::plain(address).await);
        }
        let one = |(at, request): (usize, http::Request<()>)| {
            let mut h2 = H2 { send: connections[at % 10].send.clone() };
            async move { h2.exchange(request, b"", None).await.unwrap().head.status().as_u16() }
        };
        futures_util::future::join_all(requests.into_iter().enumerate().map(one)).await
    })
}

fn bearer(path: &str, token: &str) -> http::Request<()> {
    let request = http::Request::get(format!("http://h{path}"));
    request.header("authorization", format!("Bearer {token}")).body(()).unwrap()
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    let shown = format!("Authorization: Bearer {token}");
    gateway.client().exchange("GET", "h", "/jwt/a", &[&shown, "Connection: close"]).status
}

fn jwt(issuer: &Issuer) -> [(&'static str, String); 1] {
    [("jwt", format!("{{ jwt: {{ issuer: \"{}\", audience: api }} }}", issuer.url()))]
}

#[test]
fn row_85_a_thousand_unknown_keys_make_one_fetch_and_hold_nobody_else_up() {
    let _machine = alone();
    let signer = Signer::new("ES256", "a");
    let (issuer, upstream) = (Issuer::start(&[&signer]), Raw::echo());
    let gateway = Gateway::builder().measured().start(&file(&jwt(&issuer), &upstream));
    let good = signer.token(&issuer.claims("ann"));
    until("the keys", || status(&gateway, &good) == 200);
    let (mut others, mut turns) = (Others::of(&gateway), Turns::default());
    issuer.take(Duration::from_secs(2));
    for turn in 0..TURNS {
        // Quiet for so long that the keys may be fetched again.
        turns.quiet.push(others.p99(LEAST + WHILE));
        let asked = issuer.asked();
        let tokens = (0..1000).map(|number| {
            let header = json!({ "alg": "ES256", "kid": format!("unknown-{turn}-{number}") });
            signer.signed(&header.to_string(), &issuer.claims("eve").to_string())
        });
        let requests = tokens.map(|token| bearer("/jwt/a", &token)).collect();
        let flood = ask(gateway.addr("http"), requests);
        until("the keys are fetched", || issuer.asked() > asked);
        turns.during.push(others.p99(WHILE));
        let answers = block_on(flood).unwrap();
        assert!(answers.len() == 1000 && answers.iter().all(|it| *it == 401), "{answers:?}");
        assert_eq!(issuer.asked(), asked + 1, "however many asked");
        assert_eq!(status(&gateway, &good), 200);
    }
    turns.tell("in a flood of 1000 unknown keys");
}

#[test]
fn services_that_hang_hold_nobody_else_up() {
    const EACH: usize = 200;
    let _machine = alone();
    let service = Raw::serve(|peer| while peer.request().is_some() {});
    let upstream = Raw::echo();
    let (url, timeout) = (service.url(), "timeout: 4s");
    let policies = [
        ("external", format!("{{ external: {{ url: \"{url}/x\", {timeout} }} }}")),
        (
            "introspection",
            format!("{{ introspection: {{ url: \"{url}/y\", audience: any, {timeout} }} }}"),
        ),
    ];
    let gateway = Gateway::builder().measured().start(&file(&policies, &upstream));
    let (mut others, mut turns) = (Others::of(&gateway), Turns::default());
    for turn in 1..=TURNS {
        turns.quiet.push(others.p99(WHILE));
        let requests = (0..EACH).flat_map(|number| {
            ["/external/a", "/introspection/a"].map(|path| bearer(path, &format!("token-{number}")))
        });
        let begun = Instant::now();
        let hanging = ask(gateway.addr("http"), requests.collect());
        until("all are asked of", || service.requests().len() == 2 * EACH * turn);
        turns.during.push(others.p99(WHILE));
        assert!(!hanging.is_finished(), "they hung all the while");
        let answers = block_on(hanging).unwrap();
        assert!(answers.iter().all(|status| *status == 503), "{answers:?}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
    turns.tell("while 200 questions of `external` and 200 of `introspection` hang");
    assert_eq!(upstream.requests().len(), 0);
}

/// Browsers that come back from the provider with a code, browsers with a session that is over, and
/// browsers that would log in: all of them wait for a provider that says nothing.
#[test]
fn a_provider_that_hangs_holds_nobody_else_up() {
    let _machine = alone();
    let (provider, silent) =
        (Provider::start(), Raw::serve(|peer| while peer.request().is_some() {}));
    let upstream = Raw::echo();
    let sso = |name: &str, issuer: &str| {
        format!(
            "{{ oidc: {{ issuer: \"{issuer}\", client_id: app, client_secret: \"{SECRET}\", callback: /{name}/callback, \
             logout: none, secrets: [a secret of thirty-two characters] }} }}"
        )
    };
    let issuer = silent.url().replace("127.0.0.1", "localhost");
    let policies = [("sso", sso("sso", &provider.issuer())), ("silent", sso("silent", &issuer))];
    let gateway = Gateway::builder().measured().start(&file(&policies, &upstream));
    let url = |target: &str| gateway.url("http") + target;
    provider.behave(&json!({ "ttl": 2 }));
    let mut sessions: Vec<_> = (0..10).map(|_| Browser::default()).collect();
    for browser in &mut sessions {
        assert_eq!(browser.log_in(&url("/sso/a"), "ann", "").1.status, 200);
    }
    let mut begun = Browser::default();
    let callback = begun.log_in(&url("/sso/a"), "ann", &url("/sso/callback")).0;
    pause(Duration::from_millis(2100));
    provider.behave(&json!({ "delay": 300_000 }));
    let authority = gateway.addr("http").to_string();
    let with = |browser: &Browser, target: &str| {
        let cookies: Vec<_> = browser
            .names()
            .into_iter()
            .map(|name| format!("{name}={}", browser.value(name).unwrap_or_default()))
            .collect();
        let request = http::Request::get(format!("http://{authority}{target}"));
        let request = request.header("accept", "text/html").header("cookie", cookies.join("; "));
        request.body(()).unwrap()
    };
    let (mut others, mut turns) = (Others::of(&gateway), Turns::default());
    let came_back = callback.strip_prefix(&url("")).expect("the gateway's own");
    for _ in 0..TURNS {
        turns.quiet.push(others.p99(WHILE));
        let asked = provider.asked("token");
        let logins = (0..40).map(|_| with(&begun, came_back));
        let renewals = sessions.iter().map(|browser| with(browser, "/sso/a"));
        let new = (0..100).map(|_| with(&Browser::default(), "/silent/a"));
        let requests = logins.chain(renewals).chain(new).collect();
        let hanging = ask(gateway.addr("http"), requests);
        until("the provider is asked", || provider.asked("token") == asked + 50);
        turns.during.push(others.p99(WHILE));
        assert!(!hanging.is_finished(), "they hung all the while");
        let answers = block_on(hanging).unwrap();
        assert!(answers.iter().all(|status| *status == 503), "{answers:?}");
    }
    turns.tell("while 40 logins, 10 renewals and 100 who would log in wait for their provider");
}

/// The issuer changes its key with every turn, and takes almost as long to say so as anybody waits for it.
/// In the last turn it says nothing any more.
#[test]
fn keys_that_change_at_a_slow_issuer_hold_nobody_else_up() {
    let _machine = alone();
    let signers: Vec<_> =
        (0..=TURNS).map(|number| Signer::new("ES256", &format!("key-{number}"))).collect();
    let (issuer, upstream) = (Issuer::start(&[&signers[0]]), Raw::echo());
    let gateway = Gateway::builder().measured().start(&file(&jwt(&issuer), &upstream));
    let token = |signer: &Signer| signer.token(&issuer.claims("ann"));
    until("the keys", || status(&gateway, &token(&signers[0])) == 200);
    let (mut others, mut turns) = (Others::of(&gateway), Turns::default());
    for turn in 1..=TURNS {
        turns.quiet.push(others.p99(LEAST + WHILE));
        let (old, new) = (&signers[turn - 1], &signers[turn]);
        let hangs = turn == TURNS;
        issuer.take(Duration::from_secs(if hangs { 8 } else { 4 }));
        issuer.publish(&[old, new]);
        let asked = issuer.asked();
        let tokens = (0..200).map(|number| if number % 2 == 0 { token(old) } else { token(new) });
        let requests = tokens.map(|token| bearer("/jwt/a", &token)).collect();
        let waiting = ask(gateway.addr("http"), requests);
        until("the keys are fetched", || issuer.asked() > asked);
        turns.during.push(others.p99(WHILE));
        assert!(!waiting.is_finished(), "those with the new key waited all the while");
        let answers = block_on(waiting).unwrap();
        for (number, status) in answers.iter().enumerate() {
            assert_eq!(*status, if number % 2 == 0 { 200 } else { 401 }, "{number}");
        }
        assert_eq!(status(&gateway, &token(old)), 200, "what is known goes on to count");
        if !hangs {
            until("the new key", || status(&gateway, &token(new)) == 200);
        }
    }
    turns.tell("while 100 wait for a new key of a slow issuer");
}
