//! Broken included files, with and without being kept apart.

use std::{fs, path::Path};

use tempfile::{TempDir, tempdir};

use crate::config::{
    Input, Loaded, load, load_again, load_quarantining,
    model::{Action, Config},
};

const MAIN: &str = "version: 1\ninclude: [team.yaml, other.yaml]\nupstreams: { u: http://127.0.0.1:1 }\n\
                    routes: { site: { to: u } }\n";
const OTHER: &str = "routes: { other: { match: /other, to: u } }\n";

const TEAM_ROUTE: &str = "routes: { team: { match: /team/**, to: u } }\n";

fn scene(team: &str, other: &str) -> TempDir {
    let home = tempdir().unwrap();
    for (name, text) in [("main.yaml", MAIN), ("team.yaml", team), ("other.yaml", other)] {
        fs::write(home.path().join(name), text).unwrap();
    }
    home
}

fn loaded(home: &Path) -> Loaded {
    load_quarantining(&[Input::File(home.join("main.yaml"))], &|_| None)
}

#[track_caller]
fn apart(team: &str, other: &str) -> (Config, String) {
    let home = scene(team, other);
    let input = [Input::File(home.path().join("main.yaml"))];
    assert!(load(&input, &|_| None).config.is_none(), "without the flag it is refused: {team}");
    let loaded = loaded(home.path());
    let text = loaded.render(false);
    // What was noted says the same again.
    let again = load_again(&loaded.snapshot);
    let config = loaded.config.unwrap_or_else(|| panic!("{team}{text}"));
    assert_eq!(again.config.as_ref(), Some(&config), "{}", again.render(false));
    (config, text)
}

#[test]
fn routes_of_a_broken_file_keep_their_requests_and_nothing_else() {
    for team in [
        "routes: { team: { match: /team/**, priority: 3, to: nowhere } }\n",
        "routes: { team: { match: /team/**, priority: 3, to: u, strip_prefx: /x } }\n",
        "routes: { team: { match: /team/**, priority: 3, to: u, auth: unknown } }\n",
        "routes: { team: { match: /team/**, priority: 3, to: u } }\nlisteners: { x: \":1\" }\n",
        "routes: { team: { match: /team/**, priority: 3, to: \"${UNSET}\" } }\n",
        "routes: { team: { match: /team/**, priority: 3 } }\npolicies: { auth: { p: { jwt: {} } } }\n",
        "upstreams: { u: http://127.0.0.1:2 }\nroutes: { team: { match: /team/**, priority: 3, to: u } }\n",
    ] {
        let (config, text) = apart(team, OTHER);
        let route = &config.routes["team"];
        assert_eq!((&route.action, route.priority), (&Action::Quarantined, 3), "{team}");
        assert_eq!(route.matches[0].paths.len(), 1, "{team}");
        assert!(route.auth.is_none() && config.upstreams.len() == 1, "{team}");
        assert_ne!(config.routes["other"].action, Action::Quarantined);
        let [only] = config.quarantined.as_slice() else { panic!("{:?}", config.quarantined) };
        assert!(only.file.ends_with("team.yaml") && *only.routes[0] == *"team");
        assert!(text.contains("is quarantined: its route answers 503"), "{text}");
        assert!(text.contains("warning: ") && !text.contains("error: "), "{text}");
    }
}

#[test]
fn who_needs_a_broken_file_is_broken_too_and_nobody_is_left_open() {
    let team = "policies: { auth: { p: { api_key: { keys: { a: 0123456789abcdef } } } } }\nroutes: { team: { match: /t, to: nowhere } }\n";
    let (config, _) = apart(team, "routes: { other: { match: /other, to: u, auth: p } }\n");
    assert_eq!(config.quarantined.len(), 2, "{:?}", config.quarantined);
    assert_eq!(config.routes["other"].action, Action::Quarantined);
    let site = &config.routes["site"];
    assert_ne!(site.action, Action::Quarantined);
}

#[test]
fn a_name_that_is_taken_is_no_way_to_lose_a_route() {
    let (config, _) = apart(OTHER, "routes: { other: { match: /team, to: u } }\n");
    let mut names = config.routes.iter().filter(|(_, it)| it.action == Action::Quarantined);
    let (name, route) = names.next().unwrap();
    assert!(name.starts_with("other@") && name.ends_with("other.yaml"), "{name}");
    assert_eq!(route.matches.len(), 1);
}

#[test]
fn a_file_whose_requests_nobody_knows_refuses_everything() {
    let cases = [
        // The six of a route that is not read as one.
        "routes: { team: { mtach: /team/**, to: u } }",
        "rotues: { team: { match: /team/**, to: u } }",
        "routes: { team: { match: /team/**, match: /x, to: u } }",
        "routes: { a: { match: /a, to: u } }\nroutes: { team: { match: /team/**, to: u } }",
        "routes: { team: { match: /a, to: u }, team: { match: /team/**, to: u } }",
        "upstreams: { team: { match: /team/**, to: u } }",
        // What else may say it: with another word, in another place, or beside a good `match`.
        "routes: { team: { match: /team/**, host: a.com, to: u } }",
        "routes: { team: { match: /team/**, priorty: 5, to: u } }",
        "routes: { team: { match: /team/**, enabeld: false, to: u } }",
        "routes: { team: { match: /a, to: u, x: { match: /team/**, to: u } } }",
        "routes: { team: { match: /a, to: u, ap: { mtach: /team/**, to: u } } }",
        "routes: { team: { match: /a, to: u, timeouts: { more: { match: /team/** } } } }",
        "routes: { team: { to: u, timeouts: { request: 1s, mtach: /team/** } } }",
        "routes: { team: { auth: p } }",
        "routes: { team: { match: [/team/**, { path: /a, path: /b }], to: u } }",
        "routes: { team: { match: { path: /a, hots: a.com }, to: u } }",
        "routes: { team: { <<: 1, to: u } }",
        "routes: { <<: 1, team: { match: /a, to: u } }",
        "routes: { team: { match: !x /team/**, to: u } }",
        "routes: { team: { match: /team/**, enabled: fasle, to: u } }",
        "routes: { -team: { match: /team/**, to: u } }",
        "routes: { team: { match: /team/**, to: u, match } }",
        "routes: text",
        "routes: { team: text }",
        "text",
        "routes:\nteam: { match: /team/**, to: u }",
        "x: &x { match: /team/** }\nroutes: { team: { <<: *x, to: u } }",
        // In other sections.
        "upstreams: { team: { mtach: /team/**, to: u } }",
        "upstreams: { team: [{ match: /team/**, to: u }] }",
        "upstreams: text",
        "upstreams: { a: http://a }\nupstreams: { b: http://a, team: { match: /team/**, to: u } }",
        "policies: { team: { match: /team/**, to: u } }",
        "policies: { auth: { team: { match: /team/**, to: u } } }",
        "policies: { ip: [{ match: /team/**, to: u }] }",
        "defaults: { hosts: [a.com] }",
        "defaults: { match: a.com }",
        "defaults: { team: { mtach: /team/**, to: u } }",
        "defaults: text",
        "listeners: { team: { match: /team/**, to: u } }",
        "include: [more.yaml]",
        "includ: [more.yaml]",
        "version: 2",
        "tests: { team: { match: /team/**, to: u } }",
    ];
    for case in cases {
        let routes = if case.contains("routes:") || case == "text" { "" } else { TEAM_ROUTE };
        let home = scene(&format!("{case}\n{routes}"), OTHER);
        let loaded = loaded(home.path());
        let text = loaded.render(false);
        assert!(loaded.config.is_none(), "{case}: {text}");
        assert!(text.contains("team.yaml` cannot be quarantined: nobody knows"), "{case}: {text}");
        assert!(text.contains("error: "), "{case}: {text}");
    }
}

#[test]
fn a_slip_that_has_to_do_with_no_request_quarantines_still() {
    for case in [
        "upstreams: { t: { endpoints: http://a, connect_timeot: 1s } }",
        "policies: { auth: { p: { api_kye: { keys: { a: 0123456789abcdef } } } } }",
        "policies: { timeots: { p: { request: 1s } } }",
        "defaults: { timeuts: { request: 1s } }",
        "server: { drain: 1s }",
        "tests: [{ rqeuest: GET http://a.com/ }]",
    ] {
        let (config, text) = apart(&format!("{case}\n{TEAM_ROUTE}"), OTHER);
        assert_eq!(config.routes["team"].action, Action::Quarantined, "{case}: {text}");
    }
    for route in [
        "to: u, timeouts: { requst: 1s, more: 2s }",
        "to: u, timeuots: { request: 1s }",
        "to: u, cors: {}",
        "to: u, to: u",
        "redirect: { t: x }",
    ] {
        let team = format!("routes: {{ team: {{ match: /team/**, {route} }} }}\n");
        let (config, text) = apart(&team, OTHER);
        assert_eq!(config.routes["team"].action, Action::Quarantined, "{route}: {text}");
    }
}

#[test]
fn who_needs_what_a_quarantined_file_defines_is_told_so() {
    let team = "upstreams: { v: http://127.0.0.1:2 }\npolicies: { auth: { q: { api_key: { keys: { a: 0123456789abcdef } } } } }\n\
                routes: { team: { match: /t, to: nowhere } }\n";
    let other = "policies: { auth: { p: { api_key: { keys: { a: 0123456789abcdef } } } } }\n\
                 routes: { other: { match: /other, to: v, auth: q }, more: { match: /more, to: u, auth: p } }\n";
    let (_, text) = apart(team, other);
    assert!(text.contains("unknown policy `q`") && text.contains("unknown upstream `v`"), "{text}");
    assert!(text.matches("which is quarantined").count() == 2, "{text}");
    assert!(!text.contains("did you mean"), "{text}");
}

#[test]
fn what_cannot_be_kept_apart_refuses_everything() {
    for (team, why) in [
        ("routes: { team: { match: [/x, { pth: /y }], to: u } }\n", "pth"),
        ("routes: { team: { match: \"${UNSET}\", to: u } }\n", "UNSET"),
        ("routes: [a, b]\n", "map"),
        ("routes: { team: 7 }\n", "map"),
        ("routes: { a\n", "not YAML"),
        ("routes: { team: { match: /a, to: nowhere, priority: x } }\n", "priority"),
    ] {
        let home = scene(team, OTHER);
        let loaded = loaded(home.path());
        let text = loaded.render(false);
        assert!(loaded.config.is_none() && text.contains(why), "{team}: {text}");
    }
    // A file that is not there, and a main file that is broken.
    let home = scene("routes: { team: { match: /t, to: nowhere } }\n", OTHER);
    fs::remove_file(home.path().join("other.yaml")).unwrap();
    assert!(loaded(home.path()).config.is_none());
    let home = scene("routes: { team: { match: /t, to: nowhere } }\n", OTHER);
    fs::write(home.path().join("main.yaml"), MAIN.replace("to: u", "to: nobody")).unwrap();
    let text = loaded(home.path()).render(false);
    assert!(text.contains("nobody") && text.contains("nowhere"), "all errors are said: {text}");
}
