//! A fleet of real services that register themselves in a real etcd, under the load of h2load: killed,
//! hung, slow and resetting ones, and no client sees any of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rustix::process::Signal;

use super::{answer_only, known};
use crate::support::{etcd::Etcd, prelude::*, tools::h2load};

/// Services whose registration is renewed as long as they are asked to.
struct Fleet {
    etcd: Etcd,
    services: Vec<Flask>,
}

impl Fleet {
    fn start(size: usize) -> Self {
        let etcd = Etcd::start();
        let services: Vec<_> = (0..size).map(|_| Flask::start()).collect();
        for (at, service) in services.iter().enumerate() {
            etcd.put(&format!("/fleet/{at}"), &service.url());
        }
        Self { etcd, services }
    }

    fn gateway(&self, settings: &str, route: &str) -> Gateway {
        Gateway::start(&format!(
            "upstreams:\n  app:\n    discover: {{ etcd: {{ endpoints: \"{}\", prefix: /fleet/ }} }}\n\
             {settings}routes: {{ app: {{ to: app, rewrite: /who, {route} }} }}\n",
            self.etcd.url()
        ))
    }

    fn names(&self) -> Vec<String> {
        self.services.iter().map(Flask::name).collect()
    }
}

/// h2load until it is told to end, over HTTP/1.1; how many requests it made and how many failed.
fn load(gateway: &Gateway) -> (Arc<AtomicBool>, std::thread::JoinHandle<(u64, u64)>) {
    let (stop, url) = (Arc::new(AtomicBool::new(false)), gateway.url("http"));
    let told = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let (mut made, mut failed) = (0, 0);
        while !told.load(Ordering::SeqCst) {
            let load = h2load(&["--h1", "-n", "120", "-c", "6", &url]);
            made += load.succeeded + load.failed;
            failed += load.failed + (load.succeeded - load.ok);
        }
        (made, failed)
    });
    (stop, thread)
}

#[test]
fn nobody_sees_what_happens_to_the_fleet() {
    let mut fleet = Fleet::start(3);
    let mut gateway = fleet.gateway(
        "    outlier: { after: 2, eject_for: 2s }\n    slow_start: 2s\n    lb: least_requests\n",
        "retry: { times: 2, when: [connect, reset, timeout, 502-504] }, timeouts: { per_try: 2s }",
    );
    let names = fleet.names();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    until("all are known", || known(&gateway) == Some(3.0));
    answer_only(&gateway, &all);
    let (stop, clients) = load(&gateway);
    // Killed: its connections are reset, and it refuses new ones.
    fleet.services[0].signal(Signal::KILL);
    gateway.wait_log(&["an endpoint is ejected", &fleet.services[0].url()]);
    fleet.etcd.delete("/fleet/0");
    until("it is gone", || known(&gateway) == Some(2.0));
    fleet.services[0].restart();
    fleet.etcd.put("/fleet/0", &fleet.services[0].url());
    until("it is back", || known(&gateway) == Some(3.0));
    // Hung: it takes connections and says nothing.
    fleet.services[1].signal(Signal::STOP);
    gateway.wait_log(&["an endpoint is ejected", &fleet.services[1].url()]);
    fleet.etcd.delete("/fleet/1");
    until("it is gone", || known(&gateway) == Some(2.0));
    fleet.services[1].signal(Signal::CONT);
    // Somebody registers what is no service of this kind: it resets whatever it gets.
    let resetting = Raw::serve(|peer| peer.reset());
    fleet.etcd.put("/fleet/1", &resetting.url());
    gateway.wait_log(&["an endpoint is ejected", &resetting.url()]);
    // And etcd goes: what is known stays.
    fleet.etcd.kill();
    pause(Duration::from_secs(1));
    assert_eq!(known(&gateway), Some(3.0));
    stop.store(true, Ordering::SeqCst);
    let (made, failed) = clients.join().unwrap();
    println!("{made} requests, {failed} of them failed");
    assert!(made > 200, "only {made} requests");
    assert_eq!(failed, 0, "of {made}\n{}", gateway.logs());
}
