//! Random branches and requests over a small alphabet, so that they often meet.

use super::{EXPRESSIONS, Request, Spec};

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    fn some<T: Copy>(&mut self, chance: usize, from: &[T]) -> Vec<T> {
        if self.roll(chance) > 0 {
            return Vec::new();
        }
        from.iter().copied().filter(|_| self.roll(2) == 0).collect()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.roll(at + 1));
        }
    }

    pub(crate) fn spec(&mut self, rich: bool) -> Spec {
        let conditions = ["1", "2", "present", "absent", "prefix 1", "regex 2"];
        let one_in = if rich { 2 } else { 5 };
        let headers = self.some(one_in, &["x-a", "x-b"]);
        let query = self.some(one_in, &["k", "l"]);
        Spec {
            host: self.pick(&[
                "",
                "",
                "a.com",
                "b.a.com",
                "*.a.com",
                "**.a.com",
                "**.com",
                "*.b.a.com",
                "**.b.a.com",
            ]),
            path: self.path(rich),
            methods: self.some(2, &["GET", "HEAD", "POST", "PURGE"]),
            headers: headers.into_iter().map(|n| (n, self.pick(&conditions))).collect(),
            query: query.into_iter().map(|k| (k, self.pick(&conditions))).collect(),
            client_ip: self.some(one_in + 1, &["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16"]),
            listeners: self.some(one_in + 1, &["http", "https"]),
            priority: if self.roll(4) == 0 { 1 } else { 0 },
        }
    }

    fn path(&mut self, rich: bool) -> String {
        if self.roll(4) == 0 {
            return self.pick(&EXPRESSIONS).0.to_owned();
        }
        let mut path = String::new();
        let names = ["{x}", "{y}", "{z}"];
        let count = self.roll(if rich { 2 } else { 4 });
        for name in names.into_iter().take(count) {
            let mut kinds = vec!["a", "b", "c", "d", "e", "f", "aa", name];
            if !path.contains("{x") {
                kinds.extend(["{x:[ab]+}", "{x:a|c}", "{x:[ab]+}", "{x:a|c}"]);
            }
            let kind = if path.contains("{x") && name == "{x}" { "a" } else { self.pick(&kinds) };
            path.push('/');
            path.push_str(kind);
        }
        match self.roll(3) {
            0 => path.push_str("/**"),
            1 => path.push('/'),
            _ if path.is_empty() => path.push('/'),
            _ => {}
        }
        path
    }

    pub(crate) fn request(&mut self) -> Request {
        let segments =
            ["a", "a", "b", "b", "c", "d", "e", "aa", "ab", "x", "a;v", "b;v=1", "a%3Bv"];
        let mut path = String::new();
        for _ in 0..self.roll(5) {
            path.push('/');
            path.push_str(self.pick(&segments));
        }
        if path.is_empty() || self.roll(4) == 0 {
            path.push('/');
        }
        let mut headers = Vec::new();
        for _ in 0..self.roll(3) {
            headers.push((self.pick(&["x-a", "x-b"]), self.pick(&["1", "2", "12", "3"])));
        }
        Request {
            host: self.pick(&[
                "",
                "a.com",
                "b.a.com",
                "c.a.com",
                "c.b.a.com",
                "d.c.a.com",
                "x.org",
                "com",
            ]),
            path,
            method: self.pick(&["GET", "HEAD", "POST", "PURGE"]),
            headers,
            query: self.pick(&["", "k=1", "l=2&k=2", "k=1&k=2", "l=1", "l=21&k=12"]),
            client_ip: self.pick(&["10.1.0.1", "10.2.0.1", "192.168.0.1", "8.8.8.8", ""]),
            listener: self.pick(&["http", "https"]),
        }
    }
}
