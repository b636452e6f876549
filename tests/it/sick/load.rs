//! Steady load from several clients, and what each request saw.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::time::Instant;

use crate::support::http::Client;

/// Clients that keep asking.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Sample>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// When it began.
    pub(super) at: Instant,
    /// Until its answer was there.
    pub(super) took: Duration,
    /// 0 if the connection ended.
    pub(super) status: u16,
    /// The body.
    pub(super) body: String,
}

// === impl Load ===

impl Load {
    /// So many clients, each with this pause between two requests.
    pub(super) fn start(address: SocketAddr, clients: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let run = |_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut samples = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let at = Instant::now();
                    client.request("GET", "h", "/", &[]);
                    let (status, body) = match client.try_response("GET") {
                        Some((answer, None)) => (answer.status, answer.text()),
                        cut => {
                            client = Client::connect(address);
                            (0, format!("{cut:?}"))
                        }
                    };
                    samples.push(Sample { at, took: at.elapsed(), status, body });
                    std::thread::sleep(pause);
                }
                samples
            })
        };
        Self { threads: (0..clients).map(run).collect(), stop }
    }

    /// What all of them saw, in the order of time.
    pub(super) fn finish(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::SeqCst);
        let seen = self.threads.into_iter().map(|it| it.join().expect("no panic"));
        let mut all: Vec<Sample> = seen.flatten().collect();
        all.sort_by_key(|it| it.at);
        all
    }
}

/// Those that failed.
pub(super) fn failed(samples: &[Sample]) -> Vec<&Sample> {
    samples.iter().filter(|it| it.status != 200).collect()
}

/// The time that 99 of 100 did not exceed.
pub(super) fn p99(samples: &[Sample]) -> Duration {
    let mut times: Vec<_> = samples.iter().map(|it| it.took).collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// The share of answers with this body.
pub(super) fn share(samples: &[Sample], body: &str) -> f64 {
    let count = samples.iter().filter(|it| it.body == body).count();
    count as f64 / samples.len().max(1) as f64
}
