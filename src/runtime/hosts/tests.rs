//! Hosts of routes and the certificates there are.

use super::*;
use crate::{
    config::{self, Input},
    tls::testing::TestCa,
};

/// `line:column: message (help)` of what is found about routes on these listeners. Certificates: of `ca`,
/// for these names.
#[track_caller]
fn found(certificates: &[&[&str]], listeners: &str, routes: &str) -> Vec<String> {
    let ca = TestCa::new();
    let issued = certificates.iter().enumerate().map(|(at, names)| {
        let files = ca.issue(&format!("c{at}"), names, 90);
        format!("{{ cert: {}, key: {} }}", files.cert.value.display(), files.key.value.display())
    });
    let issued = issued.collect::<Vec<_>>().join(", ");
    let text = format!(
        "version: 1\nlisteners: {{ {listeners} }}\nroutes:\n{routes}\ntls: {{ certificates: [{issued}] }}\n"
    );
    let loaded = config::load(&[Input::Text { name: "routes.yaml".into(), text }], &|_| None);
    let rendered = loaded.render(false);
    let config = loaded.config.unwrap_or_else(|| panic!("{rendered}"));
    let mut found = Diagnostics::default();
    check(&config, &CertStore::load(&config.tls).unwrap().0, &mut found);
    let line = |it: &Diagnostic| {
        assert!(!it.is_error(), "{it}");
        let (_, line, column) = config::line_column(&loaded.sources, it.labels[0].0).unwrap();
        let help = it.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{line}:{column}: {it}{help}")
    };
    found.items.iter().map(line).collect()
}

const HTTPS: &str = "https: { address: \":443\", tls: true }";

#[test]
fn a_host_without_a_certificate_is_told_once_with_what_there_is() {
    let routes = "  a: { match: Shop.example.com/**, respond: 200 }\n  \
                  b: { match: shop.example.com/b, respond: 200 }\n  \
                  c: { match: [a.example.com/**, other.example.com/**], respond: 200 }\n  \
                  d: { match: off.example.com, respond: 200, enabled: false }";
    let there: &[&[&str]] = &[&["a.example.com"], &["*.apps.example.com"]];
    assert_eq!(
        found(there, HTTPS, routes),
        [
            "4:15: listener `https`: no certificate is for `shop.example.com` of route `a` (clients are shown one for other names, and refuse it; there are certificates for a.example.com, *.apps.example.com)",
            "6:34: listener `https`: no certificate is for `other.example.com` of route `c` (clients are shown one for other names, and refuse it; there are certificates for a.example.com, *.apps.example.com)",
        ]
    );
    // Only where there is TLS with certificates from files.
    for listeners in ["a: \":80\"", "a: { address: \":443\", tls: dev }"] {
        assert_eq!(found(there, listeners, routes), [""; 0], "{listeners}");
    }
}

#[test]
fn a_wildcard_is_one_label() {
    let there: &[&[&str]] = &[&["x.test.example"], &["*.example.com"]];
    for good in ["a.example.com", "*.example.com", "**.example.com", "**.com", "x.test.example"] {
        let route = format!("  a: {{ match: {{ host: \"{good}\" }}, respond: 200 }}");
        assert_eq!(found(there, HTTPS, &route), [""; 0], "{good}");
    }
    for (bad, label) in [
        ("example.com", true),
        ("b.a.example.com", true),
        ("*.a.example.com", true),
        ("**.a.example.com", true),
        ("*.test.example", false),
        ("notexample.com", false),
    ] {
        let route = format!("  a: {{ match: {{ host: \"{bad}\" }}, respond: 200 }}");
        let found = found(there, HTTPS, &route);
        let help = if label { "*.example.com; `*` is one label)" } else { "*.example.com)" };
        assert!(found.len() == 1 && found[0].ends_with(help), "{bad}: {found:?}");
    }
}

#[test]
fn who_names_no_host_is_shown_the_first_certificate() {
    let there: &[&[&str]] = &[&["a.example.com", "192.0.2.1", "::1"], &["192.0.2.2"]];
    let routes = "  a: { match: { host: [192.0.2.1, \"[::1]\"] }, respond: 200 }\n  \
                  b: { match: { host: 192.0.2.2 }, respond: 200 }\n  c: { respond: 200 }";
    let said = found(there, HTTPS, routes);
    assert!(said.len() == 1 && said[0].contains("`192.0.2.2` of route `b`"), "{said:?}");
}

#[test]
fn local_names_are_made_and_others_are_not_shown_the_first() {
    let listeners =
        "both: { address: \":443\", tls: auto }, https: { address: \":444\", tls: true }";
    let there: &[&[&str]] = &[&["a.example.com"]];
    let routes = "  a: { match: { host: [shop.test, \"*.test\", a.example.com], listener: both }, respond: 200 }\n  \
                  b: { match: { host: b.example.com, listener: both }, respond: 200 }\n  \
                  c: { match: c.example.com, respond: 200 }\n  \
                  d: { match: d.test, respond: 200 }";
    assert_eq!(
        found(there, listeners, routes),
        [
            "5:23: listener `both`: no certificate is for `b.example.com` of route `b` (clients are shown none; there are certificates for a.example.com)",
            "6:15: listeners `both`, `https`: no certificate is for `c.example.com` of route `c` (clients are shown one for other names, and refuse it; there are certificates for a.example.com)",
            "7:15: listener `https`: no certificate is for `d.test` of route `d` (clients are shown one for other names, and refuse it; there are certificates for a.example.com)",
        ]
    );
    let none =
        found(&[], "both: { address: \":443\", tls: auto }", "  a: { match: a.com, respond: 200 }");
    assert!(
        none.len() == 1 && none[0].ends_with("there are certificates for no host)"),
        "{none:?}"
    );
}

#[test]
fn of_many_hosts_the_first_are_told() {
    let routes: Vec<String> =
        (10..40).map(|at| format!("  r{at}: {{ match: h{at}.example, respond: 200 }}")).collect();
    let names: Vec<String> = (10..30).map(|at| format!("n{at}.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let said = found(&[&names], HTTPS, &routes.join("\n"));
    assert_eq!(said.len(), TOLD + 1, "{said:#?}");
    assert!(said[0].ends_with("n18.example.com, n19.example.com and others)"), "{}", said[0]);
    assert_eq!(said[TOLD], "14:17: nor is there a certificate for 20 other hosts");
}
