//! Publishes the reuse of a refresh token even if the caller stops waiting for the reply.
//!
//! By then the script has marked the session as reused, and a dropped request does not run the publishing that must
//! follow. So a task of its own reads the mark once more. Other calls pay nothing for this: no command and no
//! allocation.

use tokio::runtime::Handle;

use super::Redis;
use super::reply::ReplyReader;
use crate::clock::Timestamp;
use crate::store::Result;
use crate::store::ephemeral::{Revocation, RotateRequest, Target};

/// Guards the presentation of a refresh token. If dropped while armed, it publishes a reuse in the background.
pub(super) struct ReuseGuard<'a> {
    store: &'a Redis,
    request: RotateRequest,
    now: Timestamp,
    is_armed: bool,
}

impl<'a> ReuseGuard<'a> {
    pub(super) fn new(store: &'a Redis, request: RotateRequest, now: Timestamp) -> Self {
        Self { store, request, now, is_armed: true }
    }

    /// Disarms the guard, because the caller received the result.
    pub(super) fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for ReuseGuard<'_> {
    fn drop(&mut self) {
        if !self.is_armed {
            return;
        }
        let (store, request, now) = (self.store.clone(), self.request, self.now);
        // If the runtime itself is shutting down, the next presented token of the session publishes the reuse.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = store.publish_marked_reuse(request, now).await {
                    let RotateRequest { user, session, .. } = request;
                    tracing::warn!(%user, %session, %error, "cannot check a session for refresh token reuse");
                }
            });
        }
    }
}

impl Redis {
    /// Publishes the reuse if the session is marked. Uses the connection on which the token was presented, so that the
    /// mark is read after the script has run.
    async fn publish_marked_reuse(&self, request: RotateRequest, now: Timestamp) -> Result<()> {
        let RotateRequest { user, session, .. } = request;
        let mark = ReplyReader::of(self.fields(&self.keys.session(user, session), &["x"]).await?)?.value()?;
        if mark.as_str().as_deref() == Some("reused") {
            tracing::warn!(%user, %session, "refresh token reused by a client that has disconnected");
            self.publish_reuse(request, now).await?;
        }
        Ok(())
    }

    /// Publishes the revocation of a session whose refresh token was reused, and deletes the session.
    pub(super) async fn publish_reuse(&self, request: RotateRequest, now: Timestamp) -> Result<()> {
        let RotateRequest { user, session, revocation_expires_at: expires_at, .. } = request;
        self.publish_ended(user, &[session], &[Revocation { target: Target::Session(session), expires_at }], now).await
    }
}
