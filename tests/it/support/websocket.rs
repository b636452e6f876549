//! A WebSocket server that echoes, and a client.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async, tungstenite::Message};

use super::wait::{block_on, spawn};

/// An echoing server.
pub(crate) struct EchoServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// One client connection.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

// === impl EchoServer ===

impl EchoServer {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let task = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        Self { address, task }
    }

    /// As an upstream URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers every text with itself, and ends when the other side does.
async fn echo(stream: TcpStream) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

// === impl Socket ===

impl Socket {
    /// Connects and upgrades; the status when the upgrade is refused.
    pub(crate) fn connect(address: SocketAddr, host: &str, path: &str) -> Result<Self, u16> {
        block_on(async {
            let stream = TcpStream::connect(address).await.expect("the listener accepts");
            match client_async(format!("ws://{host}{path}"), stream).await {
                Ok((socket, _)) => Ok(Self(socket)),
                Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                    Err(response.status().as_u16())
                }
                Err(error) => panic!("the upgrade failed: {error}"),
            }
        })
    }

    /// Sends a text and returns the answer; `None` when the connection is gone.
    pub(crate) fn ask(&mut self, text: &str) -> Option<String> {
        block_on(async {
            self.0.send(Message::text(text)).await.ok()?;
            match self.0.next().await? {
                Ok(Message::Text(answer)) => Some(answer.to_string()),
                _ => None,
            }
        })
    }

    /// Says goodbye and waits until the other side has said it too.
    pub(crate) fn close(mut self) {
        block_on(async {
            let _ = self.0.close(None).await;
            while let Some(Ok(_)) = self.0.next().await {}
        });
    }
}
