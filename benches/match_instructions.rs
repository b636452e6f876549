//! A fixed number of look-ups in a table of a given size, for counting instructions; run by
//! `match-flat.sh`. `ROUTES` is the size of the table, `ROUNDS` the number of rounds of 100
//! look-ups.
#![allow(missing_docs)] // a bench has no public items

mod routes;

fn main() {
    let number = |name: &str, default: usize| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    };
    let (count, rounds) = (number("ROUTES", 100), number("ROUNDS", 1));
    let (table, requests) = (routes::table(count), routes::Requests::new(count));
    let found: usize = (0..rounds).map(|_| requests.run(&table)).sum();
    println!("{count} routes: {found} of {} requests found a route", rounds * 100);
}
