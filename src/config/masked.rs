//! Which values no message shows with their line, whatever they are: those of keys the language does not have, or
//! not yet, and those whose name says that they are a credential. `tree` knows the secrets whose keys are right;
//! a secret under a misspelt key is one all the same.

use std::{cell::Cell, collections::HashSet};

use super::{
    diagnostic::Place,
    fields::{Field, Form, Need, ROUTE, Section, Status, TOP, Type},
    tree::{Kind, Node},
};

/// Comparisons of misspelt keys that one file may cost.
const COMPARISONS: usize = 200_000;
/// Below these even a value stands for something secret that is not of the form its key has.
const GUARDED: [&str; 4] = ["auth", "stores", "sticky", "admin"];
/// Words in names of what is a credential, in maps whose keys are the operator's.
const CREDENTIALS: [&str; 13] = [
    "auth",
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "pass",
    "pwd",
    "key",
    "apikey",
    "credential",
    "credentials",
];

/// Where these values stand.
#[derive(Default)]
pub(super) struct Masked {
    /// All of them.
    pub places: Vec<Place>,
    /// Those that no message may tell either: they stand where a whole policy or store is wanted.
    pub secret: HashSet<Place>,
}

/// Finds them.
pub(super) fn values(root: &Node) -> Masked {
    let mut masker = Masker { found: Masked::default(), spent: Cell::new(0) };
    match root.kind {
        Kind::Map(_) => masker.map(root, &[&TOP], false),
        // It may be anything: a file of keys, perhaps.
        _ => root.places(&mut masker.found.places),
    }
    masker.found
}

/// The closest of some words, if it is close.
pub(super) fn closest<'w>(
    word: &str,
    among: impl IntoIterator<Item = &'w str>,
    spent: &Cell<usize>,
    budget: usize,
) -> Option<&'w str> {
    let letters = word.chars().count();
    if letters == 1 || word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None; // one letter is as far from any other; a number is not a typing error
    }
    let most = (letters / 3).clamp(1, 4);
    let mut best: Option<(usize, &str)> = None;
    for known in among {
        spent.set(spent.get() + 1);
        if spent.get() > budget || word.len() > 256 {
            break;
        }
        if known.len().abs_diff(word.len()) > most {
            continue;
        }
        let distance = strsim::damerau_levenshtein(word, known);
        if distance <= most && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, known));
        }
    }
    best.map(|(_, known)| known)
}

struct Masker {
    found: Masked,
    spent: Cell<usize>,
}

// === impl Masker ===

impl Masker {
    /// A map that has the keys of any of these sections.
    fn map(&mut self, node: &Node, sections: &[&'static Section], guarded: bool) {
        for entry in node.entries().unwrap_or_default() {
            let fields = sections.iter().filter_map(|section| section.field(&entry.key));
            let fields: Vec<&Field> = fields.filter(|it| it.status == Status::Built).collect();
            if !fields.is_empty() {
                let guarded = guarded || GUARDED.contains(&entry.key.as_str());
                self.value(&entry.value, &fields, guarded);
            } else if guarded
                || entry.value.scalar().is_none()
                || !self.is_slip(&entry.key, sections)
            {
                entry.value.places(&mut self.found.places);
            }
        }
    }

    /// Whether a key is a slip of one of a route that has a plain value: it stays readable what was meant.
    fn is_slip(&self, key: &str, sections: &[&'static Section]) -> bool {
        let [section] = sections else { return false };
        let close = std::ptr::eq(*section, &ROUTE)
            .then(|| closest(key, section.keys(), &self.spent, COMPARISONS))
            .flatten();
        let field = close.and_then(|key| section.field(key));
        field.is_some_and(|it| it.status == Status::Built && is_plain(&it.ty))
    }

    fn value(&mut self, node: &Node, fields: &[&'static Field], guarded: bool) {
        let forms = || fields.iter().flat_map(|it| it.or.iter().chain(it.is));
        match &node.kind {
            Kind::Null => {}
            Kind::Scalar(_) => {
                let fits = |it: &&Field| is_plain(&it.ty) || it.alone;
                if guarded && !fields.iter().any(fits) && !forms().any(is_scalar) {
                    self.found.places.push(node.place);
                }
            }
            Kind::Seq(items) => {
                let many = fields.iter().filter_map(|it| match it.ty {
                    Type::Many(section) => Some(section),
                    _ => None,
                });
                let lists = forms().filter_map(|form| match form {
                    Form::List(items) => Some(*items),
                    _ => None,
                });
                let of = fields.iter().filter(|it| matches!(it.ty, Type::List)).map(|it| it.of);
                let inner: Vec<&'static Form> = lists.chain(of).flatten().collect();
                let none = inner.is_empty();
                let maps = many.chain(sections(inner.into_iter())).collect::<Vec<_>>();
                // A list where none is wanted.
                let odd = guarded && maps.is_empty() && none;
                let odd = odd && !fields.iter().any(|it| matches!(it.ty, Type::List));
                items.iter().for_each(|item| self.item(item, &maps, odd));
            }
            Kind::Map(_) => self.inner(node, fields, guarded),
        }
    }

    /// A map, by what its key may hold.
    fn inner(&mut self, node: &Node, fields: &[&'static Field], guarded: bool) {
        let forms = fields.iter().flat_map(|it| it.or.iter().chain(it.is));
        let any = |form: &Form| matches!(form, Form::Anything | Form::A(Type::Free));
        let mut maps: Vec<&'static Section> = sections(forms.clone()).collect();
        maps.extend(fields.iter().filter_map(|it| match it.ty {
            Type::Map(section) => Some(section),
            _ => None,
        }));
        let named = fields.iter().find_map(|it| match it.ty {
            Type::Named(section) => Some((section, it.of)),
            _ => None,
        });
        let inline = |it: &&&Field| matches!(it.ty, Type::Free) && it.need != Need::Elsewhere;
        if let Some((section, of)) = named {
            for entry in node.entries().unwrap_or_default() {
                self.named(&entry.value, section, of, guarded);
            }
        } else if !maps.is_empty() {
            self.map(node, &maps, guarded);
        } else if let Some(field) = fields.iter().find(inline) {
            self.free(node, field);
        } else if !forms.into_iter().any(any) {
            node.places(&mut self.found.places);
        }
    }

    fn named(
        &mut self,
        node: &Node,
        section: &'static Section,
        of: &'static [Form],
        guarded: bool,
    ) {
        match &node.kind {
            Kind::Scalar(_) if guarded && !of.iter().any(is_scalar) => {
                self.found.places.push(node.place);
                self.found.secret.insert(node.place);
            }
            Kind::Null | Kind::Scalar(_) => {}
            Kind::Map(_) => self.map(node, &[section], guarded),
            Kind::Seq(items) => {
                let lists = of.iter().filter_map(|form| match form {
                    Form::List(items) => Some(*items),
                    _ => None,
                });
                let maps: Vec<_> = sections(lists.flatten()).collect();
                items.iter().for_each(|item| self.item(item, &maps, guarded));
            }
        }
    }

    fn item(&mut self, item: &Node, maps: &[&'static Section], odd: bool) {
        match &item.kind {
            Kind::Map(_) if !maps.is_empty() => self.map(item, maps, odd),
            Kind::Scalar(_) if !odd => {}
            _ => item.places(&mut self.found.places),
        }
    }

    /// A map whose keys are the operator's own.
    fn free(&mut self, node: &Node, field: &'static Field) {
        // Weights of upstreams.
        if field.key == "to" {
            return;
        }
        let maps: Vec<_> = sections(field.of.iter()).collect();
        for entry in node.entries().unwrap_or_default() {
            let name = entry.key.to_ascii_lowercase();
            let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
            if words.any(|word| CREDENTIALS.contains(&word)) {
                entry.value.places(&mut self.found.places);
            } else if !maps.is_empty() {
                self.map(&entry.value, &maps, false);
            } else if entry.value.entries().is_some() {
                self.free(&entry.value, field);
            }
        }
    }
}

fn sections<'f>(forms: impl Iterator<Item = &'f Form>) -> impl Iterator<Item = &'static Section> {
    forms.filter_map(|form| match form {
        Form::Map(section) | Form::A(Type::Map(section)) => Some(*section),
        _ => None,
    })
}

fn is_scalar(form: &Form) -> bool {
    match form {
        Form::A(ty) => is_plain(ty),
        Form::Map(_) | Form::List(_) => false,
        _ => true,
    }
}

fn is_plain(ty: &Type) -> bool {
    !matches!(ty, Type::List | Type::Map(_) | Type::Named(_) | Type::Many(_) | Type::Free)
}
