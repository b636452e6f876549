//! Hostile input, class by class. The numbers in the names of the tests are the rows of
//! `docs/security.md`. Every test shows what was sent, what the client saw, what an upstream that
//! records everything received, and that a clean request afterwards is answered right.

mod admin_spellings;
mod answers;
mod differential;
mod framing;
mod headers;
mod http2;
mod http2_floods;
mod resources;
mod targets;
