//! Tests of the frame budgets.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const WINDOW_UPDATE: u8 = 8;
const UNKNOWN: u8 = 0xbe;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn begun() -> Frames {
    let mut frames = Frames::new(0);
    frames.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0).expect("no flood");
    frames
}

#[test]
fn streams_open_with_headers_and_close_with_an_end_from_either_side() {
    let mut frames = begun();
    for stream in [1, 3, 5, 7] {
        frames.read(&frame(HEADERS, 5, stream, b"head"), 0).expect("no flood");
    }
    // Trailers open nothing.
    frames.read(&frame(HEADERS, 5, 3, b"tail"), 0).expect("no flood");
    assert_eq!(frames.open(), 4);
    frames.wrote(&frame(HEADERS, 4, 1, b"200"), 0).expect("no flood");
    assert_eq!(frames.open(), 4);
    frames.wrote(&frame(DATA, END_STREAM, 1, b"x"), 0).expect("no flood");
    frames.wrote(&frame(HEADERS, 5, 3, b"204"), 0).expect("no flood");
    frames.read(&frame(RST_STREAM, 0, 5, &[0; 4]), 0).expect("no flood");
    frames.wrote(&frame(RST_STREAM, 0, 7, &[0; 4]), 0).expect("no flood");
    assert_eq!(frames.open(), 0);
}

#[test]
fn control_frames_are_paid_by_time_and_by_requests() {
    let mut frames = begun();
    let unknown = frame(UNKNOWN, 0, 0, &[]);
    let flood = |frames: &mut Frames, now| (0..).find(|_| frames.read(&unknown, now).is_err());
    assert_eq!(flood(&mut frames, 0), Some(250));
    assert_eq!(flood(&mut frames, SECOND), Some(100));
    frames.read(&frame(HEADERS, 5, 1, b""), SECOND).expect("no flood");
    assert_eq!(flood(&mut frames, SECOND), Some(8));
    frames.wrote(&frame(DATA, 0, 1, b"x"), SECOND).expect("no flood");
    assert_eq!(flood(&mut frames, SECOND), Some(1));
    assert_eq!(flood(&mut frames, 100 * SECOND), Some(1000), "credit has a limit");
}

#[test]
fn a_client_that_opens_its_windows_with_every_read_is_no_flood() {
    let mut frames = begun();
    let piece = frame(DATA, 0, 1, &[0; 16 * 1024]);
    let update = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 16, 0]);
    for _ in 0..2000 {
        frames.wrote(&piece, 0).expect("no flood");
        for _ in 0..8 {
            frames.read(&update, 0).expect("as gRPC in Go does it");
        }
    }
}

#[test]
fn resets_of_both_sides_and_refusals_share_one_budget() {
    let mut frames = begun();
    let mut stream = 1;
    let mut reset = |frames: &mut Frames, by_us: bool| {
        stream += 2;
        frames.read(&frame(HEADERS, 5, stream, b""), 0)?;
        let reset = frame(RST_STREAM, 0, stream, &[0; 4]);
        if by_us { frames.wrote(&reset, 0) } else { frames.read(&reset, 0) }
    };
    for _ in 0..20 {
        reset(&mut frames, true).expect("no flood");
        reset(&mut frames, false).expect("no flood");
    }
    frames.refused(4, 0).expect("no flood");
    let more = (0..).find(|_| reset(&mut frames, true).is_err());
    assert_eq!(more, Some(68));
}

#[test]
fn tiny_windows_are_seen_however_the_settings_are_cut() {
    let entries = [0, 3, 0, 0, 0, 100, 0, 4, 0, 0, 0, 1];
    for step in 1..40 {
        let mut frames = begun();
        for piece in frame(SETTINGS, 0, 0, &entries).chunks(step) {
            frames.read(piece, 0).expect("no flood");
        }
        assert!(frames.is_narrow());
        frames.read(&frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]), 0).expect("no flood");
        assert!(!frames.is_narrow());
    }
}

#[test]
fn the_last_word_is_a_whole_frame_between_frames_and_nothing_inside_one() {
    let mut frames = begun();
    frames.read(&frame(HEADERS, 5, 9, b""), 0).expect("no flood");
    let last = frames.goaway("h2_resets");
    assert_eq!(&last[..9], [0, 0, 17, 7, 0, 0, 0, 0, 0]);
    assert_eq!(&last[9..17], [0, 0, 0, 9, 0, 0, 0, 11]);
    assert_eq!(&last[17..], b"h2_resets");
    frames.wrote(&frame(DATA, 0, 9, b"hello")[..10], 0).expect("no flood");
    assert!(frames.goaway("h2_resets").is_empty());
    // A flood found in the middle of what was written at once.
    let mut frames = begun();
    let streams = || (1..200).map(|n| 2 * n + 1);
    for stream in streams() {
        frames.read(&frame(HEADERS, 5, stream, b""), 0).expect("no flood");
    }
    let resets: Vec<u8> = streams().flat_map(|it| frame(RST_STREAM, 0, it, &[0; 4])).collect();
    assert_eq!(frames.wrote(&resets, 0), Err(Flood::Resets));
    assert!(!frames.goaway("h2_resets").is_empty());
}

#[test]
fn work_without_requests_is_let_through_a_turn_at_a_time() {
    let mut frames = begun();
    let ping = frame(6, 0, 0, &[0; 8]);
    let pings = ping.repeat(100);
    let taken = frames.read_turn(&pings, 0).expect("no flood");
    assert_eq!(taken, 8 * ping.len());
    assert!(frames.ends_turn() && !frames.ends_turn());
    let others = [frame(DATA, 0, 1, &[0; 100]), frame(RST_STREAM, 0, 1, &[0; 4])].concat();
    let others = others.repeat(100);
    assert_eq!(frames.read_turn(&others, 0).expect("no flood"), others.len());
}

proptest! {
    #[test]
    fn however_it_is_cut_the_same_streams_are_open(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        kinds in proptest::collection::vec((0u8..12, 0u8..8, 0u32..9), 0..20),
        step in 1usize..40
    ) {
        let mut all = Vec::new();
        for (at, (kind, flags, stream)) in kinds.into_iter().enumerate() {
            all.extend(frame(kind, flags, stream, &bytes[..bytes.len().min(at * 7)]));
        }
        all.extend(bytes);
        let (mut whole, mut cut) = (begun(), begun());
        let verdict = whole.read(&all, 0);
        let pieces = all.chunks(step).try_for_each(|piece| cut.read(piece, 0));
        prop_assert_eq!(verdict, pieces);
        prop_assert_eq!(whole.open, cut.open);
    }
}
