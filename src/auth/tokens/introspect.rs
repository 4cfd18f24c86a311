//! What a token is worth right now (RFC 7662): access token, refresh token or API key.

use super::verify::{Credential, Demand, verify};
use crate::auth::Failure;
use crate::auth::context::Context;
use crate::store::ephemeral::Session;
use crate::token::refresh::Refresh;

/// What was found.
pub enum Introspected {
    /// A credential that is good.
    Credential(Credential),
    /// A refresh token in force, and its session.
    Refresh(Box<Session>),
    /// Nothing that is good; why is not told.
    Inactive,
}

/// Looks at `token` without using it.
pub async fn introspect(ctx: &Context, token: &str) -> Result<Introspected, Failure> {
    if let Some(refresh) = Refresh::read(token, &ctx.node.secrets) {
        let session = ctx.ephemeral.session(refresh.user, refresh.session, ctx.now()).await?;
        let ended = |session: &Session| ctx.node.revocations.ended(session.user, session.id, session.opened_at);
        let in_force = session.filter(|session| session.counter <= refresh.counter && !ended(session));
        return Ok(in_force.map_or(Introspected::Inactive, |session| Introspected::Refresh(Box::new(session))));
    }
    match verify(ctx, token, Demand::default()).await {
        Ok(credential) => Ok(Introspected::Credential(credential)),
        Err(Failure::BadCredentials(_)) => Ok(Introspected::Inactive),
        Err(failure) => Err(failure),
    }
}
