//! Whether a client would rather read a page than a problem.

/// `Accept` prefers `text/html` over JSON. A client that takes either gets the problem.
pub(super) fn prefers_html(accept: &str) -> bool {
    let html = quality(accept, &["text/html"], "text");
    let json = quality(accept, &["application/problem+json", "application/json"], "application");
    html > json
}

/// The quality of the most specific range that covers one of `types`, in thousandths.
fn quality(accept: &str, types: &[&str], family: &str) -> u16 {
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let precision = match name.split_once('/') {
            _ if types.iter().any(|t| name.eq_ignore_ascii_case(t)) => 3,
            Some((main, "*")) if main.eq_ignore_ascii_case(family) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let q = parts.find_map(|part| part.strip_prefix(['q', 'Q'])?.strip_prefix('='));
        best = best.max((precision, q.map_or(1000, thousandths)));
    }
    best.1
}

/// `0.8` is 800. What is no quality counts as none.
fn thousandths(q: &str) -> u16 {
    let Ok(value) = q.parse::<f32>() else { return 0 };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1000
    let value = (value.clamp(0.0, 1.0) * 1000.0) as u16;
    value
}

#[cfg(test)]
mod tests {
    use super::prefers_html;

    #[test]
    fn a_browser_gets_a_page() {
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(prefers_html(firefox));
        assert!(prefers_html("TEXT/HTML"));
        assert!(prefers_html("application/json;q=0.5, text/*; q=0.6"));
    }

    #[test]
    fn everybody_else_gets_a_problem() {
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/problem+json, text/html",
            "application/json, text/html;q=0.9",
            "text/html;q=0, */*",
            "text/html;q=nonsense",
            "text/html;q=NaN",
            "*/*;q=0.1, text/html;q=0.05",
            "image/png",
            ";;;,,,=",
        ] {
            assert!(!prefers_html(accept), "{accept}");
        }
    }
}
