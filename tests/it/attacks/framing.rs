//! Rows 1 to 28: where one HTTP/1 request ends and the next begins.
