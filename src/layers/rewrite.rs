//! `strip_prefix` and `rewrite`: the path the upstream sees. The result is made canonical again; a
//! path that would climb out of its prefix is refused. Shape zone.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{Either, Ready, ready};
use http::Uri;
use tower::{Layer, Service};

use super::{Request, Response};
use crate::{
    error::{Error, Reason},
    layers::template::Template,
    routing::{Normalize, canonical, strip_segments},
    telemetry::exchange::Exchange,
};

/// How a path changes, checked while loading.
#[derive(Clone, Debug)]
pub enum Rewrite {
    /// Take this off the front.
    Strip(Box<str>),
    /// Take the literal front of the pattern that matched off.
    StripLiteral,
    /// Build it from what the pattern captured.
    Template(Template),
}

/// Rewrites paths.
#[derive(Clone, Debug)]
pub struct RewriteLayer {
    rewrite: Arc<Rewrite>,
    rules: Normalize,
}

/// The service of [`RewriteLayer`].
#[derive(Clone, Debug)]
pub struct RewritePath<S> {
    inner: S,
    layer: RewriteLayer,
}

// === impl RewriteLayer ===

impl RewriteLayer {
    /// A layer for one route.
    pub fn new(rewrite: Rewrite, rules: Normalize) -> Self {
        Self { rewrite: Arc::new(rewrite), rules }
    }

    /// Changes the path, or says why it cannot be.
    pub(crate) fn rewrite(&self, request: &mut Request) -> Result<(), Error> {
        let exchange = request.extensions().get::<Arc<Exchange>>();
        let path = request.uri().path();
        let pattern = exchange.and_then(|exchange| exchange.pattern.as_ref());
        let next = match &*self.rewrite {
            Rewrite::Strip(prefix) => strip(path, prefix),
            Rewrite::StripLiteral => {
                strip(path, &pattern.map_or_else(String::new, |pattern| pattern.literal_prefix()))
            }
            Rewrite::Template(template) => {
                let captures = pattern.and_then(|pattern| pattern.capture(path));
                template.render(|name| captures.as_ref().and_then(|found| found.get(name)))
            }
        };
        let next = canonical(&next, self.rules)
            .map_err(|error| Error::new(Reason::BadPath, format!("after the rewrite: {error}")))?;
        let target = match request.uri().query() {
            Some(query) => format!("{next}?{query}"),
            None => next.into_owned(),
        };
        let uri = Uri::try_from(target)
            .map_err(|_| Error::new(Reason::BadPath, "the rewritten path is no path"))?;
        *request.uri_mut() = uri;
        Ok(())
    }
}

/// `/orders/7` without `/orders` is `/7`; without itself a path is `/`.
fn strip(path: &str, prefix: &str) -> String {
    let rest = strip_segments(path, prefix).unwrap_or(path);
    if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") }
}

impl<S> Layer<S> for RewriteLayer {
    type Service = RewritePath<S>;

    fn layer(&self, inner: S) -> RewritePath<S> {
        RewritePath { inner, layer: self.clone() }
    }
}

// === impl RewritePath ===

impl<S> Service<Request> for RewritePath<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Response = Response;
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<Response, Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match self.layer.rewrite(&mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_off_by_whole_segments() {
        for (path, prefix, expected) in [
            ("/orders/7", "/orders", "/7"),
            ("/orders", "/orders", "/"),
            ("/orders/", "/orders", "/"),
            ("/orders;v=1/7", "/orders", "/7"),
            ("/a/b/c", "/a/b", "/c"),
            ("/ordersx/7", "/orders", "/ordersx/7"),
            ("/x", "", "/x"),
            ("/x", "/", "/x"),
        ] {
            assert_eq!(strip(path, prefix), expected, "{path} {prefix}");
        }
    }
}
