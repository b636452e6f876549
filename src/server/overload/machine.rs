//! How much of the machine the process uses, and how much of it there is: memory of the process and of its
//! cgroup, descriptors. Read from `/proc` and `/sys`; what cannot be read is not short.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::{Resource, getrlimit};

use crate::telemetry::metrics::open_fds;

/// Where limits on memory are written that may hold for this process.
#[derive(Debug)]
pub(super) struct Cgroup(Vec<PathBuf>);

// === impl Cgroup ===

impl Cgroup {
    /// Of this process.
    pub(super) fn of_self() -> Self {
        let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self(limit_files(&text, Path::new("/sys/fs/cgroup")))
    }

    /// The least of the limits, if there is one.
    pub(super) fn limit(&self) -> Option<u64> {
        let read = |path: &PathBuf| parse_limit(&fs::read_to_string(path).ok()?);
        self.0.iter().filter_map(read).min()
    }
}

/// A limit holds for all groups below. In a container the path may be that of the host, of which only the
/// root is to be seen.
fn limit_files(cgroup: &str, root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (root, name) = if controllers.is_empty() {
            (root.to_owned(), "memory.max")
        } else if controllers.split(',').any(|it| it == "memory") {
            (root.join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        let path = path.trim_start_matches('/');
        for group in Path::new(path).ancestors() {
            files.push(root.join(group).join(name));
        }
    }
    files
}

/// `max`, or without meaning it a number near 2^63, is no limit.
fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit > 0 && *limit < 1 << 60)
}

// === of the process ===

/// Bytes of memory the process has.
pub(super) fn resident() -> Option<u64> {
    resident_of(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// How much of the descriptors it may have are open, as a share.
pub(super) fn descriptors() -> Option<f64> {
    #[allow(clippy::cast_precision_loss)] // a share
    let most = getrlimit(Resource::Nofile).current? as f64;
    open_fds().ok().map(|open| open / most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_all_groups_above_are_looked_for() {
        let root = Path::new("/sys/fs/cgroup");
        let of = |text: &str| -> Vec<String> {
            limit_files(text, root).iter().map(|it| it.display().to_string()).collect()
        };
        assert_eq!(
            of("0::/a.slice/b.service\n"),
            [
                "/sys/fs/cgroup/a.slice/b.service/memory.max",
                "/sys/fs/cgroup/a.slice/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(of("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        let version_1 =
            "5:cpu,cpuacct:/x\n4:hugetlb,memory:/docker/1\n1:name=systemd:/x\nnonsense\n";
        assert_eq!(
            of(version_1),
            [
                "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
    }

    #[test]
    fn no_limit_is_none() {
        assert_eq!(parse_limit("536870912\n"), Some(536_870_912));
        for text in ["max\n", "9223372036854771712\n", "0", ""] {
            assert_eq!(parse_limit(text), None, "{text}");
        }
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        assert_eq!(resident_of("VmSize:\t 9 kB\nVmRSS:\t    4000 kB\n"), Some(4_096_000));
        assert_eq!(resident_of("VmSize:\t 9 kB\n"), None);
        assert!(resident() > Some(1 << 20));
        assert!(descriptors().is_some_and(|share| share > 0.0 && share < 1.0));
    }
}
