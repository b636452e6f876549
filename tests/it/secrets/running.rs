//! Secrets in a running gateway: keys, passwords and tokens that are shown to it, in a file that is read again.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::Said;
use crate::support::{
    gateway::{everything, temporary, tidegate},
    issuer::{Issuer, Signer},
    prelude::*,
    tools::curl,
};

/// Of `password`.
const PASSWORD: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

/// A file with a secret in every place, and what can be asked of it.
struct Planted {
    file: String,
    secrets: Vec<String>,
}

fn planted(issuer: &Issuer, upstream: &Raw, mark: &str) -> Planted {
    let of = |what: &str| format!("pl4nted-{mark}-{what}-0123456789");
    let digest =
        format!("{}{}", "5ec4e7", "0a".repeat(28)) + if mark == "old" { "01" } else { "02" };
    let (hash, url) = (PASSWORD, upstream.url());
    let (key, query, cookie) = (of("header"), of("query"), of("cookie"));
    let (sticky, etcd, value) = (of("sticky"), of("etcd"), of("value"));
    let file = format!(
        "logs: {{ level: trace, format: json, access: {{ to: \"HOME/access.log\", headers: {{ \
           request: [authorization, cookie, proxy-authorization, user-agent], response: [set-cookie] }} }} }}\n\
         upstreams:\n  \
           pinned: {{ endpoints: [\"{url}\"], sticky: {{ cookie: pin, secret: {sticky} }} }}\n  \
           found: {{ connect_timeout: 1s, discover: {{ etcd: {{ endpoints: [\"http://127.0.0.1:1\"], prefix: /a, user: u, password: {etcd} }} }} }}\n\
         policies:\n  auth:\n    \
           key: {{ api_key: {{ keys: {{ ann: {key} }} }} }}\n    \
           hashed: {{ api_key: {{ keys: {{ ann: {digest} }}, hash: sha256 }} }}\n    \
           query: {{ api_key: {{ from: query:key, keys: {{ ann: {query} }} }} }}\n    \
           cookie: {{ api_key: {{ from: cookie:sid, keys: {{ ann: {cookie} }} }} }}\n    \
           users: {{ basic: {{ users: {{ ann: \"{hash}\" }} }} }}\n    \
           file: {{ api_key: {{ keys_file: HOME/keys }} }}\n    \
           people: {{ basic: {{ users_file: HOME/people }} }}\n    \
           token: {{ jwt: {{ issuer: \"{}\", audience: api }} }}\n\
         routes:\n  \
           key: {{ match: /key, to: pinned, auth: key, headers: {{ request: {{ set: {{ X-Value: \"${{VALUE:-{value}}}\" }} }} }} }}\n  \
           hashed: {{ match: /hashed, to: pinned, auth: hashed }}\n  \
           query: {{ match: /query, to: pinned, auth: query }}\n  \
           cookie: {{ match: /cookie, to: pinned, auth: cookie }}\n  \
           users: {{ match: /users, to: pinned, auth: users }}\n  \
           file: {{ match: /file, to: pinned, auth: file }}\n  \
           people: {{ match: /people, to: pinned, auth: people }}\n  \
           token: {{ match: /token, to: pinned, auth: token, authorize: {{ allow: \"claims.sub == 'ann' && has(claims.x)\" }} }}\n  \
           dead: {{ match: /dead, to: \"http://127.0.0.1:1\", auth: key }}\n  \
           found: {{ match: /found, to: found, auth: key }}\n",
        issuer.url()
    );
    Planted {
        file,
        secrets: vec![key, query, cookie, sticky, etcd, value, digest, hash.to_owned()],
    }
}

/// What can go right and wrong with what a request shows.
fn requests(planted: &[String], token: &str, wrong: &str) -> Vec<(String, String)> {
    let (key, query, cookie) = (&planted[0], &planted[1], &planted[2]);
    let basic = |pair: &str| STANDARD.encode(pair);
    [
        ("/key", format!("X-Api-Key: {key}")),
        ("/key", "X-Api-Key: pl4nted-wrong".to_owned()),
        ("/hashed", "X-Api-Key: pl4nted-wrong".to_owned()),
        ("/query?key=PLANTED", "X-A: b".to_owned()),
        ("/query?key=pl4nted-wrong&a=b", "X-A: b".to_owned()),
        ("/cookie", format!("Cookie: a=b; sid={cookie}")),
        ("/cookie", "Cookie: sid=pl4nted-wrong".to_owned()),
        ("/users", format!("Authorization: Basic {}", basic("ann:password"))),
        ("/users", format!("Authorization: Basic {}", basic("ann:pl4nted-wrong"))),
        ("/users", "Authorization: Basic pl4nted-wrong".to_owned()),
        ("/users", "Authorization: pl4nted-wrong".to_owned()),
        ("/people", format!("Authorization: Basic {}", basic("ann:pl4nted-wrong"))),
        ("/file", "X-Api-Key: pl4nted-file-0123456789".to_owned()),
        ("/token", format!("Authorization: Bearer {token}")),
        ("/token", format!("Authorization: Bearer {wrong}")),
        ("/token", "Authorization: Bearer pl4nted-wrong".to_owned()),
        ("/dead", format!("X-Api-Key: {key}")),
        ("/found", format!("X-Api-Key: {key}")),
        ("/none", format!("X-Api-Key: {key}\r\nAuthorization: Bearer {token}")),
        ("/key", format!("Proxy-Authorization: Basic pl4nted-wrong\r\nX-Api-Key: {key}")),
        // Refused before anything was understood.
        ("/%2f", "Authorization: Bearer pl4nted-wrong".to_owned()),
        ("/key", "Authorization: Bearer pl4nted-wrong\r\nAuthorization: pl4nted-wrong".to_owned()),
    ]
    .map(|(target, shown)| (target.replace("PLANTED", query), shown))
    .to_vec()
}

/// Sends them, and hears what the gateway says.
fn ask(gateway: &Gateway, requests: &[(String, String)], said: &mut Said) -> usize {
    let mut asked = 0;
    for (target, shown) in requests {
        for accept in ["application/json", "text/html", "application/grpc"] {
            let kind = format!("Content-Type: {accept}");
            let accept = format!("Accept: {accept}");
            let fields = [&**shown, &accept, &kind, "Connection: close"];
            let answer = gateway.client().exchange("GET", "h", target, &fields);
            asked += 1;
            // An upstream that answers with what it was sent is no output of the gateway.
            if answer.status != 200 || answer.header("grpc-status").is_some() {
                said.hear(format!("the answer to {target} {shown:?}"), format!("{answer:?}"));
            }
        }
    }
    asked
}

/// Everything that can be asked of a gateway, these requests among it, and how it ends.
pub(super) fn everywhere(mut gateway: Gateway, requests: &[(String, String)], said: &mut Said) {
    said.hear("the access log", fs::read_to_string(gateway.home().join("access.log")).unwrap());
    let socket = gateway.socket();
    for path in ["status", "", "reload", "config", "history", "diff", "none"] {
        let url = format!("http://x/{path}");
        let answer = curl(&["--unix-socket", socket.to_str().unwrap(), &url]);
        said.hear(format!("the admin socket: {path}"), answer.text());
    }
    for target in ["/metrics", "/readyz?verbose", "/livez", "/startupz", "/none"] {
        said.hear(target, gateway.admin(target).text());
    }
    for (target, shown) in requests {
        let url = format!("http://127.0.0.1{target}");
        let fields = shown.split("\r\n").flat_map(|field| ["-H", field]);
        let words: Vec<&str> = ["explain", "GET", &url].into_iter().chain(fields).collect();
        let live = [&words[..], &["--live", "--format", "json"]].concat();
        for output in [tidegate(gateway.home(), &words), gateway.verb(&live)] {
            // The file is perhaps one that was refused.
            assert!(matches!(output.status.code(), Some(0 | 1 | 4)), "{}", everything(&output));
            said.hear(format!("`explain` of {target} {shown:?}"), everything(&output));
        }
    }
    for verb in [&["version"][..], &["help"], &["check"], &["check", "--format", "json"]] {
        said.hear(verb.join(" "), everything(&tidegate(gateway.home(), verb)));
    }
    for verb in [&["reload", "--wait"][..], &["drain"]] {
        said.hear(verb.join(" "), everything(&gateway.verb(verb)));
    }
    gateway.wait();
    said.hear("the log", gateway.logs());
}

/// What of tokens and passwords is never said.
fn shown(token: &str, wrong: &str) -> Vec<String> {
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    vec![
        "pl4nted-file".to_owned(),
        "pl4nted-wrong".to_owned(),
        "ann:password".to_owned(),
        STANDARD.encode("ann:password"),
        STANDARD.encode("ann:pl4nted-wrong"),
        // Alone worth as much as the tokens.
        signature(token),
        signature(wrong),
    ]
}

#[test]
fn nothing_that_happens_while_it_runs_shows_a_secret() {
    let signer = Signer::new("ES256", "a");
    let (issuer, upstream) = (Issuer::start(&[&signer]), Raw::echo());
    let (home, mut said) = (temporary(), Said::default());
    let directory = home.path().display().to_string();
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    write("keys", "ann pl4nted-file-0123456789\n");
    write("people", &format!("ann:{PASSWORD}\n"));
    let complete = |planted: &Planted| planted.file.replace("HOME", &directory);
    let (old, new) = (planted(&issuer, &upstream, "old"), planted(&issuer, &upstream, "new"));
    let mut gateway = Gateway::builder().home(&home).start(&complete(&old));
    let token = signer.token(&issuer.claims("ann"));
    let wrong = Signer::new("ES256", "a").token(&issuer.claims("ann"));
    until("the keys", || {
        let shown = format!("Authorization: Bearer {token}");
        gateway.client().exchange("GET", "h", "/token", &[&shown, "Connection: close"]).status
            == 403
    });
    let requests = requests(&old.secrets, &token, &wrong);
    let asked = ask(&gateway, &requests, &mut said);
    // Other files with other secrets: what is different, and what is refused.
    said.hear("the difference", gateway.reload(&complete(&new)));
    let broken =
        complete(&new).replace("sticky: { cookie: pin,", "sticky: { cookie: pin, frobnicate: 1,");
    assert_ne!(broken, complete(&new));
    gateway.write(&broken);
    said.hear("the refusal", everything(&gateway.verb(&["reload", "--wait"])));
    // Files of secrets that break while it runs.
    write("keys", "ann pl4nted-file\nbob pl4nted-file-0123456789 too\n");
    write("people", "ann:pl4nted-file\nbob\n");
    gateway.wait_log(&["keys"]);
    let lines = gateway.access_log(asked);
    assert!(lines.iter().any(|line| line["consumer"] == "ann"), "they did pass");
    everywhere(gateway, &requests, &mut said);
    said.has_none_of(&[old.secrets, new.secrets, shown(&token, &wrong)].concat());
}
