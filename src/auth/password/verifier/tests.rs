//! What is verified, when and how often. Where it matters what runs, the test decides how long it
//! does.

use std::{collections::BTreeSet, thread};

use parking_lot::Condvar;
use proptest::prelude::*;
use tokio::{task::JoinHandle, time};

use super::*;

const CAROL: &str = "$2y$04$LnIL1O30JXFTN/qriSZHs.mGUR11M09ir9xEe2aYUaW69NYE67NZe";
const ARGON2: &str = "$argon2id$v=19$m=64,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$\
                      CCkaoyYuGSSwJKlE+papjyKK+YzkNRFOdRn/qDfY4LQ";
const LIFE: Duration = Duration::from_secs(300);

fn limits(running: usize) -> Limits {
    Limits::for_cores(NonZeroUsize::new(running).unwrap())
}

fn users() -> Arc<Users> {
    Arc::new(Users::new([("carol", CAROL), ("dora", ARGON2)]).unwrap())
}

/// What runs, and whether it may end.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    open: bool,
    running: usize,
    most: usize,
    passwords: Vec<String>,
}

/// Verifications that begin when they like and end when the test says so. Every password that
/// begins with `right` is right.
struct Scene {
    passwords: Arc<Passwords>,
    users: Arc<Users>,
    gate: Arc<Gate>,
    now: Instant,
}

impl Scene {
    fn new(limits: Limits) -> Self {
        let gate = Arc::new(Gate::default());
        let inner = Arc::clone(&gate);
        let check = move |_: &Hash, password: &str| {
            let mut state = inner.state.lock();
            state.passwords.push(password.to_owned());
            state.running += 1;
            state.most = state.most.max(state.running);
            inner.changed.wait_while(&mut state, |state| !state.open);
            state.running -= 1;
            drop(state);
            assert!(!password.contains("panic"), "as was wished");
            if password.contains("memory") {
                Err(OutOfMemory)
            } else {
                Ok(password.starts_with("right"))
            }
        };
        let passwords = Arc::new(Passwords::with(limits, Handle::current(), check));
        Self { passwords, users: users(), gate, now: Instant::now() }
    }

    fn open(limits: Limits) -> Self {
        let scene = Self::new(limits);
        scene.release();
        scene
    }

    fn release(&self) {
        self.gate.state.lock().open = true;
        self.gate.changed.notify_all();
    }

    async fn verify(&self, user: &str, password: &str) -> Verdict {
        self.passwords.verify(&self.users, user, password, self.now).await
    }

    /// The same beside this test, up to where it waits.
    async fn begin(&self, user: &str, password: &str) -> JoinHandle<Verdict> {
        let (passwords, users, now) =
            (Arc::clone(&self.passwords), Arc::clone(&self.users), self.now);
        let (user, password) = (user.to_owned(), password.to_owned());
        let task =
            tokio::spawn(async move { passwords.verify(&users, &user, &password, now).await });
        time::sleep(Duration::from_millis(20)).await;
        task
    }

    fn ran(&self) -> usize {
        self.gate.state.lock().passwords.len()
    }

    fn most(&self) -> usize {
        self.gate.state.lock().most
    }

    /// Nothing is left behind.
    #[track_caller]
    fn is_idle(&self) {
        let state = self.passwords.shared.state.lock();
        assert!(state.flights.is_empty() && state.crowds.is_empty());
        let slots = self.passwords.shared.slots.available_permits();
        assert_eq!(slots, self.passwords.shared.limits.running.get());
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.release();
    }
}

#[tokio::test]
async fn real_hashes() {
    let (passwords, users, now) =
        (Passwords::new(limits(2), Handle::current()), users(), Instant::now());
    let verify = |user, password| passwords.verify(&users, user, password, now);
    for _ in 0..2 {
        assert_eq!(verify("carol", "pässwörd").await, Verdict::Good);
        assert_eq!(verify("dora", "correct horse").await, Verdict::Good);
        assert_eq!(verify("dora", "pässwörd").await, Verdict::Bad);
        assert_eq!(verify("carol", "").await, Verdict::Bad);
        assert_eq!(verify("Carol", "pässwörd").await, Verdict::Bad);
    }
    let nobody = Users::new([]).unwrap();
    assert_eq!(passwords.verify(&nobody, "carol", "pässwörd", now).await, Verdict::Bad);
}

#[tokio::test]
async fn what_was_right_is_known_for_a_while_and_what_was_wrong_is_not() {
    let mut scene = Scene::open(limits(2));
    for _ in 0..3 {
        assert_eq!(scene.verify("carol", "right").await, Verdict::Good);
    }
    assert_eq!(scene.ran(), 1);
    // Another user, another password.
    assert_eq!(scene.verify("dora", "right").await, Verdict::Good);
    assert_eq!(scene.verify("carol", "right too").await, Verdict::Good);
    assert_eq!(scene.ran(), 3);
    for _ in 0..3 {
        assert_eq!(scene.verify("carol", "wrong").await, Verdict::Bad);
    }
    assert_eq!(scene.ran(), 6);
    scene.now += LIFE - Duration::from_millis(1);
    assert_eq!(scene.verify("carol", "right").await, Verdict::Good);
    assert_eq!(scene.ran(), 6);
    scene.now += Duration::from_millis(1);
    assert_eq!(scene.verify("carol", "right").await, Verdict::Good);
    assert_eq!(scene.ran(), 7);
    scene.is_idle();
}

#[tokio::test]
async fn a_reload_forgets_what_has_another_hash() {
    let mut scene = Scene::open(limits(2));
    scene.verify("carol", "right").await;
    scene.users = users();
    assert_eq!((scene.verify("carol", "right").await, scene.ran()), (Verdict::Good, 1));
    scene.users = Arc::new(Users::new([("carol", ARGON2)]).unwrap());
    assert_eq!((scene.verify("carol", "right").await, scene.ran()), (Verdict::Good, 2));
    scene.users = Arc::new(Users::new([("dora", ARGON2)]).unwrap());
    assert_eq!((scene.verify("carol", "right").await, scene.ran()), (Verdict::Bad, 3));
}

/// Even what its dummy should say is right is not, and it is never kept.
#[tokio::test]
async fn who_is_not_there_is_verified_like_the_others() {
    let scene = Scene::open(limits(2));
    for ran in 1..4 {
        assert_eq!(scene.verify("nobody", "right").await, Verdict::Bad);
        assert_eq!(scene.ran(), ran);
    }
}

#[tokio::test]
async fn the_same_pair_is_verified_once_at_a_time() {
    let scene = Scene::new(limits(8));
    let mut tasks = Vec::new();
    for (user, password) in [("carol", "right"), ("carol", "wrong"), ("nobody", "right")] {
        for _ in 0..5 {
            tasks.push(scene.begin(user, password).await);
        }
    }
    assert_eq!(scene.ran(), 3);
    scene.release();
    for (number, task) in tasks.into_iter().enumerate() {
        let good = if number < 5 { Verdict::Good } else { Verdict::Bad };
        assert_eq!(task.await.unwrap(), good, "{number}");
    }
    assert_eq!(scene.ran(), 3);
    scene.is_idle();
}

#[tokio::test]
async fn so_many_run_so_many_wait_and_the_others_are_told() {
    let scene = Scene::new(Limits { waiting: 8, ..limits(3) });
    let mut tasks = Vec::new();
    for number in 0..11 {
        tasks.push(scene.begin(&format!("user{number}"), "right").await);
    }
    assert_eq!(scene.ran(), 3);
    assert_eq!(scene.verify("carol", "right").await, Verdict::Busy);
    assert_eq!(scene.verify("nobody", "wrong").await, Verdict::Busy);
    // Who comes along needs no place.
    tasks.push(scene.begin("user7", "right").await);
    assert!(!tasks[11].is_finished());
    scene.release();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Verdict::Bad);
    }
    assert_eq!((scene.ran(), scene.most()), (11, 3));
    assert_eq!(scene.verify("carol", "right").await, Verdict::Good);
    scene.is_idle();
}

#[tokio::test]
async fn one_name_does_not_take_all() {
    for user in ["carol", "nobody"] {
        let scene = Scene::new(Limits { waiting: 16, ..limits(4) });
        let mut tasks = Vec::new();
        // Half of the slots, and an eighth of those who wait.
        for number in 0..4 {
            tasks.push(scene.begin(user, &format!("wrong {number}")).await);
        }
        assert_eq!(scene.ran(), 2);
        assert_eq!(scene.verify(user, "right").await, Verdict::Busy);
        // Others come past those who wait.
        tasks.push(scene.begin("dora", "wrong").await);
        assert_eq!(scene.ran(), 3);
        scene.release();
        for task in tasks {
            assert_eq!(task.await.unwrap(), Verdict::Bad);
        }
        scene.is_idle();
    }
    // Of one slot that is one, and others are next.
    let scene = Scene::new(Limits { waiting: 7, ..limits(1) });
    let _first = scene.begin("carol", "wrong 1").await;
    assert_eq!(scene.verify("carol", "wrong 2").await, Verdict::Busy);
    let second = scene.begin("dora", "right").await;
    scene.release();
    assert_eq!(second.await.unwrap(), Verdict::Good);
}

#[tokio::test]
async fn nothing_is_done_for_who_has_gone() {
    let scene = Scene::new(limits(1));
    let first = scene.begin("carol", "wrong").await;
    let gone = scene.begin("dora", "right").await;
    gone.abort();
    // One goes, one that came along stays.
    let left = scene.begin("erin", "wrong").await;
    let stays = scene.begin("erin", "wrong").await;
    left.abort();
    let _ = (gone.await, left.await);
    scene.release();
    assert_eq!((first.await.unwrap(), stays.await.unwrap()), (Verdict::Bad, Verdict::Bad));
    assert_eq!(scene.gate.state.lock().passwords, ["wrong", "wrong"]);
    // What was given up can be asked again.
    assert_eq!(scene.verify("dora", "right").await, Verdict::Good);
    scene.is_idle();
}

/// A verification that runs is not stopped: it keeps its slot, and what it found is kept.
#[tokio::test]
async fn what_runs_ends() {
    let scene = Scene::new(limits(1));
    let gone = scene.begin("carol", "right").await;
    gone.abort();
    let _ = gone.await;
    let next = scene.begin("dora", "right").await;
    assert_eq!(scene.ran(), 1);
    scene.release();
    assert_eq!(next.await.unwrap(), Verdict::Good);
    assert_eq!((scene.verify("carol", "right").await, scene.ran()), (Verdict::Good, 2));
}

#[tokio::test]
async fn what_cannot_be_found_out_is_not_wrong() {
    let scene = Scene::open(limits(1));
    for password in ["no memory", "panic"] {
        assert_eq!(scene.verify("carol", password).await, Verdict::Busy);
    }
    assert_eq!(scene.verify("carol", "right").await, Verdict::Good);
    scene.is_idle();
}

#[test]
fn it_runs_where_it_was_told_to() {
    let runtime = |name: &str| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .build()
            .unwrap()
    };
    let (control, worker) = (runtime("control"), runtime("worker"));
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let inner = Arc::clone(&seen);
    let check = move |_: &Hash, _: &str| {
        inner.lock().insert(thread::current().name().unwrap_or_default().to_owned());
        Ok(true)
    };
    let passwords = Passwords::with(limits(1), control.handle().clone(), check);
    let (users, now) = (users(), Instant::now());
    let verdict = worker.block_on(passwords.verify(&users, "carol", "right", now));
    assert_eq!(verdict, Verdict::Good);
    assert_eq!(*seen.lock(), BTreeSet::from(["control".to_owned()]));
    // Where nothing runs any more nobody waits for ever, and what is known is known.
    drop(control);
    let verdict = worker.block_on(passwords.verify(&users, "dora", "right", now));
    assert_eq!(verdict, Verdict::Busy);
    let verdict = worker.block_on(passwords.verify(&users, "carol", "right", now));
    assert_eq!(verdict, Verdict::Good);
}

#[tokio::test]
async fn no_more_than_its_bound_are_kept() {
    let scene = Scene::open(Limits { recent: 2, ..limits(2) });
    for password in ["right 1", "right 2", "right 3"] {
        scene.verify("carol", password).await;
    }
    assert_eq!(scene.ran(), 3);
    scene.verify("carol", "right 3").await;
    assert_eq!(scene.ran(), 3);
    scene.verify("carol", "right 1").await;
    assert_eq!(scene.ran(), 4);
    let shown = format!("{:?}", scene.passwords);
    assert!(shown.starts_with("Passwords { limits: ") && !shown.contains("right"), "{shown}");
}

proptest! {
    #[test]
    fn each_part_counts(
        one in proptest::collection::vec("[ab]{0,3}", 3), two in proptest::collection::vec("[ab]{0,3}", 3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let passwords = Passwords::new(limits(1), runtime.handle().clone());
        let tag = |parts: &[String]| {
            let parts: Vec<_> = parts.iter().map(String::as_bytes).collect();
            passwords.shared.tag(&parts)
        };
        prop_assert_eq!(tag(&one) == tag(&two), one == two);
        // In another process it is another one.
        let other = Passwords::new(limits(1), runtime.handle().clone());
        prop_assert_ne!(tag(&one), other.shared.tag(&[one[0].as_bytes(), one[1].as_bytes(), one[2].as_bytes()]));
    }
}
