//! What the comparison with other proxies needs and no package has: a byte-splice floor, a backend that
//! reads uploads and answers gRPC, clients with a connection or a TLS handshake for each request, and
//! one that holds thousands of idle connections. `benches/peers/run` builds and starts it.

mod certificates;
mod hold;
mod load;
mod serve;
mod token;
mod wire;

use std::{error::Error, net::SocketAddr, path::PathBuf};

use clap::Parser;

/// What any of these may end with: a message is all the caller can use.
type Failure = Box<dyn Error + Send + Sync>;

/// The tools of `benches/peers`.
#[derive(Parser)]
enum Tool {
    /// A P-256 certificate for localhost, signed by a P-256 authority, into a directory.
    Certificates { directory: PathBuf },
    /// An ES256 token and the keys it is verified with, into a directory.
    Token { directory: PathBuf },
    /// The floor: bytes from one TCP connection to another, and nothing else.
    Splice {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        to: SocketAddr,
    },
    /// Counts requests, reads bodies to their end, echoes unary gRPC calls.
    Backend {
        #[arg(long)]
        listen: SocketAddr,
        /// HTTP/2 by prior knowledge instead of HTTP/1.1.
        #[arg(long)]
        h2: bool,
    },
    /// One unary gRPC call over TLS; fails unless message and trailers come back.
    Unary {
        #[arg(long)]
        to: SocketAddr,
    },
    /// Requests as fast as they are answered, or at a fixed rate; prints JSON.
    Load(load::Options),
    /// Opens connections, sends one request on each, and holds them until its standard input ends.
    Hold(hold::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    match Tool::parse() {
        Tool::Certificates { directory } => certificates::write(&directory),
        Tool::Token { directory } => token::write(&directory),
        Tool::Splice { listen, to } => serve::splice(listen, to).await,
        Tool::Backend { listen, h2 } => serve::backend(listen, h2).await,
        Tool::Unary { to } => hold::unary(to).await,
        Tool::Load(options) => load::run(options).await,
        Tool::Hold(options) => hold::run(&options).await,
    }
}
