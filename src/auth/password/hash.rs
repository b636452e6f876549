//! Hashes of passwords: Argon2id (RFC 9106) as PHC strings and bcrypt as htpasswd writes it. What
//! would let passwords out, or would cost the gateway more than it can give, is refused at load.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, SHA256_OUTPUT_LEN, digest},
    rand,
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// KiB of memory that one verification may take.
const MOST_MEMORY: u32 = 256 << 10;

/// Passes over it.
const MOST_PASSES: u32 = 64;

/// KiB times passes: the time it takes. This is about a second.
const MOST_WORK: u32 = 1 << 20;

const MOST_LANES: u32 = 64;

/// OWASP's lowest: 7 MiB with 5 passes. More memory takes fewer.
const LEAST_MEMORY: u32 = 7168;
const LEAST_WORK: u32 = 35_840;

/// What new hashes are made with, as OWASP says.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;

/// Two to this many rounds. 15 is about two seconds.
pub(crate) const MOST_COST: u32 = 15;
pub(crate) const LEAST_COST: u32 = 10;
pub(crate) const COST: u32 = 12;

/// Below this bcrypt is not defined.
const LEAST_DEFINED: u32 = 4;

/// All that bcrypt sees of a password.
pub(crate) const BCRYPT_SEES: usize = 72;

const NEW: &str = "make a new one with `tidegate hash` or `htpasswd -nB -C 12 USER`";

/// The hash of one password.
pub(crate) struct Hash {
    kind: Kind,
    /// Of the whole text: another hash of the same password is another hash.
    id: [u8; SHA256_OUTPUT_LEN],
}

enum Kind {
    Argon2id { params: Params, salt: Box<[u8]>, output: Box<[u8]> },
    Bcrypt { cost: u32, salt: [u8; 16], output: [u8; 23] },
}

/// What a verification costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cost {
    Argon2id { memory: u32, passes: u32, lanes: u32 },
    Bcrypt(u32),
}

// === impl Hash ===

impl Hash {
    /// Reads a hash.
    ///
    /// # Errors
    /// Why it is refused. Nothing of the text is in it: it may be the password itself.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let kind = if let Some(rest) = text.strip_prefix("$argon2id$") {
            argon2id(rest)?
        } else if let Some(rest) =
            ["$2y$", "$2b$", "$2a$"].iter().find_map(|p| text.strip_prefix(p))
        {
            bcrypt(rest)?
        } else {
            return Err(format!("{}; {NEW}", refusal(text)));
        };
        Ok(Self { kind, id: sha256(text) })
    }

    /// A new one, of Argon2id.
    pub(crate) fn argon2id(password: &str) -> String {
        let mut salt = [0; 16];
        fill(&mut salt);
        let params = Params::new(MEMORY, PASSES, 1, Some(32)).expect("they are within the limits");
        let output = run_argon2id(&params, &salt, password).expect("there is memory");
        let [salt, output] = [&salt[..], &output].map(|bytes| STANDARD_NO_PAD.encode(bytes));
        format!("$argon2id$v=19$m={MEMORY},t={PASSES},p=1${salt}${output}")
    }

    /// A new one, of bcrypt.
    pub(crate) fn bcrypt(password: &str, cost: u32) -> String {
        let mut salt = [0; 16];
        fill(&mut salt);
        let output = run_bcrypt(cost, salt, password);
        let [salt, output] = [&salt[..], &output].map(|bytes| bcrypt::BASE_64.encode(bytes));
        format!("$2y${cost:02}${salt}{output}")
    }

    /// Whether this is the hash of `password`. It takes long.
    ///
    /// # Errors
    /// There was no memory to find out.
    pub(crate) fn verify(&self, password: &str) -> Result<bool, OutOfMemory> {
        match &self.kind {
            Kind::Argon2id { params, salt, output } => {
                let found = run_argon2id(params, salt, password)?;
                Ok(verify_slices_are_equal(&found, output).is_ok())
            }
            Kind::Bcrypt { cost, salt, output } => {
                let found = run_bcrypt(*cost, *salt, password);
                Ok(verify_slices_are_equal(&found, output).is_ok())
            }
        }
    }

    /// What an operator should know of it.
    pub(crate) fn warning(&self) -> Option<String> {
        match self.cost() {
            Cost::Argon2id { memory, passes, .. }
                if memory < LEAST_MEMORY || memory * passes < LEAST_WORK =>
            {
                Some(format!(
                    "m={memory},t={passes} is less than OWASP advises (m={MEMORY},t={PASSES}); {NEW}"
                ))
            }
            Cost::Bcrypt(cost) if cost < LEAST_COST => Some(format!(
                "a bcrypt cost of {cost} is cheap to guess, {LEAST_COST} is the least that OWASP \
                 advises; {NEW}"
            )),
            Cost::Argon2id { .. } | Cost::Bcrypt(_) => None,
        }
    }

    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }

    pub(super) fn cost(&self) -> Cost {
        match &self.kind {
            Kind::Argon2id { params, .. } => Cost::Argon2id {
                memory: params.m_cost(),
                passes: params.t_cost(),
                lanes: params.p_cost(),
            },
            Kind::Bcrypt { cost, .. } => Cost::Bcrypt(*cost),
        }
    }

    /// The hash of nothing that costs the same to verify.
    pub(super) fn dummy(&self) -> Self {
        let mut id = [0; SHA256_OUTPUT_LEN];
        fill(&mut id);
        let kind = match &self.kind {
            Kind::Argon2id { params, salt, output } => {
                let (mut salt, mut output) = (salt.clone(), output.clone());
                fill(&mut salt);
                fill(&mut output);
                Kind::Argon2id { params: params.clone(), salt, output }
            }
            Kind::Bcrypt { cost, .. } => {
                let (mut salt, mut output) = ([0; 16], [0; 23]);
                fill(&mut salt);
                fill(&mut output);
                Kind::Bcrypt { cost: *cost, salt, output }
            }
        };
        Self { kind, id }
    }
}

/// A verification could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("cost", &self.cost()).finish_non_exhaustive()
    }
}

fn sha256(text: &str) -> [u8; SHA256_OUTPUT_LEN] {
    digest(&SHA256, text.as_bytes()).as_ref().try_into().expect("this is its length")
}

fn fill(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the system has random numbers");
}

// === Argon2id ===

/// `v=19$m=…,t=…,p=…$salt$output`.
fn argon2id(rest: &str) -> Result<Kind, String> {
    let broken = || "not a whole PHC string: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`".to_owned();
    let mut parts = rest.split('$');
    let mut part = || parts.next().ok_or_else(broken);
    let (version, numbers, salt, output) = (part()?, part()?, part()?, part()?);
    if parts.next().is_some() {
        return Err(broken());
    }
    if version != "v=19" {
        return Err(format!("Argon2 of another version than 19 is not supported; {NEW}"));
    }
    let mut numbers = numbers.split(',');
    let mut number = |name: &str| {
        let text = numbers.next()?.strip_prefix(name)?.strip_prefix('=')?;
        let digits = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok())?
    };
    let (Some(memory), Some(passes), Some(lanes)) = (number("m"), number("t"), number("p")) else {
        return Err(broken());
    };
    if numbers.next().is_some() {
        return Err("Argon2 with a key or with other data is not supported".to_owned());
    }
    if memory > MOST_MEMORY {
        return Err(format!(
            "m={memory} is too much: at most {MOST_MEMORY} KiB ({} MiB)",
            MOST_MEMORY >> 10
        ));
    }
    if passes > MOST_PASSES {
        return Err(format!("t={passes} is too much: at most {MOST_PASSES} passes"));
    }
    if memory * passes > MOST_WORK {
        return Err(format!("m={memory},t={passes} is too much: m times t may be {MOST_WORK}"));
    }
    if lanes > MOST_LANES {
        return Err(format!("p={lanes} is too much: at most {MOST_LANES} lanes"));
    }
    let bytes = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| broken());
    let (salt, output) = (bytes(salt)?, bytes(output)?);
    if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&output.len()) {
        return Err("a salt has 8 to 64 bytes, a hash 16 to 64".to_owned());
    }
    let params = Params::new(memory, passes, lanes, Some(output.len()));
    let params = params.map_err(|error| format!("m={memory},t={passes},p={lanes}: {error}"))?;
    Ok(Kind::Argon2id { params, salt: salt.into(), output: output.into() })
}

fn run_argon2id(params: &Params, salt: &[u8], password: &str) -> Result<Vec<u8>, OutOfMemory> {
    let mut output = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into(password.as_bytes(), salt, &mut output)
        // The lengths were judged when it was read; memory is all that can be missing.
        .map_err(|_| OutOfMemory)?;
    Ok(output)
}

// === bcrypt ===

/// `cost$salt-and-output`.
fn bcrypt(rest: &str) -> Result<Kind, String> {
    let broken = || "not a whole bcrypt hash, which has 60 characters".to_owned();
    let (cost, rest) = rest.split_once('$').ok_or_else(broken)?;
    if cost.len() != 2 || rest.len() != 53 || !rest.is_ascii() {
        return Err(broken());
    }
    let digits = cost.bytes().all(|byte| byte.is_ascii_digit());
    let cost: u32 = digits.then(|| cost.parse().ok()).flatten().ok_or_else(broken)?;
    if cost > MOST_COST {
        return Err(format!("a bcrypt cost of {cost} takes too long: at most {MOST_COST}"));
    }
    if cost < LEAST_DEFINED {
        return Err(format!("there is no bcrypt cost of {cost}"));
    }
    let (mut salt, mut output) = ([0; 16], [0; 23]);
    let read = |text: &str, bytes: &mut [u8]| {
        let length = bcrypt::BASE_64.decode_slice(text, bytes).ok();
        (length == Some(bytes.len())).then_some(()).ok_or_else(broken)
    };
    read(&rest[..22], &mut salt)?;
    read(&rest[22..], &mut output)?;
    Ok(Kind::Bcrypt { cost, salt, output })
}

/// As every bcrypt does it: what follows the 72nd byte does not count, and a zero ends what is
/// shorter.
fn run_bcrypt(cost: u32, salt: [u8; 16], password: &str) -> [u8; 23] {
    let mut seen = password.as_bytes().to_vec();
    seen.push(0);
    seen.truncate(BCRYPT_SEES);
    let mut output = [0; 23];
    // The last byte was lost in the first implementation, and is left out since.
    output.copy_from_slice(&bcrypt::bcrypt(cost, salt, &seen)[..23]);
    output
}

// === what is refused ===

/// What this is, if it is no hash that we take.
fn refusal(text: &str) -> &'static str {
    const FORMS: [(&str, &str); 14] = [
        ("$apr1$", "`$apr1$` (MD5, what htpasswd writes without `-B`) is too weak"),
        ("$1$", "`$1$` (MD5) is too weak"),
        ("{SHA}", "`{SHA}` (SHA-1 without a salt) is too weak"),
        ("{SSHA}", "`{SSHA}` (SHA-1) is too weak"),
        ("{PLAIN}", "`{PLAIN}` is no hash but the password itself"),
        ("$5$", "`$5$` (crypt with SHA-256) is not supported"),
        ("$6$", "`$6$` (crypt with SHA-512) is not supported"),
        ("$7$", "`$7$` (scrypt) is not supported"),
        ("$y$", "`$y$` (yescrypt) is not supported"),
        ("$2x$", "`$2x$` (bcrypt with a known error) is not supported"),
        ("$2$", "`$2$` (bcrypt of the first version) is not supported"),
        ("$argon2i$", "Argon2i is not supported, Argon2id is"),
        ("$argon2d$", "Argon2d is not supported, Argon2id is"),
        ("$", "this hash is not supported"),
    ];
    let form = FORMS.iter().find(|(begin, _)| text.starts_with(begin));
    let crypt = |byte: u8| byte.is_ascii_alphanumeric() || b"./".contains(&byte);
    match form {
        Some((_, what)) => what,
        None if text.len() == 13 && text.bytes().all(crypt) => {
            "neither the password itself nor crypt with DES is a hash that keeps it"
        }
        None => "this is no hash, and perhaps the password itself",
    }
}

#[cfg(test)]
mod tests;
