//! Rows 46 to 54: fields that claim, override, hide or flood.
