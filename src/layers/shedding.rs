//! Whether a request is refused because the gateway as a whole has too much to do (`server/overload`). Not a
//! layer: the boundary asks where the class of a route is fixed, and `concurrency` where it has to be
//! looked up first.

use std::sync::Arc;

use http::{HeaderValue, header::CONNECTION};

use crate::{
    config::model::Class,
    error::{Error, Reason},
    server::overload::Overload,
    telemetry::metrics::RouteMetrics,
};

/// What a route needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Shedding {
    overload: Arc<Overload>,
    metrics: Arc<RouteMetrics>,
}

// === impl Shedding ===

impl Shedding {
    pub(crate) fn new(overload: Arc<Overload>, metrics: Arc<RouteMetrics>) -> Self {
        Self { overload, metrics }
    }

    /// Refuses a request of this class if there is too much to do for it.
    #[inline]
    pub(crate) fn check(&self, class: Class) -> Result<(), Error> {
        if self.overload.sheds(class) { Err(self.refuse(class)) } else { Ok(()) }
    }

    #[cold]
    fn refuse(&self, class: Class) -> Error {
        self.metrics.shed(class, "overload");
        let (resource, pressure) = self.overload.scarcest();
        let (class, resource) = (class.word(), resource.word());
        let detail = format!("class {class}: {:.0} % of {resource} is used up", pressure * 100.0);
        let error = Error::new(Reason::Overloaded, detail);
        if self.overload.frees() {
            // The connection is what there are too many of, or holds it. HTTP/2 does not know the field.
            return error.header(CONNECTION, HeaderValue::from_static("close"));
        }
        error
    }
}
