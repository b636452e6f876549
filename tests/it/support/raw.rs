//! An upstream scripted byte by byte: it can be slow, reset, stop half-way, send garbage, close an
//! idle connection. One thread per connection runs the script.

use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use socket2::SockRef;

use super::{
    wait::DEADLINE,
    wire::{Framing, Head, Wire},
};

/// A scripted upstream.
pub(crate) struct Raw {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    accepted: AtomicUsize,
    requests: Mutex<Vec<Head>>,
    open: Mutex<Vec<TcpStream>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// One connection the gateway opened.
pub(crate) struct Peer {
    /// How many connections came before this one.
    pub(crate) index: usize,
    wire: Wire<TcpStream>,
    shared: Arc<Shared>,
}

/// A request received.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its head.
    pub(crate) head: Head,
    /// Its body, decoded.
    pub(crate) body: Vec<u8>,
}

fn text(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

// === impl Raw ===

impl Raw {
    /// Runs the script on every connection. A panic of the script is raised when this is dropped.
    pub(crate) fn serve(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("there is a free port"), script)
    }

    fn on(listener: TcpListener, script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let script = Arc::new(script);
        let state = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &state, &script));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Answers every request with this message.
    pub(crate) fn always(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::serve(move |peer| while peer.request().is_some() && peer.send(&answer) {})
    }

    /// Answers 200 with the request's head as text, and after it the body.
    pub(crate) fn echo() -> Self {
        Self::serve(|peer| {
            while let Some(request) = peer.request() {
                let mut text = request.head.first.clone().into_bytes();
                for (name, value) in &request.head.fields {
                    text.extend_from_slice(format!("\n{name}: {value}").as_bytes());
                }
                text.extend_from_slice(b"\n\n");
                text.extend_from_slice(&request.body);
                peer.ok(&text);
            }
        })
    }

    /// Answers 200 with a fixed text.
    pub(crate) fn text(body: &str) -> Self {
        Self::always(text(body))
    }

    /// The same at this address, if it is free.
    pub(crate) fn text_at(address: SocketAddr, body: &str) -> Option<Self> {
        let (listener, answer) = (TcpListener::bind(address).ok()?, text(body));
        Some(Self::on(
            listener,
            move |peer| while peer.request().is_some() && peer.send(&answer) {},
        ))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As an upstream URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Heads of the requests received so far.
    pub(crate) fn requests(&self) -> Vec<Head> {
        self.shared.requests.lock().clone()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the acceptor
        let acceptor = self.acceptor.take().expect("taken only here").join();
        for stream in self.shared.open.lock().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let threads = std::mem::take(&mut *self.shared.threads.lock());
        let results: Vec<_> = threads.into_iter().map(JoinHandle::join).chain([acceptor]).collect();
        if std::thread::panicking() {
            return;
        }
        for result in results {
            if let Err(panic) = result {
                resume_unwind(panic);
            }
        }
    }
}

fn accept<F>(listener: &TcpListener, shared: &Arc<Shared>, script: &Arc<F>)
where
    F: Fn(&mut Peer) + Send + Sync + 'static,
{
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        stream.set_read_timeout(Some(6 * DEADLINE)).expect("not zero");
        stream.set_nodelay(true).expect("a TCP socket");
        shared.open.lock().extend(stream.try_clone());
        let index = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let mut peer = Peer { index, wire: Wire::new(stream), shared: Arc::clone(shared) };
        let script = Arc::clone(script);
        let thread = std::thread::spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| script(&mut peer)));
            // The list of open sockets holds a second descriptor: dropping ours alone closes nothing.
            let _ = peer.wire.stream().shutdown(Shutdown::Both);
            result.unwrap_or_else(|panic| resume_unwind(panic));
        });
        shared.threads.lock().push(thread);
    }
}

// === impl Peer ===

impl Peer {
    /// The next request's head; `None` when the gateway closed the connection.
    pub(crate) fn head(&mut self) -> Option<Head> {
        let head = self.wire.head()?;
        self.shared.requests.lock().push(head.clone());
        Some(head)
    }

    /// The next request, whole; `None` when the gateway closed or cut it.
    pub(crate) fn request(&mut self) -> Option<Request> {
        let head = self.head()?;
        if head.get("expect").is_some() {
            self.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        let body = self.wire.body(head.framing(Framing::None)).ok()?;
        Some(Request { head, body })
    }

    /// Sends bytes; false when the gateway is gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.send(bytes)
    }

    /// Sends a 200 with this body.
    pub(crate) fn ok(&mut self, body: &[u8]) -> bool {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        self.send([head.as_bytes(), body].concat())
    }

    /// The connection as bytes.
    pub(crate) fn wire(&mut self) -> &mut Wire<TcpStream> {
        &mut self.wire
    }

    /// Ends the connection with a TCP reset.
    pub(crate) fn reset(&mut self) {
        // Every copy of the descriptor but ours must be gone for the close to be the last one.
        let ours = self.wire.stream().peer_addr().ok();
        self.shared.open.lock().retain(|other| other.peer_addr().ok() != ours);
        SockRef::from(self.wire.stream())
            .set_linger(Some(Duration::ZERO))
            .expect("an open socket takes options");
        let placeholder = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let spare = TcpStream::connect(placeholder.local_addr().expect("bound"))
            .expect("the backlog takes one connection");
        self.wire = Wire::new(spare); // drops the stream, which resets it
    }

    /// Waits until the gateway closes or resets the connection; panics after the deadline.
    pub(crate) fn gone(&mut self) {
        while self.wire.fill() {}
    }
}
