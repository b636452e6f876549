//! A token and the keys it is verified with, for a gateway that lets only those pass who have one.

use std::{fs, path::Path, time::SystemTime};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use crate::Failure;

/// Writes `keys.json` and `token`, an ES256 token for an hour.
pub(crate) fn write(directory: &Path) -> Result<(), Failure> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let key = json!({ "kty": "EC", "crv": "P-256", "kid": "1", "x": part(x), "y": part(y) });
    fs::write(directory.join("keys.json"), json!({ "keys": [key] }).to_string())?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let header = json!({ "alg": "ES256", "kid": "1", "typ": "JWT" }).to_string();
    // As long as those of a provider are.
    let claims = json!({
        "iss": "https://idp.example.com/realms/shop",
        "aud": ["orders", "account"],
        "sub": "5f0c4c0e-7c3c-4f3a-9a39-3f6c2c8f3f5a",
        "exp": now + 3600,
        "iat": now,
        "jti": "b0f6d5a0-3d1e-4a3e-8a0f-5a1d2f1c9e77",
        "azp": "shop-app",
        "scope": "openid profile email orders.read",
        "email": "ann@example.com",
        "realm_access": { "roles": ["offline_access", "user"] },
    });
    let signed = format!("{}.{}", part(header.as_bytes()), part(claims.to_string().as_bytes()));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes())?;
    fs::write(directory.join("token"), format!("{signed}.{}", part(signature.as_ref())))?;
    Ok(())
}
