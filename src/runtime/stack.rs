//! The order of the layers, written once. From the wire inwards:
//!
//! | zone | layers |
//! |---|---|
//! | observe | request id, metrics, access log |
//! | answer | response headers, on the gateway's own errors too |
//! | boundary | an `Error` becomes a response, once |
//! | guard | own layers at `start`, `ip`, `rate_limit`, `auth`, `authorize`, `rate_limit` by who it is, `concurrency`, `bandwidth`, body limit, own layers at `after_auth` |
//! | shape | request headers, strip or rewrite, total timeout |
//! | reach | own layers at `before_upstream`, upstream, endpoint, connection |
//!
//! What is not configured is not in the stack.

mod custom;
mod guard;
mod load;
mod plain;

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use tower::{Layer, Service};

use self::{
    guard::Identity,
    plain::{is_plain, is_unseen, is_unshaped},
};
use super::{
    Context, RouteEntry, admission::Places, auth::Schemes, limits::Limiters, stores::Stores,
};
use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{Action, Config, LayerPosition, Name, PathRewrite, Route, StripPrefix, Timeouts},
    },
    error::Error,
    layers::{
        Request, Response,
        answer::Answer,
        body::BodyLayer,
        custom::LayerService,
        headers::{self, RequestHeadersLayer, ResponseHeadersLayer},
        mirror::{self, MirrorLayer},
        observe::{Observe, ObserveLayer},
        respond::{RespondLayer, ServerName},
        rewrite::{Rewrite, RewriteLayer},
        shared::SharedService,
        template::Template,
        timeout::TimeoutLayer,
    },
    limit::fields,
    routing::Normalize,
    server::forwarding::Own,
    telemetry::{access_log::AccessLog, exchange::RouteInfo},
    upstream::{Current, forward, tries::Again},
};

/// What all stacks of a runtime share.
pub(super) struct Stacks<'c> {
    context: &'c Context,
    access_log: Option<Arc<AccessLog>>,
    server: Arc<ServerName>,
    /// The gateway as a whole may have too much to do.
    sheds: bool,
    parts: Parts<'c>,
}

/// What was made before, of the whole configuration.
#[derive(Clone, Copy)]
pub(super) struct Parts<'c> {
    pub(super) upstreams: &'c BTreeMap<Name, Current>,
    pub(super) normalize: Normalize,
    pub(super) own: &'c Own,
    pub(super) schemes: &'c Schemes,
    pub(super) limiters: &'c Limiters,
    pub(super) stores: &'c Stores,
    pub(super) places: &'c Places,
}

// === impl Stacks ===

impl<'c> Stacks<'c> {
    pub(super) fn new(
        config: &'c Config,
        context: &'c Context,
        access_log: Option<Arc<AccessLog>>,
        parts: Parts<'c>,
    ) -> Self {
        let server = Arc::new(ServerName::new(&config.server.name));
        let sheds = config.server.overload.is_some();
        Self { context, access_log, server, sheds, parts }
    }

    /// The stack of a route.
    pub(super) fn route(
        &self,
        name: &Name,
        route: &Route,
        found: &mut Diagnostics,
    ) -> Option<RouteEntry> {
        let info = Arc::new(RouteInfo {
            name: Arc::clone(name),
            errors: route.errors,
            access_log: route.access_log,
            class: route.priority_class.at_first(),
            labels: route.labels.clone(),
        });
        let before = found.items.len();
        let innermost = self.innermost(name, route, found)?;
        let late = matches!(&innermost, Innermost::Forward(_)) && self.may_be_late(route);
        let log = self.access_log.as_ref();
        let late_answer = late
            && headers::is_empty(&route.headers.response)
            && route.rate_limit.iter().all(|limit| fields::can_be_late(limit))
            && !log.is_some_and(|log| log.looks_at_answers());
        let service = match innermost {
            Innermost::Forward(inner) => self.guarded(&info, route, inner, found),
            Innermost::Answer(inner) => self.guarded(&info, route, inner, found),
        };
        let errors = found.items[before..].iter().any(Diagnostic::is_error);
        (!errors).then_some(RouteEntry { info, late, late_answer, service })
    }

    /// Whether nobody between the gateway and the upstream looks for our own fields.
    fn may_be_late(&self, route: &Route) -> bool {
        let logged = self.access_log.as_ref().is_some_and(|log| log.looks_at_requests());
        is_unseen(route, self.parts.own) && !logged && self.parts.own.can_be_late()
    }

    /// The stack of the built-in route: the outer layers and a verdict.
    pub(super) fn builtin(&self, answer: Answer) -> SharedService<Infallible> {
        SharedService::new(self.outer("").layer(self.boundary().layer(answer)))
    }

    fn innermost(&self, name: &Name, route: &Route, found: &mut Diagnostics) -> Option<Innermost> {
        match &route.action {
            Action::Forward(targets) => {
                let upstreams: Vec<_> = targets
                    .iter()
                    .filter(|(_, weight)| *weight > 0)
                    .filter_map(|(to, weight)| {
                        self.parts.upstreams.get(&to.value).map(|found| (found.clone(), *weight))
                    })
                    .collect();
                let settings = forward::Settings {
                    upstreams,
                    timeouts: within_total(route.timeouts),
                    upgrade: route.upgrade.clone(),
                    own: self.parts.own.clone(),
                    again: route.retry.clone().map(Again::new),
                    metrics: self.context.metrics.route(name),
                };
                Some(Innermost::Forward(forward::Forward::new(settings)))
            }
            Action::Redirect { to, status, keep_query } => match Template::parse(&to.value) {
                Ok(template) => {
                    Some(Innermost::Answer(Answer::redirect(template, *status, *keep_query)))
                }
                Err(problem) => {
                    found.push(Diagnostic::error(to.place, problem));
                    None
                }
            },
            Action::Quarantined => Some(Innermost::Answer(Answer::quarantined())),
            Action::Respond { status, body, headers } => {
                let headers = headers.iter().cloned().collect();
                Some(Innermost::Answer(Answer::respond(*status, headers, body.clone())))
            }
        }
    }

    /// Everything around the innermost service of a route. Types are erased only where a layer is
    /// there, so that a plain route is one generic stack.
    fn guarded<S>(
        &self,
        info: &Arc<RouteInfo>,
        route: &Route,
        inner: S,
        found: &mut Diagnostics,
    ) -> SharedService<Infallible>
    where
        S: Service<Request, Response = Response, Error = Error> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let body = BodyLayer::new(route.body, route.timeouts);
        let boundary = self.boundary_of(&info.name, route);
        let name = &info.name;
        if is_plain(route) {
            let Some(limits) = self.limits(name, route, Identity::Unknown) else {
                return self.finished(name, route, boundary.layer(body.layer(inner)));
            };
            let limited = limits.layer(body.layer(inner));
            return self.finished(name, route, boundary.layer(limited));
        }
        let limited = if is_unshaped(route) {
            SharedService::new(body.layer(inner))
        } else {
            let shaped = self.shaped(name, route, SharedService::new(inner), found);
            let guarded = self.custom(route, LayerPosition::AfterAuth, shaped, found);
            SharedService::new(body.layer(guarded))
        };
        let limited = self.slowed(name, route, limited);
        let limited = self.at_once(name, route, limited);
        let limited = self.limited(name, route, Identity::Known, limited);
        let limited = self.authorized(name, route, limited);
        let limited = self.known(name, route, limited, found);
        let limited = self.limited(name, route, Identity::Unknown, limited);
        let limited = self.addressed(name, route, limited);
        let started = self.custom(route, LayerPosition::Start, limited, found);
        self.finished(name, route, boundary.layer(started))
    }

    /// The reach and shape zones: what changes a request on its way to the upstream.
    fn shaped(
        &self,
        name: &Name,
        route: &Route,
        inner: LayerService,
        found: &mut Diagnostics,
    ) -> LayerService {
        let mut service = self.custom(route, LayerPosition::BeforeUpstream, inner, found);
        if let Some(limit) = route.timeouts.request {
            service = SharedService::new(TimeoutLayer::new(limit).layer(service));
        }
        if let Some(layer) = self.mirror(name, route) {
            service = SharedService::new(layer.layer(service));
        }
        if let Some(rewrite) = rewrite(&route.path_rewrite, found) {
            service =
                SharedService::new(RewriteLayer::new(rewrite, self.parts.normalize).layer(service));
        }
        if !headers::is_empty(&route.headers.request) {
            let layer = RequestHeadersLayer::new(route.headers.request.clone());
            service = SharedService::new(layer.layer(service));
        }
        service
    }

    /// Copies of the traffic to another upstream; one that is not there was refused before.
    fn mirror(&self, name: &Name, route: &Route) -> Option<MirrorLayer> {
        let mirror = route.mirror.as_ref()?;
        let upstream = self.parts.upstreams.get(&mirror.to.value)?.clone();
        let metrics = self.context.metrics.route(name);
        let forward = forward::Forward::new(forward::Settings {
            upstreams: vec![(upstream, 1)],
            timeouts: within_total(route.timeouts),
            upgrade: Vec::new(),
            own: self.parts.own.clone(),
            again: None,
            metrics: Arc::clone(&metrics),
        });
        Some(MirrorLayer::new(mirror::Settings {
            to: Arc::clone(&mirror.to.value),
            share: (mirror.share * mirror::ALL as f64) as u64,
            compare: mirror.compare.clone(),
            forward,
            metrics,
        }))
    }

    /// The answer and observe zones.
    fn finished<S>(&self, name: &Name, route: &Route, inner: S) -> SharedService<Infallible>
    where
        S: Service<Request, Response = Response, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        if headers::is_empty(&route.headers.response) {
            return SharedService::new(self.outer(name).layer(inner));
        }
        let layer = ResponseHeadersLayer::new(route.headers.response.clone());
        SharedService::new(self.outer(name).layer(layer.layer(inner)))
    }

    fn outer(&self, route: &str) -> ObserveLayer {
        ObserveLayer::new(Arc::new(Observe {
            metrics: Arc::clone(&self.context.metrics),
            route: self.context.metrics.route(&route.into()),
            access_log: self.access_log.clone(),
            own: self.parts.own.clone(),
        }))
    }

    fn boundary(&self) -> RespondLayer {
        RespondLayer::new(Arc::clone(&self.server))
    }
}

/// A try cannot take longer than the whole.
fn within_total(timeouts: Timeouts) -> Timeouts {
    let Some(request) = timeouts.request else { return timeouts };
    let least = |limit: Option<Duration>| limit.map(|limit| limit.min(request));
    let (first_byte, per_try) = (least(timeouts.first_byte), least(timeouts.per_try));
    Timeouts { first_byte, per_try, ..timeouts }
}

enum Innermost {
    Forward(forward::Forward),
    Answer(Answer),
}

/// How paths of a route change.
pub(crate) fn rewrite(rewrite: &PathRewrite, found: &mut Diagnostics) -> Option<Rewrite> {
    match rewrite {
        PathRewrite::Keep => None,
        PathRewrite::StripPrefix(prefix) => Some(match &prefix.value {
            StripPrefix::Path(path) => Rewrite::Strip(path.as_str().into()),
            StripPrefix::Literal => Rewrite::StripLiteral,
        }),
        PathRewrite::Template(template) => match Template::parse(&template.value) {
            Ok(template) => Some(Rewrite::Template(template)),
            Err(problem) => {
                found.push(Diagnostic::error(template.place, problem));
                None
            }
        },
    }
}
