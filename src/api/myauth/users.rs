//! User management, for users with the role `admin` and for superusers.

use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::request_context;
use super::wire::{
    FullName, Msg, Role, Roles, embedded_body, message_response, read_with_new_password, resolve_roles, user_response,
};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::fastapi::{EmailStr, LaxBool, LaxInteger, both, uuid};
use crate::api::myauth::error::{Call, MyauthError};
use crate::api::users_me::{PLAIN_ROLE, UserRead, role};
use crate::api::{FORBIDDEN, RATE_LIMITED, WEAK_PASSWORD};
use crate::auth::Error;
use crate::auth::accounts::create::{CreateUser, create_user_as_admin};
use crate::auth::accounts::delete::delete_user_as_admin;
use crate::auth::accounts::disable::toggle_disabled;
use crate::auth::accounts::find::{find_user, list_users};
use crate::auth::accounts::permissions::require_admin;
use crate::auth::accounts::update::{UpdateUser, update_user};
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::passwords::Password;
use crate::http::{ParamLocation, Rejection, Request, Response, json};
use crate::id::UserId;

fn as_bool(flag: Option<LaxBool>) -> Option<bool> {
    flag.map(|flag| flag.0)
}

fn user_id(request: &Request) -> Result<UserId, Rejection> {
    uuid(ParamLocation::Path, "user_id", Some(request.param("user_id"))).map(UserId)
}

#[derive(Deserialize)]
struct Page {
    page: Option<LaxInteger<{ i64::MIN }, { i64::MAX }>>,
}

/// List users.
///
/// Twenty per page, in order of creation.
#[utoipa::path(
    get,
    path = "/users/",
    operation_id = "myauth_users",
    params(("page" = Option<i64>, Query, description = "Page number, starting at 0. Negative numbers mean 0.")),
    security(("access_token" = [])),
    responses((status = 200, description = "The users of the page.", body = Vec<UserRead>)),
)]
async fn list(ctx: Context, request: Request) -> Result<Response, MyauthError> {
    require_admin(&ctx, request.bearer()).await?;
    let page = request.query()?.deserialize::<Page>()?.page.map_or(0, |page| page.0);
    let users = list_users(&ctx, u64::try_from(page).unwrap_or(0)).await?;
    let users: Vec<UserRead> = users.iter().map(UserRead::new).collect();
    Ok(Response::json(StatusCode::OK, &users).no_store())
}

pub(super) const LIST: Endpoint = endpoint! {
    handler: list,
    metric_label: "myauth.users",
    errors: [Error::AccountDisabled, FORBIDDEN],
};

/// Get a user.
#[utoipa::path(
    get,
    path = "/users/{user_id}",
    operation_id = "myauth_user",
    params(("user_id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = [])),
    responses((status = 200, description = "The user.", body = UserRead)),
)]
async fn read(ctx: Context, request: Request) -> Result<Response, MyauthError> {
    require_admin(&ctx, request.bearer()).await?;
    Ok(user_response(&find_user(&ctx, user_id(&request)?).await?))
}

pub(super) const READ: Endpoint = endpoint! {
    handler: read,
    metric_label: "myauth.user",
    errors: [Error::AccountDisabled, FORBIDDEN, Error::NotFound],
};

/// The user to enable or disable.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"user_email": "zoe@example.org"})))]
pub(super) struct ToggleState {
    #[schema(value_type = String, format = Email, max_length = 254)]
    user_email: EmailStr,
}

/// Enable or disable a user.
///
/// Disables an active user and enables an inactive one. Disabling ends all sessions of the user.
#[utoipa::path(
    post,
    path = "/users/toggle-state",
    operation_id = "myauth_toggle_state",
    request_body = ToggleState,
    security(("access_token" = [])),
    responses((status = 200, description = "The state was changed.", body = Msg,
        example = json!({"msg": "User state toggled successfully."}))),
)]
async fn toggle_state(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    let (_, by) = require_admin(&ctx, request.bearer()).await?;
    let body: ToggleState = json::parse(&embedded_body(&mut request).await?)?;
    toggle_disabled(&ctx, &by, &body.user_email.0, request_context(&ctx, &request))
        .await
        .map_err(MyauthError::in_call(Call::Toggle))?;
    Ok(message_response("User state toggled successfully."))
}

pub(super) const TOGGLE_STATE: Endpoint = endpoint! {
    handler: toggle_state,
    metric_label: "myauth.toggle-state",
    errors: [Error::AccountDisabled, FORBIDDEN, Error::NotFound],
};

/// The user to create.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "zoe@example.org", "password": "a quiet harbour at dusk", "is_superuser": false})))]
pub(super) struct UserCreate {
    #[schema(value_type = String, format = Email, max_length = 254)]
    email: EmailStr,
    /// Without a password the user signs in with magic links.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 128)]
    password: Option<Password>,
    #[schema(value_type = Option<String>, max_length = 255)]
    full_name: Option<FullName>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    role: Option<Role>,
    /// All roles. Takes precedence over `role`.
    #[schema(value_type = Option<Vec<String>>, max_items = 32)]
    roles: Option<Roles>,
    #[schema(value_type = Option<bool>)]
    email_validated: Option<LaxBool>,
    #[schema(value_type = Option<bool>)]
    is_active: Option<LaxBool>,
    /// Only superusers may set it.
    #[schema(value_type = Option<bool>)]
    is_superuser: Option<LaxBool>,
}

/// Create a user.
#[utoipa::path(
    post,
    path = "/users/create",
    operation_id = "myauth_create_user",
    request_body = UserCreate,
    security(("access_token" = [])),
    responses((status = 200, description = "The new user.", body = UserRead)),
)]
async fn create(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    let (_, by) = require_admin(&ctx, request.bearer()).await?;
    let body: UserCreate = read_with_new_password(&ctx, &mut request, "password").await?;
    let new_user = CreateUser {
        email: body.email.0.as_str().to_owned(),
        username: None,
        full_name: body.full_name.map(|name| name.0),
        password: body.password,
        verified: as_bool(body.email_validated).unwrap_or(false),
        disabled: !as_bool(body.is_active).unwrap_or(true),
        superuser: as_bool(body.is_superuser).unwrap_or(false),
        roles: resolve_roles(PLAIN_ROLE, body.role, body.roles).unwrap_or_default(),
        ..CreateUser::default()
    };
    let request_ctx = request_context(&ctx, &request);
    let user =
        create_user_as_admin(&ctx, &by, new_user, request_ctx).await.map_err(MyauthError::in_call(Call::Create))?;
    Ok(user_response(&user))
}

pub(super) const CREATE: Endpoint = endpoint! {
    handler: create,
    metric_label: "myauth.create-user",
    errors: [
        Error::AccountDisabled,
        Error::EmailTaken,
        FORBIDDEN,
        WEAK_PASSWORD,
        Error::Overloaded,
    ],
};

/// The fields to change. A missing field stays as it is.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"full_name": "Zoe Tam", "role": "admin", "is_active": true})))]
pub(super) struct UserUpdate {
    #[schema(value_type = Option<String>, format = Email, max_length = 254)]
    email: Option<EmailStr>,
    #[serde(default, deserialize_with = "json::double_option")]
    #[schema(value_type = Option<String>, max_length = 255)]
    full_name: Option<Option<FullName>>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    role: Option<Role>,
    /// All roles. Takes precedence over `role`.
    #[schema(value_type = Option<Vec<String>>, max_items = 32)]
    roles: Option<Roles>,
    /// Ignored if the same call changes the address.
    #[schema(value_type = Option<bool>)]
    email_validated: Option<LaxBool>,
    #[schema(value_type = Option<bool>)]
    is_active: Option<LaxBool>,
    /// Only superusers may set it.
    #[schema(value_type = Option<bool>)]
    is_superuser: Option<LaxBool>,
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 128)]
    password: Option<Password>,
    /// The caller's current password, for callers who change their own address or password.
    #[schema(value_type = Option<String>, format = Password)]
    original: Option<Password>,
}

/// Update a user.
///
/// Only superusers may change superusers. A changed address is unverified until the link mailed to it is followed; the
/// old address is notified. Changing the password, disabling the user or removing a role ends the user's sessions.
/// Callers who change their own address or password send `original`, or a token of a recent sign-in.
#[utoipa::path(
    post,
    path = "/users/{user_id}",
    operation_id = "myauth_update_user",
    params(("user_id" = uuid::Uuid, Path, description = "The user's id.")),
    request_body = UserUpdate,
    security(("access_token" = [])),
    responses((status = 200, description = "The updated user.", body = UserRead)),
)]
async fn update(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    let (caller, by) = require_admin(&ctx, request.bearer()).await?;
    let (id, body): (UserId, UserUpdate) =
        both(user_id(&request), read_with_new_password(&ctx, &mut request, "password").await)?;
    let user = find_user(&ctx, id).await?;
    let changes = UpdateUser {
        full_name: body.full_name.map(|name| name.map(|name| name.0)),
        username: None,
        email: body.email.map(|email| email.0),
        password: body.password,
        verified: as_bool(body.email_validated),
        only_if_email: None,
        disabled: as_bool(body.is_active).map(|active| !active),
        superuser: as_bool(body.is_superuser),
        roles: resolve_roles(role(&user.roles), body.role, body.roles),
        custom_claims: None,
        current_password: body.original,
        auth_time: caller.auth_time(),
    };
    let request_ctx = request_context(&ctx, &request);
    Ok(user_response(&update_user(&ctx, &by, id, changes, request_ctx).await?))
}

pub(super) const UPDATE: Endpoint = endpoint! {
    handler: update,
    metric_label: "myauth.update-user",
    errors: [
        Error::AccountDisabled,
        FORBIDDEN,
        Error::NotFound,
        Error::WrongCurrentPassword,
        Error::RecentSignInRequired,
        Error::EmailTaken,
        Error::EmailChanged,
        WEAK_PASSWORD,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// Delete a user.
///
/// The user is notified by mail.
#[utoipa::path(
    delete,
    path = "/users/{user_id}",
    operation_id = "myauth_delete_user",
    params(("user_id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = [])),
    responses((status = 200, description = "The user was deleted.", body = Msg,
        example = json!({"msg": "User deleted successfully."}))),
)]
async fn delete(ctx: Context, request: Request) -> Result<Response, MyauthError> {
    let (_, by) = require_admin(&ctx, request.bearer()).await?;
    delete_user_as_admin(&ctx, &by, user_id(&request)?, request_context(&ctx, &request)).await?;
    Ok(message_response("User deleted successfully."))
}

pub(super) const DELETE: Endpoint = endpoint! {
    handler: delete,
    metric_label: "myauth.delete-user",
    errors: [
        Error::AccountDisabled,
        FORBIDDEN,
        Error::Forbidden(Denial::CannotDeleteSelf),
        Error::NotFound,
    ],
};
