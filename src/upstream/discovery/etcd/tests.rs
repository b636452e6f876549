//! Against a real etcd.

use std::{net::TcpListener, path::PathBuf, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{
    net::{TcpStream, UnixListener},
    time::timeout,
};

use super::*;
use crate::{
    config::{
        self,
        model::{Located, UpstreamTls},
    },
    tls::testing::{Files, TestCa, place},
};

#[path = "../../../../tests/it/support/etcd.rs"]
mod server;

/// Far beyond what a loaded machine needs.
const DEADLINE: Duration = Duration::from_secs(20);

fn settings(members: &[&str]) -> DiscoverEtcd {
    DiscoverEtcd {
        endpoints: members.iter().map(|url| config::endpoint("member", url).unwrap()).collect(),
        prefix: "/up/".to_owned(),
        user: None,
        tls: UpstreamTls { ca: None, client: None, server_name: None, verify: true },
    }
}

/// Begins with the first member.
fn source(settings: &DiscoverEtcd) -> Etcd {
    Etcd { at: 0, ..Etcd::new(settings).map_err(|found| format!("{found:?}")).unwrap() }
}

async fn next(etcd: &mut Etcd) -> Result<Vec<String>, String> {
    let set = timeout(DEADLINE, etcd.next()).await.expect("the source says nothing");
    let names = |set: Set| set.endpoints.iter().map(|it| it.url.value.to_string()).collect();
    set.map(names).map_err(|failure| failure.0)
}

async fn fails(etcd: &mut Etcd, with: &str) {
    let why = next(etcd).await.unwrap_err();
    assert!(why.contains(with) && why.starts_with("etcd at "), "{with:?} is not in {why:?}");
}

fn b64(text: &str) -> String {
    STANDARD.encode(text)
}

#[tokio::test]
async fn every_change_gives_a_new_set() {
    let server = server::Etcd::start();
    let mut etcd = source(&settings(&[&server.url()]));
    assert_eq!(next(&mut etcd).await.unwrap(), [""; 0], "nothing is an answer");

    server.put("/other/x", "http://x:1");
    server.put("/up0", "http://x:1");
    server.put("/up/b", "{ url: 'http://b:1', weight: 7 }");
    let set = timeout(DEADLINE, etcd.next()).await.unwrap().unwrap();
    assert_eq!((&*set.endpoints[0].url.value, set.endpoints[0].weight), ("http://b:1", 7));

    server.put("/up/a", "http://a:1");
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1", "http://b:1"]);
    server.put("/up/a", "no URL");
    let set = timeout(DEADLINE, etcd.next()).await.unwrap().unwrap();
    assert_eq!((set.endpoints.len(), set.refused.len()), (1, 1), "{set:?}");
    assert!(set.refused[0].starts_with("/up/a:1:1: "), "{set:?}");
    server.delete("/up/a");
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://b:1"]);

    server.put_with_lease("/up/c", "http://c:1", 1);
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://b:1", "http://c:1"]);
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://b:1"], "the lease is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_few_sets() {
    let server = server::Etcd::start();
    let mut etcd = source(&settings(&[&server.url()]));
    next(&mut etcd).await.unwrap();
    let burst = std::thread::spawn(move || {
        let begin = Instant::now();
        let mut puts = 0;
        while begin.elapsed() < Duration::from_millis(2500) {
            server.put(&format!("/up/{puts}"), &format!("http://h{puts}:1"));
            puts += 1;
        }
        server.put("/up/last", "http://last:1");
        (server, puts, begin.elapsed())
    });
    let mut sets = 1;
    let mut known = next(&mut etcd).await.unwrap();
    while known.last().unwrap() != "http://last:1" {
        known = next(&mut etcd).await.unwrap();
        sets += 1;
    }
    let (_server, puts, took) = burst.join().unwrap();
    assert_eq!(known.len(), puts + 1);
    // One for each second there were changes, and one for each pause of the machine.
    let range = 3..=4 + 2 * took.as_secs();
    assert!(range.contains(&sets), "{sets} sets of {puts} changes in {took:?}");
}

#[tokio::test]
async fn who_gives_up_loses_nothing() {
    let server = server::Etcd::start();
    let mut etcd = source(&settings(&[&server.url()]));
    assert!(timeout(Duration::ZERO, etcd.next()).await.is_err(), "it was given up while it began");
    next(&mut etcd).await.unwrap();
    assert!(timeout(Duration::from_millis(10), etcd.next()).await.is_err(), "nothing has changed");
    server.put("/up/a", "http://a:1");
    // Given up while changes are gathered.
    assert!(timeout(QUIET / 2, etcd.next()).await.is_err());
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1"]);
}

#[tokio::test]
async fn a_member_that_ends_is_a_failure_and_comes_back() {
    let mut server = server::Etcd::start();
    server.put("/up/a", "http://a:1");
    server.put("/up/b", "http://b:1");
    let mut etcd = source(&settings(&[&server.url()]));
    assert_eq!(next(&mut etcd).await.unwrap().len(), 2);
    server.kill();
    fails(&mut etcd, &server.url()).await;
    fails(&mut etcd, "Connection refused").await;
    server.restart();
    server.delete("/up/a");
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://b:1"]);
    server.put("/up/c", "http://c:1");
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://b:1", "http://c:1"]);
}

#[tokio::test]
async fn after_a_failure_the_next_member_is_asked() {
    let mut servers = server::Etcd::cluster(3);
    servers[0].put("/up/a", "http://a:1");
    let urls: Vec<String> = servers.iter().map(server::Etcd::url).collect();
    let mut etcd = source(&settings(&urls.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1"]);
    servers[0].kill();
    fails(&mut etcd, &urls[0]).await;
    // The two that are left may have to agree on a leader first.
    let mut asked = Vec::new();
    while let Err(why) = next(&mut etcd).await {
        asked.push(why);
        assert!(asked.len() < 10, "{asked:#?}");
    }
    assert_ne!(etcd.at, 0);
    servers[2].put("/up/b", "http://b:1");
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1", "http://b:1"]);
}

async fn a_member_without_the_others_does_not_keep_its_watches() {
    let mut servers = server::Etcd::cluster(2);
    servers[1].put("/up/a", "http://a:1");
    let mut etcd = source(&settings(&[&servers[1].url()]));
    next(&mut etcd).await.unwrap();
    servers[0].kill();
    fails(&mut etcd, "no leader").await;
    let begin = Instant::now();
    next(&mut etcd).await.unwrap_err();
    assert!(begin.elapsed() < BEGIN + Duration::from_secs(2), "{:?}", begin.elapsed());
    servers[0].restart();
    while next(&mut etcd).await.is_err() {
        assert!(begin.elapsed() < DEADLINE);
    }
}

async fn a_member_that_hangs_is_noticed() {
    let server = server::Etcd::start();
    server.put("/up/a", "http://a:1");
    let mut etcd = source(&settings(&[&server.url()]));
    next(&mut etcd).await.unwrap();
    let begin = Instant::now();
    server.stop();
    fails(&mut etcd, "").await;
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let begin = Instant::now();
    fails(&mut etcd, "no answer within 5 s").await;
    assert!(begin.elapsed() < BEGIN + Duration::from_secs(2), "{:?}", begin.elapsed());
    server.cont();
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1"]);
}

/// etcd throws out who asks too often whether it is there.
async fn a_quiet_watch_lives() {
    let server = server::Etcd::start();
    let mut etcd = source(&settings(&[&server.url()]));
    next(&mut etcd).await.unwrap();
    // It does so at the third time.
    assert!(timeout(Duration::from_secs(15), etcd.next()).await.is_err(), "nothing has changed");
    server.put("/up/a", "http://a:1");
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1"]);
}

#[tokio::test]
async fn what_was_compacted_is_a_failure() {
    let server = server::Etcd::start();
    for i in 0..5 {
        server.put("/up/a", &format!("http://a:1{i}"));
    }
    let revision = server.put("/up/b", "http://b:1");
    let compact = json!({"revision": revision, "physical": true});
    server.call("kv/compaction", &compact, None);
    let settings = settings(&[&server.url()]);
    let mut etcd = source(&settings);
    let client = etcd.members[0].connect().await.unwrap();
    let watch = Watch::since(client, b"/up/", Keys::default(), 2).await;
    // It may be told with the watch, or behind it.
    let why = match watch {
        Ok(mut watch) => timeout(DEADLINE, watch.wait()).await.unwrap().unwrap_err(),
        Err(why) => why,
    };
    assert_eq!(why, format!("the changes before revision {revision} were compacted"));
    assert_eq!(next(&mut etcd).await.unwrap().len(), 2);
}

#[tokio::test]
async fn users() {
    let mut server = server::Etcd::start();
    server.put("/up/a", "http://a:1");
    let mut known = settings(&[&server.url()]);
    known.user = Some(("gate".to_owned(), "geheim".to_owned()));
    let mut etcd = source(&known);
    assert_eq!(next(&mut etcd).await.unwrap().len(), 1, "etcd does not ask for users yet");

    let call = |what: &str, body: Value| server.call(what, &body, None);
    call("auth/user/add", json!({"name": "root", "password": "r"}));
    call("auth/user/grant", json!({"user": "root", "role": "root"}));
    call("auth/user/add", json!({"name": "gate", "password": "geheim"}));
    call("auth/role/add", json!({"name": "reader"}));
    let (from, to) = (b64("/up/"), b64("/up0"));
    let permission = json!({"permType": "READ", "key": from, "range_end": to});
    call("auth/role/grant", json!({"name": "reader", "perm": permission}));
    call("auth/user/grant", json!({"user": "gate", "role": "reader"}));
    call("auth/enable", json!({}));

    fails(&mut source(&settings(&[&server.url()])), "user name is empty").await;
    let mut wrong = known.clone();
    wrong.user = Some(("gate".to_owned(), "falsch".to_owned()));
    fails(&mut source(&wrong), "authentication failed").await;
    wrong.clone_from(&known);
    wrong.prefix = "/other/".to_owned();
    fails(&mut source(&wrong), "permission denied").await;

    let mut etcd = source(&known);
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1"]);
    let root = server.call("auth/authenticate", &json!({"name": "root", "password": "r"}), None);
    let put = json!({"key": b64("/up/b"), "value": b64("http://b:1")});
    server.call("kv/put", &put, root["token"].as_str());
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1", "http://b:1"]);

    // Tokens are forgotten when etcd ends.
    server.restart();
    fails(&mut etcd, "").await;
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1", "http://b:1"]);
}

#[tokio::test]
async fn tls_with_a_certificate_of_our_own() {
    let ca = TestCa::new();
    let Files { cert, key } = ca.issue("etcd", &["etcd.test"], 90);
    let server = server::Etcd::tls(&cert.value, &key.value, &ca.file().value);
    server.put("/up/a", "http://a:1");
    let mut known = settings(&[&server.tls_url()]);
    let Files { cert, key } = ca.issue("gate", &["gate"], 90);
    let mine = (cert, key);
    known.tls.ca = Some(ca.file());
    known.tls.client = Some(mine.clone());
    fails(&mut source(&known), "certificate").await;
    known.tls.server_name = Some("etcd.test".to_owned());
    let mut etcd = source(&known);
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1"]);
    server.put("/up/b", "http://b:1");
    assert_eq!(next(&mut etcd).await.unwrap().len(), 2);

    known.tls.client = None;
    fails(&mut source(&known), "").await;
    let other = TestCa::new();
    known.tls.ca = Some(other.file());
    known.tls.client = Some(mine.clone());
    fails(&mut source(&known), "certificate").await;
    known.tls.ca = None;
    known.tls.verify = false;
    assert_eq!(next(&mut source(&known)).await.unwrap().len(), 2);
}

#[test]
fn files_that_cannot_be_read_refuse_the_configuration() {
    let mut wrong = settings(&["https://127.0.0.1:1"]);
    wrong.tls.ca = Some(Located { value: PathBuf::from("/nowhere/ca.pem"), place: place(3) });
    let found = Etcd::new(&wrong).err().unwrap();
    assert_eq!(found[0].labels[0].0, place(3), "{found:?}");
    // Who speaks in the clear needs no files.
    wrong.endpoints = settings(&["http://127.0.0.1:1"]).endpoints;
    assert!(Etcd::new(&wrong).is_ok());
}

#[tokio::test]
async fn too_much_is_a_failure() {
    let server = server::Etcd::start();
    let put = |key: String| json!({"requestPut": {"key": b64(&key), "value": b64("http://a:1")}});
    for chunk in 0..=100 {
        let puts: Vec<Value> = (0..100).map(|i| put(format!("/up/{chunk}/{i}"))).collect();
        server.call("kv/txn", &json!({"success": puts}), None);
    }
    let mut etcd = source(&settings(&[&server.url()]));
    fails(&mut etcd, "10100 keys have the prefix; at most 10000 are taken").await;

    let large = "x".repeat(1_400_000);
    for i in 0..12 {
        server.put(&format!("/large/{i}"), &large);
    }
    let mut known = settings(&[&server.url()]);
    known.prefix = "/large/".to_owned();
    fails(&mut source(&known), "too large").await;
}

#[tokio::test]
async fn a_member_behind_a_unix_socket() {
    let server = server::Etcd::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("etcd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let address = server.url().replace("http://", "");
    let between = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(address).await.unwrap();
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    });
    server.put("/up/a", "http://a:1");
    let mut etcd = source(&settings(&[&format!("unix:{}", path.display())]));
    assert_eq!(next(&mut etcd).await.unwrap(), ["http://a:1"]);
    // Who drops the source closes its connection.
    drop(etcd);
    timeout(DEADLINE, between).await.unwrap().unwrap().unwrap();
}

async fn a_member_that_says_nothing_is_left() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = server::Etcd::start();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let mut etcd = source(&settings(&[&silent, &server.url()]));
    fails(&mut etcd, &silent).await;
    assert_eq!(next(&mut etcd).await.unwrap(), [""; 0]);
}

/// What takes long, at the same time: nearly all of it is waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn long_waits() {
    let hung = tokio::spawn(a_member_that_hangs_is_noticed());
    let quiet = tokio::spawn(a_quiet_watch_lives());
    let alone = tokio::spawn(a_member_without_the_others_does_not_keep_its_watches());
    let silent = tokio::spawn(a_member_that_says_nothing_is_left());
    for (which, test) in [("hung", hung), ("quiet", quiet), ("alone", alone), ("silent", silent)] {
        test.await.expect(which);
    }
}
