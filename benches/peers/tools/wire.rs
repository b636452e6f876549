//! One HTTP/1.1 request and its answer over a plain or a TLS socket, with as little work as can be: the
//! client shares its core with the backend.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::FutureExt;
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, NamedGroup, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs::default_provider},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::Failure;

pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// An answer that came whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The server keeps the connection.
    pub(crate) kept: bool,
}

/// Whoever serves is believed: checking signatures would be the client's cost, not the proxy's.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

/// TLS 1.3 only, never a session twice. X25519 alone, so that all proxies do the same work, or with
/// `hybrid` what rustls prefers, which is X25519MLKEM768.
pub(crate) fn tls(hybrid: bool, protocols: &[&str]) -> Result<TlsConnector, Failure> {
    let mut provider = default_provider();
    provider.kx_groups.retain(|group| hybrid || group.name() == NamedGroup::X25519);
    let provider = Arc::new(provider);
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Socket {
    pub(crate) async fn connect(
        to: SocketAddr,
        from: Option<SocketAddr>,
        tls: Option<&TlsConnector>,
    ) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = from {
            socket.bind(from)?;
        }
        let socket = socket.connect(to).await?;
        socket.set_nodelay(true)?;
        let Some(tls) = tls else { return Ok(Self::Plain(socket)) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(tls.connect(name, socket).await?)))
    }

    /// Whether the handshake resumed a session, and the group of its key exchange.
    pub(crate) fn handshake(&self) -> Option<(bool, Option<NamedGroup>)> {
        let Self::Tls(stream) = self else { return None };
        let session = stream.get_ref().1;
        let group = session.negotiated_key_exchange_group().map(|group| group.name());
        Some((session.handshake_kind() == Some(HandshakeKind::Resumed), group))
    }

    /// A kept connection the server has not closed, nor said anything on.
    pub(crate) fn is_open(&mut self) -> bool {
        self.read_u8().now_or_never().is_none()
    }

    /// Itself, unless the server has closed it.
    pub(crate) fn still_open(mut self) -> Option<Self> {
        self.is_open().then_some(self)
    }

    /// Sends a request and reads its answer to the end. An error is a request that failed.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        buffer: &mut Vec<u8>,
    ) -> io::Result<Answer> {
        self.write_all(request).await?;
        self.flush().await?;
        buffer.clear();
        loop {
            if self.read_buf(buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some(answer) = whole(buffer)? {
                return Ok(answer);
            }
        }
    }
}

/// The answer in `bytes`, if all of it is there.
fn whole(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let field = |name: &str| {
        let mut all = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        all.next().map_or("", |field| str::from_utf8(field.value).unwrap_or(""))
    };
    let body = &bytes[length..];
    let ended = if field("transfer-encoding").is_empty() {
        let length: usize = field("content-length").parse().map_err(io::Error::other)?;
        body.len() >= length
    } else {
        body.ends_with(b"0\r\n\r\n")
    };
    let kept = !field("connection").eq_ignore_ascii_case("close");
    let status = head.code.unwrap_or(0);
    Ok(ended.then_some(Answer { status, kept }))
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
