//! A connection to one member of etcd, and what is asked over it. gRPC and HTTP/2 are tonic's; the
//! socket and its TLS are ours.

use std::{error::Error as StdError, io, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use http::{Uri, uri::PathAndQuery};
use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::oneshot,
};
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Request, Status, Streaming,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    transport::{self, Channel},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::{
    keys::one_line,
    messages::{
        AuthenticateRequest, AuthenticateResponse, RangeRequest, RangeResponse, WatchCreateRequest,
        WatchRequest, WatchResponse,
    },
};
use crate::{
    config::{
        diagnostic::Diagnostic,
        model::{Endpoint, Name, Target, UpstreamTls},
    },
    upstream::tls,
};

/// No answer may be longer, in bytes.
pub(super) const MAX_ANSWER: usize = 16 << 20;

/// A quiet member is asked so often whether it is there. etcd throws out who asks more often than
/// every five seconds.
const KEEPALIVE: Duration = Duration::from_secs(7);

/// It has so long to say yes.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(5);

/// One member, and how it is reached.
pub(super) struct Member {
    /// In messages.
    pub(super) name: Name,
    endpoint: transport::Endpoint,
    way: Arc<Way>,
}

/// What to dial.
struct Way {
    target: Target,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// An open connection to a member.
pub(super) struct Client {
    grpc: Grpc<Channel>,
    token: Option<MetadataValue<Ascii>>,
}

/// The stream of a watch.
pub(super) struct Changes {
    theirs: Streaming<WatchResponse>,
    _ours: oneshot::Sender<()>,
    _client: Client,
}

/// What is spoken over.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A text and the causes of what it is about, on one line.
fn because(mut text: String, mut cause: Option<&(dyn StdError + 'static)>) -> String {
    while let Some(error) = cause {
        let why = error.to_string();
        // Some print their cause as well.
        if !text.contains(&why) {
            text = format!("{text}: {why}");
        }
        cause = error.source();
    }
    one_line(&text)
}

/// An error with its causes.
fn told(error: &dyn StdError) -> String {
    because(error.to_string(), error.source())
}

/// What a member said instead of an answer, or what happened to the connection.
fn status(status: &Status) -> String {
    let text = match (status.message(), status.code()) {
        ("", code) => code.description().to_owned(),
        (message, Code::Unauthenticated) => format!("not authenticated: {message}"),
        (message, _) => message.to_owned(),
    };
    because(text, status.source())
}

// === impl Member ===

impl Member {
    /// How this endpoint is reached. `config` is for those with `https`.
    pub(super) fn new(
        endpoint: &Endpoint,
        settings: &UpstreamTls,
        config: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Diagnostic> {
        let place = endpoint.url.place;
        let (host, authority) = match &endpoint.target {
            Target::Tcp { host, port } if host.contains(':') => {
                (host.as_str(), format!("[{host}]:{port}"))
            }
            Target::Tcp { host, port } => (host.as_str(), format!("{host}:{port}")),
            Target::Unix(_) => ("localhost", "localhost".to_owned()),
        };
        let tls = match config.filter(|_| endpoint.tls) {
            None => None,
            Some(config) => {
                let name = tls::server_name(host, settings).map_err(|_| {
                    let message = "this is no name a certificate can be checked against";
                    Diagnostic::error(place, message).help("write `tls.server_name`")
                })?;
                Some((Arc::clone(config), name))
            }
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = format!("{scheme}://{authority}").parse::<Uri>().map_err(|_| {
            Diagnostic::error(place, format!("`{authority}` cannot be the authority of a URL"))
        })?;
        let endpoint_of = transport::Endpoint::from(origin)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_ANSWER);
        let name = Arc::clone(&endpoint.url.value);
        let way = Arc::new(Way { target: endpoint.target.clone(), tls });
        Ok(Self { name, endpoint: endpoint_of, way })
    }

    /// Opens a connection. Whoever calls bounds the time.
    pub(super) async fn connect(&self) -> Result<Client, String> {
        let way = Arc::clone(&self.way);
        let dial = service_fn(move |_: Uri| {
            let way = Arc::clone(&way);
            async move { way.dial().await.map(TokioIo::new) }
        });
        let channel = self.endpoint.connect_with_connector(dial).await;
        let channel = channel.map_err(|error| told(&error))?;
        Ok(Client { grpc: Grpc::new(channel).max_decoding_message_size(MAX_ANSWER), token: None })
    }
}

// === impl Way ===

impl Way {
    async fn dial(&self) -> io::Result<Box<dyn Socket>> {
        let socket: Box<dyn Socket> = match &self.target {
            Target::Tcp { host, port } => {
                let socket = TcpStream::connect((host.as_str(), *port)).await?;
                socket.set_nodelay(true)?;
                Box::new(socket)
            }
            Target::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        let Some((config, name)) = &self.tls else { return Ok(socket) };
        let connector = TlsConnector::from(Arc::clone(config));
        Ok(Box::new(connector.connect(name.clone(), socket).await?))
    }
}

// === impl Client ===

impl Client {
    /// Says who we are; what is asked later is asked as this user.
    pub(super) async fn authenticate(&mut self, user: &str, password: &str) -> Result<(), String> {
        let ask = AuthenticateRequest { name: user.to_owned(), password: password.to_owned() };
        let answer =
            self.unary::<_, AuthenticateResponse>("/etcdserverpb.Auth/Authenticate", ask).await;
        match answer {
            Ok(answer) => {
                let token = answer.token.parse::<MetadataValue<Ascii>>();
                let mut token = token.map_err(|_| "the token is no text".to_owned())?;
                token.set_sensitive(true);
                self.token = Some(token);
                Ok(())
            }
            // So do etcd's own clients: a user may be in the file before etcd asks for one.
            Err(failed) if failed.message().contains("authentication is not enabled") => Ok(()),
            Err(failed) => Err(status(&failed)),
        }
    }

    /// All keys of a range. It goes through the leader, so a member that lost the others, or is
    /// behind them, gives no old answer.
    pub(super) async fn range(&mut self, ask: RangeRequest) -> Result<RangeResponse, String> {
        self.unary("/etcdserverpb.KV/Range", ask).await.map_err(|failed| status(&failed))
    }

    /// The changes of a range, for as long as what is given back lives.
    pub(super) async fn watch(mut self, ask: WatchCreateRequest) -> Result<Changes, String> {
        let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
        let asked = WatchRequest { create: Some(ask) };
        // Our half stays open, since a member may take its end for the end of the watch. It must end
        // with the other one: whoever sends it would keep the connection open for ever.
        let (ours, dropped) = oneshot::channel();
        let asked = stream::iter([asked]).chain(stream::pending()).take_until(dropped);
        let request = self.request(asked);
        self.ready().await.map_err(|failed| status(&failed))?;
        let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
        let answer = self.grpc.streaming(request, path, codec).await;
        let theirs = answer.map_err(|failed| status(&failed))?.into_inner();
        Ok(Changes { theirs, _ours: ours, _client: self })
    }

    async fn unary<Q, A>(&mut self, path: &'static str, ask: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let request = self.request(ask);
        self.ready().await?;
        let codec = ProstCodec::<Q, A>::default();
        let answer = self.grpc.unary(request, PathAndQuery::from_static(path), codec).await?;
        Ok(answer.into_inner())
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(told(&error)))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        // A member without a leader hears of no change: it shall say so, and end the watch.
        metadata.insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = &self.token {
            metadata.insert("token", token.clone());
        }
        request
    }
}

// === impl Changes ===

impl Changes {
    /// The next thing the member says. May be given up; nothing is lost.
    pub(super) async fn next(&mut self) -> Result<WatchResponse, String> {
        match self.theirs.message().await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err("the watch was ended".to_owned()),
            Err(failed) => Err(status(&failed)),
        }
    }
}
