//! The pages of `docs/`: what they link to is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages, those of examples and benchmarks included.
fn pages() -> Vec<PathBuf> {
    let directories =
        ["", "docs", "examples", "examples/flask", "benches"].map(|it| root().join(it));
    let files = directories.iter().flat_map(|it| fs::read_dir(it).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == "md")).collect()
}

/// Without blocks of code, where a link is none.
fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect()
}

/// Where links into a page may lead: its headings, as they are commonly turned into anchors, and what it
/// marks itself.
fn anchors(text: &str) -> BTreeSet<String> {
    let (text, marks) = (prose(text), Regex::new("<a id=\"([^\"]+)\">").unwrap());
    let heading = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    let headings = text.lines().filter(|line| line.starts_with('#')).map(heading);
    headings.chain(marks.captures_iter(&text).map(|found| found[1].to_owned())).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let (mut looked_at, mut broken) = (0, Vec::new());
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for found in link.captures_iter(&prose(&text)) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            looked_at += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let there = path.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&path).unwrap()).contains(anchor));
            if !there {
                broken.push(format!("{}: {target}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(looked_at > 100, "only {looked_at} links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_list_of_pages_has_every_page() {
    let list = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for page in fs::read_dir(root().join("docs")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || list.contains(&format!("]({name})")), "{name}");
    }
}
