//! The evaluator of the crate `cel` is asked the same: where both have an answer, it is the same one.

use std::collections::HashMap;

use cel::{Context, Program, Value as Theirs};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn claims() -> serde_json::Value {
    json!({
        "sub": "u-7", "level": 3, "score": 0.5, "none": null, "staff": true, "low": -2,
        "groups": ["admin", "dev", 7], "names": ["a", "b"], "empty": [],
        "nested": { "team": "x", "id": 9 },
    })
}

/// Claims are a token's: its whole numbers are `int`. Their own conversion makes `uint` of those above
/// zero, and with those nothing is added.
fn in_theirs(value: &serde_json::Value) -> Theirs {
    use serde_json::Value as Json;
    match value {
        Json::Null => Theirs::Null,
        Json::Bool(value) => Theirs::from(*value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Theirs::from(whole),
            None => Theirs::from(number.as_f64().expect("the rest are fractions")),
        },
        Json::String(text) => Theirs::from(text.as_str()),
        Json::Array(items) => Theirs::from(items.iter().map(in_theirs).collect::<Vec<_>>()),
        Json::Object(fields) => Theirs::from(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), in_theirs(value)))
                .collect::<HashMap<_, _>>(),
        ),
    }
}

fn theirs(text: &str) -> Result<bool, String> {
    let program = Program::compile(text).map_err(|error| error.to_string())?;
    let mut context = Context::default();
    context.add_variable_from_value("claims", in_theirs(&claims()));
    match program.execute(&context) {
        Ok(Theirs::Bool(holds)) => Ok(holds),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Expressions over claims, most of them of fitting types.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "claims.sub",
        "claims.level",
        "claims.score",
        "claims.none",
        "claims.staff",
        "claims.low",
        "claims.groups",
        "claims.names",
        "claims.empty",
        "claims.nested",
        "claims.nested.team",
        "claims.missing",
        "claims['sub']",
        "claims.names[1]",
        "claims.names[2]",
        "'dev'",
        "'a'",
        "''",
        "3",
        "-2",
        "0",
        "3u",
        "0.5",
        "3.0",
        "true",
        "false",
        "null",
        "[1, 'a']",
        "['a', 'b']",
        "has(claims.sub)",
        "has(claims.missing)",
        "x",
    ])
    .prop_map(|leaf| if leaf == "x" { "claims.level".to_owned() } else { leaf.to_owned() });
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let operators = prop::sample::select(vec![
            "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "in", "&&", "||",
        ]);
        let macros = prop::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
        let methods = prop::sample::select(vec!["startsWith", "endsWith", "contains"]);
        prop_oneof![
            4 => (two.clone(), operators).prop_map(|((a, b), op)| format!("({a} {op} {b})")),
            1 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => inner.clone().prop_map(|a| format!("size({a})")),
            1 => (two.clone(), methods).prop_map(|((a, b), it)| format!("{a}.{it}({b})")),
            1 => (inner, two.clone()).prop_map(|(c, (a, b))| format!("({c} ? {a} : {b})")),
            2 => (two, macros).prop_map(|((a, b), it)| {
                format!("{a}.{it}(x, {})", b.replacen("claims.sub", "x", 1))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn both_say_the_same(a in expression(), b in expression(), op in prop::sample::select(vec!["==", "!=", "<", "&&", "||", "in"])) {
        let text = format!("{a} {op} {b}");
        let ours = match Rule::compile(&text) {
            Ok(rule) => {
                let asked = Asked::new(testing::head(), claims());
                rule.holds(&Facts::new(&asked.request, &asked.exchange, true)).map_err(|why| why.to_string())
            }
            Err(problem) => Err(problem.message),
        };
        let theirs = theirs(&text);
        // We refuse more: types that never fit, text that is no list.
        if let Ok(ours) = ours {
            prop_assert_eq!(Ok(ours), theirs, "{}", text);
        }
    }
}
