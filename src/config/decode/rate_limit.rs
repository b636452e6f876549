//! `rate_limit`: how often. A route has a name, a rate, a map, or a list of these; a policy has a rate or a
//! map.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use http::{HeaderName, Method};

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::RATE_LIMIT,
        model::{
            Cost, KeyPart, LimitHeaders, Located, Mode, Name, OnStoreError, Period, RateLimit,
            StoreSync, Stored, Window,
        },
        tree::{Kind, Node},
    },
    edge::networks,
    guard::mode,
    matches,
    reader::{Fields, Owner, Reader, list},
    records::{Defaults, INLINE, Policies},
    slot::Slot,
    stores::LOCAL,
    units,
};
use crate::auth::api_key::carrier::Carrier;

/// Windows of one policy.
const MOST_WINDOWS: usize = 4;
/// Nothing takes longer to come back.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// One that comes back faster cannot be told from none, and is not counted exactly.
const FASTEST: Duration = Duration::from_nanos(100);
const RATES: &str = "like `100/min`, `10/s`, `1000/h`, `5/30s`, `10000/day` or `1000000/month`";

/// `rate_limit` of a route or of `defaults`.
pub(super) fn route_limits(slot: &Slot<'_>, policies: &Policies<'_>) -> Vec<Arc<RateLimit>> {
    slot.several(|item| one(item, policies))
}

fn one(slot: &Slot<'_>, policies: &Policies<'_>) -> Option<RateLimit> {
    match &slot.node.kind {
        Kind::Scalar(_) if is_rate(slot.node) => rate_alone(slot, INLINE.into()),
        Kind::Scalar(_) => {
            let entry = policies.find(slot)?;
            // Judged once where it is defined.
            judged(&slot.r.silent(), &entry.value, &entry.key)
        }
        Kind::Map(_) => {
            let owner = Owner::of(RATE_LIMIT.name, slot.owner);
            let f = slot.r.fields(slot.node, &RATE_LIMIT, owner)?;
            rate_limit(&f, INLINE.into())
        }
        Kind::Seq(_) | Kind::Null => {
            slot.wrong("a name, a rate, a map, a list of these, or none", None);
            None
        }
    }
}

/// A policy under `policies.rate_limit`.
pub(super) fn judged(r: &Reader<'_>, node: &Node, name: &str) -> Option<RateLimit> {
    let owner = Owner::named("rate_limit policy", name);
    let limit = if is_rate(node) {
        let slot = Slot { r, key: "limit", owner: &owner, ty: &RATE_LIMIT.fields[0].ty, node };
        rate_alone(&slot, name.into())
    } else {
        rate_limit(&r.fields(node, &RATE_LIMIT, owner)?, name.into())
    };
    limit.map(|limit| RateLimit { named: true, ..limit })
}

/// A rate, or what was meant as one: no name has a slash.
fn is_rate(node: &Node) -> bool {
    node.text()
        .is_some_and(|text| text.contains('/') || text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn builtin(policy: Name, windows: Vec<Window>) -> RateLimit {
    RateLimit {
        policy,
        named: false,
        windows,
        key: vec![KeyPart::ClientIp],
        ipv6_prefix: 64,
        keys: 100_000,
        cost: Cost::Fixed(1),
        headers: LimitHeaders::Draft,
        exempt: Vec::new(),
        mode: Mode::Enforce,
        stored: None,
    }
}

fn rate_alone(slot: &Slot<'_>, policy: Name) -> Option<RateLimit> {
    let (limit, period) = rate(slot)?;
    let window = Window { limit, period, burst: tenth(limit) };
    fits_in_time(slot, &window).then(|| builtin(policy, vec![window]))
}

fn rate_limit(f: &Fields<'_>, policy: Name) -> Option<RateLimit> {
    let Some(slot) = f.get("limit") else {
        f.missing("limit");
        return None;
    };
    let mut it = builtin(policy, windows(f, &slot)?);
    if let Some(slot) = f.get("key") {
        let parts: Vec<_> = slot.one_or_many()?.iter().map(key_part).collect();
        it.key = parts.into_iter().collect::<Option<_>>()?;
    }
    if let Some(slot) = f.get("ipv6_prefix") {
        it.ipv6_prefix = u8::try_from(slot.int()?).unwrap_or(64);
    }
    if let Some(slot) = f.get("keys") {
        it.keys = slot.count()?;
    }
    if let Some(slot) = f.get("cost") {
        it.cost = cost(&slot, &it.windows)?;
    }
    if let Some(slot) = f.get("headers") {
        it.headers = match slot.word()? {
            "legacy" => LimitHeaders::Legacy,
            "both" => LimitHeaders::Both,
            "none" => LimitHeaders::None,
            _ => LimitHeaders::Draft,
        };
    }
    if let Some(slot) = f.get("exempt") {
        let several = matches!(slot.node.kind, Kind::Seq(_));
        it.exempt = networks(if several { slot.items() } else { slot.one_or_many() });
    }
    it.mode = mode(f)?;
    it.stored = stored(f, it.at_once())?;
    Some(it)
}

// === windows ===

fn windows(f: &Fields<'_>, slot: &Slot<'_>) -> Option<Vec<Window>> {
    let items = slot.one_or_many()?;
    let rates: Vec<_> = items.iter().map(rate).collect();
    let rates = rates.into_iter().collect::<Option<Vec<_>>>()?;
    if rates.len() > MOST_WINDOWS {
        slot.error(format!("{} has more than {MOST_WINDOWS} rates", slot.subject()), None);
        return None;
    }
    let time = |period: &Period| match period {
        Period::Every(time) => Some(*time),
        Period::Day | Period::Month => None,
    };
    let shortest = rates.iter().filter_map(|(_, period)| time(period)).min();
    let burst = match f.get("burst") {
        None => None,
        Some(slot) if shortest.is_none() => {
            let message =
                format!("{} has no effect: a day or month gives all at once", slot.subject());
            slot.error(message, None);
            return None;
        }
        Some(slot) => u32::try_from(slot.int()?).ok().and_then(NonZeroU32::new),
    };
    let mut windows: Vec<Window> = Vec::new();
    for (item, (limit, period)) in items.iter().zip(rates) {
        if windows.iter().any(|window| window.period == period) {
            item.error(format!("{} has two rates of the same time", slot.subject()), None);
            return None;
        }
        // Where a shorter one smooths, a longer one need not.
        let first = time(&period).is_some() && time(&period) == shortest;
        let burst = if first { burst.unwrap_or_else(|| tenth(limit)) } else { limit };
        let window = Window { limit, period, burst };
        if !fits_in_time(item, &window) {
            return None;
        }
        windows.push(window);
    }
    Some(windows)
}

fn tenth(limit: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(limit.get() / 10).unwrap_or(NonZeroU32::MIN)
}

/// `100/min`.
fn rate(slot: &Slot<'_>) -> Option<(NonZeroU32, Period)> {
    let text = slot.text()?;
    let Some((number, time)) = text.split_once('/') else {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !slot.node.is_secret();
        let help = if digits { format!("did you mean `{text}/min`?") } else { RATES.to_owned() };
        slot.wrong("a rate", Some(help));
        return None;
    };
    let number = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()));
    let period = match time {
        "s" => Some(Period::Every(Duration::from_secs(1))),
        "min" => Some(Period::Every(Duration::from_secs(60))),
        "h" => Some(Period::Every(Duration::from_secs(3600))),
        "day" => Some(Period::Day),
        "month" => Some(Period::Month),
        other => units::duration(other).ok().filter(|time| !time.is_zero()).map(Period::Every),
    };
    match (number, period) {
        (Some(number), Some(period)) => Some((number, period)),
        _ => {
            slot.wrong("a rate", Some(RATES.to_owned()));
            None
        }
    }
}

/// Whether what is used comes back neither too fast nor too slowly to be counted.
fn fits_in_time(slot: &Slot<'_>, window: &Window) -> bool {
    let Period::Every(time) = window.period else { return true };
    let each = time / window.limit.get();
    if each < FASTEST {
        slot.error(format!("{} is more than 10000000 in a second", slot.subject()), None);
        return false;
    }
    if each.checked_mul(window.burst.get()).is_none_or(|whole| whole > LONGEST) {
        slot.error(format!("{} takes longer than a year to come back", slot.subject()), None);
        return false;
    }
    true
}

// === the rest ===

pub(super) fn key_part(slot: &Slot<'_>) -> Option<KeyPart> {
    const WORDS: [&str; 3] = ["client_ip", "consumer", "route"];
    let text = slot.text()?;
    match text {
        "client_ip" => return Some(KeyPart::ClientIp),
        "consumer" => return Some(KeyPart::Consumer),
        "route" => return Some(KeyPart::Route),
        _ => {}
    }
    if let Some(name) = text.strip_prefix("claim:").filter(|name| !name.is_empty()) {
        return Some(KeyPart::Claim(name.to_owned()));
    }
    if let Some(carrier) = Carrier::parse(text) {
        return Some(KeyPart::Request(carrier));
    }
    let close = slot.r.propose(text, WORDS);
    let help = close.map(|word| format!("did you mean `{word}`?"));
    let others = "claim:NAME, header:NAME, cookie:NAME or query:NAME";
    slot.wrong(&format!("one of {}, {others}", list(WORDS)), help);
    None
}

fn cost(slot: &Slot<'_>, windows: &[Window]) -> Option<Cost> {
    match &slot.node.kind {
        Kind::Map(entries) => {
            let mut costs: Vec<(Method, u32)> = Vec::new();
            for entry in entries {
                let method = matches::method(slot, &entry.key, entry.key_place)?;
                let item = Slot { node: &entry.value, ..*slot };
                costs.push((method, number(&item, windows)?));
            }
            Some(Cost::Methods(costs))
        }
        Kind::Scalar(_) => {
            let text = slot.text()?;
            match text.strip_prefix("header:") {
                Some(name) => match HeaderName::from_bytes(name.as_bytes()) {
                    Ok(name) => Some(Cost::Answer(name)),
                    Err(_) => {
                        slot.wrong("a number, a map of methods or `header:NAME`", None);
                        None
                    }
                },
                None => number(slot, windows).map(Cost::Fixed),
            }
        }
        Kind::Seq(_) | Kind::Null => {
            slot.wrong("a number, a map of methods or `header:NAME`", None);
            None
        }
    }
}

/// A cost that can be paid.
fn number(slot: &Slot<'_>, windows: &[Window]) -> Option<u32> {
    let Some(cost) = slot.text()?.parse::<u32>().ok() else {
        slot.wrong("a number, a map of methods or `header:NAME`", None);
        return None;
    };
    let least = windows.iter().map(Window::at_once).min().unwrap_or(0);
    if cost > least {
        let message = format!("{} is more than may come at once", slot.subject());
        slot.error(message, Some(format!("that is {least} here; `burst` says how many")));
        return None;
    }
    Some(cost)
}

/// Where it is counted, if not in this process.
fn stored(f: &Fields<'_>, at_once: u32) -> Option<Option<Stored>> {
    let Some(slot) = f.get("store") else {
        for key in ["sync", "batch", "on_store_error"] {
            if let Some(slot) = f.get(key) {
                let message = format!("{} has no effect without a `store`", slot.subject());
                slot.error(message, Some("`store: NAME`, one of `stores`".to_owned()));
                return None;
            }
        }
        return Some(None);
    };
    let store = slot.located()?;
    let leased = match f.get("sync") {
        None => false,
        Some(slot) => slot.word()? == "leased",
    };
    let batch = match f.get("batch") {
        None => NonZeroU32::new(at_once / 10).unwrap_or(NonZeroU32::MIN),
        Some(slot) if !leased => {
            let message = format!("{} has no effect without `sync: leased`", slot.subject());
            slot.error(message, None);
            return None;
        }
        Some(slot) => batch(&slot, at_once)?,
    };
    let on_error = match f.get("on_store_error") {
        None => OnStoreError::Local,
        Some(slot) => match slot.word()? {
            "allow" => OnStoreError::Allow,
            "deny" => OnStoreError::Deny,
            _ => OnStoreError::Local,
        },
    };
    // To count here for once, no more than that word needs to change.
    if store.value == LOCAL {
        return Some(None);
    }
    let store = Located { value: store.value.as_str().into(), place: store.place };
    let sync = if leased { StoreSync::Leased(batch) } else { StoreSync::Exact };
    Some(Some(Stored { store, sync, on_error }))
}

/// One gateway must not be able to take all there is.
fn batch(slot: &Slot<'_>, at_once: u32) -> Option<NonZeroU32> {
    let batch = u32::try_from(slot.int()?).ok().and_then(NonZeroU32::new)?;
    if batch.get() > at_once {
        let message = format!("{} is more than may come at once", slot.subject());
        slot.error(message, Some(format!("that is {at_once} here; `burst` says how many")));
        return None;
    }
    Some(batch)
}

// === the whole route ===

/// Nobody can be told apart by who they are where nobody asks.
pub(super) fn fits(f: &Fields<'_>, own: &Defaults, route: Place) {
    if own.auth.is_some() || f.entry("auth").is_some_and(|entry| !entry.value.is_none_word()) {
        return;
    }
    if own.rate_limit.iter().any(|limit| limit.needs_identity()) {
        let place = f.get("rate_limit").map_or(route, |slot| slot.place());
        let message = format!("a `rate_limit` of {} goes by who a request is from", f.owner);
        let help = "without `auth` on the route nobody knows that";
        f.r.report(Diagnostic::error(place, message).help(help));
    }
}
