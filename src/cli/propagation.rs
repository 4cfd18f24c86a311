//! Lets a command that ends sessions, users or keys return only when the running nodes have applied the change.

use super::CliError;
use super::output::Output;
use crate::auth::context::Context;
use crate::auth::revocation::propagation::{CONFIRMATION_TIMEOUT, wait_until_applied};

/// Waits until every running node has applied all revocations and keyring changes that are published by now. Nodes
/// that have not confirmed within [`CONFIRMATION_TIMEOUT`] are named in a warning. The command succeeds nevertheless,
/// because the change is stored and such a node applies it as soon as it reads revocations again.
pub(super) async fn wait_for_nodes(ctx: &Context, output: &mut Output<'_>) -> Result<(), CliError> {
    let late = wait_until_applied(ctx).await?;
    if late.is_empty() {
        return Ok(());
    }
    output.warn(&format!(
        "the change is stored, but these nodes have not applied it within {} s: {}. \
         Until they do, they may accept what was ended",
        CONFIRMATION_TIMEOUT.as_secs(),
        late.join(", "),
    ))
}
