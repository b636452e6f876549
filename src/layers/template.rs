//! Templates with `{name}` in them: paths of `rewrite`, targets of `redirect`.

/// A text with places to fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Name(Box<str>),
}

// === impl Template ===

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A brace that does not close or a name that is empty, in words for the operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let close = rest[open..].find('}').ok_or("a `{` is never closed")? + open;
            let name = &rest[open + 1..close];
            if name.is_empty() || name.contains('{') {
                return Err("a name is missing between `{` and `}`".to_owned());
            }
            if open > 0 {
                parts.push(Part::Text(rest[..open].into()));
            }
            parts.push(Part::Name(name.into()));
            rest = &rest[close + 1..];
        }
        if rest.contains('}') {
            return Err("a `}` without its `{`".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Self { parts })
    }

    /// The names it uses.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(&**name),
            Part::Text(_) => None,
        })
    }

    /// Whether it begins with this text.
    pub fn begins_with(&self, text: &str) -> bool {
        matches!(self.parts.first(), Some(Part::Text(first)) if first.starts_with(text))
    }

    /// Fills it; what is not known is left empty.
    pub fn render<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Name(name) => text.push_str(value(name).unwrap_or_default()),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_and_the_rest_is_kept() {
        let template = Template::parse("/v2/{id}/{**}?x").expect("fine");
        assert_eq!(template.names().collect::<Vec<_>>(), ["id", "**"]);
        let text = template.render(|name| if name == "id" { Some("7") } else { Some("a/b") });
        assert_eq!(text, "/v2/7/a/b?x");
    }

    #[test]
    fn broken_braces_are_refused() {
        for text in ["/{", "/}", "/{}", "/{a{b}}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
