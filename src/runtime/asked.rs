//! Makes of the services that policies ask what can be asked: a way to the upstream, and what was said
//! before, which outlives a reload that changes nothing of the policy.

use std::{collections::BTreeMap, sync::Arc};

use http::uri::PathAndQuery;
use parking_lot::Mutex;

use super::{Context, auth::Schemes};
use crate::{
    auth::{
        asked::{
            Deciding, Judge, Kept, Service,
            ext_authz::ExtAuthz,
            external::External,
            introspection::{Credentials, Introspection, Reads},
        },
        decisions::Life,
        jwt::bearer::Reading,
    },
    config::model::{self, AskedService, AuthPolicy, Name, Timeouts},
    server::forwarding::Own,
    telemetry::metrics::Metrics,
    upstream::{Current, forward},
};

/// What is needed to ask.
#[derive(Debug)]
pub(super) struct Askers {
    upstreams: BTreeMap<Name, Current>,
    own: Own,
    metrics: Arc<Metrics>,
    /// What was said in this configuration, and in the one before.
    kept: Mutex<Vec<Remembered>>,
    before: Vec<Remembered>,
}

type Remembered = (Arc<AuthPolicy>, Arc<Kept>);

// === impl Askers ===

impl Askers {
    /// Asks these upstreams. What was said before stays in use.
    pub(super) fn new(
        upstreams: &BTreeMap<Name, Current>,
        own: &Own,
        context: &Context,
        previous: Option<&Schemes>,
    ) -> Self {
        Self {
            upstreams: upstreams.clone(),
            own: own.clone(),
            metrics: Arc::clone(&context.metrics),
            kept: Mutex::default(),
            before: previous.map(|old| old.askers.kept.lock().clone()).unwrap_or_default(),
        }
    }

    /// The scheme of `external`. An upstream that is not there was refused before.
    pub(super) fn external(
        &self,
        policy: &Arc<AuthPolicy>,
        settings: &model::External,
    ) -> Option<External> {
        Some(External {
            judge: self.judge(policy, &settings.judge)?,
            method: settings.method.clone(),
            request_id: self.own.request_id.clone(),
        })
    }

    /// The same of `ext_authz`.
    pub(super) fn ext_authz(
        &self,
        policy: &Arc<AuthPolicy>,
        settings: &model::Judge,
    ) -> Option<ExtAuthz> {
        self.judge(policy, settings).map(ExtAuthz)
    }

    fn judge(&self, policy: &Arc<AuthPolicy>, settings: &model::Judge) -> Option<Judge> {
        let cache = settings.cache.as_ref();
        Some(Judge {
            service: self.service(&settings.service)?,
            request_headers: settings.request_headers.clone(),
            takes: settings.takes.clone(),
            tells: settings.takes.names().cloned().collect(),
            body: settings.body,
            key: cache.map(|cache| cache.key.clone()).unwrap_or_default(),
            deciding: self.deciding(policy, &settings.service, cache.map(|cache| cache.life)),
        })
    }

    /// The same of `introspection`.
    pub(super) fn introspection(
        &self,
        policy: &Arc<AuthPolicy>,
        settings: &model::Introspection,
        credentials: Credentials,
    ) -> Option<Introspection> {
        let reading = Reading {
            require: settings.require.clone(),
            consumer: settings.consumer.clone(),
            pass_claims: settings.pass_claims.clone(),
        };
        Some(Introspection {
            service: self.service(&settings.service)?,
            credentials,
            request_id: self.own.request_id.clone(),
            from: settings.from.clone(),
            tells: reading.tells(),
            reads: Reads {
                issuer: settings.issuer.clone(),
                audience: settings.audience.clone(),
                reading,
            },
            pass_token: settings.pass_token,
            deciding: self.deciding(policy, &settings.service, settings.cache),
        })
    }

    /// What asks a service.
    pub(super) fn service(&self, of: &AskedService) -> Option<Service> {
        let upstream = self.upstreams.get(&of.to.value)?.clone();
        let timeouts = Timeouts {
            request: Some(of.timeout),
            per_try: Some(of.timeout),
            first_byte: Some(of.timeout),
            connect: Some(of.timeout),
            idle: Some(of.timeout),
            idle_written: true,
        };
        let forward = forward::Forward::new(forward::Settings {
            upstreams: vec![(upstream, 1)],
            timeouts,
            upgrade: Vec::new(),
            own: self.own.clone(),
            again: None,
            // Nothing is tried again, so nothing is counted there.
            metrics: self.metrics.route(&"".into()),
        });
        let path = PathAndQuery::try_from(of.path.as_str()).ok()?;
        Some(Service { forward, path, timeout: of.timeout })
    }

    fn deciding(
        &self,
        policy: &Arc<AuthPolicy>,
        service: &AskedService,
        life: Option<Life>,
    ) -> Deciding {
        Deciding {
            kept: life.map(|life| self.kept(policy, life)),
            timeout: service.timeout,
            on_error: service.on_error,
            metrics: self.metrics.asked(&policy.policy),
        }
    }

    /// What the service of this policy said before. Who asks it in the same way may believe it.
    fn kept(&self, policy: &Arc<AuthPolicy>, life: Life) -> Arc<Kept> {
        let same = |(known, _): &&Remembered| known.scheme == policy.scheme;
        let mut now = self.kept.lock();
        let found = now.iter().chain(&self.before).find(same).map(|(_, kept)| Arc::clone(kept));
        let kept = found.unwrap_or_else(|| Kept::new(life));
        now.push((Arc::clone(policy), Arc::clone(&kept)));
        kept
    }
}
