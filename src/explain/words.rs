//! Values as the operator would write them.

use std::time::Duration;

pub(crate) use crate::config::show_size as size;

/// `10s`, `250ms`, `5m`.
pub(crate) fn span(time: Duration) -> String {
    let (secs, micros) = (time.as_secs(), time.subsec_micros());
    match (secs, micros) {
        (0, 0) => "0s".to_owned(),
        (secs, 0) if secs >= 120 && secs.is_multiple_of(3600) => format!("{}h", secs / 3600),
        (secs, 0) if secs >= 120 && secs.is_multiple_of(60) => format!("{}m", secs / 60),
        (secs, 0) => format!("{secs}s"),
        (0, micros) if micros < 1000 => format!("{micros}us"),
        (0, micros) if micros < 10_000 => decimals(f64::from(micros) / 1e3, "ms"),
        (0, micros) => format!("{}ms", micros / 1000),
        _ => decimals(time.as_secs_f64(), "s"),
    }
}

/// A share of one as a percentage.
pub(crate) fn percent(share: f64) -> String {
    decimals(share * 100.0, " %")
}

fn decimals(number: f64, unit: &str) -> String {
    let text = format!("{number:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// `1 endpoint`, `2 endpoints`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// The first few, and how many more.
pub(crate) fn few<T: ToString>(items: &[T]) -> String {
    const MOST: usize = 5;
    let shown: Vec<String> = items.iter().take(MOST).map(ToString::to_string).collect();
    match items.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_in_the_file() {
        let spans =
            [0, 850, 1_500, 25_000, 250_000, 1_500_000, 60_000_000, 300_000_000, 7_200_000_000];
        let words = spans.map(|micros| span(Duration::from_micros(micros)));
        assert_eq!(words, ["0s", "850us", "1.5ms", "25ms", "250ms", "1.5s", "60s", "5m", "2h"]);
        assert_eq!([0.0, 0.025, 1.0].map(percent), ["0 %", "2.5 %", "100 %"]);
        assert_eq!(few(&[1, 2, 3, 4, 5, 6, 7]), "1, 2, 3, 4, 5 and 2 more");
    }
}
