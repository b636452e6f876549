//! Who has which hash, of one policy. For names nobody has there are hashes of nothing, so that an
//! answer takes as long for them as for the others.

use std::{collections::HashMap, fmt, sync::Arc};

use ahash::RandomState;

use super::{basic::LONGEST_USER, hash::Hash};

/// Users of one policy, and lines of a file.
const MOST: usize = 100_000;

/// The users of one policy.
pub(crate) struct Users {
    hashes: HashMap<Box<str>, Arc<Hash>, RandomState>,
    /// One for each user, of the same cost.
    dummies: Vec<Arc<Hash>>,
    /// What an operator should know of users' hashes.
    warnings: Vec<(Box<str>, String)>,
}

/// Which entry is wrong, counted from 0, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) entry: usize,
    pub(crate) why: String,
}

// === impl Users ===

impl Users {
    /// These users with their hashes.
    ///
    /// # Errors
    /// The first entry that is wrong. Nothing of a hash is in it: it may be a password.
    pub(crate) fn new<'e>(
        entries: impl IntoIterator<Item = (&'e str, &'e str)>,
    ) -> Result<Self, Wrong> {
        let mut users =
            Self { hashes: HashMap::default(), dummies: Vec::new(), warnings: Vec::new() };
        let mut costs = HashMap::new();
        for (entry, (user, text)) in entries.into_iter().enumerate() {
            let wrong = |why: String| Wrong { entry, why };
            if entry == MOST {
                return Err(wrong(format!("there may be at most {MOST} users")));
            }
            if user.is_empty() || user.len() > LONGEST_USER {
                return Err(wrong(format!("the name of a user has 1 to {LONGEST_USER} bytes")));
            }
            if user.contains(|c: char| c == ':' || c.is_control()) {
                let why = "the name of a user has no colon and no control characters";
                return Err(wrong(why.to_owned()));
            }
            let hash = Hash::parse(text).map_err(|why| wrong(format!("user `{user}`: {why}")))?;
            if let Some(warning) = hash.warning() {
                users.warnings.push((user.into(), warning));
            }
            let dummy = costs.entry(hash.cost()).or_insert_with(|| Arc::new(hash.dummy()));
            users.dummies.push(Arc::clone(dummy));
            if users.hashes.insert(user.into(), Arc::new(hash)).is_some() {
                return Err(wrong(format!("user `{user}` is there twice")));
            }
        }
        Ok(users)
    }

    /// The users in a file as htpasswd writes it: lines `user:hash`, `#` before a comment. `name` is
    /// what messages call it.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub(crate) fn parse_htpasswd(name: &str, text: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if number > MOST {
                return Err(format!("{name}:{number}: there may be at most {MOST} lines"));
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((user, rest)) = line.split_once(':') else {
                return Err(format!("{name}:{number}: a line is a user, a colon and a hash"));
            };
            // Apache ignores what follows a second one.
            entries.push((user, rest.split(':').next().unwrap_or_default()));
            lines.push(number);
        }
        Self::new(entries).map_err(|wrong| format!("{name}:{}: {}", lines[wrong.entry], wrong.why))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is a user of this name.
    pub(crate) fn has(&self, user: &str) -> bool {
        self.hashes.contains_key(user)
    }

    /// Users whose hashes are weaker than they should be, and how.
    pub(crate) fn warnings(&self) -> &[(Box<str>, String)] {
        &self.warnings
    }

    /// The hash of a user, or one of nothing, and whether it is the user's. A name nobody has gets
    /// the same cost each time, by `pick`, and each cost as often as users have it. Nothing if
    /// there are no users at all.
    pub(super) fn hash_of(&self, user: &str, pick: u64) -> Option<(Arc<Hash>, bool)> {
        if let Some(hash) = self.hashes.get(user) {
            return Some((Arc::clone(hash), true));
        }
        let at = pick.checked_rem(self.dummies.len() as u64)?;
        let dummy = self.dummies.get(usize::try_from(at).ok()?)?;
        Some((Arc::clone(dummy), false))
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `htpasswd -b -B`, `-C 12` for bob, of Apache 2.4; with what people add.
    const FILE: &str = "\
# the shop
alice:$2y$05$MGbYzf3N0C6ZmBh8U/.PGehE8izK21W7hhUzfI5NMRaIcgHFClJje

  bob:$2y$12$Db3TtCoF14df617Hk8ik.uwojiq26vASYSDLaHvxy8sY7w9G5n4j6:Bob from sales\r
carol:$2y$04$LnIL1O30JXFTN/qriSZHs.mGUR11M09ir9xEe2aYUaW69NYE67NZe";

    const CAROL: &str = "$2y$04$LnIL1O30JXFTN/qriSZHs.mGUR11M09ir9xEe2aYUaW69NYE67NZe";
    const ARGON2: &str = "$argon2id$v=19$m=64,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$\
                          CCkaoyYuGSSwJKlE+papjyKK+YzkNRFOdRn/qDfY4LQ";

    #[test]
    fn a_file_of_htpasswd_is_read() {
        let users = Users::parse_htpasswd("users", FILE).unwrap();
        assert_eq!(users.len(), 3);
        let right = |user, password| {
            let (hash, known) = users.hash_of(user, 0).unwrap();
            assert!(known);
            hash.verify(password).unwrap()
        };
        assert!(right("alice", "correct horse") && !right("alice", "pässwörd"));
        assert!(right("carol", "pässwörd") && !right("carol", "correct horse"));
        assert!(right("bob", "hunter2 is bad"));
        let warned: Vec<&str> = users.warnings().iter().map(|(user, _)| &**user).collect();
        assert_eq!(warned, ["alice", "carol"]);
        assert_eq!(format!("{users:?}"), "Users { len: 3, .. }");
        assert_eq!(Users::parse_htpasswd("users", "").unwrap().len(), 0);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_one_line() {
        for (text, why) in [
            ("\nalice\n", "users:2: a line is a user, a colon and a hash"),
            ("# a\nalice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "users:2: user `alice`: `{SHA}` (SHA"),
            ("alice:hunter2", "users:1: user `alice`: this is no hash"),
            (":x", "users:1: the name of a user has 1 to 255 bytes"),
            ("a\u{7}b:x", "users:1: the name of a user has no colon and no control"),
        ] {
            let error = Users::parse_htpasswd("users", text).unwrap_err();
            assert!(error.starts_with(why) && !error.contains('\n'), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("5en6"), "{error}");
        }
        let twice = Users::parse_htpasswd("users", &format!("a:{CAROL}\n#\na:{ARGON2}"));
        assert_eq!(twice.unwrap_err(), "users:3: user `a` is there twice");
        let long = "\n".repeat(MOST + 1);
        let error = Users::parse_htpasswd("users", &long).unwrap_err();
        assert_eq!(error, "users:100001: there may be at most 100000 lines");
        let wrong = Users::new([("a", CAROL), ("b:c", CAROL)]).unwrap_err();
        assert_eq!(wrong.entry, 1);
        assert!(Users::new([(&*"u".repeat(256), CAROL)]).is_err());
    }

    #[test]
    fn names_nobody_has_cost_what_the_others_cost() {
        let users = Users::new([("a", CAROL), ("b", ARGON2), ("c", CAROL), ("d", CAROL)]).unwrap();
        let mut argon2 = 0;
        for pick in 0..400 {
            let (dummy, known) = users.hash_of("nobody", pick).unwrap();
            assert!(!known);
            let (bcrypt, other) = (users.hashes["a"].cost(), users.hashes["b"].cost());
            argon2 += usize::from(dummy.cost() == other);
            assert!(dummy.cost() == bcrypt || dummy.cost() == other);
            assert_eq!(users.hash_of("nobody", pick).unwrap().0.id(), dummy.id());
        }
        assert_eq!(argon2, 100);
        assert!(Users::new([]).unwrap().hash_of("nobody", 7).is_none());
    }
}
