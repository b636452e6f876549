//! `external`: an HTTP service says by its status who may pass.

use http::{
    Method,
    header::{AUTHORIZATION, COOKIE},
};

use super::{
    super::{super::model::External, matches, reader::Fields},
    asked,
};

pub(super) fn external(f: &Fields<'_>) -> Option<External> {
    let judge = asked::judge(f, None, Some(vec![AUTHORIZATION, COOKIE]))?;
    let method = match f.get("method") {
        Some(slot) => matches::method(&slot, slot.text()?, slot.place())?,
        None if judge.body.is_some() => Method::POST,
        None => Method::GET,
    };
    if method == Method::CONNECT {
        f.get("method")?.wrong("a method that asks something", None);
        return None;
    }
    Some(External { judge, method })
}
