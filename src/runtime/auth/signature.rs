//! Makes `signature` of what the file says.

use std::{path::PathBuf, sync::Arc};

use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

use super::{File, Schemes, loaded};
use crate::{
    auth::signature::{Keys, KeysFile, Known, Signatures, Written},
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{AuthPolicy, KeyMaterial, Located, Mode, Signature, SignatureKey, SignatureKeys},
    },
    tls,
};

/// One RSA key of 8,192 bits has a few KiB.
const LARGEST_KEY: u64 = 64 << 10;

impl Schemes {
    pub(super) fn signature(
        &self,
        settings: &Signature,
        policy: &AuthPolicy,
        found: &mut Diagnostics,
    ) -> Option<Signatures> {
        let keys = match &settings.keys {
            SignatureKeys::Inline(keys) => Known::Fixed(signers(keys, found)?),
            SignatureKeys::File(path) => {
                let parse = Keys::parse_file;
                let file = KeysFile::load(path.value.clone(), parse);
                let file = loaded(file, path, found)?;
                self.files.lock().push(File::Signers(Arc::clone(&file)));
                Known::File(file)
            }
        };
        Some(Signatures {
            policy: Arc::clone(&policy.policy),
            rules: settings.rules.clone(),
            keys,
            nonces: Arc::clone(&self.context.nonces),
            enforced: policy.mode == Mode::Enforce,
        })
    }
}

/// The keys of the file; those that are public are read from files of their own.
fn signers(written: &[SignatureKey], found: &mut Diagnostics) -> Option<Keys> {
    let mut keys = Keys::none();
    let before = found.items.len();
    for SignatureKey { consumer, id, material, algorithm, place } in written {
        let added = match material {
            KeyMaterial::Secret(secret) => keys.add(consumer, id, Written::Secret(&secret.0)),
            KeyMaterial::Public(path) => public_key(path)
                .and_then(|der| keys.add(consumer, id, Written::Public(&der, *algorithm))),
        };
        if let Err(why) = added {
            // Not the path: who puts a secret there by mistake would find it in a log.
            let message = format!("the key of consumer `{consumer}`: {why}");
            found.push(Diagnostic::error(*place, message));
        }
    }
    (found.items.len() == before).then_some(keys)
}

fn public_key(path: &Located<PathBuf>) -> Result<Vec<u8>, String> {
    let pem = tls::read(path, LARGEST_KEY).map_err(|_| "its file cannot be read")?;
    let der = SubjectPublicKeyInfoDer::from_pem_slice(&pem)
        .map_err(|_| "its file holds no PUBLIC KEY in PEM form")?;
    Ok(der.to_vec())
}
