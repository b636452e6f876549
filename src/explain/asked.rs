//! The question: a method, a URL and what else of a request matters. Also how it travels to a running
//! gateway, as the query of a `GET`.

use std::{fmt::Write as _, net::IpAddr};

use serde_json::{Map, Value};

use crate::config::model::Name;

/// A request somebody asks about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// The method, as it would be sent.
    pub method: String,
    /// `https://host[:port]/path?query`.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Where the connection comes from; nobody knows unless it is said.
    pub client_ip: Option<IpAddr>,
    /// The listener; one that fits the URL unless it is said.
    pub listener: Option<String>,
    /// Who it is from, where it is to be taken for theirs without credentials.
    pub caller: Option<Caller>,
}

/// Somebody who is let in by `auth`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caller {
    /// Their name.
    pub consumer: Option<Name>,
    /// What an issuer says of them.
    pub claims: Map<String, Value>,
}

/// The parts of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) tls: bool,
    /// There was a user in it, and perhaps a password: no client sends these as part of a URL.
    pub(super) user: bool,
    pub(super) authority: &'a str,
    pub(super) port: Option<u16>,
    /// Path and query, as written; the path is `/` if there is none.
    pub(super) target: &'a str,
}

// === impl Asked ===

impl Asked {
    /// Reads what people type: a method in any case, a URL without a scheme, fields as `name: value`.
    ///
    /// # Errors
    /// What cannot be a request at all, in words for whoever typed it.
    pub fn new(method: &str, url: &str, fields: &[String]) -> Result<Self, String> {
        if method.is_empty() || !is_line(method) || method.contains(' ') {
            return Err(format!("`{}` is not a method", method.escape_debug()));
        }
        let lower = method.bytes().all(|byte| byte.is_ascii_lowercase());
        let method = if lower { method.to_ascii_uppercase() } else { method.to_owned() };
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        // A browser keeps what follows `#` to itself.
        let url = without_user(url.split('#').next().unwrap_or_default());
        let mut headers = Vec::new();
        for field in fields {
            let Some((name, value)) = field.split_once(':').filter(|_| is_line(field)) else {
                // Not which one: it may be a secret.
                return Err("a header is written `name: value`".to_owned());
            };
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let asked = Self { method, url, headers, ..Self::default() };
        asked.parts()?;
        Ok(asked)
    }

    /// The parts of the URL.
    pub(super) fn parts(&self) -> Result<Url<'_>, String> {
        let wrong = || format!("`{}` is not a URL like https://host/path", self.url.escape_debug());
        let (scheme, rest) = self.url.split_once("://").ok_or_else(wrong)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(format!("{}: only http and https are served here", wrong())),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((_, authority)) => (true, authority),
            None => (false, authority),
        };
        if authority.is_empty() || !is_line(rest) || rest.contains(' ') {
            return Err(wrong());
        }
        let after = authority.rfind(']').map_or(authority, |at| &authority[at..]);
        let port = after.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let target = if target.is_empty() { "/" } else { target };
        Ok(Url { tls, user, authority, port, target })
    }

    /// As the query of a URL.
    pub(crate) fn to_query(&self) -> String {
        let mut text = String::new();
        let mut pair = |key: &str, value: &str| {
            let and = if text.is_empty() { "" } else { "&" };
            let _ = write!(text, "{and}{key}=");
            for byte in value.bytes() {
                match byte.is_ascii_alphanumeric() {
                    true => text.push(char::from(byte)),
                    false => drop(write!(text, "%{byte:02X}")),
                }
            }
        };
        pair("method", &self.method);
        pair("url", &self.url);
        for (name, value) in &self.headers {
            pair("header", &format!("{name}:{value}"));
        }
        if let Some(ip) = self.client_ip {
            pair("client_ip", &ip.to_string());
        }
        if let Some(listener) = &self.listener {
            pair("listener", listener);
        }
        if let Some(Caller { consumer, claims }) = &self.caller {
            if let Some(consumer) = consumer {
                pair("consumer", consumer);
            }
            pair("claims", &Value::Object(claims.clone()).to_string());
        }
        text
    }

    /// What [`Self::to_query`] made, or somebody by hand.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn from_query(query: &str) -> Result<Self, String> {
        let (mut method, mut url, mut fields) = ("GET".to_owned(), None, Vec::new());
        let (mut client_ip, mut listener, mut consumer, mut claims) = (None, None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = unescaped(value).ok_or_else(|| format!("`{key}` is not UTF-8 text"))?;
            match key {
                "method" => method = value,
                "url" => url = Some(value),
                "header" => fields.push(value),
                "client_ip" => {
                    client_ip =
                        Some(value.parse().map_err(|_| format!("`{value}` is no address"))?);
                }
                "listener" => listener = Some(value),
                "consumer" => consumer = Some(value),
                "claims" => claims = Some(value),
                other => return Err(format!("unknown parameter `{}`", other.escape_debug())),
            }
        }
        let url = url.ok_or("there is no `url`")?;
        let caller = Caller::new(consumer.as_deref(), claims.as_deref())?;
        Ok(Self { client_ip, listener, caller, ..Self::new(&method, &url, &fields)? })
    }
}

// === impl Caller ===

impl Caller {
    /// What people type: a name, and claims as a JSON object. Nobody where neither is given.
    ///
    /// # Errors
    /// The claims are no JSON object.
    pub(crate) fn new(
        consumer: Option<&str>,
        claims: Option<&str>,
    ) -> Result<Option<Self>, String> {
        let claims = claims.map(|text| {
            // Not what it says: it may be somebody's.
            serde_json::from_str(text).map_err(|_| "`claims` takes a JSON object".to_owned())
        });
        match (consumer, claims.transpose()?) {
            (None, None) => Ok(None),
            (consumer, claims) => {
                let consumer = consumer.map(Name::from);
                Ok(Some(Self { consumer, claims: claims.unwrap_or_default() }))
            }
        }
    }
}

/// The URL with nothing before the `@` of its authority: a password is nobody's business.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at..]),
        None => url.to_owned(),
    }
}

/// Whether it can stand on one line of a head: the scan would take a line break for the end of it.
fn is_line(text: &str) -> bool {
    !text.contains(['\r', '\n', '\0'])
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_as_people_write_them() {
        for (text, tls, authority, port, target) in [
            ("https://a.com/x?y#z", true, "a.com", None, "/x?y"),
            ("a.com", false, "a.com", None, "/"),
            ("http://a.com:8080", false, "a.com:8080", Some(8080), "/"),
            ("HTTP://[::1]:81?q", false, "[::1]:81", Some(81), "?q"),
            ("wss://[::1]/%2e%2e/", true, "[::1]", None, "/%2e%2e/"),
        ] {
            let asked = Asked::new("get", text, &[]).unwrap();
            assert_eq!(asked.method, "GET");
            let expected = Url { tls, user: false, authority, port, target };
            assert_eq!(asked.parts(), Ok(expected), "{text}");
        }
        for bad in ["", "https://", "ftp://a/", "http:///x", "http://a/b c", "http://a/\r\nX: y"] {
            assert!(Asked::new("GET", bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_kept_by_nobody() {
        for text in
            ["http://ann:s3@cret@a.com/x@y", "http://ann:s3@cret@a.com?x@y", "ann:s3cret@a.com"]
        {
            let asked = Asked::new("GET", text, &[]).unwrap();
            assert!(!format!("{asked:?}").contains("cret"), "{asked:?}");
            let parts = asked.parts().unwrap();
            assert!(parts.user && parts.authority == "a.com", "{parts:?}");
        }
        let error = Asked::new("GET", "http://ann:s3cret@/", &[]).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
        assert!(!Asked::new("GET", "http://a.com/x@y", &[]).unwrap().parts().unwrap().user);
    }

    #[test]
    fn nothing_can_break_out_of_its_line() {
        for (method, field) in
            [("GET /x", "a: b"), ("", "a: b"), ("GET", "a: b\nc: d"), ("GET", "a")]
        {
            assert!(Asked::new(method, "http://a/", &[field.to_owned()]).is_err(), "{field:?}");
        }
        let error = Asked::new("GET", "http://a/", &["s3cret".to_owned()]).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_question_arrives_as_it_was_asked() {
        let fields = ["X-A: b&c=%41+é".to_owned(), "Authorization: Basic eA==".to_owned()];
        let mut asked = Asked::new("POST", "https://a.com/x?a=b&c=%2f", &fields).unwrap();
        asked.client_ip = "2001:db8::1".parse().ok();
        asked.listener = Some("https".to_owned());
        asked.caller = Caller::new(Some("ann é"), Some(r#"{"groups":["a&b"]}"#)).unwrap();
        assert_eq!(Asked::from_query(&asked.to_query()), Ok(asked));
        let plain = Asked::from_query("url=a.com/x").unwrap();
        assert_eq!((plain.method.as_str(), plain.url.as_str()), ("GET", "http://a.com/x"));
        for bad in [
            "",
            "url=a&claims=1",
            "url=%ff",
            "url=a&client_ip=x",
            "url=a&what=1",
            "url=a&header=%0a",
            "url=%4",
        ] {
            assert!(Asked::from_query(bad).is_err(), "{bad}");
        }
    }
}
