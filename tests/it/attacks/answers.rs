//! Rows 22 to 24 and 29 to 36: what a hostile upstream answers.
