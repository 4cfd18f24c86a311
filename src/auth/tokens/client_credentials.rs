//! Exchanging an API key for a short-lived access token that any service verifies from the JWKS (RFC 6749, 4.4).
//!
//! Deactivating the key, or disabling its owner, revokes the issued tokens. That includes a token issued by a node that
//! has not applied the revocation yet: the timestamp in the token's id is the time at which that node read the rows of
//! key and owner.
//!
//! A reserved scope is granted only if the owner's row, read for this grant, still allows it.

use serde::Serialize;

use super::IssuedAccessToken;
use super::verify::api_key::verify_api_key;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::VerifyError;
use crate::auth::request_context::RequestContext;
use crate::auth::reserved_scopes::is_reserved;
use crate::config::SigningAlgorithm;
use crate::id::TokenId;
use crate::store::accounts::Find;
use crate::token::access::{IssuedFrom, NewAccessToken, serialize_extra_claims};
use crate::token::scopes::RequiredScopes;

#[derive(Serialize)]
struct ScopeClaim<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
}

/// Issues a token from `key` with the requested scopes, or with all that the key has and the audience allows.
pub async fn issue_for_api_key(
    ctx: &Context,
    key: &str,
    scope: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<IssuedAccessToken, Error> {
    let api_key = verify_api_key(ctx, key).await?;
    let audience = request_ctx.audience;
    let allowed = |scope: &str| audience.is_none_or(|audience| audience.allows_scope(scope));
    let scope = match scope {
        Some(requested) => {
            // A list with too many scopes asks for more than any key has.
            let requested = RequiredScopes::parse(requested).ok().filter(|scopes| api_key.scopes.contains_all(scopes));
            let requested = requested.filter(|scopes| scopes.iter().all(allowed));
            requested.ok_or(VerifyError::InsufficientScope)?.join()
        }
        None if audience.is_none_or(|audience| audience.scopes.is_none()) => api_key.scopes.as_str().to_owned(),
        None => api_key.scopes.iter().filter(|scope| allowed(scope)).collect::<Vec<_>>().join(" "),
    };
    if scope.split(' ').any(is_reserved) {
        let owner = ctx.accounts.user(Find::Id(api_key.user)).await?;
        if !owner.is_some_and(|owner| owner.superuser && !owner.disabled) {
            return Err(VerifyError::InsufficientScope.into());
        }
    }
    let claims = serialize_extra_claims(&ScopeClaim { scope: &scope })
        .map_err(|_| Error::Internal("scopes cannot be serialized"))?;
    let (now, lifetime) = (ctx.now(), request_ctx.access_lifetime());
    let expires_at = api_key.expires_at.map_or(now + lifetime, |end| end.min(now + lifetime));
    let keys = ctx.node.keyring.keys();
    let algorithm = audience.map_or(SigningAlgorithm::EdDsa, |audience| audience.algorithm);
    let signing_key = keys.signing_key(algorithm, now).ok_or(Error::Internal("no signing key"))?;
    let token = NewAccessToken {
        user: api_key.user,
        audience: audience.map(|audience| audience.name.as_str()),
        issued_from: IssuedFrom::ApiKey(api_key.id),
        token_id: TokenId::new(api_key.read_at, &ctx.node.rng),
        issued_at: now,
        expires_at,
        extra_claims: &claims,
    };
    Ok(IssuedAccessToken {
        access: ctx.node.issuer.mint(&token, signing_key)?,
        expires_in: expires_at.since(now),
        scope,
    })
}
