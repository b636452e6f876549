//! Security schemes as policies of `auth`. A document says how clients prove who they are, and not by whose
//! keys: what it lacks is made so that nobody passes, with a TODO.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        names::Names,
        report::At,
        write::{Entry, Value},
    },
    Import, spec,
};

/// A hash no key is known of.
const NO_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// A hash no password is known of.
const NO_PASSWORD: &str = "$2b$12$AAAAAAAAAAAAAAAAAAAAAOAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAO";

/// The document names no authority, and without one nothing can be asked for.
const CERTIFICATE: &str = "`auth: { client_cert: {} }` is this, on a listener with \
                           `tls: { client_auth: { ca: FILE } }`: closed until you write both";

/// Policies made so far.
#[derive(Debug, Default)]
pub(super) struct Security {
    /// By scheme and scopes; nothing where there is no such policy.
    made: BTreeMap<(String, Vec<String>), Option<String>>,
    names: Names,
}

/// What an operation asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) auth: Option<Value>,
    pub(super) names: Vec<String>,
    /// Nobody may pass.
    pub(super) closed: bool,
    pub(super) comments: Vec<String>,
}

/// What `security` of an operation, or of the document, asks for.
pub(super) fn needs(import: &mut Import<'_>, operation: spec::Value<'_>) -> Needs {
    let mut needs = Needs::default();
    let own = operation.get("security");
    let Some(security) = own.or_else(|| import.spec.root().get("security")) else {
        needs.comments.push("public: the document asks for nothing".to_owned());
        return needs;
    };
    let at = import.spec.at(security);
    let place = import.report.place(at);
    let alternatives = security.items();
    if alternatives.iter().any(|it| it.is_map() && it.entries().is_empty()) {
        needs
            .comments
            .push(format!("public: {place} lets clients in without credentials, too (`{{}}`)"));
        return needs;
    }
    if alternatives.is_empty() {
        let comment = if is_empty_list(security) {
            format!("public: {place} says `security: []`")
        } else {
            needs.closed = true;
            import.report.todo(
                at,
                "`security` is not a list",
                "closed until `auth` says who may pass",
            )
        };
        needs.comments.push(comment);
        return needs;
    }
    let mut all: Vec<BTreeSet<String>> = Vec::new();
    for alternative in &alternatives {
        let found =
            alternative.is_map().then(|| policies(import, *alternative, &mut needs.comments));
        match found.flatten() {
            Some(names) => all.push(names),
            None if alternative.is_map() => {
                if alternatives.len() == 1 {
                    continue;
                }
                needs.comments.push(format!("{place}: one way in is left out, see the TODO"));
            }
            None => {
                let todo = "left out: write `auth`";
                needs.comments.push(import.report.todo(
                    at,
                    "an entry of `security` that is no map",
                    todo,
                ));
            }
        }
    }
    combine(import, at, all, &mut needs);
    needs
}

fn is_empty_list(value: spec::Value<'_>) -> bool {
    !value.is_map() && value.text().is_none()
}

fn combine(import: &mut Import<'_>, at: At, mut all: Vec<BTreeSet<String>>, needs: &mut Needs) {
    all.dedup();
    let union: Vec<String> =
        all.iter().flatten().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let list = |names: &[String]| Value::list(names.to_vec());
    needs.auth = match all.as_slice() {
        [] => {
            needs.closed = true;
            None
        }
        [_] if union.len() == 1 => Some(Value::from(union[0].as_str())),
        [_] => Some(Value::map([("all", list(&union))])),
        several if several.iter().all(|it| it.len() == 1) => {
            Some(Value::map([("any", list(&union))]))
        }
        _ => {
            let todo = "here all of them must be shown, which is stricter";
            needs.comments.push(import.report.todo(
                at,
                "alternatives of several schemes each",
                todo,
            ));
            Some(Value::map([("all", list(&union))]))
        }
    };
    needs.names = union;
}

/// The policies that all must hold; nothing if one of them cannot be made.
fn policies(
    import: &mut Import<'_>,
    alternative: spec::Value<'_>,
    comments: &mut Vec<String>,
) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in alternative.entries() {
        let scopes = spec::value(entry).items();
        let mut scopes: Vec<String> = scopes
            .iter()
            .filter_map(|it| it.text())
            .filter(|it| !it.contains(char::is_whitespace))
            .map(str::to_owned)
            .collect();
        scopes.sort();
        let at = import.spec.key_at(entry);
        let key = (entry.key.clone(), scopes.clone());
        let known = import.security.made.get(&key).cloned();
        let name = match known {
            Some(name) => name,
            None => {
                let name = policy(import, &entry.key, &scopes, at, comments);
                import.security.made.insert(key, name.clone());
                name
            }
        };
        names.insert(name?);
    }
    Some(names)
}

/// Makes the policy of a scheme.
fn policy(
    import: &mut Import<'_>,
    scheme: &str,
    scopes: &[String],
    used: At,
    comments: &mut Vec<String>,
) -> Option<String> {
    let document = import.spec;
    let schemes = document.root().get("components").and_then(|it| it.get("securitySchemes"));
    let found = schemes.and_then(|it| it.get(scheme)).and_then(|it| document.resolve(it).ok());
    let Some(found) = found else {
        let what = format!("security scheme `{scheme}` is not in the document");
        comments.push(import.report.todo(used, what, "closed until `auth` says who may pass"));
        return None;
    };
    let at = document.at(found);
    let name = match scopes {
        [] => scheme.to_owned(),
        scopes => format!("{scheme}-{}", scopes.join("-")),
    };
    let mut entry = Entry::new(import.security.names.unique(&name));
    entry.above.push(format!("{}: {scheme}", import.report.place(at)));
    let kind = found.text_at("type").unwrap_or_default();
    let how = found.text_at("scheme").unwrap_or_default().to_ascii_lowercase();
    let good = match (kind.as_str(), how.as_str()) {
        ("openIdConnect", _) => jwt(
            import,
            &mut entry,
            scheme,
            scopes,
            at,
            found.text_at("openIdConnectUrl").as_deref(),
        ),
        ("oauth2", _) | ("http", "bearer") => jwt(import, &mut entry, scheme, scopes, at, None),
        ("apiKey", _) => api_key(import, &mut entry, scheme, at, found),
        ("http", "basic") => {
            let what = format!("the users of `{scheme}` are not in the document");
            entry.comment(import.report.todo(
                at,
                what,
                "write `users_file`, or hashes of `tidegate hash`",
            ));
            let users = Value::map([("nobody", Value::from(NO_PASSWORD))]);
            entry.key("basic", Value::map([("users", users)]));
            true
        }
        _ => false,
    };
    if !good {
        let what = format!("security scheme `{scheme}` ({})", format!("{kind} {how}").trim());
        let todo = match kind.as_str() {
            "mutualTLS" => CERTIFICATE,
            _ => "no policy is like it: closed until `auth` says who may pass",
        };
        comments.push(import.report.todo(at, what, todo));
        return None;
    }
    let name = entry.name.clone();
    import.doc.auth.push(entry);
    Some(name)
}

fn jwt(
    import: &mut Import<'_>,
    entry: &mut Entry,
    scheme: &str,
    scopes: &[String],
    at: At,
    discovery: Option<&str>,
) -> bool {
    const METADATA: &str = "/.well-known/openid-configuration";
    let issuer = discovery.and_then(|url| url.strip_suffix(METADATA));
    let issuer =
        issuer.filter(|it| it.starts_with("https://") && it.chars().all(|c| c.is_ascii_graphic()));
    let what = match issuer {
        Some(_) => format!("the audience of `{scheme}` is not in the document"),
        None => format!("issuer and audience of `{scheme}` are not in the document"),
    };
    let todo = "write them; until then no token is let in";
    entry.comment(import.report.todo(at, what, todo));
    let mut map = vec![
        ("issuer", Value::from(issuer.unwrap_or("https://issuer.invalid"))),
        ("audience", "not-known".into()),
    ];
    if !scopes.is_empty() {
        // All of them, as words of one text.
        map.push(("require", Value::map([("scope", Value::from(scopes.join(" ")))])));
    }
    entry.key("jwt", Value::map(map));
    true
}

fn api_key(
    import: &mut Import<'_>,
    entry: &mut Entry,
    scheme: &str,
    at: At,
    found: spec::Value<'_>,
) -> bool {
    let (Some(name), Some(place)) = (found.text_at("name"), found.text_at("in")) else {
        return false;
    };
    let good =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !good || !["header", "query", "cookie"].contains(&place.as_str()) {
        return false;
    }
    let what = format!("the keys of `{scheme}` are not in the document");
    entry.comment(import.report.todo(
        at,
        what,
        "write `keys` or `keys_file`; until then no key is right",
    ));
    let keys = Value::map([("nobody", Value::from(NO_KEY))]);
    let from = if place == "header" { name.to_ascii_lowercase() } else { name };
    let map = [
        ("from", Value::from(format!("{place}:{from}"))),
        ("hash", "sha256".into()),
        ("keys", keys),
    ];
    entry.key("api_key", Value::map(map));
    true
}
