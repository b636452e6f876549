//! Makes of `auth` what can be asked. A policy that several routes name is made once, and a file of keys
//! is followed as long as a configuration with it runs.

mod jwt;
mod signature;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::{runtime::Handle, task::JoinHandle};

pub(crate) use self::jwt::Issuers;
use self::jwt::Trusted;
use super::{Context, asked::Askers};
use crate::{
    auth::{
        Scheme,
        api_key::{self, Keys, KeysFile, Known},
        asked::introspection::{self, Credentials, Introspection, SecretFile},
        client_cert::ClientCert,
        jwt::{KeySet, Remote, SetFile},
        oidc::{
            cookies::Jar,
            provider::{self, Provider},
            scheme::Oidc,
            seal::Keyring,
        },
        password::{BasicAuth, KnownUsers, Users, UsersFile},
        signature::{Keys as SignatureKeys, KeysFile as SignersFile},
    },
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{
            self, ApiKey, ApiKeys, AuthPolicy, AuthScheme, Basic, BasicUsers, Client, ClientSecret,
            Located, Mode, Name,
        },
    },
};

/// What one configuration asks.
#[derive(Debug)]
pub(crate) struct Schemes {
    /// By name; those in their place may have one name and be different.
    made: Mutex<HashMap<Name, Vec<Made>>>,
    files: Mutex<Vec<File>>,
    remotes: Mutex<Vec<Trusted>>,
    providers: Mutex<Vec<Arc<Provider>>>,
    context: Context,
    pub(super) askers: Askers,
}

#[derive(Debug)]
enum File {
    Keys(Arc<KeysFile>),
    Users(Arc<UsersFile>),
    Sets(Arc<SetFile>),
    Signers(Arc<SignersFile>),
    Secret(Arc<SecretFile>),
}

type Made = (Arc<AuthPolicy>, Arc<dyn Scheme>);

/// Follows the files of the configuration that runs.
#[derive(Debug)]
pub(super) struct Following {
    handle: Handle,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Those that go on over a reload.
    fetching: Mutex<Vec<(Arc<Remote>, JoinHandle<()>)>>,
}

// === impl Schemes ===

impl Schemes {
    /// None yet. `askers` ask services.
    pub(super) fn new(context: &Context, askers: Askers) -> Self {
        Self {
            made: Mutex::default(),
            files: Mutex::default(),
            remotes: Mutex::default(),
            providers: Mutex::default(),
            context: context.clone(),
            askers,
        }
    }

    /// The scheme of a policy.
    pub(crate) fn of(
        &self,
        policy: &Arc<AuthPolicy>,
        found: &mut Diagnostics,
    ) -> Option<Arc<dyn Scheme>> {
        let mut made = self.made.lock();
        let same = made.entry(Arc::clone(&policy.policy)).or_default();
        if let Some((_, scheme)) = same.iter().find(|(known, _)| **known == **policy) {
            return Some(Arc::clone(scheme));
        }
        let scheme: Arc<dyn Scheme> = match &policy.scheme {
            AuthScheme::ApiKey(settings) => Arc::new(self.api_key(settings, found)?),
            AuthScheme::Basic(settings) => Arc::new(self.basic(settings, found)?),
            AuthScheme::External(settings) => Arc::new(self.askers.external(policy, settings)?),
            AuthScheme::ExtAuthz(settings) => Arc::new(self.askers.ext_authz(policy, settings)?),
            AuthScheme::Introspection(settings) => {
                Arc::new(self.introspection(policy, settings, found)?)
            }
            AuthScheme::Jwt(settings) => Arc::new(self.jwt(settings, found)?),
            AuthScheme::Oidc(settings) => Arc::new(self.oidc(policy, settings, found)?),
            AuthScheme::ClientCert(settings) => Arc::new(ClientCert::new(settings)),
            AuthScheme::Signature(settings) => Arc::new(self.signature(settings, policy, found)?),
        };
        same.push((Arc::clone(policy), Arc::clone(&scheme)));
        Some(scheme)
    }

    fn api_key(&self, settings: &ApiKey, found: &mut Diagnostics) -> Option<api_key::ApiKeys> {
        let form = settings.form;
        let keys = match &settings.keys {
            ApiKeys::Inline(keys) => {
                let written =
                    keys.iter().map(|(name, secret)| (Arc::clone(name), secret.value.0.as_str()));
                // Judged where they were read.
                Known::Fixed(Box::new(Keys::new(written, form).ok()?))
            }
            ApiKeys::File(path) => {
                let parse = move |name: &str, text: &str| Keys::parse_file(name, text, form);
                let file = loaded(KeysFile::load(path.value.clone(), parse), path, found)?;
                self.files.lock().push(File::Keys(Arc::clone(&file)));
                Known::File(file)
            }
        };
        Some(api_key::ApiKeys { from: settings.from.clone(), keys, pass_key: settings.pass_key })
    }

    fn basic(&self, settings: &Basic, found: &mut Diagnostics) -> Option<BasicAuth> {
        let users = match &settings.users {
            BasicUsers::Inline(users) => {
                let written = users.iter().map(|(user, hash)| (&**user, hash.value.0.as_str()));
                KnownUsers::Fixed(Arc::new(Users::new(written).ok()?))
            }
            BasicUsers::File(path) => {
                let file = UsersFile::load(path.value.clone(), Users::parse_htpasswd);
                let file = loaded(file, path, found)?;
                for (user, warning) in file.now().warnings() {
                    let message = format!("user `{user}`: {warning}");
                    found.push(Diagnostic::warning(path.place, message));
                }
                self.files.lock().push(File::Users(Arc::clone(&file)));
                KnownUsers::File(file)
            }
        };
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", settings.realm);
        Some(BasicAuth {
            users,
            verifier: Arc::clone(&self.context.passwords),
            challenge: HeaderValue::try_from(challenge).ok()?,
            pass_credentials: settings.pass_credentials,
        })
    }

    fn oidc(
        &self,
        policy: &AuthPolicy,
        settings: &model::Oidc,
        found: &mut Diagnostics,
    ) -> Option<Oidc> {
        let provider = provider::Settings {
            issuer: settings.issuer.value.clone(),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
        };
        let provider = self.context.logins.provider(provider, &settings.tls);
        let provider = provider.map_err(|wrong| found.items.extend(wrong)).ok()?;
        self.providers.lock().push(Arc::clone(&provider));
        let owner = [&*policy.policy, &*settings.issuer.value, &*settings.client_id];
        let challenge = format!("Cookie realm=\"{}\"", policy.policy);
        Some(Oidc {
            name: policy.policy.to_string(),
            provider,
            renewals: Arc::clone(&self.context.logins.renewals),
            jar: Jar::new(settings.cookie.clone()),
            keys: Keyring::new(&owner, settings.secrets.iter().map(|secret| &*secret.0)),
            limits: settings.limits,
            keep: settings.claims.clone().map(Arc::new),
            wanted: settings.wanted.clone(),
            tells: settings.wanted.pass_claims.iter().map(|(name, _)| name.clone()).collect(),
            urls: settings.urls.clone(),
            scope: settings.scopes.join(" "),
            parameters: settings.parameters.clone(),
            enforced: policy.mode == Mode::Enforce,
            challenge: HeaderValue::try_from(challenge).ok()?,
        })
    }
}

impl Schemes {
    fn introspection(
        &self,
        policy: &Arc<AuthPolicy>,
        settings: &model::Introspection,
        found: &mut Diagnostics,
    ) -> Option<Introspection> {
        let credentials = match &settings.client {
            None => Credentials::None,
            Some(Client { id, secret: ClientSecret::Inline(secret) }) => {
                Credentials::Fixed(introspection::basic(id, &secret.0)?)
            }
            Some(Client { id, secret: ClientSecret::File(path) }) => {
                let id = id.clone();
                let parse = move |name: &str, text: &str| {
                    let secret = introspection::secret(name, text)?;
                    introspection::basic(&id, &secret).ok_or_else(|| format!("{name}: too large"))
                };
                let file = loaded(SecretFile::load(path.value.clone(), parse), path, found)?;
                self.files.lock().push(File::Secret(Arc::clone(&file)));
                Credentials::File(file)
            }
        };
        self.askers.introspection(policy, settings, credentials)
    }
}

/// A file that was read, or the reason why the configuration is refused.
fn loaded<T>(
    file: Result<T, String>,
    path: &Located<PathBuf>,
    found: &mut Diagnostics,
) -> Option<Arc<T>> {
    file.map(Arc::new).map_err(|why| found.push(Diagnostic::error(path.place, why))).ok()
}

// === impl Following ===

impl Following {
    /// Follows nothing yet. Tasks will run on `handle`.
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, tasks: Mutex::default(), fetching: Mutex::default() }
    }

    /// Follows the files of this configuration, and no others.
    pub(super) fn follow(&self, schemes: &Schemes) {
        let mut tasks = self.tasks.lock();
        tasks.drain(..).for_each(|task| task.abort());
        for provider in &*schemes.providers.lock() {
            // So that the first login need not wait, and the log says at once if nobody can log in.
            let provider = Arc::clone(provider);
            tasks.push(self.handle.spawn(async move {
                let _ = provider.known().await;
            }));
        }
        for file in &*schemes.files.lock() {
            tasks.push(match file {
                File::Keys(file) => {
                    let told = |said: Result<&Keys, &str>| tell(said.map(Keys::len), "API keys");
                    self.handle.spawn(Arc::clone(file).follow(told))
                }
                File::Users(file) => {
                    let told = |said: Result<&Users, &str>| tell(said.map(Users::len), "users");
                    self.handle.spawn(Arc::clone(file).follow(told))
                }
                File::Secret(file) => self.handle.spawn(Arc::clone(file).follow(tell_secret)),
                File::Sets(file) => {
                    let told = |said: Result<&KeySet, &str>| tell(said.map(KeySet::len), "keys");
                    self.handle.spawn(Arc::clone(file).follow(told))
                }
                File::Signers(file) => {
                    let told = |said: Result<&SignatureKeys, &str>| {
                        tell(said.map(SignatureKeys::len), "keys that sign");
                    };
                    self.handle.spawn(Arc::clone(file).follow(told))
                }
            });
        }
        self.fetch(&schemes.remotes.lock());
    }

    /// Follows nothing any more.
    pub(super) fn end(&self) {
        self.tasks.lock().drain(..).for_each(|task| task.abort());
        self.fetch(&[]);
    }
}

fn tell_secret(said: Result<&HeaderValue, &str>) {
    tell(said.map(|_| 1), "secrets of clients");
}

fn tell(said: Result<usize, &str>, what: &str) {
    match said {
        Ok(count) => tracing::info!(count, "{what} were read again"),
        Err(error) => tracing::warn!(error, "{what} stay as they were"),
    }
}
