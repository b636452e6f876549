//! The gate with nothing around it, for `benches/gate_instructions.rs`. It stands in no request's way.

use http::request::Parts;

use super::{
    forwarding,
    gate::{self, Checked, Rules},
};
use crate::config::model::{ClientIpFrom, Config, ListenerLimits};

/// A gate by itself.
#[derive(Debug)]
pub struct Gate {
    rules: Rules,
    limits: ListenerLimits,
}

/// What the gate learned of a head.
#[derive(Debug)]
pub struct Passed(#[expect(dead_code)] Checked);

// === impl Gate ===

impl Gate {
    /// The gate of a configuration, with the default limits of a listener.
    pub fn new(config: &Config) -> Self {
        let limits = ListenerLimits {
            header_size: 32 << 10,
            header_count: 100,
            uri_length: 8 << 10,
            h2_streams: 128,
        };
        Self { rules: Rules::new(config), limits }
    }

    /// Puts heads through it, as [`crate::gateway::Gateway`] does, and keeps what was learned of those
    /// that pass.
    #[inline(never)] // its name is where instruction counting starts
    pub fn run(&self, heads: &mut [Parts], out: &mut Vec<Passed>) {
        for head in heads {
            let mut checked = Checked::nothing();
            if gate::check(head, self.limits, &self.rules, &mut checked).is_err() {
                continue;
            }
            let from = &ClientIpFrom::XForwardedFor;
            let headers = &mut head.headers;
            forwarding::remove_unwanted(headers, checked.fields, &self.rules, false, from);
            let hop = forwarding::strip(headers, checked.fields);
            std::hint::black_box(hop);
            out.push(Passed(checked));
        }
    }
}
