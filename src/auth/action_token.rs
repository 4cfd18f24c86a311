//! Creates and verifies action tokens with the fleet's secret and the node's clock. The format is in
//! [`crate::token::action`]. The claims belong to the operation that creates the token, and so does the rule whether it
//! may be used more than once.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::Error;
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::token::action;
use crate::token::action::{ActionKind, ActionToken};

/// A created token.
pub(in crate::auth) struct NewActionToken {
    /// Its `jti`, under which a claim may be stored beside it.
    pub(in crate::auth) id: TokenId,
    /// The token.
    pub(in crate::auth) text: String,
    /// When it expires.
    pub(in crate::auth) expires_at: Timestamp,
}

/// Creates a token that expires after `lifetime`.
pub(in crate::auth) fn create(
    ctx: &Context,
    kind: ActionKind,
    claims: impl Serialize,
    lifetime: Duration,
) -> Result<NewActionToken, Error> {
    let now = ctx.now();
    let (id, expires_at) = (TokenId::new(now, &ctx.node.rng), now + lifetime);
    let text = action::mint(kind, id, claims, (now, expires_at), &ctx.node.config.tokens, &ctx.node.secrets)
        .map_err(|_| Error::Internal("action token cannot be signed"))?;
    Ok(NewActionToken { id, text, expires_at })
}

/// Verifies that `token` is a valid token of this kind and returns its claims.
pub(in crate::auth) fn verify<T: DeserializeOwned>(
    ctx: &Context,
    kind: ActionKind,
    token: &str,
) -> Option<ActionToken<T>> {
    action::verify(kind, token, ctx.now(), &ctx.node.config.tokens, &ctx.node.secrets).ok()
}
