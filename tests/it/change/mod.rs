//! What a change does, said before it is made and undone after it was.

mod diff;
mod history;
mod plan;
mod quarantine;
