//! The caller's own account.

use serde::Deserialize;
use utoipa::ToSchema;

use super::request_context;
use super::wire::{FullName, Msg, message_response, read_with_new_password, user_response};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::fastapi::EmailStr;
use crate::api::myauth::error::MyauthError;
use crate::api::users_me::{self, UserRead};
use crate::api::{FORBIDDEN, RATE_LIMITED, WEAK_PASSWORD};
use crate::auth::Error;
use crate::auth::accounts::delete::delete_self;
use crate::auth::accounts::permissions::require_user;
use crate::auth::accounts::update::{UpdateSelf, update_self};
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::passwords::Password;
use crate::http::{Request, Response};

async fn read(ctx: Context, request: Request) -> Result<Response, MyauthError> {
    Ok(users_me::me(&ctx, &request, request_context(&ctx, &request)).await?)
}

pub(super) const READ: Endpoint = endpoint! {
    handler: read,
    docs: users_me::me,
    metric_label: "myauth.me",
    errors: [Error::AccountDisabled, Error::NotFound, RATE_LIMITED],
};

/// The fields to change. A field that is null or missing stays as it is.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"full_name": "Zoe Tam"}), json!({
    "email": "zoe.tam@example.org", "password": "a louder harbour at dawn", "original": "a quiet harbour at dusk",
})))]
pub(super) struct UpdateMe {
    #[schema(value_type = Option<String>, max_length = 255)]
    full_name: Option<FullName>,
    #[schema(value_type = Option<String>, format = Email, max_length = 254)]
    email: Option<EmailStr>,
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 128)]
    password: Option<Password>,
    /// The current password. Required to change the address or the password of an account that has one.
    #[schema(value_type = Option<String>, format = Password)]
    original: Option<Password>,
}

/// Update the current user.
///
/// A changed address is unverified until the link mailed to it is followed; the old address is notified. A changed
/// password ends all sessions, including this one. An account without a password gets another address, or a password,
/// only with a token of a recent sign-in.
#[utoipa::path(
    put,
    path = "/users/me",
    operation_id = "myauth_update_me",
    request_body = UpdateMe,
    security(("access_token" = [])),
    responses((status = 200, description = "The updated user.", body = UserRead)),
)]
async fn update(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    let (caller, user) = require_user(&ctx, request.bearer()).await?;
    let body: UpdateMe = read_with_new_password(&ctx, &mut request, "password").await?;
    let changes = UpdateSelf {
        full_name: body.full_name.map(|name| Some(name.0)),
        email: body.email.map(|email| email.0),
        password: body.password,
        current_password: body.original,
        auth_time: caller.auth_time(),
        ..UpdateSelf::default()
    };
    let request_ctx = request_context(&ctx, &request);
    Ok(user_response(&update_self(&ctx, &user, changes, request_ctx).await?))
}

pub(super) const UPDATE: Endpoint = endpoint! {
    handler: update,
    metric_label: "myauth.update-me",
    errors: [
        Error::WrongCurrentPassword,
        Error::RecentSignInRequired,
        Error::AccountDisabled,
        FORBIDDEN,
        Error::EmailTaken,
        WEAK_PASSWORD,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// Delete the current user.
///
/// The user is notified by mail.
#[utoipa::path(
    delete,
    path = "/users/me",
    operation_id = "myauth_delete_me",
    security(("access_token" = [])),
    responses((status = 200, description = "The account was deleted.", body = Msg,
        example = json!({"msg": "User deleted successfully"}))),
)]
async fn delete(ctx: Context, request: Request) -> Result<Response, MyauthError> {
    let (_, user) = require_user(&ctx, request.bearer()).await?;
    delete_self(&ctx, &user, request_context(&ctx, &request)).await?;
    Ok(message_response("User deleted successfully"))
}

pub(super) const DELETE: Endpoint = endpoint! {
    handler: delete,
    metric_label: "myauth.delete-me",
    errors: [Error::AccountDisabled, Error::Forbidden(Denial::CannotDeleteSelf), FORBIDDEN],
};
