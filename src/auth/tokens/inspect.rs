//! Explains a credential to an administrator: its kind, its contents, and the reason why it is refused.
//!
//! Changes nothing and uses nothing up. The verdict on an access token is that of [`verify_access_token`]. The rest is
//! read separately. If the signature of a token is wrong, only its contents are shown and nothing is looked up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::verify::{VerifiedToken, VerifyError, verify_access_token};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::retention::key_policy;
use crate::auth::revocation::set::RevokedBy;
use crate::auth::sessions::list::find_session;
use crate::clock::Timestamp;
use crate::store::accounts::{ApiKey, Find, User};
use crate::store::ephemeral::Session;
use crate::token::access::{MAX_LENGTH, TokenError};
use crate::token::action::{self, ActionKind, ActionTokenError};
use crate::token::api_key;
use crate::token::keyring::key::Key;
use crate::token::keyring::ring::KeyState;
use crate::token::refresh::RefreshToken;

/// The kind of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// An access token, by its `typ`.
    AccessToken,
    /// A refresh token.
    RefreshToken,
    /// A token for one action, by its `typ`.
    ActionToken(ActionKind),
    /// An API key.
    ApiKey,
    /// Anything else.
    Unknown,
}

impl CredentialKind {
    /// The name in APIs.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::ActionToken(_) => "action_token",
            Self::ApiKey => "api_key",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a credential is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// For the reason that `/verify` gives.
    Refused(VerifyError),
    /// The session of a refresh token has ended or expired.
    SessionEnded,
    /// The refresh token was exchanged for a newer one.
    Rotated,
}

/// The revocation of a credential, and its time if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// `everyone`, `user`, `session`, `token`, `api_key` or `signing_key`.
    pub what: &'static str,
    /// When, or up to when.
    pub at: Option<Timestamp>,
}

/// Everything that is known of a credential.
pub struct Inspection {
    /// Its kind.
    pub kind: CredentialKind,
    /// The header of a JWT, as it is written.
    pub header: Option<Value>,
    /// The claims of a JWT. For an API key and a refresh token, their data in the form of claims.
    pub claims: Option<Value>,
    /// The signing key that the header names, if it is in the keyring, and its state.
    pub key: Option<(Key, KeyState)>,
    /// Why it is not accepted.
    pub refused: Option<RefusalReason>,
    /// Its session, while that is open.
    pub session: Option<Session>,
    /// The revocation, if it is refused because of one.
    pub revoked: Option<Revoked>,
    /// Its user, if the credential is authentic and the user exists.
    pub user: Option<User>,
}

impl Inspection {
    fn new(kind: CredentialKind) -> Self {
        let (header, claims, key, refused, session, revoked, user) = (None, None, None, None, None, None, None);
        Self { kind, header, claims, key, refused, session, revoked, user }
    }

    fn refused(self, error: impl Into<VerifyError>) -> Self {
        Self { refused: Some(RefusalReason::Refused(error.into())), ..self }
    }
}

impl RefusalReason {
    /// The reason as programs read it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Refused(error) => error.code(),
            Self::SessionEnded => "session_ended",
            Self::Rotated => "rotated",
        }
    }

    /// The reason in a sentence.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::SessionEnded => "Its session has ended or expired.",
            Self::Rotated => "It was exchanged for a newer refresh token. Using it again ends the session.",
            Self::Refused(VerifyError::Token(error)) => match error {
                TokenError::Malformed => "It is not complete, or no token or API key of this service.",
                TokenError::WrongType => "It is a token, but not one that gives access.",
                TokenError::UnsupportedAlgorithm => "Its header names an algorithm that its key does not have.",
                TokenError::UnknownKey | TokenError::MissingKid => {
                    "Its header names no key of this service: another one issued it, or the key is gone."
                }
                TokenError::RevokedKey => "The key that signed it was revoked.",
                TokenError::BadSignature => "Its signature is wrong: it was changed, or signed by somebody else.",
                TokenError::Expired => "It has expired.",
                TokenError::NotYetValid => "It is not valid yet.",
                TokenError::WrongIssuer => "It names another issuer.",
                TokenError::WrongAudience => "It is for an audience that the settings do not name.",
            },
            Self::Refused(VerifyError::ExpiredKey) => "It has expired.",
            Self::Refused(VerifyError::Revoked) => "It was revoked.",
            Self::Refused(VerifyError::OtherAudience) => "It is for another audience.",
            Self::Refused(VerifyError::OtherSubject) => "It was issued to another kind of subject.",
            Self::Refused(VerifyError::InsufficientScope) => "It lacks a scope.",
            Self::Refused(VerifyError::UnknownKey) => "No API key is like this.",
            Self::Refused(VerifyError::Stale) => {
                "This node may have missed revocations, and the settings say to refuse credentials then."
            }
        }
    }
}

/// Explains a credential.
pub async fn inspect(ctx: &Context, credential: &str) -> Result<Inspection, Error> {
    let credential = credential.trim();
    if api_key::has_api_key_prefix(credential) {
        return inspect_api_key(ctx, credential).await;
    }
    if let Some(refresh) = RefreshToken::parse(credential, &ctx.node.secrets) {
        return inspect_refresh_token(ctx, refresh).await;
    }
    let parts: Vec<&str> = credential.splitn(4, '.').collect();
    let header = match parts[..] {
        [header, _, _] if credential.len() <= MAX_LENGTH => decode(header),
        _ => None,
    };
    let Some(header) = header else {
        return Ok(Inspection::new(CredentialKind::Unknown).refused(TokenError::Malformed));
    };
    let typ = header["typ"].as_str().unwrap_or_default().to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    let action = ActionKind::ALL.into_iter().find(|kind| kind.typ() == typ);
    let kind = match action {
        Some(action) => CredentialKind::ActionToken(action),
        None if typ == "at+jwt" => CredentialKind::AccessToken,
        None => CredentialKind::Unknown,
    };
    let jwt = Inspection { claims: parts.get(1).and_then(|part| decode(part)), ..Inspection::new(kind) };
    let inspection = match action {
        Some(action) => inspect_action_token(ctx, credential, action, jwt),
        None => {
            let key = header["kid"].as_str().and_then(|kid| find_key(ctx, kid));
            inspect_access_token(ctx, credential, Inspection { key, ..jwt }).await?
        }
    };
    Ok(Inspection { header: Some(header), ..inspection })
}

/// Part of a JWT as JSON, if it is an object.
fn decode(part: &str) -> Option<Value> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok().filter(Value::is_object)
}

fn find_key(ctx: &Context, kid: &str) -> Option<(Key, KeyState)> {
    let keys = ctx.node.keyring.keys();
    let ring = keys.ring();
    let key = ring.keys.iter().find(|key| key.kid == kid)?;
    Some((key.clone(), ring.state(key, ctx.now(), &key_policy(&ctx.node.config))))
}

fn inspect_action_token(ctx: &Context, token: &str, kind: ActionKind, jwt: Inspection) -> Inspection {
    let node = &ctx.node;
    match action::verify::<Value>(kind, token, ctx.now(), &node.config.tokens, &node.secrets) {
        Ok(_) => jwt,
        Err(ActionTokenError::Expired) => jwt.refused(TokenError::Expired),
        Err(ActionTokenError::Invalid) => jwt.refused(TokenError::BadSignature),
    }
}

async fn inspect_access_token(ctx: &Context, token: &str, jwt: Inspection) -> Result<Inspection, Error> {
    let refused = verify_access_token(ctx, token).err();
    let Some(verified) = authentic(ctx, token, &jwt) else {
        let revoked_key = jwt.key.as_ref().and_then(|(key, _)| key.revoked_at);
        let by_key = revoked_key.filter(|_| refused == Some(TokenError::RevokedKey.into()));
        let revoked = by_key.map(|at| Revoked { what: "signing_key", at: Some(at) });
        return Ok(Inspection { refused: refused.map(RefusalReason::Refused), revoked, ..jwt });
    };
    let user = match verified.user {
        Some(user) => ctx.accounts.user(Find::Id(user)).await?,
        None => None,
    };
    let session = match (verified.user, verified.session) {
        (Some(user), Some(session)) => find_session(ctx, user, session).await?,
        _ => None,
    };
    let revoked = ctx.node.revocations.cause(&verified).map(|cause| Revoked::new(ctx, cause));
    Ok(Inspection { refused: refused.map(RefusalReason::Refused), session, revoked, user, ..jwt })
}

/// The token if this service signed it, even if it has expired or is not valid yet.
fn authentic(ctx: &Context, token: &str, jwt: &Inspection) -> Option<VerifiedToken> {
    let keys = ctx.node.keyring.keys();
    let issued_at = jwt.claims.as_ref().and_then(|claims| claims["iat"].as_i64()).map(Timestamp::from_secs);
    let times = [Some(ctx.now()), issued_at].into_iter().flatten();
    times.into_iter().find_map(|at| ctx.node.issuer.check(token, &keys, at).ok())
}

async fn inspect_refresh_token(ctx: &Context, refresh: RefreshToken) -> Result<Inspection, Error> {
    let RefreshToken { user, session, counter } = refresh;
    let claims = json!({"sub": user, "sid": session, "counter": counter});
    let user = ctx.accounts.user(Find::Id(user)).await?;
    let session = find_session(ctx, refresh.user, refresh.session).await?;
    let (refused, revoked) = match &session {
        None => (Some(RefusalReason::SessionEnded), session_end(ctx, &refresh, user.as_ref())),
        Some(session) if session.counter > counter => (Some(RefusalReason::Rotated), None),
        Some(_) => (None, None),
    };
    let kind = CredentialKind::RefreshToken;
    Ok(Inspection { claims: Some(claims), refused, session, revoked, user, ..Inspection::new(kind) })
}

/// The revocation that ended the session of a refresh token, if it is known.
fn session_end(ctx: &Context, refresh: &RefreshToken, user: Option<&User>) -> Option<Revoked> {
    let opened_at = refresh.session.created_at()?;
    if let Some(cause) = ctx.node.revocations.session_cause(refresh.user, refresh.session, opened_at) {
        return Some(Revoked::new(ctx, cause));
    }
    // The row says it for longer than the revocation is kept.
    let valid_after = user.map(|user| user.sessions_valid_after).filter(|valid_after| opened_at <= *valid_after);
    valid_after.map(|at| Revoked { what: "user", at: Some(at) })
}

async fn inspect_api_key(ctx: &Context, credential: &str) -> Result<Inspection, Error> {
    let found = match api_key::prefix(credential).filter(|_| api_key::is_well_formed(credential)) {
        Some(prefix) => ctx.accounts.api_key(prefix).await?,
        None => return Ok(Inspection::new(CredentialKind::ApiKey).refused(TokenError::Malformed)),
    };
    let digest = api_key::digest(credential);
    let found = found.filter(|(key, _)| key.digest[..].ct_eq(&digest[..]).into());
    let Some((key, owner)) = found else {
        return Ok(Inspection::new(CredentialKind::ApiKey).refused(VerifyError::UnknownKey));
    };
    let (error, revoked) = if key.deactivated_at.is_some() {
        (Some(VerifyError::Revoked), Some(Revoked { what: "api_key", at: key.deactivated_at }))
    } else if owner.disabled {
        (Some(VerifyError::Revoked), Some(Revoked { what: "user", at: None }))
    } else if key.expires_at.is_some_and(|expires_at| expires_at <= ctx.now()) {
        (Some(VerifyError::ExpiredKey), None)
    } else {
        (None, None)
    };
    let (claims, refused) = (Some(api_key_claims(&key, &owner)), error.map(RefusalReason::Refused));
    Ok(Inspection { claims, refused, revoked, user: Some(owner), ..Inspection::new(CredentialKind::ApiKey) })
}

fn api_key_claims(key: &ApiKey, owner: &User) -> Value {
    json!({
        "sub": owner.id,
        "email": owner.email,
        "client_id": key.id,
        "project": key.project,
        "prefix": key.prefix,
        "name": key.name,
        "scope": key.scopes.join(" "),
        "iat": key.created_at.secs(),
        "exp": key.expires_at.map(Timestamp::secs),
        "last_used_at": key.last_used_at,
    })
}

impl Revoked {
    fn new(ctx: &Context, cause: RevokedBy) -> Self {
        // A revocation is kept for a fixed time. If the settings that this time follows from were changed a moment ago,
        // the result can be in the future.
        let began = |until: Timestamp| {
            let at = until - ctx.node.retention.revocation_ttl();
            Some(at).filter(|at| *at <= ctx.now())
        };
        let (what, at) = match cause {
            RevokedBy::Everyone { not_before } => ("everyone", Some(not_before)),
            RevokedBy::User { before } => ("user", Some(before)),
            RevokedBy::Session { until } => ("session", began(until)),
            // Kept until the token expires.
            RevokedBy::Token => ("token", None),
            RevokedBy::ApiKey { until } => ("api_key", began(until)),
        };
        Self { what, at }
    }
}
