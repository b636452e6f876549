//! What must hold of every input, stated once as assertions: the fuzzer looks for bytes that break
//! them (`fuzz/README.md`), the tests replay its corpus. Each function stands for one place where
//! strangers' bytes are judged, in the order a request meets them; `config` is the operator's file.
//!
//! Built for tests and for the fuzzer only.

mod config;
mod frames;
mod gate;
mod head;
mod headers;
mod path;
mod request;
#[cfg(test)]
mod tests;

use crate::routing::Normalize;

/// The bytes of an HTTP/1 connection, before hyper reads them.
pub fn head(data: &[u8]) {
    head::check(data);
}

/// The frames of an HTTP/2 connection, before `h2` reads or after it writes them.
pub fn frames(data: &[u8]) {
    frames::check(data);
}

/// A request head at the gate. A case is the text of a head; its version may be `HTTP/2`.
pub fn gate(data: &[u8]) {
    gate::check(data);
}

/// A path, getting its one spelling.
pub fn path(data: &[u8]) {
    path::check(data);
}

/// The fields of a head on their way to an upstream and, read as an answer's, to the client. A case
/// is what [`gate`] takes.
pub fn headers(data: &[u8]) {
    headers::check(data);
}

/// The text of a `routes.yaml`.
pub fn config(data: &[u8]) {
    config::check(data);
}

/// Everything an operator may choose about paths.
const RULES: [Normalize; 4] = [
    Normalize { merge_slashes: true, keep_encoded_slash: false },
    Normalize { merge_slashes: true, keep_encoded_slash: true },
    Normalize { merge_slashes: false, keep_encoded_slash: false },
    Normalize { merge_slashes: false, keep_encoded_slash: true },
];
