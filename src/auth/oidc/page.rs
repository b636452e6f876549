//! What a browser is answered by the login itself: to go somewhere, or a small page. None of it may be
//! kept, and none of it tells the next site where the browser was, for that URL has the code in it.

use http::{
    HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

use super::super::{Denied, Fields, Meaning, Refused, Step};
use crate::{body::Body, layers::Response};

/// What a page offers to do next.
pub(crate) enum Next<'t> {
    /// A link.
    Go { to: &'t str, text: &'t str },
    /// A button that posts to this very URL.
    Post { text: &'t str },
}

/// Nothing is loaded, nothing frames it, and the form posts to this host, from where a provider may
/// send the browser on: `form-action` would stop that.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
                   base-uri 'none'";

/// Sends the browser somewhere, with these fields.
pub(crate) fn go(to: &str, step: Step, fields: Fields) -> Refused {
    let Ok(to) = HeaderValue::from_str(to) else {
        let why = Meaning::No(Denied::wrong("bad_location"));
        return page(StatusCode::BAD_REQUEST, why, "This cannot be opened", "", None, fields);
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, to);
    finish(response, Meaning::Step(step), fields)
}

/// Shows a page.
pub(crate) fn page(
    status: StatusCode,
    meaning: Meaning,
    title: &str,
    text: &str,
    next: Option<&Next<'_>>,
    fields: Fields,
) -> Refused {
    let next = match next {
        None => String::new(),
        Some(Next::Go { to, text }) => {
            format!("<p><a href=\"{}\">{}</a></p>\n", escape(to), escape(text))
        }
        Some(Next::Post { text }) => {
            format!("<form method=\"post\"><button>{}</button></form>\n", escape(text))
        }
    };
    let (title, text) = (escape(title), escape(text));
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>body{{font:1.1em/1.5 sans-serif;max-width:34em;margin:12vh auto;padding:0 1em}}</style>\n\
         <h1>{title}</h1>\n<p>{text}</p>\n{next}</html>\n"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    finish(response, meaning, fields)
}

fn finish(mut response: Response, meaning: Meaning, fields: Fields) -> Refused {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for (name, value) in fields {
        headers.append(name, value);
    }
    Refused::Answer(Box::new(response), meaning)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
