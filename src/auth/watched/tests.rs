//! A real file of keys, with what people do to it.

use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::auth::api_key::{Form, Keys, KeysFile};

const ONE: &str = "acme first_secret_of_acme\n";
const TWO: &str = "acme second_secret_of_acme\n";

/// A file that is followed. The poll is so slow that only events can be what is seen.
struct Scene {
    dir: TempDir,
    file: Arc<KeysFile>,
    told: UnboundedReceiver<Result<usize, String>>,
    task: JoinHandle<()>,
}

impl Scene {
    /// `prepare` makes the file and returns its path.
    fn new(prepare: impl FnOnce(&Path) -> PathBuf) -> Self {
        Self::with(prepare, Duration::from_secs(3600))
    }

    fn with(prepare: impl FnOnce(&Path) -> PathBuf, again: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut file = load(prepare(dir.path())).unwrap();
        (file.poll, file.again) = (Duration::from_secs(3600), again);
        let file = Arc::new(file);
        let (sender, told) = unbounded_channel();
        let task = tokio::spawn(Arc::clone(&file).follow(move |outcome| {
            let _ = sender.send(outcome.map(Keys::len).map_err(str::to_owned));
        }));
        Self { dir, file, told, task }
    }

    fn plain(text: &str) -> Self {
        Self::new(|dir| {
            fs::write(dir.join("keys"), text).unwrap();
            dir.join("keys")
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn next(&mut self) -> Result<usize, String> {
        timeout(Duration::from_secs(20), self.told.recv()).await.expect("nothing was told").unwrap()
    }

    /// Nothing is told for a while.
    async fn quiet(&mut self) {
        let next = timeout(Duration::from_millis(700), self.told.recv()).await;
        assert!(next.is_err(), "{next:?}");
    }

    fn knows(&self, secret: &str) -> bool {
        self.file.now().consumer_of(secret.as_bytes()).is_some()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn load(path: PathBuf) -> Result<KeysFile, String> {
    KeysFile::load(path, |name, text| Keys::parse_file(name, text, Form::Plain))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_followed() {
    let mut scene = Scene::plain(ONE);
    assert!(scene.knows("first_secret_of_acme"));
    // What is there already is no news, written again or not.
    fs::write(scene.path("keys"), ONE).unwrap();
    scene.quiet().await;
    fs::write(scene.path("keys"), TWO).unwrap();
    assert_eq!(scene.next().await, Ok(1));
    assert!(scene.knows("second_secret_of_acme") && !scene.knows("first_secret_of_acme"));
    // As editors do.
    fs::write(scene.path("keys.swp"), format!("{ONE}{TWO}")).unwrap();
    fs::rename(scene.path("keys.swp"), scene.path("keys")).unwrap();
    assert_eq!(scene.next().await, Ok(2));
    assert!(scene.knows("second_secret_of_acme") && scene.knows("first_secret_of_acme"));
    // Nobody is somebody's wish.
    fs::write(scene.path("keys"), "").unwrap();
    assert_eq!(scene.next().await, Ok(0));
    assert!(!scene.knows("second_secret_of_acme"));
}

/// A Secret as the kubelet mounts it: the file is a link through `..data`, which is swapped.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_swapped_by_kubernetes() {
    let mut scene = Scene::new(|dir| {
        fs::create_dir(dir.join("..1")).unwrap();
        fs::write(dir.join("..1/keys"), ONE).unwrap();
        symlink("..1", dir.join("..data")).unwrap();
        symlink("..data/keys", dir.join("keys")).unwrap();
        dir.join("keys")
    });
    scene.quiet().await;
    fs::create_dir(scene.path("..2")).unwrap();
    fs::write(scene.path("..2/keys"), TWO).unwrap();
    symlink("..2", scene.path("..data_tmp")).unwrap();
    fs::rename(scene.path("..data_tmp"), scene.path("..data")).unwrap();
    assert_eq!(scene.next().await, Ok(1));
    assert!(scene.knows("second_secret_of_acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_keys_stay() {
    let mut scene = Scene::plain(ONE);
    let path = scene.path("keys").display().to_string();
    fs::write(scene.path("keys"), "acme short").unwrap();
    let why = format!("{path}:1: a secret has at least 16 characters");
    assert_eq!(scene.next().await, Err(why));
    assert!(scene.knows("first_secret_of_acme"));
    fs::remove_file(scene.path("keys")).unwrap();
    assert!(scene.next().await.unwrap_err().starts_with(&format!("cannot read `{path}`: ")));
    assert!(scene.knows("first_secret_of_acme"));
    // The same again is told all the same: it is whole again.
    fs::write(scene.path("keys"), ONE).unwrap();
    assert_eq!(scene.next().await, Ok(1));
    fs::write(scene.path("keys"), TWO).unwrap();
    assert_eq!(scene.next().await, Ok(1));
    assert!(scene.knows("second_secret_of_acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_told_once_and_looked_at_again() {
    let file = |dir: &Path| {
        fs::write(dir.join("keys"), ONE).unwrap();
        dir.join("keys")
    };
    let mut scene = Scene::with(file, Duration::from_millis(50));
    fs::write(scene.path("keys"), "acme short").unwrap();
    scene.next().await.unwrap_err();
    scene.quiet().await;
    fs::write(scene.path("keys"), TWO).unwrap();
    assert_eq!(scene.next().await, Ok(1));
}

/// What changed after it was read at first and before it was followed.
#[tokio::test(flavor = "multi_thread")]
async fn no_change_falls_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    fs::write(&path, ONE).unwrap();
    let file = Arc::new(load(path.clone()).unwrap());
    fs::write(&path, TWO).unwrap();
    let (sender, mut told) = unbounded_channel();
    let follow = Arc::clone(&file).follow(move |keys| sender.send(keys.is_ok()).unwrap());
    assert!(timeout(Duration::from_secs(5), follow).await.is_err(), "it never ends by itself");
    assert!(told.try_recv().unwrap());
    assert!(file.now().consumer_of(b"second_secret_of_acme").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [pipe, dir.path().to_owned()] {
        let why = format!("cannot read `{}`: it is not a file", path.display());
        assert_eq!(load(path).unwrap_err(), why);
    }
    let large = dir.path().join("large");
    File::create(&large).unwrap().set_len(MOST + 1).unwrap();
    assert!(load(large.clone()).unwrap_err().ends_with("it is larger than 16 MiB"));
    fs::write(&large, b"acme \xff").unwrap();
    assert_eq!(load(large.clone()).unwrap_err(), format!("{}: not UTF-8 text", large.display()));
    assert!(load(dir.path().join("none")).unwrap_err().starts_with("cannot read `"));
}
