//! `tidegate import`: a real nginx and a gateway with what was made of its file, asked the same.

use crate::support::{
    gateway::{everything, temporary, tidegate},
    http::{Client, Response},
    prelude::*,
};

const USERS: &str = "ann:$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe\n";
/// `ann:password`
const ANN: &str = "Authorization: Basic YW5uOnBhc3N3b3Jk";

/// An upstream that says its name, and what it was asked.
fn upstream(name: &str) -> Nginx {
    Nginx::start(&format!("location / {{ return 200 \"{name} $request_uri $host\"; }}"))
}

fn address(nginx: &Nginx) -> String {
    nginx.url().trim_start_matches("http://").to_owned()
}

fn conf(a: &str, b: &str, c: &str, users: &str) -> String {
    format!(
        r#"
    upstream pool {{ least_conn; server {a}; keepalive 4; }}
    server {{
        listen ADDRESS;
        server_name one.test;
        proxy_set_header X-Real-IP $remote_addr;
        location / {{ proxy_pass http://pool; }}
        location = / {{ proxy_pass http://{b}; }}
        location /api/ {{ proxy_pass http://{b}/; }}
        location /api/v2/ {{ proxy_pass http://{c}/v2/; proxy_set_header Host $host; }}
        location /open {{ proxy_pass http://{b}/new; }}
        location /opened {{ proxy_pass http://{c}; }}
        location ^~ /static/ {{ proxy_pass http://{c}; }}
        location ~ \.php$ {{ proxy_pass http://{b}; }}
        location ~* ^/img/.*\.(png|jpg)$ {{ proxy_pass http://{c}; }}
        location ~ /\.ht {{ deny all; }}
        location ~ /\.(?!well-known) {{ return 404; }}
        location "/with space/" {{ proxy_pass http://{b}; }}
        location /at@/ {{ proxy_pass http://{b}; }}
        location /img/ {{ proxy_pass http://{b}; }}
        location /inside/ {{ allow 127.0.0.1; deny all; proxy_pass http://{b}; }}
        location /outside/ {{ allow 10.0.0.0/8; deny all; proxy_pass http://{b}; }}
        location /users/ {{ auth_basic "Staff"; auth_basic_user_file {users}; proxy_pass http://{b}/; }}
        location /below {{ rewrite ^/below/(.*)$ /b/$1 break; proxy_pass http://{c}; }}
        location = /exact {{ proxy_pass http://{c}/one; }}
        location /gone/ {{ return 410; }}
        location /to/ {{ return 302 https://new.test$request_uri; }}
        location /moved/ {{ rewrite ^/(.*)$ https://new.test/$1 permanent; }}
        location = /text {{ return 200 "text"; }}
        location = /internal {{ internal; proxy_pass http://{b}; }}
    }}
    server {{
        listen ADDRESS default_server;
        server_name two.test *.two.test;
        location /app/ {{
            proxy_pass http://{b};
            location /app/deep/ {{ proxy_pass http://{c}/x/; }}
            location = /app/ping {{ return 204; }}
        }}
        location /plain {{ proxy_pass http://{c}; }}
    }}
    server {{ listen ADDRESS; server_name .three.test; return 301 http://two.test$request_uri; }}
"#
    )
}

const REQUESTS: [(&str, &str); 68] = [
    ("one.test", "/"),
    ("one.test", "/x"),
    ("one.test", "/x?q=1"),
    ("one.test", "/api"),
    ("one.test", "/api?q=1"),
    ("one.test", "/api/"),
    ("one.test", "/api/x/y?q=1"),
    ("one.test", "/apix"),
    ("one.test", "/api/v2/x"),
    ("one.test", "/api/v2"),
    ("one.test", "/api/v2x"),
    ("one.test", "/api/x.php"),
    ("one.test", "/api/v2/x.php"),
    ("one.test", "/open"),
    ("one.test", "/open/"),
    ("one.test", "/open/x?q"),
    ("one.test", "/openx/y"),
    ("one.test", "/opened"),
    ("one.test", "/openedx"),
    ("one.test", "/static/a.php"),
    ("one.test", "/static/.htaccess"),
    ("one.test", "/static"),
    ("one.test", "/a.php"),
    ("one.test", "/a.php/x"),
    ("one.test", "/a.PHP"),
    ("one.test", "/img/a.png"),
    ("one.test", "/img/a.PNG"),
    ("one.test", "/img/a.gif"),
    ("one.test", "/img/a.png/x"),
    ("one.test", "/.htaccess"),
    ("one.test", "/api/.htpasswd"),
    ("one.test", "/.git/config"),
    ("one.test", "/api/.git"),
    ("one.test", "/.well-known/x"),
    ("one.test", "/.well-known/.x"),
    ("one.test", "/.wellness"),
    ("one.test", "/with%20space"),
    ("one.test", "/with%20space/x"),
    ("one.test", "/at@"),
    ("one.test", "/at%40"),
    ("one.test", "/at%40/x"),
    ("one.test", "/inside/x"),
    ("one.test", "/outside/x"),
    ("one.test", "/outside/../api/x"),
    ("one.test", "/users/x"),
    ("one.test", "/below"),
    ("one.test", "/below/x/y?q"),
    ("one.test", "/belowx"),
    ("one.test", "/exact"),
    ("one.test", "/exact/"),
    ("one.test", "/gone/x"),
    ("one.test", "/gone"),
    ("one.test", "/to/x?q=1"),
    ("one.test", "/moved/x?q=1"),
    ("one.test", "/text"),
    ("one.test", "/internal"),
    ("one.test:8080", "/x"),
    ("two.test", "/app/x"),
    ("two.test", "/app"),
    ("two.test", "/app/deep/x"),
    ("two.test", "/app/deep"),
    ("two.test", "/app/ping"),
    ("any.two.test", "/app/x"),
    ("a.b.two.test", "/plainly"),
    ("unknown.test", "/app/x"),
    ("unknown.test", "/nothing"),
    ("three.test", "/x?q=1"),
    ("a.three.test", "/x"),
];

/// What counts of an answer: redirects to itself without the address.
fn seen(host: &str, answer: &Response) -> (u16, String, String) {
    let host = host.split(':').next().unwrap_or_default();
    let location = answer.header("location").unwrap_or_default().to_owned();
    let own = location.strip_prefix(&format!("http://{host}")).map(|rest| {
        let digits = rest
            .strip_prefix(':')
            .map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        digits.to_owned()
    });
    let body = if answer.status == 200 { answer.text() } else { String::new() };
    (answer.status, own.unwrap_or(location), body)
}

#[test]
fn nginx_and_what_is_made_of_its_file_do_the_same() {
    let (a, b, c) = (upstream("a"), upstream("b"), upstream("c"));
    let home = temporary();
    let users = home.path().join("users");
    std::fs::write(&users, USERS).unwrap();
    let text = conf(&address(&a), &address(&b), &address(&c), &users.display().to_string());
    let nginx = Nginx::http(&text);
    let file = nginx.file_path();
    let output = tidegate(home.path(), &["import", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", everything(&output));
    let yaml = String::from_utf8(output.stdout).unwrap();
    let listen = nginx.address().to_string();
    assert!(yaml.contains(&listen), "{yaml}");
    let gateway = Gateway::builder().home(&home).start(&yaml.replace(&listen, "127.0.0.1:0"));
    let listener = format!("http-{}", nginx.address().port());
    let ask = |to, host: &str, target: &str, more: &[&str]| {
        let fields: Vec<&str> = more.iter().copied().chain(["Connection: close"]).collect();
        seen(host, &Client::connect(to).exchange("GET", host, target, &fields))
    };
    let mut differences = Vec::new();
    for (host, target) in REQUESTS {
        let here = ask(gateway.addr(&listener), host, target, &[]);
        let there = ask(nginx.address(), host, target, &[]);
        if here != there {
            differences.push(format!("{host}{target}\n  nginx    {there:?}\n  tidegate {here:?}"));
        }
    }
    assert!(differences.is_empty(), "{}\n{yaml}", differences.join("\n"));
    let there = ask(nginx.address(), "one.test", "/users/x", &[ANN]);
    assert_eq!(there.0, 200, "nginx knows the password");
    assert_eq!(ask(gateway.addr(&listener), "one.test", "/users/x", &[ANN]), there);
}

#[test]
fn what_is_not_translated_fails_and_is_said() {
    let home = temporary();
    let conf = "server {\n listen 127.0.0.1:8080;\n location / {\n  auth_request /a;\n  proxy_pass http://127.0.0.1:1;\n }\n \
                location /users/ { auth_basic Staff; auth_basic_user_file users; proxy_pass http://127.0.0.1:1; }\n}\n";
    std::fs::write(home.path().join("users"), USERS).unwrap();
    std::fs::write(home.path().join("nginx.conf"), conf).unwrap();
    let output = tidegate(home.path(), &["import", "nginx.conf", "-o", "routes.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("nginx.conf:4: `auth_request /a`; see `external`"), "{said}");
    assert!(said.ends_with("1 thing not translated, each a TODO in the result\n"), "{said}");
    let made = std::fs::read_to_string(home.path().join("routes.yaml")).unwrap();
    assert!(made.contains("# TODO line 4: ") && made.contains("ip: closed"), "{made}");
    let users = home.path().join("users").display().to_string();
    assert!(made.contains(&format!("users_file: {users}")), "relative to the file: {made}");
    let checked = tidegate(home.path(), &["check", "-c", "routes.yaml"]);
    assert!(checked.status.success(), "{}", everything(&checked));
    let tested = tidegate(home.path(), &["test", "-c", "routes.yaml"]);
    assert!(tested.status.success(), "{}", everything(&tested));
    let laid_out = tidegate(home.path(), &["fmt", "--check", "routes.yaml"]);
    assert!(laid_out.status.success(), "{}", everything(&laid_out));
    let again = tidegate(home.path(), &["import", "nginx.conf", "-o", "routes.yaml"]);
    assert!(everything(&again).contains("cannot write `routes.yaml`"), "{}", everything(&again));
    assert_eq!(std::fs::read_to_string(home.path().join("routes.yaml")).unwrap(), made);
    // What is closed is closed.
    let gateway =
        Gateway::builder().home(&home).start(&made.replace("127.0.0.1:8080", "127.0.0.1:0"));
    let answer = Client::connect(gateway.addr("http-8080")).exchange(
        "GET",
        "a.test",
        "/",
        &["Connection: close"],
    );
    assert_eq!(answer.status, 403);
}
