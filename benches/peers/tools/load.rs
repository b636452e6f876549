//! GET requests over HTTP/1.1, as fast as they are answered or at a fixed rate, on kept connections or
//! on a new one each.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::Args;
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{
    Failure,
    wire::{self, Socket},
};

/// A request without an answer for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args, Clone)]
pub(crate) struct Options {
    #[arg(long)]
    to: SocketAddr,
    #[arg(long, default_value = "/small")]
    path: String,
    /// TLS 1.3, each handshake in full.
    #[arg(long)]
    tls: bool,
    /// Offer X25519MLKEM768 before X25519.
    #[arg(long)]
    hybrid: bool,
    /// A new connection for each request.
    #[arg(long)]
    fresh: bool,
    /// Requests under way at most.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Requests a second; as fast as they are answered if 0.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    #[arg(long)]
    seconds: f64,
}

/// What all workers share.
struct Plan {
    options: Options,
    tls: Option<TlsConnector>,
    request: Vec<u8>,
    start: Instant,
    end: Instant,
    /// Requests given out, at a fixed rate.
    turn: AtomicU64,
}

#[derive(Default)]
struct Outcome {
    done: u64,
    failed: u64,
    non_2xx: u64,
    connections: u64,
    resumed: u64,
    group: String,
    error: String,
    micros: Vec<u32>,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let (path, to) = (&options.path, options.to);
    let connection = if options.fresh { "Connection: close\r\n" } else { "" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nAccept: */*\r\n{connection}\r\n");
    let tls = options.tls.then(|| wire::tls(options.hybrid, &["http/1.1"])).transpose()?;
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(options.seconds);
    let workers = options.connections;
    let request = request.into_bytes();
    let plan = Arc::new(Plan { options, tls, request, start, end, turn: AtomicU64::new(0) });

    let mut all = Outcome::default();
    let mut running: JoinSet<_> = (0..workers).map(|_| work(Arc::clone(&plan))).collect();
    while let Some(one) = running.join_next().await {
        all.add(one?);
    }
    let seconds = start.elapsed().as_secs_f64();
    all.micros.sort_unstable();
    let at = |share: f64| {
        let place = (all.micros.len() as f64 * share) as usize;
        all.micros.get(place).or(all.micros.last()).copied().unwrap_or(0)
    };
    let report = json!({
        "done": all.done, "failed": all.failed, "non_2xx": all.non_2xx, "seconds": seconds,
        "connections": all.connections, "resumed": all.resumed, "group": all.group,
        "error": all.error, "p50_us": at(0.5), "p99_us": at(0.99), "max_us": at(1.0),
    });
    println!("{report}");
    Ok(())
}

async fn work(plan: Arc<Plan>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut kept = None;
    let mut buffer = Vec::with_capacity(16 * 1024);
    while let Some(start) = plan.next().await {
        match timeout(PATIENCE, once(&plan, &mut kept, &mut buffer, &mut outcome)).await {
            Ok(Ok(status)) => {
                outcome.done += 1;
                outcome.non_2xx += u64::from(!(200..300).contains(&status));
                let micros = start.elapsed().as_micros();
                outcome.micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
            }
            Ok(Err(error)) => {
                outcome.failed += 1;
                outcome.error = error.to_string();
                kept = None;
            }
            Err(_) => {
                outcome.failed += 1;
                outcome.error = "no answer in ten seconds".to_owned();
                kept = None;
            }
        }
    }
    outcome
}

/// One request, on the kept connection if the server has left it open.
async fn once(
    plan: &Plan,
    kept: &mut Option<Socket>,
    buffer: &mut Vec<u8>,
    outcome: &mut Outcome,
) -> std::io::Result<u16> {
    let mut socket = match kept.take().and_then(Socket::still_open) {
        Some(socket) => socket,
        None => {
            let socket = Socket::connect(plan.options.to, None, plan.tls.as_ref()).await?;
            outcome.connections += 1;
            if let Some((resumed, group)) = socket.handshake() {
                outcome.resumed += u64::from(resumed);
                outcome.group = format!("{:?}", group.unwrap_or(rustls::NamedGroup::Unknown(0)));
            }
            socket
        }
    };
    let answer = socket.exchange(&plan.request, buffer).await?;
    if answer.kept && !plan.options.fresh {
        *kept = Some(socket);
    } else {
        let _ = socket.shutdown().await;
    }
    Ok(answer.status)
}

impl Plan {
    /// When the next request starts, once it is due; none after the end. A worker that comes late to
    /// its turn was held up by the server, so the wait counts; a timer that fires late does not.
    async fn next(&self) -> Option<Instant> {
        let now = Instant::now();
        if self.options.rate == 0 {
            return (now < self.end).then_some(now);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let due =
            self.start + Duration::from_secs(1).mul_f64(turn as f64 / self.options.rate as f64);
        if due >= self.end {
            return None;
        }
        if due <= now {
            return Some(due);
        }
        sleep_until(due).await;
        Some(Instant::now())
    }
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.non_2xx += other.non_2xx;
        self.connections += other.connections;
        self.resumed += other.resumed;
        self.micros.extend(other.micros);
        for (mine, others) in [(&mut self.group, other.group), (&mut self.error, other.error)] {
            if !others.is_empty() {
                *mine = others;
            }
        }
    }
}
