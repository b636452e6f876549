//! `servers`: where requests go, and what paths begin with.

use super::{
    super::{names::slug, report::At, write::Entry},
    Import, spec,
};

/// Where requests go until somebody says it; nobody is there.
const NOBODY: &str = "http://service.invalid";

/// Writes the upstream, and says what paths begin with.
///
/// # Errors
/// `--to` is no address of a service.
pub(super) fn write(import: &mut Import<'_>, to: Option<&str>) -> Result<(), String> {
    let document = import.spec;
    let servers = document.root().get("servers").map(|it| it.items()).unwrap_or_default();
    let title = document.root().get("info").and_then(|it| it.text_at("title"));
    let name = slug(title.as_deref().unwrap_or("service"));
    let mut entry = Entry::new(name.clone());
    let at = servers.first().map_or_else(At::default, |it| document.at(*it));
    let url = servers.first().and_then(|it| Some(filled(import, *it, &it.text_at("url")?)));
    let url = url.unwrap_or_else(|| "/".to_owned());
    if let Some(second) = servers.get(1) {
        let url = second.text_at("url").unwrap_or_default();
        let what = format!("{} servers", servers.len());
        let todo = format!("here it is the first; write others, like {url}, as upstreams");
        entry.comment(import.report.todo(document.at(*second), what, todo));
    }
    let (origin, path) = split(&url);
    import.base = path.trim_end_matches('/').to_owned();
    let (endpoint, of_document) = match (to, origin) {
        (Some(to), _) => (
            endpoint(to)
                .ok_or_else(|| format!("`--to {to}`: an address like http://127.0.0.1:3000"))?,
            false,
        ),
        (None, Some(origin)) => match endpoint(origin) {
            Some(endpoint) => (endpoint, true),
            None => (nowhere(import, &mut entry, at, &url), false),
        },
        (None, None) => (nowhere(import, &mut entry, at, &url), false),
    };
    entry.key("endpoints", endpoint);
    if of_document {
        // Its own name, not the one clients know the gateway by.
        entry.key("host_header", "upstream");
    }
    import.doc.upstreams.push(entry);
    import.upstream = name;
    Ok(())
}

fn nowhere(import: &mut Import<'_>, entry: &mut Entry, at: At, url: &str) -> String {
    let at = if at.line == 0 { At { file: 0, line: 1 } } else { at };
    let what = format!("no address of a service in `servers` (`{url}`)");
    entry.comment(import.report.todo(at, what, "say `--to http://host:port`, or write it here"));
    NOBODY.to_owned()
}

/// A URL with the defaults of its variables.
fn filled(import: &mut Import<'_>, server: spec::Value<'_>, url: &str) -> String {
    let mut url = url.to_owned();
    let variables = server.get("variables");
    for entry in variables.as_ref().map(|it| it.entries()).unwrap_or_default() {
        let value = spec::value(entry);
        let Some(default) = value.text_at("default") else { continue };
        let named = format!("{{{}}}", entry.key);
        if url.contains(&named) {
            url = url.replace(&named, &default);
            import.doc.head.push(format!(
                "{}: the variable `{}` of the server is `{default}`",
                import.report.place(import.spec.key_at(entry)),
                entry.key
            ));
        }
    }
    url
}

/// `https://host/v1` as `https://host` and `/v1`.
fn split(url: &str) -> (Option<&str>, &str) {
    let Some(at) = url.find("://") else {
        return (None, if url.starts_with('/') { url } else { "" });
    };
    let slash = url[at + 3..].find('/').map_or(url.len(), |slash| at + 3 + slash);
    (Some(&url[..slash]), &url[slash..])
}

/// An address of a service, if it is one.
fn endpoint(text: &str) -> Option<String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    crate::config::endpoint("--to", text).ok().map(|_| text.to_owned())
}
