//! Rows 37 to 45: hosts, targets and paths.
