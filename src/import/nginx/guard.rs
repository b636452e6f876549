//! Who may pass: `allow` and `deny`, `auth_basic`, client certificates, and whatever is not understood. What
//! cannot be carried over closes the route.

use std::path::Path;

use ipnet::IpNet;

use super::{
    super::{report::Report, write::Value},
    Import,
    directives::{Known, known},
    model::Scope,
    parse::Directive,
};
use crate::{auth::password::Users, config::read_text};

/// What protects a route.
#[derive(Debug, Default)]
pub(super) struct Guard {
    pub(super) ip: Option<Value>,
    /// All of them must let a request pass.
    pub(super) auth: Vec<String>,
    /// Nobody passes.
    pub(super) closed: bool,
    pub(super) comments: Vec<String>,
}

/// What one block says that is not translated: comments, and whether it may protect something.
pub(super) fn scan(block: &[Directive], report: &mut Report) -> (Vec<String>, bool) {
    let (mut comments, mut closes) = (Vec::new(), false);
    for it in block {
        let what = format!("`{}`", it.shown());
        match known(&it.name) {
            Known::Translated if it.name == "if" => {
                let harmless = is_harmless(it);
                closes |= !harmless;
                let todo = match harmless {
                    true => "write a route with this condition in `match`",
                    false => "closed until there is a route for it",
                };
                comments.push(report.todo(it.at, what, todo));
            }
            Known::Translated | Known::Needless => {}
            Known::Harmless(_) if it.name == "gzip" && it.arg(0) == "off" => {}
            Known::Harmless(todo) => comments.push(report.todo(it.at, what, todo)),
            Known::Unknown => {
                closes = true;
                let todo = match it.name.as_str() {
                    "auth_request" => "see `external` under `policies.auth`; closed until then",
                    "include" => "the file cannot be read; closed until it is known what it says",
                    "limit_except" => "use `method` in `match`; closed until then",
                    _ => "not known, perhaps a protection: closed until you take `ip: closed` out",
                };
                comments.push(report.todo(it.at, what, todo));
            }
        }
    }
    (comments, closes)
}

/// Whether an `if` only sends clients elsewhere or sets something.
fn is_harmless(it: &Directive) -> bool {
    let inner = it.block.as_deref().unwrap_or_default();
    inner.iter().all(|it| match it.name.as_str() {
        "return" => it.arg(0).starts_with('3') || it.arg(0).starts_with("http"),
        "set" | "rewrite" | "add_header" | "proxy_set_header" | "expires" | "access_log" => true,
        _ => false,
    })
}

// === impl Guard ===

impl Guard {
    /// What protects what is in this scope.
    pub(super) fn of(import: &mut Import<'_>, scope: &Scope<'_>, tls_only: Option<bool>) -> Self {
        let mut guard = Self::default();
        guard.addresses(&mut import.report, scope);
        guard.basic(import, scope);
        guard.certificate(import, scope, tls_only);
        if let Some(it) = scope.one("satisfy").filter(|it| it.arg(0) == "any")
            && guard.ip.is_some()
            && !guard.auth.is_empty()
        {
            let todo = "here both must let a request pass, which is stricter";
            guard.comments.push(import.report.todo(it.at, "`satisfy any`", todo));
        }
        guard
    }

    fn close(&mut self, comment: String) {
        self.closed = true;
        self.comments.push(comment);
    }

    fn addresses(&mut self, report: &mut Report, scope: &Scope<'_>) {
        let rules = scope.nearest(&["allow", "deny"]);
        let (mut allow, mut deny, mut only): (Vec<IpNet>, Vec<IpNet>, bool) = Default::default();
        for rule in rules {
            let (allows, word) = (rule.name == "allow", rule.arg(0));
            if word == "all" {
                only = !allows;
                break;
            }
            let Some(net) = network(word) else {
                if allows {
                    // Fewer get in, nobody more.
                    let todo = "not an address: nobody is let in by it";
                    self.comments.push(report.todo(rule.at, format!("`{}`", rule.shown()), todo));
                    continue;
                }
                let todo = "not an address: closed until it is one";
                self.close(report.todo(rule.at, format!("`{}`", rule.shown()), todo));
                continue;
            };
            if allows {
                allow.push(net);
                continue;
            }
            let overlaps = |other: &IpNet| other.contains(&net) || net.contains(other);
            if allow.iter().any(overlaps) {
                let todo = "here `deny` beats `allow`, which is stricter than the order was";
                self.comments.push(report.todo(rule.at, format!("`{}`", rule.shown()), todo));
            }
            deny.push(net);
        }
        if only && allow.is_empty() {
            // Nobody at all, as in nginx.
            self.closed = true;
            return;
        }
        if !only && deny.is_empty() {
            return;
        }
        let list = |nets: &[IpNet]| Value::one_or_many(nets.iter().map(shown));
        let mut map = Vec::new();
        if only {
            map.push(("allow", list(&allow)));
        }
        if !deny.is_empty() {
            map.push(("deny", list(&deny)));
        }
        self.ip = Some(Value::map(map));
    }

    fn basic(&mut self, import: &mut Import<'_>, scope: &Scope<'_>) {
        let Some(it) = scope.one("auth_basic").filter(|it| it.arg(0) != "off") else { return };
        let (realm, at) = (it.arg(0).to_owned(), it.at);
        let Some(file) = scope.one("auth_basic_user_file") else {
            let todo = "there is no `auth_basic_user_file`: closed until `basic` has users";
            self.close(import.report.todo(at, "`auth_basic`", todo));
            return;
        };
        let plain = |c: char| (' '..='~').contains(&c) && !"\"\\$".contains(c);
        let path = import.directory.join(file.arg(0));
        let name = path.display().to_string();
        let users = match read_text(&path) {
            Ok(text) => Users::parse_htpasswd(file.arg(0), &text).map(drop),
            Err(why) => Err(format!("cannot read it: {why}")),
        };
        if let Err(why) = users {
            let why = format!("`{}`: {why}", file.shown());
            let todo =
                "closed until `htpasswd -B` or `tidegate hash` made it anew, and `basic` names it";
            self.close(import.report.todo(file.at, why, todo));
            return;
        }
        let realm = if realm.chars().all(plain) { realm } else { "restricted".to_owned() };
        self.auth.push(import.basic_policy(&name, &realm, at));
    }

    /// `tls_only`: whether all listeners of the server have TLS.
    fn certificate(&mut self, import: &mut Import<'_>, scope: &Scope<'_>, tls_only: Option<bool>) {
        let Some(it) = scope.one("ssl_verify_client") else { return };
        match (it.arg(0), tls_only) {
            ("off", _) => {}
            ("optional" | "optional_no_ca", _) => {
                let todo = "`tls.client_auth` with `mode: optional` asks for certificates";
                self.comments.push(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
            }
            (_, Some(true)) if import.client_auth => {
                self.auth.push(import.certificate_policy(it.at));
            }
            _ => {
                let todo = "closed until `tls.client_auth` asks all of its listeners' clients for certificates";
                self.close(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
            }
        }
    }
}

fn network(word: &str) -> Option<IpNet> {
    word.parse::<IpNet>().ok().or_else(|| word.parse().ok().map(|ip: std::net::IpAddr| ip.into()))
}

/// An address alone where a network is one.
fn shown(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.trunc().to_string()
    }
}

/// Whether a file is there to be read.
pub(super) fn is_readable(path: &Path) -> bool {
    read_text(path).is_ok()
}
