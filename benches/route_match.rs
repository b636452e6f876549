//! Time to find a route, and to build the table, by number of routes.
#![allow(missing_docs)] // criterion's macros make undocumented items

mod routes;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate::routing::{Normalize, canonical};

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find");
    for count in [100, 1_000, 10_000] {
        let (table, requests) = (routes::table(count), routes::Requests::new(count));
        group.throughput(Throughput::Elements(100));
        group.bench_function(count.to_string(), |b| b.iter(|| requests.run(&table)));
    }
}

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10);
    for count in [100, 1_000, 10_000] {
        group.bench_function(count.to_string(), |b| b.iter(|| routes::table(count)));
    }
}

fn path(criterion: &mut Criterion) {
    let rules = Normalize { merge_slashes: true, keep_encoded_slash: false };
    let mut group = criterion.benchmark_group("canonical");
    for (name, path) in [("clean", "/orders/4711/items/7"), ("dirty", "/orders//%2e%2e/4711/./x")] {
        group.bench_function(name, |b| b.iter(|| canonical(std::hint::black_box(path), rules)));
    }
}

criterion_group!(benches, find, build, path);
criterion_main!(benches);
