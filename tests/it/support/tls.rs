//! TLS clients: a blocking one for HTTP/1.1, an asynchronous one for HTTP/2.

use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::pki_types::ServerName;

use super::{certs::Authority, http::Client, wait::DEADLINE};

/// An HTTP/1.1 connection over TLS.
#[track_caller]
pub(crate) fn connect(address: SocketAddr, name: &str, authority: &Authority) -> Client {
    connect_as(address, name, authority.client(&["http/1.1"]))
}

/// The same as whoever this configuration is for.
#[track_caller]
pub(crate) fn connect_as(
    address: SocketAddr,
    name: &str,
    config: Arc<rustls::ClientConfig>,
) -> Client {
    let (tcp, session) = session(address, name, config);
    Client::over_tls(tcp, session)
}

/// The certificate the server shows for a name, in DER.
#[track_caller]
pub(crate) fn certificate(address: SocketAddr, name: &str, authority: &Authority) -> Vec<u8> {
    let (_, session) = session(address, name, authority.client(&["http/1.1"]));
    session.conn.peer_certificates().expect("the handshake is done")[0].to_vec()
}

type Session = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

#[track_caller]
fn session(
    address: SocketAddr,
    name: &str,
    config: Arc<rustls::ClientConfig>,
) -> (TcpStream, Session) {
    let mut tcp = TcpStream::connect_timeout(&address, DEADLINE).expect("the listener accepts");
    tcp.set_read_timeout(Some(DEADLINE)).expect("not zero");
    tcp.set_nodelay(true).expect("a TCP socket");
    let name = ServerName::try_from(name.to_owned()).expect("a valid name");
    let mut tls =
        rustls::ClientConnection::new(config, name).expect("the configuration is complete");
    tls.complete_io(&mut tcp).expect("the handshake succeeds");
    let copy = tcp.try_clone().expect("a descriptor is free");
    (copy, rustls::StreamOwned::new(tls, tcp))
}

/// An asynchronous connection, with the protocols offered.
pub(crate) async fn connect_async(
    address: SocketAddr,
    name: &str,
    config: Arc<rustls::ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let tcp = tokio::net::TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a valid name");
    tokio_rustls::TlsConnector::from(config).connect(name, tcp).await
}
