//! What a location does with a request: send it on, send the client elsewhere, answer, or something Tidegate
//! does not do.

use super::{
    Import,
    model::{Kind, Location, PASSES, Scope},
    parse::Directive,
    upstreams::Target,
};

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Proxy {
        target: Target,
        path: PathMap,
    },
    Redirect(Redirect),
    Respond {
        status: u16,
        body: String,
        content_type: String,
    },
    /// Not translated: answered with 501.
    Not,
}

/// What becomes of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathMap {
    Keep,
    /// The location's text is replaced by this.
    Replace(String),
    /// The location's text and a slash are; other paths stay as they are.
    ReplaceBelow(String),
}

/// A redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirect {
    /// As nginx has it, with variables.
    pub(super) text: String,
    /// As a template.
    pub(super) to: String,
    pub(super) status: u16,
    pub(super) keep_query: bool,
}

/// Schemes of the listeners a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schemes {
    Http,
    Https,
    Both,
}

/// What a scope does with every request, if anything. Comments say what could not be translated.
pub(super) fn action(
    import: &mut Import<'_>,
    scope: &Scope<'_>,
    schemes: Schemes,
    location: Option<&Location<'_>>,
    comments: &mut Vec<String>,
) -> Option<Action> {
    let mut path = PathMap::Keep;
    for it in scope.own().iter().filter(|it| it.name == "return" || it.name == "rewrite") {
        if it.name == "return" {
            return Some(returned(import, scope, schemes, it, comments));
        }
        if let Some(redirect) = whole_redirect(import, scope, schemes, it, comments) {
            return Some(Action::Redirect(redirect));
        }
        match location.and_then(|location| moved(location, it)) {
            Some(map) if path == PathMap::Keep => path = map,
            _ => {
                let todo = "write a route with `redirect` or `rewrite`";
                comments.push(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
                location?;
                return Some(Action::Not);
            }
        }
    }
    let location = location?;
    Some(handler(import, scope, location, path, comments))
}

fn handler(
    import: &mut Import<'_>,
    scope: &Scope<'_>,
    location: &Location<'_>,
    moved: PathMap,
    comments: &mut Vec<String>,
) -> Action {
    let own = scope.own();
    let found = own.iter().rfind(|it| PASSES.contains(&it.name.as_str()));
    let refuses = scope
        .nearest(&["allow", "deny"])
        .first()
        .is_some_and(|it| it.name == "deny" && it.arg(0) == "all");
    let Some(it) = found else {
        if refuses {
            return Action::Respond {
                status: 403,
                body: String::new(),
                content_type: String::new(),
            };
        }
        let known = ["try_files", "alias", "root", "autoindex"];
        let at = known.iter().find_map(|name| scope.here(name)).map_or(location.at, |it| it.at);
        let by_itself = own.iter().any(|it| {
            ["stub_status", "empty_gif", "perl"].contains(&it.name.as_str())
                || it.name.starts_with("content_by_lua")
        });
        if !by_itself {
            let what = format!("`{}` serves files", location.shown());
            comments.push(import.report.todo(at, what, instead_of_files(scope)));
        }
        return Action::Not;
    };
    let shown = format!("`{}`", it.shown());
    let grpc = it.name == "grpc_pass";
    if it.name != "proxy_pass" && !grpc {
        let todo =
            "Tidegate speaks HTTP to services: put a web server in front and name it in `to`";
        comments.push(import.report.todo(it.at, shown, todo));
        return Action::Not;
    }
    let Some(target) = Target::parse(it.arg(0), grpc) else {
        let todo = "not an address Tidegate can know in advance: write `to`";
        comments.push(import.report.todo(it.at, shown, todo));
        return Action::Not;
    };
    let path = match (&target.uri, moved) {
        (None, moved) => moved,
        (Some(uri), PathMap::Keep)
            if is_path(uri) && !matches!(location.kind, Kind::Regex { .. }) =>
        {
            match *uri == location.text {
                true => PathMap::Keep,
                false => PathMap::Replace(uri.clone()),
            }
        }
        (Some(_), _) => {
            let todo = "its path cannot be a `rewrite`: write one";
            comments.push(import.report.todo(it.at, shown, todo));
            return Action::Not;
        }
    };
    Action::Proxy { target, path }
}

/// What to do where a location serves files.
fn instead_of_files(scope: &Scope<'_>) -> String {
    let todo = "Tidegate serves none: name a web server in `to`";
    match fallback(scope) {
        Some((name, to)) => format!("{todo}, or {to} (`{name}`) if that has them all"),
        None => todo.to_owned(),
    }
}

/// Where `try_files … @name` sends what is no file: the name, and the address.
fn fallback(scope: &Scope<'_>) -> Option<(String, String)> {
    let name = scope.one("try_files")?.args.last().filter(|it| it.starts_with('@'))?;
    let mut found = scope.levels.iter().flat_map(|it| it.iter());
    let found = found.rfind(|it| it.name == "location" && it.arg(0) == name)?;
    Some((name.clone(), sends_to(found.block.as_deref()?)?))
}

/// The address of a block that sends requests on.
pub(super) fn sends_to(block: &[Directive]) -> Option<String> {
    let it = block.iter().rfind(|it| ["proxy_pass", "grpc_pass"].contains(&it.name.as_str()))?;
    Some(it.arg(0).to_owned())
}

/// A path that can be part of a template.
fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/@:,=+!&*()".contains(c);
    text.starts_with('/') && text.chars().all(plain)
}

// === return ===

fn returned(
    import: &mut Import<'_>,
    scope: &Scope<'_>,
    schemes: Schemes,
    it: &Directive,
    comments: &mut Vec<String>,
) -> Action {
    let shown = format!("`{}`", it.shown());
    let (status, text) = match it.arg(0).parse::<u16>() {
        Ok(status) => (status, it.arg(1)),
        Err(_) => (302, it.arg(0)),
    };
    if matches!(status, 301 | 302 | 303 | 307 | 308) && !text.is_empty() {
        return match redirect(import, scope, schemes, it, text, status, comments) {
            Some(redirect) => Action::Redirect(redirect),
            None => {
                let todo = "its variables are no part of a template: write `redirect`";
                comments.push(import.report.todo(it.at, shown, todo));
                Action::Not
            }
        };
    }
    if status == 444 {
        let todo = "Tidegate cannot close a connection without an answer: here it is 403";
        comments.push(import.report.todo(it.at, shown, todo));
        return Action::Respond { status: 403, body: String::new(), content_type: String::new() };
    }
    if !(200..=599).contains(&status) || text.contains('$') {
        let todo = "write `respond`: it takes a status from 200 to 599 and a fixed text";
        comments.push(import.report.todo(it.at, shown, todo));
        return Action::Not;
    }
    let content_type = scope.one("default_type").map_or("text/plain", |it| it.arg(0));
    Action::Respond { status, body: text.to_owned(), content_type: content_type.to_owned() }
}

fn redirect(
    import: &mut Import<'_>,
    scope: &Scope<'_>,
    schemes: Schemes,
    it: &Directive,
    text: &str,
    status: u16,
    comments: &mut Vec<String>,
) -> Option<Redirect> {
    if text.contains(['{', '}']) && !text.contains("${") {
        return None;
    }
    let plain = text.replace("${", "$").replace('}', "");
    let mut to = plain.clone();
    let mut keep_query = false;
    for end in ["$request_uri", "$is_args$args", "$is_args$query_string"] {
        if let Some(front) = to.strip_suffix(end) {
            keep_query = true;
            to = if end == "$request_uri" { format!("{front}{{path}}") } else { front.to_owned() };
            break;
        }
    }
    let name = scope.one("server_name").map_or("", |it| it.arg(0));
    to = to.replace("$http_host", "{host}").replace("$host", "{host}");
    to = to
        .replace("$server_name", name)
        .replace("$document_uri", "{path}")
        .replace("$uri", "{path}");
    if to.contains("$scheme") {
        let scheme = match schemes {
            Schemes::Http => "http",
            Schemes::Https => "https",
            Schemes::Both => {
                let todo = "this server has both schemes: here it is https";
                comments.push(import.report.todo(it.at, "`$scheme`", todo));
                "https"
            }
        };
        to = to.replace("$scheme", scheme);
    }
    let starts = ["/", "http://", "https://"].iter().any(|start| to.starts_with(start));
    let good = starts && !to.contains('$') && to.chars().all(|c| c.is_ascii_graphic());
    good.then_some(Redirect { text: plain, to, status, keep_query })
}

// === rewrite ===

/// A `rewrite` of every path that sends the client elsewhere.
fn whole_redirect(
    import: &mut Import<'_>,
    scope: &Scope<'_>,
    schemes: Schemes,
    it: &Directive,
    comments: &mut Vec<String>,
) -> Option<Redirect> {
    let (pattern, target, flag) = (it.arg(0), it.arg(1), it.arg(2));
    let absolute = ["http://", "https://", "$scheme"].iter().any(|it| target.starts_with(it));
    let status = match flag {
        "permanent" => 301,
        "redirect" => 302,
        "" if absolute => 302,
        _ => return None,
    };
    let target = match pattern {
        "^" | ".*" | "^.*" | "^.*$" | "^/" | "^/.*" | "^/.*$" => target.to_owned(),
        "^(.*)$" | "^(.*)" | "(.*)" | "^(/.*)$" | "^(.+)$" => target.replace("$1", "$uri"),
        "^/(.*)$" | "^/(.*)" => target.replace("/$1", "$uri"),
        _ => return None,
    };
    let (target, asks) = match target.strip_suffix('?') {
        Some(target) => (target.to_owned(), false),
        None => (target, true),
    };
    let mut made = redirect(import, scope, schemes, it, &target, status, comments)?;
    made.keep_query |= asks;
    Some(made)
}

/// `rewrite ^/api/(.*)$ /$1 break;` in `location /api/`.
fn moved(location: &Location<'_>, it: &Directive) -> Option<PathMap> {
    if it.arg(2) != "break" || !matches!(location.kind, Kind::Prefix { .. }) {
        return None;
    }
    let pattern = it.arg(0).strip_prefix('^')?;
    let pattern = pattern.strip_suffix("(.*)$").or_else(|| pattern.strip_suffix("(.*)"))?;
    let pattern = pattern.replace("\\/", "/").replace("\\.", ".").replace("\\-", "-");
    let target = it.arg(1).strip_suffix("$1").filter(|target| is_path(target))?;
    if pattern == location.text {
        return Some(match target == location.text {
            true => PathMap::Keep,
            false => PathMap::Replace(target.to_owned()),
        });
    }
    let below = pattern.strip_suffix('/') == Some(location.text.as_str());
    below.then(|| PathMap::ReplaceBelow(target.to_owned()))
}
