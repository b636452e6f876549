//! Names of routes, upstreams and policies, made from what the source calls them: valid and unique.

use std::collections::HashSet;

/// The longest name of the language.
const LONGEST: usize = 63;

/// The names of one kind.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
}

// === impl Names ===

impl Names {
    /// A name like this one that nobody has yet.
    pub(super) fn unique(&mut self, wanted: &str) -> String {
        let base = slug(wanted);
        let mut name = base.clone();
        let mut number = 1_usize;
        while !self.taken.insert(name.clone()) {
            number += 1;
            let suffix = format!("-{number}");
            let keep = base.len().min(LONGEST - suffix.len());
            name = format!("{}{suffix}", base[..keep].trim_end_matches('-'));
        }
        name
    }
}

/// Text as a name: `GET /Pets/{id}` is `get-pets-id`, `listPets` is `list-pets`.
pub(super) fn slug(text: &str) -> String {
    let mut out = String::new();
    let mut lower = false;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            if c.is_ascii_uppercase() && lower {
                out.push('-');
            }
            lower = c.is_ascii_lowercase();
            out.push(c.to_ascii_lowercase());
        } else {
            lower = false;
            if c == '_' && !out.is_empty() {
                out.push('_');
            } else if !out.is_empty() && !out.ends_with('-') {
                out.push('-');
            }
        }
        if out.len() >= LONGEST {
            break;
        }
    }
    let name = out.trim_end_matches(['-', '_']);
    match name {
        "" => "x".to_owned(),
        "none" | "true" | "false" => format!("{name}-x"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_unique() {
        let mut names = Names::default();
        for (text, name) in [
            ("listPets", "list-pets"),
            ("GET /Pets/{petId}", "get-pets-pet-id"),
            ("listPets", "list-pets-2"),
            ("", "x"),
            ("none", "none-x"),
            ("../ü", "x-2"),
            ("snake_case", "snake_case"),
        ] {
            assert_eq!(names.unique(text), name, "{text}");
        }
        let long = "a".repeat(100);
        assert_eq!(names.unique(&long).len(), 63);
        assert_eq!(names.unique(&long).len(), 63);
    }
}
