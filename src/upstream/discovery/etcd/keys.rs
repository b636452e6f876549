//! What is under the prefix: every key with the endpoint its value says, or why it says none. Kept up
//! to date by the events of the watch.

use std::collections::{BTreeMap, HashMap};

use super::{
    super::Set,
    messages::{Event, KeyValue},
};
use crate::config::{
    self,
    model::{Endpoint, Target},
};

/// More keys than this are no list of endpoints.
pub(super) const MAX_KEYS: usize = 10_000;

/// All keys together, in bytes. One answer of etcd cannot hold more either.
const MAX_KEY_BYTES: usize = super::client::MAX_ANSWER;

/// No endpoint needs a longer value.
const MAX_VALUE: usize = 4096;

/// Of what is refused, this many are named.
const MAX_REFUSED: usize = 100;

/// Characters of a key in messages, and of a whole message. Whoever writes to etcd must not fill our
/// log.
const SHOWN_KEY: usize = 200;
const SHOWN_MESSAGE: usize = 600;

/// The keys under the prefix.
#[derive(Debug, Default)]
pub(super) struct Keys {
    found: BTreeMap<Vec<u8>, Entry>,
    /// Of all keys together.
    bytes: usize,
    /// Whether something is different since the last [`Keys::set`].
    changed: bool,
}

/// What the value of a key says, or why that is no endpoint.
type Entry = Result<Endpoint, String>;

/// The first key with this prefix, and the first behind all of them, as etcd wants it.
pub(super) fn range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    // One zero byte is the smallest key there is as a beginning, and stands for no end as an end.
    let everything = vec![0];
    if prefix.is_empty() {
        return (everything.clone(), everything);
    }
    let mut end = prefix.to_vec();
    // Nothing with this prefix is behind 0xff, so the byte before it counts.
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return (prefix.to_vec(), end);
        }
    }
    (prefix.to_vec(), everything)
}

/// Bytes from elsewhere on one line of a log: what is not to be printed is escaped, what is too long
/// is cut.
pub(super) fn shown(bytes: &[u8], most: usize) -> String {
    let mut text = String::new();
    // No character has more than four bytes, so what is cut off here is not looked for below.
    let near = &bytes[..bytes.len().min(most.saturating_mul(4) + 4)];
    for (at, character) in String::from_utf8_lossy(near).chars().enumerate() {
        if at == most {
            text.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => text.push(character),
            _ => text.extend(character.escape_debug()),
        }
    }
    text
}

/// A message of whatever origin on one line.
pub(super) fn one_line(message: &str) -> String {
    shown(message.as_bytes(), SHOWN_MESSAGE)
}

fn read(key: &[u8], value: &[u8]) -> Entry {
    let name = shown(key, SHOWN_KEY);
    if value.len() > MAX_VALUE {
        return Err(format!("{name}: longer than {MAX_VALUE} bytes"));
    }
    let Ok(text) = str::from_utf8(value) else { return Err(format!("{name}: not UTF-8 text")) };
    match config::endpoint(&name, text) {
        // Sockets of this machine are the file's to name: some of them must not be reached by all.
        Ok(Endpoint { target: Target::Unix(_), .. }) => {
            Err(format!("{name}: Unix sockets are not taken from etcd"))
        }
        Ok(endpoint) => Ok(endpoint),
        Err(why) => Err(one_line(&why)),
    }
}

// === impl Keys ===

impl Keys {
    /// All that a range answered.
    pub(super) fn new(all: &[KeyValue]) -> Result<Self, String> {
        let mut keys = Self { changed: true, ..Self::default() };
        all.iter().try_for_each(|it| keys.put(&it.key, &it.value))?;
        Ok(keys)
    }

    /// One change.
    pub(super) fn apply(&mut self, event: &Event) -> Result<(), String> {
        let Some(it) = &event.kv else { return Ok(()) };
        if event.kind != Event::DELETE {
            return self.put(&it.key, &it.value);
        }
        if self.found.remove(&it.key).is_some() {
            self.bytes -= it.key.len();
            self.changed = true;
        }
        Ok(())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let entry = read(key, value);
        match self.found.get_mut(key) {
            // Many a service writes the same again and again, as a sign of life.
            Some(known) if *known == entry => return Ok(()),
            Some(known) => *known = entry,
            None => {
                self.bytes += key.len();
                self.found.insert(key.to_vec(), entry);
            }
        }
        self.changed = true;
        if self.found.len() > MAX_KEYS {
            return Err(too_many(self.found.len()));
        }
        if self.bytes > MAX_KEY_BYTES {
            return Err(format!("the keys are longer than {MAX_KEY_BYTES} bytes together"));
        }
        Ok(())
    }

    /// Whether something is different since the last [`Keys::set`].
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// The endpoints, and what is none. Of two keys with the same endpoint the first counts.
    pub(super) fn set(&mut self) -> Set {
        self.changed = false;
        let mut set = Set::default();
        let mut first = HashMap::new();
        let mut unnamed = 0_usize;
        for (key, entry) in &self.found {
            let why = match entry {
                Ok(endpoint) => match first.get(&endpoint.url.value) {
                    None => {
                        first.insert(&endpoint.url.value, key);
                        set.endpoints.push(endpoint.clone());
                        continue;
                    }
                    Some(_) if set.refused.len() == MAX_REFUSED => String::new(),
                    Some(other) => one_line(&format!(
                        "{}: {} is there already, at {}",
                        shown(key, SHOWN_KEY),
                        endpoint.url.value,
                        shown(other, SHOWN_KEY),
                    )),
                },
                Err(why) => why.clone(),
            };
            if set.refused.len() < MAX_REFUSED {
                set.refused.push(why);
            } else {
                unnamed += 1;
            }
        }
        if unnamed > 0 {
            set.refused.push(format!("and {unnamed} more"));
        }
        set
    }
}

/// Why so many keys are not taken.
pub(super) fn too_many(count: impl std::fmt::Display) -> String {
    format!("{count} keys have the prefix; at most {MAX_KEYS} are taken")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn kv(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.into(), value: value.into() }
    }

    fn put(key: &str, value: &str) -> Event {
        Event { kind: 0, kv: Some(kv(key, value)) }
    }

    fn delete(key: &str) -> Event {
        Event { kind: Event::DELETE, kv: Some(kv(key, "")) }
    }

    fn names(set: &Set) -> Vec<&str> {
        set.endpoints.iter().map(|it| &*it.url.value).collect()
    }

    /// How etcd reads a range.
    fn holds((from, to): &(Vec<u8>, Vec<u8>), key: &[u8]) -> bool {
        key >= from.as_slice() && (to == &[0] || key < to.as_slice())
    }

    #[test]
    fn ends_of_prefixes() {
        for (prefix, from, to) in [
            (&b"/a/"[..], &b"/a/"[..], &b"/a0"[..]),
            (b"", b"\0", b"\0"),
            (b"\xff", b"\xff", b"\0"),
            (b"a\xff\xff", b"a\xff\xff", b"b"),
            (b"\0", b"\0", b"\x01"),
        ] {
            assert_eq!(range(prefix), (from.to_vec(), to.to_vec()), "{prefix:?}");
        }
    }

    proptest! {
        #[test]
        fn a_range_holds_what_has_the_prefix(
            prefix in prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..4),
            rest in prop::collection::vec(any::<u8>(), 0..3),
            other in prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 1..5),
        ) {
            let range = range(&prefix);
            let with = [prefix.clone(), rest].concat();
            // There is no empty key in etcd.
            prop_assert!(with.is_empty() || holds(&range, &with));
            prop_assert_eq!(holds(&range, &other), other.starts_with(&prefix));
        }

        /// After any events, the keys are those of a plain map after the same events.
        #[test]
        fn events_lead_where_a_range_would(
            events in prop::collection::vec((0..6_u8, prop::option::of(0..5_u8)), 0..40),
        ) {
            let mut keys = Keys::new(&[]).unwrap();
            let mut plain = BTreeMap::new();
            let mut known = keys.set();
            for (key, value) in events {
                let key = format!("/p/{key}");
                let event = match value {
                    Some(4) => put(&key, "no URL"),
                    Some(value) => put(&key, &format!("http://h{value}:1")),
                    None => delete(&key),
                };
                match &event {
                    Event { kind: Event::DELETE, .. } => plain.remove(&key),
                    Event { kv, .. } => plain.insert(key, kv.clone().unwrap().value),
                };
                keys.apply(&event).unwrap();
                let changed = keys.changed();
                let set = keys.set();
                prop_assert!(changed || set == known);
                known = set;
            }
            let all: Vec<_> = plain
                .into_iter()
                .map(|(key, value)| KeyValue { key: key.into(), value })
                .collect();
            let mut again = Keys::new(&all).unwrap();
            prop_assert_eq!(again.bytes, keys.bytes);
            let set = again.set();
            let distinct: BTreeSet<_> = names(&set).into_iter().collect();
            prop_assert_eq!(distinct.len(), set.endpoints.len());
            prop_assert_eq!(set.endpoints.len() + set.refused.len(), all.len());
            prop_assert_eq!(set, known);
        }

        #[test]
        fn what_is_shown_is_short_and_on_one_line(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let text = shown(&bytes, 10);
            prop_assert!(text.chars().count() <= 10 * 10 + 1, "{text}");
            prop_assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn values_are_urls_or_maps() {
        let mut keys = Keys::new(&[
            kv("/p/a", "http://a:1"),
            kv("/p/b", "{ url: 'https://b:2', weight: 5 }"),
            kv("/p/c", r#"{"url": "h2c://c:3", "priority": 1}"#),
        ])
        .unwrap();
        let set = keys.set();
        assert_eq!(names(&set), ["http://a:1", "https://b:2", "h2c://c:3"]);
        let weights: Vec<_> = set.endpoints.iter().map(|it| (it.weight, it.priority)).collect();
        assert_eq!(weights, [(1, 0), (5, 0), (1, 1)]);
        assert_eq!(set.refused, [""; 0]);
    }

    #[test]
    fn what_is_no_endpoint_is_named_and_the_others_count() {
        let long = format!("http://{}:1", "a".repeat(MAX_VALUE));
        let mut keys = Keys::new(&[
            kv("/p/a", "http://a:1"),
            kv("/p/b", &long),
            kv("/p/c", "nonsense\nmore"),
            KeyValue { key: b"/p/d\n\x1b[31m\xff".into(), value: b"http://\xff:1".into() },
            kv("/p/e", "http://a:1"),
            kv("/p/f", "unix:/run/docker.sock"),
            kv("/p/g", ""),
            kv("/p/h", "http://h:1"),
        ])
        .unwrap();
        let set = keys.set();
        assert_eq!(names(&set), ["http://a:1", "http://h:1"]);
        let begins = [
            "/p/b: longer than 4096 bytes",
            "/p/c:1:1: ",
            "/p/d\\n\\u{1b}[31m\u{fffd}: not UTF-8 text",
            "/p/e: http://a:1 is there already, at /p/a",
            "/p/f: Unix sockets are not taken from etcd",
            "/p/g",
        ];
        assert_eq!(set.refused.len(), begins.len(), "{:#?}", set.refused);
        for (refused, begin) in set.refused.iter().zip(begins) {
            assert!(refused.starts_with(begin) && !refused.contains('\n'), "{refused}, {begin}");
        }
        // The second takes its place when the first goes.
        keys.apply(&delete("/p/a")).unwrap();
        assert_eq!(names(&keys.set()), ["http://a:1", "http://h:1"]);
    }

    #[test]
    fn messages_are_few_and_short() {
        let key = |i: usize| format!("/p/{i:04}{}", "k".repeat(2000));
        let all: Vec<_> = (0..MAX_REFUSED + 20).map(|i| kv(&key(i), &"x".repeat(4000))).collect();
        let refused = Keys::new(&all).unwrap().set().refused;
        assert_eq!(refused.len(), MAX_REFUSED + 1);
        assert_eq!(refused.last().unwrap(), "and 20 more");
        assert!(refused.iter().all(|it| it.chars().count() <= SHOWN_MESSAGE + 1), "{refused:#?}");
    }

    #[test]
    fn the_same_again_is_no_change() {
        let mut keys = Keys::new(&[kv("/p/a", "http://a:1")]).unwrap();
        assert!(keys.changed());
        keys.set();
        for event in [put("/p/a", "http://a:1"), delete("/p/z"), Event { kind: 0, kv: None }] {
            keys.apply(&event).unwrap();
            assert!(!keys.changed(), "{event:?}");
        }
        keys.apply(&put("/p/a", "{ url: 'http://a:1', weight: 2 }")).unwrap();
        assert!(keys.changed());
    }

    #[test]
    fn there_is_an_end_to_keys() {
        let mut keys = Keys::default();
        for i in 0..MAX_KEYS {
            keys.apply(&put(&format!("/p/{i}"), "http://a:1")).unwrap();
        }
        let why = keys.apply(&put("/p/more", "http://a:1")).unwrap_err();
        assert_eq!(why, "10001 keys have the prefix; at most 10000 are taken");

        let mut keys = Keys::default();
        let long = |i: usize| format!("/p/{i}{}", "k".repeat(1 << 20));
        let mut taken = (0..).map(|i| keys.apply(&put(&long(i), "http://a:1")));
        let why = taken.by_ref().take(17).find_map(Result::err).unwrap();
        assert!(why.starts_with("the keys are longer than"), "{why}");
    }
}
