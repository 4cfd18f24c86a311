//! Exchanging a refresh token for new tokens.
//!
//! The hot path. Budget: one MAC to read the token (garbage stops here), one round trip to the store, which rotates and
//! detects reuse in one step, then one look-up in memory, one signature and one MAC. Postgres is not asked: whatever ends a user's
//! sessions ends them in the store, and what a failover of the store may have brought back is known from [`crate::auth::revocation::durable`].

use crate::auth::Failure;
use crate::auth::context::Context;
use crate::auth::revocation::durable::end_again;
use crate::auth::sessions::open::{Door, Pair, pair};
use crate::id::UserId;
use crate::store::ephemeral::{Presented, Revocation, Rotation, Standing, Target};
use crate::token::refresh::Refresh;

/// What becomes of the token that is handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// A successor takes its place.
    Rotate,
    /// It stays in force, and its lifetime stays as it was.
    Keep,
}

/// Exchanges `token`. Where the dialect says whose it must be, another user's is not in force.
pub async fn refresh(
    ctx: &Context,
    token: &str,
    owner: Option<UserId>,
    then: Then,
    door: Door<'_>,
) -> Result<Pair, Failure> {
    let node = &ctx.node;
    let Some(read) = Refresh::read(token, &node.secrets) else { return Err(Failure::RefreshNotInForce) };
    if owner.is_some_and(|owner| owner != read.user) {
        return Err(Failure::RefreshNotInForce);
    }
    let now = ctx.now();
    let presented = Presented {
        user: read.user,
        session: read.session,
        counter: read.counter,
        rotate: then == Then::Rotate,
        grace: node.config.tokens.grace,
        floor: node.revocations.floor(),
        remember_until: now + node.remember(),
    };
    match ctx.ephemeral.present(presented, now).await? {
        Rotation::Rotated(session) | Rotation::Repeated(session) => {
            let ended = node.revocations.ended(session.user, session.id, session.opened_at);
            if ended && is_there_again(ctx, &session).await? {
                return Err(Failure::RefreshNotInForce);
            }
            pair(ctx, session, door, now)
        }
        Rotation::Reused => {
            tracing::warn!(user = %read.user, session = %read.session, address = %door.address, "refresh token reused");
            let target = Target::Session(read.session);
            node.revocations.learn(&Revocation { target, until: presented.remember_until });
            Err(Failure::RefreshReused)
        }
        Rotation::Absent => Err(Failure::RefreshNotInForce),
    }
}

/// Whether a session that was ended is there all the same, because the store has lost its end; ends it once more. If not, it
/// was ended since this refresh, which is answered as it was won: of what it hands out nothing is good any more, and who rotated
/// first of many is told so even where the others have been taken for thieves by then.
async fn is_there_again(ctx: &Context, session: &Standing) -> Result<bool, Failure> {
    let there = ctx.ephemeral.session(session.user, session.id, ctx.now()).await?.is_some();
    if there {
        end_again(ctx, session.user, session.id).await;
    }
    Ok(there)
}
