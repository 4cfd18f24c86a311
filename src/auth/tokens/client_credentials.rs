//! Exchanging an API key for a short-lived token that anyone can verify from the JWKS (RFC 6749, 4.4).
//!
//! Deactivating the key, or disabling its owner, revokes what was made from it: also what a node makes that has not heard of
//! it yet, since a token's id is as old as what the node knows of the owner.

use std::time::Duration;

use serde::Serialize;

use super::verify::VerifyError;
use crate::auth::context::Context;
use crate::auth::{Error, api_keys};
use crate::id::TokenId;
use crate::token::access::{Mint, further_claims};

/// A token made from a key. Without a Debug form: it is a secret.
#[derive(Clone)]
pub struct IssuedAccessToken {
    /// The access token.
    pub access: String,
    /// How long it lives.
    pub lives: Duration,
    /// What it may be used for.
    pub scope: String,
}

#[derive(Serialize)]
struct Profile<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
}

/// Makes a token from `key` with the scopes that are asked for, or all that the key has.
pub async fn issue_for_api_key(
    ctx: &Context,
    key: &str,
    scope: Option<&str>,
    lives: Duration,
) -> Result<IssuedAccessToken, Error> {
    let known = api_keys::known(ctx, key).await?;
    let scope = match scope {
        Some(wanted) if !known.allows(wanted) => return Err(VerifyError::InsufficientScope.into()),
        Some(wanted) => wanted.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
        None => known.scopes.join(" "),
    };
    let profile =
        further_claims(&Profile { scope: &scope }).map_err(|_| Error::Internal("scopes that do not serialise"))?;
    let now = ctx.now();
    let expires_at = known.expires_at.map_or(now + lives, |end| end.min(now + lives));
    let keys = ctx.node.keyring.keys();
    let signer = keys.signer(now).ok_or(Error::Internal("no key to sign with"))?;
    let mint = Mint {
        user: known.user,
        session: None,
        api_key: Some(known.id),
        token: TokenId::new(known.read_at, &ctx.node.rng),
        issued_at: now,
        expires_at,
        profile: &profile,
    };
    Ok(IssuedAccessToken { access: ctx.node.issuer.mint(&mint, signer), lives: expires_at.since(now), scope })
}
