//! Creates and verifies action tokens with the fleet's secret and the node's clock. The claims belong to the operation
//! that creates the token, and so does the rule whether it may be used more than once.
//!
//! A token is signed and contains its claims ([`crate::token::action`]), or it is short: 128 random bits, under whose
//! digest the store keeps the claims until the token expires. A link with a short token fits on one line of a mail. The
//! store never has the token, so a reader of the store cannot use a link.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::auth::Error;
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::encoding::{sha256, short_sha256};
use crate::id::TokenId;
use crate::store::ephemeral::{Claim, ClaimKey};
use crate::token::action;
use crate::token::action::{ActionKind, ActionToken};

/// The format of the token in a mailed link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkTokenFormat {
    /// Signed, as the published APIs document it: their clients may read its claims.
    Signed,
    /// Short, for links to our own pages and for clients of our own API, which need not know what is in it.
    Short,
}

/// Precedes a short token that resets a password without a device secret, so that the page of its link does not ask for
/// one. It grants nothing: the claims decide.
const UNBOUND: &str = "unbound-";

/// The random bytes of a short token.
const SHORT_BYTES: usize = 16;

/// The length of their text in base64url, without padding.
const SHORT_LENGTH: usize = (SHORT_BYTES * 8).div_ceil(6);

/// The purpose of the stored claims of short tokens.
const PURPOSE: &str = "short-token";

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
    let text = action::mint(kind, id, claims, (now, expires_at), &ctx.node.config.tokens, &ctx.node.secrets)?;
    Ok(NewActionToken { id, text, expires_at })
}

/// The stored part of a short token.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    id: TokenId,
    claims: T,
}

/// Creates the token of a link. With `unbound`, a short one begins with [`UNBOUND`].
pub(in crate::auth) async fn create_for_link(
    ctx: &Context,
    format: LinkTokenFormat,
    kind: ActionKind,
    claims: impl Serialize,
    unbound: bool,
    lifetime: Duration,
) -> Result<NewActionToken, Error> {
    if format == LinkTokenFormat::Signed {
        return create(ctx, kind, claims, lifetime);
    }
    let now = ctx.now();
    let (id, expires_at) = (TokenId::new(now, &ctx.node.rng), now + lifetime);
    let random = URL_SAFE_NO_PAD.encode(ctx.node.rng.bytes::<SHORT_BYTES>());
    let payload = serde_json::to_vec(&Stored { id, claims });
    let claim = Claim {
        key: claim_key(kind, &random),
        // Never redeemed: reading the payload takes the subject, which only the holder of the token can compute.
        digest: sha256(random.as_bytes()),
        payload: payload.map_err(|_| Error::Internal("action token cannot be serialized"))?,
        attempts: 1,
        expires_at,
    };
    ctx.ephemeral.store_claim(&claim, now).await?;
    let text = if unbound { format!("{UNBOUND}{random}") } else { random };
    Ok(NewActionToken { id, text, expires_at })
}

/// Verifies that `token`, signed or short, is a valid token of this kind and returns its claims.
pub(in crate::auth) async fn verify_link<T: DeserializeOwned>(
    ctx: &Context,
    kind: ActionKind,
    token: &str,
) -> Result<Option<ActionToken<T>>, Error> {
    let random = token.strip_prefix(UNBOUND).unwrap_or(token);
    // A text of another format is refused without a look-up.
    let is_short = random.len() == SHORT_LENGTH && URL_SAFE_NO_PAD.decode(random).is_ok();
    if !is_short {
        return Ok(verify(ctx, kind, token));
    }
    let stored = ctx.ephemeral.peek_claim(&claim_key(kind, random), ctx.now()).await?;
    let stored: Option<Stored<T>> = stored.and_then(|payload| serde_json::from_slice(&payload).ok());
    Ok(stored.map(|Stored { id, claims }| ActionToken { id, claims }))
}

/// The key of a short token. Its subject contains the kind, so that a token of another kind is not found.
fn claim_key(kind: ActionKind, random: &str) -> ClaimKey {
    let subject = short_sha256(format!("{}\n{random}", kind.typ()).as_bytes(), SHORT_BYTES);
    ClaimKey { subject, purpose: PURPOSE, id: String::new() }
}

/// Verifies that `token` is a valid token of this kind and returns its claims.
pub(in crate::auth) fn verify<T: DeserializeOwned>(
    ctx: &Context,
    kind: ActionKind,
    token: &str,
) -> Option<ActionToken<T>> {
    action::verify(kind, token, ctx.now(), &ctx.node.config.tokens, &ctx.node.secrets).ok()
}
