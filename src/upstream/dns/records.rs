//! The records of a name as they are, for discovery: all of them or a failure, never a part. The
//! resolver of hickory is for addresses: it passes over a record type that failed, and takes the
//! target of an SRV record behind an alias for one alias more. So the servers are asked here
//! without it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    NameServerPool, PoolContext, TlsConfig,
    config::{ResolverConfig, ResolverOpts},
    net::{
        DnsError, NetError,
        runtime::TokioRuntimeProvider,
        xfer::{DnsHandle, FirstAnswer, RetryDnsHandle},
    },
    proto::{
        op::{DnsRequestOptions, Query},
        rr::{Name, RData, Record, RecordType},
    },
};

use super::{Resolver, known, lookup::LIMIT};

/// Aliases followed before a name is taken for a loop.
const MAX_ALIASES: usize = 8;

/// How long what nobody needs to be asked for is good: until it is looked at again.
const KNOWN_TTL: Duration = Duration::from_secs(5 * 60);

/// What a name has now, and for how long that is good.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) records: Vec<T>,
    pub(crate) ttl: Duration,
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    /// In lower case, without the dot at its end: nothing is the root, which means that there is no
    /// such service.
    pub(crate) target: String,
}

/// Name servers, and the names a name may stand for.
#[derive(Clone)]
pub(super) struct Servers {
    pool: RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>,
    options: DnsRequestOptions,
    /// Dots that make a name a whole one.
    dots: usize,
    search: Vec<Name>,
}

/// Why a name has no such records.
enum Nothing {
    NoSuchName,
    NoSuchRecord,
}

// === impl Resolver ===

impl Resolver {
    /// One that asks this server and nothing else.
    pub(crate) fn only(&self, server: SocketAddr) -> std::io::Result<Self> {
        Self::with_nameserver(self.inner.handle.clone(), server)
    }

    /// The addresses a name has at this moment, `/etc/hosts` included: both kinds of those asked
    /// for, or the reason why not.
    pub(crate) async fn addresses(
        &self,
        name: &str,
        v4: bool,
        v6: bool,
    ) -> Result<Found<IpAddr>, String> {
        let wanted = |ip: &IpAddr| if ip.is_ipv4() { v4 } else { v6 };
        let hosts = || self.inner.lookup.hosts(name).map(|found| (found.addresses, found.ttl));
        if let Some((mut records, ttl)) =
            known(name).map(|records| (records, KNOWN_TTL)).or_else(hosts)
        {
            records.retain(wanted);
            if !records.is_empty() {
                return Ok(Found { records, ttl });
            }
        }
        let kinds = [(v4, RecordType::A), (v6, RecordType::AAAA)];
        let kinds: Vec<_> = kinds.into_iter().filter(|kind| kind.0).map(|kind| kind.1).collect();
        let found = self.inner.lookup.records(name, &kinds).await?;
        let records = found.records.iter().filter_map(RData::ip_addr).collect();
        Ok(Found { records, ttl: found.ttl })
    }

    /// The SRV records a name has at this moment, or the reason why not.
    pub(crate) async fn services(&self, name: &str) -> Result<Found<Service>, String> {
        let found = self.inner.lookup.records(name, &[RecordType::SRV]).await?;
        let service = |data: &RData| match data {
            RData::SRV(srv) => Some(Service {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_ascii().trim_end_matches('.').to_ascii_lowercase(),
            }),
            _ => None,
        };
        Ok(Found { records: found.records.iter().filter_map(service).collect(), ttl: found.ttl })
    }
}

// === impl Servers ===

impl Servers {
    pub(super) fn new(config: &ResolverConfig, options: &ResolverOpts) -> Result<Self, NetError> {
        let mut asking = DnsRequestOptions::default();
        asking.recursion_desired = options.recursion_desired;
        asking.use_edns = options.edns0;
        asking.edns_payload_len = options.edns_payload_len;
        let context = Arc::new(PoolContext::new(options.clone(), TlsConfig::new()?));
        let servers = config.name_servers().to_vec();
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        Ok(Self {
            pool: RetryDnsHandle::new(pool, options.attempts),
            options: asking,
            dots: options.ndots,
            search: config.domain().into_iter().chain(config.search()).cloned().collect(),
        })
    }

    /// All records of these kinds. The first name that has any is the one meant; one that cannot be
    /// asked for is not passed over, the next may be another service.
    pub(super) async fn records(
        &self,
        name: &str,
        kinds: &[RecordType],
    ) -> Result<Found<RData>, String> {
        let found = tokio::time::timeout(LIMIT, self.search(name, kinds)).await;
        found.unwrap_or_else(|_| Err(why(&NetError::Timeout)))
    }

    async fn search(&self, name: &str, kinds: &[RecordType]) -> Result<Found<RData>, String> {
        let names = self.names(name)?;
        let mut exists = false;
        for name in names {
            let mut found = Found { records: Vec::new(), ttl: Duration::MAX };
            for kind in kinds {
                match self.ask(name.clone(), *kind).await {
                    Ok(Ok(some)) => {
                        found.records.extend(some.records);
                        found.ttl = found.ttl.min(some.ttl);
                    }
                    Ok(Err(nothing)) => exists |= matches!(nothing, Nothing::NoSuchRecord),
                    Err(why) if kinds.len() > 1 => return Err(format!("{kind}: {why}")),
                    Err(why) => return Err(why),
                }
            }
            if !found.records.is_empty() {
                return Ok(found);
            }
        }
        let why = if exists { "the name has no such record" } else { "no such name" };
        Err(why.to_owned())
    }

    /// The whole names a name may stand for, in the order of the C library.
    fn names(&self, name: &str) -> Result<Vec<Name>, String> {
        let name = Name::from_utf8(name).map_err(|error| error.to_string())?;
        if name.is_fqdn() {
            return Ok(vec![name]);
        }
        let mut whole = name.clone();
        whole.set_fqdn(true);
        // What becomes too long with a domain is not that name.
        let longer = |domain: &Name| name.clone().append_domain(domain).ok();
        let mut names: Vec<Name> = Vec::with_capacity(self.search.len() + 1);
        for longer in self.search.iter().filter_map(longer) {
            if !names.contains(&longer) {
                names.push(longer);
            }
        }
        let first = usize::from(name.num_labels()) > self.dots;
        names.insert(if first { 0 } else { names.len() }, whole);
        Ok(names)
    }

    /// The records of one kind, through aliases.
    async fn ask(
        &self,
        mut name: Name,
        kind: RecordType,
    ) -> Result<Result<Found<RData>, Nothing>, String> {
        let mut ttl = u32::MAX;
        let mut aliases = 0;
        loop {
            let query = Query::query(name.clone(), kind);
            let answers = match self.pool.lookup(query, self.options).first_answer().await {
                Ok(answer) => answer.into_message().answers,
                Err(error) if error.is_nx_domain() => return Ok(Err(Nothing::NoSuchName)),
                Err(error) if error.is_no_records_found() => return Ok(Err(Nothing::NoSuchRecord)),
                Err(error) => return Err(why(&error)),
            };
            let before = aliases;
            while let Some((alias, target)) = alias(&answers, &name) {
                aliases += 1;
                if aliases > MAX_ALIASES {
                    return Err(format!("more than {MAX_ALIASES} aliases"));
                }
                ttl = ttl.min(alias.ttl);
                name = target;
            }
            let mut records = Vec::new();
            for record in answers {
                if record.record_type() == kind && record.name == name {
                    ttl = ttl.min(record.ttl);
                    records.push(record.data);
                }
            }
            if !records.is_empty() {
                return Ok(Ok(Found { records, ttl: Duration::from_secs(ttl.into()) }));
            }
            if aliases == before {
                return Ok(Err(Nothing::NoSuchRecord));
            }
        }
    }
}

fn alias<'a>(answers: &'a [Record], name: &Name) -> Option<(&'a Record, Name)> {
    answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *name => Some((record, target.0.clone())),
        _ => None,
    })
}

/// What went wrong with a query, for the log.
fn why(error: &NetError) -> String {
    match error {
        NetError::Timeout => "no answer from the name servers".to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the name server says: {code}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
