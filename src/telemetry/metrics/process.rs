//! What every Prometheus client says of its process, read from `/proc/self` when scraped.

use std::{fs, io};

use rustix::process::{Resource, getrlimit};

use super::families::{self, Scrape};

/// Ticks a second in `/proc`; 100 on every Linux there is (`USER_HZ` is part of its ABI).
const TICKS: f64 = 100.0;

/// Adds what can be read; elsewhere than on Linux that is nothing.
pub(super) fn scrape(out: &mut Scrape) {
    if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
        let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text));
        times(&stat, boot, out);
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        memory(&status, out);
    }
    if let Ok(open) = open_fds() {
        out.gauge(families::OPEN_FDS, &[], open);
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        out.gauge(families::MAX_FDS, &[], float(max));
    }
}

/// CPU and start time from `/proc/self/stat`.
fn times(stat: &str, boot: Option<f64>, out: &mut Scrape) {
    // The second field is the program's name in parentheses and may hold anything.
    let Some((_, rest)) = stat.rsplit_once(") ") else { return };
    let field = |at: usize| rest.split(' ').nth(at - 3)?.parse::<f64>().ok();
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        out.counter(families::CPU, &[], (user + system) / TICKS);
    }
    if let (Some(start), Some(boot)) = (field(22), boot) {
        out.gauge(families::START_TIME, &[], boot + start / TICKS);
    }
}

/// Seconds since 1970 when the machine started, from `/proc/stat`.
fn boot_time(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Memory and threads from `/proc/self/status`.
fn memory(status: &str, out: &mut Scrape) {
    for line in status.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let number = value.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
        match (key, number) {
            ("VmRSS", Some(kib)) => out.gauge(families::RESIDENT, &[], kib * 1024.0),
            ("VmSize", Some(kib)) => out.gauge(families::VIRTUAL, &[], kib * 1024.0),
            ("Threads", Some(count)) => out.gauge(families::THREADS, &[], count),
            _ => {}
        }
    }
}

/// Since Linux 6.2 the directory's size is the number of its entries; before that it is 0.
pub(crate) fn open_fds() -> io::Result<f64> {
    let size = fs::metadata("/proc/self/fd")?.len();
    if size > 0 {
        return Ok(float(size));
    }
    Ok(float(fs::read_dir("/proc/self/fd")?.count() as u64))
}

#[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point anyway
fn float(value: u64) -> f64 {
    value as f64
}
