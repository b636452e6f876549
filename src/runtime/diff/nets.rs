//! Sets of addresses: whether one list of networks lets in what another does not.

use std::net::IpAddr;

use ipnet::IpNet;

/// Addresses as ranges, those of both families on one line: IPv4 first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses(Vec<(Point, Point)>);

/// Family and number.
type Point = (bool, u128);

const ALL: [(Point, Point); 2] =
    [((false, 0), (false, u32::MAX as u128)), ((true, 0), (true, u128::MAX))];

// === impl Addresses ===

impl Addresses {
    /// Every address.
    pub(super) fn all() -> Self {
        Self(ALL.to_vec())
    }

    /// Those of the networks.
    pub(super) fn of(nets: &[IpNet]) -> Self {
        let mut ranges: Vec<(Point, Point)> =
            nets.iter().map(|net| (point(net.network()), point(net.broadcast()))).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(Point, Point)> = Vec::new();
        for (from, to) in ranges {
            match merged.last_mut() {
                Some(last) if last.0.0 == from.0 && from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        Self(merged)
    }

    /// Those that are not in the other.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for &(mut from, to) in &self.0 {
            let mut over = false;
            for &(start, end) in &other.0 {
                if end < from || start > to {
                    continue;
                }
                if start > from {
                    left.push((from, (start.0, start.1 - 1)));
                }
                if end >= to {
                    over = true;
                    break;
                }
                from = (end.0, end.1 + 1);
            }
            if !over {
                left.push((from, to));
            }
        }
        Self(left)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn point(ip: IpAddr) -> Point {
    match ip {
        IpAddr::V4(v4) => (false, u32::from(v4).into()),
        IpAddr::V6(v6) => (true, v6.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nets: &[&str]) -> Addresses {
        Addresses::of(&nets.iter().map(|net| net.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_left_is_exact() {
        for (one, other, left) in [
            (&["10.0.0.0/8"][..], &["10.0.0.0/8"][..], &[][..]),
            (&["10.0.0.0/8"], &["10.0.0.0/9"], &["10.128.0.0/9"]),
            (&["10.0.0.0/9", "10.128.0.0/9"], &["10.0.0.0/8"], &[]),
            (&["10.0.0.0/8"], &["0.0.0.0/0"], &[]),
            (&["10.0.0.0/30"], &["10.0.0.1/32"], &["10.0.0.0/32", "10.0.0.2/31"]),
            (&["::/0"], &["0.0.0.0/0"], &["::/0"]),
            (&["2001:db8::/32"], &["2001:db8::/33"], &["2001:db8:8000::/33"]),
        ] {
            let (found, left) = (of(one).without(&of(other)), of(left));
            assert_eq!(found, left, "{one:?} without {other:?}");
        }
        assert!(Addresses::all().without(&of(&["0.0.0.0/0", "::/0"])).is_empty());
    }
}
