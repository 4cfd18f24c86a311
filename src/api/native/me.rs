//! The caller's own account.

use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::mailed::Mailed;
use super::profile::Profile;
use super::sessions::{Tokens, tokens};
use super::{Problem, check_name, optional_body, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{FORBIDDEN, RATE_LIMITED, WEAK_PASSWORD, credential, session_token};
use crate::auth::Error;
use crate::auth::accounts::change_email::request_email_change;
use crate::auth::accounts::delete::delete_self_with_proof;
use crate::auth::accounts::permissions::require_user;
use crate::auth::accounts::update::{UpdateSelf, update_self};
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::identity::{Email, EmailError, Username, UsernameError};
use crate::auth::passwords::{IdentityProof, Password};
use crate::auth::sessions::tokens::TokenPair;
use crate::auth::sign_in::new_password::change_password;
use crate::auth::tokens::caller::authenticate_user;
use crate::http::{Request, Response, json};

/// The changes to the account. Absent fields stay as they are; null removes a name.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"full_name": "Zoe Tam"}), json!({"username": "zoe"})))]
pub(super) struct UpdateMe {
    #[serde(default, deserialize_with = "json::double_option")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    full_name: Option<Option<String>>,
    /// Unique, and without `@`. The user can sign in with it.
    #[serde(default, deserialize_with = "json::double_option")]
    #[schema(value_type = Option<String>, max_length = 64)]
    username: Option<Option<String>>,
}

/// A new password, and the one that it replaces.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"current_password": "a quiet harbour at dusk", "new_password": "a louder harbour at dawn"})))]
pub(super) struct NewPassword {
    /// The current password, for users who have one.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<Password>,
    /// `GET /password-policy` has the rules.
    #[schema(value_type = String, format = Password)]
    new_password: Password,
}

/// A new address, and the password.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "zoe@example.net", "current_password": "a quiet harbour at dusk"})))]
pub(super) struct NewEmail {
    email: String,
    /// The password, for users who have one.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<Password>,
}

/// The password, in place of a recent sign-in.
#[derive(Default, Deserialize, ToSchema)]
#[schema(examples(json!({"password": "a quiet harbour at dusk"})))]
pub(super) struct DeleteMe {
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Password>,
}

/// Get your account
///
/// Takes an access token or an API key.
#[utoipa::path(
    get,
    path = "/me",
    operation_id = "native_me",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The caller's account.", body = Profile<'_>)),
)]
async fn read(ctx: Context, request: Request) -> Result<Response, Problem> {
    let (caller, user) = authenticate_user(&ctx, credential(&request)).await?;
    Ok(Response::json(StatusCode::OK, &Profile::of(&ctx, &user, caller.auth_time()).await?).no_store())
}

pub(super) const READ: Endpoint = endpoint! {
    handler: read,
    metric_label: "native.me",
    errors: [Error::AccountDisabled, Error::NotFound],
};

/// Change your name or username
#[utoipa::path(
    patch,
    path = "/me",
    operation_id = "native_update_me",
    request_body = UpdateMe,
    security(("access_token" = [])),
    responses((status = 200, description = "The account after the change.", body = Profile<'_>)),
)]
async fn update(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: UpdateMe = request.json().await?;
    if let Some(Some(name)) = &body.full_name {
        check_name("full_name", name)?;
    }
    let parse = |name: Option<String>| name.map(|name| Username::parse(&name)).transpose();
    let username = body.username.map(parse).transpose()?;
    let (caller, user) = require_user(&ctx, session_token(&request)?).await?;
    let request_ctx = request_context(&ctx, &request);
    let changes = UpdateSelf { full_name: body.full_name, username, ..UpdateSelf::default() };
    let user = update_self(&ctx, &user, changes, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &Profile::of(&ctx, &user, caller.auth_time()).await?).no_store())
}

pub(super) const UPDATE: Endpoint = endpoint! {
    handler: update,
    metric_label: "native.update-me",
    errors: [
        FORBIDDEN,
        Error::AccountDisabled,
        UsernameError::Character,
        Error::UsernameTaken,
        RATE_LIMITED,
    ],
};

/// Delete your account
///
/// Ends all sessions and API keys. The owner is told by mail. Needs the password, or a token of a recent sign-in.
#[utoipa::path(
    delete,
    path = "/me",
    operation_id = "native_delete_me",
    request_body(content = Option<DeleteMe>),
    security(("access_token" = [])),
    responses((status = 204, description = "The account is deleted.")),
)]
async fn delete(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: DeleteMe = optional_body(&mut request).await?;
    let (caller, user) = require_user(&ctx, session_token(&request)?).await?;
    let request_ctx = request_context(&ctx, &request);
    let proof = IdentityProof { password: body.password.as_ref(), auth_time: caller.auth_time() };
    delete_self_with_proof(&ctx, &user, proof, request_ctx).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

pub(super) const DELETE: Endpoint = endpoint! {
    handler: delete,
    metric_label: "native.delete-me",
    errors: [
        FORBIDDEN,
        Error::AccountDisabled,
        Error::Forbidden(Denial::CannotDeleteSelf),
        Error::WrongCurrentPassword,
        Error::RecentSignInRequired,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// Change your password
///
/// Ends all other sessions of the user, and replaces the caller's: the response has its tokens. The owner is told by
/// mail. Users without a password must have signed in recently.
#[utoipa::path(
    put,
    path = "/me/password",
    operation_id = "native_change_password",
    request_body = NewPassword,
    security(("access_token" = [])),
    responses((status = 200, description = "The tokens of the session that replaces the caller's.", body = Tokens<'_>)),
)]
async fn set_password(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let pair = replace_password(&ctx, &mut request).await?;
    Ok(Response::json(StatusCode::OK, &tokens(&pair, ctx.now())).no_store())
}

/// Sets the password that the request contains. Returns the tokens of the session that replaces the caller's.
pub(super) async fn replace_password(ctx: &Context, request: &mut Request) -> Result<TokenPair, Problem> {
    let body: NewPassword = request.json().await?;
    let (caller, user) = require_user(ctx, session_token(request)?).await?;
    let request_ctx = request_context(ctx, request);
    let (current, new) = (body.current_password, body.new_password);
    Ok(change_password(ctx, &user, caller.auth_time(), current, new, request_ctx).await?)
}

pub(super) const SET_PASSWORD: Endpoint = endpoint! {
    handler: set_password,
    metric_label: "native.change-password",
    errors: [
        FORBIDDEN,
        Error::AccountDisabled,
        Error::EmailNotVerified,
        WEAK_PASSWORD,
        Error::WrongCurrentPassword,
        Error::RecentSignInRequired,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// Change your email address
///
/// Mails a link to the new address, which takes effect when the link is followed: `POST /email-confirmations/redeem`
/// takes its token. The present address is told by mail. A new password voids the link. Users without a password must
/// have signed in recently. The response does not reveal whether another account has the address.
#[utoipa::path(
    post,
    path = "/me/email",
    operation_id = "native_change_email",
    request_body = NewEmail,
    security(("access_token" = [])),
    responses((status = 202, description = "The same response for every address.", body = Mailed)),
)]
async fn change_email(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: NewEmail = request.json().await?;
    let email = Email::parse(&body.email)?;
    let (caller, user) = require_user(&ctx, session_token(&request)?).await?;
    let request_ctx = request_context(&ctx, &request);
    let proof = IdentityProof { password: body.current_password.as_ref(), auth_time: caller.auth_time() };
    Ok(Mailed::response(request_email_change(&ctx, &user, &email, proof, request_ctx).await?))
}

pub(super) const CHANGE_EMAIL: Endpoint = endpoint! {
    handler: change_email,
    metric_label: "native.change-email",
    errors: [
        FORBIDDEN,
        Error::AccountDisabled,
        EmailError::NoAt,
        Error::WrongCurrentPassword,
        Error::RecentSignInRequired,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};
