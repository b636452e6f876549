//! `discover`: where the endpoints of an upstream are found.

use std::net::{IpAddr, SocketAddr};

use super::{
    super::{
        fields::DISCOVER,
        model::{Discover, DiscoverDns, DiscoverEtcd, Records, Scheme, UpstreamTls},
    },
    endpoints::endpoint,
    reader::{Fields, Owner},
    slot::Slot,
    upstreams::tls_settings,
};

/// The largest name DNS can ask for (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

/// The one source.
pub(super) fn source(slot: &Slot<'_>) -> Option<Discover> {
    let f = slot.r.fields(slot.node, &DISCOVER, Owner::of(DISCOVER.name, slot.owner))?;
    let built = ["dns", "file", "etcd"].into_iter().filter(|key| f.entry(key).is_some());
    match (built.collect::<Vec<_>>().as_slice(), f.entries().len()) {
        (["dns"], 1) => dns(&f.child("dns")?).map(Discover::Dns),
        (["file"], 1) => f.get("file")?.path().map(Discover::File),
        (["etcd"], 1) => etcd(&f.child("etcd")?).map(Discover::Etcd),
        ([], 1..) => None, // reported as unknown, or as not built
        _ => {
            let message = format!("{} takes one source", slot.subject());
            slot.error(message, Some("`dns`, `file` or `etcd`".to_owned()));
            None
        }
    }
}

fn dns(f: &Fields<'_>) -> Option<DiscoverDns> {
    let Some(slot) = f.get("name") else {
        f.missing("name");
        return None;
    };
    let name = slot.text()?;
    if !is_dns_name(name) {
        slot.wrong("a name DNS can be asked for", None);
        return None;
    }
    let kind = f.get("type").map(|slot| slot.word());
    let port = f.get("port");
    let records = match (kind, &port) {
        (Some(None), _) => return None,
        (Some(Some("srv")), None) => Records::Srv,
        (Some(Some("srv")), Some(port)) => {
            let help = "SRV records say the port of each endpoint";
            let message = format!("{} has no meaning with `type: srv`", port.subject());
            port.error(message, Some(help.to_owned()));
            return None;
        }
        (_, None) => {
            f.missing("port");
            return None;
        }
        (kind, Some(port)) => {
            let port = u16::try_from(port.int()?).ok()?;
            let kind = kind.flatten();
            Records::Addresses { v4: kind != Some("aaaa"), v6: kind != Some("a"), port }
        }
    };
    let scheme = match f.get("scheme").map(|slot| slot.word()) {
        None | Some(Some("http")) => Scheme::Http,
        Some(Some("https")) => Scheme::Https,
        Some(Some(_)) => Scheme::H2c,
        Some(None) => return None,
    };
    let refresh = match f.get("refresh") {
        None => None,
        Some(slot) => Some(slot.duration()?),
    };
    let server = match f.get("server") {
        None => None,
        Some(slot) => Some(server(&slot)?),
    };
    let name = name.to_ascii_lowercase();
    Some(DiscoverDns { name, records, scheme, refresh, server })
}

/// An address, with the port 53 where none is written.
fn server(slot: &Slot<'_>) -> Option<SocketAddr> {
    let text = slot.text()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    match text.parse().or_else(|_| with_port()) {
        Ok(server) => Some(server),
        Err(_) => {
            slot.wrong("the IP address of a name server", Some("like `10.0.0.2:53`".to_owned()));
            None
        }
    }
}

/// Labels of 1 to 63 bytes; SRV names have labels that begin with `_`.
fn is_dns_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.len() <= MAX_NAME && name.split('.').all(good) && name.parse::<IpAddr>().is_err()
}

fn etcd(f: &Fields<'_>) -> Option<DiscoverEtcd> {
    let Some(members) = f.get("endpoints") else {
        f.missing("endpoints");
        return None;
    };
    let items = members.one_or_many()?;
    let one = |item: &Slot<'_>| {
        let made = endpoint(f.r, item.node, item.text()?, item.place())?;
        if made.h2c {
            item.wrong("http:// or https://", None);
        }
        Some(made)
    };
    let endpoints = items.iter().map(one).collect::<Option<Vec<_>>>()?;
    if endpoints.is_empty() {
        members.error(format!("{} is empty", members.subject()), None);
        return None;
    }
    let Some(prefix) = f.get("prefix") else {
        f.missing("prefix");
        return None;
    };
    let prefix = prefix.text()?.to_owned();
    let user = match (f.get("user"), f.get("password")) {
        (Some(user), Some(password)) => {
            Some((user.text()?.to_owned(), password.text()?.to_owned()))
        }
        (Some(one), None) | (None, Some(one)) => {
            let other = if one.key == "user" { "password" } else { "user" };
            one.error(format!("{} needs `{other}` beside it", one.subject()), None);
            return None;
        }
        (None, None) => None,
    };
    let mut tls = UpstreamTls::default();
    if let Some(f) = f.child("tls") {
        tls_settings(&f, &mut tls);
    }
    Some(DiscoverEtcd { endpoints, prefix, user, tls })
}
