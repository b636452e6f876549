//! The table as a reference page.

use std::fmt::Write;

use super::{Field, Section, Status, TOP, Type};

/// Every key of the language as Markdown: one line each, indented as it stands in a file.
pub(crate) fn reference() -> String {
    let mut page = String::from("```yaml\n");
    section(&TOP, 0, &mut page);
    page.push_str("```\n");
    page
}

fn section(of: &'static Section, depth: usize, page: &mut String) {
    for field in of.fields.iter().filter(|field| !matches!(field.status, Status::Moved(_))) {
        line(field, depth, page);
        // Policies stand under `policies`, upstreams under `upstreams`; elsewhere they are inline.
        let repeated = (of.name == "route" || of.name == "`defaults`")
            && !matches!(field.key, "match" | "redirect" | "respond" | "mirror" | "layers");
        if repeated || field.status == Status::Later {
            continue;
        }
        match &field.ty {
            Type::Map(inner) if inner.fields.iter().any(|f| f.status == Status::Built) => {
                section(inner, depth + 1, page);
            }
            Type::Many(inner) => section(inner, depth + 1, page),
            Type::Named(inner) => {
                let _ = writeln!(page, "{}NAME:", "  ".repeat(depth + 1));
                section(inner, depth + 2, page);
            }
            _ => {}
        }
    }
}

fn line(field: &Field, depth: usize, page: &mut String) {
    let mut notes = vec![kind(&field.ty)];
    if !field.help.is_empty() {
        notes.push(field.help.to_owned());
    }
    if !field.default.is_empty() {
        notes.push(format!("default {}", field.default));
    }
    if field.status == Status::Later {
        notes.push("NOT YET".to_owned());
    }
    let key = format!("{}{}:", "  ".repeat(depth), field.key);
    let _ = writeln!(page, "{key:<26} # {}", notes.join(" · "));
}

fn kind(ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::Int(min, max) => format!("int {min} to {max}"),
        Type::Duration(least) if least.is_zero() => "duration".to_owned(),
        Type::Duration(least) => format!("duration ≥ {}ms", least.as_millis()),
        Type::Size(..) => "size".to_owned(),
        Type::Percent => "percent".to_owned(),
        Type::Word(built, later) => {
            let later = later.iter().map(|word| format!(", {word} (not yet)"));
            format!("{}{}", built.join(", "), later.collect::<String>())
        }
        Type::Text => "text".to_owned(),
        Type::List => "list".to_owned(),
        Type::Map(_) | Type::Free => "map".to_owned(),
        Type::Named(_) => "map by name".to_owned(),
        Type::Many(_) => "list of maps".to_owned(),
    }
}
