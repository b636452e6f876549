//! One line of an access log as a request: our JSON, ECS with dots or nested, common and combined log format.

use std::{borrow::Cow, net::IpAddr};

use serde::Deserialize;

/// What a line says of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line<'l> {
    pub(super) method: Cow<'l, str>,
    /// Empty if the log does not say.
    pub(super) host: Cow<'l, str>,
    pub(super) path: Cow<'l, str>,
    pub(super) query: Option<Cow<'l, str>>,
    pub(super) client: Option<IpAddr>,
    pub(super) listener: Option<Cow<'l, str>>,
    /// It came over TLS; nothing if the log does not say.
    pub(super) tls: Option<bool>,
    pub(super) status: u16,
    pub(super) reason: Option<Cow<'l, str>>,
    /// The route it went to; the outer `None` is a log that does not say.
    pub(super) route: Option<Option<Cow<'l, str>>>,
    /// Somebody was known.
    pub(super) consumer: bool,
    pub(super) user_agent: Option<Cow<'l, str>>,
    pub(super) headers: Vec<(String, String)>,
}

/// Our own line, and ECS beside it: no key of one is one of the other.
#[derive(Deserialize)]
struct Json<'l> {
    #[serde(borrow, default)]
    method: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    host: Option<Host<'l>>,
    #[serde(borrow, default)]
    path: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    query: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    client_ip: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    listener: Option<Cow<'l, str>>,
    #[serde(default)]
    tls: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    status: u16,
    #[serde(borrow, default)]
    reason: Option<Cow<'l, str>>,
    #[serde(borrow, default, deserialize_with = "there")]
    route: Option<Option<Cow<'l, str>>>,
    #[serde(default)]
    consumer: Option<serde::de::IgnoredAny>,
    #[serde(borrow, default)]
    user_agent: Option<Agent<'l>>,
    #[serde(default)]
    request_headers: Option<std::collections::BTreeMap<String, String>>,
    #[serde(borrow, default, rename = "http.request.method")]
    ecs_method: Option<Cow<'l, str>>,
    #[serde(borrow, default, rename = "url.domain")]
    ecs_host: Option<Cow<'l, str>>,
    #[serde(borrow, default, rename = "url.path")]
    ecs_path: Option<Cow<'l, str>>,
    #[serde(borrow, default, rename = "url.query")]
    ecs_query: Option<Cow<'l, str>>,
    #[serde(borrow, default, rename = "client.ip")]
    ecs_client: Option<Cow<'l, str>>,
    #[serde(default, rename = "http.response.status_code")]
    ecs_status: u16,
    #[serde(borrow, default)]
    http: Option<EcsHttp<'l>>,
    #[serde(borrow, default)]
    url: Option<EcsUrl<'l>>,
    #[serde(borrow, default)]
    client: Option<EcsClient<'l>>,
}

/// A text with us, a map with ECS.
#[derive(Deserialize)]
#[serde(untagged)]
enum Host<'l> {
    Text(#[serde(borrow)] Cow<'l, str>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Agent<'l> {
    Text(#[serde(borrow)] Cow<'l, str>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct EcsHttp<'l> {
    #[serde(borrow, default)]
    request: Option<EcsRequest<'l>>,
    #[serde(default)]
    response: Option<EcsResponse>,
}

#[derive(Deserialize)]
struct EcsRequest<'l> {
    #[serde(borrow, default)]
    method: Option<Cow<'l, str>>,
}

#[derive(Deserialize)]
struct EcsResponse {
    #[serde(default)]
    status_code: u16,
}

#[derive(Deserialize)]
struct EcsUrl<'l> {
    #[serde(borrow, default)]
    domain: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    path: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    query: Option<Cow<'l, str>>,
}

#[derive(Deserialize)]
struct EcsClient<'l> {
    #[serde(borrow, default)]
    ip: Option<Cow<'l, str>>,
}

/// Why a line is no request.
pub(super) const UNREADABLE: &str = "the line is no access log line";

/// A key that is `null` is not a key that is not there.
fn there<'de, D>(deserializer: D) -> Result<Option<Option<Cow<'de, str>>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    Option::<Cow<'de, str>>::deserialize(deserializer).map(Some)
}

/// Reads a line.
///
/// # Errors
/// Why it is no request.
pub(super) fn read(line: &str) -> Result<Line<'_>, &'static str> {
    if line.starts_with('{') { json(line) } else { clf(line).ok_or(UNREADABLE) }
}

fn json(line: &str) -> Result<Line<'_>, &'static str> {
    let it: Json<'_> = serde_json::from_str(line).map_err(|_| UNREADABLE)?;
    let (request, response) = it.http.map_or((None, None), |http| (http.request, http.response));
    let (url_host, url_path, url_query) =
        it.url.map_or((None, None, None), |url| (url.domain, url.path, url.query));
    let method = it.method.or(it.ecs_method).or(request.and_then(|it| it.method));
    let host = match it.host {
        Some(Host::Text(host)) => Some(host),
        _ => it.ecs_host.or(url_host),
    };
    let path = it.path.or(it.ecs_path).or(url_path);
    let client = it.client_ip.or(it.ecs_client).or(it.client.and_then(|it| it.ip));
    let (Some(method), Some(path)) = (method, path) else {
        return Err("the line has no method or no path");
    };
    let status = [it.status, it.ecs_status, response.map_or(0, |it| it.status_code)];
    Ok(Line {
        method,
        host: host.unwrap_or_default(),
        path,
        query: it.query.or(it.ecs_query).or(url_query),
        client: client.and_then(|ip| ip.parse().ok()),
        tls: it.listener.is_some().then_some(it.tls.is_some()),
        listener: it.listener,
        status: status.into_iter().max().unwrap_or_default(),
        reason: it.reason,
        route: it.route,
        consumer: it.consumer.is_some(),
        user_agent: match it.user_agent {
            Some(Agent::Text(agent)) => Some(agent),
            _ => None,
        },
        headers: it.request_headers.into_iter().flatten().collect(),
    })
}

/// `192.0.2.7 - - [21/Nov/2026:08:33:46 +0000] "GET /x HTTP/1.1" 200 1234 "referer" "agent"`.
fn clf(line: &str) -> Option<Line<'_>> {
    let (client, rest) = line.split_once(' ')?;
    let (_, rest) = rest.split_once('"')?;
    let (request, rest) = quoted(rest)?;
    let mut words = request.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next());
    if method.is_empty()
        || words.next().is_some()
        || version.is_some_and(|it| !it.starts_with("HTTP"))
    {
        return None;
    }
    let (host, target) = match target.split_once("://") {
        Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", target),
    };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut after = rest.split_whitespace();
    let status = after.next()?.parse().ok()?;
    let agent = rest.rsplit('"').nth(1).filter(|agent| rest.ends_with('"') && *agent != "-");
    Some(Line {
        method: method.into(),
        host: host.into(),
        path: path.into(),
        query: query.map(Into::into),
        client: client.parse().ok(),
        status,
        user_agent: agent.map(Into::into),
        ..Line::default()
    })
}

/// The text before the closing quote, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return Some((&text[..at], &text[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_format_are_read() {
        let ours = r#"{"ts":"2026-11-21T08:33:46.000450Z","request_id":"x","listener":"https","client_ip":"192.0.2.7","method":"GET","host":"a.com","path":"/x\"y","query":"q=1","protocol":"HTTP/2","status":401,"reason":"unauthenticated","route":"app","upstream":null,"endpoint":null,"tries":0,"tls":{"version":"TLSv1.3","cipher":"c","sni":"a.com"},"user_agent":"curl","request_headers":{"x-a":"b"}}"#;
        let line = read(ours).unwrap();
        assert_eq!((&*line.method, &*line.host, &*line.path), ("GET", "a.com", "/x\"y"));
        assert_eq!((line.query.as_deref(), line.status, line.tls), (Some("q=1"), 401, Some(true)));
        assert_eq!(line.route, Some(Some("app".into())));
        assert_eq!((line.consumer, line.user_agent.as_deref()), (false, Some("curl")));
        assert_eq!(line.headers, [("x-a".to_owned(), "b".to_owned())]);
        let none = r#"{"listener":"http","client_ip":null,"method":"GET","host":"","path":"/","query":null,"status":404,"reason":"no_route","route":null,"tls":null,"consumer":"ann"}"#;
        let line = read(none).unwrap();
        assert_eq!((line.route, line.tls, line.consumer), (Some(None), Some(false), true));
        for ecs in [
            r#"{"http.request.method":"PUT","url.domain":"b.com","url.path":"/p","url.query":"z","client.ip":"::1","http.response.status_code":204,"host":{"name":"m"}}"#,
            r#"{"http":{"request":{"method":"PUT"},"response":{"status_code":204}},"url":{"domain":"b.com","path":"/p","query":"z"},"client":{"ip":"::1"},"user_agent":{"original":"x"}}"#,
        ] {
            let line = read(ecs).unwrap();
            assert_eq!(
                (&*line.method, &*line.host, &*line.path, line.status),
                ("PUT", "b.com", "/p", 204)
            );
            assert_eq!((line.client, line.route), ("::1".parse().ok(), None));
        }
        for (text, agent) in [
            (r#"192.0.2.7 - - [21/Nov/2026:08:33:46 +0000] "GET /x?q HTTP/1.1" 200 12"#, None),
            (
                r#"192.0.2.7 - - [21/Nov/2026:08:33:46 +0000] "GET /x?q HTTP/1.1" 200 12 "-" "a \" b""#,
                Some(" b"),
            ),
        ] {
            let line = read(text).unwrap();
            assert_eq!((&*line.method, &*line.host, &*line.path), ("GET", "", "/x"));
            assert_eq!((line.query.as_deref(), line.status), (Some("q"), 200));
            assert_eq!(line.user_agent.as_deref(), agent);
        }
        for bad in
            ["", "{", "x", "{}", r#"1 - - [] "GET" 200"#, r#"1 - - [] "\x16\x03" 400 0"#, "[1]"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
