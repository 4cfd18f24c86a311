//! Exchanging a user's access token for one that another service accepts (RFC 8693).
//!
//! A service that calls others on behalf of its user gives each of them a token for itself alone, which carries fewer
//! scopes and lives no longer than the token that the service received. The new token belongs to the same session, so
//! ending the session ends it too. `act` names the API key that asked for it.
//!
//! There is no exchange for `tokens.audience`: with the tokens that it receives, a service could otherwise change
//! accounts.
//!
//! # Scopes
//! The token of a user who signed in has no `scope`: scopes do not limit it. In its exchange, a client may ask for
//! scopes that its API key has, and so hands out no right that it does not have itself. A token with `scope` is
//! exchanged for one with the same scopes, or some of them. The audience limits both, and a reserved scope is never
//! granted, because it is a right of the owner of an API key.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::IssuedAccessToken;
use super::caller::Caller;
use super::verify::verify_access_token;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::{Denial, SubjectTokenError, VerifyError};
use crate::auth::request_context::RequestContext;
use crate::auth::reserved_scopes::is_reserved;
use crate::auth::sessions::list::find_session;
use crate::auth::sessions::tokens::{SessionAccessToken, mint_access_token};
use crate::config::Audience;
use crate::id::ApiKeyId;
use crate::token::access::{VerifiedToken, serialize_extra_claims};
use crate::token::scopes::RequiredScopes;

/// The scope that permits an API key to exchange tokens.
pub const EXCHANGE_SCOPE: &str = "tokens:exchange";

/// The most clients that `act` names: as many exchanges may lead to a token. Each is a service that passed the request
/// on, and each adds 60 bytes to the token.
pub const MAX_ACTORS: usize = 5;

/// The parameters of an exchange.
#[derive(Clone, Copy)]
pub struct ExchangeRequest<'a> {
    /// The user's access token.
    pub subject_token: &'a str,
    /// The audience of the new token; that of the subject token if this is `None`.
    pub resource: Option<&'a str>,
    /// The scopes of the new token, separated by spaces.
    pub scope: Option<&'a str>,
}

/// The claims of an exchanged token besides those of its session.
#[derive(Serialize)]
struct ExchangeClaims<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    act: Actor<'a>,
}

/// The client that acts for the user, and the clients that acted before it (RFC 8693, 4.1).
#[derive(Serialize)]
struct Actor<'a> {
    sub: ApiKeyId,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a RawValue>,
}

/// Exchanges an access token for `client`. Costs one round trip to the store of sessions, and one to the accounts if
/// the user is not the owner of the client's API key: only a superuser's key reaches the tokens of other users.
pub async fn exchange(
    ctx: &Context,
    client: &Caller,
    request: ExchangeRequest<'_>,
    request_ctx: RequestContext<'_>,
) -> Result<IssuedAccessToken, Error> {
    let api_key = client.api_key().ok_or(Error::Forbidden(Denial::MissingPermission))?;
    client.require_scope(EXCHANGE_SCOPE)?;
    let now = ctx.now();
    let subject = match verify_access_token(ctx, request.subject_token) {
        // Without the leeway: the new token would have expired already.
        Ok(subject) if subject.expires_at > now => subject,
        Err(VerifyError::Stale) => return Err(Error::Stale),
        Ok(_) | Err(_) => return Err(Error::InvalidSubjectToken(SubjectTokenError::NotAccepted)),
    };
    let (Some(user), Some(session)) = (subject.user, subject.session.filter(|_| subject.api_key.is_none())) else {
        return Err(Error::InvalidSubjectToken(SubjectTokenError::NoSession));
    };
    if !client.may_manage_tokens_of(ctx, Some(user)).await? {
        return Err(Error::Forbidden(Denial::MissingPermission));
    }
    let audience = target(ctx, &subject, request.resource)?;
    let scope = granted_scopes(client, &subject, audience, request.scope)?;
    let act = previous_actors(&subject)?;
    let session = find_session(ctx, user, session).await?;
    let session = session.ok_or(Error::InvalidSubjectToken(SubjectTokenError::NotAccepted))?;
    let lifetime = audience.lifetime(request_ctx.dialect_config.access);
    let claims = ExchangeClaims { scope: &scope, act: Actor { sub: api_key, act } };
    let claims = serialize_extra_claims(&claims).map_err(|_| Error::Internal("claims cannot be serialized"))?;
    let token = SessionAccessToken {
        session: &session.snapshot(),
        audience: Some(audience),
        more_claims: &claims,
        issued_at: now,
        expires_at: (now + lifetime).min(subject.expires_at),
    };
    let (access, expires_in) = mint_access_token(ctx, &token)?;
    Ok(IssuedAccessToken { access, expires_in, scope })
}

/// The audience of the new token.
fn target<'c>(ctx: &'c Context, subject: &VerifiedToken, resource: Option<&str>) -> Result<&'c Audience, Error> {
    let matches = |audience: &&Audience| match resource {
        Some(resource) => audience.name == resource,
        None => subject.is_for(&audience.name),
    };
    ctx.node.config.audiences.iter().find(matches).ok_or(Error::InvalidTarget)
}

/// The scopes of the new token, separated by spaces: see the module's documentation.
fn granted_scopes(
    client: &Caller,
    subject: &VerifiedToken,
    audience: &Audience,
    requested: Option<&str>,
) -> Result<String, Error> {
    let insufficient = || Error::from(VerifyError::InsufficientScope);
    let is_limited = !subject.scopes.is_empty();
    let is_allowed = |scope: &str| {
        let is_held = if is_limited { subject.scopes.contains(scope) } else { client.require_scope(scope).is_ok() };
        is_held && audience.allows_scope(scope) && !is_reserved(scope)
    };
    // A list with too many scopes asks for more than any token has.
    let requested = requested.map(RequiredScopes::parse).transpose().map_err(|_| insufficient())?;
    match requested.filter(|requested| !requested.is_empty()) {
        Some(requested) if requested.iter().all(is_allowed) => Ok(requested.join()),
        Some(_) => Err(insufficient()),
        None => {
            let kept: Vec<&str> = subject.scopes.iter().filter(|scope| is_allowed(scope)).collect();
            // A token without `scope` would be less limited than the subject token.
            if is_limited && kept.is_empty() { Err(insufficient()) } else { Ok(kept.join(" ")) }
        }
    }
}

/// The `act` of the subject token, if it was exchanged before.
fn previous_actors(subject: &VerifiedToken) -> Result<Option<&RawValue>, Error> {
    #[derive(Deserialize)]
    struct Act<'a> {
        #[serde(borrow)]
        act: Option<&'a RawValue>,
    }
    let parse = |text| serde_json::from_str::<Act<'_>>(text).map(|claims| claims.act);
    let not_accepted = |_| Error::InvalidSubjectToken(SubjectTokenError::NotAccepted);
    let previous = parse(&subject.claims).map_err(not_accepted)?;
    let (mut next, mut actors) = (previous, 1);
    while let Some(actor) = next {
        actors += 1;
        if actors > MAX_ACTORS {
            return Err(Error::InvalidSubjectToken(SubjectTokenError::TooManyActors));
        }
        next = parse(actor.get()).map_err(not_accepted)?;
    }
    Ok(previous)
}
