//! One route of a server, written: which requests, who may pass, what is done.

use super::{
    super::write::{CLOSED, Entry, Value},
    Import,
    actions::{Action, Schemes},
    guard::Guard,
    model::{Kind, Location, Scope},
    paths::Pattern,
    routes::{Condition, Context},
    settings::settings,
    suite::Guarded,
    upstreams::upstream,
};

/// One route to be written.
pub(super) struct Piece<'p> {
    pub(super) name: String,
    pub(super) above: Vec<String>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) priority: i32,
    pub(super) scope: &'p Scope<'p>,
    pub(super) action: &'p Action,
    pub(super) path: Path,
    pub(super) closed: bool,
    pub(super) comments: Vec<String>,
}

/// What a route does to the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Keep,
    Strip(String),
    Rewrite(String),
}

/// Writes it; what stands between a client and what it does.
pub(super) fn write_piece(
    import: &mut Import<'_>,
    context: &mut Context<'_, '_>,
    piece: Piece<'_>,
) -> Guarded {
    let mut entry = Entry::new(piece.name);
    entry.above = std::mem::take(&mut context.above);
    entry.above.extend(piece.above);
    for comment in piece.comments {
        entry.comment(comment);
    }
    if let Some(matches) = matches(&context.conditions, &piece.patterns) {
        entry.key("match", matches);
    }
    let tls_only = Some(context.schemes == Schemes::Https);
    let guard = Guard::of(import, piece.scope, tls_only);
    for comment in guard.comments {
        entry.comment(comment);
    }
    let servers = act(import, &mut entry, piece.scope, piece.action, &piece.path);
    let closed = guard.closed || piece.closed;
    let refuses = matches!(piece.action, Action::Respond { status: 403, .. });
    if closed && refuses {
        // Nobody gets anything there anyway.
    } else if closed {
        import.doc.use_closed();
        entry.key("ip", CLOSED);
    } else if let Some(ip) = guard.ip.clone() {
        entry.key("ip", ip);
    }
    let bare = (!closed || refuses) && guard.ip.is_none() && guard.auth.is_empty();
    match guard.auth.as_slice() {
        [] => {}
        [one] => {
            entry.key("auth", one.as_str());
        }
        several => {
            entry.key("auth", Value::map([("all", Value::list(several.to_vec()))]));
        }
    }
    settings(import, &mut entry, piece.scope, servers);
    if piece.priority != 0 {
        entry.key("priority", piece.priority.to_string());
    }
    import.doc.routes.push(entry);
    Guarded { bare, auth: guard.auth }
}

/// The action; how many servers its upstream has.
fn act(
    import: &mut Import<'_>,
    entry: &mut Entry,
    scope: &Scope<'_>,
    action: &Action,
    path: &Path,
) -> Option<usize> {
    match action {
        // Nobody gets there from outside.
        _ if scope.here("internal").is_some() => {
            entry.key("respond", "404");
        }
        Action::Not => {
            entry.key("respond", "501");
        }
        Action::Respond { status, body, .. } if body.is_empty() => {
            entry.key("respond", status.to_string());
        }
        Action::Respond { status, body, content_type } => {
            let headers = Value::map([("Content-Type", Value::from(content_type.as_str()))]);
            let map = [
                ("status", status.to_string().into()),
                ("body", body.as_str().into()),
                ("headers", headers),
            ];
            entry.key("respond", Value::map(map));
        }
        Action::Redirect(it) => {
            let mut map =
                vec![("to", Value::from(it.to.as_str())), ("status", it.status.to_string().into())];
            if !it.keep_query {
                map.push(("keep_query", "false".into()));
            }
            entry.key("redirect", Value::map(map));
        }
        Action::Proxy { target, .. } => {
            let (name, servers) = upstream(import, scope, target);
            entry.key("to", name);
            match path {
                Path::Keep => {}
                Path::Strip(base) => {
                    entry.key("strip_prefix", base.as_str());
                }
                Path::Rewrite(template) => {
                    entry.key("rewrite", template.as_str());
                }
            }
            return Some(servers);
        }
    }
    None
}

/// `match` of all conditions and patterns; nothing if that is every request.
pub(super) fn matches(conditions: &[Condition], patterns: &[Pattern]) -> Option<Value> {
    let plain = conditions.iter().all(|it| it.listeners.is_empty());
    let paths = patterns.iter().all(|it| matches!(it, Pattern::Path(_)));
    let hosts: usize = conditions.iter().map(|it| it.hosts.len().max(1)).sum();
    if plain && paths && hosts * patterns.len() <= 3 {
        let mut all = Vec::new();
        for condition in conditions {
            let none = [String::new()];
            let hosts = if condition.hosts.is_empty() { &none[..] } else { &condition.hosts };
            for (host, pattern) in
                hosts.iter().flat_map(|host| patterns.iter().map(move |it| (host, it)))
            {
                if let Pattern::Path(path) = pattern {
                    all.push(format!("{host}{path}"));
                }
            }
        }
        return (all != ["/**"]).then(|| Value::one_or_many(all));
    }
    let path = Value::one_or_many(patterns.iter().map(|it| match it {
        Pattern::Path(path) => Value::from(path.as_str()),
        Pattern::Regex(source) => Value::map([("regex", Value::from(source.as_str()))]),
    }));
    let one = |it: &Condition| {
        let mut map = Vec::new();
        if !it.hosts.is_empty() {
            map.push(("host", Value::one_or_many(it.hosts.clone())));
        }
        map.push(("path", path.clone()));
        if !it.listeners.is_empty() {
            map.push(("listener", Value::one_or_many(it.listeners.clone())));
        }
        Value::map(map)
    };
    Some(Value::one_or_many(conditions.iter().map(one)))
}

/// What a location's route is called, if nobody has the name.
pub(super) fn wanted_name(location: &Location<'_>) -> String {
    match (location.kind, location.text.as_str()) {
        (Kind::Exact, "/") => "home".to_owned(),
        (_, "/") => "root".to_owned(),
        (Kind::Regex { .. }, text) => format!("like-{text}"),
        (_, text) => text.to_owned(),
    }
}
