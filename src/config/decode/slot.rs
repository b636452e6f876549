//! One value in its field: the typed readings, with the rules of the table.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    super::{
        diagnostic::{Diagnostic, Place},
        fields::Type,
        model::Located,
        tree::{Kind, Node, Scalar},
    },
    reader::{Owner, Reader, cannot_yet, list},
    units::{self, Wrong},
};

/// A value, its key and its type.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    pub r: &'a Reader<'a>,
    pub key: &'a str,
    pub owner: &'a Owner<'a>,
    pub ty: &'static Type,
    pub node: &'a Node,
}

// === impl Slot ===

impl<'a> Slot<'a> {
    /// Where the value was written.
    pub(super) fn place(&self) -> Place {
        self.node.place
    }

    /// "`every` in `health` of upstream `orders`".
    pub(super) fn subject(&self) -> String {
        format!("`{}` {}", self.key, self.owner.within())
    }

    /// Reports "… must be `what`, not …".
    pub(super) fn wrong(&self, what: &str, help: Option<String>) {
        let message = match self.node.kind {
            Kind::Null => format!("{} is empty", self.subject()),
            _ => format!("{} must be {what}, not {}", self.subject(), self.node.shown()),
        };
        self.error(message, help);
    }

    /// Reports an error at the value.
    pub(super) fn error(&self, message: String, help: Option<String>) {
        let found = Diagnostic::error(self.node.place, message);
        self.r.report(match help {
            Some(help) => found.help(help),
            None => found,
        });
    }

    fn scalar(&self, what: &str) -> Option<&'a Scalar> {
        let scalar = self.node.scalar();
        if scalar.is_none() {
            self.wrong(what, None);
        }
        scalar
    }

    /// Text that is not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.scalar("text")?.text.as_str();
        if text.is_empty() {
            self.error(format!("{} is empty", self.subject()), None);
            return None;
        }
        Some(text)
    }

    /// Text with its place.
    pub(super) fn located(&self) -> Option<Located<String>> {
        let value = self.text()?.to_owned();
        Some(Located { value, place: self.node.place })
    }

    /// A path of a file; a relative one begins where the file that says it stands.
    pub(super) fn path(&self) -> Option<Located<PathBuf>> {
        let text = self.text()?;
        if text.contains('\0') || text.contains('\n') {
            self.error(
                format!("{} must be the path of a file", self.subject()),
                Some("write where the file is, not what is in it".to_owned()),
            );
            return None;
        }
        let value = PathBuf::from(text);
        let base = self.r.sources.base(self.node.place);
        if value.is_absolute() || base.as_os_str().is_empty() {
            return Some(Located { value, place: self.node.place });
        }
        self.r.relative(self.node.place);
        Some(Located { value: base.join(value), place: self.node.place })
    }

    /// `true` or `false`.
    pub(super) fn bool(&self) -> Option<bool> {
        let text = &self.scalar("true or false")?.text;
        match text.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                let known = match other.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "y" | "1" | "true" => Some("true"),
                    "no" | "off" | "n" | "0" | "none" | "false" => Some("false"),
                    _ => None,
                };
                self.wrong("true or false", known.map(|word| format!("did you mean `{word}`?")));
                None
            }
        }
    }

    /// A whole number within the limits of the table.
    pub(super) fn int(&self) -> Option<i64> {
        let &Type::Int(min, max) = self.ty else {
            return self.mistyped();
        };
        let what = format!("a whole number from {min} to {max}");
        let number = self.scalar(&what)?.text.parse().ok().filter(|n| (min..=max).contains(n));
        if number.is_none() {
            self.wrong(&what, None);
        }
        number
    }

    /// The same for counts.
    pub(super) fn count(&self) -> Option<usize> {
        self.int().and_then(|number| usize::try_from(number).ok())
    }

    /// A duration within the limits of the table.
    pub(super) fn duration(&self) -> Option<Duration> {
        let least = match *self.ty {
            Type::Duration(least) => least,
            _ => Duration::ZERO,
        };
        let text = &self.scalar("a duration")?.text;
        match units::duration(text) {
            Ok(value) if value < least => {
                let message =
                    format!("{} must be at least {}ms", self.subject(), least.as_millis());
                self.error(message, None);
                None
            }
            Ok(value) => Some(value),
            Err(wrong) => self.no_unit(wrong, "a duration", "10s", &["250ms", "10s", "5m"]),
        }
    }

    /// A duration, or `none`.
    pub(super) fn duration_or_none(&self) -> Option<Option<Duration>> {
        if self.node.is_none_word() { Some(None) } else { self.duration().map(Some) }
    }

    /// A size within the limits of the table.
    pub(super) fn size(&self) -> Option<u64> {
        let (min, max) = match *self.ty {
            Type::Size(min, max) => (min, max),
            _ => (0, 1 << 40),
        };
        let text = &self.scalar("a size")?.text;
        match units::size(text) {
            Ok(value) if (min..=max).contains(&value) => Some(value),
            Ok(_) => {
                let range = format!("from {} to {}", units::show_size(min), units::show_size(max));
                self.wrong(range.as_str(), None);
                None
            }
            Err(wrong) => self.no_unit(wrong, "a size", "10KiB", &["512B", "64KiB", "10MiB"]),
        }
    }

    /// A percentage as a share of one.
    pub(super) fn percent(&self) -> Option<f64> {
        let text = &self.scalar("a percentage")?.text;
        match units::percent(text) {
            Ok(value) => Some(value),
            Err(wrong) => self.no_unit(wrong, "a percentage", "10%", &["0%", "2.5%", "100%"]),
        }
    }

    fn no_unit<T>(&self, wrong: Wrong, what: &str, like: &str, forms: &[&str]) -> Option<T> {
        match wrong {
            Wrong::NoUnit => {
                // `10` proposes `10s`: the number of the operator with the unit of the example.
                let unit = like.trim_start_matches(|c: char| c.is_ascii_digit());
                let number = self.node.text().filter(|_| !self.node.is_secret()).unwrap_or("10");
                let message = format!("{} has no unit: {}", self.subject(), self.node.shown());
                self.error(message, Some(format!("did you mean `{number}{unit}`?")));
            }
            Wrong::Form => self.wrong(what, Some(format!("like {}", list(forms.iter().copied())))),
        }
        None
    }

    /// One of the words of the table.
    pub(super) fn word(&self) -> Option<&'static str> {
        let &Type::Word(built, later) = self.ty else {
            return self.mistyped();
        };
        let text = self.scalar(&format!("one of {}", list(built.iter().copied())))?.text.as_str();
        if let Some(word) = built.iter().find(|word| **word == text) {
            return Some(word);
        }
        if later.contains(&text) {
            self.r.report(cannot_yet(self.node.place, &format!("{}: {text}", self.key)));
            return None;
        }
        let close = self.r.propose(text, built.iter().copied());
        let help = close.map(|word| format!("did you mean `{word}`?"));
        self.wrong(&format!("one of {}", list(built.iter().copied())), help);
        None
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Option<Vec<Self>> {
        match &self.node.kind {
            Kind::Seq(items) => Some(items.iter().map(|node| Self { node, ..*self }).collect()),
            Kind::Null | Kind::Scalar(_) | Kind::Map(_) => {
                let help = self.node.text().filter(|text| !text.is_empty());
                let help = help
                    .filter(|_| !self.node.is_secret())
                    .map(|text| format!("did you mean `[{text}]`?"));
                self.wrong("a list", help);
                None
            }
        }
    }

    /// One of something, or a list. Where one is wrong the file is refused: nobody passes for it.
    pub(super) fn several<T>(&self, one: impl Fn(&Self) -> Option<T>) -> Vec<Arc<T>> {
        let items = match &self.node.kind {
            Kind::Seq(items) if items.is_empty() => {
                self.error(format!("{} is an empty list", self.subject()), None);
                return Vec::new();
            }
            Kind::Seq(items) => items.iter().map(|node| Slot { node, ..*self }).collect(),
            Kind::Null | Kind::Scalar(_) | Kind::Map(_) => vec![*self],
        };
        let found: Vec<_> = items.iter().map(|item| one(item).map(Arc::new)).collect();
        if found.iter().any(Option::is_none) && !self.r.has_errors() {
            self.error(format!("{} cannot be read", self.subject()), None);
        }
        found.into_iter().flatten().collect()
    }

    /// The items of a list, or the one value written without brackets.
    pub(super) fn one_or_many(&self) -> Option<Vec<Self>> {
        match &self.node.kind {
            Kind::Seq(items) if items.is_empty() => {
                self.error(format!("{} is an empty list", self.subject()), None);
                None
            }
            Kind::Seq(_) => self.items(),
            Kind::Null => {
                self.wrong("", None);
                None
            }
            Kind::Scalar(_) | Kind::Map(_) => Some(vec![*self]),
        }
    }

    /// The table and the decoder disagree: a mistake of ours that the tests would find.
    fn mistyped<T>(&self) -> Option<T> {
        debug_assert!(false, "`{}` has another type in the table: {:?}", self.key, self.ty);
        None
    }
}
