//! A configuration that has been read and not yet judged: the files, what they say together, and a
//! fingerprint of all they depend on.

use std::{
    collections::BTreeSet,
    fmt, fs,
    hash::{BuildHasher, Hasher},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::config::{
    self, Input, Loaded,
    diagnostic::Diagnostics,
    model::{Config, ListenerTls},
};

/// Where variables in the files come from.
pub type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A configuration that has been read.
pub struct Candidate {
    /// What the loader says, sources and findings included.
    pub loaded: Loaded,
    /// Fingerprint of every file it depends on.
    pub hash: String,
    /// Every file it depends on: configuration, certificates, keys, directories of includes.
    pub files: BTreeSet<PathBuf>,
}

/// Bytes of a file that are compared.
const MAX_COMPARED: u64 = 32 << 20;

// === impl Candidate ===

impl Candidate {
    /// Reads every file.
    pub fn read(inputs: &[Input], env: &Env) -> Self {
        let loaded = config::load(inputs, &**env);
        let mut files: BTreeSet<PathBuf> = loaded.files.iter().cloned().collect();
        let material = loaded.config.as_ref().map(material).unwrap_or_default();
        let mut parts = vec![loaded.hash.clone().into_bytes()];
        parts.extend(material.iter().map(|path| content(path)));
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let hash = format!("{:016x}", digest(&parts));
        files.extend(material);
        Self { loaded, hash, files }
    }

    /// Findings in addition to the loader's, rendered with them.
    pub fn render(&mut self, more: Diagnostics, color: bool) -> String {
        self.loaded.diagnostics.items.extend(more.items);
        self.loaded.render(color)
    }

    /// The configuration, if the loader found no error.
    pub fn take(&mut self) -> Option<Arc<Config>> {
        let refused = self.loaded.diagnostics.has_errors();
        self.loaded.config.take().filter(|_| !refused).map(Arc::new)
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Files that are not configuration and shape what runs: certificates and keys.
fn material(config: &Config) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let served =
        config.listeners.values().any(|l| matches!(l.tls, ListenerTls::Files | ListenerTls::Auto));
    if served || !config.tls.certificates.is_empty() {
        for certificate in &config.tls.certificates {
            files.insert(certificate.cert.value.clone());
            files.insert(certificate.key.value.clone());
        }
    }
    for upstream in config.upstreams.values() {
        files.extend(upstream.tls.ca.iter().map(|path| path.value.clone()));
        if let Some((cert, key)) = &upstream.tls.client {
            files.insert(cert.value.clone());
            files.insert(key.value.clone());
        }
    }
    files
}

/// What a file says, for comparing; why it cannot be read is also something it says. Of a file
/// larger than any that is loaded only the beginning is read, and when it was changed.
pub(super) fn content(path: &Path) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let meta = fs::metadata(path)?;
        if !meta.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let mut text = Vec::new();
        fs::File::open(path)?.take(MAX_COMPARED).read_to_end(&mut text)?;
        if meta.len() > MAX_COMPARED {
            text.extend(format!("\0{} {:?}", meta.len(), meta.modified()?).into_bytes());
        }
        Ok(text)
    };
    read().unwrap_or_else(|error| format!("\0{error}").into_bytes())
}

/// A fingerprint; the same in every run of this build. It tells changes apart, it does not prove
/// anything to anybody.
pub fn digest(parts: &[&[u8]]) -> u64 {
    let mut hasher = ahash::RandomState::with_seeds(1, 2, 3, 4).build_hasher();
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_file_is_not_read_whole_and_still_compared() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_COMPARED + 10).unwrap();
        let before = content(file.path());
        assert!(before.len() < usize::try_from(MAX_COMPARED).unwrap() + 100);
        file.as_file().set_len(MAX_COMPARED + 11).unwrap();
        assert_ne!(content(file.path()), before);
    }

    #[test]
    fn a_directory_and_a_missing_file_are_different() {
        let dir = tempfile::tempdir().unwrap();
        let (here, gone) = (content(dir.path()), content(&dir.path().join("gone")));
        assert!(here.starts_with(b"\0") && gone.starts_with(b"\0"));
        assert_ne!(here, gone);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(digest(&[b"ab", b"c"]), digest(&[b"ab", b"c"]));
    }
}
