//! Rows 70 to 76: time and space.
