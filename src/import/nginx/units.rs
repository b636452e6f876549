//! Times and sizes of nginx in the units of the language.

/// `60`, `1m`, `1h 30m`, `500ms` as `60s`, `1m`, `90m`, `500ms`.
pub(super) fn duration(text: &str) -> Option<String> {
    let mut total = 0_u64;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit = after.find(|c: char| c.is_ascii_digit() || c == ' ').unwrap_or(after.len());
        let factor = match &after[..unit] {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "M" => 2_592_000_000,
            "y" => 31_536_000_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = after[unit..].trim_start();
    }
    let unit = |size: u64, name: &str| {
        total.is_multiple_of(size).then(|| format!("{}{name}", total / size))
    };
    unit(86_400_000, "d")
        .filter(|_| total > 0)
        .or_else(|| unit(3_600_000, "h").filter(|_| total > 0))
        .or_else(|| unit(60_000, "m").filter(|_| total > 60_000))
        .or_else(|| unit(1000, "s"))
        .or_else(|| unit(1, "ms"))
}

/// `10m`, `8k`, `1g`, `1024` as `10MiB` and so on; `0` is `none`.
pub(super) fn size(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let (number, unit) = match lower.trim_end_matches(['k', 'm', 'g']) {
        number if number.len() + 1 == lower.len() => (number, &lower[number.len()..]),
        number if number.len() == lower.len() => (number, ""),
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    Some(match (number, unit) {
        (0, _) => "none".to_owned(),
        (_, "k") => format!("{number}KiB"),
        (_, "m") => format!("{number}MiB"),
        (_, "g") => format!("{number}GiB"),
        _ => format!("{number}B"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_get_their_units() {
        for (text, expected) in [
            ("60", "60s"),
            ("60s", "60s"),
            ("1m", "60s"),
            ("5m", "5m"),
            ("1h 30m", "90m"),
            ("1h30m", "90m"),
            ("500ms", "500ms"),
            ("2d", "2d"),
            ("0", "0s"),
        ] {
            assert_eq!(duration(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(duration("x"), None);
        for (text, expected) in
            [("10m", "10MiB"), ("8K", "8KiB"), ("1g", "1GiB"), ("512", "512B"), ("0", "none")]
        {
            assert_eq!(size(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(size("10mm"), None);
    }
}
