//! One `server` as routes: each location one, or a few where what is one for nginx is several here.

use super::{
    Import,
    actions::{Action, PathMap, Schemes, action, sends_to},
    expressions::escape,
    guard::scan,
    listeners::Listener,
    matching::{Found, Matcher},
    model::{Kind, Server},
    paths::{Pattern, Shape, Tail, shapes},
    pieces::{Path, Piece, wanted_name, write_piece},
    slashes::slashes,
    suite::{Expected, Part, Suite},
};

/// A server with what all of its routes have in common.
pub(super) struct Context<'s, 'a> {
    pub(super) server: &'s Server<'a>,
    /// What names begin with; nothing where there is one server only.
    pub(super) prefix: String,
    /// Hosts and listeners; any of these.
    pub(super) conditions: Vec<Condition>,
    pub(super) listeners: Vec<Listener>,
    pub(super) schemes: Schemes,
    /// Something of the server, or around it, is not understood.
    pub(super) closed: bool,
    /// What belongs above its first route.
    pub(super) above: Vec<String>,
}

/// Which requests are for a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) hosts: Vec<String>,
    pub(super) listeners: Vec<String>,
}

/// Writes the routes of a server, and what is expected of them.
pub(super) fn write(import: &mut Import<'_>, mut context: Context<'_, '_>, suite: &mut Suite) {
    let server = context.server;
    let (comments, closes) = scan(server.scope.own(), &mut import.report);
    context.closed |= closes;
    context.above.extend(comments);
    let mut above = Vec::new();
    if let Some(action) = action(import, &server.scope, context.schemes, None, &mut above) {
        context.above.extend(above);
        whole(import, &mut context, &action, suite);
        return;
    }
    context.above.extend(above);
    let locations = &server.locations;
    let mut comments: Vec<Vec<String>> = vec![Vec::new(); locations.len()];
    let mut actions = Vec::new();
    for (location, comments) in locations.iter().zip(&mut comments) {
        let found = match location.kind {
            Kind::Named => None,
            _ => action(import, &location.scope, context.schemes, Some(location), comments),
        };
        actions.push(found.unwrap_or(Action::Not));
    }
    let rewritten: Vec<bool> = actions
        .iter()
        .map(|it| matches!(it, Action::Proxy { path: PathMap::Replace(_), .. }))
        .collect();
    let shapes = shapes(locations, &rewritten);
    unshaped(import, &mut context, &shapes);
    let matcher = Matcher::new(locations);
    for (number, shape) in shapes.iter().enumerate() {
        let Some(shape) = shape else { continue };
        let comments = std::mem::take(&mut comments[number]);
        located(import, &mut context, number, shape, &actions[number], comments, suite);
    }
    slashes(import, &mut context, &matcher, &shapes, &actions, suite);
    rest(import, &mut context, &matcher, suite);
    suite.of_server(&context, &matcher, &actions);
}

/// A server that does one thing with every request.
fn whole(
    import: &mut Import<'_>,
    context: &mut Context<'_, '_>,
    action: &Action,
    suite: &mut Suite,
) {
    let name = import.route_name(&context.prefix, "all");
    let server = context.server;
    let piece = Piece {
        name: name.clone(),
        above: Vec::new(),
        patterns: vec![Pattern::Path("/**".to_owned())],
        priority: 0,
        scope: &server.scope,
        action,
        path: Path::Keep,
        closed: context.closed,
        comments: Vec::new(),
    };
    let guarded = write_piece(import, context, piece);
    suite.expect(context, "/a/b", &Expected { route: name, path: None, action, guarded });
}

/// Locations that have no pattern here. One that may protect something closes what would answer instead.
fn unshaped(import: &mut Import<'_>, context: &mut Context<'_, '_>, shapes: &[Option<Shape>]) {
    for (location, _) in context.server.locations.iter().zip(shapes).filter(|(_, it)| it.is_none())
    {
        let shown = format!("`{}`", location.shown());
        if location.kind == Kind::Named {
            let todo = "only other directives lead there, which are not translated".to_owned();
            let todo = match sends_to(location.scope.own()) {
                Some(to) => format!("{todo}; it sends to {to}"),
                None => todo,
            };
            context.above.push(import.report.todo(location.at, shown, todo));
            continue;
        }
        let (comments, closes) = scan(location.scope.own(), &mut import.report);
        context.above.extend(comments);
        let own =
            ["allow", "deny", "auth_basic", "internal", "return", "satisfy", "ssl_verify_client"];
        let protects = closes || own.iter().any(|name| location.scope.here(name).is_some());
        let todo = match protects {
            true => {
                "no pattern here takes the same paths: all routes of the server are closed until there is a \
                     route that protects them"
            }
            false => "no pattern here takes the same paths: write a route",
        };
        context.closed |= protects;
        context.above.push(import.report.todo(location.at, shown, todo));
    }
}

fn located(
    import: &mut Import<'_>,
    context: &mut Context<'_, '_>,
    number: usize,
    shape: &Shape,
    action: &Action,
    mut comments: Vec<String>,
    suite: &mut Suite,
) {
    let server = context.server;
    let location = &server.locations[number];
    let (found, mut closed) = scan(location.scope.own(), &mut import.report);
    comments.extend(found);
    // What is not understood around it holds for it, too.
    let mut around = location.parent;
    while let Some(parent) = around {
        closed |= scan(server.locations[parent].scope.own(), &mut import.report).1;
        around = server.locations[parent].parent;
    }
    if shape.denied {
        closed = true;
        let todo = "nginx asks its expressions here in an order that cannot be had: closed until it is looked at";
        comments.push(import.report.todo(location.at, format!("`{}`", location.shown()), todo));
    }
    let wanted = wanted_name(location);
    let closed = closed || context.closed;
    let place = import.report.place(location.at);
    let below = match action {
        Action::Proxy { path: PathMap::ReplaceBelow(uri), .. } => Some(uri),
        _ => None,
    };
    let piece = |name: &str, what: &str, patterns, path, comments| Piece {
        name: name.to_owned(),
        above: vec![format!("{place}: {what}")],
        patterns,
        priority: shape.priority,
        scope: &location.scope,
        action,
        path,
        closed,
        comments,
    };
    let name = import.route_name(&context.prefix, &wanted);
    let mut patterns = shape.patterns.clone();
    let mut path = match action {
        Action::Proxy { path: PathMap::Replace(uri), .. } => replaced(uri, &shape.tail),
        _ => Path::Keep,
    };
    if let (Some(uri), Tail::Below(base)) = (below, &shape.tail) {
        // `/api` alone and `/apis` stay as they are.
        let rest = patterns.drain(1..);
        let as_is = [Pattern::Path(location.text.clone())].into_iter().chain(rest).collect();
        let other = import.route_name(&context.prefix, &format!("{wanted}-as-is"));
        let what = "what its rewrite leaves as it is";
        let guarded =
            write_piece(import, context, piece(&other, what, as_is, Path::Keep, Vec::new()));
        suite.named(number, Part::AsIs, other, guarded);
        patterns = vec![Pattern::Path(format!("{base}/**"))];
        path = replaced(uri, &shape.tail);
    } else if let Some(uri) = below {
        let other = import.route_name(&context.prefix, &format!("{wanted}-as-is"));
        let what = "what its rewrite leaves as it is";
        let mut second = piece(&other, what, patterns, Path::Keep, Vec::new());
        second.priority -= 1;
        let guarded = write_piece(import, context, second);
        suite.named(number, Part::AsIs, other, guarded);
        let source = format!("^/(?:{})(?<rest>.*)", escape(&format!("{}/", &location.text[1..])));
        patterns = vec![Pattern::Regex(source)];
        path = replaced(uri, &Tail::Rest);
    }
    let piece = piece(&name, &location.shown(), patterns, path, comments);
    let guarded = write_piece(import, context, piece);
    suite.named(number, Part::Main, name, guarded);
}

/// The text of a location replaced by this.
fn replaced(uri: &str, tail: &Tail) -> Path {
    match tail {
        Tail::Fixed | Tail::Unknown => Path::Rewrite(uri.to_owned()),
        Tail::Below(base) if uri == "/" && !base.is_empty() => Path::Strip(base.clone()),
        Tail::Below(base) if base.is_empty() && uri == "/" => Path::Keep,
        Tail::Below(_) => Path::Rewrite(format!("{uri}{{**}}")),
        Tail::Rest => Path::Rewrite(format!("{uri}{{rest}}")),
    }
}

/// What no location takes.
fn rest(
    import: &mut Import<'_>,
    context: &mut Context<'_, '_>,
    matcher: &Matcher<'_>,
    suite: &mut Suite,
) {
    if matcher.find("/") != Found::Nothing && matcher.find("/~") != Found::Nothing {
        return;
    }
    let server = context.server;
    let name = import.route_name(&context.prefix, "rest");
    let mut comments = Vec::new();
    let action = no_location(server);
    if let Some(it) = ["root", "try_files"].iter().find_map(|it| server.scope.one(it)) {
        let todo = "Tidegate serves none: name a web server in `to`";
        comments.push(import.report.todo(it.at, format!("`{}` serves files", it.shown()), todo));
    }
    let piece = Piece {
        name: name.clone(),
        above: vec![
            "What no location takes. Without this route one of a weaker host might.".to_owned(),
        ],
        patterns: vec![Pattern::Path("/**".to_owned())],
        priority: 0,
        scope: &server.scope,
        action: &action,
        path: Path::Keep,
        closed: context.closed,
        comments,
    };
    let guarded = write_piece(import, context, piece);
    let expected = Expected { route: name, path: None, action: &action, guarded };
    suite.expect(context, "/no-location-takes-this", &expected);
}

/// What a server does where no location takes a path: it serves files, if there are any.
pub(super) fn no_location(server: &Server<'_>) -> Action {
    match ["root", "try_files"].iter().any(|it| server.scope.one(it).is_some()) {
        true => Action::Not,
        false => Action::Respond { status: 404, body: String::new(), content_type: String::new() },
    }
}
