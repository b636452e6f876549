//! `client_cert`: the names in certificates.

use super::super::{super::model::ClientCert, reader::Fields};
use crate::auth::client_cert::Accepted;

pub(super) fn client_cert(f: &Fields<'_>) -> Option<ClientCert> {
    let mut san = Vec::new();
    if let Some(slot) = f.get("san") {
        for item in slot.one_or_many()? {
            match Accepted::parse(item.text()?) {
                Ok(name) => san.push(name),
                Err(why) => {
                    item.wrong("made of names in certificates", Some(why.to_owned()));
                    return None;
                }
            }
        }
    }
    let pass_cert = match f.get("pass_cert") {
        None => false,
        Some(slot) => slot.bool()?,
    };
    Some(ClientCert { san, pass_cert })
}
