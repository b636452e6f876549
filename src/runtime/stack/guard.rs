//! Who may pass, and how often. Of the limits of a route those that need to know who a request is from
//! stand behind `auth`, all others before it.

use std::sync::Arc;

use tower::Layer;

use super::{super::limits::Id, Stacks};
use crate::{
    config::{
        diagnostic::Diagnostics,
        model::{AuthPolicy, Authorize, Name, Route},
    },
    layers::{
        auth::{self, AuthLayer},
        authorize::AuthorizeLayer,
        custom::LayerService,
        ip::IpLayer,
        rate_limit::{Limit, RateLimitLayer, stored::StoredRateLimitLayer},
        shared::SharedService,
    },
    limit::{self, fields},
};

/// Whether it is known who a request is from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    Unknown,
    Known,
}

impl Stacks<'_> {
    /// Only so often.
    pub(super) fn limited(
        &self,
        name: &Name,
        route: &Route,
        identity: Identity,
        inner: LayerService,
    ) -> LayerService {
        let limits = self.all_limits(name, route, identity);
        let late = identity == Identity::Known;
        match limits.iter().any(|limit| limit.stored.is_some()) {
            true => SharedService::new(StoredRateLimitLayer::new(limits, late).layer(inner)),
            false if limits.is_empty() => inner,
            false => SharedService::new(RateLimitLayer::new(limits, late).layer(inner)),
        }
    }

    /// The limits of a route that can be asked where so much is known of who it is, all counted here.
    pub(super) fn limits(
        &self,
        name: &Name,
        route: &Route,
        identity: Identity,
    ) -> Option<RateLimitLayer> {
        let limits = self.all_limits(name, route, identity);
        let late = identity == Identity::Known;
        (!limits.is_empty()).then(|| RateLimitLayer::new(limits, late))
    }

    fn all_limits(&self, name: &Name, route: &Route, identity: Identity) -> Vec<Limit> {
        let known = identity == Identity::Known;
        let all = route.rate_limit.iter().enumerate();
        let here = all.filter(|(_, limit)| limit.needs_identity() == known);
        let made = here.map(|(number, rule)| {
            let (id, metrics) = (Id::of(rule, name, number), &self.context.metrics);
            let gateways = self.parts.stores.gateways(rule);
            let limiter = self.parts.limiters.of(id.clone(), rule, gateways);
            let called = limit::shown_name(rule, name, number);
            let stored = self.parts.stores.of((&id, &called), rule, &limiter, metrics);
            let shown = fields::Shown::new(rule, &called, limiter);
            Limit {
                rule: Arc::clone(rule),
                shown: Arc::new(shown),
                decisions: metrics.route(name).decisions("rate_limit", &called),
                stored,
            }
        });
        made.collect()
    }

    /// Only what they may do.
    pub(super) fn authorized(
        &self,
        name: &Name,
        route: &Route,
        inner: LayerService,
    ) -> LayerService {
        let Some(authorize) = &route.authorize else { return inner };
        let metrics = self.context.metrics.route(name);
        let counted = |policy: &Arc<Authorize>| {
            (Arc::clone(policy), metrics.decisions("authorize", &policy.policy))
        };
        let policies = authorize.policies.iter().map(counted).collect();
        SharedService::new(AuthorizeLayer::new(policies).layer(inner))
    }

    /// Only for known clients.
    pub(super) fn known(
        &self,
        name: &Name,
        route: &Route,
        inner: LayerService,
        found: &mut Diagnostics,
    ) -> LayerService {
        let Some(auth) = &route.auth else { return inner };
        let metrics = self.context.metrics.route(name);
        let one = |policy: &Arc<AuthPolicy>| {
            Some(auth::Policy {
                name: Arc::clone(&policy.policy),
                scheme: self.parts.schemes.of(policy, found)?,
                pass_consumer: policy.pass_consumer.clone(),
                mode: policy.mode,
                decisions: metrics.decisions("auth", &policy.policy),
            })
        };
        let policies: Vec<_> = auth.policies.iter().map(one).collect();
        match policies.into_iter().collect::<Option<Vec<_>>>() {
            Some(policies) => {
                let settings = auth::Settings { require: auth.require, policies };
                SharedService::new(AuthLayer::new(settings).layer(inner))
            }
            // Refused, and told why.
            None => inner,
        }
    }

    /// Only from some addresses.
    pub(super) fn addressed(
        &self,
        name: &Name,
        route: &Route,
        inner: LayerService,
    ) -> LayerService {
        let Some(rules) = &route.ip else { return inner };
        let decisions = self.context.metrics.route(name).decisions("ip", &rules.policy);
        SharedService::new(IpLayer::new(rules.clone(), decisions).layer(inner))
    }
}
