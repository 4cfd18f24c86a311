//! API keys: creating, listing and deactivating them. [`crate::auth::tokens::verify`] verifies them, and
//! [`crate::token::api_key`] is their format.

pub mod administer;
mod manage;

use super::Error;
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::reserved_scopes::is_reserved;
use crate::auth::revocation::durable::api_key_revocation;
use crate::auth::revocation::publish::publish_revocation;
use crate::auth::run_to_completion::run_to_completion;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::store::ephemeral::Target;

pub use crate::store::accounts::ApiKey;
pub use crate::token::api_key::{NewApiKey, has_api_key_prefix, is_well_formed};
pub use crate::token::scopes::is_scope;
pub use manage::{ApiKeyRequest, create_own, deactivate_own, list_own};

/// The longest lifetime in days: a hundred years.
pub const MAX_DAYS: u32 = 36_500;

/// The most scopes of a key that a user creates: a proxy passes them to the service behind it in one header field.
pub const MAX_SCOPES: usize = 50;

/// The longest scope of a key that a user creates, in characters, for the same reason.
pub const MAX_SCOPE_LENGTH: usize = 100;

/// The most bytes of scopes in the event about a new key. The rest of an event has about as many.
const MAX_RECORDED_SCOPES: usize = 400;

/// The input to [`create`].
#[derive(Clone, Debug)]
pub struct CreateApiKey {
    /// The owner, in whose name the key acts.
    pub user: UserId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The name that its owner gave it.
    pub name: String,
    /// The scopes.
    pub scopes: Vec<String>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The owner's `sessions_valid_after` when the scopes were allowed. If it has risen by now, no key is created.
    pub owner_valid_after: Timestamp,
}

/// Creates an API key. Only this call returns the whole key.
pub async fn create(ctx: &Context, new_key: CreateApiKey, origin: Origin) -> Result<(ApiKey, NewApiKey), Error> {
    let now = ctx.now();
    // A prefix has 60 random bits, so a refusal means that the owner has just been deleted or signed out everywhere;
    // the second try rules out chance.
    for _ in 0..2 {
        let key = NewApiKey::generate(&ctx.node.rng);
        let row = ApiKey {
            id: ApiKeyId::new(now, &ctx.node.rng),
            project: new_key.project,
            user: new_key.user,
            prefix: key.prefix().to_owned(),
            digest: key.digest(),
            name: new_key.name.clone(),
            scopes: new_key.scopes.clone(),
            last_used_at: None,
            expires_at: new_key.expires_at,
            deactivated_at: None,
            created_at: now,
            updated_at: now,
        };
        if ctx.accounts.create_api_key(&row, Some(new_key.owner_valid_after)).await? {
            let event = Event::of_user(EventType::ApiKeyCreated, row.user, origin);
            let event = event.detail("api_key", row.id.to_string()).of_superuser(is_of_superuser(&row));
            audit::record(ctx, with_scopes(event, &row.scopes));
            return Ok((row, key));
        }
    }
    Err(Error::NotFound)
}

/// Returns true if the key has a reserved scope, which only superusers can give to theirs.
fn is_of_superuser(key: &ApiKey) -> bool {
    key.scopes.iter().any(|scope| is_reserved(scope))
}

/// Adds the scopes of a new key: the reserved ones, and as many of the others as fit, because its owner chooses them and
/// the event is kept. The row has all of them.
fn with_scopes(event: Event, scopes: &[String]) -> Event {
    let (mut recorded, others): (Vec<_>, Vec<_>) = scopes.iter().cloned().partition(|scope| is_reserved(scope));
    let mut length = 0;
    recorded.extend(others.into_iter().take_while(|scope| {
        length += scope.len();
        length <= MAX_RECORDED_SCOPES
    }));
    let left_out = scopes.len() - recorded.len();
    let event = event.detail("scopes", recorded);
    if left_out > 0 { event.detail("scopes_left_out", left_out) } else { event }
}

/// Deactivates a project's key: each node refuses it, and tokens issued from it, as soon as it applies the revocation.
/// If the revocation cannot be published, this node still refuses the key, the others do within a minute, because the
/// row says so, and publishing is repeated. Idempotent.
pub async fn deactivate(ctx: &Context, project: ProjectId, key: ApiKeyId, origin: Origin) -> Result<ApiKey, Error> {
    let deactivated = deactivate_and_record(ctx, project, key, origin, false).await?;
    match deactivated.publish_error {
        None => Ok(deactivated.key),
        Some(error) => Err(error),
    }
}

/// A key whose row says that it is deactivated.
struct Deactivated {
    key: ApiKey,
    /// True if this call has deactivated it.
    was_active: bool,
    /// Why the revocation could not be published, if it could not.
    publish_error: Option<Error>,
}

/// `is_one_of_many`: see [`Event::one_of_many`].
async fn deactivate_and_record(
    ctx: &Context,
    project: ProjectId,
    key: ApiKeyId,
    origin: Origin,
    is_one_of_many: bool,
) -> Result<Deactivated, Error> {
    let ctx = ctx.clone();
    run_to_completion(async move {
        let now = ctx.now();
        let row = ctx.accounts.deactivate_api_key(project, key, now).await?.ok_or(Error::NotFound)?;
        let was_active = row.deactivated_at == Some(now);
        if was_active {
            let event = Event::of_user(EventType::ApiKeyDeactivated, row.user, origin).one_of_many(is_one_of_many);
            audit::record(&ctx, event.detail("api_key", key.to_string()).of_superuser(is_of_superuser(&row)));
        }
        let ttl = ctx.node.retention.revocation_ttl();
        if row.deactivated_at.is_some_and(|deactivated_at| deactivated_at + ttl <= now) {
            // No token that was issued from it can be valid, and every node has read the row since.
            return Ok(Deactivated { key: row, was_active, publish_error: None });
        }
        let expires_at = now + ttl;
        let published = publish_revocation(&ctx, Target::ApiKey(key), expires_at).await;
        // After publishing, which skips a revocation that this node has applied already.
        let revocation = api_key_revocation(&ctx, key, now);
        ctx.node.revocations.apply(&revocation);
        if published.is_err() {
            // This node has applied it, so reading the row again will not publish it.
            ctx.node.revocations.add_unpublished([revocation]);
        }
        Ok(Deactivated { key: row, was_active, publish_error: published.err() })
    })
    .await
}
