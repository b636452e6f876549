//! `tidegate import`: other programs' configuration as a routes.yaml, with a list of what was not translated.
//! What comes out is loaded and its tests are run before anybody sees it.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{complain, count, dry, exit, files};
use crate::{
    config::{Input, read_text},
    import::{self, Finding, From, Imported, Source},
    layers::custom::Registry,
    suite,
};

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to read; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is [default: seen from what it says]
    #[arg(long, value_enum, env = "TIDEGATE_IMPORT_FROM")]
    from: Option<From>,
    /// Where requests go, for an OpenAPI document: `http://127.0.0.1:3000` [default: its first server]
    #[arg(long, value_name = "URL", env = "TIDEGATE_IMPORT_TO")]
    to: Option<String>,
    /// A new file instead of standard output
    #[arg(short, long, value_name = "FILE", env = "TIDEGATE_IMPORT_OUTPUT")]
    output: Option<PathBuf>,
}

pub(super) fn import(arguments: &Arguments, registry: &Registry) -> ExitCode {
    match imported(arguments, registry) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

fn imported(arguments: &Arguments, registry: &Registry) -> io::Result<ExitCode> {
    let (name, text) = read(&arguments.file)?;
    let parent =
        arguments.file.parent().filter(|it| name != "<stdin>" && !it.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let source = Source { name: &name, text: &text, directory };
    let made = import::import(source, arguments.from, arguments.to.as_deref());
    let Imported { text, findings } = made.map_err(io::Error::other)?;
    let input = Input::Text { name: "the result".to_owned(), text: text.clone() };
    // Why it does not load was said there.
    let differences =
        dry::compile_inputs(&[input], registry, false).map(|it| differences(&it)).ok();
    match &arguments.output {
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).open(path);
            let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|why| {
                io::Error::other(format!("cannot write `{}`: {why}", path.display()))
            })?;
        }
        None => io::stdout().lock().write_all(text.as_bytes())?,
    }
    Ok(said(&findings, differences.as_deref()))
}

fn read(path: &Path) -> io::Result<(String, String)> {
    let name = path.display().to_string();
    match files::inputs(&[path.to_owned()])?.pop() {
        Some(Input::Text { name, text }) => Ok((name, text)),
        _ => match read_text(path) {
            Ok(text) => Ok((name, text)),
            Err(why) => Err(io::Error::other(format!("cannot read `{name}`: {why}"))),
        },
    }
}

/// Tests of the result that do not hold: here something else happens than in the source.
fn differences(checked: &dry::Dry) -> Vec<String> {
    let report = suite::run(&checked.compiled, &checked.sources, checked.runtime.handle(), None);
    let failed = report.results.iter().filter(|it| !it.wrong.is_empty());
    let one = |it: &suite::Judged<'_>| {
        let wrong: Vec<String> = it
            .wrong
            .iter()
            .map(|wrong| format!("`{}` is {}, not {}", wrong.key, wrong.got, wrong.expected))
            .collect();
        format!("{}: {}", it.test.name, wrong.join(", "))
    };
    failed.map(one).collect()
}

/// `differences`: none where the result does not load.
fn said(findings: &[Finding], differences: Option<&[String]>) -> ExitCode {
    if findings.is_empty() && differences.is_some_and(<[_]>::is_empty) {
        return ExitCode::SUCCESS;
    }
    let loads = differences.is_some();
    let differences = differences.unwrap_or_default();
    for finding in findings {
        complain(&finding.to_string());
    }
    for difference in differences {
        complain(&format!("differs: {difference}"));
    }
    if !findings.is_empty() {
        complain(&format!(
            "{} not translated, each a TODO in the result",
            count(findings.len(), "thing")
        ));
    }
    if !differences.is_empty() {
        complain(&format!(
            "{} of the result does not hold; look at these first",
            count(differences.len(), "test")
        ));
    }
    if !loads {
        complain(
            "error: the result does not load, so none of its tests was run: a mistake of `import`, please \
             report it with what the result was made from",
        );
    }
    ExitCode::from(exit::FAILED)
}
