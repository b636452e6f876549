//! `authorize`: what those who are known may do, what is counted, and what a refused client sees.

use serde_json::json;

use crate::support::{
    gateway::everything,
    issuer::{Issuer, Signer},
    prelude::*,
};

const ANN: &str = "x-api-key: ann-key-0123456789";
const BOB: &str = "x-api-key: bob-key-0123456789";

fn start(routes: &str) -> (Gateway, Raw) {
    let upstream = Raw::echo();
    let routes = routes.replace("UP", &upstream.url());
    let policies = "policies:\n  \
        auth: { partners: { api_key: { keys: { ann: ann-key-0123456789, bob: bob-key-0123456789 } }, pass_consumer: X-Consumer } }\n  \
        authorize:\n    \
          readers: { allow: \"request.method in ['GET', 'HEAD']\" }\n    \
          ann: { allow: \"consumer == 'ann'\", message: \"only ann may do this\" }\n    \
          inside: { deny: \"!inNetwork(client.ip, ['127.0.0.0/8', '::1'])\" }\n    \
          broken: { allow: \"request.headers['x-role'] == 'admin'\" }\n    \
          planned: { allow: \"request.query.token == 'x'\", mode: shadow }\n";
    let listeners = "listeners: { http: { address: \"127.0.0.1:0\", protocols: [h1, h2c] } }\n";
    (Gateway::start(&format!("{listeners}{policies}routes:\n{routes}")), upstream)
}

fn count(gateway: &Gateway, policy: &str, result: &str) -> Option<f64> {
    let labels = [("kind", "authorize"), ("policy", policy), ("result", result)];
    gateway.metric("tidegate_policy_decisions_total", &labels)
}

fn why(gateway: &Gateway, policy: &str, reason: &str) -> Option<f64> {
    let labels = [("kind", "authorize"), ("policy", policy), ("reason", reason)];
    gateway.metric("tidegate_policy_refusals_total", &labels)
}

#[test]
fn rules_refuse_what_they_do_not_allow_and_say_why() {
    let (gateway, upstream) = start(
        "  write: { match: /write, to: UP, auth: partners, authorize: { all: [inside, ann] } }\n  \
         read:  { match: /read/**, to: UP, authorize: { all: [readers, inside, planned] } }\n  \
         role:  { match: /role, to: UP, authorize: broken }\n",
    );
    let ask = |method: &str, target: &str, fields: &[&str]| {
        gateway.client().exchange(method, "h", target, &[fields, &["Connection: close"]].concat())
    };
    assert_eq!(ask("GET", "/write", &[]).status, 401, "`auth` stands before it");
    assert_eq!(ask("GET", "/write", &[ANN]).status, 200);
    let bob = ask("GET", "/write", &[BOB, "X-Consumer: ann"]);
    assert_eq!((bob.status, bob.reason().as_str()), (403, "forbidden"));
    assert!(bob.text().contains("only ann may do this"), "{}", bob.text());
    assert_eq!(bob.header("www-authenticate"), None);
    assert_eq!(ask("GET", "/read/a", &[]).status, 200);
    let post = ask("POST", "/read/a", &["Content-Length: 0"]);
    assert_eq!((post.status, post.reason().as_str()), (403, "forbidden"));
    // The path that is judged is the one that was matched and is sent.
    assert_eq!(ask("GET", "/x/../read/%61", &[]).echoed_target(), "/read/a");
    // What cannot be evaluated allows nothing.
    assert_eq!(ask("GET", "/role", &[]).status, 403);
    assert_eq!(ask("GET", "/role", &["X-Role: admin"]).status, 200);
    assert_eq!(ask("GET", "/role", &["X-Role: admin", "X-Role: admin"]).status, 403);
    assert_eq!(upstream.requests().len(), 4, "those refused cost it nothing");
    let lines = gateway.access_log(9);
    let said = |path: &str, detail: &str| {
        let lines = lines.iter().filter(|line| line["path"] == path);
        assert_eq!(lines.filter(|line| line["detail"] == detail).count(), 1, "{path}: {detail}");
    };
    said("/write", "rule_false for `ann`");
    said("/role", "rule_false for `broken`");
    said("/role", "rule_failed: a key that is not there for `broken`");
    assert_eq!(
        (count(&gateway, "ann", "allowed"), count(&gateway, "ann", "denied")),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(count(&gateway, "planned", "shadow"), Some(2.0));
    assert_eq!(
        (why(&gateway, "ann", "rule_false"), why(&gateway, "broken", "rule_failed")),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(why(&gateway, "planned", "rule_failed"), Some(2.0));
}

#[test]
fn over_http2_and_grpc_it_is_the_same() {
    let (gateway, upstream) = start("  app: { to: UP, auth: partners, authorize: ann }\n");
    let curl = |fields: &[&str]| {
        let fields: Vec<&str> = fields.iter().flat_map(|field| ["-H", field]).collect();
        curl(&[&["--http2-prior-knowledge", &gateway.url("http")], &*fields].concat())
    };
    assert_eq!((curl(&[ANN]).status, curl(&[BOB]).status), (200, 403));
    let grpc = curl(&[BOB, "content-type: application/grpc", "te: trailers"]);
    assert_eq!(grpc.status, 200);
    assert!(grpc.head.contains("grpc-status: 7"), "{}", grpc.head);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn defaults_are_inherited_as_a_whole_and_a_reload_changes_them() {
    let upstream = Raw::echo();
    let file = |rule: &str| {
        format!(
            "defaults: {{ authorize: {{ allow: \"{rule}\" }} }}\nroutes:\n  \
             app: {{ match: /app, to: \"{0}\" }}\n  open: {{ match: /open, to: \"{0}\", authorize: none }}\n  \
             own: {{ match: /own, to: \"{0}\", authorize: {{ allow: \"true\" }} }}\n",
            upstream.url()
        )
    };
    let gateway = Gateway::start(&file("false"));
    let statuses = || ["/app", "/open", "/own"].map(|target| gateway.get("h", target).status);
    assert_eq!(statuses(), [403, 200, 200]);
    let said = gateway.reload(&file("request.path == '/app'"));
    assert!(said.contains("authorize"), "{said}");
    assert_eq!(statuses(), [200, 200, 200]);
    gateway.write(&file("request.pth == '/app'"));
    let refused = gateway.verb(&["reload", "--wait"]);
    assert!(!refused.status.success());
    assert!(everything(&refused).contains("did you mean `path`?"), "{}", everything(&refused));
    assert_eq!(statuses(), [200, 200, 200], "a rule that is wrong changes nothing");
}

#[test]
fn claims_of_a_token_decide_and_a_crowd_of_them_gets_no_answer_in_no_time() {
    let signer = Signer::new("ES256", "a");
    let (issuer, upstream) = (Issuer::start(&[&signer]), Raw::echo());
    let gateway = Gateway::start(&format!(
        "policies: {{ auth: {{ users: {{ jwt: {{ issuer: \"{}\", audience: api }} }} }} }}\n\
         defaults: {{ auth: users }}\nroutes:\n  \
         admin: {{ match: /admin, to: \"{1}\", authorize: {{ allow: \"'admin' in claims.groups && claims.level >= 3\", \
                   deny: \"has(claims.locked) && claims.locked\" }} }}\n  \
         fresh: {{ match: /fresh, to: \"{1}\", authorize: {{ allow: \"now - timestamp(claims.auth_time) < duration('5m')\" }} }}\n  \
         dear:  {{ match: /dear, to: \"{1}\", authorize: {{ allow: \"claims.groups.all(a, claims.groups.exists(b, a + 'x' != b))\" }} }}\n  \
         any:   {{ match: /any, to: \"{1}\" }}\n",
        issuer.url(),
        upstream.url(),
    ));
    let status = |target: &str, more: &serde_json::Value| {
        let mut claims = issuer.claims("ann");
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let shown = format!("Authorization: Bearer {}", signer.token(&claims));
        gateway.client().exchange("GET", "h", target, &[&shown, "Connection: close"]).status
    };
    until("the keys", || status("/any", &json!({})) == 200);
    let groups = json!({ "groups": ["dev", "admin"], "level": 3 });
    assert_eq!(status("/admin", &groups), 200);
    for refused in [
        json!({}),
        json!({ "groups": ["dev"], "level": 3 }),
        json!({ "groups": ["admin"], "level": 2.5 }),
        json!({ "groups": ["admin"], "level": "3" }),
        json!({ "groups": "admin", "level": 3 }),
        json!({ "groups": { "admin": true } }),
        json!({ "groups": ["admin"], "level": 3, "locked": true }),
        json!({ "groups": ["admin"], "level": 3, "locked": "no" }),
    ] {
        assert_eq!(status("/admin", &refused), 403, "{refused}");
    }
    let now = crate::support::issuer::now();
    assert_eq!(status("/fresh", &json!({ "auth_time": now - 60 })), 200);
    assert_eq!(status("/fresh", &json!({ "auth_time": now - 400 })), 403);
    // As many groups as a head has room for.
    let crowd: Vec<_> = (0..2000).collect();
    assert_eq!(status("/dear", &json!({ "groups": ["a", "b"] })), 200);
    assert_eq!(status("/dear", &json!({ "groups": crowd })), 403);
    let labels = [("route", "dear"), ("reason", "rule_failed")];
    assert_eq!(gateway.metric("tidegate_policy_refusals_total", &labels), Some(1.0));
}
