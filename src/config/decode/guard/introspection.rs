//! `introspection`: an issuer is asked of each token.

use http::header::AUTHORIZATION;

use super::{
    super::{
        super::model::{Client, ClientSecret, Introspection, Secret},
        reader::Fields,
    },
    Source, asked, carrier, flag, jwt, one_of,
};
use crate::auth::api_key::carrier::Carrier;

pub(super) fn introspection(f: &Fields<'_>) -> Option<Introspection> {
    let service = asked::service(f, None)?;
    // All of them, so that all mistakes are told at once.
    let (client, audience) = (client(f), jwt::audience(f));
    let (require, pass_claims) = (jwt::require(f), jwt::pass_claims(f));
    let issuer = match f.get("issuer") {
        None => None,
        Some(slot) => Some(slot.text()?.to_owned()),
    };
    Some(Introspection {
        service,
        client: client?,
        from: carrier(f, Carrier::Header(AUTHORIZATION))?,
        issuer,
        audience: Some(audience?),
        require: require?,
        consumer: jwt::consumer(f)?,
        pass_claims: pass_claims?,
        pass_token: flag(f, "pass_token")?,
        cache: asked::tokens(f)?,
    })
}

/// Who asks. One half of it is a mistake.
fn client(f: &Fields<'_>) -> Option<Option<Client>> {
    let keys = ["client_id", "client_secret", "client_secret_file"];
    if keys.into_iter().all(|key| f.entry(key).is_none()) {
        return Some(None);
    }
    let Some(id) = f.get("client_id") else {
        f.missing("client_id");
        return None;
    };
    let id = id.text()?.to_owned();
    let secret = match one_of(f, "client_secret", "client_secret_file")? {
        Source::Here(slot) => ClientSecret::Inline(Secret(slot.text()?.to_owned())),
        Source::File(path) => ClientSecret::File(path),
    };
    Some(Some(Client { id, secret }))
}
