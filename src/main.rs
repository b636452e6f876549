//! The `tidegate` command: one verb of `cli/`, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate::cli().run()
}
