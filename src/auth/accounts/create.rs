//! Creates a user with a personal project.

use std::net::IpAddr;

use super::find::find_by_other_spelling;
use crate::auth::Error;
use crate::auth::accounts::permissions::can_create_superusers;
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::identity::{Email, EmailError, Username, UsernameError};
use crate::auth::passwords::{Password, Policy};
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::config;
use crate::id::{ProjectId, UserId};
use crate::store::accounts::{Created, NewUser, User};
use crate::token::custom_claims::CustomClaims;

/// The user to create.
#[derive(Clone, Debug, Default)]
pub struct CreateUser {
    /// The address, in any spelling.
    pub email: String,
    /// The username, in any spelling.
    pub username: Option<String>,
    /// The full name, as its owner writes it.
    pub full_name: Option<String>,
    /// The password. Without one, the user signs in by other means.
    pub password: Option<Password>,
    /// True if the address is verified.
    pub verified: bool,
    /// True if sign-in is disabled.
    pub disabled: bool,
    /// True if the user has every permission.
    pub superuser: bool,
    /// The roles.
    pub roles: Vec<String>,
    /// The custom claims.
    pub custom_claims: CustomClaims,
}

impl CreateUser {
    /// Checks what needs no store: the address, the username, and the password if there is one. Creating the user checks
    /// it too.
    pub fn check(&self, settings: &config::Passwords) -> Result<(), Error> {
        Email::parse(&self.email)?;
        self.username.as_deref().map(Username::parse).transpose()?;
        if let Some(password) = &self.password {
            Policy::from(settings).check(password)?;
        }
        Ok(())
    }

    /// The row to store, without a password.
    pub(super) fn into_row<E>(self, ctx: &Context) -> Result<NewUser, E>
    where
        E: From<EmailError> + From<UsernameError>,
    {
        let email = Email::parse(&self.email)?;
        let username = self.username.as_deref().map(Username::parse).transpose()?;
        let now = ctx.now();
        let (id, project) = (UserId::new(now, &ctx.node.rng), ProjectId::new(now, &ctx.node.rng));
        Ok(NewUser {
            username_key: username.as_ref().map(|name| name.key().to_owned()),
            username: username.map(|name| name.as_str().to_owned()),
            full_name: self.full_name,
            verified: self.verified,
            disabled: self.disabled,
            superuser: self.superuser,
            roles: self.roles,
            custom_claims: self.custom_claims.into_stored(),
            ..NewUser::new(id, email.as_str().to_owned(), project, now)
        })
    }
}

/// Creates a user. Checks all input before anything is hashed. The caller records the event, and runs to completion if
/// a client may disconnect, as `create_and_record` does.
pub async fn create_user(ctx: &Context, new_user: CreateUser) -> Result<User, Error> {
    let row = check_and_hash(ctx, new_user, Policy::from(&ctx.node.config.passwords), None).await?;
    store(ctx, &row).await
}

/// As [`create_user`], by the policy of the dialect, and calls `record` with the user even if the client disconnects
/// while the row is stored. A disconnect before ends the call.
pub(super) async fn create_and_record(
    ctx: &Context,
    new_user: CreateUser,
    request_ctx: RequestContext<'_>,
    record: impl FnOnce(&Context, &User) + Send + 'static,
) -> Result<User, Error> {
    let policy = Policy::for_dialect(request_ctx.dialect_config, &ctx.node.config.passwords);
    let row = check_and_hash(ctx, new_user, policy, Some(request_ctx.rate_limit_ip)).await?;
    let ctx = ctx.clone();
    run_to_completion(async move {
        let user = store(&ctx, &row).await?;
        record(&ctx, &user);
        Ok(user)
    })
    .await
}

async fn check_and_hash(
    ctx: &Context,
    mut new_user: CreateUser,
    policy: Policy,
    client: Option<IpAddr>,
) -> Result<NewUser, Error> {
    let password = new_user.password.take();
    let mut row = new_user.into_row::<Error>(ctx)?;
    if let Some(password) = &password {
        policy.check(password)?;
        row.password_hash = Some(ctx.node.hasher.acquire_slot(client).await?.hash(password).await?);
    }
    Ok(row)
}

/// The store compares keys alone, so two calls at the same time can take two spellings of one name.
async fn store(ctx: &Context, row: &NewUser) -> Result<User, Error> {
    if let Some(key) = &row.username_key
        && find_by_other_spelling(ctx, key).await?.is_some()
    {
        return Err(Error::UsernameTaken);
    }
    match ctx.accounts.create_user(row).await? {
        Created::Created(user) => Ok(*user),
        Created::EmailTaken => Err(Error::EmailTaken),
        Created::UsernameTaken => Err(Error::UsernameTaken),
    }
}

/// Creates a user on behalf of the administrator `by`.
pub async fn create_user_as_admin(
    ctx: &Context,
    by: &User,
    new_user: CreateUser,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    if new_user.superuser {
        can_create_superusers(by)?;
    }
    let origin = Origin::request_of(by.id, request_ctx);
    let record = move |ctx: &Context, user: &User| record_created(ctx, user, &origin);
    create_and_record(ctx, new_user, request_ctx, record).await
}

/// Creates a user on behalf of the operator.
pub async fn create_user_as_operator(ctx: &Context, new_user: CreateUser) -> Result<User, Error> {
    let user = create_user(ctx, new_user).await?;
    record_created(ctx, &user, &Origin::process());
    Ok(user)
}

fn record_created(ctx: &Context, user: &User, origin: &Origin) {
    audit::record(ctx, Event::of_user(EventType::UserCreated, user.id, origin.clone()));
    if user.superuser {
        audit::record(ctx, Event::of_user(EventType::SuperuserGranted, user.id, origin.clone()));
    }
}
