//! Making a user with its personal project.

use super::identity::{Email, Username};
use crate::auth::Error;
use crate::auth::accounts::permissions::can_create_superusers;
use crate::auth::context::Context;
use crate::auth::passwords::{Password, Policy};
use crate::auth::sessions::open::RequestContext;
use crate::id::{ProjectId, UserId};
use crate::store::accounts::{Created, NewUser, User};

/// What the user is to be.
#[derive(Clone, Debug, Default)]
pub struct CreateUser {
    /// In any spelling.
    pub email: String,
    /// In any spelling.
    pub username: Option<String>,
    /// As its owner writes it.
    pub full_name: Option<String>,
    /// None: the user signs in by other means.
    pub password: Option<Password>,
    /// Whether the address is known to be the user's.
    pub verified: bool,
    /// Whether the user may not sign in yet.
    pub disabled: bool,
    /// Whether the user may do everything.
    pub superuser: bool,
    /// What else the user may do.
    pub roles: Vec<String>,
}

/// Makes a user whose password meets `policy`. What is wrong with the wish is said before anything is hashed.
pub async fn create_user(ctx: &Context, wanted: CreateUser, policy: Policy) -> Result<User, Error> {
    let email = Email::parse(&wanted.email)?;
    let username = wanted.username.as_deref().map(Username::parse).transpose()?;
    let password_hash = match &wanted.password {
        Some(password) => {
            policy.check(password)?;
            Some(ctx.node.hasher.hash(password).await?)
        }
        None => None,
    };
    let now = ctx.now();
    let user = NewUser {
        id: UserId::new(now, &ctx.node.rng),
        email: email.as_str().to_owned(),
        username_key: username.as_ref().map(|name| name.key().to_owned()),
        username: username.map(|name| name.as_str().to_owned()),
        full_name: wanted.full_name,
        password_hash,
        verified: wanted.verified,
        disabled: wanted.disabled,
        superuser: wanted.superuser,
        roles: wanted.roles,
        project: ProjectId::new(now, &ctx.node.rng),
        created_at: now,
    };
    match ctx.accounts.create_user(&user).await? {
        Created::Created(user) => Ok(*user),
        Created::EmailTaken => Err(Error::EmailTaken),
        Created::UsernameTaken => Err(Error::UsernameTaken),
    }
}

/// Makes a user for somebody else, as `by` asks, who sees to users.
pub async fn create_user_as_admin(
    ctx: &Context,
    by: &User,
    wanted: CreateUser,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    if wanted.superuser {
        can_create_superusers(by)?;
    }
    create_user(ctx, wanted, Policy::of(request_ctx.dialect_config, &ctx.node.config.passwords)).await
}
