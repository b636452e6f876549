//! Numbers with units.

use std::time::Duration;

/// Longer than anybody means.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Why a text is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A bare number.
    NoUnit,
    /// Something else.
    Form,
}

/// `250ms`, `10s`, `2.5m`, `1h`, `1d`.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        "" => return Err(Wrong::NoUnit),
        _ => return Err(Wrong::Form),
    };
    let number: f64 = number.parse().map_err(|_| Wrong::Form)?;
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|value| *value <= LONGEST)
        .ok_or(Wrong::Form)
}

/// `512B`, `64KiB`, `10MB`.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit {
        "B" => 1,
        "kB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        "" => return Err(Wrong::NoUnit),
        _ => return Err(Wrong::Form),
    };
    let number: u64 = number.parse().map_err(|_| Wrong::Form)?;
    number.checked_mul(factor).ok_or(Wrong::Form)
}

/// `0%` to `100%`, as a share of one.
pub(super) fn percent(text: &str) -> Result<f64, Wrong> {
    match split(text)? {
        (_, "") => Err(Wrong::NoUnit),
        (number, "%") => {
            let number: f64 = number.parse().map_err(|_| Wrong::Form)?;
            if number <= 100.0 { Ok(number / 100.0) } else { Err(Wrong::Form) }
        }
        _ => Err(Wrong::Form),
    }
}

/// A size as one would write it.
pub(in super::super) fn show_size(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// `12.5s` into `12.5` and `s`.
fn split(text: &str) -> Result<(&str, &str), Wrong> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') || number.len() > 20 {
        return Err(Wrong::Form);
    }
    Ok((number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_nothing_else() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2.5s"), Ok(Duration::from_millis(2500)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86400)));
        assert_eq!(duration("10"), Err(Wrong::NoUnit));
        for text in ["", "s", ".5s", "5.s", "1.2.3s", "-1s", "10 s", "10S", "1e3s", "99999999d"] {
            assert_eq!(duration(text), Err(Wrong::Form), "{text}");
        }
    }

    #[test]
    fn sizes_and_percentages() {
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("10MB"), Ok(10_000_000));
        assert_eq!(size("10"), Err(Wrong::NoUnit));
        for text in ["10K", "1.5MiB", "99999999999999999GiB", "KiB", "10kib"] {
            assert_eq!(size(text), Err(Wrong::Form), "{text}");
        }
        assert_eq!(percent("2.5%"), Ok(0.025));
        assert_eq!(percent("101%"), Err(Wrong::Form));
        assert_eq!(percent("50"), Err(Wrong::NoUnit));
    }
}
