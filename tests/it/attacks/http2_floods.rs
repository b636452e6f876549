//! Rows 60 to 67 at once on many connections: what a bystander notices, and what it costs in memory.

use std::{
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::support::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Field, Frames, HEADERS, INITIAL_WINDOW, PING,
        PRIORITY, UNKNOWN, block, frame, get, headers, reset, settings, window,
    },
    gateway::alone,
    prelude::*,
};

/// Connections of the attacker at any time.
const ATTACKERS: usize = 20;
/// How long each attack lasts.
const LASTS: Duration = Duration::from_millis(600);
/// Requests of the bystander per measurement, at least. Without optimisation each takes many times as
/// long, and there is no p99 to judge.
const SAMPLES: usize = if cfg!(debug_assertions) { 4 } else { 100 };

/// What one connection of an attack does, until it is ended or told to stop.
type Attack = fn(&mut Frames, &AtomicBool);

/// Sends a flood as fast as it is taken: fifty pieces, made once, again and again.
fn pour(client: &mut Frames, stop: &AtomicBool, flood: impl FnMut(u32) -> Vec<u8>) {
    let frames: Vec<u8> = (0..50).flat_map(flood).collect();
    while !stop.load(Ordering::Relaxed) && client.send(&frames) {}
}

/// Opens streams and resets them, each with a number of its own.
fn reset_all(client: &mut Frames, stop: &AtomicBool) {
    let head = block(&get("/", &[]));
    let pair = |n: u32| {
        let stream = 2 * n + 1;
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, &head), reset(stream)].concat()
    };
    for batch in 0..100_000 {
        let frames: Vec<u8> = (batch * 50..(batch + 1) * 50).flat_map(pair).collect();
        if stop.load(Ordering::Relaxed) || !client.send(frames) {
            return;
        }
    }
}

/// Opens as many streams as are let in and then takes nothing.
fn hold(client: &mut Frames, stop: &AtomicBool, fields: &[Field<'_>]) {
    for n in 0..128 {
        client.send(headers(2 * n + 1, END_STREAM, fields));
    }
    while !stop.load(Ordering::Relaxed) && client.send(frame(PING, 0, 0, &[0; 8])) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Settings the client begins with.
type With = &'static [(u16, u32)];

/// Most KiB of memory an attack may take. Without optimisation the tasks are half as large again.
const MOST: u64 = if cfg!(debug_assertions) { 16 } else { 10 } * 1024;
/// With open windows and a socket nobody reads, answers fill the buffers of their own connections: those
/// to the upstream, of which there are at most 512, and the sockets'.
const MOST_UNREAD: u64 = if cfg!(debug_assertions) { 128 } else { 64 } * 1024;

const ATTACKS: [(&str, With, Attack); 12] = [
    ("bomb", &[(INITIAL_WINDOW, 0)], |client, stop| {
        hold(client, stop, &get("/", &vec![(b"x".as_slice(), b"".as_slice()); 400]));
    }),
    ("bomb of cookie crumbs", &[(INITIAL_WINDOW, 0)], |client, stop| {
        hold(client, stop, &get("/", &vec![(b"cookie".as_slice(), b"".as_slice()); 400]));
    }),
    ("bomb within the limits", &[(INITIAL_WINDOW, 0)], |client, stop| {
        hold(client, stop, &get("/", &vec![(b"x".as_slice(), b"".as_slice()); 90]));
    }),
    ("large answers, closed window", &[(INITIAL_WINDOW, 0)], |client, stop| {
        hold(client, stop, &get("/large", &[]));
    }),
    ("large answers, window of one", &[(INITIAL_WINDOW, 1)], |client, stop| {
        hold(client, stop, &get("/large", &[]));
    }),
    ("large answers, no reading", &[(INITIAL_WINDOW, 1 << 30)], |client, stop| {
        client.send(window(0, 1 << 30));
        hold(client, stop, &get("/large", &[]));
    }),
    ("rapid reset", &[], reset_all),
    ("PING", &[], |client, stop| pour(client, stop, |_| frame(PING, 0, 0, &[0; 8]))),
    ("SETTINGS", &[], |client, stop| pour(client, stop, |_| settings(&[]))),
    ("PRIORITY and unknown", &[], |client, stop| {
        pour(client, stop, |n| {
            [frame(PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 1]), frame(UNKNOWN, 0, 0, &[0; 30])]
                .concat()
        });
    }),
    ("empty DATA", &[], |client, stop| {
        let mut post = get("/", &[]);
        post[0].1 = b"POST";
        client.send(headers(1, 0, &post));
        pour(client, stop, |_| frame(DATA, 0, 1, b""));
    }),
    ("CONTINUATION", &[], |client, stop| {
        client.send(frame(HEADERS, END_STREAM, 1, &block(&get("/", &[]))));
        pour(client, stop, |_| frame(CONTINUATION, 0, 1, b""));
    }),
];

/// Times of the requests of a client that does nothing wrong.
fn bystander(client: &mut Client, lasts: Duration) -> Vec<Duration> {
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < SAMPLES || begun.elapsed() < lasts {
        let sent = Instant::now();
        let answer = client.exchange("GET", "a", "/clean", &[]);
        times.push(sent.elapsed());
        assert_eq!(answer.status, 200);
        pause(Duration::from_millis(2));
    }
    times.sort();
    times
}

fn p99(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

/// Keeps the attack up on so many connections until told to stop, after a while.
fn attack(address: SocketAddr, with: With, attack: Attack) -> impl FnOnce(Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let attackers: Vec<_> = (0..ATTACKERS)
        .map(|_| {
            let stop = Arc::clone(&stop);
            let socket = Arc::new(Mutex::new(None));
            let open = Arc::clone(&socket);
            let thread = std::thread::spawn(move || {
                // An attacker computes on machines of its own, not on the gateway's and the bystander's.
                rustix::process::nice(19).expect("whoever may run may run less");
                loop {
                    let mut client = Frames::connect(address, with);
                    *open.lock() = Some(client.socket());
                    // Asked after the socket can be found: whoever stops us closes it, or we see it here.
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    attack(&mut client, &stop);
                    *open.lock() = None;
                    drop(client);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            (socket, thread)
        })
        .collect();
    move |after| {
        pause(after);
        stop.store(true, Ordering::Relaxed);
        // A write nobody reads would go on for as long as the gateway lingers.
        for (socket, _) in &attackers {
            let _ = socket.lock().as_ref().map(|open: &TcpStream| open.shutdown(Shutdown::Both));
        }
        for (_, thread) in attackers {
            thread.join().expect("an attacker does not panic");
        }
    }
}

/// What the bystander sees when as many threads as there are attackers leave the gateway alone and only
/// compute: what sharing a machine with them costs, whatever the gateway does.
fn beside_busy_neighbours(client: &mut Client) -> Vec<Duration> {
    let stop = Arc::new(AtomicBool::new(false));
    let neighbours: Vec<_> = (0..ATTACKERS)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                rustix::process::nice(19).expect("whoever may run may run less");
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let times = bystander(client, LASTS);
    stop.store(true, Ordering::Relaxed);
    for neighbour in neighbours {
        neighbour.join().expect("a neighbour does not panic");
    }
    times
}

#[test]
fn rows_60_to_67_a_bystander_hardly_notices_and_the_memory_comes_back() {
    let _alone = alone();
    let upstream = Raw::serve(|peer| {
        let large = vec![b'x'; 300_000];
        while let Some(request) = peer.head() {
            peer.ok(if request.word(1) == "/large" { &large } else { b"fine" });
        }
    });
    // Connections to an upstream are not what is measured here.
    let other = Raw::text("fine");
    let gateway = Gateway::builder().measured().start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         logs: {{ access: {{ to: /dev/null }} }}\n\
         routes: {{ app: {{ to: \"{}\" }}, clean: {{ match: /clean, to: \"{}\" }} }}\n",
        upstream.url(),
        other.url()
    ));
    let address = gateway.addr("http");
    let mut client = gateway.client();
    // What is only ever taken once must not count for the first attack.
    attack(address, ATTACKS[3].1, ATTACKS[3].2)(LASTS);
    bystander(&mut client, LASTS);
    let busy = p99(&beside_busy_neighbours(&mut client));
    println!("{ATTACKERS} threads that only compute: p99 {busy:?}");
    for (name, with, run) in ATTACKS {
        let quiet = p99(&bystander(&mut client, LASTS));
        let before = gateway.usage().resident;
        let stop = attack(address, with, run);
        let (mut peak, mut times) = (0, Vec::new());
        for _ in 0..5 {
            times.extend(bystander(&mut client, LASTS / 5));
            peak = peak.max(gateway.usage().resident);
        }
        stop(Duration::ZERO);
        times.sort();
        let loud = p99(&times);
        println!("{name}: p99 {quiet:?} -> {loud:?}; RSS {before} -> {peak} KiB");
        // Without optimisation it is the attackers' and our own slowness that is measured.
        let bound = Duration::from_millis(if cfg!(debug_assertions) { 30_000 } else { 20 });
        assert!(loud <= bound.max(3 * quiet), "{name}: p99 {quiet:?} -> {loud:?}");
        let most = if name.ends_with("no reading") { MOST_UNREAD } else { MOST };
        assert!(peak <= before + most, "{name}: {before} -> {peak} KiB");
        until("the memory comes back", || gateway.usage().resident <= before + MOST);
    }
}
