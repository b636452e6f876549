//! `tidegate hash`: what stands in the file for a password or an API key, and new keys. The secret
//! comes from standard input or is typed; never from the arguments, which everybody can see.

mod terminal;

use std::{
    ffi::{OsStr, OsString},
    io::{self, IsTerminal, Read},
    process::ExitCode,
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::builder::FalseyValueParser;

use super::{complain, exit, say};
use crate::auth::{
    api_key,
    password::{
        basic::LONGEST_PASSWORD,
        hash::{BCRYPT_SEES, COST, Hash, LEAST_COST, MOST_COST},
    },
};

/// Bytes that are read before it is clear that this is no secret.
const LONGEST: u64 = 64 << 10;

const EXPOSED: &str =
    "error: a secret does not belong in the arguments: everybody on this machine \
                       can see them, and the shell keeps them
  = help: run `tidegate hash` and type it, or `tidegate hash < FILE`; take the one you wrote for \
                       known, and choose another";

/// Arguments of `hash`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The secret is read from standard input, one line, or typed without being shown."
)]
pub(super) struct Arguments {
    /// Of a password, for other programs: bcrypt, as in htpasswd files [default cost: 12]
    #[arg(
        long, value_name = "COST", num_args = 0..=1, default_missing_value = "",
        env = "TIDEGATE_BCRYPT", conflicts_with_all = ["sha256", "new_key"],
    )]
    bcrypt: Option<OsString>,
    /// Of an API key, for `keys` and `keys_file` with `hash: sha256`
    #[arg(
        long, env = "TIDEGATE_SHA256", value_parser = FalseyValueParser::new(),
        conflicts_with = "new_key",
    )]
    sha256: bool,
    /// Print a new API key, and its line for `keys_file` with `hash: sha256`; reads nothing
    #[arg(long, env = "TIDEGATE_NEW_KEY", value_parser = FalseyValueParser::new())]
    new_key: bool,
    /// Taken only to say why it is not
    #[arg(hide = true)]
    exposed: Vec<OsString>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Argon2id,
    Bcrypt(u32),
    Sha256,
}

pub(super) fn hash(arguments: &Arguments) -> ExitCode {
    if !arguments.exposed.is_empty() {
        complain(EXPOSED);
        return ExitCode::from(2);
    }
    if arguments.new_key {
        let (key, hash) = new_key();
        say(&format!(
            "# for the consumer; it is kept nowhere\n{key}\n# for keys_file\nCONSUMER {hash}"
        ));
        return ExitCode::SUCCESS;
    }
    let form = match (arguments.bcrypt.as_deref().map(cost), arguments.sha256) {
        (Some(Some(cost)), _) => Form::Bcrypt(cost),
        (Some(None), _) => {
            // It is not shown: it may be the secret.
            complain(&format!(
                "error: the cost of bcrypt is a number from {LEAST_COST} to {MOST_COST}, and the \
                 only value `--bcrypt` takes"
            ));
            return ExitCode::from(2);
        }
        (None, true) => Form::Sha256,
        (None, false) => Form::Argon2id,
    };
    match secret().and_then(|secret| hashed(form, &secret)) {
        Ok(line) => {
            say(&line);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

fn cost(text: &OsStr) -> Option<u32> {
    if text.is_empty() {
        return Some(COST);
    }
    let cost = text.to_str()?.parse().ok()?;
    (LEAST_COST..=MOST_COST).contains(&cost).then_some(cost)
}

/// A new key and its hash. The beginning tells those who find it somewhere what it is.
fn new_key() -> (String, String) {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).expect("the system has random numbers");
    let key = format!("tg_{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = sha256(&key);
    (key, hash)
}

fn sha256(secret: &str) -> String {
    let hash = digest(&SHA256, secret.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What stands in the file for this secret.
///
/// # Errors
/// No request could carry this secret, or not all of it would count.
fn hashed(form: Form, secret: &str) -> Result<String, String> {
    if secret.is_empty() {
        return Err("there is no secret on standard input".to_owned());
    }
    if secret.contains(char::is_control) {
        return Err("a secret is one line without control characters".to_owned());
    }
    if form != Form::Sha256 && secret.len() > LONGEST_PASSWORD {
        return Err(format!("a password has at most {LONGEST_PASSWORD} bytes"));
    }
    match form {
        Form::Argon2id => Ok(Hash::argon2id(secret)),
        Form::Bcrypt(_) if secret.len() > BCRYPT_SEES => {
            Err(format!("bcrypt takes {BCRYPT_SEES} bytes of a password; leave `--bcrypt` out"))
        }
        Form::Bcrypt(cost) => Ok(Hash::bcrypt(secret, cost)),
        Form::Sha256 => match api_key::flaw(secret) {
            Some(why) => Err(why.to_string()),
            None => Ok(sha256(secret)),
        },
    }
}

/// The secret, typed twice or read, without the end of its line.
fn secret() -> Result<String, String> {
    let stdin = io::stdin();
    let bytes = if stdin.is_terminal() {
        let first = terminal::hidden("Secret: ")?;
        if first != terminal::hidden("Again: ")? {
            return Err("these are two different secrets".to_owned());
        }
        first
    } else {
        let mut bytes = Vec::new();
        let read = stdin.lock().take(LONGEST).read_to_end(&mut bytes);
        read.map_err(|error| format!("cannot read standard input: {error}"))?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            bytes.pop_if(|last| *last == b'\r');
        }
        bytes
    };
    String::from_utf8(bytes).map_err(|_| "the secret is not UTF-8 text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{api_key::Keys, password::Users},
        config::model::Name,
    };

    #[test]
    fn what_is_made_is_what_the_gateway_takes() {
        for form in [Form::Argon2id, Form::Bcrypt(10)] {
            let line = hashed(form, "correct horse").unwrap();
            assert_eq!(Hash::parse(&line).unwrap().verify("correct horse"), Ok(true), "{line}");
            assert!(Users::new([("a", &*line)]).unwrap().warnings().is_empty());
        }
        let (key, hash) = new_key();
        assert_eq!(hashed(Form::Sha256, &key).unwrap(), hash);
        let form = api_key::Form::Sha256;
        let keys = Keys::parse_file("keys", &format!("acme {hash}"), form).unwrap();
        assert_eq!(keys.consumer_of(key.as_bytes()), Some(&Name::from("acme")));
        Keys::parse_file("keys", &format!("acme {key}"), api_key::Form::Plain).unwrap();
        assert!(key.starts_with("tg_") && key.len() == 46 && new_key().0 != key, "{key}");
    }

    #[test]
    fn what_no_request_could_carry_is_refused() {
        for form in [Form::Argon2id, Form::Bcrypt(10), Form::Sha256] {
            for wrong in ["", "two\nlines", "a\0b", &"x".repeat(10_000)] {
                assert!(hashed(form, wrong).is_err(), "{form:?} {wrong:?}");
            }
        }
        assert_eq!(
            hashed(Form::Sha256, "too_short"),
            Err("a secret has at least 16 characters".into())
        );
        let long = "x".repeat(BCRYPT_SEES + 1);
        assert!(hashed(Form::Bcrypt(10), &long).unwrap_err().contains("72 bytes"));
        assert!(hashed(Form::Bcrypt(10), &long[1..]).is_ok());
    }

    #[test]
    fn costs_are_numbers_that_make_sense() {
        let read = |text: &str| cost(OsStr::new(text));
        assert_eq!((read(""), read("10"), read("15")), (Some(12), Some(10), Some(15)));
        for wrong in ["9", "16", "-1", "hunter2", "10 ", "99999999999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
