//! What must hold over time: thousands of reloads under load lose nothing and leak nothing, and ten
//! thousand idle connections fit. These take the machine alone.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    time::Instant,
};
use tokio_rustls::client::TlsStream;

use crate::support::{
    gateway::{Usage, alone},
    prelude::*,
    tls,
    tools::{Load, h2load},
    websocket::{EchoServer, Socket},
};

/// A number from the environment, for longer runs by hand.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Runs h2load again and again until told to stop; the sum of all runs.
fn load_until(
    stop: &Arc<AtomicBool>,
    arguments: &[&str],
    url: &str,
) -> std::thread::JoinHandle<Load> {
    let stop = Arc::clone(stop);
    let arguments: Vec<String> =
        arguments.iter().map(|&text| text.to_owned()).chain([url.to_owned()]).collect();
    std::thread::spawn(move || {
        let mut sum = Load { succeeded: 0, failed: 0, ok: 0 };
        while !stop.load(Ordering::SeqCst) {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let load = h2load(&arguments);
            sum.succeeded += load.succeeded;
            sum.failed += load.failed;
            sum.ok += load.ok;
        }
        sum
    })
}

#[test]
fn thousands_of_reloads_under_load_lose_nothing_and_leak_nothing() {
    let _machine = alone();
    let reloads = setting("TIDEGATE_TEST_RELOADS", 2000);
    let nginx = Nginx::start("location / { return 200 \"0123456789\"; }");
    let echo = EchoServer::start();
    let authority = Authority::new();
    let issued = authority.issue("site", &["localhost", "127.0.0.1"]);
    let file = |word: &str| {
        format!(
            "listeners:\n  http: {{ address: \"127.0.0.1:0\" }}\n  https: {{ address: \"127.0.0.1:0\", tls: true }}\n\
             tls: {{ certificates: [{}] }}\nlogs: {{ level: warn, format: json, access: none }}\n\
             upstreams: {{ nginx: {{ endpoints: [\"{}\"], pool: {{ idle: 1s }} }}, echo: \"{}\", only-{word}: \"http://127.0.0.1:1\" }}\n\
             routes:\n  app: {{ match: \"/load/**\", to: nginx, headers: {{ response: {{ set: {{ X-Table: {word} }} }} }} }}\n\
             \x20 ws: {{ match: /ws, to: echo }}\n  {word}: {{ match: /{word}, to: only-{word} }}\n",
            issued.yaml(),
            nginx.url(),
            echo.url()
        )
    };
    // `level: warn` would hide the addresses: start with the normal level, they are logged once.
    let gateway = Gateway::builder().measured().start(&file("one").replace("level: warn, ", ""));
    let mut admin = Client::unix(&gateway.socket());
    let mut number = 0_usize;
    let mut reload = |gateway: &Gateway| {
        number += 1;
        gateway.write(&file(if number.is_multiple_of(2) { "one" } else { "two" }));
        let answer = admin.exchange("POST", "admin", "/reload?wait", &["Content-Length: 0"]);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let mut socket = Socket::connect(gateway.addr("http"), "h", "/ws").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let load = |scheme: &str, arguments: &[&str]| {
        load_until(&stop, arguments, &format!("{}/load/x", gateway.url(scheme)))
    };
    let loads = [
        load("http", &["--h1", "-n", "5000", "-c", "4"]),
        load("https", &["-n", "5000", "-c", "2", "-m", "8"]),
    ];

    let start = Instant::now();
    for _ in 0..reloads / 10 {
        reload(&gateway);
    }
    let before = gateway.usage();
    for round in 0..reloads - reloads / 10 {
        reload(&gateway);
        if round % 100 == 0 {
            assert_eq!(socket.ask("alive").as_deref(), Some("alive"), "after {round} reloads");
        }
    }
    stop.store(true, Ordering::SeqCst);
    let took = start.elapsed();
    let loads = loads.map(|load| load.join().expect("the load ran"));
    for load in loads {
        assert!(load.succeeded >= 5000, "{load:?}");
        assert_eq!((load.failed, load.ok), (0, load.succeeded), "{load:?}");
    }
    assert_eq!(socket.ask("to the end").as_deref(), Some("to the end"));
    assert_eq!(gateway.metric("tidegate_config_last_reload_successful", &[]), Some(1.0));
    // However the watcher and the socket share the work, each file was applied once.
    let status = Client::unix(&gateway.socket()).get("admin", "/status").json();
    assert_eq!(status["config"]["reloads_applied"], reloads, "{status}");
    let word = if reloads.is_multiple_of(2) { "one" } else { "two" };
    assert_eq!(gateway.get("h", "/load/x").header("x-table"), Some(word));
    let after = settles(&gateway, before);
    let [h1, h2] = loads.map(|load| load.succeeded);
    eprintln!(
        "{reloads} reloads in {took:?} under load: {h1} requests over h1 and {h2} over h2, 0 failed; \
         before {before:?}, after {after:?}"
    );
    socket.close();
}

/// Waits until the process is back where it was: threads and descriptors exactly, memory within noise.
#[track_caller]
fn settles(gateway: &Gateway, before: Usage) -> Usage {
    eventually(&format!("back to {before:?} from {:?}", gateway.usage()), || {
        let now = gateway.usage();
        // A leak would show once per reload; the pool of blocking threads breathes.
        let settled = now.threads <= before.threads + 4
            && now.descriptors <= before.descriptors
            && now.resident <= before.resident + 8 * 1024;
        settled.then_some(now)
    })
}

/// Opens one TLS connection, makes one request on it and keeps it.
async fn idle(address: SocketAddr, config: Arc<rustls::ClientConfig>) -> TlsStream<TcpStream> {
    let mut stream = tls::connect_async(address, "a.example", config).await.expect("a handshake");
    ask(&mut stream).await;
    stream
}

async fn ask(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await.expect("a request");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0, "closed");
    }
}

#[test]
fn ten_thousand_idle_tls_connections_fit_into_300_mb() {
    let _machine = alone();
    let count = setting("TIDEGATE_TEST_CONNECTIONS", 10_000);
    // Both processes need a descriptor for each.
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        wanted >= count as u64 + 500,
        "the hard limit of descriptors is {wanted}: `ulimit -Hn`"
    );
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let authority = Authority::new();
    let gateway = Gateway::builder().measured().start(&format!(
        "listeners: {{ https: {{ address: \"127.0.0.1:0\", tls: true, timeouts: {{ idle: 10m }} }} }}\n\
         tls: {{ certificates: [{}] }}\nlogs: {{ format: json, access: none }}\n\
         routes: {{ app: {{ respond: {{ status: 200, body: ok }} }} }}\n",
        authority.issue("a", &["a.example"]).yaml()
    ));
    let address = gateway.addr("https");
    let config = authority.client(&["http/1.1"]);
    let empty = gateway.usage().resident;
    // The streams live on this runtime until the end.
    let runtime = runtime();
    let connections = block_on_long(&runtime, async {
        let mut open = Vec::with_capacity(count);
        while open.len() < count {
            let batch = (count - open.len()).min(64);
            let tasks: Vec<_> =
                (0..batch).map(|_| tokio::spawn(idle(address, Arc::clone(&config)))).collect();
            for task in tasks {
                open.push(task.await.expect("the connection is made"));
            }
        }
        open
    });
    let used = gateway.usage();
    assert!(used.descriptors > count, "{used:?}");
    assert_eq!(
        gateway.metric("tidegate_connections", &[("listener", "https")]),
        Some(count as f64)
    );
    let at_once = used.resident;
    // A connection is idle once its protocol state was put away; the sweep does that after 3 s.
    pause(Duration::from_secs(6));
    let settled = gateway.usage().resident;
    let each = |resident: u64| resident.saturating_sub(empty) * 1024 / count as u64;
    eprintln!(
        "{count} idle TLS connections: {at_once} KiB resident at once ({} bytes each), {settled} KiB \
         6 s later ({} bytes each), {empty} KiB before",
        each(at_once),
        each(settled)
    );
    let allowed = (300_000_000 / 1024 * count as u64 / 10_000).max(60_000);
    assert!(settled <= allowed, "{settled} KiB resident for {count} connections");
    // Parked connections still answer.
    let mut connections = connections;
    block_on_long(&runtime, async {
        for stream in connections.iter_mut().step_by(100) {
            ask(stream).await;
        }
    });
    drop(connections);
    until("all are let go", || gateway.usage().descriptors < count / 10);
}

/// A runtime for work that is long by nature.
fn runtime() -> Runtime {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("threads are free")
}

/// Like [`block_on`], with more patience.
fn block_on_long<F: Future>(runtime: &Runtime, future: F) -> F::Output {
    runtime.block_on(async {
        tokio::time::timeout(30 * DEADLINE, future).await.expect("ten minutes are enough")
    })
}
