//! `basic`: user names and passwords.

use super::{
    super::{
        super::{
            diagnostic::Diagnostic,
            model::{Basic, BasicUsers, Located, Secret},
            tree::Kind,
        },
        reader::Fields,
        slot::Slot,
    },
    Source, flag, one_of,
};
use crate::auth::password::Users;

pub(super) fn basic(f: &Fields<'_>) -> Option<Basic> {
    let users = match one_of(f, "users", "users_file")? {
        Source::Here(slot) => BasicUsers::Inline(inline_users(&slot)?),
        Source::File(path) => BasicUsers::File(path),
    };
    let realm = match f.get("realm") {
        None => "restricted".to_owned(),
        Some(slot) => {
            let text = slot.text()?;
            if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || b"\"\\".contains(&byte)) {
                slot.wrong("ASCII text without quotes", None);
                return None;
            }
            text.to_owned()
        }
    };
    let pass_credentials = flag(f, "pass_credentials")?;
    Some(Basic { users, realm, pass_credentials })
}

/// `users`: a map from user to hash.
fn inline_users(slot: &Slot<'_>) -> Option<Vec<(String, Located<Secret>)>> {
    let Kind::Map(entries) = &slot.node.kind else {
        slot.wrong("a map of user and hash", None);
        return None;
    };
    let mut users = Vec::new();
    for entry in entries {
        let value = Slot { node: &entry.value, ..*slot }.text()?.to_owned();
        let place = entry.value.place;
        users.push((entry.key.clone(), Located { value: Secret(value), place }));
    }
    if users.is_empty() {
        slot.error(format!("{} has no user", slot.subject()), None);
        return None;
    }
    let written = users.iter().map(|(user, hash)| (user.as_str(), hash.value.0.as_str()));
    match Users::new(written) {
        Ok(made) => {
            for (user, warning) in made.warnings() {
                let at = users.iter().find(|(name, _)| **name == **user);
                let place = at.map_or(slot.place(), |(_, hash)| hash.place);
                let message = format!("user `{user}`: {warning}");
                slot.r.report(Diagnostic::warning(place, message));
            }
            Some(users)
        }
        Err(wrong) => {
            slot.r.report(Diagnostic::error(users[wrong.entry].1.place, wrong.why));
            None
        }
    }
}
