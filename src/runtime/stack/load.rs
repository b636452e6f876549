//! How much at once: of the gateway, of a route, of its bytes.

use std::sync::Arc;

use tower::Layer;

use super::Stacks;
use crate::{
    config::model::{Action, Name, Route},
    layers::{
        bandwidth::{self, BandwidthLayer},
        concurrency::{self, ConcurrencyLayer},
        custom::LayerService,
        respond::RespondLayer,
        shared::SharedService,
        shedding::Shedding,
    },
};

impl Stacks<'_> {
    /// Only so many bytes a second.
    pub(super) fn slowed(&self, name: &Name, route: &Route, inner: LayerService) -> LayerService {
        let Some(bandwidth) = &route.bandwidth else { return inner };
        let (connection, total) = (bandwidth.connection, self.parts.places.total(bandwidth, name));
        let layer = BandwidthLayer::new(bandwidth::Settings { connection, total });
        SharedService::new(layer.layer(inner))
    }

    /// Only so many at once, and the important ones first.
    pub(super) fn at_once(&self, name: &Name, route: &Route, inner: LayerService) -> LayerService {
        if route.concurrency.is_empty() && !route.priority_class.is_looked_up() {
            return inner;
        }
        let metrics = self.context.metrics.route(name);
        let limits =
            route.concurrency.iter().enumerate().map(|(number, limit)| concurrency::Limit {
                policy: Arc::clone(&limit.policy),
                places: self.parts.places.of(limit, name, number),
                patience: limit.patience,
                mode: limit.mode,
                decisions: metrics.decisions("concurrency", &limit.policy),
            });
        let (class, limits) = (route.priority_class.clone(), limits.collect());
        let shedding = self.can_shed(route).then(|| self.shedding(name));
        let settings = concurrency::Settings { class, limits, shedding, metrics };
        SharedService::new(ConcurrencyLayer::new(settings).layer(inner))
    }

    /// The boundary of a route.
    pub(super) fn boundary_of(&self, name: &Name, route: &Route) -> RespondLayer {
        let class = &route.priority_class;
        if class.is_looked_up() || !self.can_shed(route) {
            return self.boundary();
        }
        RespondLayer::shedding(Arc::clone(&self.server), self.shedding(name), class.at_first())
    }

    /// Whether a route's requests may be too many for the gateway. What it answers itself costs no more than
    /// to refuse it.
    fn can_shed(&self, route: &Route) -> bool {
        self.sheds && matches!(route.action, Action::Forward(_))
    }

    fn shedding(&self, name: &Name) -> Shedding {
        let metrics = &self.context.metrics;
        Shedding::new(Arc::clone(metrics.overload()), metrics.route(name))
    }
}
