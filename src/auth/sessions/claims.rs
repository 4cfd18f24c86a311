//! The claims about the user that are stored with each session and copied into its access tokens.
//!
//! They are written at sign-in, from the user's row. When the row changes, `refresh_session_claims` rewrites them,
//! and tokens carry the new claims from the next refresh on, so that a token does not name an address that belongs to
//! another user by now. The row is authoritative and has changed before: if rewriting fails, the change stands, and the
//! tokens carry the old claims until the next change or sign-in. Access tokens already issued carry them until they
//! expire, within minutes.
//!
//! A sign-in that read the row before the change can still open a session with the old claims. Reading the row again
//! would cost every sign-in another round trip.

use serde::{Deserialize, Serialize};

use crate::auth::Error;
use crate::auth::context::Context;
use crate::id::UserId;
use crate::store::accounts::{Find, User};
use crate::store::ephemeral::Session;
use crate::token::access::serialize_extra_claims;

#[derive(Serialize)]
struct UserClaims<'a> {
    email: &'a str,
    email_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    roles: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    superuser: bool,
}

/// The part of a session's claims that says that the address is verified. No other claim can contain it, because JSON
/// escapes quotes in strings.
pub(super) const EMAIL_VERIFIED: &str = r#""email_verified":true"#;

/// Serializes the claims of a user, in the form in which sessions store them.
pub fn session_claims(user: &User) -> Result<String, Error> {
    let claims = UserClaims {
        email: &user.email,
        email_verified: user.verified,
        preferred_username: user.username.as_deref(),
        roles: &user.roles,
        superuser: user.superuser,
    };
    serialize_extra_claims(&claims).map_err(|_| Error::Internal("session claims cannot be serialized"))
}

/// The address in a session's claims.
pub fn session_email(session: &Session) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct EmailClaim {
        email: String,
    }
    let json = format!("{{{}}}", session.claims.trim_start_matches(','));
    let claims = serde_json::from_str::<EmailClaim>(&json);
    claims.map(|claims| claims.email).map_err(|_| Error::Internal("session claims cannot be parsed"))
}

/// Rewrites the claims of all open sessions of the user from the row. A failure is logged and not returned: see above.
pub(in crate::auth) async fn refresh_session_claims(ctx: &Context, user: UserId) {
    if let Err(error) = rewrite_claims(ctx, user).await {
        tracing::warn!(%user, %error, "cannot update the claims stored in open sessions");
    }
}

async fn rewrite_claims(ctx: &Context, user: UserId) -> Result<(), Error> {
    let mut written = None;
    // Of two concurrent changes, the first may get here last and overwrite the newer claims. Repeat until the row is as
    // written.
    while let Some(row) = ctx.accounts.user(Find::Id(user)).await? {
        let claims = session_claims(&row)?;
        if written.as_ref() == Some(&claims) {
            break;
        }
        ctx.ephemeral.set_claims(user, &claims, ctx.now()).await?;
        written = Some(claims);
    }
    Ok(())
}
