//! The claims about the user that are stored with each session and copied into its access tokens. The full name and the
//! custom claims are copied only for an audience that lists them.
//!
//! They are written at sign-in, from the user's row. When the row changes, `refresh_session_claims` rewrites them,
//! and tokens carry the new claims from the next refresh on, so that a token does not name an address that belongs to
//! another user by now. The row is authoritative and is changed first: if rewriting fails, the change stands, and the
//! tokens carry the old claims until the next change or sign-in. Access tokens already issued carry them until they
//! expire, within minutes.
//!
//! A sign-in may have read the row before the change, and open its session after the others were rewritten. Once the
//! session is open, the sign-in therefore reads the row again (`refresh_changed_claims`): a change that it does not see
//! rewrites this session too. The row also says whether the user's sign-ins have ended meanwhile.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::auth::Error;
use crate::auth::context::Context;
use crate::config::{Audience, Tokens};
use crate::id::UserId;
use crate::store::accounts::{Find, User};
use crate::store::ephemeral::{Session, SessionClaims, SessionSnapshot};
use crate::token::access::serialize_extra_claims;
use crate::token::custom_claims::append_listed;

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

/// The text in a session's claims if the address is verified. No other claim can contain it, because JSON escapes
/// quotes in strings.
pub(super) const EMAIL_VERIFIED: &str = r#""email_verified":true"#;

/// Serializes the claims of a user, in the form in which sessions store them.
pub fn session_claims(user: &User) -> Result<SessionClaims, Error> {
    let claims = UserClaims {
        email: &user.email,
        email_verified: user.verified,
        preferred_username: user.username.as_deref(),
        roles: &user.roles,
        superuser: user.superuser,
    };
    let claims = serialize_extra_claims(&claims).map_err(|_| Error::Internal("session claims cannot be serialized"))?;
    Ok(SessionClaims { claims, custom_claims: listed_claims(user)? })
}

/// The claims of a user that are only for audiences that list them, as a JSON object: the full name and the custom
/// claims. Empty if there are none.
fn listed_claims(user: &User) -> Result<String, Error> {
    let custom = user.custom_claims.as_deref().unwrap_or_default();
    let Some(name) = &user.full_name else { return Ok(custom.to_owned()) };
    let name = serde_json::to_string(name).map_err(|_| Error::Internal("session claims cannot be serialized"))?;
    let members = custom.strip_prefix('{').unwrap_or("}");
    let comma = if members == "}" { "" } else { "," };
    Ok(format!(r#"{{"name":{name}{comma}{members}"#))
}

/// The claims about the user in a token for an audience. Costs nothing where no audience and no custom claim is
/// configured.
pub(super) fn claims_for<'s>(
    session: &'s SessionSnapshot,
    audience: Option<&Audience>,
    tokens: &Tokens,
) -> Result<Cow<'s, str>, Error> {
    let invalid = |_| Error::Internal("session claims cannot be parsed");
    let (mut claims, listed) = match audience.and_then(|audience| audience.claims.as_ref()) {
        None => (Cow::Borrowed(session.claims.as_str()), &tokens.claims),
        Some(listed) => {
            let mut claims = Cow::Borrowed("");
            let profile = format!("{{{}}}", session.claims.trim_start_matches(','));
            append_listed(&profile, listed, &mut claims).map_err(invalid)?;
            (claims, listed)
        }
    };
    append_listed(&session.custom_claims, listed, &mut claims).map_err(invalid)?;
    Ok(claims)
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
    let _logged = rewrite_and_log(ctx, user, None).await;
}

/// Like [`refresh_session_claims`], after a session was opened with `claims`: does nothing if the row still has these.
/// Returns the row, which was read after the session was opened; `None` if there is no such user any more. A failure is
/// logged.
pub(in crate::auth) async fn refresh_changed_claims(
    ctx: &Context,
    user: UserId,
    claims: SessionClaims,
) -> Result<Option<User>, Error> {
    rewrite_and_log(ctx, user, Some(claims)).await
}

async fn rewrite_and_log(ctx: &Context, user: UserId, written: Option<SessionClaims>) -> Result<Option<User>, Error> {
    let rewritten = rewrite_claims(ctx, user, written).await;
    if let Err(error) = &rewritten {
        tracing::warn!(%user, %error, "cannot update the claims stored in open sessions");
    }
    rewritten
}

/// `written`: the claims that the sessions have, as far as the caller knows. Returns the row that was read last.
async fn rewrite_claims(
    ctx: &Context,
    user: UserId,
    mut written: Option<SessionClaims>,
) -> Result<Option<User>, Error> {
    // Of two concurrent changes, the first may get here last and overwrite the newer claims. Repeat until the row is as
    // written.
    while let Some(row) = ctx.accounts.user(Find::Id(user)).await? {
        let claims = session_claims(&row)?;
        if written.as_ref() == Some(&claims) {
            return Ok(Some(row));
        }
        ctx.ephemeral.set_claims(user, &claims, ctx.now()).await?;
        written = Some(claims);
    }
    Ok(None)
}
