//! Introspecting a token (RFC 7662): an access token, a refresh token or an API key.

use super::verify::{Credential, Requirements, verify};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::store::ephemeral::Session;
use crate::token::refresh::RefreshToken;

/// The state of a token.
pub enum Introspection {
    /// A valid access token or API key.
    Credential(Credential),
    /// A current refresh token, and its session.
    Refresh(Box<Session>),
    /// Anything else. The reason is not revealed.
    Inactive,
}

/// Looks up `token` without using it.
pub async fn introspect(ctx: &Context, token: &str) -> Result<Introspection, Error> {
    if let Some(refresh) = RefreshToken::parse(token, &ctx.node.secrets) {
        let session = ctx.ephemeral.session(refresh.user, refresh.session, ctx.now()).await?;
        let is_ended =
            |session: &Session| ctx.node.revocations.is_session_ended(session.user, session.id, session.opened_at);
        let active = session.filter(|session| session.counter <= refresh.counter && !is_ended(session));
        return Ok(active.map_or(Introspection::Inactive, |session| Introspection::Refresh(Box::new(session))));
    }
    match verify(ctx, token, Requirements::default()).await {
        Ok(credential) => Ok(Introspection::Credential(credential)),
        Err(Error::InvalidToken(_)) => Ok(Introspection::Inactive),
        Err(error) => Err(error),
    }
}
