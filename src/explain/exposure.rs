//! What a configuration opens to whom: one row for each route, the public ones first. Printed at the end of
//! `check`, so that nobody opens by accident what he did not mean to.

use std::fmt::Write as _;

use serde::Serialize;

use super::{place, steps::windows};
use crate::config::model::{
    Action, AuthPolicy, Config, Match, Mode, Name, PathMatch, Require, Route,
};

/// One route and who may use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exposed {
    /// The route.
    pub route: String,
    /// Where it was written.
    pub at: Option<String>,
    /// Listeners through which it is reached.
    pub listeners: Vec<String>,
    /// The first of its hosts and paths, and how many more there are.
    pub matched: String,
    /// Who may pass: `partners (api_key)`; none if everybody may.
    pub auth: Option<String>,
    /// What those who are in may do; none if everything.
    pub authorize: Option<String>,
    /// How often: `100/min`; none if as often as one likes.
    pub limit: Option<String>,
    /// From which addresses; none if from all.
    pub ip: Option<String>,
    /// Anybody may use it.
    pub public: bool,
}

/// So many rows are printed.
const ROWS: usize = 20;
/// So many public routes are named.
const NAMES: usize = 20;
/// A match longer than this is cut.
const MATCH: usize = 40;

/// The enabled routes of a configuration, the public ones first.
pub fn exposure(config: &Config) -> Vec<Exposed> {
    let enabled = config.routes.iter().filter(|(_, route)| route.enabled);
    let mut all: Vec<Exposed> = enabled.map(|(name, route)| exposed(config, name, route)).collect();
    all.sort_by(|a, b| (!a.public, &a.route).cmp(&(!b.public, &b.route)));
    all
}

/// The rows as a table, with what is public below it.
pub fn table(config: &Config, all: &[Exposed]) -> String {
    let open = open(config);
    let title = ["listener", "route", "match", "auth", "limit"].map(str::to_owned);
    let row = |it: &Exposed| {
        let listeners = match it.listeners.len() {
            0 => "none".to_owned(),
            many if many > 1 && many == open.len() => "all".to_owned(),
            _ => it.listeners.join(", "),
        };
        let who = [&it.auth, &it.authorize, &it.ip].into_iter().flatten().cloned();
        let who = who.collect::<Vec<_>>();
        let who = if who.is_empty() { "none".to_owned() } else { who.join(" · ") };
        let limit = it.limit.clone().unwrap_or_else(|| "none".to_owned());
        [listeners, it.route.clone(), it.matched.clone(), who, limit]
    };
    let rows: Vec<[String; 5]> =
        [title].into_iter().chain(all.iter().take(ROWS).map(row)).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for [listener, route, matched, who, limit] in &rows {
        let [a, b, c, d] = widths;
        let line = format!("{listener:a$}  {route:b$}  {matched:c$}  {who:d$}  {limit}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if all.len() > ROWS {
        let _ = writeln!(text, "… and {} more", all.len() - ROWS);
    }
    let redirected = config.listeners.iter().filter(|(_, it)| it.https_redirect.is_some());
    let redirected: Vec<&str> = redirected.map(|(name, _)| &**name).collect();
    if !redirected.is_empty() {
        let _ = writeln!(text, "redirected to HTTPS: {}", redirected.join(", "));
    }
    let public: Vec<&str> = all.iter().filter(|it| it.public).map(|it| &*it.route).collect();
    let more = match public.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = public.iter().take(NAMES).copied().collect::<Vec<_>>().join(", ");
    let named = if named.is_empty() { "nothing" } else { &named };
    let _ = writeln!(text, "public, for there is no auth: {named}{more}");
    text
}

fn exposed(config: &Config, name: &Name, route: &Route) -> Exposed {
    let auth = auth(route);
    let ip = route.ip.as_ref().filter(|rules| rules.mode == Mode::Enforce);
    Exposed {
        route: name.to_string(),
        at: place(config, route.place),
        listeners: listeners(config, route),
        matched: matched(&route.matches),
        public: is_public(route),
        auth,
        authorize: authorize(route),
        limit: limit(route),
        ip: ip.map(|rules| format!("ip {}", rules.policy)),
    }
}

/// Whether anybody may use a route. Who is kept out by a list of networks is not many: anybody else may
/// still come.
pub(crate) fn is_public(route: &Route) -> bool {
    if route.action == Action::Quarantined {
        return false;
    }
    let ip = route.ip.as_ref().filter(|rules| rules.mode == Mode::Enforce);
    auth(route).is_none() && ip.is_none_or(|rules| rules.allow.is_empty())
}

/// The listeners that do more than redirect.
fn open(config: &Config) -> Vec<&Name> {
    let open = config.listeners.iter().filter(|(_, it)| it.https_redirect.is_none());
    open.map(|(name, _)| name).collect()
}

fn listeners(config: &Config, route: &Route) -> Vec<String> {
    open(config).into_iter().filter(|name| route.is_on(name)).map(ToString::to_string).collect()
}

/// The first of the hosts and paths, and how many more there are.
pub(crate) fn matched(rules: &[Match]) -> String {
    let Some(rule) = rules.first() else { return String::new() };
    let mut text = String::new();
    if !rule.methods.is_empty() {
        let methods: Vec<&str> = rule.methods.iter().map(http::Method::as_str).collect();
        let _ = write!(text, "{} ", methods.join(","));
    }
    text.push_str(rule.hosts.first().map_or("", |host| &host.value));
    text.push_str(match rule.paths.first().map(|path| &path.value) {
        None => "/**",
        Some(PathMatch::Pattern(path) | PathMatch::Regex(path)) => path,
    });
    if text.chars().count() > MATCH {
        text = text.chars().take(MATCH - 1).chain(['…']).collect();
    }
    let branches = |rule: &Match| rule.hosts.len().max(1) * rule.paths.len().max(1);
    match rules.iter().map(branches).sum::<usize>() - 1 {
        0 => text,
        more => format!("{text} +{more}"),
    }
}

/// What keeps strangers out; policies that only watch do not.
pub(crate) fn auth(route: &Route) -> Option<String> {
    if route.action == Action::Quarantined {
        return Some("quarantined".to_owned());
    }
    let auth = route.auth.as_ref()?;
    let enforced = auth.policies.iter().filter(|policy| policy.mode == Mode::Enforce);
    let names: Vec<String> = enforced.map(|policy| named(policy)).collect();
    if names.is_empty() {
        return None;
    }
    Some(names.join(match auth.require {
        Require::Any => " or ",
        Require::All => " and ",
    }))
}

/// What those who are in may do.
pub(crate) fn authorize(route: &Route) -> Option<String> {
    let policies = route.authorize.as_ref()?.policies.iter();
    let enforced = policies.filter(|policy| policy.mode == Mode::Enforce);
    let names: Vec<&str> = enforced.map(|policy| &*policy.policy).collect();
    (!names.is_empty()).then(|| format!("authorize {}", names.join(" and ")))
}

/// How often requests may come, by those limits that refuse.
fn limit(route: &Route) -> Option<String> {
    let enforced = route.rate_limit.iter().filter(|limit| limit.mode == Mode::Enforce);
    let all: Vec<String> = enforced.map(|limit| windows(limit)).collect();
    (!all.is_empty()).then(|| all.join(" and "))
}

fn named(policy: &AuthPolicy) -> String {
    format!("{} ({})", policy.policy, policy.scheme.word())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::config::{self, Input};

    fn config(text: &str) -> Config {
        let input = Input::Text { name: "shop.yaml".to_owned(), text: text.to_owned() };
        let loaded = config::load(&[input], &|_| Some("hunter2-hunter2-hunter2".to_owned()));
        assert!(loaded.config.is_some(), "{}", loaded.render(false));
        loaded.config.unwrap()
    }

    fn printed(text: &str) -> String {
        let config = config(text);
        table(&config, &exposure(&config))
    }

    #[test]
    fn the_shop_is_open_where_it_says() {
        let said = printed(include_str!("tests/shop.yaml"));
        let expected = "\
listener  route     match                             auth                limit
all       catalog   api.example.com/**                none                none
all       only-get  GET only.example.net/only-get     none                none
all       site      *.example.com/**                  none                none
all       status    /status                           none                none
all       admin     api.example.com/admin             staff (basic)       none
all       inside    api.example.com/inside/**         query (api_key)     none
all       order     GET shop.example.com/orders/{id}  ip office           none
all       orders    shop.example.com/orders/**        partners (api_key)  100/min
redirected to HTTPS: http
public, for there is no auth: catalog, only-get, site, status
";
        assert_eq!(said, expected, "\n{said}");
        assert!(!said.contains("hunter2") && !said.contains("0123456789abcdef"), "{said}");
    }

    #[test]
    fn what_only_watches_or_only_keeps_some_out_leaves_a_route_public() {
        let said = printed(
            "version: 1\nlisteners: { a: \":1\", b: \":2\" }\nroutes:\n  \
               watched: { match: [\"x.com/a/**\", \"x.com/b/**\"], respond: 200, auth: { api_key: { from: \"header:x\", keys: { a: 0123456789abcdef } }, mode: shadow } }\n  \
               some: { match: { path: /s, listener: a }, respond: 200, ip: { deny: [192.0.2.0/24] } }\n  \
               off: { match: /off, respond: 200, enabled: false }\n",
        );
        let expected = "\
listener  route    match          auth       limit
a         some     /s             ip inline  none
all       watched  x.com/a/** +1  none       none
public, for there is no auth: some, watched
";
        assert_eq!(said, expected, "\n{said}");
    }

    #[test]
    fn of_ten_thousand_routes_a_page_is_printed() {
        let mut text = "version: 1\nroutes:\n".to_owned();
        for at in 0..10_000 {
            let _ = writeln!(text, "  r{at}: {{ match: /{at}, respond: 200 }}");
        }
        let said = printed(&text);
        assert!(said.lines().count() < 30 && said.len() < 3_000, "{said}");
        assert!(said.contains("… and 9980 more") && said.contains("and 9980 more"), "{said}");
    }
}
