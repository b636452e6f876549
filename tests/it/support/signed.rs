//! Senders that sign their requests (RFC 9421). They write what they sign by hand, and know nothing of how
//! the gateway does that.

use aws_lc_rs::{digest, hmac, signature::Ed25519KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::issuer::now;

/// What a sender signs with.
pub(crate) enum Signer {
    Secret(&'static str),
    Ed25519(Ed25519KeyPair),
}

/// A request that is going to be signed.
pub(crate) struct Draft<'d> {
    pub(crate) method: &'d str,
    pub(crate) authority: &'d str,
    pub(crate) path: &'d str,
    pub(crate) query: &'d str,
    pub(crate) body: Option<&'d [u8]>,
    pub(crate) params: String,
}

// === impl Signer ===

impl Signer {
    fn sign(&self, text: &str) -> String {
        let bytes = match self {
            Self::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
        };
        STANDARD.encode(bytes)
    }
}

/// The `Content-Digest` of a body.
pub(crate) fn digest_of(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest::digest(&digest::SHA256, body)))
}

// === impl Draft ===

impl Draft<'_> {
    /// A GET, signed now by the key `k1`.
    pub(crate) fn get(path: &'static str) -> Self {
        let params = format!(";created={};keyid=\"k1\"", now());
        Draft { method: "GET", authority: "api.example", path, query: "", body: None, params }
    }

    /// The same with a body.
    pub(crate) fn post(path: &'static str, body: &'static [u8]) -> Self {
        Draft { method: "POST", body: Some(body), ..Self::get(path) }
    }

    /// The fields to send.
    pub(crate) fn signed(&self, signer: &Signer) -> Vec<String> {
        let mut fields = Vec::new();
        let mut names = vec!["@method", "@authority", "@path"];
        let mut text = format!(
            "\"@method\": {}\n\"@authority\": {}\n\"@path\": {}\n",
            self.method, self.authority, self.path
        );
        if !self.query.is_empty() {
            names.push("@query");
            text.push_str(&format!("\"@query\": ?{}\n", self.query));
        }
        if let Some(body) = self.body {
            names.push("content-digest");
            text.push_str(&format!("\"content-digest\": {}\n", digest_of(body)));
            fields.push(format!("Content-Digest: {}", digest_of(body)));
        }
        let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let params = format!("({}){}", names.join(" "), self.params);
        text.push_str(&format!("\"@signature-params\": {params}"));
        fields.push(format!("Signature-Input: sig1={params}"));
        fields.push(format!("Signature: sig1=:{}:", signer.sign(&text)));
        fields
    }
}
