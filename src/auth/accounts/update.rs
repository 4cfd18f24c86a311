//! Changes a user, on the owner's request or an administrator's.
//!
//! A changed address is unverified until its owner verifies it, and the old address gets a notice: if a thief changed
//! it, the owner learns of it by this mail. The notice of a changed password goes to the old address too, because a
//! thief would change both in one request.
//!
//! A new password ends all of the user's sessions everywhere, the caller's included. They end by the row's
//! `sessions_valid_after`, which must outlive the ephemeral store and has no exceptions. The caller can sign in with
//! the new password. Losing a permission ends them too, because tokens state the permissions. Sessions survive every
//! other change, and their tokens carry the new claims from the next refresh on. API keys with reserved scopes end with
//! the password, and with the right to grant them.

use super::change_events::record_changes;
use super::change_row::change_row;
use crate::auth::accounts::permissions::{can_create_superusers, can_manage};
use crate::auth::accounts::verify_email;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::error::VerifyError;
use crate::auth::identity::{Email, Username};
use crate::auth::mailing::NoticeOrigin;
use crate::auth::passwords::reauthenticate::{
    reauthenticate, reauthenticate_and_hash, require_password_or_recent_sign_in,
    require_password_or_recent_sign_in_and_hash,
};
use crate::auth::passwords::{IdentityProof, Password, Policy};
use crate::auth::rate_limit::{LimitedAction, MailKind};
use crate::auth::request_context::RequestContext;
use crate::auth::reserved_scopes::RESERVED_SCOPES;
use crate::auth::run_to_completion::run_to_completion;
use crate::auth::sessions::claims::refresh_session_claims;
use crate::auth::sessions::sign_out::sign_out_durably;
use crate::auth::{Error, mailing, one_time, rate_limit};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{Changes, Find, NewUsername, PasswordHash, User};

pub use crate::token::custom_claims::CustomClaims;

/// The changes that users may make to themselves. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub struct UpdateSelf {
    /// The full name; `Some(None)` removes it.
    pub full_name: Option<Option<String>>,
    /// The username; `Some(None)` removes it.
    pub username: Option<Option<Username>>,
    /// The address.
    pub email: Option<Email>,
    /// The password.
    pub password: Option<Password>,
    /// The current password. Changing the address or the password requires it if the user has one.
    pub current_password: Option<Password>,
    /// When the user authenticated. Changing the address or the password requires a recent sign-in if the user has no
    /// password.
    pub auth_time: Option<Timestamp>,
}

/// The changes that an administrator may make to a user. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub struct UpdateUser {
    /// The full name; `Some(None)` removes it.
    pub full_name: Option<Option<String>>,
    /// The username; `Some(None)` removes it.
    pub username: Option<Option<Username>>,
    /// The address.
    pub email: Option<Email>,
    /// The password.
    pub password: Option<Password>,
    /// True if the address is verified. Ignored if the address changes.
    pub verified: Option<bool>,
    /// The address that the user must have; otherwise nothing changes. If it is absent and `verified` is true, the one
    /// in the row that was read.
    pub only_if_email: Option<Email>,
    /// True if sign-in is disabled.
    pub disabled: Option<bool>,
    /// True if the user has every permission. Only superusers may change it.
    pub superuser: Option<bool>,
    /// The roles.
    pub roles: Option<Vec<String>>,
    /// The custom claims, all of them.
    pub custom_claims: Option<CustomClaims>,
    /// The administrator's current password. Administrators who change their own address or password give it, or have
    /// signed in recently.
    pub current_password: Option<Password>,
    /// When the administrator authenticated.
    pub auth_time: Option<Timestamp>,
}

/// Changes the caller's own account.
pub async fn update_self(
    ctx: &Context,
    user: &User,
    update: UpdateSelf,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    let email = update.email.filter(|email| email.as_str() != user.email);
    let changed = UpdateUser {
        full_name: update.full_name.filter(|name| *name != user.full_name),
        username: update.username.filter(|name| name.as_ref().map(Username::as_str) != user.username.as_deref()),
        email,
        password: update.password,
        ..UpdateUser::default()
    };
    check_policy(ctx, changed.password.as_ref(), request_ctx)?;
    let changes_profile = changed.full_name.is_some() || changed.username.is_some();
    if changed.email.is_none() && changed.password.is_none() && !changes_profile {
        return Ok(user.clone());
    }
    if changes_profile {
        // The claims in each of the user's sessions are written.
        rate_limit::check_costly(ctx, user.id, request_ctx).await?;
    }
    if let Some(Some(_)) = &changed.username {
        // As a sign-up with a username, because the response tells whether another account has it.
        rate_limit::check_client(ctx, LimitedAction::SignUpClient, request_ctx).await?;
    }
    let proof = IdentityProof { password: update.current_password.as_ref(), auth_time: update.auth_time };
    let hash = match &changed.password {
        Some(new) => Some(reauthenticate_and_hash(ctx, user, proof, new, request_ctx).await?),
        None => {
            if changed.email.is_some() {
                reauthenticate(ctx, user, proof, request_ctx).await?;
            }
            None
        }
    };
    apply(ctx, user, changed, hash, Some(user.sessions_valid_after), user.id, request_ctx).await
}

/// Changes the user `id` on behalf of the administrator `by`. Administrators who change their own address or password
/// must prove their identity, as in [`update_self`]: the right to manage users does not replace the proof. Their hashes
/// are limited as there too. Those for other users are not, so that a program can set the passwords of many.
pub async fn update_user(
    ctx: &Context,
    by: &User,
    id: UserId,
    update: UpdateUser,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    let user = ctx.accounts.user(Find::Id(id)).await?.ok_or(Error::NotFound)?;
    can_manage(by, &user)?;
    let superuser = update.superuser.filter(|superuser| *superuser != user.superuser);
    if superuser.is_some() {
        can_create_superusers(by)?;
    }
    check_policy(ctx, update.password.as_ref(), request_ctx)?;
    let email = update.email.filter(|email| email.as_str() != user.email);
    let verified = update.verified.filter(|_| email.is_none());
    let disabled = update.disabled.filter(|disabled| *disabled != user.disabled);
    let is_own = by.id == user.id;
    let proof = IdentityProof { password: update.current_password.as_ref(), auth_time: update.auth_time };
    let hash = match &update.password {
        Some(new) if is_own => {
            Some(require_password_or_recent_sign_in_and_hash(ctx, &user, proof, new, request_ctx).await?)
        }
        Some(new) => Some(ctx.node.hasher.acquire_slot(Some(request_ctx.rate_limit_ip)).await?.hash(new).await?),
        None => {
            if is_own && email.is_some() {
                require_password_or_recent_sign_in(ctx, &user, proof, request_ctx).await?;
            }
            None
        }
    };
    let update = UpdateUser { email, verified, disabled, superuser, ..update };
    let own_session = is_own.then_some(by.sessions_valid_after);
    apply(ctx, &user, update, hash, own_session, by.id, request_ctx).await
}

fn check_policy(ctx: &Context, password: Option<&Password>, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    match password {
        Some(password) => {
            Ok(Policy::for_dialect(request_ctx.dialect_config, &ctx.node.config.passwords).check(password)?)
        }
        None => Ok(()),
    }
}

/// Changes the row and does what follows from the change. `password_hash` is the hash of `update.password`.
/// `own_session`: the `sessions_valid_after` of users who change themselves, as their token was checked against it. If
/// something has ended their sessions since, such as the first proof of the address by its owner, nothing changes.
/// `by`: the user who requests the change.
async fn apply(
    ctx: &Context,
    user: &User,
    update: UpdateUser,
    password_hash: Option<PasswordHash>,
    own_session: Option<Timestamp>,
    by: UserId,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    if let Some(email) = &update.email {
        let permit = rate_limit::check_mail(ctx, MailKind::EmailLink, &one_time::subject(email), request_ctx).await?;
        permit.require(ctx, None, request_ctx).await?;
    }
    let changes = to_changes(user, update, password_hash, own_session);
    let (ctx, before) = (ctx.clone(), user.clone());
    let (client, origin) = (request_ctx.client(), Origin::request_of(by, request_ctx));
    let notice_origin = match own_session {
        Some(_) => NoticeOrigin::client(request_ctx),
        None => NoticeOrigin::operator(request_ctx.language),
    };
    run_to_completion(async move {
        let after = match change_row(&ctx, before.id, &changes).await {
            Err(Error::NotFound) if own_session.is_some() => return Err(VerifyError::Revoked.into()),
            changed => changed?,
        };
        record_changes(&ctx, &before, &changes, &origin);
        let sessions = update_sessions(&ctx, &after, &changes).await;
        // Also if the ephemeral store fails, so that the notice does not depend on it.
        notify(&ctx, &before, &after, &changes, &notice_origin).await?;
        sessions?;
        if own_session.is_some() && changes.password_hash.is_some() {
            // The new password has removed the known networks. Attempts by others must not lock the owner out of the
            // next sign-in.
            rate_limit::remember_network(&ctx, before.id, client).await;
        }
        Ok(after)
    })
    .await
}

fn new_username(name: &Username) -> NewUsername {
    NewUsername { username: name.as_str().to_owned(), key: name.key().to_owned() }
}

/// Changes a user on behalf of the operator, except for the address and the password: such a change requires a notice
/// to the owner.
pub async fn update_user_as_operator(
    ctx: &Context,
    user: &User,
    update: UpdateUser,
    origin: Origin,
) -> Result<User, Error> {
    let update = UpdateUser { email: None, password: None, ..update };
    let superuser = update.superuser.filter(|superuser| *superuser != user.superuser);
    let disabled = update.disabled.filter(|disabled| *disabled != user.disabled);
    let changes = to_changes(user, UpdateUser { superuser, disabled, ..update }, None, None);
    let (ctx, before) = (ctx.clone(), user.clone());
    run_to_completion(async move {
        let after = change_row(&ctx, before.id, &changes).await?;
        record_changes(&ctx, &before, &changes, &origin);
        update_sessions(&ctx, &after, &changes).await?;
        Ok(after)
    })
    .await
}

/// Ends the user's sessions if the changes end the sign-ins; otherwise updates the claims stored in them.
async fn update_sessions(ctx: &Context, after: &User, changes: &Changes) -> Result<(), Error> {
    if changes.end_sign_ins() {
        sign_out_durably(ctx, after.id, after.sessions_valid_after).await?;
    } else if changes_claims(changes) {
        refresh_session_claims(ctx, after.id).await;
    }
    Ok(())
}

/// The changes to the row, with the sign-ins and API keys that end with them.
fn to_changes(
    user: &User,
    update: UpdateUser,
    password_hash: Option<PasswordHash>,
    only_if_valid_after: Option<Timestamp>,
) -> Changes {
    Changes {
        ends_sign_ins: loses_permission(user, &update),
        ends_api_keys_with: ended_scopes(&update),
        only_if_valid_after,
        only_if_email: required_address(user, &update),
        full_name: update.full_name,
        username: update.username.map(|name| name.as_ref().map(new_username)),
        email: update.email.map(|email| email.as_str().to_owned()),
        verified: update.verified,
        password_hash,
        disabled: update.disabled,
        superuser: update.superuser,
        roles: update.roles,
        custom_claims: update.custom_claims.map(CustomClaims::into_stored),
    }
}

/// The address that the user must still have. An address that the user has changed to in the meantime may be that of
/// another person, and nobody has decided to verify it.
fn required_address(user: &User, update: &UpdateUser) -> Option<String> {
    let named = update.only_if_email.as_ref().map(|email| email.as_str().to_owned());
    named.or_else(|| (update.verified == Some(true)).then(|| user.email.clone()))
}

/// Mails the old address what has changed, and the new address a link that verifies it.
async fn notify(
    ctx: &Context,
    before: &User,
    after: &User,
    changes: &Changes,
    notice_origin: &NoticeOrigin,
) -> Result<(), Error> {
    if changes.password_hash.is_some() {
        mailing::queue_notice(ctx, before, Letter::PasswordChanged, notice_origin).await;
    }
    if after.email != before.email {
        mailing::queue_notice(ctx, before, Letter::EmailChanged { new: after.email.clone() }, notice_origin).await;
        let link = |token: &str| verify_email::page_link(&ctx.node.config, token);
        verify_email::send_link(ctx, after, &after.email, link, notice_origin.language())?;
    }
    Ok(())
}

/// Returns true if tokens carry claims about what changes, even if the row had the same values when it was read: it may
/// have changed since.
fn changes_claims(changes: &Changes) -> bool {
    changes.full_name.is_some()
        || changes.username.is_some()
        || changes.email.is_some()
        || changes.verified.is_some()
        || changes.superuser.is_some()
        || changes.roles.is_some()
        || changes.custom_claims.is_some()
}

/// The scopes whose API keys end with `update`: a new password ends what a thief may have created, and a user who is no
/// superuser any more may not grant reserved scopes.
fn ended_scopes(update: &UpdateUser) -> &'static [&'static str] {
    if update.password.is_some() || update.superuser == Some(false) { RESERVED_SCOPES } else { &[] }
}

/// Returns true if `update` takes a permission from the user. Decided before the change, so that the change and the end
/// of the sessions are one step: after an interrupted attempt, a second one would find no permission to take.
fn loses_permission(user: &User, update: &UpdateUser) -> bool {
    let loses_role = |roles: &Vec<String>| user.roles.iter().any(|role| !roles.contains(role));
    (user.superuser && update.superuser == Some(false)) || update.roles.as_ref().is_some_and(loses_role)
}
