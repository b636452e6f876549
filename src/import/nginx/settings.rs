//! What else a route has: headers, times, sizes, further tries, limits.

use super::{
    super::write::{Entry, Value},
    Import,
    model::Scope,
    parse::Directive,
    units,
    upstreams::by_name,
};

/// Writes all of it into the entry of a route. `servers` are those of its upstream; none where nothing is
/// forwarded.
pub(super) fn settings(
    import: &mut Import<'_>,
    entry: &mut Entry,
    scope: &Scope<'_>,
    servers: Option<usize>,
) {
    limits(import, entry, scope);
    headers(import, entry, scope, servers.is_some());
    if let Some(servers) = servers {
        body(import, entry, scope);
        timeouts(import, entry, scope);
        retry(entry, scope, servers);
    }
}

/// What a body may have, where it is not what `defaults` say.
fn body(import: &mut Import<'_>, entry: &mut Entry, scope: &Scope<'_>) {
    let written = scope.one("client_max_body_size");
    match written.map_or(Some(BODY.to_owned()), |it| units::size(it.arg(0))) {
        Some(size) if size == import.body => {}
        Some(size) => {
            entry.key("body", size);
        }
        None => {
            let it = written.map(|it| (it.at, format!("`{}`", it.shown()))).unwrap_or_default();
            entry.comment(import.report.todo(it.0, it.1, "write `body`"));
        }
    }
}

// === headers ===

/// What a body may have where nginx is told nothing.
pub(super) const BODY: &str = "1MiB";

/// What Tidegate tells services by itself.
const TOLD: [&str; 9] = [
    "host",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "forwarded",
    "upgrade",
    "connection",
];

/// What frames a message, and cannot be edited.
const FRAMING: [&str; 6] =
    ["content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"];

fn headers(import: &mut Import<'_>, entry: &mut Entry, scope: &Scope<'_>, forwards: bool) {
    let (mut set, mut remove): (Vec<(String, Value)>, Vec<String>) = Default::default();
    for it in scope.nearest(&["proxy_set_header", "grpc_set_header"]) {
        let (name, value) = (it.arg(0), it.arg(1));
        let lower = name.to_ascii_lowercase();
        if !forwards
            || TOLD.contains(&lower.as_str())
                && (value.contains('$') || lower == "connection" || lower == "host")
        {
            continue;
        }
        if !is_header(name) || FRAMING.contains(&lower.as_str()) || TOLD.contains(&lower.as_str()) {
            let todo = "Tidegate writes this header by itself";
            entry.comment(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
        } else if value.is_empty() {
            remove.push(name.to_owned());
        } else if value.contains('$') {
            if matches!(value, "$request_id")
                || value == format!("$http_{}", lower.replace('-', "_"))
            {
                continue;
            }
            let todo = "Tidegate has no variables; what clients send under this name is taken out";
            entry.comment(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
            remove.push(name.to_owned());
        } else {
            set.push((name.to_owned(), value.into()));
        }
    }
    let mut response = Response::default();
    for it in scope.nearest(&["proxy_hide_header", "grpc_hide_header"]) {
        if forwards && is_header(it.arg(0)) {
            response.remove.push(it.arg(0).to_owned());
        }
    }
    for it in scope.nearest(&["add_header"]) {
        response.add(import, entry, it);
    }
    let mut all = Vec::new();
    let mut request = Vec::new();
    if !set.is_empty() {
        request.push(("set", Value::Map(unique(set))));
    }
    if !remove.is_empty() {
        request.push(("remove", Value::list(remove)));
    }
    if !request.is_empty() {
        all.push(("request", Value::map(request)));
    }
    if let Some(response) = response.value() {
        all.push(("response", response));
    }
    if !all.is_empty() {
        entry.key("headers", Value::map(all));
    }
}

#[derive(Default)]
struct Response {
    set: Vec<(String, Value)>,
    add: Vec<(String, Value)>,
    remove: Vec<String>,
}

// === impl Response ===

impl Response {
    fn add(&mut self, import: &mut Import<'_>, entry: &mut Entry, it: &Directive) {
        let (name, value) = (it.arg(0), it.arg(1));
        let framing = FRAMING.contains(&name.to_ascii_lowercase().as_str());
        if value.contains('$') || !is_header(name) || framing {
            let todo = "Tidegate has no variables in headers: left out";
            entry.comment(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
            return;
        }
        if value.is_empty() {
            return;
        }
        if self.add.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            let todo = "a name has one value under `add`: the last one is kept";
            entry.comment(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
        }
        let pair = (name.to_owned(), value.into());
        match self.remove.iter().position(|known| known.eq_ignore_ascii_case(name)) {
            // Instead of what the service says.
            Some(at) => {
                self.remove.remove(at);
                self.set.push(pair);
            }
            None => self.add.push(pair),
        }
    }

    fn value(self) -> Option<Value> {
        let mut map = Vec::new();
        if !self.set.is_empty() {
            map.push(("set", Value::Map(unique(self.set))));
        }
        if !self.add.is_empty() {
            map.push(("add", Value::Map(unique(self.add))));
        }
        if !self.remove.is_empty() {
            map.push(("remove", Value::list(self.remove)));
        }
        (!map.is_empty()).then(|| Value::map(map))
    }
}

/// The last of each name.
fn unique(all: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let mut kept: Vec<(String, Value)> = Vec::new();
    for (name, value) in all {
        kept.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        kept.push((name, value));
    }
    kept
}

fn is_header(name: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

// === times and tries ===

fn timeouts(import: &mut Import<'_>, entry: &mut Entry, scope: &Scope<'_>) {
    let mut time = |names: [&str; 2]| {
        let it = names.iter().find_map(|name| scope.one(name))?;
        let time = units::duration(it.arg(0)).filter(|time| !time.starts_with('0'));
        if time.is_none() {
            entry.comment(import.report.todo(it.at, format!("`{}`", it.shown()), "see `timeouts`"));
        }
        time
    };
    let read = time(["proxy_read_timeout", "grpc_read_timeout"]);
    let send = time(["proxy_send_timeout", "grpc_send_timeout"]);
    let mut map = Vec::new();
    if let Some(read) = &read {
        map.push(("first_byte", Value::from(read.as_str())));
    }
    // nginx has one for each direction, the longer one holds for both here.
    let longer = match (read, send) {
        (Some(read), Some(send)) if millis(&send) > millis(&read) => Some(send),
        (Some(read), _) => Some(read),
        (None, Some(send)) if millis(&send) > 60_000 => Some(send),
        (None, _) => None,
    };
    if let Some(longer) = longer {
        map.push(("idle", longer.into()));
    }
    if !map.is_empty() {
        entry.key("timeouts", Value::map(map));
    }
}

fn millis(text: &str) -> u64 {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().unwrap_or(0);
    number
        * match &text[digits..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 86_400_000,
        }
}

/// nginx tries the next server after `error` and `timeout` unless it is told otherwise.
fn retry(entry: &mut Entry, scope: &Scope<'_>, servers: usize) {
    let words: Vec<&str> = match scope.one("proxy_next_upstream") {
        Some(it) => it.args.iter().map(String::as_str).collect(),
        None => vec!["error", "timeout"],
    };
    let tries = scope.one("proxy_next_upstream_tries").and_then(|it| it.arg(0).parse().ok());
    let tries = tries.filter(|tries| *tries > 0).unwrap_or(servers).min(servers);
    let times = tries.saturating_sub(1).min(10);
    if times == 0 || words.contains(&"off") {
        return;
    }
    let mut when: Vec<&str> = Vec::new();
    for word in &words {
        match *word {
            "error" => when.extend(["connect", "reset"]),
            "invalid_header" => when.push("reset"),
            "timeout" => when.push("timeout"),
            word => when.extend(word.strip_prefix("http_").filter(|it| it.parse::<u16>().is_ok())),
        }
    }
    let mut seen = std::collections::HashSet::new();
    when.retain(|word| seen.insert(*word));
    if when.is_empty() {
        return;
    }
    let mut map = vec![("times", Value::from(times.to_string())), ("when", Value::list(when))];
    if words.contains(&"non_idempotent") {
        map.push(("methods", "any".into()));
    }
    entry.key("retry", Value::map(map));
}

// === limits ===

fn limits(import: &mut Import<'_>, entry: &mut Entry, scope: &Scope<'_>) {
    let rates: Vec<String> = scope
        .nearest(&["limit_req"])
        .into_iter()
        .filter_map(|it| rate(import, entry, scope, it))
        .collect();
    if !rates.is_empty() {
        entry.key("rate_limit", Value::one_or_many(rates));
    }
    let places: Vec<String> = scope
        .nearest(&["limit_conn"])
        .into_iter()
        .filter_map(|it| places(import, entry, it))
        .collect();
    if !places.is_empty() {
        entry.key("concurrency", Value::one_or_many(places));
    }
}

fn find<'d>(it: &'d Directive, name: &str) -> Option<&'d str> {
    it.args.iter().find_map(|arg| arg.strip_prefix(name))
}

/// What a zone counts by. nginx leaves requests alone where that is empty, Tidegate counts them together.
fn count_by(import: &mut Import<'_>, made: &mut Entry, zone: &Directive) {
    let shown = format!("`{}`", zone.shown());
    let Some(key) = key(zone) else {
        let todo = "here it counts for each client address, also where nginx's key is empty";
        made.comment(import.report.todo(zone.at, shown, todo));
        made.key("key", CLIENT);
        return;
    };
    if key != CLIENT && key != HOST {
        let todo = "nginx does not count requests without it, here all of those count as one: \
                    name the limit only in a route whose `match` asks for it (`present`)";
        made.comment(import.report.todo(zone.at, shown, todo));
    }
    made.key("key", key);
}

const CLIENT: &str = "client_ip";
const HOST: &str = "header:host";

/// The key of a zone, if it is one of ours.
fn key(zone: &Directive) -> Option<String> {
    match zone.arg(0) {
        "$binary_remote_addr" | "$remote_addr" => Some(CLIENT.to_owned()),
        "$server_name" | "$host" | "$http_host" => Some(HOST.to_owned()),
        text => by_name(text.strip_prefix('$')?),
    }
}

fn rate(
    import: &mut Import<'_>,
    entry: &mut Entry,
    scope: &Scope<'_>,
    it: &Directive,
) -> Option<String> {
    let zone = find(it, "zone=")?;
    let defined = import.zone("limit_req_zone", zone);
    let Some((defined, rate)) = defined.and_then(|zone| Some((zone, find(zone, "rate=")?))) else {
        entry.comment(import.report.todo(
            it.at,
            format!("`{}`: no such zone", it.shown()),
            "see `rate_limit`",
        ));
        return None;
    };
    let limit = rate.replace("r/s", "/s").replace("r/m", "/min");
    let burst =
        find(it, "burst=").and_then(|text| text.parse::<u32>().ok()).unwrap_or(0).min(1_000_000);
    let dry = scope.one("limit_req_dry_run").is_some_and(|it| it.arg(0) == "on");
    let mut made = Entry::default();
    made.key("limit", limit).key("burst", (burst + 1).to_string());
    count_by(import, &mut made, defined);
    if dry {
        made.key("mode", "shadow");
    }
    let waits =
        burst > 0 && !it.args.iter().any(|arg| arg == "nodelay" || arg.starts_with("delay="));
    if waits {
        let todo = "nginx makes a burst wait, Tidegate lets it pass at once and then refuses";
        made.comment(import.report.todo(it.at, format!("`{}`", it.shown()), todo));
    }
    made.above.push(format!("{}: limit_req_zone {zone}", import.report.place(defined.at)));
    Some(import.limit_policy("rate_limit", zone, made))
}

fn places(import: &mut Import<'_>, entry: &mut Entry, it: &Directive) -> Option<String> {
    let zone = it.arg(0);
    let defined = import.zone("limit_conn_zone", zone);
    let number = it.arg(1).parse::<u32>().ok().filter(|number| (1..=1_000_000).contains(number));
    let (Some(defined), Some(number)) = (defined, number) else {
        let todo = "see `concurrency`";
        entry.comment(import.report.todo(it.at, format!("`{}`: no such zone", it.shown()), todo));
        return None;
    };
    let mut made = Entry::default();
    made.key("limit", number.to_string());
    count_by(import, &mut made, defined);
    made.above.push(format!("{}: limit_conn_zone {zone}", import.report.place(defined.at)));
    Some(import.limit_policy("concurrency", zone, made))
}
