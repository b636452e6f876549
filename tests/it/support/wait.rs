//! Waiting: a condition is polled until it holds or its deadline passes; a future runs on the
//! runtime shared by all tests, with a deadline.

use std::{future::Future, sync::LazyLock, time::Duration};

use tokio::{runtime::Runtime, time::Instant};

/// How long anything may take that should happen at once. Far beyond what a loaded machine needs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The runtime of the helpers that are asynchronous. It outlives every test.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime needs only threads and an epoll descriptor")
});

/// Runs a future to its end on the shared runtime; panics when it takes longer than a minute.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(async {
        tokio::time::timeout(3 * DEADLINE, future).await.expect("the test's future never ended")
    })
}

/// Starts a task on the shared runtime.
pub(crate) fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    RUNTIME.spawn(future)
}

/// Polls until there is a value; panics with `what` after [`DEADLINE`].
#[track_caller]
pub(crate) fn eventually<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    match within(DEADLINE, check) {
        Some(value) => value,
        None => panic!("waited {DEADLINE:?} in vain for: {what}"),
    }
}

/// Polls until the condition holds; panics with `what` after [`DEADLINE`].
#[track_caller]
pub(crate) fn until(what: &str, mut check: impl FnMut() -> bool) {
    eventually(what, || check().then_some(()));
}

/// Polls until there is a value or the time is over.
pub(crate) fn within<T>(limit: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = check() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        pause(Duration::from_millis(5));
    }
}

/// Lets time pass where time itself is what is tested (an idle tunnel, a slow upstream). Never a
/// substitute for waiting on a condition.
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
