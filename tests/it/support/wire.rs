//! HTTP/1.1 as bytes, for both ends: heads and bodies are read as they stand on the wire, nothing is
//! corrected or hidden. Every read has a deadline.

use std::io::{ErrorKind, Read, Write};

/// A stream and what was read from it but not yet used.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
    /// Trailer fields of the last chunked body.
    pub(crate) trailers: Vec<(String, String)>,
}

/// A message head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// Request or status line.
    pub(crate) first: String,
    /// Fields in the order received, names as received.
    pub(crate) fields: Vec<(String, String)>,
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    None,
    /// By `Content-Length`.
    Length(usize),
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// A body that ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut(pub(crate) Vec<u8>);

// === impl Head ===

impl Head {
    /// The value of a field; panics when there are several.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "`{name}` {} times: {all:?}", all.len());
        all.first().copied()
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect()
    }

    /// Whether there is such a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// A word of the first line.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.first.split(' ').nth(index).unwrap_or_default()
    }

    /// How a body following this head is framed, without knowing the request's method or status.
    pub(crate) fn framing(&self, otherwise: Framing) -> Framing {
        if self.all("transfer-encoding").iter().any(|v| v.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked;
        }
        match self.get("content-length") {
            Some(length) => Framing::Length(length.parse().expect("a Content-Length is a number")),
            None => otherwise,
        }
    }
}

// === impl Wire ===

impl<S: Read + Write> Wire<S> {
    /// A stream nothing was read from yet. The stream must have a read timeout.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), trailers: Vec::new() }
    }

    /// The stream itself.
    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// Sends bytes; false when the other side is gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Reads more; false at the end or after a reset. Panics when nothing comes in time.
    #[track_caller]
    pub(crate) fn fill(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return false,
                Ok(n) => {
                    self.buffer.extend_from_slice(&piece[..n]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    panic!("nothing came in time; so far {:?}", self.peek())
                }
                Err(_) => return false,
            }
        }
    }

    /// What was read and not used, for messages.
    pub(crate) fn peek(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Whether the other side closes now, having sent nothing more.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill()
    }

    /// Everything until the other side closes.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// The next head; `None` when the connection ended before one began.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Option<Head> {
        let block = self.take_through(b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&block).into_owned();
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        Some(Head { first, fields: lines.map(field).collect() })
    }

    /// A body, or what came of it before it was cut.
    #[track_caller]
    pub(crate) fn body(&mut self, framing: Framing) -> Result<Vec<u8>, Cut> {
        match framing {
            Framing::None => Ok(Vec::new()),
            Framing::Length(length) => self.take(length).ok_or_else(|| self.cut(Vec::new())),
            Framing::Close => Ok(self.rest()),
            Framing::Chunked => {
                let mut body = Vec::new();
                loop {
                    match self.chunk() {
                        Some(chunk) if chunk.is_empty() => return Ok(body),
                        Some(chunk) => body.extend_from_slice(&chunk),
                        None => return Err(self.cut(body)),
                    }
                }
            }
        }
    }

    /// The next chunk; the last one is empty and leaves its trailers behind.
    #[track_caller]
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.take_through(b"\r\n")?;
        let text = String::from_utf8_lossy(&line);
        let size = text.trim_end().split(';').next().unwrap_or_default();
        let size =
            usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("chunk size {text:?}"));
        if size > 0 {
            let mut chunk = self.take(size + 2)?;
            assert_eq!(&chunk[size..], b"\r\n", "a chunk ends with CRLF");
            chunk.truncate(size);
            return Some(chunk);
        }
        self.trailers.clear();
        loop {
            let line = self.take_through(b"\r\n")?;
            if line == b"\r\n" {
                return Some(Vec::new());
            }
            self.trailers.push(field(String::from_utf8_lossy(&line).trim_end()));
        }
    }

    /// Exactly so many bytes.
    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill() {
                return None;
            }
        }
        let rest = self.buffer.split_off(count);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// Everything up to and including a marker.
    #[track_caller]
    pub(crate) fn take_through(&mut self, marker: &[u8]) -> Option<Vec<u8>> {
        let mut from = 0;
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer[from..], marker) {
                return self.take(from + at + marker.len());
            }
            from = self.buffer.len().saturating_sub(marker.len());
            if !self.fill() {
                return None;
            }
        }
    }

    fn cut(&mut self, mut so_far: Vec<u8>) -> Cut {
        so_far.append(&mut self.buffer);
        Cut(so_far)
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim().to_owned())
}
