//! `tidegate check` for programs, and with a look at what is there.

use std::{fs, net::TcpListener};

use serde_json::Value;

use crate::support::{
    certs::{Authority, Issued},
    gateway::{everything, temporary, tidegate},
    prelude::*,
};

/// Exit code and both streams.
#[track_caller]
fn check(file: &str, arguments: &[&str]) -> (i32, String) {
    let home = temporary();
    fs::write(home.path().join("routes.yaml"), file).unwrap();
    let all: Vec<&str> = ["check"].iter().chain(arguments).copied().collect();
    let output = tidegate(home.path(), &all);
    (output.status.code().unwrap_or(-1), everything(&output))
}

const WRONG: &str = "version: 1\nroutes:\n  a: { match: /x, respond: 200 }\n  b: { match: /x, respnd: 200 }\n  c: { match: /x, respond: 204 }\n";
const WARNED: &str =
    "version: 1\nupstreams: { u: \"http://127.0.0.1:1\" }\nroutes: { a: { respond: 200 } }\n";

#[test]
fn code_scanning_gets_sarif() {
    let (code, said) = check(WRONG, &["--format", "sarif"]);
    assert_eq!(code, 1, "{said}");
    let log: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let results = log["runs"][0]["results"].as_array().unwrap();
    let unknown =
        results.iter().find(|it| it["message"]["text"].as_str().unwrap().contains("respnd"));
    let unknown = unknown.unwrap_or_else(|| panic!("{log:#}"));
    let region = &unknown["locations"][0]["physicalLocation"];
    assert_eq!(
        (&region["region"]["startLine"], &region["region"]["startColumn"]),
        (&4.into(), &19.into())
    );
    assert_eq!(
        (&region["artifactLocation"]["uri"], &unknown["level"]),
        (&"routes.yaml".into(), &"error".into())
    );
    assert!(unknown["message"]["text"].as_str().unwrap().contains("did you mean `respond`?"));
    // Both places of a conflict.
    let (_, said) = check(
        "version: 1\nroutes:\n  a: { match: /x, respond: 200 }\n  c: { match: /x, respond: 204 }\n",
        &["--format", "sarif"],
    );
    let log: Value = serde_json::from_str(&said).unwrap();
    let conflict = &log["runs"][0]["results"][0];
    assert_eq!(conflict["relatedLocations"].as_array().unwrap().len(), 1, "{log:#}");
    let (code, said) =
        check("version: 1\nroutes: { a: { respond: 200 } }\n", &["--format", "sarif"]);
    let log: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, log["runs"][0]["results"].as_array().map(Vec::len)), (0, Some(0)));
}

#[test]
fn a_workflow_gets_annotations() {
    let (code, said) = check(WRONG, &["--format", "github"]);
    let line = "::error file=routes.yaml,line=4,col=19::unknown key `respnd` in route `b`%0Adid you mean `respond`?";
    assert!(code == 1 && said.lines().any(|it| it == line), "{said}");
    let (code, said) = check(WARNED, &["--format", "github"]);
    assert!(code == 0 && said.starts_with("::warning file=routes.yaml,line=2,col=14::"), "{said}");
    assert_eq!(check(WARNED, &["--format", "github", "--strict"]).0, 1);
}

#[test]
fn what_is_named_is_looked_for() {
    let there = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = |url: &str, listener: &str| {
        format!(
            "version: 1\nlisteners: {{ http: \"{listener}\" }}\nroutes: {{ a: {{ to: \"{url}\" }} }}\n"
        )
    };
    let good = format!("http://{}", there.local_addr().unwrap());
    let (code, said) = check(&file(&good, "127.0.0.1:0"), &["--online"]);
    assert!(code == 0 && said.contains(&format!("ok      upstream  {good}")), "{said}");
    let bad = format!("http://{gone}");
    let (code, said) = check(&file(&bad, "127.0.0.1:0"), &["--online"]);
    for part in ["FAILED", "cannot be connected to", "routes.yaml:3:20", "1 error"] {
        assert!(code == 1 && said.contains(part), "no {part:?}: {said}");
    }
    assert_eq!(check(&file(&bad, "127.0.0.1:0"), &[]).0, 0, "nothing is asked unless it is wanted");
    // The gateway may be running.
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = check(&file(&good, &address), &["--online"]);
    assert!(code == 0 && said.contains("in use, perhaps by the gateway"), "{said}");
    assert_eq!(check(&file(&good, &address), &["--online", "--strict"]).0, 1);
    let (_, said) = check(&file(&bad, "127.0.0.1:0"), &["--online", "--format", "json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["online"][1]["ok"], false, "{said:#}");
}

#[test]
fn keys_of_issuers_are_fetched() {
    // That of RFC 8037.
    const KEYS: &str = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    let issuer = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            let found = request.head.first.contains(" /keys ");
            let (status, body) = if found { ("200 OK", KEYS) } else { ("404 Not Found", "no") };
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    });
    let file = |path: &str| {
        format!(
            "version: 1\nlisteners: {{ http: \"127.0.0.1:0\" }}\nroutes:\n  a:\n    respond: 200\n    auth: {{ jwt: {{ issuer: x, audience: any, jwks: \"{}{path}\" }} }}\n",
            issuer.url()
        )
    };
    let (code, said) = check(&file("/none"), &["--online"]);
    assert!(code == 1 && said.contains("it answered 404"), "{said}");
    let (code, said) = check(&file("/keys"), &["--online"]);
    let line = format!("ok      keys of `inline`, route a  {}/keys  1 key (", issuer.url());
    assert!(code == 0 && said.contains(&line), "{said}");
}

/// Certificate and key, as they stand in a file.
fn pair(certificate: &Issued, key: &Issued) -> String {
    format!("{{ cert: {}, key: {} }}", certificate.cert.display(), key.key.display())
}

#[test]
fn all_that_is_wrong_is_said_in_one_run() {
    let authority = Authority::new();
    let old = authority.issue_client("old", &[], -100);
    let soon = authority.issue_client("soon", &[], 100_000);
    let (good, other) = (authority.issue("good", &["a.example"]), authority.issue("other", &["b"]));
    let file = format!(
        "version: 1\nlisteners:\n  http: \":8080\"\n  https: {{ address: \":8443\", tls: true }}\ntls:\n  certificates:\n    \
         - {}\n    - {}\n    - {}\nroutes:\n  a: {{ match: /x, respond: 200 }}\n  b: {{ match: /x, respond: 204 }}\n  \
         c: {{ match: /x, respnd: 200 }}\n  d: {{ match: /d/**, respond: 200 }}\n  e: {{ match: /d/**, respond: 204, priority: 1 }}\n  \
         f: {{ match: /f, respond: 204, auth: {{ api_key: {{ keys: {{ ann: 0123456789abcdef }} }} }} }}\n",
        pair(&old, &old),
        pair(&good, &other),
        pair(&soon, &soon),
    );
    let (code, said) = check(&file, &[]);
    assert_eq!(code, 1, "{said}");
    for part in [
        "warning: credentials for route `f` can be read on their way: listener `http` has no TLS\n  --> routes.yaml:3:9",
        "old.crt: the certificate expired on ",
        "other.key: the key does not belong to the certificate",
        "soon.crt: the certificate expires in 1 day, on ",
        "error: routes `a` and `b` match the same requests\n  --> routes.yaml:11:15",
        "both take GET example.com/x",
        "error: unknown key `respnd` in route `c`\n  --> routes.yaml:13:",
        "warning: route `d` is never reached here\n  --> routes.yaml:14:15",
        "`e` takes every such request",
    ] {
        assert!(said.contains(part), "no {part:?}: {said}");
    }
    // Nobody knows which requests `c` is for, and what it is not held against is not public either.
    assert!(!said.contains("`c` match") && !said.contains("and `c`"), "{said}");
    assert!(!said.contains("public, for there is no auth"), "{said}");
}

#[test]
fn paths_no_request_has_are_mistakes_unless_the_file_lets_them_be() {
    let file = |server: &str| {
        format!(
            "version: 1\n{server}routes:\n  a: {{ match: /a//b, respond: 204 }}\n  b: {{ match: /a%2fb, respond: 204 }}\n"
        )
    };
    let (code, said) = check(&file(""), &[]);
    assert_eq!(code, 1, "{said}");
    for part in [
        "error: `/a//b`: no request has this path: empty segments are left out before matching\n --> routes.yaml:3:15",
        "error: `/a%2fb`: no request has this path: an encoded slash is refused with 400\n --> routes.yaml:4:15",
        "write one `/` instead of several",
        "2 errors",
    ] {
        assert!(said.contains(part), "no {part:?}: {said}");
    }
    let kept = "server: { normalize: { merge_slashes: false, encoded_slash: keep } }\n";
    let (code, said) = check(&file(kept), &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn expressions_that_cannot_be_told_apart_are_not_said_to_be_the_same() {
    let (code, said) = check(
        "version: 1\nroutes:\n  a: { match: \"/a/{y:[a-z]+}\", respond: 204 }\n  b: { match: \"/a/{z:[0-9]+}\", respond: 204 }\n",
        &[],
    );
    assert_eq!(code, 1, "{said}");
    let part = "routes `a` and `b` may match the same requests: it cannot be told";
    assert!(said.contains(part), "{said}");
}

#[test]
fn the_end_is_what_is_open_to_whom() {
    let authority = Authority::new();
    let shop = authority.issue("shop", &["shop.example.com", "*.apps.example.com"]);
    let file = format!(
        "version: 1\nlisteners:\n  http: {{ address: \":8080\", https_redirect: true }}\n  \
         https: {{ address: \":8443\", tls: true }}\n  inside: \":9090\"\ntls: {{ certificates: [{}] }}\n\
         policies: {{ auth: {{ keys: {{ api_key: {{ keys: {{ ann: 0123456789abcdef }} }} }} }} }}\nroutes:\n  \
         orders: {{ match: shop.example.com/orders/**, respond: 200, auth: keys, rate_limit: 100/min }}\n  \
         shop: {{ match: shop.example.com/**, respond: 200 }}\n  wiki: {{ match: {{ host: wiki.example.com, listener: https }}, respond: 200 }}\n",
        pair(&shop, &shop),
    );
    let (code, said) = check(&file, &[]);
    let expected = "\
warning: credentials for route `orders` can be read on their way: listener `inside` has no TLS
 --> routes.yaml:5:11
  |
5 |   inside: \":9090\"
  |           ^^^^^^^
...
9 |   orders: { match: shop.example.com/orders/**, respond: 200, auth: keys, rate_limit: 100/min }
  |                                                                    ---- asked for here
  |
  = help: who reads them can use them: `tls` in the listener, `127.0.0.1:9090` for this machine only, or `trusted_proxies` if TLS ends in front of it

warning: listener `https`: no certificate is for `wiki.example.com` of route `wiki`
  --> routes.yaml:11:26
   |
11 |   wiki: { match: { host: wiki.example.com, listener: https }, respond: 200 }
   |                          ^^^^^^^^^^^^^^^^
   |
   = help: clients are shown one for other names, and refuse it; there are certificates for shop.example.com, *.apps.example.com

2 warnings in 1 file
";
    assert!(code == 0 && said.contains(expected), "{said}");
    let table = "\
ok: 3 routes, 0 upstreams, 3 listeners

listener  route   match                       auth            limit
all       shop    shop.example.com/**         none            none
https     wiki    wiki.example.com/**         none            none
all       orders  shop.example.com/orders/**  keys (api_key)  100/min
redirected to HTTPS: http
public, for there is no auth: shop, wiki
";
    assert!(said.contains(table), "{said}");
    assert_eq!(check(&file, &["--strict"]).0, 1);
}
