//! A file in its one layout: two spaces a level, one space where YAML asks for any, at most one empty line,
//! comments kept and those of neighbouring lines in one column. What the file says does not change; that
//! is looked at every time before anything is given back. No part of a request's way: `tidegate fmt`.
//!
//! `pieces` cuts the text, `layout` puts it together again. Words, quotes, the order of keys and where lines
//! break are the operator's.

mod layout;
mod pieces;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use super::{
    diagnostic::{Diagnostic, Diagnostics, Place, Sources},
    render,
    tree::{self, Entry, Kind, Node},
    yaml,
};

/// A text in the layout. `name` is what messages call it.
///
/// # Errors
/// It is not YAML, said for people with the line it is about; or it is written in a way that is not
/// understood well enough to touch it.
pub fn format(name: &str, text: &str, color: bool) -> Result<String, String> {
    laid_out(text).map_err(|found| {
        let diagnostics = Diagnostics { items: found };
        // Nobody knows what is a secret in a file that is not understood.
        let shown = tree::conceal_all(text).into();
        let sources = Sources { files: vec![(PathBuf::from(name), shown)], ..Sources::default() };
        render::render(&diagnostics, &sources, color)
    })
}

fn laid_out(text: &str) -> Result<String, Vec<Diagnostic>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let before = meaning(&text)?;
    let pieces = pieces::cut(&text).map_err(|at| vec![untouched(at)])?;
    let comments = |pieces: &pieces::Pieces<'_>| pieces.comments().map(str::to_owned).collect();
    let kept: Vec<String> = comments(&pieces);
    let after = layout::lay_out(&text, &pieces);
    let same = meaning(&after).is_ok_and(|after| same_node(&before, &after))
        && pieces::cut(&after).is_ok_and(|pieces| kept == comments(&pieces));
    if same { Ok(after) } else { Err(vec![untouched(0)]) }
}

/// What it says.
fn meaning(text: &str) -> Result<Node, Vec<Diagnostic>> {
    let mut found = Diagnostics::default();
    let read = yaml::read(text, 0, &mut found);
    match read {
        Some(read) if !found.has_errors() => Ok(read.root),
        _ => Err(found.items),
    }
}

/// Whether two values are the same, wherever they stand.
fn same_node(a: &Node, b: &Node) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Scalar(a), Kind::Scalar(b)) => (&a.text, a.quoted) == (&b.text, b.quoted),
        (Kind::Seq(a), Kind::Seq(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_node(a, b))
        }
        (Kind::Map(a), Kind::Map(b)) => {
            let same = |(a, b): (&Entry, &Entry)| a.key == b.key && same_node(&a.value, &b.value);
            a.len() == b.len() && a.iter().zip(b).all(same)
        }
        _ => false,
    }
}

#[cold]
fn untouched(at: usize) -> Diagnostic {
    let at = u32::try_from(at).unwrap_or(u32::MAX);
    let place = Place { file: 0, start: at, end: at };
    Diagnostic::error(
        place,
        "written in a way `fmt` does not understand; the file is left as it is",
    )
    .help("a key after `?` is such a way: write it plainly")
}
