//! The strictest upstream: it reads requests by the letter of RFC 9112 (see [`super::strict`]),
//! records every one with the connection it came on, answers with the name of the request and a hash
//! of its body, and calls anything else a violation. It never closes a connection by itself, so that
//! no request has to be repeated. A request with `X-Early: 417` (or another status) is answered so
//! before its body is read; the body is read all the same, as RFC 9110 section 10.1.1 has it.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use parking_lot::Mutex;

use super::strict::{Parsed, Request, Side, parse};

/// A recording upstream.
pub(crate) struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    open: Mutex<HashMap<usize, TcpStream>>,
    records: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    seen: Vec<Seen>,
    violations: Vec<Violation>,
    raw: Vec<Vec<u8>>,
}

/// A request received.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// How many connections came before the one it came on.
    pub(crate) connection: usize,
    /// The request.
    pub(crate) request: Request,
    /// The connection ended before its body did.
    pub(crate) cut: bool,
}

/// Bytes that are no request.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// What is wrong with them.
    pub(crate) why: String,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

// === impl Recorder ===

impl Recorder {
    /// Listens.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &state));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// As an upstream URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that was no request.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.shared.records.lock().violations.clone()
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.shared.records.lock().seen.clone()
    }

    /// The requests so far, which are forgotten.
    pub(crate) fn take(&self) -> Vec<Seen> {
        let mut records = self.shared.records.lock();
        records.raw.iter_mut().for_each(Vec::clear);
        std::mem::take(&mut records.seen)
    }

    /// The requests with this name.
    pub(crate) fn by_id(&self, id: &str) -> Vec<Seen> {
        self.requests().into_iter().filter(|seen| seen.request.id() == id).collect()
    }

    /// What came on each connection since requests were last taken, byte by byte.
    pub(crate) fn raw(&self) -> Vec<Vec<u8>> {
        self.shared.records.lock().raw.clone()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.records.lock().raw.len()
    }

    /// Panics when anything was no request.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let violations: Vec<String> = self
            .violations()
            .iter()
            .map(|v| format!("{}: {:?}", v.why, v.bytes.escape_ascii().to_string()))
            .collect();
        assert!(violations.is_empty(), "the upstream received:\n{}", violations.join("\n"));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in self.shared.open.lock().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The text a request is answered with.
pub(crate) fn answer_to(request: &Request) -> String {
    format!(
        "recorded id={} method={} length={} hash={:016x}\n",
        request.id(),
        request.method,
        request.body.len(),
        hash(&request.body)
    )
}

/// A number that tells bodies apart.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(copy) = stream.try_clone() else { continue };
        stream.set_nodelay(true).expect("a TCP socket");
        let index = {
            let mut records = shared.records.lock();
            records.raw.push(Vec::new());
            records.raw.len() - 1
        };
        shared.open.lock().insert(index, copy);
        let shared = Arc::clone(shared);
        // Nobody waits for this thread: it ends with the connection, and joining thousands of them
        // would keep their stacks.
        std::thread::spawn(move || {
            serve(stream, index, &shared);
            if let Some(copy) = shared.open.lock().remove(&index) {
                let _ = copy.shutdown(Shutdown::Both);
            }
        });
    }
}

fn serve(mut stream: TcpStream, connection: usize, shared: &Shared) {
    let mut buffer = Vec::new();
    let mut begun = Begun::default();
    let mut piece = [0; 16 * 1024];
    loop {
        let part = match parse(&buffer, Side::Upstream) {
            Parsed::Whole(request, length) => {
                buffer.drain(..length);
                let answer = if begun.answered { Vec::new() } else { answer(&request) };
                begun = Begun::default();
                shared.records.lock().seen.push(Seen { connection, request, cut: false });
                if stream.write_all(&answer).is_err() {
                    return;
                }
                continue;
            }
            Parsed::Bad(why, _) => {
                shared.records.lock().violations.push(Violation { why, bytes: buffer });
                return;
            }
            Parsed::Part(head) => head,
        };
        if let Some(head) = &part {
            begun.interim(head, &mut stream);
        }
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => {
                buffer.extend_from_slice(&piece[..count]);
                shared.records.lock().raw[connection].extend_from_slice(&piece[..count]);
            }
            _ => {
                let mut records = shared.records.lock();
                match part {
                    Some(request) => records.seen.push(Seen { connection, request, cut: true }),
                    None if buffer.is_empty() => {}
                    None => {
                        let why = "half a head".to_owned();
                        records.violations.push(Violation { why, bytes: buffer });
                    }
                }
                return;
            }
        }
    }
}

/// What was said to a request whose body is still to come.
#[derive(Default)]
struct Begun {
    continued: bool,
    answered: bool,
}

impl Begun {
    fn interim(&mut self, head: &Request, stream: &mut TcpStream) {
        let early = head.get("x-early");
        if !early.is_empty() && !self.answered {
            self.answered = true;
            let _ = stream.write_all(&answer(head));
        } else if early.is_empty() && !self.continued && !head.get("expect").is_empty() {
            self.continued = true;
            let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }
}

fn answer(request: &Request) -> Vec<u8> {
    let text = answer_to(request);
    let id = request.id();
    let status = if request.get("x-early").is_empty() { "200" } else { request.get("x-early") };
    let length = text.len();
    let head = format!("HTTP/1.1 {status} x\r\nX-Id: {id}\r\nContent-Length: {length}\r\n\r\n");
    let body = if request.method == "HEAD" { "" } else { &text };
    [head.as_bytes(), body.as_bytes()].concat()
}

#[test]
fn the_recorder_notices_what_is_no_request() {
    let recorder = Recorder::start();
    let ask = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(recorder.address).expect("it listens");
        stream.write_all(bytes).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("open");
        let mut answers = String::new();
        let _ = stream.read_to_string(&mut answers);
        answers
    };
    let good = "GET / HTTP/1.1\r\nHost: h\r\nX-Id: one\r\n\r\n";
    assert_eq!(ask(good.repeat(2).as_bytes()).matches("recorded id=one ").count(), 2);
    recorder.assert_clean();
    assert_eq!((recorder.by_id("one").len(), recorder.connections()), (2, 1));
    assert_eq!(recorder.raw()[0], good.repeat(2).as_bytes());

    ask(format!("{good}GET / HTTP/1.1\nHost: h\r\n\r\n").as_bytes());
    assert_eq!(recorder.violations()[0].why, "a bare LF");
    ask(format!("{good}GET").as_bytes());
    super::wait::until("half a head is noticed", || recorder.violations().len() == 2);
    ask(b"POST / HTTP/1.1\r\nHost: h\r\nX-Id: two\r\nContent-Length: 9\r\n\r\nhalf");
    super::wait::until("the cut is noticed", || recorder.by_id("two").iter().any(|seen| seen.cut));
    assert_eq!(recorder.violations().len(), 2);
    assert_eq!(recorder.take().len(), 5);
    assert!(recorder.requests().is_empty());
}
