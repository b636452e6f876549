//! Dates as the formats write them.

use std::{cell::RefCell, io::Write as _};

use super::line::{digit, digits};

thread_local! {
    /// The last second written, as text.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// `2026-11-21T08:33:46.123456Z`.
pub(super) fn timestamp(out: &mut Vec<u8>, unix_micros: u64) {
    let second = unix_micros / 1_000_000;
    SECOND.with_borrow_mut(|(cached, text)| {
        if *cached != second {
            let (date, time) = (Date::of(second), second % 86_400);
            *text = format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.",
                date.year,
                date.month,
                date.day,
                time / 3600,
                time / 60 % 60,
                time % 60
            );
            *cached = second;
        }
        out.extend_from_slice(text.as_bytes());
    });
    let rest = unix_micros % 1_000_000;
    let [a, b] = [rest / 1000, rest % 1000];
    let tens = |value: u64| [digit(value / 100), digit(value / 10), digit(value)];
    let ([a, b, c], [d, e, f]) = (tens(a), tens(b));
    out.extend_from_slice(&[a, b, c, d, e, f, b'Z']);
}

/// `21/Nov/2026:08:33:46 +0000`.
pub(super) fn clf_timestamp(out: &mut Vec<u8>, second: u64) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, time) = (Date::of(second), second % 86_400);
    let month = MONTHS[date.month as usize - 1];
    digits(out, date.day, 2);
    // Writing to a vector cannot fail.
    let _ = write!(out, "/{month}/{:04}:", date.year);
    digits(out, time / 3600, 2);
    out.push(b':');
    digits(out, time / 60 % 60, 2);
    out.push(b':');
    digits(out, time % 60, 2);
    out.extend_from_slice(b" +0000");
}

/// A day of the Gregorian calendar.
struct Date {
    year: u64,
    month: u64,
    day: u64,
}

impl Date {
    /// The day of a second since 1970. Years begin in March here, so that the odd day is the last.
    fn of(second: u64) -> Self {
        let days = second / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Self { year: era * 400 + year_of_era + u64::from(month <= 2), month, day }
    }
}
