//! From the workers to the file: every thread has a buffer of its own, one writer thread takes
//! full buffers from a bounded queue and looks into the others every 100 ms. A worker never waits
//! for the disk; what does not fit is dropped and counted.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::fd::AsFd as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

use crate::config::model::AccessTarget;

/// A buffer of this size is handed over.
const BLOCK: usize = 32 * 1024;
/// Bytes that may wait for the writer.
const QUEUE: usize = 8 * 1024 * 1024;
/// How long a line may wait in a buffer.
const TICK: Duration = Duration::from_millis(100);
/// Empty buffers kept for the workers.
const SPARE: usize = 32;
/// Threads remember the buffers of this many sinks.
const REMEMBERED: usize = 4;

/// A target that is written to, and the thread that does it. The thread ends when this is dropped
/// and all lines are written.
#[derive(Debug)]
pub(super) struct Sink {
    target: AccessTarget,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The buffers of all threads that ever wrote a line.
    shards: Mutex<Vec<Arc<Shard>>>,
    queue: Mutex<Queue>,
    /// A buffer holds lines, and the writer knows.
    pending: AtomicBool,
    closed: AtomicBool,
    /// The file to go on with.
    reopened: Mutex<Option<File>>,
    flush: Mutex<Flush>,
    flushed: Condvar,
    writer: OnceLock<Thread>,
    dropped: Arc<AtomicU64>,
}

/// Lines on their way.
#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    lines: u64,
}

type Shard = Mutex<Block>;

#[derive(Debug, Default)]
struct Queue {
    blocks: VecDeque<Block>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Flush {
    asked: u64,
    done: u64,
}

/// The writer thread's side.
struct Writer {
    shared: Arc<Shared>,
    file: File,
    swept: Instant,
    failing: bool,
    /// The last write stopped inside a line.
    torn: bool,
}

thread_local! {
    /// This thread's buffers, by the sink they belong to.
    static SHARDS: RefCell<Vec<(Arc<Shared>, Arc<Shard>)>> = const { RefCell::new(Vec::new()) };
}

// === impl Sink ===

impl Sink {
    pub(super) fn open(target: &AccessTarget, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        Self::start(target, open(target)?, dropped)
    }

    pub(super) fn start(
        target: &AccessTarget,
        file: File,
        dropped: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            shards: Mutex::default(),
            queue: Mutex::default(),
            pending: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            reopened: Mutex::default(),
            flush: Mutex::default(),
            flushed: Condvar::new(),
            writer: OnceLock::new(),
            dropped,
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            file,
            swept: Instant::now(),
            failing: false,
            torn: false,
        };
        let thread = thread::Builder::new().name("access-log".into()).spawn(|| writer.run())?;
        // Nobody else has set it: the value is new.
        let _ = shared.writer.set(thread.thread().clone());
        Ok(Self { target: target.clone(), shared })
    }

    pub(super) fn target(&self) -> &AccessTarget {
        &self.target
    }

    /// Lets `format` add one line to this thread's buffer.
    pub(super) fn line(&self, format: impl FnOnce(&mut Vec<u8>)) {
        let mut format = Some(format);
        let done = SHARDS.try_with(|shards| {
            let mut shards = shards.try_borrow_mut().ok()?;
            let found = shards.iter().position(|(shared, _)| Arc::ptr_eq(shared, &self.shared));
            let at = found.unwrap_or_else(|| self.shared.join(&mut shards));
            self.shared.add(&mut shards[at].1.lock(), format.take()?);
            Some(())
        });
        if let (Ok(None) | Err(_), Some(format)) = (done, format) {
            // The thread is ending and its buffers are gone.
            let mut block = Block::default();
            self.shared.add(&mut block, format);
            self.shared.hand_over(&mut block);
        }
        if !self.shared.pending.load(Ordering::Relaxed)
            && !self.shared.pending.swap(true, Ordering::AcqRel)
        {
            self.shared.wake();
        }
    }

    /// Opens the file anew; lines not yet written go to the new one.
    pub(super) fn reopen(&self) -> io::Result<()> {
        if matches!(self.target, AccessTarget::File(_)) {
            *self.shared.reopened.lock() = Some(open(&self.target)?);
            self.shared.wake();
        }
        Ok(())
    }

    /// Waits until all lines of before are written, but not longer than `timeout`.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let mut flush = self.shared.flush.lock();
        flush.asked += 1;
        let mine = flush.asked;
        self.shared.wake();
        let waiting = |flush: &mut Flush| flush.done < mine;
        !self.shared.flushed.wait_while_for(&mut flush, waiting, timeout).timed_out()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.wake();
    }
}

/// Opens a target for appending.
fn open(target: &AccessTarget) -> io::Result<File> {
    match target {
        AccessTarget::Stdout => Ok(io::stdout().as_fd().try_clone_to_owned()?.into()),
        AccessTarget::Stderr => Ok(io::stderr().as_fd().try_clone_to_owned()?.into()),
        AccessTarget::File(path) => OpenOptions::new().append(true).create(true).open(path),
    }
}

// === impl Shared ===

impl Shared {
    /// Makes this thread a buffer; its position.
    #[cold]
    fn join(self: &Arc<Self>, shards: &mut Vec<(Arc<Self>, Arc<Shard>)>) -> usize {
        if shards.len() >= REMEMBERED {
            // Its lines are not lost: the sink knows the buffer too.
            shards.remove(0);
        }
        let shard = Arc::new(Shard::default());
        self.shards.lock().push(Arc::clone(&shard));
        shards.push((Arc::clone(self), shard));
        shards.len() - 1
    }

    fn add(&self, block: &mut Block, format: impl FnOnce(&mut Vec<u8>)) {
        if block.bytes.capacity() == 0 {
            block.bytes = self.spare();
        }
        format(&mut block.bytes);
        block.lines += 1;
        if block.bytes.len() >= BLOCK {
            self.hand_over(block);
        }
    }

    #[cold]
    fn spare(&self) -> Vec<u8> {
        let spare = self.queue.lock().spare.pop();
        spare.unwrap_or_else(|| Vec::with_capacity(BLOCK + 4096))
    }

    /// Puts a block into the queue, or drops it if that is full.
    #[cold]
    fn hand_over(&self, block: &mut Block) {
        let mut queue = self.queue.lock();
        if queue.bytes + block.bytes.len() > QUEUE {
            drop(queue);
            self.dropped.fetch_add(block.lines, Ordering::Relaxed);
            block.bytes.clear();
            block.lines = 0;
            return;
        }
        queue.bytes += block.bytes.len();
        queue.blocks.push_back(std::mem::take(block));
        drop(queue);
        self.wake();
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

// === impl Writer ===

impl Writer {
    fn run(mut self) {
        loop {
            let asked = self.shared.flush.lock().asked;
            let closed = self.shared.closed.load(Ordering::Acquire);
            if let Some(file) = self.shared.reopened.lock().take() {
                (self.file, self.torn) = (file, false);
            }
            self.write_queue();
            let flushing = asked > self.shared.flush.lock().done;
            if closed || flushing || self.swept.elapsed() >= TICK {
                self.sweep();
            }
            if flushing {
                self.shared.flush.lock().done = asked;
                self.shared.flushed.notify_all();
            }
            if closed {
                return;
            }
            self.wait();
        }
    }

    /// Until a block, a reopen, a flush, the next tick if a buffer holds lines, or the end.
    fn wait(&self) {
        if self.shared.pending.load(Ordering::Acquire) {
            // Not nothing, lest an unlucky rounding makes it spin.
            let left = TICK.saturating_sub(self.swept.elapsed());
            thread::park_timeout(left.max(Duration::from_millis(1)));
        } else {
            thread::park();
        }
    }

    fn write_queue(&mut self) {
        loop {
            let block = {
                let mut queue = self.shared.queue.lock();
                let Some(block) = queue.blocks.pop_front() else { return };
                queue.bytes -= block.bytes.len();
                block
            };
            self.write(&block);
            self.recycle(block.bytes);
        }
    }

    /// Writes what is in the buffers of the threads.
    fn sweep(&mut self) {
        self.swept = Instant::now();
        // Before looking: a line that comes later sets it again.
        self.shared.pending.store(false, Ordering::SeqCst);
        let shards: Vec<_> = {
            let mut shards = self.shared.shards.lock();
            // The buffer of a thread that ended is ours alone, and is let go once it is empty.
            shards.retain(|shard| Arc::strong_count(shard) > 1 || shard.lock().lines > 0);
            shards.clone()
        };
        for shard in shards {
            let block = std::mem::take(&mut *shard.lock());
            if block.lines > 0 {
                self.write(&block);
            }
            self.recycle(block.bytes);
        }
    }

    fn recycle(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        let mut queue = self.shared.queue.lock();
        if (1..=4 * BLOCK).contains(&bytes.capacity()) && queue.spare.len() < SPARE {
            queue.spare.push(bytes);
        }
    }

    /// Writes a block. What cannot be written is lost and counted: a full disk must neither stop
    /// requests nor make us spin.
    fn write(&mut self, block: &Block) {
        let result = if self.torn { self.write_all(b"\n") } else { Ok(()) };
        match result.and_then(|()| self.write_all(&block.bytes)) {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!("the access log can be written again");
            }
            Ok(()) => {}
            Err(error) => {
                self.shared.dropped.fetch_add(block.lines, Ordering::Relaxed);
                if !self.failing {
                    self.failing = true;
                    tracing::error!(%error, "the access log cannot be written; lines are lost");
                }
            }
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        // Standard output may be a pipe that somebody made non-blocking: give its reader a second.
        let mut patience = 100;
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.torn = bytes[count - 1] != b'\n';
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && patience > 0 => {
                    patience -= 1;
                    thread::sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
