//! Frame headers in both directions: one verdict however the bytes are cut, and the streams open are
//! those a naive reader counts.

use std::collections::BTreeSet;

use crate::server::frames::Frames;

/// Both directions as a naive reader sees them.
#[derive(Default)]
struct Naive {
    read: Vec<u8>,
    wrote: Vec<u8>,
    open: BTreeSet<u32>,
    last: u32,
    window: Option<u32>,
}

const PREFACE: usize = 24;
const SECOND: u64 = 1_000_000_000;

/// A case is a sequence of pieces: a byte that says whose (the lowest bit: ours) and how many
/// bytes (the rest), then the bytes.
pub(super) fn check(data: &[u8]) {
    let (mut whole, mut cut) = (Frames::new(0), Frames::new(0));
    let mut naive = Naive::default();
    let mut rest = data;
    let mut now = 0;
    while let [head, more @ ..] = rest {
        let (piece, next) = more.split_at(usize::from(head >> 1).min(more.len()));
        rest = next;
        now += SECOND / 100;
        let ours = head & 1 == 1;
        let pass = |frames: &mut Frames, bytes: &[u8]| {
            if ours { frames.wrote(bytes, now) } else { frames.read(bytes, now) }
        };
        let verdict = pass(&mut whole, piece);
        let bytes = piece.chunks(1).try_for_each(|byte| pass(&mut cut, byte));
        assert_eq!(verdict, bytes, "it depends on the cut");
        assert_eq!(whole.open(), cut.open());
        assert_eq!(whole.is_narrow(), cut.is_narrow());
        if verdict.is_err() {
            let last = whole.goaway("why");
            assert!(last.is_empty() || last.len() == 9 + 8 + 3);
            return;
        }
        naive.take(ours, piece);
        assert_eq!(whole.open(), naive.open.len());
        assert_eq!(whole.is_narrow(), naive.window.is_some_and(|window| window < 4096));
    }
}

impl Naive {
    fn take(&mut self, ours: bool, piece: &[u8]) {
        for &byte in piece {
            let buffer = if ours { &mut self.wrote } else { &mut self.read };
            buffer.push(byte);
            let (skip, buffer) = (if ours { 0 } else { PREFACE }, buffer.clone());
            self.at_byte(ours, buffer.get(skip..).unwrap_or_default());
        }
    }

    /// Acts if the last byte completes a header, or a setting of the client.
    fn at_byte(&mut self, ours: bool, bytes: &[u8]) {
        let mut at = 0;
        while let Some(header) = bytes.get(at..at + 9) {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let stream = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
            if at + 9 == bytes.len() {
                self.at_header(ours, header[3], header[4] & 1 == 1, stream);
            }
            let payload = &bytes[at + 9..bytes.len().min(at + 9 + length)];
            let is_last = at + 9 + length >= bytes.len();
            if !ours
                && header[3] == 4
                && is_last
                && !payload.is_empty()
                && payload.len().is_multiple_of(6)
            {
                let entry = &payload[payload.len() - 6..];
                if entry[..2] == [0, 4] {
                    self.window =
                        Some(u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]));
                }
            }
            at += 9 + length;
        }
    }

    fn at_header(&mut self, ours: bool, kind: u8, end: bool, stream: u32) {
        match (ours, kind) {
            (false, 1) if stream > self.last => {
                self.last = stream;
                self.open.insert(stream);
            }
            (true, 0 | 1) if end => drop(self.open.remove(&stream)),
            (_, 3) => drop(self.open.remove(&stream)),
            _ => {}
        }
    }
}
