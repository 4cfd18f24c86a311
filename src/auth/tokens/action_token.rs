//! Making and reading tokens of one purpose with the keys and the time at hand. What a token says is the affair of the operation
//! that makes it, and so is whether it may be used more than once.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::Error;
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::token::action;
use crate::token::action::{Purpose, Read};

/// A token that was just made.
pub(in crate::auth) struct Made {
    /// Its name, by which a claim may be kept beside it.
    pub(in crate::auth) id: TokenId,
    /// The token.
    pub(in crate::auth) text: String,
    /// Until when it is good.
    pub(in crate::auth) until: Timestamp,
}

/// Makes a token that is good for `lives`.
pub(in crate::auth) fn make(
    ctx: &Context,
    purpose: Purpose,
    says: impl Serialize,
    lives: Duration,
) -> Result<Made, Error> {
    let now = ctx.now();
    let (id, until) = (TokenId::new(now, &ctx.node.rng), now + lives);
    let keys = ctx.node.keyring.keys();
    let key = keys.signer(now).ok_or(Error::Internal("no key to sign with"))?;
    let text = action::mint(purpose, id, says, (now, until), &ctx.node.config.tokens, key)
        .map_err(|_| Error::Internal("a token that cannot be made"))?;
    Ok(Made { id, text, until })
}

/// Reads a token that was made for this purpose and is still good.
pub(in crate::auth) fn read<T: DeserializeOwned>(ctx: &Context, purpose: Purpose, token: &str) -> Option<Read<T>> {
    action::read(purpose, token, ctx.now(), &ctx.node.config.tokens, &ctx.node.keyring.keys()).ok()
}
