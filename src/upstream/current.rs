//! An upstream as routes hold it. One whose endpoints the file names is what it is until the next
//! reload; one whose endpoints are found is made anew whenever its source says others. A request takes
//! what there is when it arrives, and keeps it to its end.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Upstream;
use crate::{
    config::model::{self, Name},
    error::{Error, Reason},
};

/// An upstream, whatever it is now.
#[derive(Clone, Debug)]
pub enum Current {
    /// Its endpoints are in the file.
    Fixed(Arc<Upstream>),
    /// Its endpoints are found elsewhere.
    Found(Arc<Found>),
}

/// An upstream whose endpoints are found.
#[derive(Debug)]
pub struct Found {
    pub(crate) name: Name,
    /// As the file has it: without endpoints.
    pub(crate) settings: model::Upstream,
    pub(crate) upstream: ArcSwap<Upstream>,
    /// The last known endpoints; none before the first answer.
    pub(crate) known: Mutex<Option<Vec<model::Endpoint>>>,
    /// Tells requests that wait for the first answer. The same over reloads.
    pub(crate) first: Arc<watch::Sender<bool>>,
}

/// What requests wait on that come before the first answer of a source.
#[derive(Clone, Debug)]
pub(crate) struct Awaited(pub(crate) watch::Receiver<bool>);

// === impl Current ===

impl Current {
    /// Does something with what it is now, for a moment only.
    #[inline]
    pub(crate) fn with<T>(&self, act: impl FnOnce(&Arc<Upstream>) -> T) -> T {
        match self {
            Self::Fixed(upstream) => act(upstream),
            Self::Found(found) => act(&found.upstream.load()),
        }
    }

    /// What it is now.
    pub fn get(&self) -> Arc<Upstream> {
        self.with(Arc::clone)
    }
}

// === impl Awaited ===

impl Awaited {
    /// Waits for the first endpoints that are found, as long as a request may wait for a connection.
    /// After that there is another upstream to be had.
    pub(crate) async fn wait(&self, of: &Upstream, limit: Option<Duration>) -> Result<(), Error> {
        let mut first = self.0.clone();
        let limit = limit.map_or(of.connect_timeout, |limit| limit.min(of.connect_timeout));
        match tokio::time::timeout(limit, first.wait_for(|answered| *answered)).await {
            Ok(Ok(_)) => Ok(()),
            // The sender is gone with the upstream: a reload has made another.
            Ok(Err(_)) | Err(_) => Err(unknown(of)),
        }
    }
}

fn unknown(of: &Upstream) -> Error {
    let detail = format!("the endpoints of {} are not known yet", of.name);
    Error::new(Reason::NoEndpoint, detail)
}
