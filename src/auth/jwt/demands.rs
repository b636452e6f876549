//! What claims must hold beyond those every token has (`require`), and how claims are found.

use std::borrow::Cow;

use serde_json::Value;

use super::super::Claims;

/// One claim, and the values of which it must have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The claim.
    pub claim: String,
    /// Any of these.
    pub any_of: Vec<String>,
}

/// The claim of this name; if there is none, what the dots in it lead to.
pub(crate) fn find<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
}

/// A value that is one text: texts, numbers, true and false.
pub(crate) fn plain(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(value) => Some(if *value { "true" } else { "false" }.into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

// === impl Demand ===

impl Demand {
    /// Whether these claims hold it. A list holds each of its items; a scope holds each of its words
    /// (RFC 6749 section 3.3), and `read write` wants both of them.
    pub(crate) fn holds(&self, claims: &Claims) -> bool {
        let Some(value) = find(claims, &self.claim) else { return false };
        let items = match value {
            Value::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let said: Vec<_> = items.iter().filter_map(plain).collect();
        if !matches!(self.claim.as_str(), "scope" | "scp") {
            return self.any_of.iter().any(|wanted| said.iter().any(|it| it == wanted));
        }
        let words: Vec<&str> = said.iter().flat_map(|text| text.split_ascii_whitespace()).collect();
        let all = |wanted: &str| wanted.split_ascii_whitespace().all(|word| words.contains(&word));
        self.any_of.iter().any(|wanted| all(wanted))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn holds(claim: &str, any_of: &[&str], claims: &Value, expected: bool) {
        let any_of = any_of.iter().map(|text| (*text).to_owned()).collect();
        let demand = Demand { claim: claim.to_owned(), any_of };
        assert_eq!(demand.holds(claims.as_object().unwrap()), expected, "{demand:?} {claims}");
    }

    #[test]
    fn one_of_the_values_is_enough() {
        holds("role", &["admin", "root"], &json!({ "role": "root" }), true);
        holds("role", &["admin", "root"], &json!({ "role": ["user", "admin"] }), true);
        holds("role", &["admin"], &json!({ "role": "admin root" }), false);
        holds("role", &["admin"], &json!({ "role": "Admin" }), false);
        holds("role", &["admin"], &json!({ "role": { "admin": true } }), false);
        holds("role", &["admin"], &json!({ "role": [["admin"]] }), false);
        holds("role", &["admin"], &json!({ "role": null }), false);
        holds("role", &["admin"], &json!({ "rôle": "admin" }), false);
        holds("level", &["3"], &json!({ "level": 3 }), true);
        holds("level", &["3"], &json!({ "level": 3.0 }), false);
        holds("email_verified", &["true"], &json!({ "email_verified": true }), true);
    }

    #[test]
    fn scopes_are_words() {
        for scope in [json!("a read b"), json!(["a", "read"]), json!(["a read"])] {
            holds("scope", &["read"], &json!({ "scope": scope }), true);
            holds("scp", &["write", "read"], &json!({ "scp": scope }), true);
            holds("scope", &["read write"], &json!({ "scope": scope }), false);
            holds("scope", &["read  a"], &json!({ "scope": scope }), true);
            holds("scope", &["rea"], &json!({ "scope": scope }), false);
        }
        holds("scope", &["read"], &json!({ "scope": "" }), false);
    }

    #[test]
    fn dots_lead_into_objects_unless_they_are_of_the_name() {
        let claims = json!({ "realm": { "roles": ["a"] }, "x.y": "b", "x": { "y": "c" } });
        holds("realm.roles", &["a"], &claims, true);
        holds("x.y", &["b"], &claims, true);
        holds("x.y", &["c"], &claims, false);
        holds("realm.roles.a", &["a"], &claims, false);
        holds("realm.", &["a"], &claims, false);
        holds(".realm", &["a"], &claims, false);
    }
}
