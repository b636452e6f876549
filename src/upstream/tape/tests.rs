//! What a tape plays again is what was sent, or nothing.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::atomic::{AtomicBool, Ordering},
    task::Wake,
};

use futures_util::stream;
use http_body_util::StreamBody;
use proptest::prelude::*;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::*;

/// A client that sends these, and then is silent or ends.
#[derive(Clone, Default)]
struct Client {
    pieces: VecDeque<Vec<u8>>,
    trailers: Option<HeaderMap>,
    /// It says with its last piece that this was the last.
    early: bool,
    /// How often it makes its reader wait before a frame.
    late: bool,
    waited: bool,
}

/// What is read at once of a body, and whether it has ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl http_body::Body for Client {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.late && !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waited = false;
        let frame = match self.pieces.pop_front() {
            Some(piece) => Some(Frame::data(piece.into())),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.early && self.pieces.is_empty() && self.trailers.is_none()
    }
}

/// The next frames, at most so many.
fn read(body: &mut Body, most: usize) -> Read {
    let mut read = Read::default();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..most {
        // Nothing here makes its reader wait twice.
        let mut frames = (0..3).map(|_| Pin::new(&mut *body).poll_frame(&mut cx));
        let Some(Poll::Ready(frame)) = frames.find(Poll::is_ready) else { break };
        match frame.transpose().expect("no error") {
            None => {
                read.ended = true;
                break;
            }
            Some(frame) => match frame.into_data() {
                Ok(data) => read.data.extend_from_slice(&data),
                Err(frame) => read.trailers = frame.into_trailers().ok(),
            },
        }
    }
    read
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().expect("a name"), "7".parse().expect("a value"))])
}

fn tape(pieces: &[&str], limit: u64) -> Tape {
    let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
    Tape::new(Body::wrap(Client { pieces, ..Client::default() }), limit)
}

/// A tape of what is still to be sent.
fn live() -> (Tape, UnboundedSender<io::Result<&'static str>>) {
    let (send, mut receive) = unbounded_channel::<io::Result<&'static str>>();
    let frames = stream::poll_fn(move |cx| receive.poll_recv(cx));
    let frames = futures_util::StreamExt::map(frames, |text| {
        text.map(|text| Frame::data(Bytes::from_static(text.as_bytes())))
    });
    (Tape::new(Body::wrap(StreamBody::new(frames)), 100), send)
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

proptest! {
    #[test]
    fn every_reader_gets_the_whole_body_or_there_is_none(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8),
        (trailed, early, late) in any::<(bool, bool, bool)>(),
        limit in 0u64..120,
        tries in prop::collection::vec(0usize..6, 1..5),
    ) {
        let sent = pieces.concat();
        let trailers = trailed.then(trailers);
        let frames = pieces.len() + usize::from(trailed);
        // What of it the client has sent after so many frames.
        let passed = |frames: usize| {
            let data: usize = pieces.iter().take(frames).map(Vec::len).sum();
            (data + if trailed && frames > pieces.len() { 6 } else { 0 }) as u64
        };
        let early = early && !pieces.is_empty() && !trailed;
        let client = Client {
            pieces: pieces.clone().into(), trailers: trailers.clone(), early, late,
            ..Client::default()
        };
        let tape = Tape::new(Body::wrap(client), limit);
        let mut seen = 0;
        for more in tries {
            if let Some((body, also)) = tape.whole() {
                prop_assert_eq!((&body[..], also), (&sent[..], trailers));
                return Ok(());
            }
            let Some(mut body) = tape.rewind() else {
                prop_assert!(passed(seen) > limit && !tape.is_kept());
                return Ok(());
            };
            prop_assert!(passed(seen) <= limit && tape.is_kept());
            // What was kept comes as one piece.
            let again = usize::from(passed(seen) > 0);
            let got = read(&mut body, again + more);
            seen = (seen + more).min(frames);
            prop_assert!(sent.starts_with(&got.data));
            prop_assert_eq!(got.data.len() as u64, passed(seen).min(sent.len() as u64));
        }
        // The last one may read all of it, however long.
        if let Some(mut body) = tape.rewind() {
            let got = read(&mut body, usize::MAX);
            prop_assert_eq!(got, Read { data: sent.clone(), trailers: trailers.clone(), ended: true });
            let whole = tape.whole().map(|(body, trailers)| (body.to_vec(), trailers));
            let fits = passed(frames) <= limit;
            prop_assert_eq!(whole, fits.then_some((sent, trailers)));
        }
    }
}

#[test]
fn what_is_kept_is_no_more_than_the_limit() {
    let tape = tape(&["12345", "67890", "x"], 10);
    let mut body = tape.rewind().expect("nothing has passed");
    assert_eq!(read(&mut body, 2).data, b"1234567890");
    assert!(tape.is_kept());
    assert_eq!(
        read(&mut body, usize::MAX),
        Read { data: b"x".into(), ended: true, trailers: None }
    );
    assert!(!tape.is_kept() && tape.rewind().is_none() && tape.whole().is_none());
}

#[test]
fn whoever_had_it_before_gets_no_more_of_it_and_does_not_wait_for_ever() {
    let (tape, client) = live();
    let mut first = tape.rewind().expect("nothing has passed");
    client.send(Ok("one")).expect("read");
    assert_eq!(read(&mut first, 1).data, b"one");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut first).poll_frame(&mut cx).is_pending());
    let mut second = tape.rewind().expect("it was kept");
    assert!(woken.0.load(Ordering::SeqCst));
    client.send(Ok("two")).expect("read");
    let Poll::Ready(Some(Err(error))) = Pin::new(&mut first).poll_frame(&mut cx) else {
        panic!("it gets more");
    };
    let error = error.downcast_ref::<h2::Error>().expect("an error of a stream");
    assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
    assert_eq!(read(&mut second, 2).data, b"onetwo");
}

#[test]
fn nothing_is_kept_once_no_try_can_come() {
    let tape = tape(&["one", "two"], 100);
    let mut body = tape.rewind().expect("nothing has passed");
    assert_eq!(read(&mut body, 1).data, b"one");
    let recording = Arc::downgrade(&tape.0);
    drop(tape);
    {
        let recording = recording.upgrade().expect("it is being read");
        assert!(matches!(recording.lock().copy, Kept::Gone));
    }
    assert_eq!(read(&mut body, usize::MAX).data, b"two");
    drop(body);
    assert!(recording.upgrade().is_none());
}

#[test]
fn a_client_is_let_go_of_with_its_body() {
    let (tape, client) = live();
    drop(tape.rewind());
    assert!(!client.is_closed());
    drop(tape);
    assert!(client.is_closed());
}

#[test]
fn a_body_that_breaks_is_not_kept() {
    let (tape, client) = live();
    let mut body = tape.rewind().expect("nothing has passed");
    client.send(Ok("one")).expect("read");
    assert_eq!(read(&mut body, 1).data, b"one");
    client.send(Err(io::Error::other("gone"))).expect("read");
    let mut cx = Context::from_waker(Waker::noop());
    let end = Pin::new(&mut body).poll_frame(&mut cx);
    assert!(matches!(end, Poll::Ready(Some(Err(_)))));
    assert!(!tape.is_kept() && tape.rewind().is_none());
}
