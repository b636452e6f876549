//! The fields that tell clients of their limits. Nothing else knows how they look, as the draft may still
//! change: `draft-ietf-httpapi-ratelimit-headers` in the form it has had since -09 (lists of structured
//! fields), and the three `X-RateLimit-…` that came before it.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Limiter, Standing, Told};
use crate::config::model::{LimitHeaders, Name, Period, RateLimit, Window};

/// The type of a problem that says which limits refused.
pub(crate) const QUOTA_EXCEEDED: &str =
    "https://iana.org/assignments/http-problem-types#quota-exceeded";
/// Its member with their names.
pub(crate) const VIOLATED: &str = "violated-policies";

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

const DAY: u64 = 24 * 3600;

/// How a policy looks, as far as that does not depend on the request.
#[derive(Debug)]
pub(crate) struct Shown {
    /// What it is called, by everybody who tells of it.
    pub(crate) name: Name,
    pub(crate) limiter: Arc<Limiter>,
    windows: Box<[Item]>,
    headers: LimitHeaders,
    /// Nearly always there is one limit with one window.
    /// Both fields as lines, as far as they are the same in all answers: one copy instead of four.
    alone: Option<Box<[u8]>>,
}

#[derive(Debug)]
struct Item {
    /// What it is called.
    name: Box<str>,
    /// `ratelimit-policy: "name";q=100;w=60`.
    policy: Box<str>,
    /// `ratelimit: "name";r=`.
    limit: Box<str>,
    /// The field of an access log line. A name holds nothing to escape.
    logged: Box<str>,
    quota: u32,
}

// === impl Shown ===

impl Shown {
    /// A limit under this name.
    pub(crate) fn new(limit: &RateLimit, name: &Name, limiter: Arc<Limiter>) -> Self {
        let several = limit.windows.len() > 1;
        let item = |window: &Window| Item::new(name, window, several);
        let windows: Box<[_]> = limit.windows.iter().map(item).collect();
        let alone = match &*windows {
            [item] if limit.headers.draft() => Some(item.lines()),
            _ => None,
        };
        Self { name: Arc::clone(name), limiter, windows, headers: limit.headers, alone }
    }

    /// What its windows that have refused are called.
    pub(crate) fn violated<'a>(
        &'a self,
        standings: &'a [Standing],
    ) -> impl Iterator<Item = &'a str> {
        let both = self.windows.iter().zip(standings);
        both.filter(|(_, standing)| standing.refused).map(|(item, _)| &*item.name)
    }
}

// === impl Item ===

impl Item {
    fn new(name: &str, window: &Window, several: bool) -> Self {
        let name = match several {
            false => name.to_owned(),
            true => format!("{name}-{}", word(window.period)),
        };
        let quota = window.limit.get();
        let time = seconds(window.period).map(|time| format!(";w={time}")).unwrap_or_default();
        Self {
            policy: format!("{POLICY}: \"{name}\";q={quota}{time}").into(),
            limit: format!("{LIMIT}: \"{name}\";r=").into(),
            logged: format!(",\"rate_limit\":\"{name}\"").into(),
            name: name.into(),
            quota,
        }
    }

    fn lines(&self) -> Box<[u8]> {
        format!("{}\r\n{}", self.policy, self.limit).into_bytes().into()
    }
}

/// A window in whole seconds, the only ones there are. A month is as long as any.
fn seconds(period: Period) -> Option<u64> {
    match period {
        Period::Every(time) => (time.subsec_nanos() == 0).then_some(time.as_secs()),
        Period::Day => Some(DAY),
        Period::Month => Some(31 * DAY),
    }
}

/// A window as the file says it.
pub(crate) fn word(period: Period) -> String {
    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);
    match period {
        Period::Every(SECOND) => "s".to_owned(),
        Period::Every(MINUTE) => "min".to_owned(),
        Period::Every(HOUR) => "h".to_owned(),
        Period::Every(time) if time.subsec_nanos() == 0 => format!("{}s", time.as_secs()),
        Period::Every(time) => format!("{}ms", time.as_millis()),
        Period::Day => "day".to_owned(),
        Period::Month => "month".to_owned(),
    }
}

// === writing ===

/// Whether the fields can be written past the map: older ones replace those of an upstream.
pub(crate) fn can_be_late(limit: &RateLimit) -> bool {
    !limit.headers.legacy()
}

/// Writes the fields as lines of a head.
pub(crate) fn write(text: &mut Vec<u8>, told: &[Told]) {
    if let [it] = told
        && let (Some(lines), [standing]) = (&it.shown.alone, &*it.standings)
    {
        text.extend_from_slice(lines);
        Tail::of(*standing, b"\r\n").add_to(text);
    } else if write_policy(text, told) {
        text.extend_from_slice(b"\r\n");
        write_limit(text, told);
        text.extend_from_slice(b"\r\n");
    }
}

/// Puts the fields into a map.
pub(crate) fn insert(headers: &mut HeaderMap, told: &[Told]) {
    for (name, write) in
        [(POLICY, write_policy as fn(&mut Vec<u8>, &[Told]) -> bool), (LIMIT, write_limit)]
    {
        let mut line = Vec::with_capacity(128);
        if !write(&mut line, told) {
            continue;
        }
        let value = Bytes::from(line).slice(name.as_str().len() + 2..);
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            // Those of a service behind us are members of the same list.
            headers.append(name, value);
        }
    }
    if let Some((item, standing)) = tightest(told) {
        headers.insert(X_LIMIT, item.quota.into());
        headers.insert(X_REMAINING, standing.left.into());
        headers.insert(X_RESET, standing.reset.into());
    }
}

/// Of all that is told in the older way, which can say one limit only, the one to be met first.
fn tightest(told: &[Told]) -> Option<(&Item, &Standing)> {
    met_first(told.iter().filter(|it| it.shown.headers.legacy()))
}

/// What the access log says: the limit that has refused, or of those that have let pass the one to be met
/// first.
pub(crate) fn logged(told: &[Told]) -> Option<&str> {
    if let [it] = told
        && let [item] = &*it.shown.windows
    {
        return Some(&item.logged);
    }
    met_first(told.iter()).map(|(item, _)| &*item.logged)
}

fn met_first<'t>(told: impl Iterator<Item = &'t Told>) -> Option<(&'t Item, &'t Standing)> {
    told.flat_map(|it| it.shown.windows.iter().zip(&it.standings))
        .min_by_key(|(_, standing)| (!standing.refused, standing.left, Reverse(standing.reset)))
}

/// A line without its end, if there is anything to tell.
fn write_policy(text: &mut Vec<u8>, told: &[Told]) -> bool {
    let mut first = true;
    for it in told.iter().filter(|it| it.shown.headers.draft()) {
        for item in &it.shown.windows {
            next(text, &mut first, &item.policy, POLICY.as_str().len() + 2);
        }
    }
    !first
}

/// The same of how things stand.
fn write_limit(text: &mut Vec<u8>, told: &[Told]) -> bool {
    let mut first = true;
    for it in told.iter().filter(|it| it.shown.headers.draft()) {
        for (item, standing) in it.shown.windows.iter().zip(&it.standings) {
            next(text, &mut first, &item.limit, LIMIT.as_str().len() + 2);
            Tail::of(*standing, &[]).add_to(text);
        }
    }
    !first
}

/// The next member of a list; the first one comes with the name of the field.
fn next(text: &mut Vec<u8>, first: &mut bool, line: &str, name: usize) {
    if std::mem::take(first) {
        text.extend_from_slice(line.as_bytes());
    } else {
        text.extend_from_slice(b", ");
        text.extend_from_slice(&line.as_bytes()[name..]);
    }
}

/// `57;t=23` and what follows it.
struct Tail {
    text: [u8; TAIL],
    len: usize,
}

/// Two numbers, the parameter between them and the end of a line: 25 bytes.
const TAIL: usize = 32;

// === impl Tail ===

impl Tail {
    #[inline]
    fn of<const N: usize>(standing: Standing, end: &[u8; N]) -> Self {
        let mut tail = Self { text: [0; TAIL], len: 0 };
        tail.number(standing.left);
        tail.put(b";t=");
        tail.number(standing.reset);
        tail.put(end);
        tail
    }

    #[inline]
    fn put<const N: usize>(&mut self, text: &[u8; N]) {
        if let Some(room) = self.text.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut) {
            *room = *text;
        }
        self.len += N;
    }

    #[inline]
    fn number(&mut self, number: u32) {
        match number {
            0..10 => self.put(&[b'0' + number as u8]),
            10..EIGHT_DIGITS => {
                let (text, zeros) = eight_digits(number);
                self.put(&(text >> (8 * zeros)).to_le_bytes());
                self.len -= zeros as usize;
            }
            EIGHT_DIGITS.. => self.long(number),
        }
    }

    #[cold]
    fn long(&mut self, number: u32) {
        self.number(number / EIGHT_DIGITS);
        self.put(&eight_digits(number % EIGHT_DIGITS).0.to_le_bytes());
    }

    /// What is copied is always as much, which costs less; what is too much goes again.
    #[inline]
    fn add_to(&self, text: &mut Vec<u8>) {
        let end = text.len() + self.len;
        text.extend_from_slice(&self.text);
        text.truncate(end);
    }
}

const EIGHT_DIGITS: u32 = 100_000_000;

/// The digits of a number as text, the first one in the lowest byte, and how many zeros it begins with. All
/// eight at once: a loop over digits costs three times as much.
#[inline]
fn eight_digits(number: u32) -> (u64, u32) {
    // Two halves of four digits, four quarters of two, then eight of one. Each has its own bits, and is
    // divided by a product that is right for as many digits as it has.
    let fours = u64::from(number / 10_000) | (u64::from(number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | (twos - tens * 10) << 8;
    (ones | u64::from_ne_bytes([b'0'; 8]), ones.trailing_zeros() / 8)
}
