//! The script in a real Redis, whose clock we set, beside the buckets of this process; and the names of keys.

use std::{
    cell::{Cell, RefCell},
    num::NonZeroU32,
    process::{Child, Command, Stdio},
    time::Duration,
};

use proptest::prelude::*;
use redis::{Connection, Value, cmd};
use tokio::time::Instant;

use super::{counted::SCRIPT, *};
use crate::{
    config::model::{KeyPart, Period, RateLimit, RedisNode, StoreKind, Window as Settings},
    limit::{
        Limiter, Now, Standing,
        stored::{Entries, Window},
        tests::rule,
    },
    telemetry::metrics::Metrics,
};

/// In front of the script: the last argument is the time, and no key expires.
const CLOCK: &str = "
local given, inner = ARGV[#ARGV], redis
ARGV[#ARGV] = nil
local redis = { call = function(what, ...)
  if what == 'TIME' then
    local second, micro = string.match(given, '(%d+) (%d+)')
    return { second, micro }
  elseif what == 'SET' then
    local key, value = ...
    return inner.call('SET', key, value)
  end
  return inner.call(what, ...)
end }
";

struct Server {
    child: Child,
    _home: tempfile::TempDir,
    connection: Connection,
}

impl Server {
    fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let socket = home.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
        command.arg(&socket).arg("--dir").arg(home.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!(
                "cannot start `redis-server` ({error}): install the Debian package `redis-server`"
            )
        });
        let client = redis::Client::open(format!("unix:{}", socket.display())).expect("a URL");
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            match client.get_connection() {
                Ok(connection) => return Self { child, _home: home, connection },
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn run(&mut self, key: &str, what: [&str; 4], windows: &[Window], micros: u64) -> Vec<i64> {
        let mut command = cmd("EVAL");
        command.arg(format!("{CLOCK}{SCRIPT}")).arg(1).arg(key).arg(&what);
        for (kind, one, all) in windows.iter().map(Window::described) {
            command.arg(kind.to_string()).arg(one).arg(all);
        }
        command.arg(format!("{} {}", micros / 1_000_000, micros % 1_000_000));
        command.query(&mut self.connection).expect("the script runs")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("more than nothing")
}

fn windows() -> impl Strategy<Value = Vec<Settings>> {
    let flowing = (1_u32..50, 1_u64..10_000, 1_u32..20).prop_map(|(limit, millis, burst)| {
        let period = Period::Every(Duration::from_millis(millis));
        Settings { limit: number(limit), period, burst: number(burst) }
    });
    let calendar = (1_u32..30, prop::bool::ANY).prop_map(|(limit, day)| Settings {
        limit: number(limit),
        period: if day { Period::Day } else { Period::Month },
        burst: number(limit),
    });
    prop_oneof![
        flowing.clone().prop_map(|one| vec![one]),
        calendar.clone().prop_map(|one| vec![one]),
        (flowing, calendar).prop_map(|(one, two)| vec![one, two]),
    ]
}

/// How long until the next question: a moment, or up to some weeks.
fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![
        5 => 0_u64..3_000_000,
        1 => 0_u64..(40 * 86_400) * 1_000_000,
    ]
}

/// What the store says of each question is what the buckets of this process say of it.
#[test]
fn the_store_counts_as_this_process_does() {
    let (server, case) = (RefCell::new(Server::start()), Cell::new(0));
    let steps =
        prop::collection::vec((pause(), 0_u32..6, -3_i64..6, prop::bool::weighted(0.2)), 1..60);
    // From 1970 to 2100.
    let begins = 86_400_u64 * 1_000_000..4_102_444_800_000_000;
    let config = ProptestConfig { cases: 96, ..ProptestConfig::default() };
    proptest!(config, |(settings in windows(), begins in begins, steps in steps)| {
        case.set(case.get() + 1);
        let (key, mut server) = (format!("case:{}", case.get()), server.borrow_mut());
        let limiter = Limiter::new(&rule(settings.clone()));
        let there: Vec<Window> = settings.iter().map(Window::new).collect();
        let mut micros = begins;
        for (pause, cost, by, corrects) in steps {
            micros += pause;
            let now = Now { nanos: micros * 1000, unix: micros / 1_000_000 };
            if corrects {
                limiter.correct(7, by, now);
                server.run(&key, ["correct", &by.to_string(), "0", "0"], &there, micros);
                continue;
            }
            let mut expected = limiter.take(7, cost, now);
            // Who only looks is never refused there.
            expected.iter_mut().for_each(|window| window.refused &= cost > 0);
            let cost_text = cost.to_string();
            let said = server.run(&key, ["take", &cost_text, &cost_text, "0"], &there, micros);
            prop_assert_eq!(said[1], i64::try_from(now.unix).unwrap());
            let refuses = (cost > 0 && said[0] == 0).then_some(cost);
            let found: Vec<Standing> = there.iter().zip(&said[2..]).map(|(window, level)| {
                window.standing(u64::try_from(*level).unwrap(), refuses, now.unix)
            }).collect();
            prop_assert_eq!(&found[..], &expected[..], "{:?} at {}", settings, micros);
        }
    });
}

#[test]
fn some_are_taken_where_not_all_are_there_and_nothing_goes_into_another_day() {
    let mut server = Server::start();
    let day = Settings { limit: number(10), period: Period::Day, burst: number(10) };
    let windows = [Window::new(&day)];
    let noon = 20_000 * 86_400 * 1_000_000 + 43_200_000_000;
    let mut run = |what: [&str; 4], micros| server.run("k", what, &windows, micros)[..].to_vec();
    assert_eq!(run(["take", "1", "7", "0"], noon)[0], 7);
    assert_eq!(run(["take", "1", "7", "0"], noon)[0], 3);
    assert_eq!(run(["take", "1", "7", "0"], noon)[0], 0);
    assert_eq!(run(["take", "0", "0", "0"], noon)[2], 10, "who only looks takes nothing");
    let taken = (noon / 1_000_000).to_string();
    assert_eq!(run(["correct", "-4", "0", &taken], noon + 1)[2], 6);
    assert_eq!(run(["take", "4", "5", "0"], noon)[0], 4);
    assert_eq!(run(["take", "1", "1", "0"], noon)[0], 0);
    let tomorrow = noon + 86_400_000_000;
    assert_eq!(run(["take", "2", "2", "0"], tomorrow)[2], 2);
    assert_eq!(run(["correct", "-2", "0", &taken], tomorrow)[2], 2, "it was another day");
    assert_eq!(run(["correct", "5", "0", &taken], tomorrow)[2], 7, "what is owed is owed");
}

/// Other gateways, of other builds, must find the same key: whoever changes this resets all limits.
#[test]
fn keys_are_the_same_for_all_builds_and_hide_what_they_are_of() {
    let store = made(&Metrics::new(&[]));
    let store = store.expect("nothing is wrong with it");
    let limit = rule(vec![Settings {
        limit: number(100),
        period: Period::Every(Duration::from_secs(60)),
        burst: number(10),
    }]);
    let key = |name: &str, limit: &RateLimit, entries: &[Option<&str>]| {
        let entries: Entries = entries.iter().map(|it| it.map(|it| it.as_bytes().into())).collect();
        Counted::new(&store, name, limit).key(&entries)
    };
    let first = key("per-ip", &limit, &[Some("203.0.113.7")]);
    assert_eq!(first, "tidegate:{per-ip:007f2a6afdebd6fbdde6fc8a5fd6fa81}");
    let others = [
        key("per-ip", &limit, &[Some("203.0.113.8")]),
        key("per-ip", &limit, &[None]),
        key("per-ip", &limit, &[Some("")]),
        key("per-ip", &limit, &[Some("203.0.113"), Some("7")]),
        key("other", &limit, &[Some("203.0.113.7")]),
        key("per-ip", &RateLimit { ipv6_prefix: 48, ..limit.clone() }, &[Some("203.0.113.7")]),
        key(
            "per-ip",
            &RateLimit { key: vec![KeyPart::Consumer], ..limit.clone() },
            &[Some("203.0.113.7")],
        ),
    ];
    for (at, other) in others.iter().enumerate() {
        assert!(*other != first && !others[..at].contains(other), "{other}");
    }
}

/// A store nobody listens at.
fn made(metrics: &Metrics) -> Result<Arc<Redis>, Vec<Diagnostic>> {
    let redis = RedisStore {
        nodes: vec![RedisNode::Tcp("127.0.0.1".to_owned(), 1)],
        cluster: false,
        tls: None,
        user: None,
        password: Some("hunter2".to_owned()),
        database: 0,
        prefix: "tidegate".to_owned(),
    };
    let store = Store {
        place: crate::config::diagnostic::Place::default(),
        kind: StoreKind::Redis(redis.clone()),
        timeout: Duration::from_millis(50),
        gateways: NonZeroU32::MIN,
    };
    Redis::new(&"main".into(), &store, &redis, metrics.store(&"main".into()))
}

#[test]
fn nothing_shows_a_password() {
    let store = made(&Metrics::new(&[]));
    let shown = format!("{:?}", store.expect("nothing is wrong with it"));
    assert!(shown.contains("RedisStore") && !shown.contains("hunter2"), "{shown}");
}

/// Redis is not there: what waits for the first connection does not wait long, and what comes later not at
/// all.
#[tokio::test]
async fn a_store_that_is_not_there_is_not_waited_for() {
    let metrics = Metrics::new(&[]);
    let store = made(&metrics);
    let store = store.expect("nothing is wrong with it");
    let ask = || {
        let (command, again) = counted::probe("tidegate");
        Arc::clone(&store).call(command, again)
    };
    assert_eq!(ask().await.map(|_: Value| ()), Err(Away));
    let begun = Instant::now();
    for _ in 0..1000 {
        assert!(ask().await.is_err());
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let text = metrics.render();
    assert!(text.contains("tidegate_store_up{store=\"main\"} 0"), "{text}");
    assert!(
        text.contains("tidegate_store_calls_total{store=\"main\",result=\"away\"} 1001"),
        "{text}"
    );
}
