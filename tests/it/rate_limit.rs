//! `rate_limit`: who may come how often, and what everybody is told.

use crate::support::{
    http::Response,
    issuer::{Issuer, Signer},
    prelude::*,
    tools::h2load,
};

const ANN: &str = "ann-key-0123456789";
const BOB: &str = "bob-key-0123456789";

fn start(more: &str, routes: &str) -> (Gateway, Raw) {
    let upstream = Raw::echo();
    let yaml = file(&upstream, more, routes);
    (Gateway::start(&yaml), upstream)
}

fn file(upstream: &Raw, more: &str, routes: &str) -> String {
    format!(
        "listeners:\n  http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c], trusted_proxies: [127.0.0.1] }}\n\
         {more}routes:\n{}",
        routes.replace("UP", &format!("\"{}\"", upstream.url()))
    )
}

fn ask(gateway: &Gateway, client: &str, target: &str, fields: &[&str]) -> Response {
    let client = format!("X-Forwarded-For: {client}");
    let fields = [&[&*client, "Connection: close"], fields].concat();
    gateway.client().exchange("GET", "h", target, &fields)
}

/// The members of a list of structured fields: name and parameters.
fn members(text: &str) -> Vec<(String, Vec<(String, u64)>)> {
    let member = |item: &str| {
        let mut parts = item.trim().split(';');
        let name = parts.next().expect("a name").trim_matches('"').to_owned();
        let number = |part: &str| {
            let (key, value) = part.split_once('=').expect("a parameter");
            (key.to_owned(), value.parse().expect("a number"))
        };
        (name, parts.map(number).collect())
    };
    text.split(',').map(member).collect()
}

fn of(name: &str, parameters: &[(&str, u64)]) -> (String, Vec<(String, u64)>) {
    let all = parameters.iter().map(|(key, value)| ((*key).to_owned(), *value));
    (name.to_owned(), all.collect())
}

const THREE: &str = "policies: { rate_limit: { per-ip: { limit: 3/h, burst: 3 } } }\n";

#[test]
fn allowed_and_limited_answers_say_how_things_stand() {
    let (gateway, upstream) = start(THREE, "  app: { to: UP, rate_limit: per-ip }\n");
    for left in [2, 1, 0] {
        let answer = ask(&gateway, "203.0.113.7", "/a", &[]);
        assert_eq!(answer.status, 200);
        let policy = members(answer.header("ratelimit-policy").expect("a policy"));
        assert_eq!(policy, [of("per-ip", &[("q", 3), ("w", 3600)])]);
        let limit = members(answer.header("ratelimit").expect("a limit"));
        assert_eq!(limit[0].1[0], ("r".to_owned(), left));
        assert!((1..=1200).contains(&limit[0].1[1].1), "{limit:?}");
        assert!(answer.header("x-ratelimit-limit").is_none());
    }
    let answer = ask(&gateway, "203.0.113.7", "/a", &[]);
    assert_eq!((answer.status, answer.reason().as_str()), (429, "rate_limited"));
    let limit = members(answer.header("ratelimit").expect("a limit"));
    let again: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    assert_eq!(limit[0].1[0], ("r".to_owned(), 0));
    assert!(again >= limit[0].1[1].1 && again <= 1200, "{again} {limit:?}");
    let problem = answer.json();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["violated-policies"], serde_json::json!(["per-ip"]));
    assert_eq!((&problem["status"], &problem["route"]), (&429.into(), &"app".into()));
    let status = answer.header("proxy-status").expect("it is ours");
    assert!(status.ends_with("error=http_request_error;status-code=429;details=\"rate_limited\""));
    assert_eq!(ask(&gateway, "203.0.113.8", "/a", &[]).status, 200, "somebody else");
    assert_eq!(upstream.requests().len(), 4);
    let count = |result| {
        let labels = [("kind", "rate_limit"), ("policy", "per-ip"), ("result", result)];
        gateway.metric("tidegate_policy_decisions_total", &labels)
    };
    assert_eq!((count("allowed"), count("denied")), (Some(4.0), Some(1.0)));
    let line = gateway.access_log(5).into_iter().find(|line| line["status"] == 429).unwrap();
    assert_eq!(line["reason"], "rate_limited", "{line}");
    assert!(line["detail"].as_str().expect("a detail").contains("per-ip"), "{line}");
}

/// On a kept connection of a client nobody trusts, our own fields go past the map of headers.
#[test]
fn http1_http2_and_grpc_are_told_the_same() {
    let server = crate::support::grpc::GrpcServer::start();
    let upstream = Raw::text("in");
    let gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         routes:\n  app: {{ match: /app, to: \"{}\", rate_limit: {{ limit: 3/h, burst: 3 }} }}\n  \
         echo: {{ match: \"/tide.Echo/**\", to: \"{}\", rate_limit: {{ limit: 1/h }} }}\n",
        upstream.url(),
        server.url()
    ));
    let mut client = gateway.client();
    let first = client.get("h", "/app");
    let answer = client.get("h", "/app");
    assert_eq!((answer.status, answer.text().as_str()), (200, "in"));
    assert_eq!(answer.head.all("ratelimit").len(), 1);
    assert!(answer.header("ratelimit").unwrap().starts_with("\"app\";r=1;t="), "{answer:?}");
    assert_eq!(answer.header("ratelimit-policy"), first.header("ratelimit-policy"));
    assert!(answer.header("x-request-id").is_some() && answer.header("via").is_some());
    let url = format!("{}/app", gateway.url("http"));
    let h2 = curl(&["--http2-prior-knowledge", &url]);
    assert_eq!((h2.status, h2.version.as_str()), (200, "2"));
    assert!(h2.head.contains("ratelimit: \"app\";r=0;t="), "{}", h2.head);
    let h2 = curl(&["--http2-prior-knowledge", &url]);
    assert_eq!(h2.status, 429);
    assert!(h2.head.contains("retry-after: ") && h2.head.contains("ratelimit-policy: \"app\";q=3"));
    assert!(h2.text().contains("\"violated-policies\":[\"app\"]"), "{}", h2.text());
    let limited = client.get("h", "/app");
    assert_eq!(limited.status, 429);
    assert!(limited.header("ratelimit").unwrap().starts_with("\"app\";r=0;t="));
    assert_eq!(client.get("h", "/nowhere").status, 404, "the connection goes on");
    let address = gateway.addr("http");
    block_on(async {
        use crate::support::grpc::{GrpcClient, Note};
        let mut client = GrpcClient::connect(address).await;
        let answer = client.unary(tonic::Request::new(Note::new("a", 1))).await.expect("one");
        let told = answer.metadata().get("ratelimit").expect("a limit").to_str().unwrap();
        assert!(told.starts_with("\"echo\";r=0;t="), "{told}");
        let status = client.unary(tonic::Request::new(Note::new("a", 1))).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(status.metadata().get("retry-after").is_some(), "{status:?}");
        assert!(status.metadata().get("ratelimit").is_some(), "{status:?}");
    });
}

#[test]
fn clients_are_told_in_the_form_the_file_says() {
    let (gateway, _upstream) = start(
        "",
        "  legacy: { match: /legacy, to: UP, rate_limit: { limit: 100/min, headers: legacy } }\n  \
         both: { match: /both, to: UP, rate_limit: { limit: [10/s, 50/day], headers: both } }\n  \
         silent: { match: /none, to: UP, rate_limit: { limit: 1/min, headers: none } }\n  \
         two: { match: /two, to: UP, rate_limit: [10/s, 5/day] }\n",
    );
    let answer = ask(&gateway, "203.0.113.7", "/legacy", &[]);
    assert!(answer.header("ratelimit").is_none());
    assert_eq!(answer.header("x-ratelimit-limit"), Some("100"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("9"));
    assert_eq!(answer.header("x-ratelimit-reset"), Some("1"));
    let answer = ask(&gateway, "203.0.113.7", "/both", &[]);
    let policy = members(answer.header("ratelimit-policy").expect("a policy"));
    let (second, day) =
        (of("both-s", &[("q", 10), ("w", 1)]), of("both-day", &[("q", 50), ("w", 86400)]));
    assert_eq!(policy, [second, day]);
    assert_eq!(answer.header("x-ratelimit-limit"), Some("10"), "the one that is met first");
    assert_eq!(ask(&gateway, "203.0.113.7", "/none", &[]).status, 200);
    let answer = ask(&gateway, "203.0.113.7", "/none", &[]);
    assert_eq!(answer.status, 429);
    assert!(answer.header("ratelimit").is_none() && answer.header("x-ratelimit-limit").is_none());
    assert!(answer.header("retry-after").is_some());
    let answer = ask(&gateway, "203.0.113.7", "/two", &[]);
    let names: Vec<_> =
        members(answer.header("ratelimit").unwrap()).into_iter().map(|m| m.0).collect();
    assert_eq!(names, ["two", "two-2"]);
}

/// The address is the client's own, past trusted proxies; IPv6 counts by network; some are exempt.
#[test]
fn addresses_and_who_is_exempt() {
    let (gateway, _upstream) = start(
        "policies:\n  rate_limit:\n    wide: { limit: 1/h, ipv6_prefix: 48 }\n    \
         staff: { limit: 1/h, exempt: [203.0.113.0/24, \"2001:db8:5::/48\"] }\n",
        "  app: { match: /app, to: UP, rate_limit: 1/h }\n  \
         wide: { match: /wide, to: UP, rate_limit: wide }\n  \
         staff: { match: /staff, to: UP, rate_limit: staff }\n",
    );
    let expect = |target: &str, cases: &[(&str, u16)]| {
        for (client, status) in cases {
            assert_eq!(ask(&gateway, client, target, &[]).status, *status, "{target} {client}");
        }
    };
    expect(
        "/app",
        &[
            ("203.0.113.7", 200),
            ("203.0.113.7", 429),
            ("::ffff:203.0.113.7", 429),
            // Whoever writes the left of the list is not believed.
            ("198.51.100.1, 203.0.113.7", 429),
            ("203.0.113.8", 200),
            ("2001:db8:1:1::1", 200),
            ("2001:db8:1:1:ffff::2", 429),
            ("2001:db8:1:2::1", 200),
        ],
    );
    expect("/wide", &[("2001:db8:1:1::1", 200), ("2001:db8:1:2::1", 429), ("2001:db8:2::1", 200)]);
    let exempt = [
        ("203.0.113.7", 200),
        ("203.0.113.7", 200),
        ("2001:db8:5::1", 200),
        ("2001:db8:5::1", 200),
    ];
    expect("/staff", &exempt);
    expect("/staff", &[("198.51.100.1", 200), ("198.51.100.1", 429)]);
    assert!(ask(&gateway, "203.0.113.7", "/staff", &[]).header("ratelimit").is_none());
}

/// Limits by who it is come after `auth`, all others before it.
#[test]
fn by_who_it_is_and_by_what_the_request_says() {
    let (gateway, upstream) = start(
        &format!(
            "policies:\n  auth: {{ partners: {{ api_key: {{ keys: {{ ann: {ANN}, bob: {BOB} }} }} }} }}\n  \
             rate_limit:\n    per-partner: {{ limit: 2/h, burst: 2, key: consumer }}\n    \
             each: {{ limit: 1/h, key: [client_ip, route] }}\n"
        ),
        "  app: { match: /app, to: UP, auth: partners, rate_limit: [per-partner, { limit: 4/h, burst: 4 }] }\n  \
         tenants: { match: /tenants, to: UP, rate_limit: { limit: 1/h, key: [header:x-tenant, query:q] } }\n  \
         one: { match: /one, to: UP, rate_limit: each }\n  \
         two: { match: /two, to: UP, rate_limit: each }\n",
    );
    let key = |key: &str| format!("X-Api-Key: {key}");
    let app = |client: &str, field: &str| ask(&gateway, client, "/app", &[field]).status;
    // Guessing keys costs as well.
    assert_eq!([app("192.0.2.1", "x: y"), app("192.0.2.1", &key("wrong"))], [401, 401]);
    assert_eq!([app("192.0.2.1", &key(ANN)), app("192.0.2.1", &key(ANN))], [200, 200]);
    assert_eq!(app("192.0.2.1", &key(ANN)), 429, "by the address");
    assert_eq!(app("192.0.2.2", &key(ANN)), 429, "by the name, wherever she is");
    assert_eq!(app("192.0.2.2", &key(BOB)), 200);
    assert_eq!(upstream.requests().len(), 3);
    let tenants = |target: &str, fields: &[&str]| ask(&gateway, "192.0.2.1", target, fields).status;
    assert_eq!(tenants("/tenants?q=1", &["X-Tenant: a"]), 200);
    assert_eq!(tenants("/tenants?q=1", &["X-Tenant: a"]), 429);
    assert_eq!(tenants("/tenants?q=2", &["X-Tenant: a"]), 200);
    assert_eq!(tenants("/tenants?q=1", &["X-Tenant: b"]), 200);
    assert_eq!(tenants("/tenants", &[]), 200);
    assert_eq!(tenants("/tenants?other=1", &[]), 429, "who says nothing shares one bucket");
    assert_eq!(
        tenants("/tenants?q=1&q=3", &["X-Tenant: a", "X-Tenant: c"]),
        429,
        "and who says two"
    );
    for target in ["/one", "/two"] {
        assert_eq!([tenants(target, &[]), tenants(target, &[])], [200, 429], "{target}");
    }
}

/// Tokens of an issuer; what they say of the plan is a text, a number or nothing.
#[test]
fn by_what_a_token_says() {
    let signer = Signer::new("ES256", "a");
    let issuer = Issuer::start(&[&signer]);
    let (gateway, upstream) = start(
        &format!(
            "policies:\n  auth: {{ users: {{ jwt: {{ issuer: \"{}\", audience: api }} }} }}\n  \
             rate_limit: {{ per-plan: {{ limit: 2/h, burst: 2, key: \"claim:plan\" }} }}\n",
            issuer.url()
        ),
        "  app: { match: /app, to: UP, auth: users, rate_limit: per-plan }\n  \
         open: { match: /open, to: UP, auth: users }\n",
    );
    let token = |subject: &str, plan: serde_json::Value| {
        let mut claims = issuer.claims(subject);
        claims["plan"] = plan;
        format!("Authorization: Bearer {}", signer.token(&claims))
    };
    let ask = |target: &str, token: &str| ask(&gateway, "192.0.2.1", target, &[token]).status;
    let (ann, bob, eve) =
        (token("ann", "free".into()), token("bob", "free".into()), token("eve", 7.into()));
    until("the keys", || ask("/open", &ann) == 200);
    let before = upstream.requests().len();
    assert_eq!([ask("/app", &ann), ask("/app", &bob), ask("/app", &ann)], [200, 200, 429]);
    assert_eq!(ask("/app", &bob), 429, "all of a plan share its bucket");
    assert_eq!([ask("/app", &eve), ask("/app", &eve), ask("/app", &eve)], [200, 200, 429]);
    let nobody = token("zoe", serde_json::Value::Null);
    assert_eq!([ask("/app", &nobody), ask("/app", &nobody), ask("/app", &nobody)], [200, 200, 429]);
    assert_eq!(ask("/app", "x: y"), 401, "who it is comes first");
    assert_eq!(upstream.requests().len() - before, 6);
}

#[test]
fn the_access_log_names_the_limit() {
    let (gateway, _upstream) = start(
        THREE,
        "  app: { match: /app, to: UP, rate_limit: [per-ip, { limit: 100/h, burst: 1 }] }\n  \
         open: { match: /open, to: UP }\n",
    );
    for (target, status) in [("/app", 200), ("/app", 429), ("/open", 200)] {
        assert_eq!(ask(&gateway, "203.0.113.7", target, &[]).status, status);
    }
    // Lines of two workers are in no order.
    let mut lines = gateway.access_log(3);
    lines.sort_by_key(|line| (line["path"].to_string(), line["status"].as_u64()));
    let seen: Vec<_> = lines.iter().map(|line| (&line["reason"], line.get("rate_limit"))).collect();
    let app = serde_json::json!("app-2");
    let limited = serde_json::json!("rate_limited");
    let null = serde_json::Value::Null;
    assert_eq!(seen, [(&null, Some(&app)), (&limited, Some(&app)), (&null, None)]);
}

#[test]
fn requests_cost_what_the_file_or_the_answer_says() {
    let upstream = Raw::always(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Cost: 4\r\nRateLimit: \"theirs\";r=5\r\n\r\nin",
    );
    let routes = "  tokens: { match: /tokens, to: UP, rate_limit: { limit: 10/h, burst: 10, cost: header:x-cost } }\n  \
         writes: { match: /writes, to: UP, rate_limit: { limit: 10/h, burst: 10, cost: { POST: 6 } } }\n";
    let gateway = Gateway::start(&file(&upstream, "", routes));
    for left in [6, 2, 0] {
        let answer = ask(&gateway, "203.0.113.7", "/tokens", &[]);
        assert_eq!(answer.status, 200);
        assert!(answer.header("x-cost").is_none(), "it was for us");
        let all = answer.head.all("ratelimit").join(", ");
        let told = members(&all);
        assert!(told.contains(&of("theirs", &[("r", 5)])), "{all}");
        let ours = told.iter().find(|member| member.0 == "tokens").expect("ours");
        assert_eq!(ours.1[0], ("r".to_owned(), left));
    }
    let answer = ask(&gateway, "203.0.113.7", "/tokens", &[]);
    assert_eq!(answer.status, 429, "two more than there were are owed");
    let again: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1050..=1080).contains(&again), "{again}");
    let send = |method: &str| {
        let fields = ["X-Forwarded-For: 203.0.113.7", "Content-Length: 0", "Connection: close"];
        gateway.client().exchange(method, "h", "/writes", &fields).status
    };
    assert_eq!([send("POST"), send("POST"), send("GET")], [200, 429, 200]);
}

#[test]
fn a_shadow_refuses_nobody() {
    let (gateway, _upstream) =
        start("", "  app: { to: UP, rate_limit: { limit: 1/h, mode: shadow } }\n");
    for _ in 0..3 {
        let answer = ask(&gateway, "203.0.113.7", "/a", &[]);
        assert_eq!(answer.status, 200);
        assert!(answer.header("ratelimit").is_none(), "it does not bind");
    }
    let count = |result| {
        let labels = [("route", "app"), ("kind", "rate_limit"), ("result", result)];
        gateway.metric("tidegate_policy_decisions_total", &labels)
    };
    assert_eq!((count("allowed"), count("shadow"), count("denied")), (Some(1.0), Some(2.0), None));
}

#[test]
fn reloads_keep_what_was_counted_unless_it_means_something_else() {
    let routes = "  app: { match: /app, to: UP, rate_limit: per-ip }\n  \
                  other: { match: /other, to: UP, rate_limit: [per-ip, 100/h] }\n  \
                  inline: { match: /inline, to: UP, rate_limit: { limit: 2/h, burst: 2 } }\n";
    let (gateway, upstream) = start(THREE, routes);
    let left = |target: &str| {
        let answer = ask(&gateway, "203.0.113.7", target, &[]);
        members(answer.header("ratelimit").expect("a limit"))[0].1[0].1
    };
    assert_eq!((left("/app"), left("/other"), left("/inline")), (2, 1, 1), "one bucket for both");
    let changed = THREE.replace("burst: 3", "burst: 3, headers: both, exempt: 10.0.0.0/8");
    let said = gateway.reload(&file(&upstream, &changed, &routes.replace("100/h", "200/h")));
    assert!(said.contains("~ policy rate_limit.per-ip  headers: draft → both"), "{said}");
    let anew = "~ route other  rate_limit.limit: 100/h → 200/h; counts from nothing";
    assert!(said.contains(anew), "{said}");
    assert_eq!(said.matches("counts from nothing").count(), 1, "{said}");
    assert_eq!((left("/app"), left("/inline")), (0, 0), "nothing is forgotten");
    assert_eq!(ask(&gateway, "203.0.113.7", "/other", &[]).status, 429);
    let changed = THREE.replace("3/h", "4/h");
    let said = gateway.reload(&file(&upstream, &changed, routes));
    let line = said.lines().find(|line| line.contains("policy rate_limit.per-ip  limit: 3/h"));
    assert!(line.is_some_and(|line| line.contains("; counts from nothing")), "{said}");
    assert_eq!((left("/app"), left("/inline")), (2, 0));
}

/// Many at once on both workers: what passes is what the file says.
#[test]
fn under_load_exactly_so_many_pass() {
    let upstream = Raw::text("in");
    let gateway = Gateway::start(&format!(
        "server: {{ workers: 2 }}\nroutes: {{ app: {{ to: \"{}\", rate_limit: {{ limit: 50/s, burst: 25 }} }} }}\n",
        upstream.url()
    ));
    let started = tokio::time::Instant::now();
    let load = h2load(&["--h1", "-c", "16", "-t", "2", "-D", "3", &gateway.url("http")]);
    let took = started.elapsed().as_secs_f64();
    let labels = [("kind", "rate_limit"), ("result", "allowed")];
    let allowed = gateway.metric("tidegate_policy_decisions_total", &labels).expect("some");
    let offered = allowed
        + gateway
            .metric(
                "tidegate_policy_decisions_total",
                &[("kind", "rate_limit"), ("result", "denied")],
            )
            .expect("some");
    assert!(load.ok > 0 && offered > 10.0 * allowed, "{offered} {allowed}");
    let (least, most) = (25.0 + 50.0 * 2.9, 25.0 + 50.0 * took + 1.0);
    assert!(allowed >= least && allowed <= most, "{allowed} is not in {least} to {most}");
}
