//! The end of a session, here and at the provider (OpenID Connect RP-Initiated Logout).

use http::{Method, StatusCode};

use super::{
    super::{Denied, Fields, Meaning, Refused, Step},
    form,
    page::{Next, go, page},
    scheme::{Asked, Oidc},
    site::is_own_wish,
};

impl Oidc {
    /// Ends a session, if it is the site or the person who wants that. Anybody else could put a link or a
    /// picture on a page: so they are asked.
    pub(super) async fn logout(&self, asked: &Asked<'_>) -> Refused {
        let (method, headers) = (asked.method, asked.headers);
        if method != Method::GET && method != Method::POST {
            return Denied::NOTHING.into();
        }
        let step = Meaning::Step(Step::Logout);
        if !is_own_wish(method, headers, &asked.site) {
            return page(
                StatusCode::OK,
                step,
                "Log out?",
                "Another site has sent you here.",
                Some(&Next::Post { text: "Log out" }),
                Fields::new(),
            );
        }
        let fields = self.jar.drop_session(headers, asked.site.secure);
        let after = self.urls.after_logout.as_ref().map(|to| match to.starts_with('/') {
            true => format!("{}{to}", asked.site.origin),
            false => to.clone(),
        });
        let end = self.provider.known().await.ok();
        let end = end.as_ref().and_then(|known| known.metadata.end_session_endpoint.as_deref());
        match (end, &after) {
            (Some(end), after) => {
                let mut query = vec![("client_id", &*self.provider.settings().client_id)];
                query.extend(after.as_deref().map(|to| ("post_logout_redirect_uri", to)));
                go(&form::with_query(end, &query), Step::Logout, fields)
            }
            (None, Some(after)) => go(after, Step::Logout, fields),
            (None, None) => page(
                StatusCode::OK,
                step,
                "You are logged out",
                "Your session here has ended.",
                Some(&Next::Go { to: "/", text: "Log in again" }),
                fields,
            ),
        }
    }
}
