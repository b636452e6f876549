//! Endpoints found elsewhere: a watched file, DNS (a real dnsmasq), etcd (a real etcd). What is known
//! stays when the source is away, and nothing a client sees tells of a change.

mod dns;
mod etcd;
mod file;
mod fleet;

use std::collections::BTreeSet;

use crate::support::prelude::*;

/// Who answers now: the bodies of so many answers on one connection, or the reason of the gateway's.
fn answering(gateway: &Gateway, requests: usize) -> BTreeSet<String> {
    let mut client = gateway.client();
    let answer = || {
        let answer = client.get("h", "/");
        if answer.status == 200 { answer.text() } else { answer.reason() }
    };
    std::iter::repeat_with(answer).take(requests).collect()
}

/// Waits until exactly these answer.
#[track_caller]
fn answer_only(gateway: &Gateway, names: &[&str]) {
    let wanted: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut last = BTreeSet::new();
    let found = crate::support::wait::within(DEADLINE, || {
        last = answering(gateway, 4 * names.len());
        (last == wanted).then_some(())
    });
    assert!(found.is_some(), "{last:?} answer, not {names:?}\n{}", gateway.logs());
}

/// How many endpoints are known.
fn known(gateway: &Gateway) -> Option<f64> {
    gateway.metric("tidegate_discovery_endpoints", &[("upstream", "app")])
}

/// Whether the source has answered last.
fn is_up(gateway: &Gateway) -> bool {
    gateway.metric("tidegate_discovery_up", &[("upstream", "app")]) == Some(1.0)
}
