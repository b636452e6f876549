//! A log in pieces: one thread reads, all processors work, and never more than a few pieces are in memory.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use flate2::read::MultiGzDecoder;

use super::tally::Tally;

/// Whoever wants to know how far it is.
pub trait Progress: Sync {
    /// So many bytes of the log were read, of so many; nobody knows how many a pipe has.
    fn at(&self, bytes: u64, of: Option<u64>);
}

/// Bytes of a piece.
const PIECE: usize = 1 << 20;
/// A longer line is no line.
const LONGEST: usize = 1 << 20;
/// Pieces that wait for each worker.
const WAITING: usize = 2;
/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Counts what is read, before it is unpacked.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Lets every piece of a log be counted, and returns what each worker has.
pub(super) fn pieces<'j>(
    log: &Path,
    progress: &dyn Progress,
    new: impl Fn() -> Tally<'j> + Sync,
) -> io::Result<Vec<Tally<'j>>> {
    let count = Arc::new(AtomicU64::new(0));
    let (mut source, size) = open(log, &count)?;
    let workers = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get();
    thread::scope(|scope| {
        let (send, receive) = sync_channel::<Vec<u8>>(workers * WAITING);
        let receive = Arc::new(Mutex::new(receive));
        let work = || {
            let (receive, new) = (Arc::clone(&receive), &new);
            scope.spawn(move || worker(&receive, new()))
        };
        let running: Vec<_> = (0..workers).map(|_| work()).collect();
        drop(receive);
        let mut left = Vec::new();
        let ended = loop {
            match piece(&mut source, &mut left) {
                Ok(Some(piece)) => {
                    progress.at(count.load(Ordering::Relaxed), size);
                    if send.send(piece).is_err() {
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(send);
        let mut tallies = Vec::new();
        for worker in running {
            tallies.push(worker.join().map_err(|_| io::Error::other("a worker ended early"))?);
        }
        ended.map(|()| tallies)
    })
}

fn worker<'j>(pieces: &Mutex<Receiver<Vec<u8>>>, mut tally: Tally<'j>) -> Tally<'j> {
    loop {
        let next = match pieces.lock() {
            Ok(pieces) => pieces.recv(),
            Err(_) => return tally,
        };
        let Ok(piece) = next else { return tally };
        for line in piece.split(|byte| *byte == b'\n') {
            tally.line(line);
        }
    }
}

/// The source, unpacked if it is packed, and how many bytes it has.
fn open(log: &Path, count: &Arc<AtomicU64>) -> io::Result<(Box<dyn Read>, Option<u64>)> {
    let (inner, size): (Box<dyn Read>, _) = match log == Path::new("-") {
        true => (Box::new(io::stdin().lock()), None),
        false => {
            let file = File::open(log)?;
            let meta = file.metadata()?;
            if meta.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
            }
            (Box::new(file), meta.is_file().then_some(meta.len()))
        }
    };
    let mut source = BufReader::with_capacity(PIECE, Counted { inner, count: Arc::clone(count) });
    let mut first = [0; 2];
    let there = fill(&mut source, &mut first)?;
    let head = io::Cursor::new(first[..there].to_vec());
    let whole = head.chain(source);
    Ok(match first == GZIP {
        true => (Box::new(MultiGzDecoder::new(whole)), size),
        false => (Box::new(whole), size),
    })
}

/// As much as there is.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while at < buffer.len() {
        match source.read(&mut buffer[at..]) {
            Ok(0) => break,
            Ok(read) => at += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}

/// The next whole lines; `left` is the beginning of the one after them.
fn piece(source: &mut impl Read, left: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let mut piece = std::mem::take(left);
    loop {
        let before = piece.len();
        piece.resize(before + PIECE, 0);
        let read = fill(source, &mut piece[before..])?;
        piece.truncate(before + read);
        if read < PIECE {
            return Ok((!piece.is_empty()).then_some(piece));
        }
        if let Some(end) = memchr::memrchr(b'\n', &piece) {
            left.extend_from_slice(&piece[end + 1..]);
            piece.truncate(end);
            return Ok(Some(piece));
        }
        if piece.len() > LONGEST {
            // What this is the beginning of is no line either, and is counted as one.
            return Ok(Some(piece));
        }
    }
}
