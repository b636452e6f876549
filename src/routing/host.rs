//! Host patterns: exact, `*.x` (one label), `**.x` (one or more), or any host at all.

use std::{fmt, net::Ipv6Addr};

/// Which hosts a branch takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Every host, and a request that names none.
    Any,
    /// This host.
    Exact(Box<str>),
    /// `*.x`: exactly one label before `.x`; holds `x`.
    OneLabel(Box<str>),
    /// `**.x`: one label or more before `.x`; holds `x`.
    AnyLabels(Box<str>),
}

// === impl HostPattern ===

impl HostPattern {
    /// Reads a pattern as the operator writes it. Upper case is folded.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(suffix) = lower.strip_prefix("**.") {
            return Ok(Self::AnyLabels(name(suffix)?));
        }
        if let Some(suffix) = lower.strip_prefix("*.") {
            return Ok(Self::OneLabel(name(suffix)?));
        }
        if let Some(inner) = lower.strip_prefix('[') {
            return ipv6(inner).map(Self::Exact);
        }
        Ok(Self::Exact(name(&lower)?))
    }

    /// Whether the pattern takes `host` (lower case, no port, no trailing dot).
    pub fn matches(&self, host: &str) -> bool {
        let before = |suffix: &str| {
            let prefix = host.strip_suffix(suffix)?.strip_suffix('.')?;
            Some(prefix).filter(|prefix| !prefix.is_empty())
        };
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *host,
            Self::OneLabel(suffix) => before(suffix).is_some_and(|p| !p.contains('.')),
            Self::AnyLabels(suffix) => before(suffix).is_some(),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any host"),
            Self::Exact(name) => f.write_str(name),
            Self::OneLabel(suffix) => write!(f, "*.{suffix}"),
            Self::AnyLabels(suffix) => write!(f, "**.{suffix}"),
        }
    }
}

fn ipv6(inner: &str) -> Result<Box<str>, String> {
    let Some(address) = inner.strip_suffix(']') else {
        return Err("an IPv6 host is written `[::1]`, without a port".to_owned());
    };
    let address: Ipv6Addr =
        address.parse().map_err(|_| format!("`{address}` is not an IPv6 address"))?;
    Ok(format!("[{address}]").into())
}

/// Checks a host name, already in lower case.
fn name(text: &str) -> Result<Box<str>, String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err("the host is empty; leave it out to take every host".to_owned());
    }
    if text.contains('*') {
        return Err("a `*` may only stand first: `*.example.com` takes one label, \
             `**.example.com` one or more; leave the host out to take every host"
            .to_owned());
    }
    if text.contains(':') {
        return Err("a host has no port; the listener chooses the port".to_owned());
    }
    if !text.is_ascii() {
        return Err("write an international host in its `xn--` form".to_owned());
    }
    if let Some(bad) =
        text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'))
    {
        return Err(format!("`{bad}` cannot stand in a host name"));
    }
    if text.split('.').any(|label| label.is_empty() || label.len() > 63) || text.len() > 253 {
        return Err("a host name has labels of 1 to 63 characters, 253 in all".to_owned());
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_forms() {
        let parse = |text| HostPattern::parse(text);
        assert_eq!(parse("Shop.Example.com."), Ok(HostPattern::Exact("shop.example.com".into())));
        assert_eq!(parse("*.x.com"), Ok(HostPattern::OneLabel("x.com".into())));
        assert_eq!(parse("**.x.com"), Ok(HostPattern::AnyLabels("x.com".into())));
        assert_eq!(parse("[0:0::1]"), Ok(HostPattern::Exact("[::1]".into())));
        for bad in ["", "*", "**", "a.*", "a*.b", "*.", "a..b", "a:80", "[::1]:80", "ä.de", "a/b"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn wildcards_count_labels() {
        let one = HostPattern::parse("*.x.com").unwrap();
        let any = HostPattern::parse("**.x.com").unwrap();
        for (host, by_one, by_any) in [
            ("a.x.com", true, true),
            ("a.b.x.com", false, true),
            ("x.com", false, false),
            (".x.com", false, false),
            ("ax.com", false, false),
            ("", false, false),
        ] {
            assert_eq!((one.matches(host), any.matches(host)), (by_one, by_any), "{host}");
        }
    }
}
