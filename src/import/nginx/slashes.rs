//! `/api` where a location is `/api/`: our pattern `/api/**` has both, nginx has not. It sends clients to
//! the path with the slash, gives it to another location, or has none for it.

use super::{
    super::write::{Entry, Value, encoded},
    Import,
    actions::{Action, PathMap},
    guard::scan,
    matching::{Found, Matcher},
    model::Kind,
    paths::{Pattern, Shape, Tail},
    pieces::{Path, Piece, matches, wanted_name, write_piece},
    routes::{Context, no_location},
    suite::{Expected, Guarded, Part, Suite},
};

/// `/api/` for `/api`: nginx sends clients there, or another location takes it.
pub(super) fn slashes(
    import: &mut Import<'_>,
    context: &mut Context<'_, '_>,
    matcher: &Matcher<'_>,
    shapes: &[Option<Shape>],
    actions: &[Action],
    suite: &mut Suite,
) {
    let server = context.server;
    for (number, location) in server.locations.iter().enumerate() {
        // No path has an empty segment or one of dots in the end.
        let is_path = |it: &&str| {
            it.starts_with('/') && !it[1..].split('/').any(|it| ["", ".", ".."].contains(&it))
        };
        let Some(base) = location.text.strip_suffix('/').filter(is_path) else { continue };
        let is_prefix = matches!(location.kind, Kind::Prefix { .. });
        let Some(shape) =
            shapes[number].as_ref().filter(|_| is_prefix || location.kind == Kind::Exact)
        else {
            continue;
        };
        let covered = matches!(shape.tail, Tail::Below(_));
        match matcher.find(base) {
            Found::Slash(own) if own == number => {
                let name =
                    import.route_name(&context.prefix, &format!("{}-slash", wanted_name(location)));
                // nginx does this before it asks who may pass.
                let mut entry = Entry::new(name.clone());
                entry
                    .above
                    .push(format!("{}: nginx adds the slash", import.report.place(location.at)));
                // Each spelling that clients may send it in.
                let (plain, encoded) = (encoded(base, true), encoded(base, false));
                let to = format!("{plain}/");
                let mut patterns = vec![Pattern::Path(plain), Pattern::Path(encoded)];
                patterns.dedup();
                if let Some(matches) = matches(&context.conditions, &patterns) {
                    entry.key("match", matches);
                }
                entry.key(
                    "redirect",
                    Value::map([("to", Value::from(to)), ("status", "301".into())]),
                );
                import.doc.routes.push(entry);
                suite.named(number, Part::Slash, name, Guarded { bare: true, auth: Vec::new() });
            }
            Found::Location(other) if covered && other != number => {
                other_takes(import, context, base, other, &actions[other], shapes, suite);
            }
            Found::Nothing if covered => {
                nothing_takes(import, context, base, number, suite);
            }
            Found::Location(_) | Found::Slash(_) | Found::Nothing | Found::Unknown => {}
        }
    }
}

/// A path our pattern of one location has, and nginx gives to another.
fn other_takes(
    import: &mut Import<'_>,
    context: &mut Context<'_, '_>,
    path: &str,
    other: usize,
    action: &Action,
    shapes: &[Option<Shape>],
    suite: &mut Suite,
) {
    let location = &context.server.locations[other];
    let has = |it: &Shape| it.patterns.contains(&Pattern::Path(path.to_owned()));
    let Some(shape) = shapes[other].as_ref().filter(|it| !has(it)) else { return };
    let mapped = match action {
        Action::Proxy { path: PathMap::Replace(uri), .. } => {
            Path::Rewrite(format!("{uri}{}", path.strip_prefix(&location.text).unwrap_or_default()))
        }
        _ => Path::Keep,
    };
    let name =
        import.route_name(&context.prefix, &format!("{}-alone", path.trim_start_matches('/')));
    let (_, closes) = scan(location.scope.own(), &mut import.report);
    let server = context.server;
    let piece = Piece {
        name: name.clone(),
        above: vec![format!(
            "{}: {} has this one, too",
            import.report.place(location.at),
            location.shown()
        )],
        patterns: vec![Pattern::Path(path.to_owned())],
        priority: 0,
        scope: &server.locations[other].scope,
        action,
        path: mapped,
        closed: closes || shape.denied || context.closed,
        comments: Vec::new(),
    };
    write_piece(import, context, piece);
    suite.alone(path, name);
}

/// A path our pattern of a location has, and nginx gives to none.
fn nothing_takes(
    import: &mut Import<'_>,
    context: &mut Context<'_, '_>,
    path: &str,
    number: usize,
    suite: &mut Suite,
) {
    let server = context.server;
    let name =
        import.route_name(&context.prefix, &format!("{}-alone", path.trim_start_matches('/')));
    let action = no_location(server);
    let place = import.report.place(server.locations[number].at);
    let piece = Piece {
        name: name.clone(),
        above: vec![format!("{place}: without the slash no location takes it")],
        patterns: vec![Pattern::Path(path.to_owned())],
        priority: 0,
        scope: &server.scope,
        action: &action,
        path: Path::Keep,
        closed: context.closed,
        comments: Vec::new(),
    };
    let guarded = write_piece(import, context, piece);
    suite.expect(context, path, &Expected { route: name, path: None, action: &action, guarded });
}
