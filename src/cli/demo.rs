//! `tidegate demo`: three small services, a gateway in front of them, and lines to paste that show what
//! it can do. Uses the `routes.yaml` of the current directory, so that there is a file to play with.

use std::{
    fmt::Write as _,
    fs, io,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use super::{
    complain, exit, say,
    services::Services,
    supervise::{Launch, Up, launch},
};
use crate::{
    config::{Input, model::ListenerTls},
    layers::custom::Registry,
};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

/// The file of the repository, for those who have only the binary.
const ROUTES: &str = include_str!("../../routes.yaml");

/// Ports of that file, and the variables that change them.
const PORTS: [(&str, u16); 3] = [("HTTP_PORT", 8080), ("HTTPS_PORT", 8443), ("ADMIN_PORT", 9900)];

/// A file that is removed with its directory in the end, if it is ours.
struct Routes {
    path: PathBuf,
    ours: Option<PathBuf>,
}

pub(super) fn demo(_: &Arguments, registry: Registry) -> ExitCode {
    match prepare(registry) {
        // The services and the temporary file live as long as the gateway runs.
        Ok((_services, _routes, ready)) => launch(ready),
        Err(error) => {
            complain(&format!("error: the demo cannot start: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

fn prepare(registry: Registry) -> io::Result<(Services, Routes, Launch)> {
    let services = Services::start()?;
    let routes = Routes::find()?;
    // A port that somebody has chosen is theirs to free.
    let ports = PORTS.map(|(name, usual)| {
        let chosen = std::env::var(name).ok().and_then(|port| port.parse().ok());
        (name, chosen.unwrap_or_else(|| free_port(usual)))
    });
    let mut notes = String::new();
    for ((name, usual), (_, port)) in PORTS.iter().zip(&ports) {
        if usual != port && std::env::var_os(name).is_none() {
            let _ = writeln!(notes, "  (port {usual} is taken on this machine, so it is {port})");
        }
    }
    let mut variables: Vec<(&str, String)> = vec![
        ("FRONT_URL", format!("http://{}", services.front)),
        ("DATA_URL", format!("http://{}", services.data)),
        ("MOODY_URL", format!("http://{}", services.moody)),
    ];
    variables.extend(ports.map(|(name, port)| (name, port.to_string())));
    // The lines are pasted in another terminal, in any directory.
    let file = std::path::absolute(&routes.path)?;
    let ready = Launch {
        inputs: vec![Input::File(routes.path.clone())],
        env: Arc::new(move |name| {
            let own = variables.iter().find(|(own, _)| *own == name);
            own.map(|(_, value)| value.clone()).or_else(|| std::env::var(name).ok())
        }),
        registry,
        quarantine: false,
        admin_socket: true,
        on_ready: Some(Box::new(move |up| say(&format!("{notes}{}", guide(up, &file))))),
    };
    Ok((services, routes, ready))
}

/// `usual`, or any port that is free if somebody has it.
fn free_port(usual: u16) -> u16 {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|s| s.local_addr());
    bind(usual).or_else(|_| bind(0)).map_or(usual, |address| address.port())
}

// === impl Routes ===

impl Routes {
    fn find() -> io::Result<Self> {
        let here = PathBuf::from("routes.yaml");
        if here.exists() {
            return Ok(Self { path: here, ours: None });
        }
        let dir = std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let path = dir.join("routes.yaml");
        fs::write(&path, ROUTES)?;
        Ok(Self { path, ours: Some(dir) })
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        if let Some(dir) = &self.ours {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

// === what is printed ===

/// Lines to paste, for those routes that the file really has.
fn guide(up: &Up<'_>, file: &Path) -> String {
    let config = up.config;
    let url = |tls: bool| {
        let listener = up.bound.iter().find(|(name, _)| {
            config.listeners.get(name).is_some_and(|l| (l.tls != ListenerTls::None) == tls)
        });
        listener.map(|(_, address)| {
            let port = address.rsplit(':').next().unwrap_or_default();
            format!("{}://localhost:{port}", if tls { "https" } else { "http" })
        })
    };
    let mut text = String::from("\nThe gateway is up. In another terminal:\n");
    if let Some(http) = url(false) {
        for (route, title, command) in steps(&http, &file.display().to_string()) {
            if config.routes.contains_key(route) {
                let _ = writeln!(text, "\n  # {title}\n  {command}");
            }
        }
        let _ = writeln!(text, "\n  # nothing there: the answer names the nearest routes");
        let _ = writeln!(text, "  curl -i {http}/dta");
    }
    if let Some(https) = url(true) {
        let trust = match &up.dev_ca {
            Some(ca) => {
                let ca = std::path::absolute(ca).unwrap_or_else(|_| ca.clone());
                format!("--cacert '{}'", ca.display())
            }
            None => "-k".to_owned(),
        };
        let _ = writeln!(text, "\n  # the same over TLS and HTTP/2");
        let _ = writeln!(text, "  curl {trust} {https}/hello");
    }
    if let Some(admin) = &up.admin {
        let _ = writeln!(text, "\n  # what a probe and Prometheus see");
        let _ = writeln!(
            text,
            "  curl '{admin}/readyz?verbose'; curl -s {admin}/metrics | grep requests_total"
        );
    }
    let _ = writeln!(
        text,
        "\nOpen {} in an editor, change something, save: it is live, or refused with the reason.\n\
         Ctrl-C ends all of it.\n",
        file.display()
    );
    text
}

/// Route, what it shows, and the line to paste.
fn steps(http: &str, file: &str) -> [(&'static str, &'static str, String); 10] {
    let count =
        format!("for i in $(seq 50); do curl -s {http}/split | cut -c1-7; done | sort | uniq -c");
    [
        (
            "front",
            "routing by path: a service that answers text",
            format!("curl {http}/front/page"),
        ),
        ("data", "another path, another service: JSON", format!("curl {http}/data")),
        ("split", "a weighted split: nine of ten go to `front`", count.clone()),
        (
            "split-testers",
            "the more specific route wins; headers are changed on both ways",
            format!("curl -i -H 'X-Tester: 1' {http}/split"),
        ),
        ("hello", "the gateway answers by itself", format!("curl {http}/hello")),
        ("old-pages", "a redirect with a part of the path", format!("curl -iL {http}/old/page")),
        (
            "moody",
            "a breaker: the service fails for three seconds; after four 500s the gateway answers 503 for it",
            format!(
                "curl -X POST {http}/moody/break; for i in $(seq 8); do \
                 curl -s -o /dev/null -w '%{{http_code}} ' {http}/moody; done; curl -si {http}/moody"
            ),
        ),
        (
            "moody",
            "later it lets one request through, finds it well, and closes; the others never came",
            format!("sleep 5; curl {http}/moody"),
        ),
        (
            "limited",
            "a rate limit: five at once pass, the sixth is 429 and told when to come again",
            format!(
                "for i in $(seq 5); do curl -s -o /dev/null -w '%{{http_code}} ' {http}/limited; done; \
                 curl -si {http}/limited"
            ),
        ),
        (
            "split",
            "live reload: turn the split around, count again, and turn it back",
            format!(
                "sed -i 's/front: 90, data: 10/front: 10, data: 90/' '{file}'; sleep 1\n  {count}\n  \
                 sed -i 's/front: 10, data: 90/front: 90, data: 10/' '{file}'"
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, model::Config};

    fn routes() -> Config {
        let input = Input::Text { name: "routes.yaml".to_owned(), text: ROUTES.to_owned() };
        let loaded = config::load(&[input], &|_| None);
        loaded.config.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false))).clone()
    }

    #[test]
    fn every_line_of_the_guide_has_its_route() {
        let config = routes();
        for (route, _, _) in steps("http://x", "routes.yaml") {
            assert!(config.routes.contains_key(route), "{route}");
        }
        assert!(ROUTES.contains("front: 90, data: 10"), "the guide's sed line finds nothing");
    }

    #[test]
    fn a_file_of_ones_own_gets_only_the_lines_that_fit() {
        let mut config = routes();
        config.routes.retain(|name, _| &**name == "hello");
        let bound = vec![("http".into(), "127.0.0.1:81".into())];
        let up = Up { config: &config, bound, admin: None, dev_ca: None };
        let text = guide(&up, Path::new("r.yaml"));
        assert!(text.contains("curl http://localhost:81/hello"), "{text}");
        assert!(!text.contains("/split") && !text.contains("https://"), "{text}");
    }

    #[test]
    fn lines_can_be_pasted_in_any_directory() {
        let config = routes();
        let bound = vec![("https".into(), "127.0.0.1:82".into())];
        let up = Up { config: &config, bound, admin: None, dev_ca: Some("certs/ca.pem".into()) };
        let text = guide(&up, Path::new("/r.yaml"));
        let here = std::env::current_dir().unwrap().join("certs/ca.pem");
        let line = format!("curl --cacert '{}' https://localhost:82/hello", here.display());
        assert!(text.contains(&line), "{text}");
    }

    #[test]
    fn a_taken_port_is_replaced() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_ne!(free_port(port), port);
    }
}
