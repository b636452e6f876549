//! What stands for a secret in what is shown: variables as they were written, and of what was written out a word
//! that is plainly none and has the form its field asks for, so that what is shown loads.

use std::collections::HashMap;

use serde_json::Value;

use super::super::{
    diagnostic::{Place, Sources},
    tree::{Entry, Kind, Node, Scalar},
};

/// Maps of the operator's in which credentials may stand under any name.
const CARRIERS: [&str; 4] = ["set", "add", "headers", "query"];
/// Words in names of what is a credential there.
const CREDENTIALS: [&str; 8] =
    ["auth", "authorization", "cookie", "token", "secret", "password", "key", "apikey"];
/// A hash of bcrypt that no password has.
const NO_PASSWORD: &str = "$2b$12$.....................................................";

/// Parts of a key that others may not know.
const PRIVATE: [&str; 8] = ["k", "d", "p", "q", "dp", "dq", "qi", "oth"];

/// Writes what may be seen of secrets in their place.
pub(super) struct Hider<'a> {
    /// Which parameters of queries are credentials.
    pub sources: &'a Sources,
    /// What stood there before variables were filled in, and whether its key says that it is a secret.
    pub raw: &'a HashMap<Place, (String, bool)>,
    /// The words given out, one for each place.
    pub words: HashMap<Place, usize>,
    /// Something stands for something else.
    pub hidden: bool,
}

/// Where a value stands.
#[derive(Clone, Copy, Default)]
struct Within<'a> {
    key: &'a str,
    parent: &'a str,
    /// Keys are hashes of SHA-256.
    hashed: bool,
    /// Its name says that it is a credential.
    credential: bool,
    /// It is of a set of keys.
    jwks: bool,
}

// === impl Within ===

impl Within<'_> {
    /// Its key or its name says that it is a secret, whatever it looks like.
    fn is_secret(&self) -> bool {
        const KEYS: [&str; 6] = ["password", "secret", "secrets", "client_secret", "keys", "users"];
        self.credential || self.parent == "headers" || KEYS.contains(&self.key)
    }
}

// === impl Hider ===

impl Hider<'_> {
    pub(super) fn hide(&mut self, root: &mut Node) {
        self.node(root, Within::default());
    }

    fn node(&mut self, node: &mut Node, within: Within<'_>) {
        let place = node.place;
        match &mut node.kind {
            Kind::Null => {}
            Kind::Scalar(scalar) => {
                scalar.secret |= within.credential;
                scalar.text = self.text(place, scalar, within);
            }
            Kind::Seq(items) => items.iter_mut().for_each(|item| self.node(item, within)),
            Kind::Map(entries) => {
                let is_sha = |it: &Entry| it.key == "hash" && it.value.is("sha256");
                let hashed = within.hashed || entries.iter().any(is_sha);
                for Entry { key, value, .. } in entries {
                    let name = key.to_ascii_lowercase();
                    let named = name.split(['-', '_']).any(|word| CREDENTIALS.contains(&word));
                    let credential =
                        named && CARRIERS.contains(&within.key) && value.entries().is_none();
                    // Names of consumers and users stand between the key and the secret.
                    let inside = matches!(
                        (within.parent, within.key),
                        ("api_key", "keys") | ("basic", "users") | ("signature", "keys")
                    );
                    let below = match inside {
                        true if within.parent == "signature" => {
                            Within { key, parent: "signature", ..within }
                        }
                        true => within,
                        false if within.parent == "signature" => Within { key, ..within },
                        false => Within {
                            key,
                            parent: within.key,
                            hashed,
                            credential,
                            jwks: within.jwks || key == "jwks",
                        },
                    };
                    self.node(value, below);
                }
            }
        }
    }

    /// The text as it may be seen.
    fn text(&mut self, place: Place, scalar: &Scalar, within: Within<'_>) -> String {
        let raw = self.raw.get(&place);
        let (text, known) = raw.map_or((&scalar.text, false), |(raw, known)| (raw, *known));
        let private = known || within.credential;
        let variables = raw.is_some() && scalar.secret;
        match within.key {
            // What others may know of a key, and keys that everybody may know.
            "id" | "algorithm" | "public_key" if within.parent == "signature" => {
                return text.clone();
            }
            key if within.jwks && raw.is_none() && !PRIVATE.contains(&key) => {
                return match text.starts_with('{') {
                    true => public(text).unwrap_or_else(|| self.word(place, within)),
                    false => text.clone(),
                };
            }
            "request" if within.parent == "tests" => return self.request(place, text, within),
            _ if text.contains("://") && !within.is_secret() => return self.without_user(text),
            _ => {}
        }
        if !scalar.secret || (variables && !private) {
            return self.without_user(text);
        }
        if variables && let Some(text) = self.variable(place, text, within) {
            return text;
        }
        self.word(place, within)
    }

    /// A request without what its query says of who asks. Variables stay.
    fn request(&mut self, place: Place, text: &str, within: Within<'_>) -> String {
        let is_variable =
            |it: &str| it.starts_with("${") && it.ends_with('}') && !it.contains(":-");
        let values = self.sources.private_values(text);
        let any = values.into_iter().any(|it| !is_variable(&text[it]));
        let word = if any { self.word(place, within) } else { String::new() };
        let shown = self.sources.without_private(text, |value| match is_variable(value) {
            true => value.to_owned(),
            false => word.clone(),
        });
        self.without_user(&shown)
    }

    /// A variable, without what else it may be.
    fn variable(&mut self, place: Place, raw: &str, within: Within<'_>) -> Option<String> {
        let inner = raw.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let Some(inner) = inner else {
            // `Bearer ${TOKEN}`: what stands before it is no secret where only the name says that there is one.
            return (within.credential && !raw.contains(":-")).then(|| raw.to_owned());
        };
        if let Some((name, _)) = inner.split_once(":-") {
            let word = self.word(place, within);
            return (!name.contains(['{', '}'])).then(|| format!("${{{name}:-{word}}}"));
        }
        let name = inner.split_once(":?").map_or(inner, |(name, _)| name);
        (!name.contains(['{', '}'])).then(|| format!("${{{name}}}"))
    }

    /// `http://user:password@host`, whose user and password are words of nobody.
    fn without_user(&mut self, text: &str) -> String {
        let Some(start) = text.find("://").map(|at| at + 3) else { return text.to_owned() };
        let rest = &text[start..];
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let Some(at) = rest[..end].rfind('@') else { return text.to_owned() };
        let shown: Vec<&str> = rest[..at].splitn(2, ':').map(user).collect();
        let shown = format!("{}{}{}", &text[..start], shown.join(":"), &rest[at..]);
        self.hidden |= shown != text;
        shown
    }

    /// The same for the same place, and another for each.
    fn word(&mut self, place: Place, within: Within<'_>) -> String {
        self.hidden = true;
        let next = self.words.len() + 1;
        let number = *self.words.entry(place).or_insert(next);
        match (within.parent, within.key) {
            ("basic", "users") => NO_PASSWORD.to_owned(),
            ("api_key", "keys") if within.hashed => format!("{number:064x}"),
            _ => format!("redacted-{number:08}-not-the-secret"),
        }
    }
}

/// A set of keys without what others may not know.
fn public(text: &str) -> Option<String> {
    let mut set: Value = serde_json::from_str(text).ok()?;
    for key in set.get_mut("keys")?.as_array_mut()? {
        key.as_object_mut()?.retain(|name, _| !PRIVATE.contains(&name.as_str()));
    }
    Some(set.to_string())
}

/// User or password of a URL; a variable stays.
fn user(part: &str) -> &str {
    let variable = part.starts_with("${") && part.ends_with('}') && !part.contains(':');
    if part.is_empty() || (variable && part.matches('{').count() == 1) { part } else { "redacted" }
}
