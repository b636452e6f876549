//! The development CA: made on first use, so that HTTPS works for local names before anybody has
//! thought of certificates. `tls: dev` serves every name from it, `tls: auto` the local ones. It
//! lives in two files; the certificates it issues live in memory.

use std::{
    collections::{HashMap, VecDeque},
    env,
    ffi::OsString,
    fmt, fs, io,
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SigningKey},
};

use crate::tls;

const CERT_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca-key.pem";
const DAY: i64 = 24 * 60 * 60;
/// Ten years: people put it into trust stores by hand.
const CA_LIFE: i64 = 3650 * DAY;
const LEAF_LIFE: i64 = 90 * DAY;
/// Clocks of other machines may be behind.
const SKEW: i64 = DAY;
/// Names whose certificates are kept. Who floods us with names evicts, and costs one signature
/// each, but no memory.
const LARGEST_CACHE: usize = 1024;

/// The development CA of this machine.
pub struct DevCa {
    cert_path: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// One key for all names: they all end in this process, and a signature is half the price.
    leaf_key: KeyPair,
    signer: Arc<dyn SigningKey>,
    leaves: Mutex<Leaves>,
}

#[derive(Default)]
struct Leaves {
    /// The empty name is the certificate for clients that send none.
    by_name: HashMap<Box<str>, Leaf>,
    /// Oldest first.
    order: VecDeque<Box<str>>,
}

struct Leaf {
    key: Arc<CertifiedKey>,
    /// Unix seconds.
    renew_at: i64,
}

// === impl DevCa ===

impl DevCa {
    /// Opens the CA of a directory, making directory and CA where they are missing. Any number of
    /// processes may do so at once: they all end with the same CA.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir).map_err(|e| about(dir, &e.to_string()))?;
        let (cert_path, key_path) = (dir.join(CERT_FILE), dir.join(KEY_FILE));
        let key = open_key(&cert_path, &key_path)?;
        let cert = open_cert(&cert_path, &key)?;
        let issuer = Issuer::from_ca_cert_der(&cert, key)
            .map_err(|e| about(&cert_path, &format!("not usable as a CA: {e}")))?;
        let leaf_key = KeyPair::generate().map_err(io::Error::other)?;
        let der = PrivateKeyDer::try_from(leaf_key.serialize_der()).map_err(io::Error::other)?;
        let signer = tls::provider().key_provider.load_private_key(der);
        let signer = signer.map_err(io::Error::other)?;
        Ok(Self { cert_path, issuer, leaf_key, signer, leaves: Mutex::default() })
    }

    /// Where the CA lives: `$TIDEGATE_CERTS`, or `./certs` if it can be written, or systemd's state
    /// directory, or the user's data directory.
    pub fn default_dir() -> io::Result<PathBuf> {
        choose_dir(|name| env::var_os(name), Path::new("certs"))
            .ok_or_else(|| io::Error::other("no place for the development CA: set TIDEGATE_CERTS"))
    }

    /// The certificate to trust, as with `curl --cacert`.
    pub fn cert_path(&self) -> &Path {
        &self.cert_path
    }

    /// A certificate for this name, or for `localhost` and the loopback addresses where the client
    /// sent none. Signs when there is none yet or it is past two thirds of its life: about 100
    /// microseconds, once per name, which a worker can spare. `None` if the name cannot be signed.
    pub fn leaf(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        self.leaf_at(name, tls::now())
    }

    fn leaf_at(&self, name: Option<&str>, now: i64) -> Option<Arc<CertifiedKey>> {
        let name = name.unwrap_or_default().to_ascii_lowercase();
        if let Some(leaf) = self.leaves.lock().by_name.get(&*name)
            && now < leaf.renew_at
        {
            return Some(Arc::clone(&leaf.key));
        }
        // Signed without the lock: two workers may sign the same name, the later one stays.
        let key = Arc::new(self.issue(&name, now).ok()?);
        let leaf = Leaf { key: Arc::clone(&key), renew_at: now + LEAF_LIFE * 2 / 3 };
        self.leaves.lock().insert(name.into(), leaf);
        Some(key)
    }

    fn issue(&self, name: &str, now: i64) -> Result<CertifiedKey, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject("Tidegate development certificate");
        params.subject_alt_names = if name.is_empty() || name == "localhost" {
            vec![
                SanType::DnsName("localhost".try_into()?),
                SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
                SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
            ]
        } else {
            vec![SanType::DnsName(name.try_into()?)]
        };
        valid(&mut params, now, LEAF_LIFE);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&self.leaf_key, &self.issuer)?;
        Ok(CertifiedKey::new(vec![cert.der().clone()], Arc::clone(&self.signer)))
    }
}

impl fmt::Debug for DevCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevCa").field("cert_path", &self.cert_path).finish_non_exhaustive()
    }
}

// === impl Leaves ===

impl Leaves {
    fn insert(&mut self, name: Box<str>, leaf: Leaf) {
        if self.by_name.insert(name.clone(), leaf).is_some() {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > LARGEST_CACHE
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
        }
    }
}

/// The key is made first and decides: whoever links it first wins, and every certificate made
/// meanwhile is one of that key. A process that dies in between leaves a key that the next one uses.
fn open_key(cert_path: &Path, key_path: &Path) -> io::Result<KeyPair> {
    if !key_path.exists() {
        if cert_path.exists() {
            let what = format!("its key {KEY_FILE} is missing; remove it and a new CA is made");
            return Err(about(cert_path, &what));
        }
        let key = KeyPair::generate().map_err(io::Error::other)?;
        create(key_path, &key.serialize_pem(), 0o600)?;
    }
    let pem = fs::read_to_string(key_path).map_err(|e| about(key_path, &e.to_string()))?;
    KeyPair::from_pem(&pem).map_err(|_| about(key_path, "holds no usable key"))
}

fn open_cert(cert_path: &Path, key: &KeyPair) -> io::Result<CertificateDer<'static>> {
    if !cert_path.exists() {
        let pem = make_ca(key, tls::now()).map_err(io::Error::other)?;
        create(cert_path, &pem, 0o644)?;
    }
    let cert = CertificateDer::from_pem_file(cert_path)
        .map_err(|e| about(cert_path, &format!("holds no certificate: {e}")))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&cert)
        .map_err(|_| about(cert_path, "is not valid X.509"))?;
    if parsed.public_key().subject_public_key.data != key.public_key_raw() {
        return Err(about(cert_path, &format!("does not belong to the key in {KEY_FILE}")));
    }
    if parsed.validity().not_after.timestamp() < tls::now() + LEAF_LIFE {
        let what = format!("is at its end; remove it and {KEY_FILE}, and a new CA is made");
        return Err(about(cert_path, &what));
    }
    Ok(cert)
}

fn make_ca(key: &KeyPair, now: i64) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    // Several machines' CAs may stand in one trust store.
    let id = u32::from_be_bytes(rand::random());
    params.distinguished_name = subject(&format!("Tidegate development CA {id:08x}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, CA_LIFE);
    Ok(params.self_signed(key)?.pem())
}

fn subject(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Tidegate");
    name.push(DnType::CommonName, common_name);
    name
}

fn valid(params: &mut CertificateParams, now: i64, life: i64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |unix: i64| epoch + Duration::from_secs(u64::try_from(unix).unwrap_or(0));
    params.not_before = at(now - SKEW);
    params.not_after = at(now + life);
}

/// Writes a file whole or not at all, and leaves one that is there already.
fn create(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let suffix = u64::from_be_bytes(rand::random());
    let temporary = path.with_extension(format!("{suffix:016x}.tmp"));
    let result =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).and_then(
            |mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                // Unlike a rename this does not replace what another process put there.
                fs::hard_link(&temporary, path)
            },
        );
    let _ = fs::remove_file(&temporary);
    match result {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(|e| about(path, &e.to_string())),
    }
}

fn choose_dir(var: impl Fn(&str) -> Option<OsString>, here: &Path) -> Option<PathBuf> {
    let var = |name: &str| var(name).filter(|value| !value.is_empty());
    if let Some(dir) = var("TIDEGATE_CERTS") {
        return Some(dir.into());
    }
    if here.is_dir() && rustix::fs::access(here, rustix::fs::Access::WRITE_OK).is_ok() {
        return Some(here.to_owned());
    }
    if let Some(dirs) = var("STATE_DIRECTORY") {
        // systemd separates several by colons.
        return env::split_paths(&dirs).next();
    }
    var("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .or_else(|| Some(PathBuf::from(var("HOME")?).join(".local/share")))
        .map(|dir| dir.join("tidegate"))
}

fn about(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("development CA: {}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(key: &CertifiedKey) -> (Vec<String>, i64) {
        let (_, cert) = x509_parser::parse_x509_certificate(&key.cert[0]).unwrap();
        let sans = cert.subject_alternative_name().unwrap().unwrap();
        let names = sans.value.general_names.iter().map(ToString::to_string).collect();
        (names, cert.validity().not_after.timestamp())
    }

    #[test]
    fn is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let certs = dir.path().join("a/b");
        let first = DevCa::open(&certs).unwrap();
        let pem = fs::read(first.cert_path()).unwrap();
        DevCa::open(&certs).unwrap();
        assert_eq!(fs::read(first.cert_path()).unwrap(), pem);
        let mode =
            |file: &str| fs::metadata(certs.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(KEY_FILE), 0o600);
        assert_eq!(mode(CERT_FILE) & 0o444, 0o444);
        assert_eq!(fs::read_dir(&certs).unwrap().count(), 2, "temporary files are left");
    }

    #[test]
    fn many_at_once_agree() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let start = std::sync::Barrier::new(4);
            let roots: Vec<Vec<u8>> = std::thread::scope(|scope| {
                let open = || {
                    start.wait();
                    let ca = DevCa::open(dir.path()).unwrap();
                    // The pair that this process works with, not what lies there later.
                    let mut key = ca.issuer.key().public_key_raw().to_vec();
                    key.extend(fs::read(ca.cert_path()).unwrap());
                    key
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert!(roots.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    #[test]
    fn half_a_ca_is_completed_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        DevCa::open(dir.path()).unwrap();
        fs::remove_file(dir.path().join(CERT_FILE)).unwrap();
        DevCa::open(dir.path()).unwrap();

        let key = fs::read(dir.path().join(KEY_FILE)).unwrap();
        fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
        let error = DevCa::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is missing"), "{error}");
        assert!(!dir.path().join(KEY_FILE).exists());

        fs::write(dir.path().join(KEY_FILE), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let error = DevCa::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("does not belong"), "{error}");
        fs::write(dir.path().join(KEY_FILE), key).unwrap();
        DevCa::open(dir.path()).unwrap();
    }

    #[test]
    fn certificates_are_kept_until_two_thirds_of_their_life() {
        let dir = tempfile::tempdir().unwrap();
        let ca = DevCa::open(dir.path()).unwrap();
        let now = tls::now();
        let first = ca.leaf_at(Some("Shop.localhost"), now).unwrap();
        assert_eq!(names(&first), (vec!["DNSName(shop.localhost)".to_owned()], now + LEAF_LIFE));
        let again = ca.leaf_at(Some("shop.localhost"), now + 59 * DAY).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let renewed = ca.leaf_at(Some("shop.localhost"), now + 60 * DAY).unwrap();
        assert_eq!(names(&renewed).1, now + 150 * DAY);
        let later = ca.leaf_at(Some("shop.localhost"), now + 61 * DAY).unwrap();
        assert!(Arc::ptr_eq(&renewed, &later));
        assert_eq!(ca.leaves.lock().order.len(), 1);
        assert_eq!(names(&ca.leaf(None).unwrap()).0.len(), 3);
        assert_eq!(names(&ca.leaf(Some("localhost")).unwrap()).0.len(), 3);
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let ca = DevCa::open(dir.path()).unwrap();
        for i in 0..LARGEST_CACHE + 50 {
            assert!(ca.leaf(Some(&format!("n{i}.test"))).is_some());
        }
        let leaves = ca.leaves.lock();
        assert_eq!((leaves.by_name.len(), leaves.order.len()), (LARGEST_CACHE, LARGEST_CACHE));
        assert!(!leaves.by_name.contains_key("n49.test"));
        assert!(leaves.by_name.contains_key("n50.test"));
    }

    #[test]
    fn the_directory_follows_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().join("certs");
        let choose = |set: &[(&str, &str)]| {
            let var = |name: &str| {
                set.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
            };
            choose_dir(var, &here).map(|dir| dir.to_str().unwrap().to_owned())
        };
        let all = [("STATE_DIRECTORY", "/s:/t"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(choose(&all).as_deref(), Some("/s"));
        assert_eq!(choose(&all[1..]).as_deref(), Some("/x/tidegate"));
        assert_eq!(choose(&all[2..]).as_deref(), Some("/h/.local/share/tidegate"));
        assert_eq!(choose(&[]), None);
        fs::create_dir(&here).unwrap();
        assert_eq!(choose(&all).as_deref(), here.to_str());
        assert_eq!(choose(&[("TIDEGATE_CERTS", "/c")]).as_deref(), Some("/c"));
    }
}
