//! Coming in by two steps: who is recognised and has a second factor is handed a token that is good for nothing but the second
//! step, where the code is due.

use serde::{Deserialize, Serialize};

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::sessions::open::{RequestContext, TokenPair, check_login_allowed, open_session};
use crate::auth::tokens::action_token;
use crate::auth::tokens::verify::{TokenError, VerifyError};
use crate::id::UserId;
use crate::store::accounts::{Find, User};
use crate::token::action::ActionKind;

/// How long the second step may be taken.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// What became of coming in.
pub enum LoginStep {
    /// Inside.
    In(Box<TokenPair>),
    /// The second factor is due, with this token.
    Due(String),
}

#[derive(Serialize, Deserialize)]
struct Recognised {
    user: UserId,
    /// The row's `sessions_valid_after` when the user was recognised: a password that was changed since recognises nobody.
    valid_after: i64,
}

/// Opens a session for a user who has been recognised, or hands out the token of the second step.
pub async fn start_login(ctx: &Context, user: &User, request_ctx: RequestContext<'_>) -> Result<LoginStep, Error> {
    if user.totp.is_none() {
        return Ok(LoginStep::In(Box::new(open_session(ctx, user, None, request_ctx).await?)));
    }
    check_login_allowed(user, request_ctx)?;
    let says = Recognised { user: user.id, valid_after: user.sessions_valid_after.millis() };
    let made = action_token::create(ctx, ActionKind::SecondFactor, says, PATIENCE)?;
    Ok(LoginStep::Due(made.text))
}

/// Takes the second step.
pub async fn complete_login(
    ctx: &Context,
    token: &str,
    code: &str,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    let read = action_token::verify::<Recognised>(ctx, ActionKind::SecondFactor, token);
    let says = read.ok_or(VerifyError::Token(TokenError::Malformed))?.claims;
    let user = ctx.accounts.user(Find::Id(says.user)).await?.ok_or(VerifyError::Revoked)?;
    if user.sessions_valid_after.millis() != says.valid_after {
        return Err(VerifyError::Revoked.into());
    }
    open_session(ctx, &user, Some(code), request_ctx).await
}
