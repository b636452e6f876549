//! The end of a connection whose client may still be sending: closed at once, the answer it has not
//! read yet would be destroyed by a reset (RFC 9112 section 9.6). What it sends is thrown away for a
//! while, which has limits in bytes and time.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// How much longer a client is listened to.
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// Bytes.
    left: usize,
    /// When its pause, and when its time is over; boxed, as hardly any connection ends so.
    times: Option<Box<(Pin<Box<Sleep>>, Instant)>>,
}

/// Most bytes thrown away.
const BYTES: usize = 256 * 1024;
/// Longest pause between them.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest time.
const TIME: Duration = Duration::from_secs(5);

// === impl Linger ===

impl Linger {
    /// From now on, closing means waiting for the client.
    pub(super) fn begin(&mut self) {
        self.left = BYTES;
    }

    /// Ready when the client has ended, or had its chance.
    pub(super) fn poll<S>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
    {
        let mut space = [0; 4096];
        while self.left > 0 {
            let now = Instant::now();
            let (pause, end) = &mut **self
                .times
                .get_or_insert_with(|| Box::new((Box::pin(sleep_until(now + PAUSE)), now + TIME)));
            let mut buf = ReadBuf::new(&mut space);
            if Pin::new(&mut *io).poll_read(cx, &mut buf)?.is_pending() {
                return pause.as_mut().poll(cx).map(Ok);
            }
            pause.as_mut().reset((*end).min(now + PAUSE));
            let count = buf.filled().len();
            self.left = if count == 0 { 0 } else { self.left.saturating_sub(count) };
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    /// How long a client is waited for that sends `piece` so often.
    async fn waits(piece: &[u8], every: Duration) -> Duration {
        let (mut ours, mut client) = duplex(64 * 1024);
        let mut linger = Linger::default();
        linger.begin();
        let start = Instant::now();
        let sends = async {
            loop {
                tokio::time::sleep(every).await;
                client.write_all(piece).await.expect("we read");
            }
        };
        tokio::select! {
            result = poll_fn(|cx| linger.poll(&mut ours, cx)) => result.expect("no error"),
            () = sends => {}
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_its_pause_its_time_and_its_bytes() {
        let ms = Duration::from_millis;
        let near = |took: Duration, want: Duration| {
            assert!(took >= want && took < want + ms(50), "{took:?}, not {want:?}");
        };
        near(waits(b"", Duration::from_secs(60)).await, PAUSE);
        near(waits(b"x", Duration::from_secs(1)).await, PAUSE);
        near(waits(b"x", ms(400)).await, TIME);
        near(waits(&[b'x'; 32 * 1024], ms(100)).await, ms(800));
    }

    #[tokio::test]
    async fn nobody_is_waited_for_unless_asked_to_and_the_end_is_noticed() {
        let (mut ours, client) = duplex(64);
        let mut linger = Linger::default();
        poll_fn(|cx| linger.poll(&mut ours, cx)).await.expect("at once");
        linger.begin();
        drop(client);
        poll_fn(|cx| linger.poll(&mut ours, cx)).await.expect("at the end");
    }
}
