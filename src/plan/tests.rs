//! Logs of every format, and what becomes of their requests.

use std::{fmt::Write as _, fs, io::Write as _, sync::Arc};

use super::*;
use crate::{
    config::{self, Input},
    layers::custom::Registry,
    runtime::live::Live,
};

struct Nobody;

impl Progress for Nobody {
    fn at(&self, _: u64, _: Option<u64>) {}
}

const OLD: &str = "\
upstreams: { u: http://127.0.0.1:1, v: http://127.0.0.1:2 }
policies: { auth: { keys: { api_key: { keys: { a: 0123456789abcdef } } } } }
routes:
  shop: { match: a.com/shop/**, to: u }
  admin: { match: a.com/admin/**, to: u, auth: keys }
  beta: { match: { host: a.com, path: /b, headers: { x-beta: present } }, to: v }
  plain: { match: a.com/b, to: u }
";

fn compiled(text: &str) -> Runtime {
    let input = Input::Text { name: "t.yaml".to_owned(), text: format!("version: 1\n{text}") };
    let loaded = config::load(&[input], &|_| None);
    let problems = loaded.render(false);
    let config = Arc::new(loaded.config.unwrap_or_else(|| panic!("{problems}")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dry = Live::dry(&config, Registry::default(), runtime.handle());
    dry.map(|(runtime, _)| runtime).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn planned(new: &str, log: &str) -> Plan {
    planned_of(new, log.as_bytes(), None)
}

fn planned_of(new: &str, log: &[u8], host: Option<&str>) -> Plan {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), log).unwrap();
    let settings = Settings { host: host.map(str::to_owned), samples: 2 };
    replay((&compiled(OLD), &compiled(new)), file.path(), &settings, &Nobody).unwrap()
}

fn line(path: &str, more: &str) -> String {
    format!(
        "{{\"listener\":\"http\",\"client_ip\":\"192.0.2.7\",\"method\":\"GET\",\"host\":\"a.com\",\"path\":\"{path}\",\
         \"query\":null,\"status\":200,\"reason\":null,\"tls\":null{more}}}\n"
    )
}

#[test]
fn what_becomes_of_each_request_is_counted_in_groups() {
    let log = line("/shop/1", ",\"route\":\"shop\"").repeat(3)
        + &line("/admin/1", ",\"route\":\"admin\",\"consumer\":\"a\"")
        + &line("/nobody", ",\"route\":null");
    let same = planned(OLD, &log);
    assert_eq!((same.lines, same.replayed, same.changed), (5, 5, 0), "{same:?}");
    assert!(same.groups.is_empty() && same.not_replayed.is_empty(), "{same:?}");

    let moved = planned(&OLD.replace("shop/**, to: u", "shop/**, to: v"), &log);
    assert_eq!((moved.changed, moved.upstream, moved.route), (3, 3, 0), "{moved:?}");
    let [group] = moved.groups.as_slice() else { panic!("{moved:?}") };
    assert_eq!((group.requests, group.now.to.as_str(), group.then.to.as_str()), (3, "u", "v"));
    assert_eq!((group.means.as_slice(), group.samples.len()), (&["upstream"][..], 2));
    assert_eq!(group.samples[0], "GET a.com/shop/1");

    let gone = planned(&OLD.replace("a.com/shop/**", "a.com/store/**"), &log);
    assert_eq!((gone.refused, gone.route, gone.changed), (3, 3, 3), "{gone:?}");
    assert_eq!(gone.groups[0].then.refused, Some("no_route"));

    let came = planned(&format!("{OLD}  new: {{ match: a.com/nobody, to: v }}\n"), &log);
    assert_eq!((came.let_in, came.route, came.changed), (1, 1, 1), "{came:?}");
    assert_eq!(came.groups[0].now.refused, Some("no_route"));
}

#[test]
fn who_may_pass_is_compared_with_what_the_log_says_of_them() {
    let closed = OLD.replace("shop/**, to: u", "shop/**, to: u, auth: keys");
    let opened = OLD.replace(", auth: keys", "");
    let stranger = line("/shop/1", ",\"route\":\"shop\"");
    let known = line("/admin/1", ",\"route\":\"admin\",\"consumer\":\"a\"");
    let turned_away = known
        .replace(",\"consumer\":\"a\"", "")
        .replace("200,\"reason\":null", "401,\"reason\":\"unauthenticated\"");
    for (new, log, (auth, refused, let_in)) in [
        (&closed, &stranger, (1, 1, 0)),
        (&opened, &known, (1, 0, 0)),
        (&opened, &turned_away, (1, 0, 1)),
    ] {
        let plan = planned(new, log);
        assert_eq!(
            (plan.auth, plan.refused, plan.let_in),
            (auth, refused, let_in),
            "{log}{plan:?}"
        );
    }
    let ip = OLD.replace("shop/**, to: u", "shop/**, to: u, ip: { deny: [192.0.2.0/24] }");
    let plan = planned(&ip, &stranger);
    assert_eq!((plan.refused, plan.groups[0].then.refused), (1, Some("ip_denied")), "{plan:?}");
    let limited = OLD.replace("shop/**, to: u", "shop/**, to: u, rate_limit: 9/s");
    let plan = planned(&limited, &stranger);
    assert_eq!((plan.limits, plan.refused), (1, 0), "{plan:?}");
}

#[test]
fn what_the_log_does_not_tell_is_not_guessed() {
    let plan = planned(OLD, &line("/b", ",\"route\":\"plain\""));
    assert_eq!((plan.replayed, plan.lines), (0, 1), "{plan:?}");
    let why = plan.not_replayed.keys().next().unwrap();
    assert!(why.contains("header x-beta"), "{why}");
    // With the header, or on other paths, it is known.
    let told = line("/b", ",\"route\":\"beta\",\"request_headers\":{\"x-beta\":\"1\"}");
    let plan = planned(OLD, &told);
    assert_eq!((plan.replayed, plan.logged_otherwise), (1, 0), "{plan:?}");
    let plan = planned(OLD, &line("/shop/1", ",\"route\":\"old-shop\""));
    assert_eq!((plan.replayed, plan.logged_otherwise), (1, 1), "{plan:?}");
    let plan = planned(OLD, "nonsense\n{\"a\":1}\n\n");
    assert_eq!((plan.lines, plan.replayed, plan.not_replayed.len()), (2, 0, 2), "{plan:?}");
}

#[test]
fn other_formats_and_gzip_are_read() {
    let combined = "192.0.2.7 - - [21/Nov/2026:08:33:46 +0000] \"GET /shop/1?token=hunter2 HTTP/1.1\" 200 1 \"-\" \"curl\"\n";
    let new = OLD.replace("shop/**, to: u", "shop/**, to: v");
    let plan = planned(&new, combined);
    assert!(plan.not_replayed.keys().any(|why| why.contains("--host")), "{plan:?}");
    let plan = planned_of(&new, combined.as_bytes(), Some("a.com"));
    assert_eq!((plan.replayed, plan.upstream), (1, 1), "{plan:?}");
    assert_eq!(plan.groups[0].samples, ["GET /shop/1?…"]);
    let ecs =
        "{\"http.request.method\":\"GET\",\"url.domain\":\"a.com\",\"url.path\":\"/shop/2\"}\n";
    assert_eq!(planned(&new, ecs).upstream, 1);
    // Packed, and in two members as `cat a.gz b.gz` makes them.
    let packed = |text: &str| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    let both = [packed(ecs), packed(&ecs.repeat(4))].concat();
    assert_eq!(planned_of(&new, &both, None).upstream, 5);
}

#[test]
fn lines_across_pieces_are_whole_and_a_line_without_end_is_none() {
    let mut log = String::new();
    for at in 0..20_000 {
        let _ = write!(log, "{}", line(&format!("/shop/{at}"), ",\"route\":\"shop\""));
    }
    assert!(log.len() > 3 << 20, "more than one piece");
    let plan = planned(&OLD.replace("shop/**, to: u", "shop/**, to: v"), log.trim_end());
    assert_eq!((plan.lines, plan.upstream), (20_000, 20_000), "{:?}", plan.not_replayed);
    let endless = format!("{}{}", "x".repeat(5 << 20), line("/shop/1", ""));
    let plan = planned(OLD, &endless);
    assert_eq!(plan.replayed, 0, "{plan:?}");
    assert!(plan.lines > 0);
}

#[test]
fn people_see_the_numbers_and_examples() {
    let log = line("/shop/1", ",\"route\":\"shop\"").repeat(2) + "nonsense\n";
    let text = human(&planned(&OLD.replace("shop/**, to: u", "shop/**, to: v"), &log));
    let expected = "\
2 requests replayed, 2 (100.00 %) would change
          2  other upstreams, or other shares of them

2 × shop → shop  (upstream)
    to: u → v
    GET a.com/shop/1
    GET a.com/shop/1

not replayed: 1 of 3 lines
          1  the line is no access log line
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn a_listener_is_known_by_its_address_where_its_name_is_gone() {
    let log = line("/shop/1", ",\"route\":\"shop\"");
    let renamed = format!("listeners: {{ web: \":8080\" }}\n{OLD}");
    let old = format!("listeners: {{ http: \":8080\" }}\n{OLD}");
    let replayed = |old: &str, new: &str, log: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), log).unwrap();
        let settings = Settings { host: None, samples: 1 };
        replay((&compiled(old), &compiled(new)), file.path(), &settings, &Nobody).unwrap()
    };
    let plan = replayed(&old, &renamed, &log);
    assert_eq!((plan.replayed, plan.changed), (1, 0), "{plan:?}");
    // The log of after the change is as good.
    let plan = replayed(&old, &renamed, &log.replace("\"http\"", "\"web\""));
    assert_eq!((plan.replayed, plan.changed), (1, 0), "{plan:?}");
    let plan = replayed(&old, &renamed.replace("8080", "8081"), &log);
    assert_eq!((plan.refused, plan.groups[0].then.refused), (1, Some("no_listener")), "{plan:?}");
    let plan = replayed(&old, &renamed, &log.replace("\"http\"", "\"edge\""));
    assert_eq!(plan.replayed, 0, "{plan:?}");
    assert!(plan.not_replayed.keys().all(|why| why.contains("listener")), "{plan:?}");
}

#[test]
fn whom_the_log_says_was_turned_away_loses_nothing() {
    let closed = OLD.replace("  shop: { match: a.com/shop/**, to: u }\n", "");
    let passed = line("/shop/1", ",\"route\":\"shop\"");
    for (status, expected) in
        [(200, (1, 0)), (401, (0, 1)), (403, (0, 1)), (429, (0, 1)), (404, (1, 0))]
    {
        let log = passed.replace("\"status\":200", &format!("\"status\":{status}"));
        let plan = planned(&closed, &log);
        assert_eq!((plan.refused, plan.refused_already), expected, "{status}: {plan:?}");
    }
}
