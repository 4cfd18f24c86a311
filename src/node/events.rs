//! Writes the security events of a command. Its process has no maintenance, which writes those of a server.

use crate::auth::audit;
use crate::auth::context::Context;
use crate::node::webhook;

/// Writes the events that the command has recorded to the list, and sends them to the webhook. A command calls it at
/// its end, and before when it records more events than the queues hold.
pub async fn flush(ctx: &Context) {
    audit::flush(ctx).await;
    webhook::flush(ctx).await;
}
