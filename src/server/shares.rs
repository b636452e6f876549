//! Who holds how much of what all clients of a listener share: places for connections, turns at a
//! TLS handshake. Taken when a connection is accepted, before a byte of it is read.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ahash::AHashMap;
use parking_lot::Mutex;

/// What is taken of one thing, in all and by each client.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    taken: AtomicUsize,
    /// Only clients that hold something.
    clients: Mutex<AHashMap<IpAddr, usize>>,
}

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// In all.
    pub(crate) all: usize,
    /// For one client.
    pub(crate) each: usize,
}

/// Who has taken everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All clients together.
    All,
    /// This client alone.
    Client,
}

/// One of them, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arc<Shares>,
    client: Option<IpAddr>,
}

/// Everybody who may well be one client: an IPv4 address, or the /64 an IPv6 client has to itself.
pub(crate) fn client(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (!0 << 64)).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

// === impl Shares ===

impl Shares {
    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes one for `client`; `None` counts in all only.
    pub(crate) fn take(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        limit: Limit,
    ) -> Result<Share, Full> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= limit.all {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::All);
        }
        if let Some(client) = client {
            let mut clients = self.clients.lock();
            let its = clients.entry(client).or_default();
            if *its >= limit.each {
                self.taken.fetch_sub(1, Ordering::Relaxed);
                return Err(Full::Client);
            }
            *its += 1;
        }
        Ok(Share { of: Arc::clone(self), client })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.taken.fetch_sub(1, Ordering::Relaxed);
        let Some(client) = self.client else { return };
        let mut clients = self.of.clients.lock();
        if let Some(its) = clients.get_mut(&client) {
            *its -= 1;
            if *its == 0 {
                clients.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn nobody_takes_more_than_a_share_and_all_of_it_comes_back() {
        let shares = Arc::new(Shares::default());
        let limit = Limit { all: 3, each: 2 };
        let take = |text: &str| shares.take(Some(ip(text)), limit);
        let (first, second) = (take("192.0.2.1").unwrap(), take("192.0.2.1").unwrap());
        assert_eq!(take("192.0.2.1").unwrap_err(), Full::Client);
        let other = take("192.0.2.2").unwrap();
        assert_eq!(take("192.0.2.3").unwrap_err(), Full::All);
        assert_eq!(shares.take(None, limit).unwrap_err(), Full::All);
        drop((first, second));
        assert_eq!(shares.clients.lock().len(), 1, "who holds nothing is forgotten");
        let exempt: Vec<_> = (0..2).map(|_| shares.take(None, limit).unwrap()).collect();
        drop((other, exempt));
        assert!(shares.clients.lock().is_empty());
        assert_eq!(shares.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_ipv6_client_is_its_64_and_a_mapped_address_is_ipv4() {
        assert_eq!(client(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_ne!(client(ip("2001:db8:1:3::1")), client(ip("2001:db8:1:2::1")));
        assert_eq!(client(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }
}
