//! The table of fields as a JSON Schema (draft-07, which editors know), so that they complete and judge a
//! file while it is written. What it refuses `check` refuses; what only many keys together say, or what a
//! grammar cannot tell, is left to `check`.

use serde_json::{Map, Value, json};

use super::{
    diagnostic::Diagnostics,
    fields::{Field, Form, Grammar, INCLUDED, Need, Section, Status, TOP, Type},
    typed, yaml,
};

/// Makes definitions as they are needed.
#[derive(Default)]
struct Maker {
    definitions: Map<String, Value>,
    /// Sections that have one, and what it is called.
    known: Vec<(&'static Section, bool, String)>,
}

/// What may be in the place of any scalar, and only `check` knows what it holds.
const VARIABLE: &str = r"\$\{";
const DURATION: &str = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)";
const SIZE: &str = "[0-9]+(B|kB|KiB|MB|MiB|GB|GiB)";

/// The schema of a main file, or of one that is included.
pub(super) fn schema(included: bool) -> Value {
    let mut maker = Maker::default();
    let mut top = maker.object(&TOP, included);
    if included {
        if let Some(properties) = top["properties"].as_object_mut() {
            properties.retain(|key, _| INCLUDED.contains(&key.as_str()));
        }
    } else {
        // The routes may all be in included files.
        top["anyOf"] = json!([{ "required": ["routes"] }, { "required": ["include"] }]);
    }
    let part = if included { "A file that routes.yaml includes" } else { "routes.yaml" };
    top["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    top["title"] = format!("{part}, of Tidegate {}", env!("CARGO_PKG_VERSION")).into();
    top["definitions"] = maker.definitions.into();
    top
}

// === impl Maker ===

impl Maker {
    /// A reference to the definition of a section.
    fn section(&mut self, section: &'static Section, partial: bool) -> Value {
        let same =
            |it: &&(&'static Section, bool, String)| std::ptr::eq(it.0, section) && it.1 == partial;
        let known = self.known.iter().find(same).map(|it| it.2.clone());
        let name = known.unwrap_or_else(|| {
            let name = self.name(section);
            self.known.push((section, partial, name.clone()));
            let made = self.object(section, partial);
            self.definitions.insert(name.clone(), made);
            name
        });
        json!({ "$ref": format!("#/definitions/{name}") })
    }

    /// What messages call it, with a number where several are called so.
    fn name(&self, section: &Section) -> String {
        let name = section.name.replace('`', "").replace(' ', "-");
        let taken = |name: &String| self.known.iter().any(|it| it.2 == *name);
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut all = [name.clone()].into_iter().chain(numbered);
        all.find(|name| !taken(name)).unwrap_or(name)
    }

    /// A map with the keys of a section. If it is partial, nothing in it is needed.
    fn object(&mut self, section: &'static Section, partial: bool) -> Value {
        let mut properties = Map::new();
        for field in section.fields {
            let inherited = !(partial && matches!(field.need, Need::OneOf(_)));
            if inherited && field.need != Need::Elsewhere {
                properties.extend(self.field(field).map(|it| (field.key.to_owned(), it)));
            }
        }
        let mut it = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
        });
        if partial {
            return it;
        }
        let needed = section.fields.iter().filter(|field| field.need == Need::Yes);
        let needed: Vec<&str> = needed.map(|field| field.key).collect();
        if !needed.is_empty() {
            it["required"] = needed.into();
        }
        let groups = groups(section);
        if !groups.is_empty() {
            it["allOf"] = groups.into();
        }
        it
    }

    /// A key; none for those that only have a message.
    fn field(&mut self, field: &'static Field) -> Option<Value> {
        let help = field.help;
        match field.status {
            Status::Moved(_) => return None,
            Status::Later => {
                let description = format!("NOT YET: {help}");
                return Some(
                    json!({ "not": {}, "description": description, "doNotSuggest": true }),
                );
            }
            Status::Built => {}
        }
        let mut forms = Vec::new();
        if field.is.is_empty() {
            forms.extend(self.typed(field));
            forms.extend(field.or.iter().flat_map(|form| self.form(form)));
        } else {
            forms.extend(field.is.iter().flat_map(|form| self.form(form)));
        }
        let mut it = any_of(forms);
        if it.get("$ref").is_some() {
            // Draft-07 ignores what stands beside a reference.
            it = json!({ "allOf": [it] });
        }
        let default = match field.default {
            "" => String::new(),
            text => format!(" (default `{text}`)"),
        };
        let inherit = field.inherit.told().map(|it| format!("; {it}")).unwrap_or_default();
        it["description"] = format!("{help}{inherit}{default}").into();
        if let Some(default) = default_of(field) {
            it["default"] = default;
        }
        Some(it)
    }

    /// What the type says.
    fn typed(&mut self, field: &'static Field) -> Vec<Value> {
        let least = u8::from(field.filled || field.alone);
        let of: Vec<Value> = field.of.iter().flat_map(|form| self.form(form)).collect();
        match &field.ty {
            Type::List => {
                let items = if of.is_empty() { vec![text(1)] } else { of };
                let list =
                    json!({ "type": "array", "items": any_of(items.clone()), "minItems": least });
                let alone = if field.alone { items } else { Vec::new() };
                [list].into_iter().chain(alone).collect()
            }
            Type::Map(section) if field.filled => {
                let section = self.section(section, field.partial);
                vec![json!({ "allOf": [section], "minProperties": 1 })]
            }
            Type::Map(section) => vec![self.section(section, field.partial)],
            Type::Named(section) => {
                let entries = [self.section(section, false)].into_iter().chain(of).collect();
                let names =
                    json!({ "pattern": NAME, "not": { "enum": ["none", "true", "false"] } });
                vec![json!({
                    "type": "object",
                    "propertyNames": names,
                    "additionalProperties": any_of(entries),
                    "minProperties": least,
                })]
            }
            Type::Many(section) => {
                let items = [self.section(section, false)].into_iter().chain(of).collect();
                vec![json!({ "type": "array", "items": any_of(items), "minItems": least })]
            }
            Type::Free => {
                let values = if of.is_empty() { json!(true) } else { any_of(of) };
                vec![
                    json!({ "type": "object", "additionalProperties": values, "minProperties": least }),
                ]
            }
            scalar => self::scalar(scalar),
        }
    }

    fn form(&mut self, form: &'static Form) -> Vec<Value> {
        match form {
            Form::A(Type::Free) => vec![json!({ "type": "object" })],
            Form::A(ty) => scalar(ty),
            Form::Map(section) => vec![self.section(section, false)],
            Form::Words(words) => vec![self::words(words)],
            Form::Nothing => vec![self::words(&["none", "false"])],
            Form::Empty => vec![text(0)],
            Form::Like(grammar) => like(*grammar),
            Form::List(forms) => {
                let items = forms.iter().flat_map(|form| self.form(form)).collect();
                vec![json!({ "type": "array", "items": any_of(items), "minItems": 1 })]
            }
            Form::Anything => vec![json!({})],
        }
    }
}

/// Which keys exclude each other, and of which one is needed.
fn groups(section: &Section) -> Vec<Value> {
    let mut seen = Vec::new();
    for field in section.fields.iter().filter(|field| field.status == Status::Built) {
        if matches!(field.need, Need::OneOf(_) | Need::SomeOf(_)) && !seen.contains(&field.need) {
            seen.push(field.need);
        }
    }
    let group = |need: &Need| {
        let members = section.fields.iter().filter(|field| field.need == *need);
        let members: Vec<Value> = members.map(|field| json!({ "required": [field.key] })).collect();
        match need {
            Need::OneOf(_) => json!({ "oneOf": members }),
            _ => json!({ "anyOf": members }),
        }
    };
    seen.iter().map(group).collect()
}

fn any_of(mut forms: Vec<Value>) -> Value {
    forms.dedup();
    match forms.len() {
        1 => forms.remove(0),
        _ => json!({ "anyOf": forms }),
    }
}

// === scalars ===

const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";

fn scalar(ty: &Type) -> Vec<Value> {
    match ty {
        Type::Bool => vec![json!({ "type": "boolean" }), pattern("true|false")],
        Type::Int(min, max) => {
            let number = json!({ "type": "integer", "minimum": min, "maximum": max });
            vec![number, pattern("[+-]?[0-9]+")]
        }
        Type::Duration(_) => vec![pattern(DURATION)],
        Type::Size(..) => vec![pattern(SIZE)],
        Type::Percent => vec![pattern(r"(100(\.0+)?|0*[0-9]{1,2}(\.[0-9]+)?)%")],
        Type::Word(built, _) => vec![words(built), variable()],
        // The rest is made of other values.
        _ => vec![text(1)],
    }
}

/// A text of at least so many characters. Numbers and `true` are text where text is wanted.
fn text(least: u8) -> Value {
    json!({ "type": ["string", "number", "boolean"], "minLength": least })
}

/// A word of a file is a number or a truth value, if it looks like one.
fn words(words: &[&str]) -> Value {
    let mut all = Vec::new();
    for word in words {
        all.push(json!(word));
        let typed = typed::plain(word);
        if !typed.is_string() {
            all.push(typed);
        }
    }
    json!({ "enum": all })
}

/// All of a text is this, or some of it is a variable.
fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^({pattern})$|{VARIABLE}") })
}

fn variable() -> Value {
    json!({ "type": "string", "pattern": VARIABLE })
}

fn like(grammar: Grammar) -> Vec<Value> {
    match grammar {
        Grammar::Name => vec![pattern("[a-z0-9][a-z0-9_-]{0,62}")],
        Grammar::Rate => vec![pattern(&format!("0*[1-9][0-9]*/(s|min|h|day|month|{DURATION})"))],
        Grammar::Bytes => vec![pattern(&format!("{SIZE}/s"))],
        Grammar::Url => vec![pattern("([A-Za-z0-9]+://|unix:).+")],
        Grammar::Network => vec![pattern("[0-9A-Fa-f.:]+(/[0-9]{1,3})?")],
        Grammar::Status => vec![
            json!({ "type": "integer", "minimum": 100, "maximum": 599 }),
            pattern("[1-5][0-9][0-9](-[1-5][0-9][0-9])?"),
        ],
        Grammar::Path => vec![pattern("/.*")],
        Grammar::Carrier => vec![pattern("(header|cookie|query):[!-~]+")],
        Grammar::Part => {
            vec![pattern("client_ip|consumer|route|claim:.+|(header|cookie|query):[!-~]+")]
        }
        Grammar::Cost => {
            let number = json!({ "type": "integer", "minimum": 0 });
            vec![number, pattern("[0-9]+|header:[!-~]+")]
        }
        Grammar::Hashed => vec![pattern("client_ip|path|(header|cookie|query):[!-~]+")],
        Grammar::Request => vec![pattern(r"[A-Z-]+[ \t]+[A-Za-z]+://.+")],
    }
}

/// The default as a value.
fn default_of(field: &Field) -> Option<Value> {
    if field.default.is_empty() {
        return None;
    }
    if matches!(field.ty, Type::Word(..) | Type::Text | Type::Percent) {
        return Some(field.default.into());
    }
    let read = yaml::read(field.default, 0, &mut Diagnostics::default())?;
    Some(typed::json(&read.root))
}
