//! On random tables and requests an explanation names the route that the model of the rule says, which
//! shares nothing with the table.

use std::fmt::Write as _;

use super::{Asked, Explanation, ask};
use crate::{
    explain::Outcome,
    routing::model::{Request, Spec, compare, disjoint, random::Dice, winner},
};

/// A file with a route for each branch.
fn file(specs: &[Spec]) -> String {
    let mut text = "version: 1\nlisteners: { http: \":80\", https: \":81\" }\nroutes:\n".to_owned();
    let quoted = |list: &[&str]| {
        let quoted: Vec<String> = list.iter().map(|word| format!("\"{word}\"")).collect();
        quoted.join(", ")
    };
    for (at, spec) in specs.iter().enumerate() {
        let path = match spec.path.starts_with('^') {
            true => format!("{{ regex: '{}' }}", spec.path),
            false => format!("\"{}\"", spec.path),
        };
        let mut rule = format!("path: {path}");
        if !spec.host.is_empty() {
            let _ = write!(rule, ", host: \"{}\"", spec.host);
        }
        for (key, list) in [
            ("method", &spec.methods),
            ("client_ip", &spec.client_ip),
            ("listener", &spec.listeners),
        ] {
            if !list.is_empty() {
                let _ = write!(rule, ", {key}: [{}]", quoted(list));
            }
        }
        for (key, all) in [("headers", &spec.headers), ("query", &spec.query)] {
            let one = |(name, want): &(&str, &str)| match *want {
                "prefix 1" => format!("{name}: {{ prefix: \"1\" }}"),
                "regex 2" => format!("{name}: {{ regex: \"2\" }}"),
                word @ ("present" | "absent") => format!("{name}: {word}"),
                exact => format!("{name}: \"{exact}\""),
            };
            if !all.is_empty() {
                let all: Vec<String> = all.iter().map(one).collect();
                let _ = write!(rule, ", {key}: {{ {} }}", all.join(", "));
            }
        }
        let priority = spec.priority;
        let _ = writeln!(
            text,
            "  r{at}: {{ match: {{ {rule} }}, priority: {priority}, respond: 200 }}"
        );
    }
    text
}

fn question(request: &Request) -> Asked {
    let query = if request.query.is_empty() { "" } else { "?" };
    let url = format!("http://{}{}{query}{}", request.host, request.path, request.query);
    let fields = request.headers.iter().map(|(name, value)| format!("{name}: {value}"));
    let fields: Vec<String> = fields.collect();
    Asked {
        client_ip: request.client_ip.parse().ok(),
        listener: Some(request.listener.to_owned()),
        ..Asked::new(request.method, &url, &fields).unwrap()
    }
}

fn agree(found: &Explanation, specs: &[Spec], request: &Request) -> bool {
    let best = winner(specs, request).map(|at| format!("r{at}"));
    let named = found.route.as_ref().map(|route| route.name.clone());
    assert_eq!(named, best, "{request:?}\n{}", file(specs));
    assert_eq!(found.result == Outcome::Route, best.is_some());
    for near in &found.near {
        assert!(near.because.contains(": wants "), "{near:?}");
    }
    best.is_some()
}

#[test]
fn an_explanation_names_the_route_the_model_says() {
    let mut dice = Dice(0x5DEE_CE66_D1CE_4E5B);
    let (mut routed, mut refused) = (0, 0);
    for round in 0..40 {
        let count = 1 + dice.roll(30);
        let mut specs: Vec<Spec> = Vec::new();
        for _ in 0..count {
            let spec = dice.spec(round % 2 == 0);
            // A file with two that are equally specific would be refused.
            if specs.iter().all(|it| compare(it, &spec).is_ne() || disjoint(it, &spec)) {
                specs.push(spec);
            }
        }
        let mut requests: Vec<Request> = (0..40).map(|_| dice.request()).collect();
        // Without a host there is no request to ask about.
        requests.retain(|request| !request.host.is_empty());
        let questions: Vec<Asked> = requests.iter().map(question).collect();
        for (found, request) in ask(&file(&specs), &questions).iter().zip(&requests) {
            match agree(found.as_ref().unwrap(), &specs, request) {
                true => routed += 1,
                false => refused += 1,
            }
        }
    }
    assert!(routed > 300 && refused > 100, "{routed} routed, {refused} refused");
}
