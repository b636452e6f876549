//! One limit, counted in Redis: what is sent for a bucket, and what its answer means.

use std::{
    fmt::Write as _,
    sync::{Arc, LazyLock},
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use redis::{Cmd, Value};

use super::Redis;
use crate::{
    config::model::RateLimit,
    limit::{
        Standings,
        stored::{Amount, Asking, Away, Entries, Remote, Taken, Window},
    },
    telemetry::exchange::Exchange,
};

/// What counts a bucket, inside the store.
pub(super) const SCRIPT: &str = include_str!("count.lua");

/// The name of the script, as Redis makes it of its text. No secret hangs on this digest.
static NAME: LazyLock<String> =
    LazyLock::new(|| hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, SCRIPT.as_bytes()).as_ref()));

/// One limit in a store.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Settings>);

#[derive(Debug)]
struct Settings {
    store: Arc<Redis>,
    /// Who it is, before the bucket.
    name: String,
    /// What tells apart limits of one name that mean something else.
    meaning: Vec<u8>,
    windows: Box<[Window]>,
    /// The windows, as the script reads them.
    arguments: Box<[String]>,
}

// === impl Counted ===

impl Counted {
    /// A limit of this name.
    pub(crate) fn new(store: &Arc<Redis>, name: &str, limit: &RateLimit) -> Self {
        let windows: Box<[Window]> = limit.windows.iter().map(Window::new).collect();
        let described = windows.iter().map(Window::described);
        let arguments: Box<[String]> = described
            .flat_map(|(kind, one, all)| [kind.to_string(), one.to_string(), all.to_string()])
            .collect();
        let key: Vec<String> = limit.key.iter().map(ToString::to_string).collect();
        let meaning = format!("1 {} {} {}", arguments.join(" "), key.join(" "), limit.ipv6_prefix);
        Self(Arc::new(Settings {
            store: Arc::clone(store),
            name: name.to_owned(),
            meaning: meaning.into_bytes(),
            windows,
            arguments,
        }))
    }

    /// The key of a bucket.
    #[cfg(test)]
    pub(super) fn key(&self, entries: &Entries) -> String {
        self.0.key(entries)
    }

    fn call(
        &self,
        entries: &Entries,
        what: [&str; 4],
        least: Option<u32>,
    ) -> Asking<Result<Taken, Away>> {
        let this = Arc::clone(&self.0);
        let key = this.key(entries);
        let [command, again] = commands(&key, what, &this.arguments);
        Box::pin(async move {
            let value = Arc::clone(&this.store).call(command, again).await?;
            this.taken(&value, least).ok_or(Away)
        })
    }
}

impl Remote for Counted {
    fn take(
        &self,
        entries: &Entries,
        amount: Amount,
        _: Option<&Exchange>,
    ) -> Asking<Result<Taken, Away>> {
        let (least, most) = (amount.least.to_string(), amount.most.to_string());
        self.call(entries, ["take", &least, &most, "0"], Some(amount.least))
    }

    fn correct(
        &self,
        entries: &Entries,
        by: i64,
        taken: Option<u64>,
        _: Option<&Exchange>,
    ) -> Asking<Result<Taken, Away>> {
        let (by, taken) = (by.to_string(), taken.unwrap_or(0).to_string());
        self.call(entries, ["correct", &by, "0", &taken], None)
    }
}

// === impl Settings ===

impl Settings {
    /// `tidegate:{per-ip:0123…}`. What stands in braces chooses the node of a cluster. Of what requests have
    /// in common there is a digest: an API key or a session is a secret.
    fn key(&self, entries: &Entries) -> String {
        let mut text = self.meaning.clone();
        for entry in entries {
            match entry {
                None => text.push(0),
                Some(value) => {
                    text.push(1);
                    text.extend_from_slice(&(value.len() as u64).to_be_bytes());
                    text.extend_from_slice(value);
                }
            }
        }
        let digest = digest(&SHA256, &text);
        let bucket = hex(&digest.as_ref()[..16]);
        format!("{}:{{{}:{bucket}}}", self.store.prefix(), self.name)
    }

    /// What an answer of the script says.
    fn taken(&self, value: &Value, least: Option<u32>) -> Option<Taken> {
        let Value::Array(items) = value else { return None };
        let mut numbers = items.iter().map(|item| match item {
            Value::Int(number) => Some(*number),
            _ => None,
        });
        let granted = u32::try_from(numbers.next()??.max(0)).unwrap_or(u32::MAX);
        let unix = u64::try_from(numbers.next()??).ok()?;
        let levels: Option<Vec<u64>> = numbers.map(|level| u64::try_from(level?).ok()).collect();
        let levels = levels.filter(|levels| levels.len() == self.windows.len())?;
        let refuses = least.filter(|least| *least > 0 && granted == 0);
        let all = || self.windows.iter().zip(&levels);
        let standings: Standings =
            all().map(|(window, level)| window.standing(*level, refuses, unix)).collect();
        let next = least.unwrap_or(1).max(1);
        Some(Taken {
            granted,
            standings,
            wait: all().map(|(it, level)| it.wait(*level, next, unix)).max().unwrap_or_default(),
            ends: self.windows.iter().filter_map(|window| window.ends(unix)).min(),
            unix,
        })
    }
}

/// Calls of the script: by its name, and with its text.
fn commands(key: &str, what: [&str; 4], windows: &[String]) -> [Cmd; 2] {
    [("EVALSHA", NAME.as_str()), ("EVAL", SCRIPT)].map(|(call, script)| {
        let mut command = Cmd::new();
        command.arg(call).arg(script).arg(1).arg(key).arg(&what).arg(windows);
        command
    })
}

/// A call that shows whether the store can count: it writes.
pub(super) fn probe(prefix: &str) -> (Cmd, Cmd) {
    let windows = ["f", "1000000", "1000000000"].map(str::to_owned);
    let key = format!("{prefix}:{{probe}}");
    let [command, again] = commands(&key, ["take", "1", "1", "0"], &windows);
    (command, again)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
