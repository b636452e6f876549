//! Mutated requests against a strict upstream that records: one request in, one out.
//!
//! Every case is a connection of its own, made from a seed and a number. A strict parser that shares
//! no code with the gateway reads the same bytes: what reaches the upstream, and what is answered,
//! must be among the requests it finds, in their order, with their bodies. The gateway may refuse
//! more than that parser, never read more, or otherwise.
//!
//! `TIDEGATE_MUTATIONS` is the number of cases, `TIDEGATE_SEED` the seed to repeat.

mod h1;
mod h2;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::support::{
    prelude::*,
    recorder::{Recorder, Seen, answer_to, hash},
    strict::Request,
};

/// Cases played before the upstream's records are looked at.
const BATCH: usize = 256;
/// Client connections at a time; they share the gateway's upstream connections.
const CLIENTS: usize = 4;
/// How long a connection on which nothing is due is watched for what should not come.
const QUIET: Duration = Duration::from_millis(15);
/// How long an error may take that is due, but that the gateway may also be still waiting to see.
const REFUSAL: Duration = Duration::from_millis(250);

/// A connection to play.
struct Case {
    /// What is sent, write by write.
    pieces: Vec<Vec<u8>>,
    /// Nothing was mutated: it must be answered.
    clean: bool,
    /// What the bytes mean.
    meaning: Meaning,
}

/// What a strict reader makes of the bytes.
#[derive(Default)]
struct Meaning {
    /// Requests, by stream for HTTP/2.
    whole: Vec<(u32, Request)>,
    /// Requests whose head is good and whose body is not, or not there.
    part: Vec<Request>,
    /// Something stands after the last request that is none.
    bad: bool,
    /// More may come after what was sent.
    open: bool,
    /// The strict reader does not know (compressed header fields).
    vague: bool,
}

/// What came of a case.
#[derive(Default)]
struct Outcome {
    /// Answers of the upstream.
    passed: usize,
    /// Reason words, resets and closes, in words.
    refused: Vec<String>,
}

/// A kind of connection.
trait Protocol: Sync {
    /// How cases are called.
    const NAME: &'static str;

    /// A case from its own randomness.
    fn case(random: &mut StdRng, number: usize) -> Case;

    /// Sends it and judges the answers.
    fn play(case: &Case, stream: TcpStream) -> Result<Outcome, String>;
}

/// What the upstream may see, by what clients have sent so far.
#[derive(Default)]
struct Expected {
    whole: HashMap<(String, String, u64), usize>,
    part: HashSet<String>,
    /// Numbers of the cases that are vague.
    vague: HashSet<usize>,
}

/// Figures of a run.
#[derive(Debug, Default)]
struct Figures {
    cases: usize,
    clean: usize,
    vague: usize,
    requests: usize,
    passed: usize,
    refused: BTreeMap<String, usize>,
    upstream: usize,
    cut: usize,
    violations: usize,
    disagreements: Vec<String>,
}

#[test]
fn mutated_http1_requests_are_refused_or_passed_on_as_they_are() {
    run::<h1::Http1>();
}

#[test]
fn mutated_http2_requests_are_refused_or_passed_on_as_they_are() {
    run::<h2::Http2>();
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn run<P: Protocol>() {
    let seed = setting("TIDEGATE_SEED", 20_260_928);
    let count = usize::try_from(setting("TIDEGATE_MUTATIONS", 4_000)).expect("not that many");
    let recorder = Recorder::start();
    let mut gateway = Gateway::start(&format!(
        "listeners: {{ http: {{ address: \"127.0.0.1:0\", protocols: [h1, h2c] }} }}\n\
         logs: {{ format: json, access: none }}\nroutes: {{ app: {{ to: \"{}\" }} }}\n",
        recorder.url()
    ));
    let address = gateway.addr("http");
    let (mut expected, mut figures) = (Expected::default(), Figures::default());
    let mut start = 0;
    while start < count && figures.disagreements.len() < 10 {
        let numbers = start..count.min(start + BATCH);
        start = numbers.end;
        let cases: Vec<(usize, Case)> = numbers.map(|n| (n, case::<P>(seed, n))).collect();
        for (number, case) in &cases {
            expected.add(*number, &case.meaning);
        }
        let outcomes = play_all::<P>(&cases, address);
        figures.add(&cases, outcomes);
        let complaints = clean_requests::<P>(&gateway, start);
        figures.disagreements.extend(complaints);
        let unexpected = expected.check::<P>(recorder.take(), &mut figures);
        figures.disagreements.extend(unexpected);
        let violations = recorder.violations();
        figures.disagreements.extend(violations.iter().skip(figures.violations).map(|violation| {
            format!("the upstream got {}: {}", violation.why, violation.bytes.escape_ascii())
        }));
        figures.violations = violations.len();
        assert!(gateway.alive(), "the gateway ended: {}", gateway.logs());
    }
    let found = std::mem::take(&mut figures.disagreements);
    eprintln!("{}: {} disagreements; {figures:#?}", P::NAME, found.len());
    let texts: Vec<String> = found.iter().map(|text| with_case::<P>(seed, text)).collect();
    assert!(texts.is_empty(), "TIDEGATE_SEED={seed}, of {start} cases:\n{}", texts.join("\n\n"));
    assert!(figures.passed * 4 > figures.requests, "too little gets through to say anything");
}

fn case<P: Protocol>(seed: u64, number: usize) -> Case {
    let mut random = StdRng::seed_from_u64(seed ^ ((number as u64) << 32));
    P::case(&mut random, number)
}

/// A complaint with the bytes of the case it names.
fn with_case<P: Protocol>(seed: u64, text: &str) -> String {
    let number = text.split(&format!("{}-", P::NAME)).nth(1);
    let number =
        number.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    let Some(number) = number else { return text.to_owned() };
    let case = case::<P>(seed, number);
    let pieces: Vec<_> = case.pieces.iter().map(|piece| piece.escape_ascii().to_string()).collect();
    format!("{text}\n  case {number} sent, write by write:\n    {}", pieces.join("\n    "))
}

fn play_all<P: Protocol>(
    cases: &[(usize, Case)],
    address: SocketAddr,
) -> Vec<(usize, Result<Outcome, String>)> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some((number, case)) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let stream = TcpStream::connect(address).expect("the gateway accepts");
                    stream.set_nodelay(true).expect("a TCP socket");
                    let outcome = P::play(case, stream);
                    outcomes.lock().push((*number, outcome));
                }
            });
        }
    });
    outcomes.into_inner()
}

/// After every batch two clean requests are answered right.
fn clean_requests<P: Protocol>(gateway: &Gateway, number: usize) -> Option<String> {
    let (get, post) = (format!("X-Id: clean-{number}"), format!("X-Id: clean-post-{number}"));
    let mut client = gateway.client();
    let first = client.exchange("GET", "a", "/", &[&get]);
    client.request("POST", "a", "/", &[&post, "Content-Length: 2"]);
    client.send("hi");
    let second = client.response();
    let right =
        |text: String, field: &str| text.starts_with(&format!("recorded id={} ", &field[6..]));
    let wrong = !right(first.text(), &get) || !right(second.text(), &post);
    wrong.then(|| format!("{} clean: {} {}", P::NAME, first.text(), second.text()))
}

// === impl Meaning ===

impl Meaning {
    /// The request an answer is to.
    fn at(&self, index: usize) -> Option<&Request> {
        self.whole.iter().map(|(_, request)| request).chain(&self.part).nth(index)
    }
}

// === impl Expected ===

impl Expected {
    fn add(&mut self, number: usize, meaning: &Meaning) {
        for (_, request) in &meaning.whole {
            *self.whole.entry(key(request)).or_default() += 1;
        }
        let whole = meaning.whole.iter().map(|(_, request)| request);
        self.part.extend(whole.chain(&meaning.part).map(|request| request.id().to_owned()));
        if meaning.vague {
            self.vague.insert(number);
        }
    }

    /// What the upstream saw and should not have.
    fn check<P: Protocol>(&mut self, seen: Vec<Seen>, figures: &mut Figures) -> Vec<String> {
        let mut complaints = Vec::new();
        for Seen { request, cut, connection } in seen {
            let id = request.id();
            if id.starts_with("clean-") {
                continue;
            }
            *(if cut { &mut figures.cut } else { &mut figures.upstream }) += 1;
            let allowed = if cut {
                self.part.contains(id)
            } else {
                self.whole.get_mut(&key(&request)).is_some_and(|left| {
                    let any = *left > 0;
                    *left = left.saturating_sub(1);
                    any
                })
            };
            let rest = id.strip_prefix(P::NAME).and_then(|rest| rest.strip_prefix('-'));
            let number = rest.and_then(|rest| rest.split('-').next()?.parse().ok());
            if !allowed && !number.is_some_and(|number: usize| self.vague.contains(&number)) {
                let what = if cut { "half of" } else { "all of" };
                complaints.push(format!(
                    "upstream connection {connection} saw {what} `{id}`: {request:?}"
                ));
            }
        }
        complaints
    }
}

fn key(request: &Request) -> (String, String, u64) {
    (request.id().to_owned(), request.method.clone(), hash(&request.body))
}

// === impl Figures ===

impl Figures {
    fn add(&mut self, cases: &[(usize, Case)], outcomes: Vec<(usize, Result<Outcome, String>)>) {
        self.cases += cases.len();
        self.clean += cases.iter().filter(|(_, case)| case.clean).count();
        self.vague += cases.iter().filter(|(_, case)| case.meaning.vague).count();
        self.requests += cases.iter().map(|(_, case)| case.meaning.whole.len()).sum::<usize>();
        for (_, outcome) in outcomes {
            match outcome {
                Ok(outcome) => {
                    self.passed += outcome.passed;
                    for word in outcome.refused {
                        *self.refused.entry(word).or_default() += 1;
                    }
                }
                Err(complaint) => self.disagreements.push(complaint),
            }
        }
    }
}

// === what both protocols use ===

/// Writes all pieces; a gateway that has seen enough may have closed.
fn send(pieces: &[Vec<u8>], stream: &mut TcpStream) {
    for piece in pieces {
        if stream.write_all(piece).is_err() {
            return;
        }
    }
}

/// How a read ended.
enum Got {
    Bytes,
    Nothing,
    Closed,
}

/// Reads what comes within this time.
fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>, patience: Duration) -> Got {
    let mut piece = [0; 16 * 1024];
    stream.set_read_timeout(Some(patience)).expect("not zero");
    match stream.read(&mut piece) {
        Ok(0) => Got::Closed,
        Ok(count) => {
            buffer.extend_from_slice(&piece[..count]);
            Got::Bytes
        }
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ) =>
        {
            Got::Nothing
        }
        Err(_) => Got::Closed,
    }
}

/// The reason word in an error of the gateway.
fn reason(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    value["reason"].as_str().unwrap_or("none given").to_owned()
}

/// Whether this is the upstream's answer to that request.
fn is_answer(body: &[u8], request: &Request) -> bool {
    body == answer_to(request).as_bytes()
}

fn pick<'a, T: ?Sized>(random: &mut StdRng, from: &[&'a T]) -> &'a T {
    from[random.random_range(0..from.len())]
}

fn chance(random: &mut StdRng, percent: u32) -> bool {
    random.random_range(0..100) < percent
}

/// A request hidden in other bytes.
fn smuggled(number: usize) -> String {
    format!("GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Id: smuggled-{number}\r\n\r\n")
}

/// A body: text, bytes, or somebody's hope.
fn body(random: &mut StdRng, number: usize) -> Vec<u8> {
    match random.random_range(0..5) {
        0 => Vec::new(),
        1 => smuggled(number).into_bytes(),
        2 => format!("0\r\n\r\n{}", smuggled(number)).into_bytes(),
        3 => (0..random.random_range(1..300)).map(|_| random.random()).collect(),
        _ => b"0123456789abcdef".repeat(random.random_range(1..40)),
    }
}

/// Changes bytes without knowing what they mean.
fn scramble(random: &mut StdRng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = random.random_range(0..bytes.len());
    let end = (at + random.random_range(1..20)).min(bytes.len());
    match random.random_range(0..7) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => bytes[at] = random.random(),
        2 => bytes.insert(at, random.random()),
        3 => bytes.insert(at, b"\r\n\0 \t:;,\"0x\x0b\x7f\x80"[random.random_range(0..14)]),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => bytes[at..end].reverse(),
    }
}

/// Cuts bytes into writes.
fn split(random: &mut StdRng, bytes: &[u8]) -> Vec<Vec<u8>> {
    let cuts = if chance(random, 50) { 0 } else { random.random_range(1..6) };
    let mut at: Vec<usize> = (0..cuts).map(|_| random.random_range(0..=bytes.len())).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).filter(|p| !p.is_empty()).collect()
}
