//! Which routes can do with less: without the types of their layers erased, or with our own fields
//! written past the map of headers.

use http::{HeaderName, header::VIA};

use crate::{
    config::model::{AuthPolicy, AuthScheme, PathRewrite, Route},
    layers::headers,
    server::{forwarding::Own, gate},
};

/// Whether no layer stands between the boundary, the body limit and the innermost service.
pub(super) fn is_plain(route: &Route) -> bool {
    let anybody = route.ip.is_none() && route.auth.is_none() && route.authorize.is_none();
    let any_number = route.concurrency.is_empty()
        && route.bandwidth.is_none()
        && !route.priority_class.is_looked_up();
    let counted_here = route.rate_limit.iter().all(|limit| limit.stored.is_none());
    is_unshaped(route) && anybody && any_number && counted_here
}

/// The same, but for the policies that say who may pass.
pub(super) fn is_unshaped(route: &Route) -> bool {
    route.layers.is_empty()
        && route.timeouts.request.is_none()
        && route.path_rewrite == PathRewrite::Keep
        && route.mirror.is_none()
        && headers::is_empty(&route.headers.request)
}

/// Whether no layer looks for our own fields. Rules may read any.
pub(super) fn is_unseen(route: &Route, own: &Own) -> bool {
    let mut policies = route.auth.iter().flat_map(|auth| &auth.policies);
    is_unshaped(route)
        && route.authorize.is_none()
        && !route.rate_limit.iter().any(|limit| limit.looks_at_headers())
        && !route.concurrency.iter().any(|limit| limit.looks_at_headers())
        && policies.all(|policy| is_blind(policy, &own.request_id))
}

/// Whether a policy neither looks for our own fields nor writes one of them.
fn is_blind(policy: &AuthPolicy, request_id: &HeaderName) -> bool {
    let is_own =
        |name: &HeaderName| gate::is_claim(name.as_str()) || name == request_id || *name == VIA;
    let blind = match policy.scheme {
        AuthScheme::ApiKey(_)
        | AuthScheme::Basic(_)
        | AuthScheme::Jwt(_)
        | AuthScheme::ClientCert(_) => true,
        // A signature may cover any field, a login looks at what the request came by, and a service is
        // shown what its policy names.
        AuthScheme::Signature(_)
        | AuthScheme::Oidc(_)
        | AuthScheme::External(_)
        | AuthScheme::ExtAuthz(_)
        | AuthScheme::Introspection(_) => false,
    };
    blind && !policy.tells().any(is_own)
}
