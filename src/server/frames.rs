//! Reads the frame headers of an HTTP/2 connection as they pass, in both directions, to know what
//! `h2` does not tell: which streams are open on the wire, and whether the client makes us work
//! without asking anything. Pure: bytes and a time in, verdict out; payloads are only skipped.
//!
//! Frames that carry no request are paid for. A connection starts with some credit, gets a little
//! every second and more for every request and every piece of a body, so that a client may send as
//! many of them as its work calls for (gRPC measures with a PING for each answer, browsers send a
//! PRIORITY_UPDATE for each request), and a flood ends in GOAWAY with ENHANCE_YOUR_CALM.

#[cfg(test)]
mod tests;

use crate::telemetry::metrics::Cut;

/// Why a connection was ended with ENHANCE_YOUR_CALM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Frames that ask for nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown ones.
    Control = 1,
    /// Streams reset by either side, and requests refused by the gate.
    Resets = 2,
    /// Requests that had to wait because answers wait for the client's windows.
    Memory = 3,
}

/// The frames of one connection.
#[derive(Debug)]
pub(crate) struct Frames {
    inbound: Edges,
    outbound: Edges,
    /// Bytes of the preface still to come.
    preface: usize,
    /// Highest stream the client has opened.
    last: u32,
    /// Streams open on the wire, ascending.
    open: Vec<u32>,
    settings: Settings,
    control: Bucket,
    resets: Bucket,
    /// Work without requests that was let through since the others had their turn.
    turn: u32,
}

/// What is read of the client's settings.
#[derive(Debug)]
struct Settings {
    entry: [u8; SETTING],
    have: usize,
    /// `SETTINGS_INITIAL_WINDOW_SIZE`.
    window: u32,
}

/// Where in a sequence of frames we are.
#[derive(Debug, Default)]
struct Edges {
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes of the payload still to come.
    left: usize,
    /// Type of the frame they belong to.
    kind: u8,
}

/// A frame header (RFC 9113 section 4.1).
#[derive(Clone, Copy, Debug)]
struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

/// Credit that comes back with time and with work.
#[derive(Debug)]
struct Bucket {
    credit: u32,
    /// Most it may hold.
    most: u32,
    /// What comes back in a second.
    per_second: u32,
    /// Nanoseconds at which time was last turned into credit.
    since: u64,
}

const HEADER: usize = 9;
const PREFACE: usize = 24;
const SETTING: usize = 6;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const INITIAL_WINDOW: u16 = 4;
/// A client with smaller windows cannot take an answer in pieces worth sending; none that means to
/// read has them.
const NARROW: u32 = 4096;

/// More streams than any listener allows: the client opens them without reading that it may not.
const MOST_OPEN: usize = 4096;
/// Control frames a connection may begin with.
const CONTROL_AT_FIRST: u32 = 250;
/// Bytes of a body for which one is due: the smallest readers (Go's) open both windows, with a
/// WINDOW_UPDATE each, for every 4 KiB they have taken.
const PER_CONTROL: u32 = 1024;
/// Control frames a request may bring with it.
const PER_REQUEST: u32 = 8;
/// How much a connection may make us do at a stretch without asking anything: answering a frame takes
/// a system call, and all connections of a worker wait for it.
const TURN: u32 = 8;
/// What a request refused by the gate costs, in resets: HTTP/1 closes the connection at once.
const REFUSED: u32 = 5;

// === impl Frames ===

impl Frames {
    /// A connection that begins now, with its preface.
    pub(crate) const fn new(now: u64) -> Self {
        Self {
            inbound: Edges::new(),
            outbound: Edges::new(),
            preface: PREFACE,
            last: 0,
            open: Vec::new(),
            settings: Settings { entry: [0; SETTING], have: 0, window: 65_535 },
            control: Bucket { credit: CONTROL_AT_FIRST, ..Bucket::new(1000, 100, now) },
            resets: Bucket::new(128, 50, now),
            turn: 0,
        }
    }

    /// Looks at bytes from the client; how many of them it may have acted on before other connections
    /// have their turn. `Err`: the connection must end.
    pub(crate) fn read_turn(&mut self, bytes: &[u8], now: u64) -> Result<usize, Flood> {
        let preface = self.preface.min(bytes.len());
        self.preface -= preface;
        let mut left = &bytes[preface..];
        loop {
            let payload = self.inbound.payload(&mut left);
            if self.inbound.kind == SETTINGS {
                self.settings.read(payload);
            }
            if self.turn >= TURN {
                return Ok(bytes.len() - left.len());
            }
            let Some(frame) = self.inbound.header(&mut left) else { return Ok(bytes.len()) };
            self.take_read(frame, now)?;
        }
    }

    /// Whether it is the others' turn now.
    pub(crate) fn ends_turn(&mut self) -> bool {
        let ends = self.turn >= TURN;
        if ends {
            self.turn = 0;
        }
        ends
    }

    /// All turns at once.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn read(&mut self, mut bytes: &[u8], now: u64) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let taken = self.read_turn(bytes, now)?;
            assert!(self.ends_turn() || taken == bytes.len(), "stopped without a reason");
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn take_read(&mut self, frame: Frame, now: u64) -> Result<(), Flood> {
        match frame.kind {
            HEADERS => {
                self.control.earn(PER_REQUEST);
                if frame.stream > self.last {
                    self.last = frame.stream;
                    self.open.push(frame.stream);
                }
                if self.open.len() > MOST_OPEN {
                    return Err(Flood::Memory);
                }
            }
            DATA if frame.length > 0 => self.control.earn(worth(frame)),
            // h2 bounds them.
            DATA | CONTINUATION => self.turn += 1,
            // No turn of its own: requests reset in one go end before any work is done for them.
            RST_STREAM => {
                self.close(frame.stream);
                return self.resets.spend(1, now).ok_or(Flood::Resets);
            }
            kind => {
                self.turn += 1;
                if kind == SETTINGS {
                    self.settings.have = 0;
                }
                return self.control.spend(1, now).ok_or(Flood::Control);
            }
        }
        Ok(())
    }

    /// Looks at bytes on their way to the client: at all of them, whatever is found, as the last word
    /// must know where a frame ends.
    pub(crate) fn wrote(&mut self, mut bytes: &[u8], now: u64) -> Result<(), Flood> {
        let mut verdict = Ok(());
        loop {
            self.outbound.payload(&mut bytes);
            let Some(frame) = self.outbound.header(&mut bytes) else { return verdict };
            match frame.kind {
                DATA | HEADERS => {
                    self.control.earn(worth(frame));
                    if frame.flags & END_STREAM != 0 && self.close(frame.stream) {
                        self.resets.earn(1);
                    }
                }
                // The client made us do it (CVE-2025-8671). After an answer it only says that the
                // rest of the request is not wanted.
                RST_STREAM if self.close(frame.stream) => {
                    verdict = verdict.and(self.resets.spend(1, now).ok_or(Flood::Resets));
                }
                _ => {}
            }
        }
    }

    /// The gate refused requests of this connection.
    pub(crate) fn refused(&mut self, requests: u32, now: u64) -> Result<(), Flood> {
        self.resets.spend(requests.saturating_mul(REFUSED), now).ok_or(Flood::Resets)
    }

    /// Streams the wire has seen begin and not end.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Whether answers can hardly be sent.
    pub(crate) const fn is_narrow(&self) -> bool {
        self.settings.window < NARROW
    }

    /// What is written last, or nothing in the middle of another frame.
    /// `why` has less than 200 bytes.
    pub(crate) fn goaway(&self, why: &str) -> Vec<u8> {
        if !self.outbound.is_between() {
            return Vec::new();
        }
        const GOAWAY: u8 = 7;
        const ENHANCE_YOUR_CALM: u32 = 11;
        let why = why.as_bytes();
        let mut frame = Vec::with_capacity(HEADER + 8 + why.len());
        frame.extend_from_slice(&[0, 0, 8 + why.len() as u8, GOAWAY, 0, 0, 0, 0, 0]);
        frame.extend_from_slice(&self.last.to_be_bytes());
        frame.extend_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
        frame.extend_from_slice(why);
        frame
    }

    fn close(&mut self, stream: u32) -> bool {
        let found = self.open.binary_search(&stream);
        if let Ok(at) = found {
            self.open.remove(at);
        }
        found.is_ok()
    }
}

/// Control frames that may come with a piece of a body.
const fn worth(frame: Frame) -> u32 {
    1 + frame.length as u32 / PER_CONTROL
}

// === impl Edges ===

impl Edges {
    const fn new() -> Self {
        Self { header: [0; HEADER], have: 0, left: 0, kind: 0 }
    }

    /// What is there of the payload of the current frame.
    fn payload<'b>(&mut self, bytes: &mut &'b [u8]) -> &'b [u8] {
        let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
        self.left -= payload.len();
        *bytes = rest;
        payload
    }

    /// The header of the next frame, once the payload before it is over.
    fn header(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        if self.left > 0 {
            return None;
        }
        let (head, rest) = bytes.split_at((HEADER - self.have).min(bytes.len()));
        self.header[self.have..self.have + head.len()].copy_from_slice(head);
        self.have += head.len();
        *bytes = rest;
        if self.have < HEADER {
            return None;
        }
        self.have = 0;
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        (self.left, self.kind) = (length, kind);
        Some(Frame { length, kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff })
    }

    const fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }
}

// === impl Settings ===

impl Settings {
    fn read(&mut self, payload: &[u8]) {
        for &byte in payload {
            self.entry[self.have] = byte;
            self.have = (self.have + 1) % SETTING;
            if self.have == 0 {
                let [a, b, window @ ..] = self.entry;
                if u16::from_be_bytes([a, b]) == INITIAL_WINDOW {
                    self.window = u32::from_be_bytes(window);
                }
            }
        }
    }
}

// === impl Bucket ===

impl Bucket {
    const fn new(most: u32, per_second: u32, now: u64) -> Self {
        Self { credit: most, most, per_second, since: now }
    }

    fn earn(&mut self, credit: u32) {
        self.credit = (self.credit + credit).min(self.most);
    }

    /// Takes credit; `None` when there is not enough.
    fn spend(&mut self, credit: u32, now: u64) -> Option<()> {
        if self.credit < credit {
            self.refill(now);
        }
        self.credit = self.credit.checked_sub(credit)?;
        Some(())
    }

    /// Turns the time since the last look into credit.
    fn refill(&mut self, now: u64) {
        const SECOND: u64 = 1_000_000_000;
        let passed = now.saturating_sub(self.since);
        let credit = passed.saturating_mul(u64::from(self.per_second)) / SECOND;
        if credit > 0 {
            self.since = now;
            self.earn(u32::try_from(credit.min(u64::from(self.most))).unwrap_or(self.most));
        }
    }
}

// === impl Flood ===

impl Flood {
    /// From its number.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Control),
            2 => Some(Self::Resets),
            3 => Some(Self::Memory),
            _ => None,
        }
    }
}

impl From<Flood> for Cut {
    fn from(flood: Flood) -> Self {
        match flood {
            Flood::Control => Self::H2ControlFrames,
            Flood::Resets => Self::H2Resets,
            Flood::Memory => Self::H2Memory,
        }
    }
}
