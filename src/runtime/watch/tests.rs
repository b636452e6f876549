//! The watch against real directories, with everything people do to files in them.

use std::{
    os::unix::fs::symlink,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;
use crate::{
    config::{Input, diagnostic::Diagnostics, model::Config},
    runtime::{
        candidate::{Candidate, Env},
        reload::{Outcome, Status, Target},
    },
};

/// What the configuration takes effect on here: a list of the route names that went live.
struct Recorder {
    config: Mutex<Arc<Config>>,
    live: tokio::sync::watch::Sender<Vec<String>>,
    refused: AtomicUsize,
    applied: AtomicUsize,
}

impl Target for Recorder {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock())
    }

    fn apply(&self, config: Arc<Config>) -> Result<Diagnostics, Diagnostics> {
        self.applied.fetch_add(1, Ordering::SeqCst);
        let names = config.routes.keys().map(ToString::to_string).collect();
        *self.config.lock() = config;
        self.live.send_replace(names);
        Ok(Diagnostics::default())
    }

    fn end(&self, status: &Status) {
        self.refused.store(usize::try_from(status.refused).unwrap(), Ordering::SeqCst);
    }
}

struct Scene {
    dir: TempDir,
    recorder: Arc<Recorder>,
    reloader: Arc<Reloader>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Scene {
    /// A directory prepared by `prepare`, which returns the path given on the command line.
    fn new(prepare: impl FnOnce(&Path) -> PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = prepare(dir.path());
        let inputs = vec![Input::File(file)];
        let env: Env = Arc::new(|_| None);
        let mut first = Candidate::read(&inputs, &env);
        let text = first.loaded.render(false);
        let config = first.take().unwrap_or_else(|| panic!("{text}"));
        let recorder = Arc::new(Recorder {
            live: tokio::sync::watch::channel(
                config.routes.keys().map(ToString::to_string).collect(),
            )
            .0,
            config: Mutex::new(config),
            refused: AtomicUsize::new(0),
            applied: AtomicUsize::new(0),
        });
        let target: Arc<dyn Target> = Arc::clone(&recorder) as _;
        let reloader = Reloader::new(inputs, env, target, &first);
        Self { dir, recorder, reloader, task: None }
    }

    /// Starts the watch, with a poll so slow that only events can be what is seen, and waits until
    /// it has had its first look.
    async fn watch(mut self) -> Self {
        let idle = Arc::new(Notify::new());
        let poll = Duration::from_secs(3600);
        let task = watch_every(Arc::clone(&self.reloader), poll, Arc::clone(&idle));
        self.task = Some(tokio::spawn(task));
        assert!(time::timeout(Duration::from_secs(20), idle.notified()).await.is_ok());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn until_live(&self, routes: &[&str]) {
        let mut live = self.recorder.live.subscribe();
        let wait = live.wait_for(|now| now == routes);
        let outcome = time::timeout(Duration::from_secs(20), wait).await.map(|r| r.is_ok());
        assert_eq!(outcome, Ok(true), "live: {:?}", self.recorder.live.borrow());
    }

    async fn until(&self, what: impl Fn(&Recorder) -> bool) {
        let wait = async {
            while !what(&self.recorder) {
                time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(time::timeout(Duration::from_secs(20), wait).await.is_ok(), "it never happened");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn yaml(routes: &[&str]) -> String {
    let route =
        |(index, name): (usize, &&str)| format!("  {name}: {{ match: /r{index}, respond: 204 }}\n");
    let routes: String = routes.iter().enumerate().map(route).collect();
    format!("version: 1\nroutes:\n{routes}")
}

fn write(path: &Path, routes: &[&str]) {
    fs::write(path, yaml(routes)).unwrap();
}

fn plain(dir: &Path) -> PathBuf {
    let file = dir.join("routes.yaml");
    write(&file, &["one"]);
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_written_in_place() {
    let scene = Scene::new(plain).watch().await;
    write(&scene.path("routes.yaml"), &["two"]);
    scene.until_live(&["two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_renamed_by_an_editor_again_and_again() {
    let scene = Scene::new(plain).watch().await;
    for name in ["two", "three", "four"] {
        write(&scene.path("routes.yaml.swp"), &[name]);
        fs::rename(scene.path("routes.yaml.swp"), scene.path("routes.yaml")).unwrap();
        scene.until_live(&[name]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_removed_and_written_again() {
    let scene = Scene::new(plain).watch().await;
    fs::remove_file(scene.path("routes.yaml")).unwrap();
    scene.until(|r| r.refused.load(Ordering::SeqCst) == 1).await;
    write(&scene.path("routes.yaml"), &["two"]);
    scene.until_live(&["two"]).await;
}

/// A ConfigMap as the kubelet mounts it: the file is a link through `..data`, which is swapped.
#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_swapped_by_kubernetes() {
    let scene = Scene::new(|dir| {
        fs::create_dir(dir.join("..2024_1")).unwrap();
        write(&dir.join("..2024_1/routes.yaml"), &["one"]);
        symlink("..2024_1", dir.join("..data")).unwrap();
        symlink("..data/routes.yaml", dir.join("routes.yaml")).unwrap();
        dir.join("routes.yaml")
    })
    .watch()
    .await;
    for (number, name) in [(2, "two"), (3, "three")] {
        let version = format!("..2024_{number}");
        fs::create_dir(scene.path(&version)).unwrap();
        write(&scene.path(&version).join("routes.yaml"), &[name]);
        symlink(&version, scene.path("..data_tmp")).unwrap();
        fs::rename(scene.path("..data_tmp"), scene.path("..data")).unwrap();
        scene.until_live(&[name]).await;
        // The kubelet does this at once; here it would be one more event to wake up by.
        fs::remove_dir_all(scene.path(&format!("..2024_{}", number - 1))).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_into_another_directory() {
    let scene = Scene::new(|dir| {
        fs::create_dir_all(dir.join("real/deep")).unwrap();
        fs::create_dir(dir.join("etc")).unwrap();
        write(&dir.join("real/deep/file.yaml"), &["one"]);
        symlink("../real", dir.join("etc/link")).unwrap();
        symlink("link/deep/file.yaml", dir.join("etc/routes.yaml")).unwrap();
        dir.join("etc/routes.yaml")
    })
    .watch()
    .await;
    write(&scene.path("real/deep/file.yaml"), &["two"]);
    scene.until_live(&["two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_include_that_comes_changes_and_goes() {
    let scene = Scene::new(|dir| {
        fs::create_dir(dir.join("routes.d")).unwrap();
        let text = format!("include: [routes.d/*.yaml]\n{}", yaml(&["one"]));
        fs::write(dir.join("routes.yaml"), text).unwrap();
        dir.join("routes.yaml")
    })
    .watch()
    .await;
    let part = |name| format!("version: 1\nroutes: {{ {name}: {{ match: /x, respond: 204 }} }}\n");
    fs::write(scene.path("routes.d/a.yaml"), part("two")).unwrap();
    scene.until_live(&["one", "two"]).await;
    fs::write(scene.path("routes.d/a.yaml"), part("three")).unwrap();
    scene.until_live(&["one", "three"]).await;
    fs::remove_file(scene.path("routes.d/a.yaml")).unwrap();
    scene.until_live(&["one"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_renewed_under_the_same_name() {
    let scene = Scene::new(|dir| {
        fs::create_dir(dir.join("certs")).unwrap();
        fs::write(dir.join("certs/tls.crt"), "old").unwrap();
        fs::write(dir.join("certs/tls.key"), "old").unwrap();
        let (crt, key) = (dir.join("certs/tls.crt"), dir.join("certs/tls.key"));
        let certificate = format!("{{ cert: {}, key: {} }}", crt.display(), key.display());
        let listeners = "listeners: { https: { address: \"127.0.0.1:0\", tls: true } }";
        let tls = format!("{listeners}\ntls: {{ certificates: [{certificate}] }}");
        fs::write(dir.join("routes.yaml"), format!("{}{tls}\n", yaml(&["one"]))).unwrap();
        dir.join("routes.yaml")
    })
    .watch()
    .await;
    fs::write(scene.path("certs/tls.crt"), "new").unwrap();
    scene.until(|r| r.applied.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_file_is_read_once_more_before_anybody_hears_of_it() {
    let scene = Scene::new(plain);
    fs::write(scene.path("routes.yaml"), "version: 1\nroutes: { two: {").unwrap();
    let reloader = Arc::clone(&scene.reloader);
    let reload = tokio::spawn(async move { reloader.reload(Trigger::Watch).await });
    // The editor goes on while the engine waits. On a machine so slow that the engine has not looked
    // yet, this test proves less and is as true.
    time::sleep(Duration::from_millis(300)).await;
    write(&scene.path("routes.yaml"), &["two"]);
    assert!(matches!(reload.await.unwrap(), Outcome::Applied { .. }));
    assert_eq!(scene.recorder.refused.load(Ordering::SeqCst), 0);
    fs::write(scene.path("routes.yaml"), "version: 1\nroutes: { two: {").unwrap();
    let outcome = scene.reloader.reload(Trigger::Signal).await;
    assert!(matches!(outcome, Outcome::Refused { .. }), "only the watch waits: {outcome:?}");
    assert_eq!(scene.recorder.applied.load(Ordering::SeqCst), 1);
    assert_eq!(scene.reloader.status().refused, 1);
}

#[tokio::test]
async fn a_file_touched_without_a_change_is_unchanged() {
    let scene = Scene::new(plain);
    write(&scene.path("routes.yaml"), &["one"]);
    assert_eq!(scene.reloader.reload(Trigger::Watch).await, Outcome::Unchanged);
    assert_eq!(scene.recorder.applied.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_poll_finds_what_no_event_told() {
    let scene = Scene::new(plain);
    let mut watch = Watch::deaf();
    watch.follow(&scene.reloader.files());
    let before = fingerprint(scene.reloader.files()).await;
    write(&scene.path("routes.yaml"), &["two"]);
    let nothing = time::timeout(Duration::from_millis(1), watch.changed()).await;
    assert!(nothing.is_err(), "no watcher means no event");
    assert_ne!(fingerprint(scene.reloader.files()).await, before);
}

#[tokio::test]
async fn reloads_never_overlap() {
    let scene = Scene::new(plain);
    write(&scene.path("routes.yaml"), &["two"]);
    let one = scene.reloader.reload(Trigger::Admin);
    let other = scene.reloader.reload(Trigger::Signal);
    let (one, other) = tokio::join!(one, other);
    let applied = |o: &Outcome| matches!(o, Outcome::Applied { .. });
    assert!(applied(&one) && other == Outcome::Unchanged, "{one:?} {other:?}");
}
