//! A refresh token that came again, brought by somebody who is gone before the answer is here. The script has marked its session by then,
//! and a request that is dropped takes along what was to follow: so a task of its own looks at the mark once more. Nobody else pays
//! for it: not a question, not an allocation.

use tokio::runtime::Handle;

use super::Redis;
use super::reply::ReplyReader;
use crate::clock::Timestamp;
use crate::store::Result;
use crate::store::ephemeral::{Revocation, RotateRequest, Target};

/// Stands by while a token is presented. Dropped before it may leave, it sees to it that a reuse is published.
pub(super) struct ReuseGuard<'a> {
    store: &'a Redis,
    presented: RotateRequest,
    now: Timestamp,
    may_leave: bool,
}

impl<'a> ReuseGuard<'a> {
    pub(super) fn of(store: &'a Redis, presented: RotateRequest, now: Timestamp) -> Self {
        Self { store, presented, now, may_leave: false }
    }

    /// There is an answer, and somebody who hears it.
    pub(super) fn leave(mut self) {
        self.may_leave = true;
    }
}

impl Drop for ReuseGuard<'_> {
    fn drop(&mut self) {
        if self.may_leave {
            return;
        }
        let (store, presented, now) = (self.store.clone(), self.presented, self.now);
        // Where the runtime itself is ending, the next token of the session that comes tells of it.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = store.look_again(presented, now).await {
                    let RotateRequest { user, session, .. } = presented;
                    tracing::warn!(%user, %session, %error, "whether a refresh token was reused could not be looked at");
                }
            });
        }
    }
}

impl Redis {
    /// On the line on which it was presented, so that this is answered after that.
    async fn look_again(&self, presented: RotateRequest, now: Timestamp) -> Result<()> {
        let RotateRequest { user, session, .. } = presented;
        let mark = ReplyReader::of(self.fields(&self.keys.session(user, session), &["x"]).await?)?.value()?;
        if mark.as_str().as_deref() == Some("reused") {
            tracing::warn!(%user, %session, "refresh token reused by a client that has gone");
            self.publish_reuse(presented, now).await?;
        }
        Ok(())
    }

    /// Publishes that a session is over whose token was reused, and takes it away.
    pub(super) async fn publish_reuse(&self, presented: RotateRequest, now: Timestamp) -> Result<()> {
        let RotateRequest { user, session, remember_until: until, .. } = presented;
        self.publish_ended(user, &[session], &[Revocation { target: Target::Session(session), until }], now).await
    }
}
