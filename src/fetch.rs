//! One question to somebody else's server and its whole answer: the keys of an issuer, the tokens of a
//! login. For what is asked now and then, from control and over a connection of its own; what is asked
//! for every request goes through `upstream/forward`, which keeps connections.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    config::{
        diagnostic::Diagnostic,
        model::{Protocol, UpstreamTls},
    },
    upstream::tls,
};

/// `User-Agent` of all questions.
const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// Asks servers of one kind: the same trust, the same limits.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    tls: Arc<ClientConfig>,
    settings: UpstreamTls,
    /// From the look-up of the name to the last byte.
    pub(crate) time: Duration,
    /// Bytes of an answer's body.
    pub(crate) most: usize,
}

/// Why there is no answer. It says nothing of what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed(String);

// === impl Fetch ===

impl Fetch {
    /// Asks with this trust, and takes answers within these limits.
    ///
    /// # Errors
    /// What is wrong with the files named.
    pub(crate) fn new(
        settings: &UpstreamTls,
        time: Duration,
        most: usize,
    ) -> Result<Self, Vec<Diagnostic>> {
        let tls = tls::client_config(settings, Protocol::H1)?;
        Ok(Self { tls, settings: settings.clone(), time, most })
    }

    /// Sends a request to an absolute URI. Redirects are answers like any other.
    ///
    /// # Errors
    /// There was no whole answer in time, or it was too large.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failed> {
        match timeout(self.time, self.ask(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failed::new("no answer in time")),
        }
    }

    async fn ask(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Failed> {
        let to = Target::of(request.uri())?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, to.authority);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        *request.uri_mut() = to.path;
        let stream = TcpStream::connect((to.host.as_str(), to.port))
            .await
            .map_err(|error| Failed::new(error.to_string()))?;
        if !to.secure {
            return self.exchange(stream, request).await;
        }
        let name: ServerName<'static> = tls::server_name(&to.host, &self.settings)
            .map_err(|_| Failed::new("this is no name a certificate can be checked against"))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|error| Failed::new(format!("TLS: {error}")))?;
        self.exchange(stream, request).await
    }

    async fn exchange<S>(
        &self,
        stream: S,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Failed>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let failed = |error: hyper::Error| Failed::new(error.to_string());
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let whole = async {
            let answer = sender.send_request(request.map(Full::new)).await.map_err(failed)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, self.most).collect().await;
            let body = body.map_err(|error| Failed::new(error.to_string()))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        // In this task, so that the connection ends with whoever asks.
        let mut whole = std::pin::pin!(whole);
        tokio::select! {
            biased;
            answer = &mut whole => answer,
            ended = connection => match ended {
                Ok(()) => whole.await,
                Err(error) => Err(failed(error)),
            },
        }
    }
}

/// Where a URI points.
struct Target {
    host: String,
    port: u16,
    secure: bool,
    authority: HeaderValue,
    path: Uri,
}

// === impl Target ===

impl Target {
    fn of(uri: &Uri) -> Result<Self, Failed> {
        let wrong = || Failed::new("this is no http or https URL");
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let path = uri.path_and_query().map_or("/", |it| it.as_str());
        Ok(Self {
            // An IPv6 address has brackets in a URL and none elsewhere.
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            secure,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            path: path.parse().map_err(|_| wrong())?,
        })
    }
}

// === impl Failed ===

impl Failed {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A server that answers the first question so, and what it was asked.
    async fn server(answer: &'static str) -> (Uri, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}/keys?a=1", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            String::from_utf8(head).unwrap()
        });
        (at.parse().unwrap(), asked)
    }

    fn fetch() -> Fetch {
        Fetch::new(&UpstreamTls::default(), Duration::from_millis(300), 10).unwrap()
    }

    async fn get(uri: Uri) -> Result<Response<Bytes>, Failed> {
        fetch().send(Request::get(uri).body(Bytes::new()).unwrap()).await
    }

    #[tokio::test]
    async fn the_whole_answer_comes_back() {
        let (uri, asked) = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        let answer = get(uri.clone()).await.unwrap();
        assert_eq!((answer.status().as_u16(), &**answer.body()), (200, &b"hello"[..]));
        let head = asked.await.unwrap().to_ascii_lowercase();
        assert!(head.starts_with("get /keys?a=1 http/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("host: {}\r\n", uri.authority().unwrap())), "{head}");
    }

    #[tokio::test]
    async fn what_is_late_cut_or_too_large_is_no_answer() {
        for (answer, why) in [
            ("", "no answer in time"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world", "length limit exceeded"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "error reading a body"),
            ("SSH-2.0-OpenSSH\r\n\r\n", "invalid HTTP version"),
        ] {
            let failed = get(server(answer).await.0).await.unwrap_err().to_string();
            assert!(failed.contains(why), "{answer:?}: {failed}");
        }
        let failed = get("/keys".parse().unwrap()).await.unwrap_err();
        assert_eq!(failed.to_string(), "this is no http or https URL");
    }
}
