//! Examples for the page, each under the heading of what it shows. They load.

use super::super::read;

/// Part of the language, and lines of a file.
pub(super) const EXAMPLES: &[(&str, &str)] = &[
    (
        "",
        r#"
version: 1
routes:
  app: { to: "http://127.0.0.1:3000" }   # listens on :8080, takes every request
"#,
    ),
    (
        "listeners.NAME",
        r#"
listeners:
  http: { address: ":80", https_redirect: true }
  https: { address: ":443", tls: true, trusted_proxies: [10.0.0.0/8] }
tls:
  certificates: [{ cert: /etc/certs/tls.crt, key: /etc/certs/tls.key }]
"#,
    ),
    (
        "tls.client_auth",
        r#"
tls:
  certificates: [{ cert: /etc/certs/tls.crt, key: /etc/certs/tls.key }]
  client_auth: { mode: optional, ca: /etc/certs/clients.pem }
listeners: { https: { address: ":443", tls: true } }
"#,
    ),
    (
        "upstreams.NAME",
        r#"
upstreams:
  blog: http://127.0.0.1:3000
  shop:
    endpoints: [http://shop-1:8080, { url: "http://shop-2:8080", weight: 2 }]
    health: /healthz
    breaker: { errors: 30% }
"#,
    ),
    (
        "upstreams.NAME.discover",
        r#"
upstreams:
  orders: { discover: { dns: { name: _http._tcp.orders.internal, type: srv } } }
  shop: { discover: { file: /run/tidegate/shop.yaml } }
"#,
    ),
    (
        "upstreams.NAME.sticky",
        r#"
upstreams:
  carts:
    endpoints: [http://carts-1:8080, http://carts-2:8080]
    sticky: { cookie: tg_carts, ttl: 1h, secret: "${STICKY_SECRET}" }
"#,
    ),
    (
        "routes.NAME",
        r#"
routes:
  orders:
    match: shop.example.com/orders/**
    to: http://127.0.0.1:3000
    strip_prefix: /orders
    timeouts: { request: 10s }
    rate_limit: 100/min
  old: { match: old.example.com, redirect: "https://shop.example.com{path}" }
  robots: { match: /robots.txt, respond: { body: "User-agent: *\nDisallow: /\n" } }
"#,
    ),
    (
        "routes.NAME.match",
        r#"
routes:
  short: { match: "GET shop.example.com/orders/{id}", to: "http://127.0.0.1:3000" }
  long:
    match:
      host: [shop.example.com, "*.shops.example.com"]
      path: /orders/**
      method: [GET, POST]
      headers: { X-Beta: present }
      query: { lang: de }
    to: http://127.0.0.1:3001
"#,
    ),
    (
        "routes.NAME.mirror",
        r#"
routes:
  orders:
    to: http://127.0.0.1:3000
    mirror: { to: "http://127.0.0.1:3001", percent: 5%, compare: { body: true } }
"#,
    ),
    (
        "routes.NAME.rate_limit",
        r#"
routes:
  api:
    to: http://127.0.0.1:3000
    rate_limit: { limit: [10/s, 1000/h], burst: 20, key: header:x-tenant }
"#,
    ),
    (
        "routes.NAME.concurrency",
        r#"
routes:
  reports:
    to: http://127.0.0.1:3000
    concurrency: { limit: 20, queue: { max: 50, timeout: 500ms } }
"#,
    ),
    (
        "routes.NAME.priority_class",
        r#"
routes:
  api:
    to: http://127.0.0.1:3000
    priority_class: { by: header:x-plan, classes: { paid: high, free: low } }
"#,
    ),
    (
        "routes.NAME.headers",
        r#"
routes:
  app:
    to: http://127.0.0.1:3000
    headers:
      request: { set: { X-Gateway: tidegate } }
      response: { remove: [Server] }
"#,
    ),
    (
        "routes.NAME.timeouts",
        r#"
defaults: { timeouts: { request: 30s } }
routes:
  slow: { to: "http://127.0.0.1:3000", timeouts: { request: 5m, idle: 5m } }
"#,
    ),
    (
        "routes.NAME.retry",
        r#"
routes:
  short: { match: /a/**, to: "http://127.0.0.1:3000", retry: 2 }
  long:
    match: /b/**
    to: http://127.0.0.1:3000
    retry: { times: 2, when: [connect, reset, 503], backoff: 50ms }
"#,
    ),
    (
        "policies",
        r#"
policies:
  timeouts: { long: { request: 5m } }
  rate_limit: { few: 10/min }
routes:
  reports: { to: "http://127.0.0.1:3000", timeouts: long, rate_limit: few }
"#,
    ),
    (
        "policies.auth.NAME",
        r#"
policies:
  auth:
    partners: { api_key: { keys_file: /run/secrets/keys }, pass_consumer: X-Consumer }
    users: { jwt: { issuer: "https://idp.example.com", audience: orders } }
routes:
  orders: { to: "http://127.0.0.1:3000", auth: { any: [partners, users] } }
"#,
    ),
    (
        "policies.auth.NAME.external",
        r#"
policies:
  auth:
    guard:
      external: { url: "http://127.0.0.1:9000/verify", response_headers: [X-User], timeout: 500ms }
routes:
  app: { to: "http://127.0.0.1:3000", auth: guard }
"#,
    ),
    (
        "policies.authorize.NAME",
        r#"
policies:
  authorize:
    readers: { allow: "request.method in ['GET', 'HEAD']", message: read only }
routes:
  app: { to: "http://127.0.0.1:3000", authorize: readers }
"#,
    ),
    (
        "defaults",
        r#"
defaults:
  timeouts: { request: 30s }
  retry: 1
  upstream: { connect_timeout: 250ms, health: /healthz }
routes:
  app: { to: "http://127.0.0.1:3000", timeouts: { idle: 5m } }   # request: 30s, idle: 5m
"#,
    ),
    (
        "stores.NAME",
        r#"
stores: { main: { redis: "redis://redis.internal:6379", gateways: 3 } }
routes:
  api: { to: "http://127.0.0.1:3000", rate_limit: { limit: 1000/min, store: main } }
"#,
    ),
    (
        "logs.access",
        r#"
logs:
  access: { format: json, to: /var/log/tidegate/access.json, only: { status: 400-599, slower_than: 1s } }
"#,
    ),
    (
        "server",
        r#"
server:
  drain: { delay: 10s, timeout: 1m }
  overload: {}
"#,
    ),
    (
        "tests[]",
        r#"
routes:
  orders: { match: /orders/**, to: "http://127.0.0.1:3000" }
tests:
  - { request: GET http://localhost/orders/7, route: orders, path: /orders/7 }
  - { request: GET http://localhost/other, status: 404 }
"#,
    ),
];

#[test]
fn every_example_loads() {
    for (path, text) in EXAMPLES {
        let mut file = text.trim_start().replace("${STICKY_SECRET}", "0123456789abcdef");
        if !file.contains("version: 1") {
            file.insert_str(0, "version: 1\n");
        }
        if !file.contains("routes:") {
            file.push_str("routes: { app: { respond: 200 } }\n");
        }
        let loaded = read(&file);
        assert!(loaded.config.is_some(), "{path}:\n{}", loaded.render(false));
    }
}
