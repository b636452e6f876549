//! The files, compiled for being asked and not for running: no socket, no network, no writes.

use std::{io, path::PathBuf, process::ExitCode, sync::Arc};

use tokio::runtime::Runtime as Tokio;

use super::{color, complain, exit, files};
use crate::{
    config::{Input, diagnostic::Sources},
    layers::custom::Registry,
    runtime::{
        Runtime,
        candidate::{Candidate, Env},
        live::Live,
    },
};

/// What the files compile to.
pub(super) struct Dry {
    pub(super) compiled: Runtime,
    pub(super) sources: Sources,
    /// Where what is asked may have work done.
    pub(super) runtime: Tokio,
}

/// Compiles them; with `quarantine`, without what a gateway would keep apart.
///
/// # Errors
/// The exit code, after having said what is wrong.
pub(super) fn compile(
    named: &[PathBuf],
    registry: &Registry,
    quarantine: bool,
) -> Result<Dry, ExitCode> {
    let inputs = files::inputs(named).map_err(|error| failed(&error))?;
    compile_inputs(&inputs, registry, quarantine)
}

fn failed(error: &io::Error) -> ExitCode {
    complain(&format!("error: {error}"));
    ExitCode::from(exit::FAILED)
}

/// The same of what was read already.
///
/// # Errors
/// The exit code, after having said what is wrong.
pub(super) fn compile_inputs(
    inputs: &[Input],
    registry: &Registry,
    quarantine: bool,
) -> Result<Dry, ExitCode> {
    let env: Env = Arc::new(|name| std::env::var(name).ok());
    let mut candidate = Candidate::read_quarantining(inputs, &env, quarantine);
    // Verifying a password takes a thread and a timer, should there be one to verify.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;
    let compiled = candidate.settle(|config| Live::dry(config, registry.clone(), runtime.handle()));
    match compiled {
        Ok((_, (compiled, _))) => Ok(Dry { compiled, sources: candidate.loaded.sources, runtime }),
        Err(problems) => {
            complain(&candidate.render(problems, color()));
            Err(ExitCode::from(exit::FAILED))
        }
    }
}
