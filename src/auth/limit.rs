//! How often something may be tried, by whom and on what. One identity has one counter, whatever the dialect or the spelling.
//!
//! A plain rate fails open: a store that is down must not lock everyone out of what does not need it, and what does need it
//! fails by itself. Counters of guesses at codes are not here; they are part of the claims and fail closed.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Failure;
use super::identity::Login;
use crate::app::App;
use crate::config::Rate;
use crate::store::ephemeral::{Allowance, Limit};

/// Takes one sign-in from what its address and its account are allowed: the address first, so that
/// one that has used up its own share cannot use up that of every account it names. `counted_by` is the address, or the
/// network, that one client is known to hold.
pub async fn sign_in(app: &App, login: Option<&Login>, counted_by: IpAddr) -> Result<(), Failure> {
    let limits = &app.node.config.limits;
    if !limits.enabled {
        return Ok(());
    }
    take(app, format!("sign-in:address:{counted_by}"), limits.sign_in_address).await?;
    // An address may be a person's; its digest is none, and is as good to count by.
    match login {
        None => Ok(()),
        Some(login) => take(app, format!("sign-in:account:{}", name(login)), limits.sign_in_account).await,
    }
}

async fn take(app: &App, key: String, rate: Rate) -> Result<(), Failure> {
    let limit = Limit { burst: rate.burst, per: rate.per };
    match app.ephemeral.take(&key, limit, app.now()).await {
        Ok(Allowance::Allowed) => Ok(()),
        Ok(Allowance::Limited { retry_after }) => Err(Failure::TooMany { retry_after }),
        Err(error) => {
            app.node.metrics.limit_unchecked();
            tracing::warn!(%error, "a rate limit is not applied");
            Ok(())
        }
    }
}

fn name(login: &Login) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, login.key().as_bytes()).as_ref()[..16])
}
