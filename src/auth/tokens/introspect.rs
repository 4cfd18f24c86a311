//! Introspecting a token (RFC 7662): an access token, a refresh token or an API key.

use super::caller::Caller;
use super::verify::{Credential, Requirements, verify};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::auth::sessions::list::find_session;
use crate::auth::sessions::refresh::is_accepted;
use crate::store::ephemeral::Session;
use crate::token::refresh::RefreshToken;

/// The scope that permits an API key to introspect tokens.
pub const INTROSPECT_SCOPE: &str = "introspect";

/// The state of a token.
pub enum Introspection {
    /// A valid access token or API key.
    Credential(Credential),
    /// A current refresh token, and its session.
    Refresh(Box<Session>),
    /// Anything else. The reason is not revealed.
    Inactive,
}

/// Looks up `token` for a client, without using it. A token that the client may not manage is inactive (RFC 7662, 2.2),
/// so that a client cannot learn whether a refresh token of somebody else is still current. With `audience`, an access
/// token for another one is inactive too.
pub async fn introspect_for_client(
    ctx: &Context,
    client: &Caller,
    token: &str,
    audience: Option<&str>,
) -> Result<Introspection, Error> {
    if let Some(refresh) = RefreshToken::parse(token, &ctx.node.secrets)
        && !client.may_manage_tokens_of(ctx, Some(refresh.user)).await?
    {
        return Ok(Introspection::Inactive);
    }
    let introspection = introspect(ctx, token, audience).await?;
    let owner = match &introspection {
        Introspection::Credential(Credential::Token(token)) => token.user,
        Introspection::Credential(Credential::ApiKey(key)) => Some(key.user),
        Introspection::Refresh(_) | Introspection::Inactive => return Ok(introspection),
    };
    Ok(if client.may_manage_tokens_of(ctx, owner).await? { introspection } else { Introspection::Inactive })
}

/// Looks up `token` for anyone, without using it, in a dialect that offers this. A refresh token that the dialect would
/// not exchange is inactive: otherwise a thief could learn whether a token is still current, which in a dialect that
/// rotates ends the session if it is not. So is an access token for another audience than `tokens.audience`: the caller
/// cannot name one, nor see that of the token, and would accept tokens that were issued for other services.
pub async fn introspect_in_dialect(
    ctx: &Context,
    token: &str,
    request_ctx: RequestContext<'_>,
) -> Result<Introspection, Error> {
    Ok(match introspect(ctx, token, Some(&ctx.node.config.tokens.audience)).await? {
        Introspection::Refresh(session)
            if !is_accepted(&ctx.node.config.api, request_ctx.dialect_config, &session.dialect) =>
        {
            Introspection::Inactive
        }
        introspection => introspection,
    })
}

async fn introspect(ctx: &Context, token: &str, audience: Option<&str>) -> Result<Introspection, Error> {
    if let Some(refresh) = RefreshToken::parse(token, &ctx.node.secrets) {
        let session = find_session(ctx, refresh.user, refresh.session).await?;
        let active = session.filter(|session| session.counter <= refresh.counter);
        return Ok(active.map_or(Introspection::Inactive, |session| Introspection::Refresh(Box::new(session))));
    }
    match verify(ctx, token, Requirements { audience, ..Requirements::default() }).await {
        Ok(credential) => Ok(Introspection::Credential(credential)),
        Err(Error::InvalidToken(_)) => Ok(Introspection::Inactive),
        Err(error) => Err(error),
    }
}
