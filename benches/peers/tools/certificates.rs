//! An authority and a certificate, both P-256, as `cert.pem`, `key.pem` and, for HAProxy, `both.pem`.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::Failure;

pub(crate) fn write(directory: &Path) -> Result<(), Failure> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "benches/peers");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?.pem();
    let key = key.serialize_pem();
    fs::write(directory.join("ca.pem"), authority.pem())?;
    fs::write(directory.join("cert.pem"), &certificate)?;
    fs::write(directory.join("key.pem"), &key)?;
    fs::write(directory.join("both.pem"), certificate + &key)?;
    Ok(())
}
