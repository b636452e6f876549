//! The tasks that follow the sources of endpoints: one per upstream with `discover`, on the control
//! runtime. After each reload they are brought in line with what runs now. The last known endpoints
//! stay while a source is away.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{Context, found::renew};
use crate::{
    config::model::{Discover, Endpoint, Name},
    gateway::Gateway,
    upstream::{
        Current,
        current::Found,
        discovery::{Failure, Set, Source, dns::Dns, etcd::Etcd, file::EndpointsFile},
        dns::pause,
        health::checker::Checks,
    },
};

/// All sources that are followed, and what has to know when endpoints change.
#[derive(Debug)]
pub(super) struct Discovery {
    handle: Handle,
    context: Context,
    gateway: Arc<Gateway>,
    checks: Checks,
    running: Mutex<HashMap<Name, Running>>,
    /// One at a time brings the checks in line with what runs.
    aligning: Mutex<()>,
}

/// A task. It ends when this is dropped.
#[derive(Debug)]
struct Running {
    followed: Arc<Followed>,
    task: JoinHandle<()>,
}

/// One source and the upstream it is for.
#[derive(Debug)]
struct Followed {
    source: Discover,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// A reload makes another.
    found: Arc<Found>,
    /// What the source said last.
    said: Option<Set>,
}

/// The longest pause before a file is looked at again that could not be read.
const FILE_PAUSE: Duration = Duration::from_secs(1);

// === impl Discovery ===

impl Discovery {
    /// Follows nothing yet. Tasks will run on `handle`.
    pub(super) fn new(handle: Handle, context: Context, gateway: Arc<Gateway>) -> Arc<Self> {
        Arc::new(Self {
            checks: Checks::new(handle.clone()),
            handle,
            context,
            gateway,
            running: Mutex::default(),
            aligning: Mutex::default(),
        })
    }

    /// Follows the sources of what runs now, and nothing else; names are looked up and endpoints
    /// checked likewise.
    pub(super) fn follow(self: &Arc<Self>) {
        let mut running = self.running.lock();
        let mut before = std::mem::take(&mut *running);
        for (name, upstream) in &self.gateway.current().upstreams {
            let metrics = Arc::clone(&upstream.get().care.learned.metrics);
            let Current::Found(found) = upstream else {
                metrics.not_discovered();
                continue;
            };
            metrics.discovered(found.upstream.load().endpoints.len());
            let Some(source) = &found.settings.discover else { continue };
            let same = before.remove(name).filter(|old| old.goes_on_with(source));
            let task = match same {
                Some(task) => {
                    self.hand_over(&task.followed, found);
                    task
                }
                None => self.start(found, source),
            };
            running.insert(Arc::clone(name), task);
        }
        drop(running);
        // Outside the lock: their tasks may be about to take it.
        drop(before);
        self.align();
    }

    /// Stops everything.
    pub(super) fn end(&self) {
        self.running.lock().clear();
        self.checks.end();
    }

    /// What was said since the new one was compiled counts for it.
    fn hand_over(&self, followed: &Followed, found: &Arc<Found>) {
        let mut state = followed.state.lock();
        state.found = Arc::clone(found);
        if let Some(said) = &state.said {
            renew(found, said.endpoints.clone(), &self.context);
        }
    }

    /// Looks names up and checks endpoints as what runs now wants it.
    fn align(&self) {
        let _one = self.aligning.lock();
        self.context.resolver.start();
        self.checks.follow(&self.gateway.current().upstreams);
    }

    fn start(self: &Arc<Self>, found: &Arc<Found>, source: &Discover) -> Running {
        let state = Mutex::new(State { found: Arc::clone(found), said: None });
        let followed = Arc::new(Followed { source: source.clone(), state });
        let task = Arc::clone(&followed);
        let all = Arc::downgrade(self);
        let task = match source {
            Discover::Dns(dns) => {
                let source = Dns::new(dns, &self.context.resolver);
                self.handle.spawn(task.run(source, all))
            }
            Discover::File(path) => {
                self.handle.spawn(task.run(EndpointsFile::new(path.value.clone()), all))
            }
            Discover::Etcd(etcd) => match Etcd::new(etcd) {
                Ok(source) => self.handle.spawn(task.run(source, all)),
                // It could be made when the configuration was compiled, a moment ago.
                Err(problems) => {
                    for problem in problems {
                        let upstream = &*found.name;
                        tracing::error!(upstream, error = problem.message, "etcd is not followed");
                    }
                    self.handle.spawn(std::future::ready(()))
                }
            },
        };
        Running { followed, task }
    }
}

// === impl Running ===

impl Running {
    /// Whether it follows this source already. A file was read when the configuration was compiled,
    /// and what its task knows may be older: that begins anew.
    fn goes_on_with(&self, source: &Discover) -> bool {
        let same = self.followed.source == *source && !self.task.is_finished();
        same && !matches!(source, Discover::File(_))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Followed ===

impl Followed {
    async fn run(self: Arc<Self>, mut source: impl Source, all: Weak<Discovery>) {
        let mut failures = 0;
        loop {
            let said = source.next().await;
            let Some(all) = all.upgrade() else { return };
            match said {
                Ok(set) => {
                    failures = 0;
                    self.learn(set, &all);
                }
                Err(failure) => {
                    failures += 1;
                    self.failed(&failure, failures == 1);
                    drop(all);
                    let pause = pause(failures);
                    let pause = match self.source {
                        Discover::File(_) => pause.min(FILE_PAUSE),
                        Discover::Dns(_) | Discover::Etcd(_) => pause,
                    };
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn learn(&self, set: Set, all: &Discovery) {
        let mut state = self.state.lock();
        let found = Arc::clone(&state.found);
        let upstream = &*found.name;
        let news = state.said.as_ref().is_none_or(|said| said.refused != set.refused);
        for refused in set.refused.iter().filter(|_| news) {
            tracing::warn!(upstream, refused, "not an endpoint");
        }
        let before = found.known.lock().clone().unwrap_or_default();
        let changed = renew(&found, set.endpoints.clone(), &all.context);
        if changed {
            let (more, less) = (without(&set.endpoints, &before), without(&before, &set.endpoints));
            let endpoints = set.endpoints.len();
            tracing::info!(upstream, endpoints, added = more, removed = less, "endpoints found");
        }
        let now = found.upstream.load();
        now.care.learned.metrics.discovery_said(changed, now.endpoints.len());
        state.said = Some(set);
        drop(state);
        if changed {
            all.align();
        }
    }

    /// What is known stays.
    fn failed(&self, failure: &Failure, first: bool) {
        let found = Arc::clone(&self.state.lock().found);
        let now = found.upstream.load();
        now.care.learned.metrics.discovery_failed();
        let (upstream, error, kept) = (&*found.name, &*failure.0, now.endpoints.len());
        // Said when it begins, not with every retry.
        if first {
            tracing::warn!(upstream, error, kept, "the source of endpoints does not answer");
        } else {
            tracing::debug!(upstream, error, kept, "the source of endpoints does not answer");
        }
    }
}

/// The names in one list that are not in another, for the log.
fn without(these: &[Endpoint], those: &[Endpoint]) -> String {
    let known: HashSet<&Name> = those.iter().map(|it| &it.url.value).collect();
    let missing = |it: &&Endpoint| !known.contains(&it.url.value);
    let names: Vec<&str> = these.iter().filter(missing).map(|it| &*it.url.value).collect();
    match names.len() {
        0..=20 => names.join(" "),
        more => format!("{} and {} more", names[..20].join(" "), more - 20),
    }
}
