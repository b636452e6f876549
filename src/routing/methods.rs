//! The methods a branch takes, as one word of bits for those everybody uses.

use http::Method;

/// Standard methods in the order of their bits, which is the order of `Allow`.
const STANDARD: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// A set of methods. Who takes `GET` takes `HEAD`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodSet {
    bits: u16,
    /// Methods that have no bit, sorted.
    others: Vec<Method>,
}

// === impl MethodSet ===

impl MethodSet {
    /// Whether the set takes `method`.
    #[inline]
    pub fn contains(&self, method: &Method) -> bool {
        match bit(method) {
            0 => self.others.contains(method),
            bit => self.bits & bit != 0,
        }
    }

    /// Adds a method, and `HEAD` with `GET`.
    pub fn insert(&mut self, method: &Method) {
        match bit(method) {
            0 => {
                if let Err(at) = self.others.binary_search_by(|m| m.as_str().cmp(method.as_str())) {
                    self.others.insert(at, method.clone());
                }
            }
            bit => self.bits |= bit | if *method == Method::GET { 2 } else { 0 },
        }
    }

    /// Adds all methods of another set.
    pub fn extend(&mut self, other: &Self) {
        self.bits |= other.bits;
        for method in &other.others {
            self.insert(method);
        }
    }

    /// Whether no method is in both.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.bits & other.bits == 0 && !self.others.iter().any(|m| other.others.contains(m))
    }

    /// Whether every method of `other` is in this set.
    pub fn covers(&self, other: &Self) -> bool {
        self.bits & other.bits == other.bits && other.others.iter().all(|m| self.others.contains(m))
    }

    /// Whether the set takes nothing.
    pub fn is_empty(&self) -> bool {
        self.bits == 0 && self.others.is_empty()
    }

    /// The methods: standard ones in a fixed order, then the others by name.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        let standard = STANDARD.iter().enumerate().filter(|(at, _)| self.bits & (1 << at) != 0);
        standard.map(|(_, method)| method).chain(&self.others)
    }

    /// The value of an `Allow` header.
    pub fn allow(&self) -> String {
        self.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl<'m> FromIterator<&'m Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = &'m Method>>(methods: I) -> Self {
        let mut set = Self::default();
        methods.into_iter().for_each(|method| set.insert(method));
        set
    }
}

/// The bit of a standard method, 0 for another.
#[inline]
fn bit(method: &Method) -> u16 {
    match *method {
        Method::GET => 1,
        Method::HEAD => 2,
        Method::POST => 4,
        Method::PUT => 8,
        Method::PATCH => 16,
        Method::DELETE => 32,
        Method::OPTIONS => 64,
        Method::TRACE => 128,
        Method::CONNECT => 256,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standard_method_has_its_own_bit() {
        for (at, method) in STANDARD.iter().enumerate() {
            assert_eq!(bit(method), 1 << at, "{method}");
        }
    }

    #[test]
    fn get_takes_head() {
        let purge = Method::from_bytes(b"PURGE").unwrap();
        let set: MethodSet = [&purge, &Method::GET].into_iter().collect();
        assert!(set.contains(&Method::HEAD) && set.contains(&purge));
        assert!(!set.contains(&Method::POST));
        assert_eq!(set.allow(), "GET, HEAD, PURGE");
        let head: MethodSet = [&Method::HEAD].into_iter().collect();
        assert!(!head.contains(&Method::GET));
        assert!(!set.is_disjoint(&head) && set.covers(&head) && !head.covers(&set));
    }
}
