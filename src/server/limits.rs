//! What the machine lets us use: descriptors, CPUs, pages of memory.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard one and returns what holds now; `None` is no
/// limit.
pub fn raise_open_files() -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    let Some(wanted) = raised(now) else { return now.current };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => wanted.current,
        Err(error) => {
            tracing::warn!(%error, "the limit on open files cannot be raised");
            now.current
        }
    }
}

/// The limit to ask for, or `None` if there is nothing to gain.
fn raised(now: Rlimit) -> Option<Rlimit> {
    let more = match (now.current, now.maximum) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(soft), Some(hard)) => soft < hard,
    };
    more.then_some(Rlimit { current: now.maximum, maximum: now.maximum })
}

/// Small pages of memory only. Of huge ones, two megabytes each, a single living byte keeps a whole
/// one: what a flood of connections took would hardly come back.
pub fn small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages cannot be switched off");
    }
}

/// Worker threads: what the operator wrote, or one per CPU that the scheduler's affinity mask and
/// the cgroup's quota (v1 and v2) leave us. The standard library reads both.
pub fn workers(written: usize) -> usize {
    match written {
        0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_goes_up_to_the_hard_one_and_never_down() {
        let limit = |current, maximum| Rlimit { current, maximum };
        let table = [
            (limit(Some(1024), Some(4096)), Some(limit(Some(4096), Some(4096)))),
            (limit(Some(1024), None), Some(limit(None, None))),
            (limit(Some(4096), Some(4096)), None),
            (limit(None, None), None),
        ];
        for (now, expected) in table {
            assert_eq!(raised(now), expected, "{now:?}");
        }
    }

    #[test]
    fn what_is_raised_really_holds() {
        let limit = raise_open_files();
        assert_eq!(getrlimit(Resource::Nofile).current, limit);
        assert_eq!(limit, getrlimit(Resource::Nofile).maximum);
    }

    #[test]
    fn pages_are_small_once_it_was_said() {
        small_pages();
        assert_eq!(rustix::thread::transparent_huge_pages_are_disabled(), Ok(true));
    }

    #[test]
    fn written_workers_win() {
        assert_eq!(workers(3), 3);
        assert!(workers(0) >= 1);
    }
}
