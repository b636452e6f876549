//! Claims as fields the upstream reads. What is not printable ASCII is percent-encoded (as are `%`, and
//! spaces at an end, which no field keeps), so that every value has one spelling, whoever reads it; a
//! list is joined with commas, and a comma within an item is encoded too.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::{
    super::{Claims, Fields},
    demands::{find, plain},
};

/// The fields for these claims. A claim that is not there, or has no text, makes none.
pub(crate) fn fields(wanted: &[(HeaderName, String)], claims: &Claims) -> Fields {
    let one = |(name, claim): &(HeaderName, String)| {
        let mut value = HeaderValue::try_from(text(find(claims, claim)?)?).ok()?;
        value.set_sensitive(true);
        Some((name.clone(), value))
    };
    wanted.iter().filter_map(one).collect()
}

fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Array(items) => {
            let items: Option<Vec<_>> =
                items.iter().map(|item| Some(encoded(&plain(item)?, true))).collect();
            items?.join(",")
        }
        value => encoded(&plain(value)?, false),
    };
    (!text.is_empty()).then_some(text)
}

fn encoded(text: &str, is_item: bool) -> String {
    let inner = text.trim_matches(' ');
    let start = text.len() - text.trim_start_matches(' ').len();
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let plain = match byte {
            b' ' => (start..start + inner.len()).contains(&at),
            b',' => !is_item,
            b'%' => false,
            byte => byte.is_ascii_graphic(),
        };
        match plain {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_has_one_spelling() {
        for (value, told) in [
            (json!("ann"), Some("ann")),
            (json!("Ann B, C"), Some("Ann B, C")),
            (json!("Jörg"), Some("J%C3%B6rg")),
            (json!("J%C3%B6rg"), Some("J%25C3%25B6rg")),
            (json!(" a b "), Some("%20a b%20")),
            (json!("  "), Some("%20%20")),
            (json!("a\r\nx-admin: 1\u{0}\t"), Some("a%0D%0Ax-admin: 1%00%09")),
            (json!(12), Some("12")),
            (json!(1.5), Some("1.5")),
            (json!(true), Some("true")),
            (json!(["a", "b,c", 1]), Some("a,b%2Cc,1")),
            (json!(""), None),
            (json!([]), None),
            (json!(null), None),
            (json!({ "a": 1 }), None),
            (json!([["a"]]), None),
            (json!(["a", {}]), None),
        ] {
            let wanted = [(HeaderName::from_static("x-a"), "a".to_owned())];
            let claims = json!({ "a": value, "b": 1 });
            let fields = fields(&wanted, claims.as_object().unwrap());
            let said = fields.first().map(|(_, value)| value.to_str().unwrap());
            assert_eq!(said, told, "{claims}");
        }
    }
}
