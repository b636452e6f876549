//! A real file, with everything people do to it.

use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use super::*;

/// A file in a directory of its own. The poll is so slow that only events can be what is seen.
struct Scene {
    dir: TempDir,
    file: EndpointsFile,
}

impl Scene {
    /// `prepare` makes the file and returns its path.
    fn new(prepare: impl FnOnce(&Path) -> PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut file = EndpointsFile::new(prepare(dir.path()));
        file.poll = Duration::from_secs(3600);
        Self { dir, file }
    }

    fn plain(text: &str) -> Self {
        Self::new(|dir| {
            fs::write(dir.join("orders.yaml"), text).unwrap();
            dir.join("orders.yaml")
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, text: &str) {
        fs::write(self.path("orders.yaml"), text).unwrap();
    }

    async fn next(&mut self) -> Result<Vec<String>, String> {
        let next = timeout(Duration::from_secs(20), self.file.next()).await;
        let shown = |set: Set| {
            assert!(set.refused.is_empty());
            set.endpoints.iter().map(|e| format!("{} {}", e.url.value, e.weight)).collect()
        };
        next.expect("it never came").map(shown).map_err(|failure| failure.0)
    }

    /// Waits for these endpoints; failures on the way are fine.
    async fn until(&mut self, expected: &[&str]) {
        while self.next().await.as_deref() != Ok(&expected.map_to_strings()) {}
    }

    /// Nothing comes for a while.
    async fn quiet(&mut self) {
        let next = timeout(Duration::from_millis(700), self.file.next()).await;
        assert!(next.is_err(), "{next:?}");
    }
}

trait Strings {
    fn map_to_strings(&self) -> Vec<String>;
}

impl Strings for &[&str] {
    fn map_to_strings(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }
}

const ONE: &str = "[http://one]";
const ONE_IS: &[&str] = &["http://one:80 1"];
const TWO: &str = "- { url: http://two, weight: 2 }\n";
const TWO_IS: &[&str] = &["http://two:80 2"];
const THREE: &str = "- http://three:81\n";
const THREE_IS: &[&str] = &["http://three:81 1"];

#[tokio::test(flavor = "multi_thread")]
async fn read_at_once_and_then_when_it_changes() {
    let mut scene = Scene::plain(ONE);
    assert_eq!(scene.next().await, Ok(ONE_IS.map_to_strings()));
    scene.write(TWO);
    scene.until(TWO_IS).await;
    // Between two calls.
    scene.write(THREE);
    time::sleep(Duration::from_millis(500)).await;
    scene.until(THREE_IS).await;
    // Written again, and read by somebody, without a change.
    scene.write(THREE);
    fs::read(scene.path("orders.yaml")).unwrap();
    scene.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_by_an_editor_again_and_again() {
    let mut scene = Scene::plain(ONE);
    scene.until(ONE_IS).await;
    for (text, endpoints) in [(TWO, TWO_IS), (THREE, THREE_IS), (ONE, ONE_IS)] {
        fs::write(scene.path("orders.yaml.swp"), text).unwrap();
        fs::rename(scene.path("orders.yaml.swp"), scene.path("orders.yaml")).unwrap();
        assert_eq!(scene.next().await, Ok(endpoints.map_to_strings()));
    }
}

/// A ConfigMap as the kubelet mounts it: the file is a link through `..data`, which is swapped.
#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_swapped_by_kubernetes() {
    let mut scene = Scene::new(|dir| {
        fs::create_dir(dir.join("..2024_1")).unwrap();
        fs::write(dir.join("..2024_1/orders.yaml"), ONE).unwrap();
        symlink("..2024_1", dir.join("..data")).unwrap();
        symlink("..data/orders.yaml", dir.join("orders.yaml")).unwrap();
        dir.join("orders.yaml")
    });
    scene.until(ONE_IS).await;
    for (number, text, endpoints) in [(2, TWO, TWO_IS), (3, THREE, THREE_IS)] {
        let version = format!("..2024_{number}");
        fs::create_dir(scene.path(&version)).unwrap();
        fs::write(scene.path(&version).join("orders.yaml"), text).unwrap();
        symlink(&version, scene.path("..data_tmp")).unwrap();
        fs::rename(scene.path("..data_tmp"), scene.path("..data")).unwrap();
        assert_eq!(scene.next().await, Ok(endpoints.map_to_strings()));
        fs::remove_dir_all(scene.path(&format!("..2024_{}", number - 1))).unwrap();
    }
    // In the directory it has come to by now, with nothing else going on.
    scene.quiet().await;
    scene.file.look = false;
    fs::write(scene.path("..2024_3/orders.yaml"), ONE).unwrap();
    scene.until(ONE_IS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_list_is_a_failure_with_its_place() {
    let mut scene = Scene::plain("");
    let path = scene.path("orders.yaml").display().to_string();
    for (text, why) in [
        ("", ":1:1: a list of endpoints is needed, not nothing"),
        ("# nobody\n", ": a list of endpoints is needed, not nothing"),
        ("- http://one\n- [http://two\n", ":2:3: "),
        ("- http://one\n- http://one:0\n", ":2:3: `one:0` is not a host and port"),
        ("- http://one\n- { url: http://two, weigth: 3 }\n", ":2:22: unknown key `weigth`"),
        ("http://one\n", ":1:1: a list of endpoints is needed"),
        ("\u{0}", ":1:1: "),
    ] {
        scene.write(text);
        let failure = scene.next().await.unwrap_err();
        assert!(failure.starts_with(&path) && failure.contains(why), "{text:?}: {failure}");
        assert!(!failure.contains('\n'), "{failure}");
    }
    fs::write(scene.path("orders.yaml"), b"- http://\xff").unwrap();
    assert_eq!(scene.next().await, Err(format!("cannot read `{path}`: it is not UTF-8 text")));
    scene.write("[]");
    assert_eq!(scene.next().await, Ok(Vec::new()), "an empty list is a list");
    scene.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_looked_at_again_soon_and_not_at_once() {
    let mut scene = Scene::plain(ONE);
    scene.until(ONE_IS).await;
    fs::remove_file(scene.path("orders.yaml")).unwrap();
    let path = scene.path("orders.yaml").display().to_string();
    let gone = scene.next().await.unwrap_err();
    assert!(gone.starts_with(&format!("cannot read `{path}`: ")), "{gone}");
    let begin = Instant::now();
    assert_eq!(scene.next().await, Err(gone.clone()));
    assert_eq!(scene.next().await, Err(gone));
    let took = begin.elapsed();
    assert!(took.as_millis() >= 1900, "{took:?}");
    // What comes is told of: no need to wait for the second.
    scene.file.again = Duration::from_secs(3600);
    scene.write(ONE);
    scene.until(ONE_IS).await;
    // The same again after a failure is an answer all the same.
    scene.write("[");
    assert!(scene.next().await.is_err());
    scene.write(ONE);
    scene.until(ONE_IS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_loses_nothing() {
    let mut scene = Scene::plain(ONE);
    scene.until(ONE_IS).await;
    scene.write(TWO);
    // In the quiet time after the event.
    assert!(timeout(Duration::from_millis(150), scene.file.next()).await.is_err());
    assert_eq!(scene.next().await, Ok(TWO_IS.map_to_strings()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_poll_finds_what_no_event_told() {
    let mut scene = Scene::plain(ONE);
    scene.file.watch = Some(Watch::deaf());
    scene.until(ONE_IS).await;
    scene.write(TWO);
    scene.quiet().await;
    scene.file.look = false;
    scene.file.poll = Duration::from_millis(300);
    let begin = Instant::now();
    assert_eq!(scene.next().await, Ok(TWO_IS.map_to_strings()));
    assert!(begin.elapsed() >= Duration::from_millis(300));
    scene.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_not_waited_for() {
    let scene = Scene::plain(ONE);
    let pipe = scene.path("pipe");
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for (path, why) in [(pipe, "it is not a file"), (scene.path("."), "it is a directory")] {
        let next = EndpointsFile::new(path.clone()).next().await;
        assert_eq!(next, Err(Failure(format!("cannot read `{}`: {why}", path.display()))));
    }
}
