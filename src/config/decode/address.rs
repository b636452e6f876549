//! Addresses to bind and URLs of endpoints.

use std::net::{IpAddr, Ipv6Addr};

use super::super::model::{Address, Name, Target};

/// An endpoint URL taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct EndpointUrl {
    /// `http://host:port`, with the port.
    pub name: Name,
    pub tls: bool,
    pub h2c: bool,
    pub target: Target,
}

/// Why a text is not what it should be, and what to do.
pub(in crate::config) type Wrong = (String, Option<String>);

/// Whether a string means a URL rather than a name.
pub(super) fn is_url(text: &str) -> bool {
    text.contains("://") || text.starts_with("unix:")
}

/// `host:port`, `:port`, `[::1]:port`, `unix:/path`, `fd:NAME`.
pub(in crate::config) fn listen(text: &str) -> Result<Address, Wrong> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.strip_prefix('/') {
            Some(rest) if !rest.is_empty() => Ok(Address::Unix(path.into())),
            _ => Err((format!("`{text}` has no absolute path"), Some("`unix:/path`".into()))),
        };
    }
    if let Some(name) = text.strip_prefix("fd:") {
        let good = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != ':');
        let help = "`fd:NAME`, with the FileDescriptorName= of the socket unit";
        let wrong = || (format!("`{text}` has no name of a socket"), Some(help.into()));
        return if good { Ok(Address::Fd(name.to_owned())) } else { Err(wrong()) };
    }
    let not = |help: &str| (format!("`{text}` is not an address"), Some(help.to_owned()));
    if text.parse::<u16>().is_ok() {
        return Err(not(&format!("did you mean `:{text}`?")));
    }
    let forms = "`host:port`, `:port`, `[::1]:port`, `unix:/path` or `fd:NAME`";
    let (host, port) = text.rsplit_once(':').ok_or_else(|| not(forms))?;
    let port = port.parse().map_err(|_| not(forms))?;
    let host = match host {
        "" | "*" => None,
        "localhost" => return Err(not(&format!("an IP address: `127.0.0.1:{port}`"))),
        host => Some(ip(host).ok_or_else(|| not("the host must be an IP address"))?),
    };
    Ok(Address::Tcp { host, port })
}

/// An IPv4 address, or an IPv6 address in brackets.
fn ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(six) => six.parse().ok().filter(IpAddr::is_ipv6),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    }
}

/// Whether the system refuses to bind the second of two.
pub(super) fn overlap(one: &Address, other: &Address) -> bool {
    let (Address::Tcp { host, port }, Address::Tcp { host: second, port: other_port }) =
        (one, other)
    else {
        return one == other;
    };
    // No host is `[::]`, which takes both families; 0 takes a free port.
    let ip = |host: &Option<IpAddr>| {
        host.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |ip| ip.to_canonical())
    };
    let (one, other) = (ip(host), ip(second));
    let holds = |one: IpAddr, other: IpAddr| match one {
        IpAddr::V6(ip) => ip.is_unspecified(),
        IpAddr::V4(ip) => ip.is_unspecified() && other.is_ipv4(),
    };
    port == other_port && *port != 0 && (one == other || holds(one, other) || holds(other, one))
}

/// What is wrong with a user in a URL, and what to do. It shows nothing of the URL.
pub(super) const USER_INFO: (&str, &str) = (
    "an endpoint cannot hold a user or password",
    "send credentials with `headers: { request: { set: { Authorization: … } } }`",
);

/// `http://host[:port]`, `https://`, `h2c://`, `unix:/path`; nothing after the port.
pub(in crate::config) fn endpoint(text: &str) -> Result<EndpointUrl, Wrong> {
    if let Some(path) = text.strip_prefix("unix:") {
        // `unix:///path` is how others write it.
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.len() < 2 {
            return Err((format!("`{text}` has no absolute path"), Some("`unix:/path`".into())));
        }
        let target = Target::Unix(path.into());
        return Ok(EndpointUrl {
            name: format!("unix:{path}").into(),
            tls: false,
            h2c: false,
            target,
        });
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let help = format!("did you mean `http://{text}`?");
        return Err((format!("`{text}` is not a URL"), Some(help)));
    };
    let lower = scheme.to_ascii_lowercase();
    let (tls, h2c, port) = match lower.as_str() {
        "http" => (false, false, 80),
        "https" => (true, false, 443),
        "h2c" => (false, true, 80),
        _ => {
            let known = "`http`, `https`, `h2c` (HTTP/2 in plain text) or `unix:/path`";
            return Err((format!("`{scheme}` is not a scheme of an endpoint"), Some(known.into())));
        }
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    if authority.contains('@') {
        let (message, help) = USER_INFO;
        return Err((message.to_owned(), Some(help.to_owned())));
    }
    if !matches!(after, "" | "/") {
        let what = if after.starts_with('/') { "path" } else { "query" };
        let help = format!(
            "end it after the port; `rewrite: {}` on the route changes the path",
            prefix(after)
        );
        return Err((format!("an endpoint cannot have a {what}"), Some(help)));
    }
    if authority.is_empty() {
        return Err((format!("`{text}` has no host"), None));
    }
    let (host, port) = host_port(authority, port)
        .ok_or_else(|| (format!("`{authority}` is not a host and port"), None))?;
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let name = format!("{lower}://{shown}:{port}").into();
    Ok(EndpointUrl { name, tls, h2c, target: Target::Tcp { host, port } })
}

/// What `rewrite` would be for an endpoint written with this path.
fn prefix(after: &str) -> String {
    let path = after.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    format!("{path}/{{**}}")
}

fn host_port(authority: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => default,
    };
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let named = !host.is_empty() && host.len() <= 253 && host.chars().all(good);
    let literal = authority.starts_with('[');
    (named || literal).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::{listen, overlap};

    #[test]
    fn two_overlap_where_the_system_binds_only_one_of_them() {
        let both = |one: &str, other: &str| {
            let (one, other) = (listen(one).unwrap(), listen(other).unwrap());
            assert_eq!(overlap(&one, &other), overlap(&other, &one));
            overlap(&one, &other)
        };
        for (one, other) in [
            (":80", ":80"),
            (":80", "0.0.0.0:80"),
            (":80", "[::]:80"),
            (":80", "[::1]:80"),
            (":80", "127.0.0.1:80"),
            ("[::]:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80"),
            ("unix:/a", "unix:/a"),
            ("fd:a", "fd:a"),
        ] {
            assert!(both(one, other), "{one} {other}");
        }
        for (one, other) in [
            (":80", ":81"),
            (":0", ":0"),
            ("127.0.0.1:0", ":0"),
            ("0.0.0.0:80", "[::1]:80"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "[::1]:80"),
            ("unix:/a", "unix:/b"),
            ("fd:a", ":80"),
        ] {
            assert!(!both(one, other), "{one} {other}");
        }
    }
}
