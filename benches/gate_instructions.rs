//! A fixed number of ordinary request heads through the gate, for counting instructions; run by
//! `gate-cost.sh`. `ROUNDS` is the number of rounds of 100 heads.
#![allow(missing_docs)] // a bench has no public items

use bytes::BytesMut;
use http::{
    HeaderValue, Request, Uri,
    request::{Builder, Parts},
};
use tidegate::{config, server::gate_bench::Gate};

/// What a browser asks of an API, eight fields.
const FIELDS: [(&str, &str); 8] = [
    ("host", "shop.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "application/json"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br"),
    ("authorization", "Bearer mF_9.B5f-4.1JqM"),
    ("cookie", "session=8f14e45fceea167a5a36dedd4bea2543"),
    ("x-requested-with", "XMLHttpRequest"),
];

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A head as hyper makes it: target and values are parts of one buffer.
fn head() -> Parts {
    let mut text = BytesMut::from("/api/orders/4711/items?page=2&size=50");
    let target = text.split().freeze();
    let request = Request::get(Uri::from_maybe_shared(target).expect("a target"));
    let add = |request: Builder, (name, value): (&str, &str)| {
        text.extend_from_slice(value.as_bytes());
        let value = text.split().freeze();
        request.header(name, HeaderValue::from_maybe_shared(value).expect("a value"))
    };
    FIELDS.into_iter().fold(request, add).body(()).expect("a request").into_parts().0
}

fn main() {
    let rounds = std::env::var("ROUNDS").map_or(1, |text| text.parse().expect("a number"));
    let text = "version: 1\nroutes: { app: { to: \"http://a:1\" } }\n";
    let input = config::Input::Text { name: "bench".to_owned(), text: text.to_owned() };
    let loaded = config::load(&[input], &|_| None);
    let gate = Gate::new(loaded.config.as_ref().expect("a good file"));
    let mut passed = 0;
    for _ in 0..rounds {
        let mut heads: Vec<_> = (0..100).map(|_| head()).collect();
        let mut out = Vec::with_capacity(heads.len());
        gate.run(&mut heads, &mut out);
        passed += out.len();
    }
    assert_eq!(passed, rounds * 100, "every head passes");
    println!("{passed} heads passed");
}
