//! `tidegate fmt`: files in their one layout. Prints it, looks whether it is kept, or writes it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::builder::FalseyValueParser;

use super::{color, complain, count, exit, files, say};
use crate::config::{self, Input, fmt};

/// Arguments of `fmt`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files; `-` is standard input [default: ./routes.yaml, then /etc/tidegate/routes.yaml, with all it
    /// includes]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write nothing: name the files that are laid out otherwise, and exit with 1 if there is one
    #[arg(long, env = "TIDEGATE_CHECK", value_parser = FalseyValueParser::new(), conflicts_with = "write")]
    check: bool,
    /// Write the files anew instead of printing one
    #[arg(short, long, env = "TIDEGATE_WRITE", value_parser = FalseyValueParser::new())]
    write: bool,
}

/// A file and what it says.
struct File {
    /// Nothing for standard input.
    path: Option<PathBuf>,
    name: String,
    text: String,
}

pub(super) fn fmt(arguments: &Arguments) -> ExitCode {
    match formatted(arguments) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

fn formatted(arguments: &Arguments) -> io::Result<ExitCode> {
    let files = read(&arguments.files)?;
    let prints = !arguments.check && !arguments.write;
    if prints && files.len() != 1 {
        let number = count(files.len(), "file");
        complain(&format!("error: {number}: name one to print it, or say --write or --check"));
        return Ok(ExitCode::from(exit::USAGE));
    }
    let (mut failed, mut other) = (false, 0);
    for file in &files {
        let after = match fmt::format(&file.name, &file.text, color()) {
            Ok(after) => after,
            Err(why) => {
                complain(&why);
                failed = true;
                continue;
            }
        };
        let differs = after != file.text;
        other += usize::from(differs);
        match &file.path {
            _ if prints => say_all(&after),
            _ if !differs => {}
            Some(path) if arguments.write => {
                replace(path, &after)?;
                say(&format!("written: {}", file.name));
            }
            _ if arguments.write => say_all(&after),
            _ => say(&format!("laid out otherwise: {}", file.name)),
        }
    }
    if arguments.check && other > 0 {
        complain(&format!("{}; `tidegate fmt --write` lays them out", count(other, "file")));
        failed = true;
    }
    Ok(if failed { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}

/// Those that are named, or the ones a gateway would read here.
fn read(named: &[PathBuf]) -> io::Result<Vec<File>> {
    if named.is_empty() {
        let loaded = config::load(&files::inputs(named)?, &|name| std::env::var(name).ok());
        let paths = loaded.sources.files.into_iter().map(|(path, _)| path);
        return paths.map(file).collect();
    }
    let inputs = files::inputs(named)?;
    let read = |input| match input {
        Input::File(path) => file(path),
        Input::Text { name, text } => Ok(File { path: None, name, text }),
    };
    inputs.into_iter().map(read).collect()
}

fn file(path: PathBuf) -> io::Result<File> {
    let name = path.display().to_string();
    let text = config::read_text(&path);
    let text = text.map_err(|why| io::Error::other(format!("cannot read `{name}`: {why}")))?;
    Ok(File { path: Some(path), name, text })
}

/// As it is, to the last byte.
fn say_all(text: &str) {
    let _ = io::Write::write_all(&mut io::stdout().lock(), text.as_bytes());
}

/// Nobody who watches the file sees half of it. What a link points to is replaced, not the link.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = path.canonicalize()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = fs::write(&beside, text)
        .and_then(|()| fs::set_permissions(&beside, fs::metadata(&path)?.permissions()))
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map_err(|why| io::Error::other(format!("cannot write `{}`: {why}", path.display())))
}
