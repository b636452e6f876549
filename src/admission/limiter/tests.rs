//! Places, queues and classes of a limiter, alone and with many threads.

use std::{pin::pin, sync::atomic::AtomicBool, task::Poll};

use futures_util::poll;

use super::*;
use crate::config::model;

const SECOND: Duration = Duration::from_secs(1);

fn limiter(limit: usize, queue: usize) -> Arc<Limiter> {
    let settings = Settings { bound: Bound::Fixed(limit), queue: Some(queue) };
    Arc::new(Limiter::new(settings, Instant::now()))
}

fn is_waiting<T>(poll: &Poll<T>) -> bool {
    poll.is_pending()
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_requests_wait_and_beyond_the_queue_they_are_refused() {
    let it = limiter(1, 1);
    let first = it.try_enter().expect("free");
    let mut second = pin!(it.enter(Class::Normal, SECOND));
    assert!(is_waiting(&poll!(&mut second)));
    assert_eq!(it.enter(Class::Normal, SECOND).await.unwrap_err(), Shed::Full);
    assert!(it.try_enter().is_none());
    drop(first);
    assert!(it.try_enter().is_none(), "it is taken by the one who waited");
    let second = second.await.expect("its turn");
    assert_eq!((it.in_flight(), it.waiting()), (1, 0));
    assert_eq!(it.enter(Class::Normal, SECOND).await.unwrap_err(), Shed::Late);
    assert_eq!(it.waiting(), 0, "who is late has left");
    drop(second);
    assert!(it.try_enter().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_higher_class_goes_first_and_pushes_out_the_lower_one() {
    let it = limiter(1, 2);
    let held = it.try_enter().expect("free");
    let mut low = pin!(it.enter(Class::Low, SECOND));
    let mut normal = pin!(it.enter(Class::Normal, SECOND));
    let mut high = pin!(it.enter(Class::High, SECOND));
    assert!(is_waiting(&poll!(&mut low)) && is_waiting(&poll!(&mut normal)));
    assert!(is_waiting(&poll!(&mut high)));
    assert_eq!(low.await.unwrap_err(), Shed::Outranked);
    assert_eq!(it.enter(Class::Low, SECOND).await.unwrap_err(), Shed::Full);
    drop(held);
    assert!(is_waiting(&poll!(&mut normal)));
    let held = high.await.expect("first");
    drop(held);
    assert!(normal.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_and_a_place_given_to_nobody_comes_back() {
    let it = limiter(1, 8);
    let held = it.try_enter().expect("free");
    {
        let mut gone = Box::pin(it.enter(Class::Normal, SECOND));
        assert!(is_waiting(&poll!(&mut gone)));
        assert_eq!(it.waiting(), 1);
    }
    assert_eq!(it.waiting(), 0);
    // Given a place, and gone before it knew.
    let mut gone = Box::pin(it.enter(Class::Normal, SECOND));
    assert!(is_waiting(&poll!(&mut gone)));
    let mut next = pin!(it.enter(Class::Normal, SECOND));
    assert!(is_waiting(&poll!(&mut next)));
    drop(held);
    drop(gone);
    drop(next.await.expect("the place of the one that is gone"));
    assert_eq!((it.in_flight(), it.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_that_grows_lets_those_who_wait_in() {
    let adaptive = model::Adaptive { min: 1, max: 50, tolerance: 0.25, probe: 30 * SECOND };
    let settings = Settings { bound: Bound::Adaptive(adaptive), queue: None };
    let it = Arc::new(Limiter::new(settings, Instant::now()));
    assert_eq!(it.limit(), 1, "it begins with a look at the service");
    let mut waiting: Vec<_> =
        (0..3).map(|_| Box::pin(it.enter(Class::Normal, 100 * SECOND))).collect();
    let mut first = Box::pin(it.enter(Class::Normal, SECOND)).await.expect("free");
    for one in &mut waiting {
        assert!(is_waiting(&poll!(one)));
    }
    for _ in 0..9 {
        tokio::time::advance(Duration::from_millis(5)).await;
        it.saw(Answer::After(Duration::from_millis(5)), Instant::now());
    }
    first.answered(Some(Duration::from_millis(5)), StatusCode::OK);
    assert_eq!(it.limit(), 20);
    assert!(it.baseline() > Some(Duration::from_millis(4)));
    for one in waiting {
        one.await.expect("there is room now").is_no_measure();
    }
    drop(first);
    assert_eq!(it.in_flight(), 0);
}

/// Many threads, with patience that often ends: never more than the limit, nobody is forgotten, and
/// nothing is left at the end.
#[test]
fn threads_share_it() {
    let it = limiter(3, 64);
    let inside = Arc::new(AtomicUsize::new(0));
    let broken = Arc::new(AtomicBool::new(false));
    let passed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let (it, inside, broken, passed) = (&it, &inside, &broken, &passed);
            scope.spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut all = Vec::new();
                    for number in 0..300usize {
                        let (it, inside, broken) =
                            (Arc::clone(it), Arc::clone(inside), Arc::clone(broken));
                        all.push(tokio::spawn(async move {
                            let class = Class::ALL[(thread + number) % 3];
                            let patience = Duration::from_micros((number % 7) as u64 * 3000);
                            let Ok(_permit) = it.enter(class, patience).await else { return false };
                            let count = inside.fetch_add(1, SeqCst) + 1;
                            broken.fetch_or(count > 3, SeqCst);
                            tokio::task::yield_now().await;
                            inside.fetch_sub(1, SeqCst);
                            true
                        }));
                    }
                    for one in all {
                        passed.fetch_add(usize::from(one.await.unwrap()), SeqCst);
                    }
                });
            });
        }
    });
    assert!(!broken.load(SeqCst), "more than three were inside");
    assert_eq!((it.in_flight(), it.waiting()), (0, 0));
    // How many depends on when the threads take turns; none would prove nothing.
    assert!(passed.load(SeqCst) > 10, "{passed:?}");
    assert!(it.try_enter().is_some());
}
