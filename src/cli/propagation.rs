//! Lets a command that ends sessions, users or keys return only when the running nodes have applied the change, or when
//! the services that follow the revocation feed have the changed keys too.

use std::time::Duration;

use super::CliError;
use super::output::Output;
use crate::auth::context::Context;
use crate::auth::revocation::followers::{WaitError, wait_for_keys};
use crate::auth::revocation::propagation::wait_until_applied;
use crate::store::ephemeral::FOLLOWER_REPORT_TTL;

/// The most names in a message: there can be thousands of followers.
const MAX_NAMED: usize = 20;

/// Waits until every running node has applied all revocations and keyring changes that are published by now. Nodes
/// that have not confirmed within `revocation.confirm_within` are named in a warning. The command succeeds nevertheless,
/// because the change is stored and such a node applies it as soon as it reads revocations again.
pub(super) async fn wait_for_nodes(ctx: &Context, output: &mut Output<'_>) -> Result<(), CliError> {
    let late = wait_until_applied(ctx, ctx.node.config.revocation.confirm_within).await?;
    if late.is_empty() {
        return Ok(());
    }
    output.warn(&format!(
        "the change is stored, but these nodes have not applied it: {}. Those that still run may accept what was ended \
         until they do",
        late.join(", "),
    ))
}

/// Waits until every running node has applied the changed keyring, and every follower that reports has the present JWKS,
/// for `timeout` at most. The command fails if some have not, and names them.
pub(super) async fn wait_for_nodes_and_followers(
    ctx: &Context,
    timeout: Duration,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let give_up_at = ctx.node.clock.monotonic() + timeout;
    let nodes = wait_until_applied(ctx, timeout).await?;
    let followers = wait_for_keys(ctx, give_up_at.saturating_sub(ctx.node.clock.monotonic())).await?;
    let late = followers.iter().filter(|follower| !follower.has_current_keys);
    let late =
        late.map(|follower| format!("{} (seen {} s ago)", follower.name, ctx.now().since(follower.seen_at).as_secs()));
    let late = late.collect::<Vec<_>>();
    if nodes.is_empty() && late.is_empty() {
        return match followers.len() {
            0 => output.note("Every node has applied it. No follower of the revocation feed has reported."),
            number => output.note(&format!("Every node has applied it. Followers with the new keys: {number}.")),
        };
    }
    let lists = [("nodes have not applied it", nodes), ("followers do not have the new keys", late)];
    let lists = lists.iter().filter(|(_, names)| !names.is_empty());
    let lists = lists.map(|(what, names)| format!("these {what}: {}", shortened(names))).collect::<Vec<_>>();
    Err(CliError::Failed {
        problem: format!("the change is stored, but {}", lists.join("; ")),
        remedy: format!(
            "a service that cannot reach Signet reports nothing; one that has stopped is forgotten after {} s",
            FOLLOWER_REPORT_TTL.as_secs()
        ),
    })
}

fn shortened(names: &[String]) -> String {
    let (named, others) = names.split_at(names.len().min(MAX_NAMED));
    let named = named.join(", ");
    if others.is_empty() { named } else { format!("{named} and {} more", others.len()) }
}

impl From<WaitError> for CliError {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Reports(error) => error.into(),
            WaitError::Keyring(error) => error.into(),
        }
    }
}
