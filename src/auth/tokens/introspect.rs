//! What a token is worth right now (RFC 7662): access token, refresh token or API key.

use super::verify::{Credential, Demand, verify};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::store::ephemeral::Session;
use crate::token::refresh::Refresh;

/// What was found.
pub enum Introspection {
    /// A credential that is good.
    Credential(Credential),
    /// A refresh token in force, and its session.
    Refresh(Box<Session>),
    /// Nothing that is good; why is not told.
    Inactive,
}

/// Looks at `token` without using it.
pub async fn introspect(ctx: &Context, token: &str) -> Result<Introspection, Error> {
    if let Some(refresh) = Refresh::read(token, &ctx.node.secrets) {
        let session = ctx.ephemeral.session(refresh.user, refresh.session, ctx.now()).await?;
        let ended =
            |session: &Session| ctx.node.revocations.is_session_ended(session.user, session.id, session.opened_at);
        let in_force = session.filter(|session| session.counter <= refresh.counter && !ended(session));
        return Ok(in_force.map_or(Introspection::Inactive, |session| Introspection::Refresh(Box::new(session))));
    }
    match verify(ctx, token, Demand::default()).await {
        Ok(credential) => Ok(Introspection::Credential(credential)),
        Err(Error::BadCredentials(_)) => Ok(Introspection::Inactive),
        Err(failure) => Err(failure),
    }
}
