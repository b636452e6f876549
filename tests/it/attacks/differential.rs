//! Mutated requests against a strict upstream that records: one request in, one out.
