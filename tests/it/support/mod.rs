//! Builders for the parts of a test: the gateway itself and the real programs around it. All of them
//! listen on a free port, wait with a deadline, take their processes and threads down when dropped,
//! and raise a panic of theirs in the test that owns them.

pub(crate) mod certs;
pub(crate) mod chromium;
pub(crate) mod crowd;
pub(crate) mod dnsmasq;
pub(crate) mod etcd;
pub(crate) mod ext_authz;
pub(crate) mod flask;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod grpc;
pub(crate) mod h2client;
pub(crate) mod h2upstream;
pub(crate) mod http;
pub(crate) mod issuer;
pub(crate) mod nginx;
pub(crate) mod offered;
pub(crate) mod oidc;
pub(crate) mod prelude;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod recorder;
pub(crate) mod redis;
pub(crate) mod rls;
pub(crate) mod signed;
pub(crate) mod strict;
pub(crate) mod tls;
pub(crate) mod tools;
pub(crate) mod wait;
pub(crate) mod websocket;
pub(crate) mod wire;
