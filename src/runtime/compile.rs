//! From what the operator wrote to what we run on. It starts nothing: no socket, no task, no clock,
//! no network; certificate files are read and log files opened, because a policy that cannot be
//! built refuses the file. State of the previous runtime is taken over by name, where the settings
//! that shape it are equal.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Context, RouteEntry, Runtime,
    admission::Places,
    asked::Askers,
    auth::Schemes,
    hosts,
    limits::Limiters,
    logins, routes,
    stack::{Parts, Stacks},
    stores::Stores,
    upstreams,
};
use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{Class, Config},
    },
    layers::answer::Answer,
    server::{
        forwarding::{Own, ViaValues},
        gate,
        material::TlsMaterial,
    },
    telemetry::{access_log::AccessLog, exchange::RouteInfo},
};

/// Compiles a configuration.
///
/// # Errors
/// Everything that is wrong with it, in one go.
pub fn compile(
    config: Arc<Config>,
    previous: Option<&Runtime>,
    context: &Context,
) -> Result<(Runtime, Diagnostics), Diagnostics> {
    let mut found = Diagnostics::default();
    let runtime = build(config, previous, context, &mut found);
    if let Some(runtime) = &runtime {
        logins::check(&runtime.config, &runtime.table, &mut found);
    }
    match runtime {
        Some(runtime) if !found.has_errors() => Ok((runtime, found)),
        _ => Err(found),
    }
}

/// What is wrong with a configuration of which a part is missing. Logins are not followed: where they end
/// may be in that part.
pub(super) fn findings(config: Arc<Config>, context: &Context) -> Diagnostics {
    let mut found = Diagnostics::default();
    build(config, None, context, &mut found);
    found
}

/// The runtime, as far as it can be made.
fn build(
    config: Arc<Config>,
    previous: Option<&Runtime>,
    context: &Context,
    found: &mut Diagnostics,
) -> Option<Runtime> {
    let gate = gate::Rules::new(&config);
    let own = Own {
        request_id: config.server.request_id_header.clone(),
        via: config.server.via.then(|| ViaValues::new(&config.server.name)),
    };
    let upstreams = upstreams::compile(&config, previous, context, found);
    let old_material = previous.map(|old| &old.material);
    let material = take(TlsMaterial::load(&config, old_material, context.dry), found);
    let access_log = access_log(&config, previous, context, found);
    let log = access_log.clone().flatten();
    let askers = Askers::new(&upstreams, &own, context, previous.map(|old| &old.schemes));
    let schemes = Schemes::new(context, askers);
    let limiters = Limiters::new(previous.map(|old| &old.limiters));
    let old_stores = previous.map(|old| &old.stores);
    let stores = Stores::new(&config, old_stores, (context, &schemes.askers), found);
    let places = Places::new(previous.map(|old| &old.places));
    let parts = Parts {
        upstreams: &upstreams,
        normalize: gate.normalize,
        own: &own,
        schemes: &schemes,
        limiters: &limiters,
        stores: &stores,
        places: &places,
    };
    let stacks = Stacks::new(&config, context, log, parts);
    let mut entries = BTreeMap::new();
    for (name, route) in config.routes.iter().filter(|(_, route)| route.enabled) {
        if let Some(entry) = stacks.route(name, route, found) {
            entries.insert(Arc::clone(name), Arc::new(entry));
        }
    }
    let builtin = builtin(&stacks);
    let table = routes::compile(&config, &entries, found);
    if let Some(material) = &material {
        hosts::check(&config, &material.store, found);
    }
    Some(Runtime {
        table: table?,
        routes: entries,
        builtin,
        upstreams,
        access_log: access_log?,
        material: material?,
        own,
        gate,
        schemes,
        limiters: limiters.made(),
        stores: stores.made(),
        places: places.made(),
        config,
    })
}

/// The route of what no route takes, and of what is refused before any is looked for.
fn builtin(stacks: &Stacks<'_>) -> RouteEntry {
    RouteEntry {
        info: Arc::new(RouteInfo {
            name: "".into(),
            errors: crate::config::model::ErrorFormat::Auto,
            access_log: true,
            class: Class::default(),
            labels: BTreeMap::new(),
        }),
        late: false,
        late_answer: false,
        service: stacks.builtin(Answer::verdict()),
    }
}

/// The value, with the findings put on the list.
fn take<T>(
    result: Result<(T, Vec<Diagnostic>), Vec<Diagnostic>>,
    found: &mut Diagnostics,
) -> Option<T> {
    let (value, findings) = match result {
        Ok((value, warnings)) => (Some(value), warnings),
        Err(errors) => (None, errors),
    };
    found.items.extend(findings);
    value
}

/// The access log; the outer `None` is an error, the inner one no access log.
fn access_log(
    config: &Config,
    previous: Option<&Runtime>,
    context: &Context,
    found: &mut Diagnostics,
) -> Option<Option<Arc<AccessLog>>> {
    let settings = config.logs.access.as_ref().filter(|_| !context.dry);
    let Some(settings) = settings else { return Some(None) };
    let old = previous.and_then(|old| old.access_log.as_ref());
    if let Some(old) = old
        && previous.is_some_and(|old| old.config.logs.access == config.logs.access)
    {
        return Some(Some(Arc::clone(old)));
    }
    match AccessLog::open(settings, old.map(|old| &**old), context.metrics.log_dropped()) {
        Ok(log) => Some(Some(Arc::new(log))),
        Err(error) => {
            let mut diagnostic = Diagnostic::error(
                crate::config::diagnostic::Place::default(),
                format!("the access log cannot be opened: {error}"),
            );
            diagnostic.labels.clear();
            found.push(diagnostic.help("check `logs.access.to` and the rights of its directory"));
            None
        }
    }
}
