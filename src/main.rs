//! The `tidegate` command: one verb of `cli/`, nothing else.

use std::process::ExitCode;

/// Half the instructions of the system's for the small, short-lived allocations of a request, and it
/// gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidegate::cli().run()
}
