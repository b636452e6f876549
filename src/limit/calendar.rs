//! Days and months, in UTC.

use crate::config::model::Period;

const DAY: u64 = 24 * 60 * 60;

/// The number of the day or month a moment is in, and the seconds until the next one begins.
pub(super) fn at(period: Period, unix: u64) -> (u32, u32) {
    let day = unix / DAY;
    let left_today = DAY - unix % DAY;
    let (number, left) = match period {
        Period::Day => (day, left_today),
        Period::Month => {
            let (months, day_of_month) = month(day);
            let next = first_day(months + 1);
            (months, (next - first_day(months) - day_of_month - 1) * DAY + left_today)
        }
        // Not of the calendar.
        Period::Every(_) => (0, 0),
    };
    (u32::try_from(number).unwrap_or(u32::MAX), u32::try_from(left).unwrap_or(u32::MAX))
}

/// Months since 1970 began, and the day of the month from 0. `day` counts from 1 January 1970.
fn month(day: u64) -> (u64, u64) {
    // A guess that is never too early, and late by few.
    let mut months = day * 12 / 365 + 1;
    while first_day(months) > day {
        months -= 1;
    }
    (months, day - first_day(months))
}

/// The day a month begins with.
fn first_day(months: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let (year, month) = (1970 + months / 12, (months % 12) as usize);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // Leap days of the years before, less those before 1970.
    let last = year - 1;
    let leaps = last / 4 - last / 100 + last / 400 - 477;
    (year - 1970) * 365 + leaps + BEFORE[month] + u64::from(leap && month > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds since 1970 of a date, by `date -u +%s`.
    const CASES: &[(u64, u32, u64, u32)] = &[
        // 1970-01-01 00:00:00
        (0, 0, 31 * DAY, 0),
        // 1970-02-28 23:59:59
        (5_097_599, 1, 1, 58),
        // 2000-02-29 12:00:00
        (951_825_600, 361, DAY / 2, 11_016),
        // 2024-02-28 00:00:00, with a 29th to come
        (1_709_078_400, 649, 2 * DAY, 19_781),
        // 2026-12-31 23:59:00
        (1_798_761_540, 683, 60, 20_818),
        // 2027-01-01 00:00:00
        (1_798_761_600, 684, 31 * DAY, 20_819),
        // 2100-02-28 00:00:00: no leap year
        (4_107_456_000, 1561, DAY, 47_540),
    ];

    #[test]
    fn days_and_months_end_where_the_calendar_says() {
        for (unix, month, left, day) in CASES {
            let found = at(Period::Month, *unix);
            assert_eq!((found.0, u64::from(found.1)), (*month, *left), "{unix}");
            assert_eq!(at(Period::Day, *unix).0, *day, "{unix}");
        }
        assert_eq!(at(Period::Day, DAY - 1), (0, 1));
    }

    #[test]
    fn every_second_lies_in_one_month_and_the_next_one_follows() {
        let mut unix = 0;
        let mut number = 0;
        while unix < 200 * 365 * DAY {
            let (month, left) = at(Period::Month, unix);
            assert_eq!(month, number, "{unix}");
            assert!((28 * DAY..=31 * DAY).contains(&u64::from(left)), "{unix}");
            let end = unix + u64::from(left);
            assert_eq!(at(Period::Month, end - 1), (number, 1));
            unix = end;
            number += 1;
        }
    }
}
