//! Many clients at once that behave badly, a client among them that does not, and an upstream that
//! counts what it holds. All on one runtime: a thread for each would measure the threads.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};

use super::{
    gateway::Gateway,
    http::Client,
    wait::{block_on, pause, spawn},
};

/// An upstream: `/big` never ends, everything else is `ok` once its body (by length) is there.
pub(crate) struct Service {
    address: SocketAddr,
    counts: Arc<Counts>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    cut: AtomicUsize,
}

/// What each of the clients does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Siege {
    /// Sent at once.
    pub(crate) first: &'static str,
    /// Sent again every second, whatever comes back.
    pub(crate) drip: &'static str,
    /// Whether what comes back is read.
    pub(crate) reads: bool,
}

/// A connection of a siege: kept open whatever the gateway does, and what was read from it.
pub(crate) struct Besieger {
    _stream: Option<TcpStream>,
    /// Everything it was sent until the gateway ended the connection.
    pub(crate) seen: Vec<u8>,
    /// From its first byte to the end the gateway made.
    pub(crate) ended: Duration,
}

/// A client that goes on asking, on one connection, until told to stop.
pub(crate) struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

/// Lets this process open as many descriptors as it may.
pub(crate) fn raise_descriptors(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(most >= needed, "the hard limit of descriptors is {most}: `ulimit -Hn`");
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit anybody may");
}

// === impl Service ===

impl Service {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        let listener = block_on(async {
            let socket = TcpSocket::new_v4().expect("a descriptor is free");
            socket.bind("127.0.0.1:0".parse().expect("an address")).expect("there is a free port");
            // What it sends is to pile up in the gateway, not here; accepted sockets take this over.
            socket.set_send_buffer_size(64 * 1024).expect("an open socket takes options");
            socket.listen(4096).expect("a bound socket")
        });
        let address = listener.local_addr().expect("a bound socket has an address");
        let counts = Arc::new(Counts::default());
        let task = spawn(accept(listener, Arc::clone(&counts)));
        Self { address, counts, task }
    }

    /// As an upstream URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections open.
    pub(crate) fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    /// Requests whose connection ended before they were whole.
    pub(crate) fn cut(&self) -> usize {
        self.counts.cut.load(Ordering::SeqCst)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) {
    while let Ok((stream, _)) = listener.accept().await {
        let counts = Arc::clone(&counts);
        tokio::spawn(async move {
            counts.open.fetch_add(1, Ordering::SeqCst);
            // Whatever ends it: the gateway is gone.
            let _ = serve(stream, &counts).await;
            counts.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn serve(mut stream: TcpStream, counts: &Counts) -> io::Result<()> {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&read, b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        read.drain(..end);
        if head.starts_with("get /big") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n").await?;
            let piece = vec![b'x'; 64 * 1024];
            loop {
                stream.write_all(&piece).await?;
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |text| text.parse().expect("a number"));
        while read.len() < length {
            if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                counts.cut.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
        }
        read.drain(..length);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
    }
}

// === impl Siege ===

impl Siege {
    /// Opens so many connections and returns when the last is open. A task ends when its connection
    /// does; one that never reads does not notice, and must be aborted.
    pub(crate) fn lay(
        self,
        address: SocketAddr,
        count: usize,
    ) -> Vec<tokio::task::JoinHandle<Besieger>> {
        block_on(async {
            let mut all = Vec::with_capacity(count);
            // Slow clients are no flood: a thousand of them come in a second.
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while all.len() < count {
                pace.tick().await;
                let batch = (count - all.len()).min(20);
                let opening: Vec<_> =
                    (0..batch).map(|_| tokio::spawn(self.open(address))).collect();
                for opened in opening {
                    let stream = opened.await.expect("no panic").expect("the listener accepts");
                    all.push(tokio::spawn(self.hold(stream)));
                }
            }
            all
        })
    }

    async fn open(self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        // A real attacker has no memory to spare either.
        socket.set_recv_buffer_size(4096)?;
        let mut stream = socket.connect(address).await?;
        stream.write_all(self.first.as_bytes()).await?;
        Ok(stream)
    }

    async fn hold(self, mut stream: TcpStream) -> Besieger {
        let start = Instant::now();
        let mut seen = Vec::new();
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = beat.tick(), if !self.drip.is_empty() => {
                    if stream.write_all(self.drip.as_bytes()).await.is_err() {
                        break;
                    }
                }
                read = stream.read_buf(&mut seen), if self.reads => {
                    if !matches!(read, Ok(1..)) {
                        break;
                    }
                }
                else => std::future::pending().await,
            }
        }
        Besieger { _stream: Some(stream), seen, ended: start.elapsed() }
    }
}

// === impl Bystander ===

impl Bystander {
    /// Begins to ask for `/ok`, a hundred times a second or as fast as it is answered.
    pub(crate) fn start(gateway: &Gateway) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, address) = (Arc::clone(&stop), gateway.addr("http"));
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(address);
            let mut times = Vec::new();
            while !told.load(Ordering::SeqCst) {
                let start = Instant::now();
                let answer = client.get("h", "/ok");
                times.push(start.elapsed());
                assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
                pause(Duration::from_millis(10));
            }
            times
        });
        Self { stop, thread }
    }

    /// The time 99 of 100 of its requests took at most. Panics if one was not answered.
    pub(crate) fn finish(self) -> Duration {
        self.stop.store(true, Ordering::SeqCst);
        let mut times = self.thread.join().expect("every request of the bystander is answered");
        times.sort();
        assert!(!times.is_empty(), "it asked nothing");
        times[times.len() * 99 / 100]
    }
}
