//! How a session and logins under way stand in cookies: their names, their attributes, and what is too
//! long for one. Over https the names begin with `__Host-`, so that no other host, no sibling
//! and nobody in the clear can plant one (RFC 6265bis section 4.1.3.2).

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

use super::super::Fields;

/// Browsers keep 4096 bytes of a cookie, its name and attributes among them.
const PIECE: usize = 3800;
/// Most pieces of a session: more would not fit into the head of a request.
pub(crate) const PIECES: usize = 4;
/// Logins under way at once: one in each of so many tabs.
pub(crate) const LOGINS: usize = 4;

/// Names of the cookies of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jar {
    name: String,
}

/// Whether cookies are for https.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secure {
    Yes,
    /// Plain HTTP to this very machine.
    Loopback,
}

// === impl Jar ===

impl Jar {
    pub(crate) const fn new(name: String) -> Self {
        Self { name }
    }

    /// What stands in the session's cookies, put together.
    pub(crate) fn session(&self, headers: &HeaderMap, secure: Secure) -> Option<Vec<u8>> {
        let whole = find(headers, &self.full(secure, ""))?;
        // `2.…`: the first of two pieces.
        let (count, first) = whole.split_at_checked(2)?;
        let count = match count {
            [digit, b'.'] => usize::from(digit.checked_sub(b'0')?),
            _ => return None,
        };
        if !(1..=PIECES).contains(&count) {
            return None;
        }
        let mut text = first.to_vec();
        for piece in 1..count {
            text.extend_from_slice(find(headers, &self.full(secure, &format!(".{piece}")))?);
        }
        Some(text)
    }

    /// Fields that have a browser keep a session; `None` if it is too long.
    pub(crate) fn keep_session(
        &self,
        seal: &str,
        life: Duration,
        headers: &HeaderMap,
        secure: Secure,
    ) -> Option<Fields> {
        let pieces: Vec<_> = seal.as_bytes().chunks(PIECE).collect();
        if pieces.len() > PIECES {
            return None;
        }
        let mut fields = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let piece = std::str::from_utf8(piece).ok()?;
            let (suffix, value) = match at {
                0 => (String::new(), format!("{}.{piece}", pieces.len())),
                _ => (format!(".{at}"), piece.to_owned()),
            };
            fields.push(keep(&self.full(secure, &suffix), &value, life, secure)?);
        }
        self.drop_pieces(pieces.len(), headers, secure, &mut fields);
        Some(fields)
    }

    /// Fields that have a browser forget the session.
    pub(crate) fn drop_session(&self, headers: &HeaderMap, secure: Secure) -> Fields {
        let mut fields = Vec::new();
        self.drop_pieces(0, headers, secure, &mut fields);
        fields
    }

    /// Pieces from `from` on, as far as the browser has them.
    fn drop_pieces(&self, from: usize, headers: &HeaderMap, secure: Secure, fields: &mut Fields) {
        for at in from..PIECES {
            let suffix = if at == 0 { String::new() } else { format!(".{at}") };
            let name = self.full(secure, &suffix);
            if find(headers, &name).is_some() {
                fields.extend(keep(&name, "", Duration::ZERO, secure));
            }
        }
    }

    /// What stands in the cookie of the login with this state.
    pub(crate) fn login<'h>(
        &self,
        headers: &'h HeaderMap,
        state: &str,
        secure: Secure,
    ) -> Option<&'h [u8]> {
        find(headers, &self.full(secure, &login_suffix(state)?))
    }

    /// Logins under way: what follows the name they have in common, and their values.
    pub(crate) fn logins<'h>(
        &self,
        headers: &'h HeaderMap,
        secure: Secure,
    ) -> Vec<(&'h str, &'h [u8])> {
        let prefix = self.full(secure, ".login.");
        let of = |(name, value): (&'h [u8], &'h [u8])| {
            let short = name.strip_prefix(prefix.as_bytes())?;
            Some((std::str::from_utf8(short).ok()?, value))
        };
        pairs(headers).filter_map(of).collect()
    }

    /// A field that has a browser keep a login.
    pub(crate) fn keep_login(
        &self,
        state: &str,
        seal: &str,
        life: Duration,
        secure: Secure,
    ) -> Option<(http::HeaderName, HeaderValue)> {
        keep(&self.full(secure, &login_suffix(state)?), seal, life, secure)
    }

    /// A field that has a browser forget a login.
    pub(crate) fn drop_login(
        &self,
        state: &str,
        secure: Secure,
    ) -> Option<(http::HeaderName, HeaderValue)> {
        self.keep_login(state, "", Duration::ZERO, secure)
    }

    /// Takes all of them out, whatever they begin with. The other cookies stay as they are.
    pub(crate) fn remove(&self, headers: &mut HeaderMap) {
        let ours = |pair: &[u8]| split(pair).is_some_and(|(name, _)| self.is_ours(name));
        let has = |line: &HeaderValue| line.as_bytes().split(|b| *b == b';').any(ours);
        if !headers.get_all(COOKIE).iter().any(has) {
            return;
        }
        let lines: Vec<_> = headers.get_all(COOKIE).iter().cloned().collect();
        headers.remove(COOKIE);
        for line in lines {
            let pairs = line.as_bytes().split(|b| *b == b';').filter(|pair| !ours(pair));
            let rest = pairs.collect::<Vec<_>>().join(&b';');
            if let Ok(mut value) = HeaderValue::from_bytes(rest.trim_ascii())
                && !value.is_empty()
            {
                value.set_sensitive(line.is_sensitive());
                headers.append(COOKIE, value);
            }
        }
    }

    fn is_ours(&self, name: &[u8]) -> bool {
        let name = name.strip_prefix(b"__Host-").unwrap_or(name);
        let Some(rest) = name.strip_prefix(self.name.as_bytes()) else { return false };
        match rest {
            [] => true,
            [b'.', digit] => digit.is_ascii_digit(),
            _ => rest.starts_with(b".login."),
        }
    }

    fn full(&self, secure: Secure, suffix: &str) -> String {
        let prefix = match secure {
            Secure::Yes => "__Host-",
            Secure::Loopback => "",
        };
        format!("{prefix}{}{suffix}", self.name)
    }
}

/// A login's cookie is called after its state; what comes in a query may be anything.
fn login_suffix(state: &str) -> Option<String> {
    let short = state.get(..12)?;
    let plain = short.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    plain.then(|| format!(".login.{short}"))
}

/// `Lax`, as the provider sends the browser back from another site.
fn keep(
    name: &str,
    value: &str,
    life: Duration,
    secure: Secure,
) -> Option<(http::HeaderName, HeaderValue)> {
    let secure = match secure {
        Secure::Yes => "; Secure",
        Secure::Loopback => "",
    };
    let life = life.as_secs();
    let text = format!("{name}={value}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some((SET_COOKIE, value))
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).filter_map(split)
}

/// Name and value of a pair (RFC 6265 section 5.2).
fn split(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', pair)?;
    Some((pair[..at].trim_ascii(), pair[at + 1..].trim_ascii()))
}

/// The value of the first one of this name.
fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    pairs(headers).find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jar() -> Jar {
        Jar::new("tidegate_sso".into())
    }

    fn head(line: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !line.is_empty() {
            headers.insert(COOKIE, line.parse().unwrap());
        }
        headers
    }

    /// What a browser sends after it was told this.
    fn kept(fields: &Fields, before: &str) -> String {
        let mut jar: Vec<(String, String)> = before
            .split("; ")
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        for (name, value) in fields {
            assert_eq!(*name, SET_COOKIE);
            assert!(value.is_sensitive() && value.len() < 4096);
            let text = value.to_str().unwrap();
            assert!(text.contains("; HttpOnly; SameSite=Lax") && text.contains("; Path=/;"));
            let (name, rest) = text.split_once('=').unwrap();
            jar.retain(|(known, _)| known != name);
            if !text.contains("Max-Age=0;") {
                jar.push((name.into(), rest.split_once(';').unwrap().0.into()));
            }
        }
        jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    const LIFE: Duration = Duration::from_secs(60);

    #[test]
    fn a_session_in_one_cookie_and_in_several() {
        for secure in [Secure::Yes, Secure::Loopback] {
            let mut line = "a=1".to_owned();
            for length in [10, PIECE, PIECE + 1, 4 * PIECE, 2 * PIECE, 1] {
                let seal = "x".repeat(length);
                let fields = jar().keep_session(&seal, LIFE, &head(&line), secure).unwrap();
                line = kept(&fields, &line);
                let cookies = line.matches("tidegate_sso").count();
                assert_eq!(cookies, length.div_ceil(PIECE), "older pieces are gone: {length}");
                assert_eq!(jar().session(&head(&line), secure), Some(seal.into_bytes()));
            }
            assert!(
                jar().keep_session(&"x".repeat(4 * PIECE + 1), LIFE, &head(""), secure).is_none()
            );
            let gone = jar().drop_session(&head(&line), secure);
            assert_eq!(kept(&gone, &line), "a=1");
        }
    }

    #[test]
    fn https_has_names_nobody_else_can_set() {
        let fields = jar().keep_session("seal", LIFE, &head(""), Secure::Yes).unwrap();
        assert_eq!(
            fields[0].1,
            "__Host-tidegate_sso=1.seal; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(jar().session(&head("tidegate_sso=1.seal"), Secure::Yes), None);
        assert_eq!(jar().session(&head("__Host-tidegate_sso=1.seal"), Secure::Loopback), None);
        let fields = jar().keep_session("seal", LIFE, &head(""), Secure::Loopback).unwrap();
        assert_eq!(fields[0].1, "tidegate_sso=1.seal; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn pieces_that_are_missing_or_wrong_are_no_session() {
        for line in [
            "",
            "tidegate_sso=",
            "tidegate_sso=x",
            "tidegate_sso=0.x",
            "tidegate_sso=5.x",
            "tidegate_sso=2.x",
            "tidegate_sso=2.x; tidegate_sso.2=y",
            "tidegate_sso=11.x",
            "tidegate_sso=/.x",
            "Tidegate_sso=1.x",
            "xtidegate_sso=1.x",
        ] {
            assert_eq!(jar().session(&head(line), Secure::Loopback), None, "{line}");
        }
        let both = head("tidegate_sso=1.first; tidegate_sso=1.second");
        assert_eq!(jar().session(&both, Secure::Loopback).as_deref(), Some(&b"first"[..]));
    }

    #[test]
    fn logins_are_called_after_their_state() {
        let (state, other) = ("abcdefghijklmnop", "_bcdefghijkl-nop");
        let mut line = String::new();
        for state in [state, other] {
            let field = jar().keep_login(state, state, LIFE, Secure::Yes).unwrap();
            line = kept(&vec![field], &line);
        }
        let headers = head(&line);
        assert_eq!(jar().login(&headers, state, Secure::Yes), Some(state.as_bytes()));
        assert_eq!(jar().login(&headers, other, Secure::Yes), Some(other.as_bytes()));
        let names: Vec<_> = jar().logins(&headers, Secure::Yes).iter().map(|it| it.0).collect();
        assert_eq!(names, ["abcdefghijkl", "_bcdefghijkl"]);
        for state in ["", "short", "abcdef;ghijklm", "äbcdefghijklmn", "abcdefghijk=lm"] {
            assert_eq!(jar().login(&headers, state, Secure::Yes), None, "{state}");
            assert!(jar().keep_login(state, "", LIFE, Secure::Yes).is_none());
        }
        let gone = jar().drop_login(state, Secure::Yes).unwrap();
        assert!(!kept(&vec![gone], &line).contains("abcdefghijkl="));
    }

    #[test]
    fn upstreams_see_none_of_them_and_all_others() {
        for (line, left) in [
            ("a=1", Some("a=1")),
            ("tidegate_sso=1.x", None),
            ("a=1; tidegate_sso=2.x; tidegate_sso.1=y; b=2", Some("a=1; b=2")),
            ("__Host-tidegate_sso=1.x; a=1", Some("a=1")),
            ("tidegate_sso.login.abc=x;a=1;__Host-tidegate_sso.login.abc=x", Some("a=1")),
            (
                "tidegate_sso2=x; tidegate_sso.x=1; x_tidegate_sso=1",
                Some("tidegate_sso2=x; tidegate_sso.x=1; x_tidegate_sso=1"),
            ),
        ] {
            let mut headers = head(line);
            jar().remove(&mut headers);
            assert_eq!(headers.get(COOKIE).map(|it| it.to_str().unwrap()), left, "{line}");
        }
        let mut headers = head("tidegate_sso=1.x");
        headers.append(COOKIE, "a=1; b".parse().unwrap());
        jar().remove(&mut headers);
        assert_eq!(headers.get(COOKIE).unwrap(), "a=1; b");
    }

    proptest! {
        #[test]
        fn any_line_of_cookies_is_read_without_harm(line in "[ -~]{0,300}") {
            let mut headers = head("");
            headers.insert(COOKIE, line.parse().unwrap());
            let _ = jar().session(&headers, Secure::Loopback);
            let _ = jar().logins(&headers, Secure::Loopback);
            jar().remove(&mut headers);
            prop_assert!(pairs(&headers).all(|(name, _)| !jar().is_ours(name)));
        }
    }
}
