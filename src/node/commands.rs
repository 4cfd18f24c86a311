//! What the commands ask for, done by the same operations that serve requests.

use std::net::Ipv4Addr;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::api::native;
use crate::auth;
use crate::auth::accounts::create::{CreateUser, create_user};
use crate::auth::accounts::delete::delete_user;
use crate::auth::accounts::disable::set_disabled;
use crate::auth::accounts::identity::Login;
use crate::auth::accounts::import::{ImportUser, validate_import};
use crate::auth::api_keys;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::sessions::open::{ExtraClaims, RequestContext, open_session};
use crate::auth::signing_keys;
use crate::auth::signing_keys::KeyringError;
use crate::cli::{CliError, House, Key, NewAccount, NewApiKey, NewSession, Record};
use crate::id::UserId;
use crate::store::Accounts;
use crate::store::accounts::{ApiKey, Find, NewUser, PasswordHash, User};
use crate::token::keyring::pem;
use crate::token::keyring::ring::{self, Refused, Ring, State};

/// The node of a command: no workers, nothing beside it.
pub(super) struct Opened(pub(super) Context);

#[async_trait]
impl House for Opened {
    fn accounts(&self) -> &dyn Accounts {
        &*self.0.accounts
    }

    async fn find(&self, who: &str) -> Result<Option<User>, CliError> {
        let user = match (UserId::parse(who), Login::parse(who)) {
            (Some(id), _) => self.0.accounts.user(Find::Id(id)).await?,
            (None, Some(Login::Email(email))) => self.0.accounts.user(Find::Email(email.as_str())).await?,
            (None, Some(Login::Username(name))) => self.0.accounts.user(Find::UsernameKey(name.key())).await?,
            (None, None) => None,
        };
        Ok(user)
    }

    fn prepare(&self, record: &Record) -> Result<NewUser, String> {
        let imported = ImportUser {
            id: record.id,
            email: record.email.clone(),
            username: record.username.clone(),
            full_name: record.full_name.clone(),
            password_hash: record.password_hash.clone().map(PasswordHash),
            verified: record.verified,
            disabled: record.disabled,
            superuser: record.superuser,
            roles: record.roles.clone(),
            created_at: record.created_at,
        };
        validate_import(&self.0, imported).map_err(|fault| fault.to_string())
    }

    async fn create_user(&self, account: NewAccount) -> Result<User, CliError> {
        let NewAccount { record, password } = account;
        let wanted = CreateUser {
            email: record.email,
            username: record.username,
            full_name: record.full_name,
            password: password.map(|text| Password::new(text.to_string())),
            verified: record.verified,
            disabled: false,
            superuser: record.superuser,
            roles: record.roles,
        };
        Ok(create_user(&self.0, wanted, self.0.node.password_policy).await?)
    }

    async fn set_disabled(&self, user: UserId, disabled: bool) -> Result<Option<User>, CliError> {
        present(set_disabled(&self.0, user, disabled).await)
    }

    async fn delete_user(&self, user: UserId) -> Result<bool, CliError> {
        Ok(present(delete_user(&self.0, user).await)?.is_some())
    }

    async fn draw_password(&self) -> Result<(Zeroizing<String>, PasswordHash), CliError> {
        let drawn = Zeroizing::new(URL_SAFE_NO_PAD.encode(*Zeroizing::new(self.0.node.rng.bytes::<18>())));
        let hash = self.0.node.hasher.hash(&Password::new(drawn.to_string())).await;
        Ok((drawn, hash.map_err(auth::Error::from)?))
    }

    async fn open_session(&self, user: &User) -> Result<NewSession, CliError> {
        let here = Ipv4Addr::LOCALHOST.into();
        let request_ctx = RequestContext {
            dialect: native::NAME,
            dialect_config: &self.0.node.config.api.native,
            client_ip: here,
            rate_limit_ip: here,
            user_agent: Some("signet seed"),
            language: None,
            extra_claims: ExtraClaims::Nothing,
        };
        let now = self.0.now();
        let pair = open_session(&self.0, user, None, request_ctx).await?;
        Ok(NewSession {
            id: pair.session.id,
            access: Zeroizing::new(pair.access),
            access_until: now + pair.access_lives,
            refresh: Zeroizing::new(pair.refresh),
        })
    }

    async fn keys(&self) -> Result<Vec<Key>, CliError> {
        let keys = self.0.node.keyring.keys();
        let ring = keys.ring();
        let mut shown = ring.keys.iter().map(|key| self.shown(ring, key)).collect::<Vec<_>>();
        shown.sort_by_key(|key| (key.state != "signing", std::cmp::Reverse(key.announced_at)));
        Ok(shown)
    }

    async fn rotate_keys(&self) -> Result<Key, CliError> {
        let key = signing_keys::rotate(&self.0).await?;
        Ok(self.shown(self.0.node.keyring.keys().ring(), &key))
    }

    async fn revoke_key(&self, kid: &str) -> Result<Option<Key>, CliError> {
        match signing_keys::revoke(&self.0, kid).await {
            Ok(()) => Ok(self.keys().await?.into_iter().find(|key| key.kid == kid)),
            Err(KeyringError::Refused(Refused::UnknownKey)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn import_key(&self, pem: &str) -> Result<Key, CliError> {
        let key = signing_keys::import(&self.0, pem).await?;
        Ok(self.shown(self.0.node.keyring.keys().ring(), &key))
    }

    async fn export_key(&self, kid: &str) -> Result<Option<Zeroizing<String>>, CliError> {
        let keys = self.0.node.keyring.keys();
        let key = keys.ring().keys.iter().find(|key| key.kid == kid);
        Ok(key.map(pem::write).transpose().map_err(KeyringError::from)?)
    }

    async fn create_api_key(&self, new: NewApiKey) -> Result<(ApiKey, Zeroizing<String>), CliError> {
        let day = Duration::from_secs(86_400);
        let wanted = api_keys::CreateApiKey {
            user: new.user,
            project: new.project,
            name: new.name,
            scopes: new.scopes,
            expires_at: new.expires_in_days.map(|days| self.0.now() + day * days),
        };
        let (row, key) = api_keys::create(&self.0, wanted).await?;
        Ok((row, Zeroizing::new(key.reveal().to_owned())))
    }

    async fn deactivate_api_key(&self, key: &ApiKey) -> Result<Option<ApiKey>, CliError> {
        present(api_keys::deactivate(&self.0, key.project, key.id).await)
    }
}

impl Opened {
    fn shown(&self, ring: &Ring, key: &ring::Key) -> Key {
        let lives = self.0.node.key_lifetimes();
        let state = match ring.state(key, self.0.now(), &lives) {
            State::Announced => "announced",
            State::Signing => "signing",
            State::VerifyOnly | State::Gone => "verify-only",
            State::Revoked => "revoked",
        };
        Key {
            kid: key.kid.clone(),
            state,
            announced_at: key.announced_at,
            signs_from: Some(key.signs_from),
            verifies_until: ring.verifies_until(key, self.0.now(), &lives),
        }
    }
}

/// What is not there is an answer here, not a failure.
fn present<T>(answer: Result<T, auth::Error>) -> Result<Option<T>, CliError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(auth::Error::NotFound) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

impl From<auth::Error> for CliError {
    fn from(failure: auth::Error) -> Self {
        let remedy = match &failure {
            auth::Error::Unavailable(error) => return Self::Store(error.clone()),
            auth::Error::EmailTaken | auth::Error::UsernameTaken => "`signet users show` tells who has it",
            auth::Error::WeakPassword(_) => "choose another; [passwords] in config.toml says what is accepted",
            _ => "nothing was changed",
        };
        Self::Refused { what: failure.to_string(), remedy: remedy.to_owned() }
    }
}

impl From<KeyringError> for CliError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Store(error) => Self::Store(error),
            error => Self::Refused { what: error.to_string(), remedy: "the keyring is as it was".to_owned() },
        }
    }
}
