//! An HTTP/2 client on bare h2: extended CONNECT, trailers, interim responses, cancelled streams.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{SendRequest, handshake};
use http::{HeaderMap, Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// One connection.
pub(crate) struct H2 {
    /// The sending half; ready again after every request.
    pub(crate) send: SendRequest<Bytes>,
}

/// A response read to its end.
pub(crate) struct Answer {
    /// Head.
    pub(crate) head: Response<()>,
    /// Body.
    pub(crate) body: Vec<u8>,
    /// Trailers.
    pub(crate) trailers: Option<HeaderMap>,
}

// === impl H2 ===

impl H2 {
    /// Plain text by prior knowledge.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("the listener accepts")).await
    }

    /// Over any stream.
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (send, connection) = handshake(stream).await.expect("the other side speaks HTTP/2");
        tokio::spawn(connection);
        Self { send: send.ready().await.expect("the connection is open") }
    }

    /// Sends a request with a body and trailers, and reads the answer to its end.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<()>,
        body: &[u8],
        trailers: Option<HeaderMap>,
    ) -> Result<Answer, h2::Error> {
        let bare = body.is_empty() && trailers.is_none();
        let mut send = self.send.clone().ready().await?;
        let (response, mut stream) = send.send_request(request, bare)?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body), trailers.is_none())?;
        }
        if let Some(trailers) = trailers {
            stream.send_trailers(trailers)?;
        }
        let (parts, mut stream) = response.await?.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = stream.data().await {
            let piece = piece?;
            body.extend_from_slice(&piece);
            stream.flow_control().release_capacity(piece.len())?;
        }
        let trailers = stream.trailers().await?;
        Ok(Answer { head: Response::from_parts(parts, ()), body, trailers })
    }
}
