//! The security events of a change to a user's row.

use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::store::accounts::{Changes, User};

/// Records what `changes` has changed. `before`: the row as it was read.
pub(super) fn record_changes(ctx: &Context, before: &User, changes: &Changes, origin: &Origin) {
    let record = |event_type: EventType| audit::record(ctx, Event::of_account(event_type, before, origin.clone()));
    if changes.password_hash.is_some() {
        record(EventType::PasswordChanged);
    }
    if changes.email.as_ref().is_some_and(|email| *email != before.email) {
        record(EventType::EmailChanged);
    }
    match (before.superuser, changes.superuser) {
        (false, Some(true)) => record(EventType::SuperuserGranted),
        (true, Some(false)) => record(EventType::SuperuserRemoved),
        _ => {}
    }
    if let Some(disabled) = changes.disabled {
        record_disabled(ctx, before, disabled, origin.clone());
    }
    let others = [
        ("full_name", changes.full_name.is_some()),
        ("username", changes.username.is_some()),
        ("email_verified", changes.verified.is_some()),
        ("roles", changes.roles.is_some()),
        ("claims", changes.custom_claims.is_some()),
    ];
    let changed: Vec<_> = others.into_iter().filter_map(|(name, is_changed)| is_changed.then_some(name)).collect();
    if !changed.is_empty() {
        let event = Event::of_account(EventType::UserUpdated, before, origin.clone());
        audit::record(ctx, event.detail("changed", changed));
    }
}

/// Records that a user was disabled or enabled.
pub(super) fn record_disabled(ctx: &Context, user: &User, disabled: bool, origin: Origin) {
    let event_type = if disabled { EventType::UserDisabled } else { EventType::UserEnabled };
    audit::record(ctx, Event::of_user(event_type, user.id, origin));
}
