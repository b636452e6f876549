//! The admin socket, spoken to by the client of the command line.

use http::{Method, StatusCode};
use tokio::sync::mpsc;

use super::*;
use crate::{
    admin::{Health, client::call},
    config::{
        Input,
        diagnostic::{Diagnostic, Diagnostics, Place},
        model::Config,
    },
    runtime::{
        candidate::{Candidate, Env},
        reload::{Reloader, Status, Target},
    },
};

/// Takes every configuration, except those with a route called `poison`.
struct Recorder(Mutex<Arc<Config>>);

impl Target for Recorder {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.lock())
    }

    fn apply(&self, config: Arc<Config>) -> Result<Diagnostics, Diagnostics> {
        if let Some(route) = config.routes.get("poison") {
            let mut problems = Diagnostics::default();
            problems.push(Diagnostic::error(route.place, "poison is refused"));
            return Err(problems);
        }
        *self.0.lock() = config;
        let mut warnings = Diagnostics::default();
        warnings.push(Diagnostic::warning(Place::default(), "mind the gap"));
        Ok(warnings)
    }

    fn end(&self, _: &Status) {}
}

struct Scene {
    dir: tempfile::TempDir,
    control: Arc<Control>,
    drain: mpsc::Receiver<()>,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("routes.yaml");
        write(&file, "one");
        let (inputs, env) = (vec![Input::File(file)], Arc::new(|_: &str| None) as Env);
        let mut first = Candidate::read(&inputs, &env);
        let config = first.take().unwrap();
        let target: Arc<dyn Target> = Arc::new(Recorder(Mutex::new(config)));
        let (sender, drain) = mpsc::channel(1);
        let control = Arc::new(Control {
            health: Arc::new(Health::default()),
            reloader: Reloader::new(inputs, env, target, &first),
            metrics: Box::new(|| "tidegate_test 1\n".to_owned()),
            connections: Box::new(|| 7),
            explain: Arc::new(|asked, _| Err(format!("asked of {}", asked.url))),
            drain: sender,
        });
        Self { dir, control, drain }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn write(path: &Path, route: &str) {
    let text = format!("version: 1\nroutes: {{ {route}: {{ match: /x, respond: 204 }} }}\n");
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn reload_tells_what_became_of_it() {
    let scene = Scene::new();
    let (path, socket) = (scene.path("s"), AdminSocket::default());
    socket.follow(Some(&path), &scene.control);
    let reload = || call(&path, Method::POST, "/reload?wait");

    let (status, answer) = reload().await.unwrap();
    assert_eq!((status, answer["result"].as_str()), (StatusCode::OK, Some("unchanged")));

    write(&scene.path("routes.yaml"), "two");
    let (status, answer) = reload().await.unwrap();
    assert_eq!((status, answer["result"].as_str()), (StatusCode::OK, Some("applied")));
    assert!(answer["diff"][0].as_str().unwrap().starts_with("+ route two"), "{answer}");
    assert_eq!(answer["diff"][1], "- route one  to: respond 204");
    assert!(answer["warnings"].as_str().unwrap().contains("mind the gap"), "{answer}");

    write(&scene.path("routes.yaml"), "poison");
    let (status, answer) = reload().await.unwrap();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer["errors"].as_str().unwrap().contains("poison is refused"), "{answer}");
    assert!(scene.control.reloader.config().routes.contains_key("two"));

    let (_, answer) = call(&path, Method::GET, "/status").await.unwrap();
    let config = &answer["config"];
    assert_eq!((&config["reloads_applied"], &config["reloads_refused"]), (&1.into(), &1.into()));
    assert_eq!(answer["connections"], 7);
    assert!(config["last_reload_error"].as_str().unwrap().contains("poison"), "{answer}");

    // The file is again what is running: nothing to do, and no longer a failure.
    write(&scene.path("routes.yaml"), "two");
    assert_eq!(reload().await.unwrap().1["result"], "unchanged");
    assert!(scene.control.reloader.status().error.is_none());
}

#[tokio::test]
async fn drain_is_asked_for_and_nothing_else_is_known() {
    let mut scene = Scene::new();
    let (path, socket) = (scene.path("s"), AdminSocket::default());
    socket.follow(Some(&path), &scene.control);
    for _ in 0..2 {
        let (status, _) = call(&path, Method::POST, "/drain").await.unwrap();
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    assert_eq!(scene.drain.recv().await, Some(()));
    for (method, target) in [(Method::GET, "/drain"), (Method::GET, "/reload"), (Method::GET, "/")]
    {
        let (status, _) = call(&path, method, target).await.unwrap();
        assert_eq!(status, StatusCode::NOT_FOUND, "{target}");
    }
}

#[tokio::test]
async fn only_the_owner_may_connect_and_the_file_goes_in_the_end() {
    let scene = Scene::new();
    let (path, socket) = (scene.path("s"), AdminSocket::default());
    socket.follow(Some(&path), &scene.control);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let moved = scene.path("moved");
    socket.follow(Some(&moved), &scene.control);
    assert!(call(&moved, Method::GET, "/status").await.is_ok());
    assert!(!path.exists(), "the old one is gone");
    socket.close();
    assert!(!moved.exists());
}

#[tokio::test]
async fn a_live_socket_is_left_alone_and_a_stale_one_replaced() {
    let scene = Scene::new();
    let path = scene.path("s");
    let stale = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let before = identity(&path).unwrap();
    let second = AdminSocket::default();
    second.follow(Some(&path), &scene.control);
    assert_eq!(identity(&path).unwrap(), before, "somebody listens there");
    second.close();
    assert_eq!(identity(&path).unwrap(), before, "not ours to remove");

    drop(stale);
    second.follow(Some(&path), &scene.control);
    assert!(call(&path, Method::GET, "/status").await.is_ok());

    let file = scene.path("file");
    fs::write(&file, "precious").unwrap();
    AdminSocket::default().follow(Some(&file), &scene.control);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn the_default_place_is_found_as_documented() {
    let table: [(&[(&str, &str)], &str); 4] = [
        (
            &[("RUNTIME_DIRECTORY", "/run/a:/run/b"), ("XDG_RUNTIME_DIR", "/x")],
            "/run/a/tidegate.sock",
        ),
        (&[("XDG_RUNTIME_DIR", "/run/user/1")], "/run/user/1/tidegate.sock"),
        (&[("RUNTIME_DIRECTORY", ""), ("XDG_RUNTIME_DIR", "/x")], "/x/tidegate.sock"),
        (&[("XDG_RUNTIME_DIR", "relative")], "/tmp/tidegate-"),
    ];
    for (variables, expected) in table {
        let env = |name: &str| {
            variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        };
        let path = default_path(&env);
        assert!(path.to_string_lossy().starts_with(expected), "{path:?}");
    }
}

#[test]
fn a_directory_open_to_others_is_not_trusted() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("tidegate-1");
    private_directory(&dir).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    private_directory(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o770)).unwrap();
    assert!(private_directory(&dir).is_err());

    let link = root.path().join("tidegate-2");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&dir, &link).unwrap();
    assert!(private_directory(&link).is_err(), "a link may be moved by whoever made it");
}

mod probes {
    use http::Request;
    use http_body_util::BodyExt;

    use super::{Scene, StatusCode, write};
    use crate::{admin::probes::answer, runtime::reload::Trigger};

    async fn ask(scene: &Scene, method: &str, target: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(target).body(()).unwrap();
        let response = answer(&scene.control, &request);
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn follow_the_life_of_the_process() {
        let (up, down) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
        let scene = Scene::new();
        for (target, expected) in [("/livez", up), ("/startupz", down), ("/readyz", down)] {
            assert_eq!(ask(&scene, "GET", target).await.0, expected, "before: {target}");
        }
        scene.control.health.started();
        for target in ["/livez", "/startupz", "/readyz"] {
            assert_eq!(ask(&scene, "HEAD", target).await, (up, "ok\n".to_owned()), "{target}");
        }
        scene.control.health.drain();
        for (target, expected) in [("/livez", up), ("/startupz", up), ("/readyz", down)] {
            assert_eq!(ask(&scene, "GET", target).await.0, expected, "draining: {target}");
        }
        assert_eq!(ask(&scene, "GET", "/readyz").await.1, "draining\n");
    }

    #[tokio::test]
    async fn a_refused_reload_is_told_and_does_not_count() {
        let scene = Scene::new();
        scene.control.health.started();
        write(&scene.path("routes.yaml"), "poison");
        scene.control.reloader.reload(Trigger::Signal).await;
        let (status, body) = ask(&scene, "GET", "/readyz?verbose").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("[-] last reload") && body.contains("[+] config live"), "{body}");
    }

    #[tokio::test]
    async fn only_reading_is_allowed() {
        let scene = Scene::new();
        assert_eq!(ask(&scene, "POST", "/readyz").await.0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(ask(&scene, "GET", "/other").await.0, StatusCode::NOT_FOUND);
        let (status, body) = ask(&scene, "GET", "/metrics").await;
        assert_eq!((status, &*body), (StatusCode::OK, "tidegate_test 1\n"));
    }
}

#[tokio::test]
async fn questions_are_answered_or_refused_with_the_reason() {
    let scene = Scene::new();
    let (path, socket) = (scene.path("s"), AdminSocket::default());
    socket.follow(Some(&path), &scene.control);
    for (target, said) in [
        ("/explain?url=a.com%2Fx", "asked of http://a.com/x"),
        ("/explain", "there is no `url`"),
        ("/explain?url=a&what=1", "unknown parameter `what`"),
    ] {
        let (status, answer) = call(&path, Method::GET, target).await.unwrap();
        assert_eq!((status, answer["errors"].as_str()), (StatusCode::BAD_REQUEST, Some(said)));
    }
}
