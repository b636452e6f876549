//! `client_auth`: of the `tls` section, and of a listener that has its own.

use super::{
    super::{
        fields::{CLIENT_AUTH, LISTENER_TLS},
        model::{ClientAuth, ListenerTls},
        tree::Kind,
    },
    reader::Owner,
    slot::Slot,
};

/// What stands there. The outer `None` is an error that was reported, the inner one no certificates.
pub(super) fn client_auth(slot: &Slot<'_>) -> Option<Option<ClientAuth>> {
    if slot.node.is_none_word() {
        return Some(None);
    }
    let f = slot.r.fields(slot.node, &CLIENT_AUTH, Owner::of(CLIENT_AUTH.name, slot.owner))?;
    let mode = match f.get("mode") {
        None => "require",
        Some(slot) => slot.word()?,
    };
    let crl = match f.get("crl") {
        None => None,
        Some(slot) => Some(slot.path()?),
    };
    let ca = match f.get("ca") {
        Some(slot) => slot.path()?,
        None if mode == "none" => return Some(None),
        None => {
            f.missing("ca");
            return None;
        }
    };
    Some((mode != "none").then_some(ClientAuth { required: mode == "require", ca, crl }))
}

/// `tls: { … }` of a listener: `true`, and what is different from the `tls` section of the file.
/// `client_auth` is what that says, and becomes what this says.
pub(super) fn listener_tls(
    slot: &Slot<'_>,
    client_auth: &mut Option<ClientAuth>,
) -> Option<ListenerTls> {
    if let Kind::Map(entries) = &slot.node.kind
        && entries.is_empty()
    {
        slot.wrong("true, auto, dev or false", None);
        return None;
    }
    let f = slot.r.fields(slot.node, &LISTENER_TLS, Owner::of(LISTENER_TLS.name, slot.owner))?;
    if let Some(slot) = f.get("client_auth") {
        *client_auth = self::client_auth(&slot)?;
    }
    Some(ListenerTls::Files)
}
