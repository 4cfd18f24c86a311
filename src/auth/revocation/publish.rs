//! Publishes one revocation to all nodes.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::store::ephemeral::{Revocation, Target};

/// Revokes `target`: when this returns, the revocation is stored and this node applies it. Idempotent: a target that is
/// revoked for good already is not written again, so that repeating the call adds no entry.
pub(in crate::auth) async fn publish_revocation(
    ctx: &Context,
    target: Target,
    expires_at: Timestamp,
) -> Result<(), Error> {
    let revocation = Revocation { target, expires_at };
    if ctx.node.revocations.contains(&revocation.target) {
        return Ok(());
    }
    ctx.ephemeral.revoke(&revocation, ctx.now()).await?;
    ctx.node.revocations.apply(&revocation);
    Ok(())
}
