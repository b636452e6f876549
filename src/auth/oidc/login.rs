//! A login: the browser is sent to the provider, and comes back with a code.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::{
    super::{Denied, Fields, Meaning, Refused, Step},
    cookies::LOGINS,
    flight::Flight,
    flow::{self, Flow},
    form,
    page::{Next, go, page},
    provider::Known,
    scheme::{Asked, Oidc},
    tokens::{self, Failed},
};

/// There is no login with this state in this browser.
const UNKNOWN: &str = "unknown_state";

/// Neither the gateway nor the provider can do it now.
const AWAY: Denied = Denied::unavailable("provider_away");

impl Oidc {
    /// Sends a person to the provider.
    pub(super) async fn begin(&self, asked: &Asked<'_>) -> Refused {
        let Ok(known) = self.provider.known().await else { return AWAY.into() };
        self.sent(asked, &known).unwrap_or_else(|| Denied::unavailable("no_randomness").into())
    }

    fn sent(&self, asked: &Asked<'_>, known: &Known) -> Option<Refused> {
        let redirect_uri = match &self.urls.redirect_uri {
            Some(url) => url.clone(),
            None => format!("{}{}", asked.site.origin, self.urls.callback),
        };
        let first = asked.exchange.uri.path_and_query().map_or("/", |it| it.as_str());
        let flow = Flow::new(first, redirect_uri, asked.now)?;
        let challenge = flow.challenge();
        let mut fields: Vec<(&str, &str)> =
            self.parameters.iter().map(|(name, value)| (&**name, &**value)).collect();
        fields.extend([
            ("response_type", "code"),
            ("client_id", &*self.provider.settings().client_id),
            ("redirect_uri", &*flow.redirect_uri),
            ("scope", &*self.scope),
            ("state", &*flow.state),
            ("nonce", &*flow.nonce),
            ("code_challenge", &*challenge),
            ("code_challenge_method", "S256"),
        ]);
        let to = form::with_query(&known.metadata.authorization_endpoint, &fields);
        let mut told = self.forget_logins(asked);
        let seal = flow.sealed(&self.keys)?;
        told.push(self.jar.keep_login(&flow.state, &seal, flow::LIFE, asked.site.secure)?);
        Some(go(&to, Step::Login, told))
    }

    /// Forgets logins that are over, and the oldest of too many, so that there is room for one more.
    fn forget_logins(&self, asked: &Asked<'_>) -> Fields {
        let secure = asked.site.secure;
        let open = |(name, seal)| (name, Flow::open(&self.keys, seal));
        let logins = self.jar.logins(asked.headers, secure).into_iter().map(open);
        let (mut living, mut over): (Vec<_>, Vec<_>) = logins
            .partition(|(_, flow)| flow.as_ref().is_some_and(|flow| !flow.is_over(asked.now)));
        living.sort_by_key(|(_, flow)| flow.as_ref().map(|flow| flow.begun));
        let surplus = (living.len() + 1).saturating_sub(LOGINS);
        over.extend(living.drain(..surplus));
        over.iter().filter_map(|(name, _)| self.jar.drop_login(name, secure)).collect()
    }

    /// Takes a person back from the provider.
    pub(super) async fn callback(&self, asked: &Asked<'_>) -> Refused {
        let query = asked.exchange.uri.query().unwrap_or_default();
        let state = form::only(query, "state").unwrap_or_default();
        let seal = self.jar.login(asked.headers, &state, asked.site.secure);
        let flow = seal.and_then(|seal| Flow::find(&self.keys, seal, &state, asked.now));
        let Some(flow) = flow.filter(|_| asked.method == Method::GET) else {
            return self.failed(UNKNOWN, Fields::new());
        };
        let known = match self.provider.known().await {
            Ok(known) => known,
            Err(_) => return AWAY.into(),
        };
        match self.answer(query, &known) {
            Answer::Code(code) => self.finish(asked, flow, code).await,
            Answer::Error(error) => self.told(asked, &state, &error),
            Answer::Untrue(why) => self.failed(why, self.forget(asked, &state)),
        }
    }

    /// What the provider says by way of the browser.
    fn answer(&self, query: &str, known: &Known) -> Answer {
        // Who it is must be said where it can be: against mixing up providers (RFC 9207).
        let issuer = form::only(query, "iss");
        let wanted = known.metadata.authorization_response_iss_parameter_supported;
        match issuer {
            Some(issuer) if issuer != self.provider.settings().issuer => {
                return Answer::Untrue("wrong_issuer");
            }
            None if wanted => return Answer::Untrue("no_issuer"),
            _ => {}
        }
        match (form::only(query, "error"), form::only(query, "code")) {
            (Some(error), _) => Answer::Error(error),
            (None, Some(code)) if !code.is_empty() => Answer::Code(code),
            (None, _) => Answer::Untrue("no_code"),
        }
    }

    async fn finish(&self, asked: &Asked<'_>, flow: Flow, code: String) -> Refused {
        let (provider, keep) = (Arc::clone(&self.provider), self.keep.clone());
        let (state, first) = (flow.state.clone(), flow.first().to_owned());
        // Whoever waits for it may go: the code is used up all the same.
        let flight = Flight::launch(self.provider.handle(), async move {
            tokens::exchange(&provider, &flow, &code, keep.as_deref()).await
        });
        let session = match flight.answer().await {
            Some(Ok(session)) => session,
            Some(Err(Failed::Refused)) => {
                return self.failed("code_refused", self.forget(asked, &state));
            }
            Some(Err(Failed::Untrue(why))) => {
                let (policy, issuer) = (&*self.name, &*self.provider.settings().issuer);
                tracing::warn!(policy, issuer, why, "the OpenID provider gave a bad ID token");
                return self.failed(why, self.forget(asked, &state));
            }
            Some(Err(Failed::Away(away))) => {
                let (policy, issuer) = (&*self.name, &*self.provider.settings().issuer);
                tracing::warn!(policy, issuer, error = %away, "the OpenID provider gives no tokens");
                return AWAY.into();
            }
            None => return AWAY.into(),
        };
        let Some(mut fields) = self.keep(asked, &session) else {
            return page(
                StatusCode::INTERNAL_SERVER_ERROR,
                Meaning::No(Denied::forbidden("session_too_large")),
                "You could not be logged in",
                "What is known about you is too long to be kept. Tell those who run this site.",
                None,
                self.forget(asked, &state),
            );
        };
        fields.extend(self.forget(asked, &state));
        // The path of the callback itself would not lead anywhere.
        let path = first.split('?').next().unwrap_or_default();
        let leads = path != self.urls.callback && Some(path) != self.urls.logout.as_deref();
        go(if leads { &first } else { "/" }, Step::LoggedIn, fields)
    }

    /// The provider says why there is no code.
    fn told(&self, asked: &Asked<'_>, state: &str, error: &str) -> Refused {
        match error {
            "access_denied" => page(
                StatusCode::FORBIDDEN,
                Meaning::No(Denied::forbidden("access_denied")),
                "You were not let in",
                "The login was broken off, or you may not use this site.",
                Some(&Next::Go { to: "/", text: "Try again" }),
                self.forget(asked, state),
            ),
            _ => {
                let error: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
                let (policy, issuer) = (&*self.name, &*self.provider.settings().issuer);
                tracing::warn!(
                    policy,
                    issuer,
                    error,
                    "the OpenID provider refuses to log anybody in"
                );
                AWAY.into()
            }
        }
    }

    /// This is no answer to a login of this browser. There must be a new one.
    fn failed(&self, why: &'static str, fields: Fields) -> Refused {
        let policy = &*self.name;
        // Anybody can bring any state.
        match why {
            UNKNOWN => tracing::debug!(policy, why, "a login failed"),
            _ => tracing::info!(policy, why, "a login failed"),
        }
        page(
            StatusCode::BAD_REQUEST,
            Meaning::No(Denied::wrong(why)),
            "You could not be logged in",
            "This login took too long, was finished already, or was begun in another browser.",
            Some(&Next::Go { to: "/", text: "Try again" }),
            fields,
        )
    }

    /// A login that is over.
    fn forget(&self, asked: &Asked<'_>, state: &str) -> Fields {
        self.jar.drop_login(state, asked.site.secure).into_iter().collect()
    }
}

/// What a callback brings.
enum Answer {
    Code(String),
    Error(String),
    Untrue(&'static str),
}
