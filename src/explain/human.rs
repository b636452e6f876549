//! An explanation for people, the same for a file and for a running gateway.

use std::fmt::Write as _;

use super::{
    report::{
        Candidate, Explanation, Near, Outcome, Running, Setting, Step, Target, Verdict, Written,
    },
    words::{count, percent, span},
};

/// Where the column of places begins.
const PLACES: usize = 66;

/// Text in lines, each with a place at its end.
struct Page(String);

/// All of it.
pub fn human(it: &Explanation) -> String {
    let mut page = Page(String::new());
    let asked = &it.request;
    let client = asked.client_ip.as_ref().map_or_else(String::new, |ip| format!(" from {ip}"));
    let (method, host, path) = (&asked.method, &asked.host, &asked.path);
    page.line(&format!("{method} {host}{path}{client}, listener {}", asked.listener), "");
    for note in &it.notes {
        page.line(&format!("note: {note}"), "");
    }
    if let Some(live) = &it.live {
        running(&mut page, live);
    }
    match it.result {
        Outcome::Refused => page.line("→ no route: the gateway refuses it", ""),
        Outcome::HttpsRedirect => page.line("→ no route: this listener sends it to HTTPS", ""),
        Outcome::Route => {}
    }
    matched(&mut page, it);
    for (number, step) in (1..).zip(&it.steps) {
        stepped(&mut page, number, step);
    }
    if let Some(path) = &it.upstream_path {
        page.line(&format!("→ the upstream gets {method} {path}"), "");
    }
    for target in &it.to {
        upstream(&mut page, target);
    }
    result(&mut page, it);
    page.0
}

// === the match ===

fn matched(page: &mut Page, it: &Explanation) {
    if let Some(route) = &it.route {
        page.line(&format!("→ route {}", route.name), route.at.as_deref().unwrap_or_default());
        page.line(&format!("  match   {}", route.matched), "");
        let rank = route.rank.iter().map(|it| format!("{} {}", it.field, it.is));
        page.line(&format!("          {}", rank.collect::<Vec<_>>().join(" · ")), "");
        if !route.fell_through.is_empty() {
            let hosts = route.fell_through.join(", ");
            page.line(&format!("          no route of {hosts} takes it: a weaker host does"), "");
        }
        others(page, "beats", &route.beats);
        match route.beats_in_all - route.beats.len() {
            0 if route.beats.is_empty() => page.line("  beats   – (no other route matches)", ""),
            0 => {}
            more => page.line(&format!("          and {more} more"), ""),
        }
    }
    others(page, "near", &it.near);
}

/// Of a beaten branch it is said which one it is; what a near one wants says that.
fn others(page: &mut Page, title: &str, all: &[Near]) {
    let name = |near: &Near| match title {
        "beats" => format!("{} ({})", near.route, near.matched),
        _ => near.route.clone(),
    };
    let width = all.iter().map(|near| name(near).chars().count()).max().unwrap_or(0);
    for (at, near) in all.iter().enumerate() {
        let shown = if at == 0 { title } else { "" };
        let text = format!("  {shown:<7} {:<width$}  {}", name(near), near.because);
        page.line(&text, near.at.as_deref().unwrap_or_default());
    }
}

// === the steps ===

fn stepped(page: &mut Page, number: usize, step: &Step) {
    let unknown = if step.verdict == Verdict::Unknown { " (not judged)" } else { "" };
    let text = format!("  {number:>2} {:<17} {}{unknown}", step.kind, step.what);
    let built_in = step.verdict != Verdict::None;
    page.line(&text, &places(&step.from, built_in));
    for said in &step.says {
        page.line(&format!("     {:<17} {said}", ""), "");
    }
}

/// `routes.yaml:31 via :44`, `defaults routes.yaml:12`.
fn places(all: &[Written], built_in: bool) -> String {
    if all.is_empty() && built_in {
        return "built in".to_owned();
    }
    let mut text = String::new();
    let (mut file, mut inherited) = ("", false);
    for it in all {
        let (path, line) = it.at.rsplit_once(':').unwrap_or(("", &it.at));
        let comma = if text.is_empty() { "" } else { ", " };
        if it.inherited && !inherited {
            let _ = write!(text, "{comma}defaults ");
        } else {
            text.push_str(comma);
        }
        inherited = it.inherited;
        if path == file {
            let _ = write!(text, ":{line}");
        } else {
            text.push_str(&it.at);
        }
        file = path;
        if let Some(via) = &it.via {
            match via.rsplit_once(':') {
                Some((path, line)) if path == file => drop(write!(text, " via :{line}")),
                _ => drop(write!(text, " via {via}")),
            }
        }
    }
    text
}

// === the upstreams ===

fn upstream(page: &mut Page, it: &Target) {
    let endpoints = match (it.endpoints, it.usable) {
        (None, _) => "endpoints not known yet".to_owned(),
        (Some(all), None) => count(all, "endpoint"),
        (Some(all), Some(usable)) => format!("{}, {usable} usable", count(all, "endpoint")),
    };
    let share = percent(it.share);
    page.line(
        &format!("  → {} {share}, {endpoints}", it.upstream),
        it.at.as_deref().unwrap_or_default(),
    );
    for endpoint in &it.candidates {
        page.line(&format!("       {}", candidate(endpoint)), "");
    }
    let more = it.endpoints.unwrap_or(0).saturating_sub(it.candidates.len());
    if more > 0 {
        page.line(&format!("       and {more} more"), "");
    }
    for Setting { key, what, from } in &it.settings {
        page.line(&format!("       {key:<15} {what}"), &places(from, true));
    }
    let Some(now) = &it.now else { return };
    let (flying, most) = (now.in_flight, now.in_flight_most);
    let mut text = format!("now: {flying} of {most} requests in flight");
    if let Some(breaker) = &now.breaker {
        let _ = write!(text, " · breaker {}", breaker.replace('_', "-"));
        if let Some(left) = now.open_ms {
            let _ = write!(text, " for {}", for_ms(left));
        }
    }
    for (name, micros) in [("p50", now.p50_us), ("p95", now.p95_us)] {
        if let Some(micros) = micros {
            let _ = write!(text, " · {name} {}", span(std::time::Duration::from_micros(micros)));
        }
    }
    page.line(&format!("       {text}"), "");
}

fn candidate(it: &Candidate) -> String {
    let mut text = it.endpoint.clone();
    if it.weight != 1 {
        let _ = write!(text, " · weight {}", it.weight);
    }
    if it.priority != 0 {
        let _ = write!(text, " · priority {}", it.priority);
    }
    if it.backup {
        text.push_str(" · backup");
    }
    if let Some(now) = &it.now {
        let _ = write!(text, " · {}", now.health);
        if let Some(left) = now.ejected_ms {
            let _ = write!(text, " · ejected for {}", for_ms(left));
        }
        let _ = write!(text, " · {} in flight", now.in_flight);
        if let Some(micros) = now.latency_us {
            let _ = write!(text, " · takes {}", span(std::time::Duration::from_micros(micros)));
        }
    }
    text
}

/// Whole seconds of what is long.
fn for_ms(ms: u64) -> String {
    let ms = if ms >= 1000 { ms / 1000 * 1000 } else { ms };
    span(std::time::Duration::from_millis(ms))
}

// === the end ===

fn running(page: &mut Page, it: &Running) {
    let refused = it.reloads_refused;
    page.line(
        &format!("live: tidegate {}, config {}, {refused} reloads refused", it.version, it.hash),
        "",
    );
    if it.last_reload_error.is_some() {
        page.line("      the last reload was refused: the file is not what runs", "");
    }
}

fn result(page: &mut Page, it: &Explanation) {
    let answers = &it.answers;
    let this = &answers.this_request;
    let mut lines = Vec::new();
    match (&answers.without_credentials, &answers.with_credentials) {
        (Some(without), Some(with)) if without.text == this.text => {
            lines.push(format!("without credentials: {}", without.text));
            lines.push(format!("with credentials: {}", with.text));
        }
        (without, with) => {
            lines.push(this.text.clone());
            let more = [("without credentials", without), ("with credentials", with)];
            let more = more.into_iter().filter_map(|(title, it)| Some((title, it.as_ref()?)));
            lines.extend(more.map(|(title, it)| format!("{title}: {}", it.text)));
        }
    }
    for (at, line) in lines.iter().enumerate() {
        let title = if at == 0 { "result" } else { "" };
        page.line(&format!("{title:<8}{line}"), "");
    }
    for what in &answers.not_judged {
        page.line(&format!("        not judged: {what}"), "");
    }
}

// === impl Page ===

impl Page {
    fn line(&mut self, text: &str, place: &str) {
        self.0.push_str(text.trim_end());
        if !place.is_empty() {
            let width = text.chars().count();
            // At least two apart, whatever there is.
            let pad = PLACES.saturating_sub(width).max(2);
            let _ = write!(self.0, "{:pad$}{place}", "");
        }
        self.0.push('\n');
    }
}
