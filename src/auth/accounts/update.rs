//! Changing a user: its owner's doing, or that of somebody who sees to users.
//!
//! A changed address is unverified until its owner confirms it, and the old one is told: if it was a thief, the mail to the old address
//! is what the owner hears of it. That of a changed password goes to the old address too, for a thief would change both at once.
//!
//! A new password ends all of the user's sessions everywhere, the one that asked among them: what ends them is the row's
//! `sessions_valid_after`, which must outlive the other store and knows no exceptions; and whoever just chose a password can sign
//! in with it. So does the loss of a right, since tokens say what their user may do. Whatever else tokens speak of, sessions outlive, and say anew
//! from their next refresh on.

use super::identity::Email;
use crate::auth::accounts::permissions::{can_create_superusers, can_manage};
use crate::auth::accounts::verify_email;
use crate::auth::context::Context;
use crate::auth::passwords::reauthenticate::{reauthenticate, reauthenticate_and_hash};
use crate::auth::passwords::{Password, Policy};
use crate::auth::sessions::open::RequestContext;
use crate::auth::sessions::refresh_claims::refresh_session_claims;
use crate::auth::sessions::run_to_completion::run_to_completion;
use crate::auth::sessions::sign_out::sign_out_durably;
use crate::auth::sign_in::one_time;
use crate::auth::{Error, mailing, rate_limit};
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{Changed, Changes, Find, PasswordHash, User};

/// What its owner may change. `None`: leave it.
#[derive(Clone, Debug, Default)]
pub struct UpdateSelf {
    /// The name.
    pub full_name: Option<String>,
    /// The address.
    pub email: Option<Email>,
    /// The password.
    pub password: Option<Password>,
    /// The present password, where there is one: address and password are not changed without it.
    pub original: Option<Password>,
}

/// What somebody who sees to users may change. `None`: leave it.
#[derive(Clone, Debug, Default)]
pub struct UpdateUser {
    /// The name, or that there is none.
    pub full_name: Option<Option<String>>,
    /// The address.
    pub email: Option<Email>,
    /// The password.
    pub password: Option<Password>,
    /// Whether the address counts as confirmed. Of a new one it is not believed.
    pub verified: Option<bool>,
    /// Whether the user may not sign in.
    pub disabled: Option<bool>,
    /// Whether the user may do everything: for superusers to say.
    pub superuser: Option<bool>,
    /// What else the user may do.
    pub roles: Option<Vec<String>>,
}

/// Changes what `user`, who asks for it, may change of itself.
pub async fn update_self(
    ctx: &Context,
    user: &User,
    own: UpdateSelf,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    let email = own.email.filter(|email| email.as_str() != user.email);
    let changed = UpdateUser {
        full_name: own.full_name.filter(|name| Some(name) != user.full_name.as_ref()).map(Some),
        email,
        password: own.password,
        ..UpdateUser::default()
    };
    check(ctx, changed.password.as_ref(), request_ctx)?;
    if changed.email.is_none() && changed.password.is_none() && changed.full_name.is_none() {
        return Ok(user.clone());
    }
    let given = own.original.as_ref();
    let hash = match &changed.password {
        Some(new) => Some(reauthenticate_and_hash(ctx, user, given, new, request_ctx.rate_limit_ip).await?),
        None => {
            if changed.email.is_some() {
                reauthenticate(ctx, user, given, request_ctx.rate_limit_ip).await?;
            }
            None
        }
    };
    change(ctx, user, changed, hash, request_ctx).await
}

/// Changes `id`, as `by` asks, who sees to users.
pub async fn update_user(
    ctx: &Context,
    by: &User,
    id: UserId,
    wanted: UpdateUser,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    let user = ctx.accounts.user(Find::Id(id)).await?.ok_or(Error::NotFound)?;
    can_manage(by, &user)?;
    let superuser = wanted.superuser.filter(|superuser| *superuser != user.superuser);
    if superuser.is_some() {
        can_create_superusers(by)?;
    }
    check(ctx, wanted.password.as_ref(), request_ctx)?;
    let email = wanted.email.filter(|email| email.as_str() != user.email);
    let verified = wanted.verified.filter(|_| email.is_none());
    let disabled = wanted.disabled.filter(|disabled| *disabled != user.disabled);
    let hash = match &wanted.password {
        Some(new) => Some(ctx.node.hasher.hash(new).await?),
        None => None,
    };
    change(ctx, &user, UpdateUser { email, verified, disabled, superuser, ..wanted }, hash, request_ctx).await
}

fn check(ctx: &Context, password: Option<&Password>, request_ctx: RequestContext<'_>) -> Result<(), Error> {
    match password {
        Some(password) => Ok(Policy::of(request_ctx.dialect_config, &ctx.node.config.passwords).check(password)?),
        None => Ok(()),
    }
}

/// Changes the row once everything is at hand that could be refused for want of time: `password_hash` is that of the password.
async fn change(
    ctx: &Context,
    user: &User,
    wanted: UpdateUser,
    password_hash: Option<PasswordHash>,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    if let Some(email) = &wanted.email {
        rate_limit::check_mail(ctx, &one_time::subject(email), request_ctx.rate_limit_ip).await?;
    }
    let changes = Changes {
        ends_sign_ins: loses_a_right(user, &wanted),
        full_name: wanted.full_name,
        email: wanted.email.map(|email| email.as_str().to_owned()),
        verified: wanted.verified,
        password_hash,
        disabled: wanted.disabled,
        superuser: wanted.superuser,
        roles: wanted.roles,
    };
    let (ctx, before, language) = (ctx.clone(), user.clone(), request_ctx.language.map(str::to_owned));
    run_to_completion(async move {
        let now = match ctx.accounts.change_user(before.id, &changes, ctx.now()).await? {
            Changed::Changed(now) => *now,
            Changed::EmailTaken => return Err(Error::EmailTaken),
            Changed::NotFound => return Err(Error::NotFound),
        };
        // First, since it must not depend on the other store who hears of it.
        tell(&ctx, &before, &now, &changes, language.as_deref())?;
        if changes.end_sign_ins() {
            sign_out_durably(&ctx, now.id, now.sessions_valid_after).await?;
        } else if tokens_say(&changes) {
            refresh_session_claims(&ctx, now.id).await;
        }
        Ok(now)
    })
    .await
}

/// Mails what has happened to whom it concerns.
fn tell(ctx: &Context, before: &User, now: &User, changes: &Changes, language: Option<&str>) -> Result<(), Error> {
    if changes.password_hash.is_some() {
        mailing::queue_notice(ctx, before, Letter::PasswordChanged, language);
    }
    if now.email != before.email {
        mailing::queue_notice(ctx, before, Letter::EmailChanged { new: now.email.clone() }, language);
        let config = &ctx.node.config;
        let page = format!("{}{}/links/confirm", config.server.public_url, config.api.native.prefix);
        verify_email::send_link(ctx, now, &now.email, |token| mailing::link_with_token(&page, token), language)?;
    }
    Ok(())
}

/// Whether tokens speak of what these change. Also of what already was so when it was looked at: it may not be any more.
fn tokens_say(changes: &Changes) -> bool {
    changes.email.is_some() || changes.verified.is_some() || changes.superuser.is_some() || changes.roles.is_some()
}

/// Whether `wanted` takes a right from the user. It is looked at beforehand, so that it is one step with the change: a second try
/// of one that was cut short would find no right to lose.
fn loses_a_right(user: &User, wanted: &UpdateUser) -> bool {
    let loses_roles = |roles: &Vec<String>| user.roles.iter().any(|role| !roles.contains(role));
    (user.superuser && wanted.superuser == Some(false)) || wanted.roles.as_ref().is_some_and(loses_roles)
}
