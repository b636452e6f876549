//! Fields that are not what they should be. Each is refused before anything is worked out.

use super::*;

/// `Signature-Input`, `Signature`, and the word of the refusal.
type Case = (String, String, &'static str);

/// What is right: both fields, and the signature alone.
fn right() -> (String, String, String) {
    let (input, signature) = sign(&lines(), &usual(""), SECRET);
    let tag = signature.trim_start_matches("s=:").trim_end_matches(':').to_owned();
    (input, signature, tag)
}

/// The right one, said to cover one more part.
fn with(component: &str) -> String {
    format!("s={};created={NOW};keyid=\"k1\"", COVERED.replace('(', &format!("({component} ")))
}

fn check(cases: Vec<Case>) {
    for (input, signature, word) in cases {
        let mut sent = Sent::new();
        for (name, value) in [("signature-input", &input), ("signature", &signature)] {
            if !value.is_empty() {
                sent = sent.with(name, value);
            }
        }
        assert_eq!(sent.word(&rules()), word, "{input:.300}\n{signature:.100}");
    }
}

#[test]
fn what_is_said_to_be_signed() {
    let (input, signature, tag) = right();
    let many: Vec<_> = (0..9).map(|n| format!("s{n}={}", usual(""))).collect();
    check(vec![
        (String::new(), String::new(), "no_credentials"),
        (input.clone(), String::new(), "signature_incomplete"),
        (String::new(), signature.clone(), "signature_incomplete"),
        (input.clone(), format!("t=:{tag}:"), "signature_incomplete"),
        // One name twice, in one line or two: the last would win elsewhere, or the first.
        (format!("{input}, {input}"), signature.clone(), "signature_malformed"),
        (format!("{input}, s=()"), signature.clone(), "signature_malformed"),
        (input.clone(), format!("{signature}, {signature}"), "signature_malformed"),
        (input.clone(), format!("s=:AAAA:, {signature}"), "signature_malformed"),
        // Two signatures, and nobody has said which.
        (
            format!("{input}, {}", input.replacen("s=", "t=", 1)),
            signature.clone(),
            "several_signatures",
        ),
        (many.join(", "), signature.clone(), "signature_malformed"),
        // Not a dictionary of lists.
        ("s".to_owned(), signature.clone(), "signature_malformed"),
        ("s=1".to_owned(), signature.clone(), "signature_malformed"),
        ("s=\"x\";keyid=\"k1\"".to_owned(), signature.clone(), "signature_malformed"),
        (input.replace(')', ""), signature.clone(), "signature_malformed"),
        (input.replace(';', ","), signature.clone(), "several_signatures"),
        (input.replacen("s=", "S=", 1), signature.clone(), "signature_malformed"),
        (format!("{input},"), signature.clone(), "signature_malformed"),
        (format!("{input} x"), signature.clone(), "signature_malformed"),
        (input.replace('"', "'"), signature.clone(), "signature_malformed"),
        (input.replace(&NOW.to_string(), "1e9"), signature.clone(), "signature_malformed"),
        (input.replace(&NOW.to_string(), "1800000000000000"), signature, "signature_malformed"),
    ]);
}

#[test]
fn signatures_that_are_none() {
    let (input, _, tag) = right();
    check(vec![
        // Not bytes.
        (input.clone(), format!("s=\"{tag}\""), "signature_malformed"),
        (input.clone(), format!("s={}", &tag[..8]), "signature_malformed"),
        (input.clone(), format!("s=:{}", &tag), "signature_malformed"),
        (input.clone(), format!("s=:{tag}!:"), "signature_malformed"),
        (input.clone(), format!("s=(:{tag}:)"), "signature_malformed"),
        (input.clone(), "s=?1".to_owned(), "signature_malformed"),
        // Bytes that are no signature.
        (input.clone(), "s=::".to_owned(), "wrong_signature"),
        (input.clone(), format!("s=:{}:", &tag[..20]), "wrong_signature"),
        (input.clone(), format!("s=:{}:", STANDARD.encode([0; 32])), "wrong_signature"),
        (input, format!("s=:{}:", STANDARD.encode([0; 4096])), "wrong_signature"),
    ]);
}

#[test]
fn parts_that_are_none() {
    let (_, signature, _) = right();
    let long = format!(
        "s=({});created={NOW};keyid=\"k1\"",
        (0..65).map(|n| format!("\"x-{n}\"")).collect::<Vec<_>>().join(" ")
    );
    check(vec![
        // Parts that are listed twice, or are none.
        (with("\"@method\""), signature.clone(), "signature_malformed"),
        (with("\"content-type\" \"content-type\""), signature.clone(), "signature_malformed"),
        (with("\"Content-Type\""), signature.clone(), "signature_malformed"),
        (with("\"content type\""), signature.clone(), "signature_malformed"),
        (with("\"\""), signature.clone(), "signature_malformed"),
        (with("content-type"), signature.clone(), "signature_malformed"),
        (with("1"), signature.clone(), "signature_malformed"),
        (with("\"content-type\";req"), signature.clone(), "signature_malformed"),
        (with("\"content-type\";tr"), signature.clone(), "signature_malformed"),
        (with("\"content-type\";sf;bs"), signature.clone(), "signature_malformed"),
        (with("\"content-type\";bs=?0"), signature.clone(), "signature_malformed"),
        (with("\"content-type\";key=a"), signature.clone(), "signature_malformed"),
        (with("\"content-type\";bs;bs"), signature.clone(), "signature_malformed"),
        (with("\"@path\";bs"), signature.clone(), "signature_malformed"),
        (with("\"@path\";req"), signature.clone(), "signature_malformed"),
        (with("\"@query-param\";name=x"), signature.clone(), "signature_malformed"),
        (with("\"content-type\";name=\"x\""), signature.clone(), "signature_malformed"),
        (long, signature, "signature_malformed"),
    ]);
}

#[test]
fn parts_nobody_can_work_out() {
    let (input, signature, _) = right();
    check(vec![
        // Parts nobody can work out.
        (with("\"@status\""), signature.clone(), "component_unknown"),
        (with("\"@signature-params\""), signature.clone(), "component_unknown"),
        (with("\"@new\""), signature.clone(), "component_unknown"),
        (with("\"@query-param\""), signature.clone(), "component_unknown"),
        (with("\"@query-param\";name=\"y\""), signature.clone(), "component_absent"),
        (with("\"x-absent\""), signature.clone(), "component_absent"),
        (with("\"x-absent\";bs"), signature.clone(), "component_absent"),
        (with("\"content-type\";sf"), signature.clone(), "component_unknown"),
        (with("\"content-digest\";key=\"sha-512\""), signature.clone(), "component_absent"),
        (with("\"content-type\";key=\"a\""), signature.clone(), "signature_malformed"),
        // Another order is another signature.
        (
            input.replace("\"@method\" \"@authority\"", "\"@authority\" \"@method\""),
            signature.clone(),
            "wrong_signature",
        ),
        (
            input.replace("created=1800000000", "created=1800000001"),
            signature.clone(),
            "wrong_signature",
        ),
        (format!("{input};expires=1800009999"), signature, "wrong_signature"),
    ]);
}
