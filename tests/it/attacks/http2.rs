//! Rows 55 to 68: malformed and flooding HTTP/2.
