//! `docs/cli.md`: every verb and flag, made of what the command line is read by.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use super::Arguments;
use crate::documentation;

fn page() -> String {
    let mut command = Arguments::command();
    command.build();
    let mut page = String::from(HEAD);
    page.push_str("| verb | |\n|---|---|\n");
    let verbs: Vec<&Command> = verbs(&command).collect();
    for verb in &verbs {
        let _ = writeln!(page, "| [`{0}`](#{0}) | {1} |", verb.get_name(), about(verb));
    }
    page.push('\n');
    for verb in &verbs {
        told(verb, &mut page);
    }
    page
}

const HEAD: &str = "\
# Every verb and flag

This page is made of what the command line is read by; `tidegate help VERB` prints the same. Every flag can come from the variable beside
it, too. What they end with: [exit codes](operations.md#exit-codes).

";

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| verb.get_name() != "help")
}

fn about(verb: &Command) -> String {
    verb.get_about().map(ToString::to_string).unwrap_or_default()
}

fn told(verb: &Command, page: &mut String) {
    let usage = verb.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(page, "## {}\n\n{}.\n\n```\n{usage}\n```\n\n", verb.get_name(), about(verb));
    let hidden =
        |it: &&Arg| !it.is_hide_set() && !["help", "version"].contains(&it.get_id().as_str());
    let all: Vec<&Arg> = verb.get_arguments().filter(hidden).collect();
    if !all.is_empty() {
        page.push_str("| | variable | |\n|---|---|---|\n");
        for argument in all {
            row(argument, page);
        }
        page.push('\n');
    }
    if let Some(more) = verb.get_after_help() {
        let _ = write!(page, "{more}\n\n");
    }
}

fn row(argument: &Arg, page: &mut String) {
    let variable = argument.get_env().map(|it| format!("`{}`", it.to_string_lossy()));
    let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let words = argument.get_possible_values();
    let words: Vec<_> = words.iter().filter(|word| !word.is_hide_set()).collect();
    // Those of a switch say nothing.
    if argument.get_action().takes_values() && !words.is_empty() {
        let words = words.iter().map(|word| match word.get_help() {
            Some(help) => format!("`{}`: {}", word.get_name(), help),
            None => format!("`{}`", word.get_name()),
        });
        let _ = write!(help, "<br>{}", words.collect::<Vec<_>>().join("; "));
    }
    let defaults = argument.get_default_values();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        let defaults: Vec<_> = defaults.iter().map(|it| it.to_string_lossy()).collect();
        let _ = write!(help, "; default `{}`", defaults.join(" "));
    }
    let help = help.replace('|', "\\|").replace('\n', " ");
    let shown = argument.to_string().replace('|', "\\|");
    let short = argument.get_short().map(|it| format!("`-{it}`, ")).unwrap_or_default();
    let _ = writeln!(page, "| {short}`{shown}` | {} | {help} |", variable.unwrap_or_default());
}

#[test]
fn the_page_is_what_the_command_line_is_read_by() {
    documentation::holds("docs/cli.md", &page());
}

#[test]
fn the_page_has_every_verb_and_every_flag() {
    let page = page();
    let command = Arguments::command();
    for verb in verbs(&command) {
        let heading = format!("## {}\n\n", verb.get_name());
        let from = page.find(&heading).unwrap_or_else(|| panic!("{heading}"));
        let text = page[from + 3..].split("\n## ").next().unwrap_or_default();
        for flag in verb.get_arguments().filter(|it| !it.is_hide_set()).filter_map(Arg::get_long) {
            assert!(text.contains(&format!("`--{flag}")), "{} --{flag}:\n{text}", verb.get_name());
        }
    }
    assert!(page.contains("| `--online` | `TIDEGATE_ONLINE` |"), "{page}");
}
