//! Moments and durations, in microseconds. Written ones are read at load; claims hold seconds since 1970.

use super::{Failed, value::Value};

/// Microseconds.
pub(super) const SECOND: i64 = 1_000_000;
/// The last moment of the year 9999, in seconds; the first of the year 1 is about as far.
const LAST: i64 = 253_402_300_799;
const FIRST: i64 = -62_135_596_800;

/// A moment in UTC.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    /// From Sunday.
    pub(super) weekday: i64,
    pub(super) second_of_day: i64,
}

/// A number of seconds since 1970.
pub(super) fn of_seconds(value: &Value<'_>) -> Result<i64, Failed> {
    let micros = match value {
        Value::Int(it) if (FIRST..=LAST).contains(it) => *it * SECOND,
        Value::Uint(it) => match i64::try_from(*it) {
            Ok(it) if it <= LAST => it * SECOND,
            _ => return Err(Failed::OutOfRange),
        },
        // Far within what a double holds exactly enough.
        #[allow(clippy::cast_possible_truncation)]
        Value::Double(it) if (FIRST as f64..=LAST as f64).contains(it) => (it * 1e6) as i64,
        Value::Int(_) | Value::Double(_) => return Err(Failed::OutOfRange),
        _ => return Err(Failed::WrongType),
    };
    Ok(micros)
}

/// `2026-11-21T08:33:46Z` (RFC 3339).
pub(super) fn parse(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}")[..6].parse().ok()?;
    let offset = match zone {
        "Z" | "z" => 0,
        zone => {
            let [hours, minutes] = numbers(&zone[1..], ':', [2, 2])?;
            let offset = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
            if zone.starts_with('-') { -offset } else { offset }
        }
    };
    let days = days_of(year, month, day);
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let written = Date::of(days * 86_400 * SECOND);
    let exists = (written.year, written.month, written.day) == (year, month, day);
    let good = exists && hour <= 23 && minute <= 59 && second <= 59;
    (good && (FIRST..=LAST).contains(&seconds)).then_some(seconds * SECOND + micros)
}

fn numbers<const N: usize>(text: &str, by: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(by);
    let mut found = [0; N];
    for (place, width) in found.iter_mut().zip(widths) {
        let part = parts.next()?;
        let fits = part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit());
        *place = fits.then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
}

/// `90s`, `1h30m`, `-1.5h`.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    if rest.is_empty() {
        return None;
    }
    let mut micros = 0.0;
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..unit].parse().ok()?;
        rest = &rest[unit..];
        let units = [("ms", 1e3), ("us", 1.0), ("h", 3.6e9), ("m", 6e7), ("s", 1e6)];
        let (word, size) = units.into_iter().find(|(word, _)| rest.starts_with(word))?;
        micros += number * size;
        rest = &rest[word.len()..];
    }
    // As many seconds as there are between two moments.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    (micros < (LAST - FIRST) as f64 * 1e6).then_some((sign * micros) as i64)
}

/// Days since 1970 of a day of the Gregorian calendar. Years begin in March, so that the odd day is the last.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

// === impl Date ===

impl Date {
    /// The moment so many microseconds after the beginning of 1970.
    pub(super) fn of(micros: i64) -> Self {
        let seconds = micros.div_euclid(SECOND);
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let shifted = days + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year + i64::from(month <= 2);
        // The first of January 1970 was a Thursday.
        Self { year, month, day, weekday: (days + 4).rem_euclid(7), second_of_day }
    }
}
