//! Endpoints that fail: further tries, their budget, breakers, ejection, hedging, and the ways of
//! balancing that go by what is known of the endpoints.

mod balance;
mod breaker;
mod hedge;
mod load;
mod outlier;
mod retry;
mod retry_bodies;
mod retry_copies;
mod sticky;

use std::sync::{
    Arc,
    atomic::{AtomicU16, AtomicUsize, Ordering},
};

use crate::support::{
    prelude::*,
    raw::{Peer, Request},
};

/// An upstream whose answers depend on how many requests came before.
fn serve(answer: impl Fn(usize, &Request, &mut Peer) + Send + Sync + 'static) -> Raw {
    let next = AtomicUsize::new(0);
    Raw::serve(move |peer| {
        while let Some(request) = peer.request() {
            answer(next.fetch_add(1, Ordering::SeqCst), &request, peer);
        }
    })
}

/// An answer with this status, these fields and a body.
fn answer(status: u16, fields: &str) -> String {
    let body = if status == 200 { "fine" } else { "sick" };
    format!("HTTP/1.1 {status} Some\r\nContent-Length: 4\r\n{fields}\r\n{body}")
}

/// Sends an answer.
fn tell(peer: &mut Peer, answer: String) {
    peer.send(answer);
}

/// An upstream that answers with these statuses in turn, the last one for ever.
fn in_turn(statuses: &'static [u16]) -> Raw {
    serve(move |at, _, peer| {
        let status = statuses.get(at).or(statuses.last()).expect("at least one");
        peer.send(answer(*status, ""));
    })
}

/// An upstream that always answers with the status it is told.
fn switched(status: u16) -> (Raw, Arc<AtomicU16>) {
    let switch = Arc::new(AtomicU16::new(status));
    let told = Arc::clone(&switch);
    (serve(move |_, _, peer| tell(peer, answer(told.load(Ordering::SeqCst), ""))), switch)
}

/// An upstream that says its name and nothing else.
fn named(name: &str) -> Raw {
    Raw::text(name)
}

/// A URL where nobody listens, nor will: the port is taken as long as the tests run, or another one of them
/// would be given it.
fn nowhere() -> String {
    let taken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
        .expect("there are sockets");
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    taken.bind(&any.into()).expect("there is a free port");
    let address = taken.local_addr().expect("a bound socket has an address");
    std::mem::forget(taken);
    format!("http://{}", address.as_socket().expect("of IPv4"))
}

/// URLs as a YAML list.
fn list<'u>(upstreams: impl IntoIterator<Item = &'u Raw>) -> String {
    let urls: Vec<_> = upstreams.into_iter().map(|raw| format!("\"{}\"", raw.url())).collect();
    format!("[{}]", urls.join(", "))
}
