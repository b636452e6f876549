//! Load that is offered whether or not it is served, and a service that can do only so much. A client that
//! waits for its answer before it asks again would slow down with the service, and overload nothing.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, MissedTickBehavior},
};

use super::wait::{block_on, spawn};

/// A service that works on some requests at once, each for the same time; the others wait in it.
pub(crate) struct Fixed {
    address: SocketAddr,
    served: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// So many requests a second.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// Where to.
    pub(crate) gateway: SocketAddr,
    /// A field of each request.
    pub(crate) field: &'static str,
    /// How many a second.
    pub(crate) rate: u32,
    /// How long.
    pub(crate) time: Duration,
}

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What those took that were answered with 200.
    pub(crate) good: Vec<Duration>,
    /// How many were answered with 503.
    pub(crate) shed: usize,
    /// Anything else.
    pub(crate) wrong: Vec<String>,
}

// === impl Fixed ===

impl Fixed {
    /// Starts one on a free port.
    pub(crate) fn start(slots: usize, takes: Duration) -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let served = Arc::new(AtomicUsize::new(0));
        let (slots, counted) = (Arc::new(Semaphore::new(slots)), Arc::clone(&served));
        let task = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (slots, served) = (Arc::clone(&slots), Arc::clone(&counted));
                tokio::spawn(async move {
                    // The gateway has gone, or the test.
                    let _ = serve(stream, &slots, takes, &served).await;
                });
            }
        });
        Self { address, served, task }
    }

    /// As an upstream URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests answered so far.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    slots: &Semaphore,
    takes: Duration,
    served: &AtomicUsize,
) -> io::Result<()> {
    let mut read = Vec::new();
    while head(&mut stream, &mut read).await?.is_some() {
        let slot = slots.acquire().await.map_err(io::Error::other)?;
        tokio::time::sleep(takes).await;
        drop(slot);
        served.fetch_add(1, Ordering::SeqCst);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
    }
    Ok(())
}

/// One head, taken from what was read; `None` at the end of the stream.
async fn head(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(at) = memchr::memmem::find(read, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..at]).to_ascii_lowercase();
            read.drain(..at + 4);
            return Ok(Some(head));
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

// === impl Offer ===

impl Offer {
    /// Sends them in even steps, and waits for the last answer.
    pub(crate) async fn send(self) -> Outcome {
        let idle: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let outcome = Arc::new(Mutex::new(Outcome::default()));
        let mut steps = tokio::time::interval(Duration::from_secs(1) / self.rate);
        // A step that is late is made up for.
        steps.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let until = Instant::now() + self.time;
        let mut all = Vec::new();
        while steps.tick().await < until {
            let (idle, outcome, it) = (Arc::clone(&idle), Arc::clone(&outcome), self.clone());
            all.push(tokio::spawn(async move {
                let begun = Instant::now();
                let result = it.one(&idle).await;
                let mut outcome = outcome.lock();
                match result {
                    Ok(head) if head.starts_with("http/1.1 200") => {
                        outcome.good.push(begun.elapsed());
                    }
                    Ok(head) if head.starts_with("http/1.1 503") => outcome.shed += 1,
                    Ok(head) => outcome.wrong.push(head),
                    Err(error) => outcome.wrong.push(error.to_string()),
                }
            }));
        }
        for one in all {
            one.await.expect("nothing in it panics");
        }
        let mut outcome = std::mem::take(&mut *outcome.lock());
        outcome.good.sort_unstable();
        outcome
    }

    async fn one(&self, idle: &Mutex<Vec<TcpStream>>) -> io::Result<String> {
        let pooled = idle.lock().pop();
        let mut stream = match pooled {
            Some(stream) => stream,
            None => TcpStream::connect(self.gateway).await?,
        };
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n\r\n", self.field);
        stream.write_all(request.as_bytes()).await?;
        let mut read = Vec::new();
        let head = head(&mut stream, &mut read).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
        while read.len() < length {
            if stream.read_buf(&mut read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if !head.contains("connection: close") {
            idle.lock().push(stream);
        }
        Ok(head)
    }
}

// === impl Outcome ===

impl Outcome {
    /// What 99 of 100 good answers took at most.
    pub(crate) fn p99(&self) -> Duration {
        self.good[(self.good.len() * 99).div_ceil(100) - 1]
    }
}
