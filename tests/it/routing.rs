//! Which route takes a request, and what `respond`, `redirect`, `strip_prefix`, `rewrite` and `headers`
//! make of it.

use crate::support::{http::Response, prelude::*};

/// A route that answers its own name.
fn says(name: &str, rest: &str) -> String {
    format!("  {name}: {{ {rest}, respond: {{ status: 200, body: \"{name}\" }} }}\n")
}

fn table(routes: &[(&str, &str)]) -> Gateway {
    let routes: String = routes.iter().map(|(name, rest)| says(name, rest)).collect();
    Gateway::start(&format!("routes:\n{routes}"))
}

#[track_caller]
fn took(gateway: &Gateway, host: &str, target: &str, name: &str) {
    let answer = gateway.get(host, target);
    assert_eq!((answer.status, answer.text().as_str()), (200, name), "{host} {target}");
}

#[test]
fn the_more_exact_host_wins() {
    let gateway = table(&[
        ("any", "match: { path: \"/**\" }"),
        ("exact", "match: a.example.com"),
        ("one-label", "match: \"*.example.com\""),
        ("many-labels", "match: \"**.example.com\""),
        ("deeper", "match: \"*.b.example.com\""),
    ]);
    took(&gateway, "a.example.com", "/", "exact");
    took(&gateway, "A.Example.COM:8080", "/", "exact");
    took(&gateway, "x.example.com", "/", "one-label");
    took(&gateway, "x.y.example.com", "/", "many-labels");
    took(&gateway, "x.b.example.com", "/", "deeper");
    took(&gateway, "example.com", "/", "any");
    took(&gateway, "other.test", "/", "any");
}

#[test]
fn the_more_exact_path_wins_segment_by_segment() {
    let gateway = table(&[
        ("rest", "match: \"/**\""),
        ("orders", "match: \"/orders/**\""),
        ("exact", "match: /orders"),
        ("new", "match: /orders/new"),
        ("number", "match: \"/orders/{id:[0-9]+}\""),
        ("named", "match: \"/orders/{id}\""),
        ("regex", "match: { path: { regex: \"^/orders/x[a-z]*/y$\" } }"),
    ]);
    took(&gateway, "h", "/orders", "exact");
    took(&gateway, "h", "/orders/", "orders");
    took(&gateway, "h", "/orders/new", "new");
    took(&gateway, "h", "/orders/7", "number");
    took(&gateway, "h", "/orders/seven", "named");
    took(&gateway, "h", "/orders/xa/y", "regex");
    took(&gateway, "h", "/orders/7/items", "orders");
    took(&gateway, "h", "/orders-old", "rest");
    took(&gateway, "h", "/", "rest");
}

#[test]
fn conditions_break_ties_in_their_order() {
    let gateway = table(&[
        ("plain", "match: /c"),
        ("method", "match: { path: /c, method: [GET, POST] }"),
        ("header", "match: { path: /c, method: [GET], headers: { X-Beta: present } }"),
        ("query", "match: { path: /c, method: [GET], query: { lang: de } }"),
        ("priority", "match: { path: /p }, priority: 5"),
        ("no-priority", "match: { path: /p }"),
        ("local", "match: { path: /ip, client_ip: [127.0.0.0/8] }"),
        ("remote", "match: { path: /ip }"),
    ]);
    let ask = |method: &str, target: &str, fields: &[&str]| {
        gateway.client().exchange(method, "h", target, fields).text()
    };
    assert_eq!(ask("PUT", "/c", &[]), "plain");
    assert_eq!(ask("POST", "/c", &["Content-Length: 0"]), "method");
    assert_eq!(ask("GET", "/c", &["X-Beta: 0"]), "header");
    assert_eq!(ask("GET", "/c?lang=de", &[]), "query");
    assert_eq!(ask("GET", "/c?lang=de", &["X-Beta: 0"]), "header");
    assert_eq!(ask("GET", "/c?lang=en", &[]), "method");
    assert_eq!(ask("GET", "/p", &[]), "priority");
    assert_eq!(ask("GET", "/ip", &[]), "local");
}

#[test]
fn listeners_can_be_a_condition() {
    let gateway = Gateway::start(
        "listeners: { http: { address: \"127.0.0.1:0\" }, inner: { address: \"127.0.0.1:0\" } }\n\
         routes:\n  a: { match: { path: \"/**\", listener: inner }, respond: { status: 200, body: inner } }\n\
         \x20 b: { respond: { status: 200, body: any } }\n",
    );
    assert_eq!(gateway.get("h", "/").text(), "any");
    assert_eq!(Client::connect(gateway.addr("inner")).get("h", "/").text(), "inner");
}

#[test]
fn what_no_route_takes_is_404_or_405_with_the_reason() {
    let gateway = table(&[
        ("orders", "match: { host: shop.example, path: \"/orders/**\", method: [GET, POST] }"),
        ("off", "match: /off, enabled: false"),
    ]);
    let answer = gateway.get("shop.example", "/ordrs");
    assert_eq!((answer.status, answer.reason().as_str()), (404, "no_route"));
    assert_eq!(gateway.get("other.example", "/orders").status, 404);
    assert_eq!(gateway.get("h", "/off").status, 404);
    let answer = gateway.client().exchange("DELETE", "shop.example", "/orders/1", &[]);
    assert_eq!((answer.status, answer.reason().as_str()), (405, "method_not_allowed"));
    let allow = answer.header("allow").unwrap();
    assert!(["GET", "HEAD", "POST"].iter().all(|method| allow.contains(method)), "{allow}");
    let head = gateway.client().exchange("HEAD", "shop.example", "/orders/1", &[]);
    assert_eq!(head.status, 200, "GET takes HEAD");
}

#[test]
fn one_canonical_path_is_matched_and_sent() {
    let upstream = Raw::echo();
    let gateway = Gateway::start(&format!(
        "routes:\n  orders: {{ match: \"/orders/**\", to: \"{0}\" }}\n  admin: {{ match: \"/admin/**\", respond: 403 }}\n",
        upstream.url()
    ));
    let sent = |target: &str| gateway.get("h", target).echoed_target();
    assert_eq!(sent("/orders/%7euser"), "/orders/~user");
    assert_eq!(sent("/orders/%c3%a9"), "/orders/%C3%A9");
    assert_eq!(sent("//orders///7"), "/orders/7");
    assert_eq!(sent("/admin/../orders/7"), "/orders/7");
    assert_eq!(sent("/x/%2e%2e/orders/./7?q=/../a%2fb"), "/orders/7?q=/../a%2fb");
    assert_eq!(gateway.get("h", "/orders/../admin").status, 403);
    assert_eq!(gateway.get("h", "/orders/%2e%2E/admin/x").status, 403);
    let before = upstream.requests().len();
    for target in [
        "/orders/a%2Fb",
        "/orders/a%5cb",
        "/orders/a%00b",
        "/orders/a\\b",
        "/orders/%zz",
        "/orders/%1",
        "/orders/..;/x",
        "/orders/%01",
        "/orders/%c0%ae",
    ] {
        let answer = gateway.get("h", target);
        assert_eq!((answer.status, answer.reason().as_str()), (400, "bad_path"), "{target}");
    }
    assert_eq!(upstream.requests().len(), before, "nothing refused reaches the upstream");
}

#[test]
fn prefixes_are_stripped_and_paths_rewritten() {
    let upstream = Raw::echo();
    let to = format!("to: \"{}\"", upstream.url());
    let gateway = Gateway::start(&format!(
        "routes:\n  a: {{ match: \"/orders/**\", strip_prefix: /orders, {to} }}\n\
         \x20 b: {{ match: \"/lit/eral/{{id}}/**\", strip_prefix: true, {to} }}\n\
         \x20 c: {{ match: \"/old/{{id}}/**\", rewrite: \"/new/{{id}}/x/{{**}}\", {to} }}\n"
    ));
    let sent = |target: &str| gateway.get("h", target).echoed_target();
    assert_eq!(sent("/orders/7?a=1"), "/7?a=1");
    assert_eq!(sent("/orders"), "/");
    assert_eq!(sent("/orders/"), "/");
    assert_eq!(sent("/lit/eral/7/x"), "/7/x");
    assert_eq!(sent("/old/7/a/b?q"), "/new/7/x/a/b?q");
}

#[test]
fn redirects_keep_what_they_are_told_to() {
    let gateway = Gateway::start(
        "routes:\n  a: { match: old.example, redirect: { to: \"https://new.example{path}\", status: 301 } }\n\
         \x20 b: { match: bare.example, redirect: \"https://new.example/\" }\n\
         \x20 c: { match: drop.example, redirect: { to: \"https://new.example{path}\", keep_query: false } }\n",
    );
    let went = |answer: &Response| {
        (answer.status, answer.header("location").unwrap_or_default().to_owned())
    };
    let answer = gateway.get("old.example", "/a/b?c=d");
    assert_eq!(went(&answer), (301, "https://new.example/a/b?c=d".to_owned()));
    let answer = gateway.get("bare.example", "/a");
    assert_eq!(went(&answer), (308, "https://new.example/".to_owned()));
    let answer = gateway.get("drop.example", "/a?c=d");
    assert_eq!(went(&answer), (308, "https://new.example/a".to_owned()));
}

#[test]
fn headers_change_both_ways_and_on_our_own_errors_too() {
    let upstream = Raw::serve(|peer| {
        while let Some(request) = peer.request() {
            let seen: Vec<_> =
                ["x-set", "x-add", "x-gone"].map(|n| request.head.all(n).join("+")).to_vec();
            let body = seen.join("|");
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nServer: upstream\r\nX-Keep: 1\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
    });
    let gateway = Gateway::start(&format!(
        "defaults: {{ headers: {{ response: {{ set: {{ X-Frame-Options: DENY }} }} }} }}\n\
         routes:\n  a:\n    match: \"/ok/**\"\n    to: \"{}\"\n    headers:\n\
         \x20     request: {{ set: {{ X-Set: ours }}, add: {{ X-Add: ours }}, remove: [X-Gone] }}\n\
         \x20     response: {{ set: {{ X-Extra: a }}, remove: [Server] }}\n\
         \x20 b: {{ match: \"/down/**\", to: \"http://127.0.0.1:1\" }}\n",
        upstream.url()
    ));
    let fields = ["X-Set: theirs", "X-Add: theirs", "X-Gone: theirs"];
    let answer = gateway.client().exchange("GET", "h", "/ok/", &fields);
    assert_eq!(answer.text(), "ours|theirs+ours|");
    assert_eq!(answer.header("x-extra"), Some("a"));
    assert_eq!(answer.header("x-keep"), Some("1"));
    assert_eq!(answer.header("server"), None);
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    let answer = gateway.get("h", "/down/");
    assert_eq!((answer.status, answer.header("x-frame-options")), (502, Some("DENY")));
}

#[test]
fn weights_split_and_zero_means_never() {
    let (a, b, never) = (Raw::text("a"), Raw::text("b"), Raw::text("never"));
    let gateway = Gateway::start(&format!(
        "upstreams: {{ a: \"{}\", b: \"{}\", never: \"{}\" }}\n\
         routes: {{ app: {{ to: {{ a: 75, b: 25, never: 0 }} }} }}\n",
        a.url(),
        b.url(),
        never.url()
    ));
    let mut client = gateway.client();
    let answers: Vec<_> = (0..400).map(|_| client.get("h", "/").text()).collect();
    let of_b = answers.iter().filter(|text| *text == "b").count();
    assert!((50..=160).contains(&of_b), "b answered {of_b} of 400");
    assert!(!answers.contains(&"never".to_owned()));
}

#[test]
fn respond_answers_without_an_upstream() {
    let gateway = Gateway::start(
        "routes:\n  robots: { match: /robots.txt, respond: { status: 200, body: \"User-agent: *\\n\", headers: { Content-Type: text/plain } } }\n\
         \x20 gone: { match: /gone, respond: 410 }\n",
    );
    let answer = gateway.get("h", "/robots.txt");
    assert_eq!((answer.status, answer.text().as_str()), (200, "User-agent: *\n"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.header("content-length"), Some("14"));
    assert_eq!(gateway.get("h", "/gone").status, 410);
    let head = gateway.client().exchange("HEAD", "h", "/robots.txt", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
}
