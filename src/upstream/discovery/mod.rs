//! Endpoints found elsewhere: a source says which there are now, and the upstream is made anew of
//! them. Everything here runs on control; requests only see the upstream that came of it.

pub(crate) mod dns;
pub(crate) mod etcd;
pub(crate) mod file;

use crate::config::model::Endpoint;

/// Something that knows the endpoints of one upstream: DNS, a file, etcd.
pub(crate) trait Source: Send + 'static {
    /// The endpoints there are. The first call waits for an answer, later ones until they may have
    /// changed: a watch tells, or the time has come to ask again. A call that was given up begins
    /// anew with the next; so does one after a failure, and it may connect to somewhere else. The
    /// caller makes the pause between failures.
    fn next(&mut self) -> impl Future<Output = Result<Set, Failure>> + Send;
}

/// What a source says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Set {
    /// The endpoints, in any order, each name once.
    pub(crate) endpoints: Vec<Endpoint>,
    /// What the source holds that is no endpoint, each with the reason. The others count.
    pub(crate) refused: Vec<String>,
}

/// Why a source does not answer, on one line, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) String);
