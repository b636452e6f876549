//! HTTP/1.1 for clients, for the requests nearly all of them send: whole heads without a body. Each is read
//! from the bytes the wire has, answered by the gateway, and its answer written to the wire, in one
//! state machine without a buffer that is not needed.
//!
//! What it leaves to hyper: requests with a body, upgrades and HTTP/1.0. `connection` hands the wire over
//! and takes it back.

pub(crate) mod request;
mod response;
#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite};

use self::{request::Asked, response::Framing};
use super::{
    client::{Connection, Order},
    listener::Listener,
    wire::{Ahead, Wire},
};
use crate::{body::Body, gateway::Gateway, http1::Outbox, layers::shared::BoxFuture};

/// A connection between its first request and the one it cannot answer.
pub(super) struct Http1 {
    gateway: Arc<Gateway>,
    listener: Arc<Listener>,
    connection: Arc<Connection>,
    state: State,
    outbox: Outbox,
}

enum State {
    /// Waits for a head.
    Idle,
    /// Waits for the answer.
    Asking(BoxFuture<Infallible>, Asked),
    /// Writes it.
    Answering { body: Body, framing: Framing, close: bool },
    /// Says goodbye.
    Closing,
    /// The answer broke off: what there is of it still goes out, and nothing after it.
    Cut,
}

/// What comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Closed,
    /// Something that is not for us is next on the wire.
    Hyper,
}

// === impl Http1 ===

impl Http1 {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        listener: Arc<Listener>,
        connection: Arc<Connection>,
    ) -> Self {
        Self { gateway, listener, connection, state: State::Idle, outbox: Outbox::default() }
    }

    /// Serves until there is nothing more to do here.
    pub(super) fn poll<S>(
        &mut self,
        wire: &mut Wire<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Next>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.connection.state.waker.register(cx.waker());
        if self.connection.state.has_orders() && self.obey() {
            return Poll::Ready(Ok(Next::Closed));
        }
        loop {
            match &mut self.state {
                State::Idle => {
                    if let Some(next) = ready!(self.poll_idle(wire, cx))? {
                        return Poll::Ready(Ok(next));
                    }
                }
                State::Asking(answer, asked) => {
                    let asked = *asked;
                    match answer.as_mut().poll(cx) {
                        Poll::Ready(Ok(response)) => self.answer(response, asked),
                        Poll::Pending => return self.poll_meanwhile(wire, cx),
                    }
                }
                State::Answering { .. } => {
                    if ready!(self.poll_answering(wire, cx))? {
                        return Poll::Ready(Ok(Next::Closed));
                    }
                }
                State::Closing => {
                    ready!(self.poll_flush(wire, cx))?;
                    ready!(Pin::new(&mut *wire).poll_shutdown(cx))?;
                    return Poll::Ready(Ok(Next::Closed));
                }
                State::Cut => {
                    ready!(self.poll_flush(wire, cx))?;
                    return Poll::Ready(Ok(Next::Closed));
                }
            }
        }
    }

    /// Whether the connection is to end at once.
    fn obey(&mut self) -> bool {
        let state = &self.connection.state;
        if state.ordered(Order::Park) {
            state.done(Order::Park);
            if matches!(self.state, State::Idle) && self.outbox.is_empty() {
                self.outbox = Outbox::default();
                *self.connection.lines.lock() = None;
                state.parked.store(true, Ordering::Relaxed);
            }
        }
        state.ordered(Order::Kill)
    }

    fn drains(&self) -> bool {
        self.connection.state.ordered(Order::Drain)
    }

    fn poll_idle<S>(
        &mut self,
        wire: &mut Wire<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Next>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.outbox.has_room() {
            // Answers to requests that came together are written together, up to here.
            ready!(self.poll_flush(wire, cx))?;
        }
        let mut asked = Asked::default();
        let request = match wire.poll_head(cx, &mut asked)? {
            Poll::Ready(Ahead::Request(request)) => request,
            Poll::Ready(Ahead::Refused) => request::refused(&mut asked),
            Poll::Ready(Ahead::Other) => {
                ready!(self.poll_flush(wire, cx))?;
                return Poll::Ready(Ok(Some(Next::Hyper)));
            }
            Poll::Ready(Ahead::End) => {
                self.state = State::Closing;
                return Poll::Ready(Ok(None));
            }
            Poll::Pending => {
                ready!(self.poll_flush(wire, cx))?;
                let quiet = wire.pending().is_empty();
                if quiet && self.drains() && !self.connection.state.is_fresh() {
                    self.state = State::Closing;
                    return Poll::Ready(Ok(None));
                }
                return Poll::Pending;
            }
        };
        self.connection.state.parked.store(false, Ordering::Relaxed);
        let answer = self.gateway.handle_late(&self.connection, &self.listener, request);
        self.state = State::Asking(answer, asked);
        Poll::Ready(Ok(None))
    }

    /// While the answer is made: earlier ones go out, interim ones too, and a client that leaves is noticed.
    fn poll_meanwhile<S>(
        &mut self,
        wire: &mut Wire<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Next>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Poll::Ready(Err(error)) = self.poll_flush(wire, cx) {
            return Poll::Ready(Err(error));
        }
        wire.poll_gone(cx).map_ok(|()| Next::Closed)
    }

    fn answer(&mut self, response: http::Response<Body>, mut asked: Asked) {
        let (head, body) = response.into_parts();
        asked.close |= self.drains();
        let framing = response::begin(&mut self.outbox, &head, &body, &mut asked);
        self.state = State::Answering { body, framing, close: asked.close };
    }

    /// `true` when the client is gone.
    fn poll_answering<S>(
        &mut self,
        wire: &mut Wire<S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let State::Answering { body, framing, close } = &mut self.state else {
                return Poll::Ready(Ok(false));
            };
            if !self.outbox.has_room() {
                ready!(self.outbox.poll_write(wire, cx))?;
                continue;
            }
            let frame =
                if framing.is_end() { Poll::Ready(None) } else { Pin::new(body).poll_frame(cx) };
            let ended = match frame {
                Poll::Pending => {
                    return match self.poll_meanwhile(wire, cx) {
                        Poll::Ready(gone) => Poll::Ready(gone.map(|_| true)),
                        Poll::Pending => Poll::Pending,
                    };
                }
                Poll::Ready(Some(Ok(frame))) => framing.add(frame, &mut self.outbox),
                Poll::Ready(Some(Err(_))) => Err(response::Cut),
                Poll::Ready(None) => framing.end(&mut self.outbox).map(|()| true),
            };
            self.state = match ended {
                Ok(false) => continue,
                Ok(true) if *close => State::Closing,
                Ok(true) => State::Idle,
                Err(response::Cut) => State::Cut,
            };
            return Poll::Ready(Ok(false));
        }
    }

    fn poll_flush<S>(&mut self, wire: &mut Wire<S>, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while !self.outbox.is_empty() {
            ready!(self.outbox.poll_write(wire, cx))?;
        }
        Pin::new(wire).poll_flush(cx)
    }
}
