//! `grpc-timeout`: the time a gRPC client still gives its call
//! ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), "Requests"). It
//! limits the call like `timeouts.request`, whichever is shorter, and the upstream is told what is left
//! of it. Reach zone: the innermost thing before the upstream.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::telemetry::exchange::Exchange;

/// The header.
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// When the call must be over, if its client says so; from now on the header says what is left.
/// `limit` is that of the route.
pub(crate) fn deadline(
    headers: &mut HeaderMap,
    exchange: &Exchange,
    limit: Option<Duration>,
    now: Instant,
) -> Option<Instant> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let due = exchange.started + parse(text)?;
    let due = limit.map_or(due, |limit| due.min(exchange.started + limit));
    headers.insert(GRPC_TIMEOUT, format(due.saturating_duration_since(now)));
    Some(due)
}

/// At most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// In the finest unit that eight digits can say, never more than is left; at least a nanosecond, as
/// nothing left is not a time.
fn format(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let units = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
        (60_000_000_000, 'M'),
        (3_600_000_000_000, 'H'),
    ];
    let nanos = left.as_nanos().max(1);
    let found = units.iter().find(|(size, _)| nanos / size <= MOST);
    let text = found.map(|(size, unit)| format!("{}{unit}", nanos / size));
    let text = text.unwrap_or_else(|| format!("{MOST}H"));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("1n"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::testing;

    #[test]
    fn the_forms_of_the_protocol_are_read_and_no_others() {
        let seconds = |text| parse(text).map(|time| time.as_secs_f64());
        assert_eq!(seconds("1H"), Some(3600.0));
        assert_eq!(seconds("2M"), Some(120.0));
        assert_eq!(seconds("3S"), Some(3.0));
        assert_eq!(seconds("4m"), Some(0.004));
        assert_eq!(seconds("5u"), Some(0.000_005));
        assert_eq!(parse("6n"), Some(Duration::from_nanos(6)));
        assert_eq!(seconds("99999999H"), Some(359_999_996_400.0));
        for wrong in ["", "S", "100000000S", "1", "1s", "-1S", "1.5S", " 1S", "1Sé"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_upstream_is_told_what_is_left_of_the_shorter_limit() {
        let exchange = Arc::new(Exchange::new(testing::head()));
        let start = exchange.started;
        let mut headers = HeaderMap::new();
        let later = start + Duration::from_millis(300);
        assert_eq!(deadline(&mut headers, &exchange, None, later), None);
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_static("1S"));
        let due = deadline(&mut headers, &exchange, None, later);
        assert_eq!(due, Some(start + Duration::from_secs(1)));
        assert_eq!(headers[GRPC_TIMEOUT], "700000u");
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_static("1S"));
        let limit = Some(Duration::from_millis(400));
        let due = deadline(&mut headers, &exchange, limit, later);
        assert_eq!(due, Some(start + Duration::from_millis(400)));
        assert_eq!(headers[GRPC_TIMEOUT], "100000u");
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_static("nonsense"));
        assert_eq!(deadline(&mut headers, &exchange, limit, later), None);
        assert_eq!(headers[GRPC_TIMEOUT], "nonsense");
    }

    proptest! {
        #[test]
        fn what_is_said_is_never_more_than_what_is_left(nanos in 1u64..=u64::MAX) {
            let left = Duration::from_nanos(nanos);
            let said = parse(format(left).to_str().unwrap()).unwrap();
            prop_assert!(said <= left);
            prop_assert!(said.as_nanos() * 100_000_001 >= left.as_nanos() * 98_000_000);
        }
    }
}
