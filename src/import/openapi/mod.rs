//! OpenAPI 3.0 and 3.1 as a `routes.yaml`: each operation a route, its security the route's `auth`.
//! `spec` finds things in the document, `servers` says where requests go, `security` who may pass,
//! `operations` writes the routes and their tests.

mod operations;
mod paths;
mod security;
mod servers;
mod spec;

use self::{security::Security, spec::Spec};
use super::{
    Imported, Source,
    names::Names,
    report::Report,
    write::{Document, Entry},
};

/// An import under way.
struct Import<'a> {
    spec: &'a Spec,
    report: Report,
    doc: Document,
    names: Names,
    security: Security,
    /// What all paths begin with, without a slash at its end.
    base: String,
    upstream: String,
}

// === impl Import ===

impl Import<'_> {
    /// A document says nothing of where clients come in, and there is a default. Where they show who they are
    /// it is written, with what is missing.
    fn listen(&mut self) {
        if self.doc.auth.is_empty() {
            return;
        }
        let mut entry = Entry::new("http");
        entry.comment("Credentials can be read on their way here. `tls: true` keeps them secret, with `tls.certificates`");
        entry.comment("at the top level; if TLS ends in front of this gateway, write `trusted_proxies`. Then `check` is quiet.");
        entry.key("address", ":8080");
        self.doc.listeners.push(entry);
    }
}

/// Translates a document. `to` is where requests go.
///
/// # Errors
/// It is not one, for people.
pub(super) fn import(source: Source<'_>, to: Option<&str>) -> Result<Imported, String> {
    let spec = Spec::read(source.name, source.text)?;
    let version = spec.root().get("openapi").and_then(|it| it.text().map(str::to_owned));
    match version.as_deref() {
        Some(version) if version.starts_with("3.") => {}
        Some(version) => {
            return Err(format!("{}: OpenAPI {version}; 3.0 and 3.1 are known", source.name));
        }
        None if spec.root().get("swagger").is_some() => {
            return Err(format!("{}: Swagger 2.0; convert it to OpenAPI 3 first", source.name));
        }
        None => return Err(format!("{}: there is no `openapi: 3.…` in it", source.name)),
    }
    let mut import = Import {
        spec: &spec,
        report: Report::new(source.name),
        doc: Document::default(),
        names: Names::default(),
        security: Security::default(),
        base: String::new(),
        upstream: String::new(),
    };
    let head = format!(
        "Made from {} by `tidegate import`. `tidegate test` runs the tests below.",
        source.name
    );
    import.doc.head.push(head);
    servers::write(&mut import, to)?;
    operations::write(&mut import);
    import.listen();
    if import.doc.routes.is_empty() {
        let mut entry = Entry::new("nothing");
        entry.key("respond", "404");
        import.doc.routes.push(entry);
    }
    let text = import.doc.text()?;
    import.report.findings.sort_by_key(|it| it.line);
    Ok(Imported { text, findings: import.report.findings })
}
