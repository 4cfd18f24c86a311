//! How often something may be tried, by whom and on what. One account has one counter, whatever the dialect, the spelling, or the
//! name by which it is called.
//!
//! Sign-ins fail closed: without the store no session can be opened anyway, and with nothing to count by, an answer that tells a right
//! password (503) from a wrong one (401) could be had as often as anybody likes.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Error;
use crate::auth::accounts::identity::Login;
use crate::auth::context::Context;
use crate::config::Rate;
use crate::id::UserId;
use crate::store::ephemeral::{Allowance, Limit};

/// Takes one sign-in from what its sender is allowed; `counted_by` is the address, or the network, that one client is known to
/// hold. To be asked before [`check_account`], so that who has used up its own share cannot use up that of every account it names.
pub async fn check_client(ctx: &Context, counted_by: IpAddr) -> Result<(), Error> {
    take(ctx, format!("sign-in:address:{counted_by}"), ctx.node.config.limits.sign_in_address).await
}

/// Takes one sign-in from what an account is allowed, or a name that is nobody's: which of the two is not to be told.
pub async fn check_account(ctx: &Context, user: Option<UserId>, login: Option<&Login>) -> Result<(), Error> {
    let account = match (user, login) {
        (Some(user), _) => user.to_string(),
        // An address may be a person's; its digest is none, and is as good to count by.
        (None, Some(login)) => URL_SAFE_NO_PAD.encode(&digest(&SHA256, login.key().as_bytes()).as_ref()[..16]),
        (None, None) => return Ok(()),
    };
    take(ctx, format!("sign-in:account:{account}"), ctx.node.config.limits.sign_in_account).await
}

/// Takes one new account from what an address may make.
pub async fn check_sign_up(ctx: &Context, counted_by: IpAddr) -> Result<(), Error> {
    take(ctx, format!("sign-up:address:{counted_by}"), ctx.node.config.limits.sign_up_address).await
}

/// Takes one mail from what an address may ask for and from what one person is sent; `subject` as [`crate::auth::sign_in::one_time::subject`]
/// names it, whether anybody has that address or not.
pub async fn check_mail(ctx: &Context, subject: &str, counted_by: IpAddr) -> Result<(), Error> {
    take(ctx, format!("mail:address:{counted_by}"), ctx.node.config.limits.mail_address).await?;
    take(ctx, format!("mail:account:{subject}"), ctx.node.config.limits.mail_account).await
}

/// Takes one try from what an address may try of codes, links and their like.
pub async fn check_attempt(ctx: &Context, counted_by: IpAddr) -> Result<(), Error> {
    take(ctx, format!("code:address:{counted_by}"), ctx.node.config.limits.code_address).await
}

/// The same, and one from what is allowed at one person's second factor.
pub async fn check_mfa(ctx: &Context, subject: &str, counted_by: IpAddr) -> Result<(), Error> {
    check_attempt(ctx, counted_by).await?;
    take(ctx, format!("code:account:{subject}"), ctx.node.config.limits.code_account).await
}

/// Takes one access token from those of an account that may be revoked one by one; `subject` is whose it is.
pub async fn check_revocation(ctx: &Context, subject: &str) -> Result<(), Error> {
    take(ctx, format!("revoke:account:{subject}"), ctx.node.config.limits.revoke_account).await
}

/// Takes one API key from those that an account may make.
pub async fn check_api_key_creation(ctx: &Context, user: UserId) -> Result<(), Error> {
    take(ctx, format!("api-key:account:{user}"), ctx.node.config.limits.api_key_account).await
}

async fn take(ctx: &Context, key: String, rate: Rate) -> Result<(), Error> {
    if !ctx.node.config.limits.enabled {
        return Ok(());
    }
    match ctx.ephemeral.take_permit(&key, Limit { burst: rate.burst, per: rate.per }, ctx.now()).await? {
        Allowance::Allowed => Ok(()),
        Allowance::Limited { retry_after } => Err(Error::RateLimited { retry_after }),
    }
}
