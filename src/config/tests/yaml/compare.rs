//! One text, two parsers.

use serde_yaml_oracle::{Mapping, Value};

use super::{
    super::super::{
        diagnostic::Diagnostics,
        tree::{Entry, Kind, Node, Scalar},
        typed, yaml,
    },
    differences,
};

/// What two parsers make of one text.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The same.
    Same,
    /// We refuse it.
    Refused,
    /// Something else, for a reason that is known.
    Known,
    /// Something else.
    Differs(String),
}

/// Ours, if it is accepted without a word.
pub(super) fn ours(text: &str) -> Option<Node> {
    let mut out = Diagnostics::default();
    let read = yaml::read(text, 0, &mut out)?;
    let accepted = out.items.is_empty() && matches!(read.root.kind, Kind::Map(_) | Kind::Seq(_));
    accepted.then_some(read.root)
}

/// Theirs, with its merge keys applied as ours are.
pub(super) fn theirs(text: &str) -> Result<Value, String> {
    let text = text.strip_prefix(differences::MARK).unwrap_or(text);
    let mut value: Value = serde_yaml_oracle::from_str(text).map_err(|it| it.to_string())?;
    value.apply_merge().map_err(|it| it.to_string())?;
    Ok(value)
}

pub(super) fn judge(text: &str) -> Verdict {
    let Some(ours) = ours(text) else { return Verdict::Refused };
    let theirs = match theirs(text) {
        Ok(theirs) => theirs,
        Err(said) if differences::refused(&said) => return Verdict::Known,
        Err(said) => return Verdict::Differs(format!("they refuse it: {said}; ours: {ours:?}")),
    };
    match same(&ours, &theirs) {
        Ok(()) => Verdict::Same,
        Err(place) => Verdict::Differs(place),
    }
}

fn same(ours: &Node, theirs: &Value) -> Result<(), String> {
    let differ = || Err(format!("ours: {ours:?}\ntheirs: {theirs:?}"));
    match (&ours.kind, theirs) {
        (Kind::Null, Value::Null) => Ok(()),
        (Kind::Scalar(ours), theirs) if scalar(ours, theirs) => Ok(()),
        (Kind::Seq(ours), Value::Sequence(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).try_for_each(|(ours, theirs)| same(ours, theirs))
        }
        (Kind::Map(ours), Value::Mapping(theirs)) if ours.len() == theirs.len() => {
            ours.iter().try_for_each(|it| entry(it, theirs))
        }
        _ => differ(),
    }
}

fn entry(ours: &Entry, theirs: &Mapping) -> Result<(), String> {
    // Ours are texts, theirs have types: one of them is this one.
    let plain = Scalar { text: ours.key.clone(), quoted: false, secret: false };
    let found = theirs
        .get(&*ours.key)
        .or_else(|| theirs.iter().find(|(key, _)| scalar(&plain, key)).map(|(_, value)| value))
        .or_else(|| theirs.get(Value::Null).filter(|_| ours.key == "null"));
    match found {
        Some(theirs) => same(&ours.value, theirs),
        None => Err(format!("no key {:?} in {theirs:?}", ours.key)),
    }
}

/// Text is text. A plain word may also be what its field takes it for, and what it is in the `config` of a layer.
fn scalar(ours: &Scalar, theirs: &Value) -> bool {
    if let Value::String(theirs) = theirs {
        let typed = ours.quoted || typed::plain(&ours.text).is_string();
        return ours.text == *theirs && typed;
    }
    if ours.quoted {
        return false;
    }
    let typed = typed::plain(&ours.text);
    match theirs {
        Value::Bool(theirs) => typed == *theirs,
        Value::Number(theirs) => {
            let same = match (theirs.as_i64(), theirs.as_u64(), theirs.as_f64()) {
                (Some(theirs), ..) => typed == theirs,
                (_, Some(theirs), _) => typed == theirs,
                (.., theirs) => typed.as_f64().is_some() && typed.as_f64() == theirs,
            };
            let known = differences::number(&ours.text).map(|it| it.to_string());
            same || known
                .is_some_and(|known| theirs.as_f64().is_some_and(|it| it.to_string() == known))
        }
        _ => false,
    }
}
