//! One closed path against every spelling of it, judged by how servers would resolve what arrives.
//!
//! The gateway closes `/admin` and all below it and passes everything else on. Thousands of spellings
//! go in, by both protocols; what comes out is resolved the way nginx, Apache, Node, Go, Flask and Tomcat
//! do it, and in every other order of the same steps. Nothing of it may be `/admin`.

mod resolvers;
mod spellings;

use std::collections::BTreeSet;

use self::resolvers::{is_closed, judges};
use super::targets::Stand;
use crate::support::frames::{END_STREAM, Frames, Outcome, get, headers};

const ROUTES: &str = "routes:\n  closed: { match: [/admin, /admin/**], respond: 403 }\n\
                      \x20 app: { to: \"UPSTREAM\" }\n";

/// How many spellings were refused, closed, and passed on as another path.
#[derive(Debug, Default)]
struct Count {
    refused: usize,
    closed: usize,
    passed: usize,
}

impl Count {
    fn add(&mut self, status: u16, spelling: &str) {
        match status {
            // 0: reset by the library as malformed.
            400 | 0 => self.refused += 1,
            403 => self.closed += 1,
            200 => self.passed += 1,
            other => panic!("{other} for {spelling:?}"),
        }
    }

    /// Each of the three is a good part of all, or the spellings are no test.
    #[track_caller]
    fn check(&self, all: usize) {
        assert_eq!(self.refused + self.closed + self.passed, all);
        assert!(self.refused > all / 10 && self.closed > all / 20, "{self:?} of {all}");
        assert!(self.passed > all / 50, "{self:?} of {all}");
    }
}

/// Everything the upstream received, judged.
#[track_caller]
fn judge_all(stand: &Stand, least: usize) {
    let paths: BTreeSet<String> =
        stand.upstream.requests().iter().map(|head| head.word(1).to_owned()).collect();
    assert!(paths.len() >= least, "only {} different paths passed", paths.len());
    let mut through = Vec::new();
    for path in &paths {
        for (name, resolve) in judges() {
            through.extend(
                resolve(path.as_bytes())
                    .into_iter()
                    .filter(|end| is_closed(end))
                    .map(|end| format!("{path} is {} to {name}", String::from_utf8_lossy(&end))),
            );
        }
    }
    assert!(through.is_empty(), "{} of {}:\n{}", through.len(), paths.len(), through.join("\n"));
}

#[test]
fn no_spelling_of_http1_reaches_the_closed_path() {
    let stand = Stand::with(ROUTES);
    let all = spellings::all();
    assert!(all.len() >= 5_000, "{}", all.len());
    let mut count = Count::default();
    let mut client = stand.gateway.client();
    for spelling in &all {
        client.request("GET", "a", spelling, &[]);
        let answer = client.response();
        count.add(answer.status, spelling);
        if answer.head.has("connection") {
            client = stand.gateway.client();
        }
    }
    count.check(all.len());
    judge_all(&stand, 200);
    assert_eq!(stand.gateway.get("a", "/clean").status, 200);
}

#[test]
fn no_spelling_of_http2_reaches_the_closed_path() {
    let stand = Stand::with(ROUTES);
    let all = spellings::all();
    let mut count = Count::default();
    let address = stand.gateway.addr("http");
    // The gateway ends a connection of which it has had to refuse too many requests.
    for some in all.chunks(12) {
        let mut frames = Frames::connect(address, &[]);
        for (path, stream) in some.iter().zip((1..).step_by(2)) {
            frames.send(headers(stream, END_STREAM, &get(path, &[])));
        }
        for (spelling, stream) in some.iter().zip((1..).step_by(2)) {
            match frames.outcome(stream) {
                Outcome::Answer { status, .. } => count.add(status, spelling),
                Outcome::Reset(1) => count.add(0, spelling),
                other => panic!("{other:?} for {spelling:?}"),
            }
        }
    }
    count.check(all.len());
    judge_all(&stand, 200);
    assert_eq!(stand.gateway.get("a", "/clean").status, 200);
}

#[test]
fn the_judges_know_the_closed_path_when_they_see_it() {
    // Each of these is `/admin` to somebody, and each judge is somebody to one of them.
    let planted = [
        "/admin",
        "/admin/x",
        "/%61dmin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "//admin",
        "/./admin",
        "/%2561dmin",
        "/x/%252e%252e/admin",
        "/x/..;/admin",
        "/admin;x",
        "/admin%3bx",
        "/;x/admin",
        "/x\\..\\admin",
        "\\admin",
        "/%5cadmin",
        "/%2fadmin",
        "/admin%2fx",
        "/admin%00.png",
        "/%c0%afadmin",
        "/x/%c0%ae%c0%ae/admin",
        "/%e0%80%afadmin",
        "/%u0061dmin",
        "/admin?x",
        "/admin#x",
        "/x/..%2fadmin",
    ];
    let caught = |path: &str| -> Vec<&'static str> {
        let caught = judges()
            .into_iter()
            .filter(|(_, resolve)| resolve(path.as_bytes()).iter().any(|end| is_closed(end)));
        caught.map(|(name, _)| name).collect()
    };
    let mut useful = BTreeSet::new();
    for path in planted {
        let by = caught(path);
        assert!(!by.is_empty(), "nobody sees through {path}");
        useful.extend(by);
    }
    assert_eq!(useful.len(), judges().len(), "{useful:?}");
    // Every judge sees through something the gateway would have to stop, not only the plain path.
    for (name, resolve) in judges() {
        let more = planted[2..].iter().any(|p| resolve(p.as_bytes()).iter().any(|e| is_closed(e)));
        assert!(more, "{name} sees through nothing");
    }
    for path in [
        "/",
        "/x",
        "/administrator",
        "/adminx",
        "/x/admin",
        "/admi",
        "/Admin",
        "/admin.",
        "/admin%20",
    ] {
        assert_eq!(caught(path), [""; 0], "{path}");
    }
}
