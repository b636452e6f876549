//! Requests that were signed by hand, and what becomes of them.

mod bodies;
mod hostile;
mod key_files;
mod vectors;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, Method, Uri};

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_800_000_000;
const BODY: &[u8] = b"{\"hello\": \"world\"}";

fn digest_of(body: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    format!("sha-256=:{}:", STANDARD.encode(digest))
}

fn keys() -> Keys {
    let mut keys = Keys::none();
    keys.add(&"ann".into(), "k1", Written::Secret(SECRET)).unwrap();
    keys.add(&"bob".into(), "k2", Written::Secret("another-secret-0123456789abcdef0")).unwrap();
    let pem = vectors::ED25519;
    keys.add(&"cid".into(), "ed", Written::Public(&vectors::der(pem), None)).unwrap();
    keys
}

fn rules() -> Rules {
    Rules {
        components: COMPONENTS.map(str::to_owned).to_vec(),
        max_age: Duration::from_secs(300),
        skew: Duration::from_secs(30),
        nonce: false,
        tag: None,
        label: None,
        pass_signature: false,
    }
}

/// A request as the gateway knows it.
struct Sent {
    method: Method,
    authority: HeaderValue,
    uri: Uri,
    headers: HeaderMap,
    has_body: bool,
}

impl Sent {
    /// `POST https://api.example/orders?x=1` with a body.
    fn new() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-digest", digest_of(BODY).parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        Self {
            method: Method::POST,
            authority: HeaderValue::from_static("api.example"),
            uri: Uri::from_static("/orders?x=1"),
            headers,
            has_body: true,
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(HeaderName::from_static(name), value.parse().unwrap());
        self
    }

    fn judge(&self, rules: &Rules) -> Result<Verified, Denied> {
        let message = Message {
            method: &self.method,
            scheme: "https",
            authority: Some(&self.authority),
            uri: &self.uri,
            headers: &self.headers,
        };
        rules.verify(&keys(), &message, self.has_body, NOW)
    }

    fn word(&self, rules: &Rules) -> &'static str {
        match self.judge(rules) {
            Ok(_) => "ok",
            Err(why) => why.word,
        }
    }
}

/// The lines of the usual signature, written by hand: nothing here knows how the gateway makes them.
fn lines() -> Vec<String> {
    let lines = [
        "\"@method\": POST",
        "\"@authority\": api.example",
        "\"@path\": /orders",
        "\"@query\": ?x=1",
    ];
    let mut lines = lines.map(str::to_owned).to_vec();
    lines.push(format!("\"content-digest\": {}", digest_of(BODY)));
    lines
}

const COVERED: &str = r#"("@method" "@authority" "@path" "@query" "content-digest")"#;

/// What a sender would write: the parameters and the signature of these lines.
fn sign(lines: &[String], params: &str, secret: &str) -> (String, String) {
    let base = format!("{}\n\"@signature-params\": {params}", lines.join("\n"));
    let base = base.trim_start_matches('\n');
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, base.as_bytes());
    (format!("s={params}"), format!("s=:{}:", STANDARD.encode(tag)))
}

fn usual(more: &str) -> String {
    format!("{COVERED};created={NOW};keyid=\"k1\"{more}")
}

/// The usual request with this signature.
fn signed(params: &str) -> Sent {
    let (input, signature) = sign(&lines(), params, SECRET);
    Sent::new().with("signature-input", &input).with("signature", &signature)
}

#[test]
fn a_good_one_says_who_it_is_from() {
    let found = signed(&usual("")).judge(&rules()).unwrap();
    assert_eq!((&*found.consumer, found.created), ("ann", NOW));
    for more in [
        ";alg=\"hmac-sha256\"",
        ";nonce=\"n\";tag=\"t\"",
        ";expires=1800000001",
        ";other=1;more=token",
    ] {
        assert_eq!(signed(&usual(more)).word(&rules()), "ok", "{more}");
    }
    for created in [NOW - 300, NOW + 30] {
        let params = format!("{COVERED};created={created};keyid=\"k1\"");
        assert_eq!(signed(&params).word(&rules()), "ok", "{created}");
    }
}

/// Signatures that are right in themselves, and not what is asked for.
#[test]
fn what_is_not_asked_for_is_not_enough() {
    let created = |at: i64| format!("{COVERED};created={at};keyid=\"k1\"");
    let cases = [
        (created(NOW - 301), "signature_too_old"),
        (created(NOW + 31), "created_in_future"),
        (created(-1), "signature_too_old"),
        (created(999_999_999_999_999), "created_in_future"),
        (format!("{COVERED};keyid=\"k1\""), "created_missing"),
        (usual(";expires=1800000000"), "signature_expired"),
        (usual(";expires=-5"), "signature_expired"),
        (usual(";alg=\"ed25519\""), "wrong_algorithm"),
        (usual(";alg=\"none\""), "wrong_algorithm"),
        (usual(";alg=\"\""), "wrong_algorithm"),
        (usual(";alg=\"HMAC-SHA256\""), "wrong_algorithm"),
        (usual(";alg=hmac-sha256"), "signature_malformed"),
        (usual(";created=1800000000"), "signature_malformed"),
        (usual(";keyid=\"k2\""), "signature_malformed"),
        (usual(";nonce=1"), "signature_malformed"),
        (usual(";expires=\"1800000001\""), "signature_malformed"),
        (usual(";expires=1800000001.5"), "signature_malformed"),
        (usual(";tag=?1"), "signature_malformed"),
        (usual(&format!(";nonce=\"{}\"", "n".repeat(257))), "signature_malformed"),
        (format!("{COVERED};created={NOW}"), "unknown_key"),
        (format!("{COVERED};created={NOW};keyid=\"K1\""), "unknown_key"),
        (format!("{COVERED};created={NOW};keyid=\"\""), "unknown_key"),
        (format!("{COVERED};created={NOW};keyid=k1"), "signature_malformed"),
        // The secret of one consumer, the name of another's key.
        (format!("{COVERED};created={NOW};keyid=\"k2\""), "wrong_signature"),
        // A public key is no secret.
        (format!("{COVERED};created={NOW};keyid=\"ed\""), "wrong_signature"),
        (format!("{COVERED};created={NOW};keyid=\"ed\";alg=\"hmac-sha256\""), "wrong_algorithm"),
    ];
    for (params, word) in cases {
        assert_eq!(signed(&params).word(&rules()), word, "{params}");
    }
}

/// What is left out of a signature can be changed by anybody.
#[test]
fn every_part_that_is_asked_for_must_be_covered() {
    let (all, names) = (lines(), ["@method", "@authority", "@path", "@query", "content-digest"]);
    for without in 0..names.len() {
        let keep = |index: &usize| *index != without;
        let some: Vec<_> = (0..5).filter(keep).map(|index| all[index].clone()).collect();
        let list: Vec<_> =
            (0..5).filter(keep).map(|index| format!("\"{}\"", names[index])).collect();
        let params = format!("({});created={NOW};keyid=\"k1\"", list.join(" "));
        let (input, signature) = sign(&some, &params, SECRET);
        let sent = Sent::new().with("signature-input", &input).with("signature", &signature);
        assert_eq!(sent.word(&rules()), "not_covered", "{}", names[without]);
    }
    let (input, signature) = sign(&[], &format!("();created={NOW};keyid=\"k1\""), SECRET);
    let sent = Sent::new().with("signature-input", &input).with("signature", &signature);
    assert_eq!(sent.word(&rules()), "not_covered", "a signature of nothing");
    // The target holds what it is made of, and a field in another form is not the field.
    let target = vec![
        "\"@method\": POST".to_owned(),
        "\"@target-uri\": https://api.example/orders?x=1".to_owned(),
        lines()[4].clone(),
    ];
    let params =
        format!("(\"@method\" \"@target-uri\" \"content-digest\");created={NOW};keyid=\"k1\"");
    let (input, signature) = sign(&target, &params, SECRET);
    let sent = Sent::new().with("signature-input", &input).with("signature", &signature);
    assert_eq!(sent.word(&rules()), "ok");
    let member = COVERED.replace("\"content-digest\"", "\"content-digest\";key=\"sha-256\"");
    let sent = signed(&format!("{member};created={NOW};keyid=\"k1\""));
    assert_eq!(sent.word(&rules()), "not_covered");
    // Without a query and without a body there is nothing to cover.
    let mut bare = Sent::new();
    bare.headers.clear();
    (bare.uri, bare.has_body, bare.method) = (Uri::from_static("/orders"), false, Method::GET);
    let lines = ["\"@method\": GET", "\"@authority\": api.example", "\"@path\": /orders"];
    let params = format!("(\"@method\" \"@authority\" \"@path\");created={NOW};keyid=\"k1\"");
    let (input, signature) = sign(&lines.map(str::to_owned), &params, SECRET);
    let mut bare = bare.with("signature-input", &input).with("signature", &signature);
    assert_eq!(bare.word(&rules()), "ok");
    bare.uri = Uri::from_static("/orders?");
    assert_eq!(bare.word(&rules()), "not_covered", "an empty query is one");
}

/// Nothing of what is covered can be changed.
#[test]
fn whatever_is_changed_is_found() {
    let change = |change: fn(&mut Sent)| {
        let mut sent = signed(&usual(""));
        change(&mut sent);
        sent.word(&rules())
    };
    assert_eq!(change(|_| {}), "ok");
    assert_eq!(change(|sent| sent.method = Method::PUT), "wrong_signature");
    assert_eq!(change(|sent| sent.uri = Uri::from_static("/Orders?x=1")), "wrong_signature");
    assert_eq!(change(|sent| sent.uri = Uri::from_static("/orders?x=2")), "wrong_signature");
    assert_eq!(change(|sent| sent.uri = Uri::from_static("/orders?x=1&")), "wrong_signature");
    assert_eq!(change(|sent| sent.uri = Uri::from_static("/orders")), "wrong_signature");
    let other = |name: &'static str| {
        let mut sent = signed(&usual(""));
        sent.authority = HeaderValue::from_static(name);
        sent.word(&rules())
    };
    assert_eq!(other("API.example:443"), "ok", "the same place");
    assert_eq!(other("api.example:80"), "wrong_signature");
    assert_eq!(other("api.example.evil"), "wrong_signature");
    let digest = signed(&usual("")).with("content-digest", &digest_of(b"other"));
    assert_eq!(digest.word(&rules()), "signature_malformed", "two of one algorithm");
    let more = signed(&usual("")).with("content-digest", "md5=:AAAA:");
    assert_eq!(more.word(&rules()), "wrong_signature");
    let mut gone = signed(&usual(""));
    gone.headers.remove("content-digest");
    assert_eq!(gone.word(&rules()), "digest_missing");
}

#[test]
fn white_space_and_lines_of_a_field_do_not_matter() {
    let (input, signature) = sign(&lines(), &usual(""), SECRET);
    let spaced = input.replace('(', "(  ").replace("\" \"", "\"   \"").replace(')', "  )");
    let sent = Sent::new().with("signature-input", &spaced).with("signature", &signature);
    assert_eq!(sent.word(&rules()), "ok");
    // The one it is about, among those of others.
    let chosen = Rules { label: Some("s".to_owned()), ..rules() };
    let sent = Sent::new()
        .with("signature-input", "p=(\"x-other\");created=1;keyid=\"proxy\"")
        .with("signature-input", &input)
        .with("signature", &signature)
        .with("signature", "p=:AAAA:");
    assert_eq!(sent.word(&chosen), "ok");
    assert_eq!(sent.word(&rules()), "several_signatures");
    let other = Rules { label: Some("t".to_owned()), ..rules() };
    assert_eq!(sent.word(&other), "no_credentials");
}

#[test]
fn a_tag_says_what_a_signature_is_for() {
    let rules = Rules { tag: Some("orders".to_owned()), ..rules() };
    assert_eq!(signed(&usual(";tag=\"orders\"")).word(&rules), "ok");
    for other in ["", ";tag=\"Orders\"", ";tag=\"\"", ";tag=orders"] {
        assert_eq!(signed(&usual(other)).word(&rules), "wrong_tag", "{other}");
    }
    let sent = signed(&usual(";tag=\"orders\"")).with("signature-input", "p=();tag=\"other\"");
    assert_eq!(sent.word(&rules), "ok", "the others are not looked at");
}

#[test]
fn a_nonce_is_compulsory_where_it_counts_once() {
    let rules = Rules { nonce: true, ..rules() };
    assert_eq!(signed(&usual("")).word(&rules), "nonce_missing");
    assert_eq!(signed(&usual(";nonce=\"\"")).word(&rules), "nonce_missing");
    let nonces = Arc::new(Nonces::with_room(1));
    let of = |params: &str| signed(params).judge(&rules).unwrap();
    let policy = |rules: &Rules| Signatures {
        policy: "p".into(),
        rules: rules.clone(),
        keys: Known::Fixed(keys()),
        nonces: Arc::clone(&nonces),
        enforced: true,
    };
    let take = |found: &Verified, now| policy(&rules).use_nonce(found, now).map_err(|why| why.word);
    assert_eq!(take(&of(&usual(";nonce=\"a\"")), NOW), Ok(()));
    // A policy made anew remembers.
    assert_eq!(take(&of(&usual(";nonce=\"a\"")), NOW + 300), Err("replayed"));
    assert_eq!(take(&of(&usual(";nonce=\"b\"")), NOW), Err("no_room_for_nonces"));
    assert_eq!(take(&of(&usual(";nonce=\"b\"")), NOW + 301), Ok(()));
}

#[test]
fn forms_of_fields_and_parameters() {
    let sent = |lines: &[&str], component: &str| {
        let mut all = vec![format!("{component}: {}", lines[0])];
        all.extend(self::lines());
        let params = format!(
            "{};created={NOW};keyid=\"k1\"",
            COVERED.replace('(', &format!("({component} "))
        );
        let (input, signature) = sign(&all, &params, SECRET);
        let mut sent = Sent::new().with("signature-input", &input).with("signature", &signature);
        sent = sent.with("x-many", "a  b").with("x-many", "  c,d ");
        sent = sent.with("x-dict", " a=1, b=(1 2);x, c").with("priority", "u=1,  i");
        sent = sent.with("cookie", "a=1").with("cookie", "b=2").with("x-empty", "");
        sent.word(&rules())
    };
    for (component, value) in [
        ("\"x-many\"", "a  b, c,d"),
        ("\"x-many\";bs", ":YSAgYg==:, :Yyxk:"),
        ("\"x-dict\";key=\"a\"", "1"),
        ("\"x-dict\";key=\"b\"", "(1 2);x"),
        ("\"x-dict\";key=\"c\"", "?1"),
        ("\"priority\";sf", "u=1, i"),
        ("\"priority\"", "u=1,  i"),
        ("\"cookie\"", "a=1; b=2"),
        ("\"x-empty\"", ""),
        ("\"@scheme\"", "https"),
        ("\"@request-target\"", "/orders?x=1"),
        ("\"@query-param\";name=\"x\"", "1"),
    ] {
        assert_eq!(sent(&[value], component), "ok", "{component}");
    }
    assert_eq!(sent(&["a  b,c,d"], "\"x-many\""), "wrong_signature");
}

#[test]
fn parameters_of_the_query_are_written_anew() {
    let params = "(\"@query-param\";name=\"NAME\");created=1800000000;keyid=\"k1\"";
    let free = Rules { components: Vec::new(), ..rules() };
    let word = |query: &str, name: &str, value: &str| {
        let params = params.replace("NAME", name);
        let line = format!("\"@query-param\";name=\"{name}\": {value}");
        let (input, signature) = sign(&[line], &params, SECRET);
        let mut sent = Sent::new().with("signature-input", &input).with("signature", &signature);
        sent.uri = format!("/path?{query}").parse().unwrap();
        sent.has_body = false;
        sent.word(&free)
    };
    // Section 2.2.8 of RFC 9421.
    let query = "var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something";
    assert_eq!(word(query, "var", "this%20is%20a%20big%0Amultiline%20value"), "ok");
    assert_eq!(word(query, "bar", "with%20plus%20whitespace"), "ok");
    assert_eq!(word(query, "fa%C3%A7ade%22%3A%20", "something"), "ok");
    assert_eq!(word("param=value&foo=bar&baz=batman&qux=", "qux", ""), "ok");
    assert_eq!(word("a=1&%61=2", "a", "1"), "component_twice");
    assert_eq!(word("a=%zz&b=%", "a", "%25zz"), "ok");
}
