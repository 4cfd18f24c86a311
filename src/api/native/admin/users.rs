//! Users, as administrators see and change them.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::user::{AdminUser, AdminUserDetails};
use super::{
    Limit, Problem, invalid_query, limit, request_context, require_recent_superuser, require_superuser, user_id,
};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::native::idempotency::{self, IN_PROGRESS, IdempotencyKey, KEY_REUSED};
use crate::api::{FORBIDDEN, WEAK_PASSWORD, credential};
use crate::auth::Error;
use crate::auth::accounts::create::{CreateUser, create_user_as_admin};
use crate::auth::accounts::delete::delete_user_as_admin;
use crate::auth::accounts::find::describe_user;
use crate::auth::accounts::search::{self, Query, UserStatus, search_users};
use crate::auth::accounts::update::{CustomClaims, UpdateUser, update_user};
use crate::auth::accounts::{MAX_FULL_NAME, MAX_ROLE_LENGTH, MAX_ROLES};
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::idempotency::Requester;
use crate::auth::identity::{Email, EmailError, Username, UsernameError};
use crate::auth::passwords::Password;
use crate::auth::tokens::caller::authenticate;
use crate::http::json::{self, BoundedList};
use crate::http::{FieldError, FieldErrorKind, ParamLocation, Rejection, Request, Response};

/// The state of users.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "only the OpenAPI document uses it")]
pub(in crate::api::native) enum UserStatusName {
    Active,
    Disabled,
    Unverified,
}

/// A page of users.
#[derive(Serialize, ToSchema)]
struct UserList<'a> {
    /// The newest first. May be empty although there is another page.
    users: Vec<AdminUser<'a>>,
    /// The `cursor` of the next page; null on the last one.
    next_cursor: Option<String>,
}

/// A user to create.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "email": "zoe@example.org",
    "password": "a quiet harbour at dusk",
    "username": "zoe",
    "full_name": "Zoe Tam",
    "roles": ["editor"],
    "verified": true,
})))]
struct CreateUserRequest {
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// The password; without one, the user signs in by other means.
    #[schema(min_length = 8, max_length = 128)]
    password: Option<String>,
    #[schema(min_length = 1, max_length = 64)]
    username: Option<String>,
    #[schema(max_length = 255)]
    full_name: Option<String>,
    #[schema(value_type = Option<Vec<String>>, max_items = 32)]
    roles: Option<BoundedList<String, MAX_ROLES>>,
    /// True to give the user every permission.
    #[serde(default)]
    superuser: bool,
    /// True if the address is known to be the user's.
    #[serde(default)]
    verified: bool,
    /// The custom claims: an object of at most 1 KiB as compact JSON, 4 levels and 64 values.
    #[schema(value_type = Option<Object>)]
    claims: Option<CustomClaims>,
}

/// The changes to a user. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"claims": {"plan": "pro", "seats": 5}}), json!({"disabled": true})))]
struct UpdateUserRequest {
    /// The custom claims, which replace all earlier ones; null removes them. An object of at most 1 KiB as compact JSON,
    /// 4 levels and 64 values. The names of claims that Signet sets itself are refused.
    #[serde(default, deserialize_with = "json::double_option")]
    #[schema(value_type = Option<Object>)]
    claims: Option<Option<CustomClaims>>,
    /// All roles. Losing one ends the user's sessions.
    #[schema(value_type = Option<Vec<String>>, max_items = 32)]
    roles: Option<BoundedList<String, MAX_ROLES>>,
    /// True to give the user every permission. Losing it ends the user's sessions.
    superuser: Option<bool>,
    /// True to refuse sign-ins and end the user's sessions.
    disabled: Option<bool>,
    /// True to mark the address as verified; false removes the mark. Send `email` with it.
    email_verified: Option<bool>,
    /// The address that you have read. If the user has changed it since, the call fails and changes nothing.
    #[schema(value_type = Option<String>, format = Email, max_length = 254)]
    email: Option<String>,
    /// The full name; null removes it.
    #[serde(default, deserialize_with = "json::double_option")]
    #[schema(value_type = Option<String>, max_length = 255)]
    full_name: Option<Option<String>>,
    /// The username; null removes it.
    #[serde(default, deserialize_with = "json::double_option")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    username: Option<Option<String>>,
}

/// List users
///
/// The newest first. `query` is a whole id, or a part of an address, username or full name. A user whose id, address or
/// username equals it comes first. A search reads a bounded number of users for each page, so a page can be short or
/// empty although there are more: go on while there is a `next_cursor`. For superusers, and for their API keys with the
/// scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/users",
    operation_id = "native_admin_users",
    params(
        ("query" = Option<String>, Query, max_length = 254, description = "The text to search for, at most 254 characters."),
        ("status" = Option<UserStatusName>, Query, description = "Only users of this state."),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,18}$", description = "`next_cursor` of the page before."),
        Limit,
    ),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "A page of users.", body = UserList<'_>)),
)]
async fn list(ctx: Context, request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    let query = request.query()?;
    let text = query.get("query").unwrap_or_default();
    if text.chars().count() > search::MAX_TEXT {
        return Err(invalid_query("query", &format!("must have at most {} characters", search::MAX_TEXT)).into());
    }
    let status = match query.get("status") {
        None => None,
        Some("active") => Some(UserStatus::Active),
        Some("disabled") => Some(UserStatus::Disabled),
        Some("unverified") => Some(UserStatus::Unverified),
        Some(_) => return Err(invalid_query("status", "must be active, disabled or unverified").into()),
    };
    let cursor = query.get("cursor").map(str::parse).transpose();
    let before = cursor.map_err(|_| invalid_query("cursor", "must be the next_cursor of a page"))?;
    let page = search_users(&ctx, Query { text, status, before, limit: limit(&query)? }).await?;
    let users = page.users.iter().map(|user| AdminUser::new(user, None)).collect();
    let body = UserList { users, next_cursor: page.next.map(|number| number.to_string()) };
    Ok(Response::json(StatusCode::OK, &body).no_store())
}

pub(super) const LIST: Endpoint = endpoint! {
    handler: list,
    metric_label: "native.admin-users",
    errors: [FORBIDDEN],
};

/// Create a user
///
/// Sends no mail. Creating a superuser needs a recent sign-in. For superusers, and for their API keys with the scope
/// `admin`.
#[utoipa::path(
    post,
    path = "/admin/users",
    operation_id = "native_admin_create_user",
    params(IdempotencyKey),
    request_body = CreateUserRequest,
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 201, description = "The user.", body = AdminUser<'_>)),
)]
async fn create(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, credential(&request)).await?;
    let by = caller.require_superuser(&ctx).await?;
    let bytes = request.json_bytes().await?;
    let body: CreateUserRequest = json::parse(&bytes)?;
    if body.superuser {
        caller.require_recent_superuser(&ctx).await?;
    }
    let new_user = CreateUser {
        email: body.email,
        username: body.username,
        full_name: body.full_name.map(checked_full_name).transpose()?,
        password: body.password.map(Password::new),
        verified: body.verified,
        disabled: false,
        superuser: body.superuser,
        roles: body.roles.map(checked_roles).transpose()?.unwrap_or_default(),
        custom_claims: body.claims.unwrap_or_default(),
    };
    let request_ctx = request_context(&ctx, &request).into_owned();
    let work = {
        let ctx = ctx.clone();
        async move {
            let request_ctx = request_ctx.borrow(&ctx.node.config.api.native);
            let user = create_user_as_admin(&ctx, &by, new_user, request_ctx).await?;
            idempotency::to_json(&AdminUser::new(&user, None))
        }
    };
    idempotency::create(&ctx, &request, "create a user", Requester::Administrator(caller.user), &bytes, work).await
}

pub(super) const CREATE: Endpoint = endpoint! {
    handler: create,
    metric_label: "native.admin-create-user",
    errors: [
        FORBIDDEN,
        Error::RecentSignInRequired,
        Error::EmailTaken,
        Error::UsernameTaken,
        KEY_REUSED,
        IN_PROGRESS,
        EmailError::NoAt,
        UsernameError::Character,
        WEAK_PASSWORD,
        Error::Overloaded,
    ],
};

/// Get a user
///
/// Includes the number of open sessions, the projects and the API keys. For superusers, and for their API keys with the
/// scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/users/{id}",
    operation_id = "native_admin_user",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The user.", body = AdminUserDetails<'_>)),
)]
async fn read(ctx: Context, request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    let details = describe_user(&ctx, user_id(&request)?).await?;
    Ok(Response::json(StatusCode::OK, &AdminUserDetails::new(&details, ctx.now())).no_store())
}

pub(super) const READ: Endpoint = endpoint! {
    handler: read,
    metric_label: "native.admin-user",
    errors: [FORBIDDEN, Error::NotFound],
};

/// Update a user
///
/// Custom claims are data for other services: an access token contains those that its audience lists, from the next
/// refresh on. Changing `superuser` needs a recent sign-in. For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    patch,
    path = "/admin/users/{id}",
    operation_id = "native_admin_update_user",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    request_body = UpdateUserRequest,
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The user after the change.", body = AdminUser<'_>)),
)]
async fn update(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, credential(&request)).await?;
    let by = caller.require_superuser(&ctx).await?;
    let body: UpdateUserRequest = request.json().await?;
    if body.superuser.is_some() {
        caller.require_recent_superuser(&ctx).await?;
    }
    let changes = UpdateUser {
        custom_claims: body.claims.map(Option::unwrap_or_default),
        roles: body.roles.map(checked_roles).transpose()?,
        superuser: body.superuser,
        disabled: body.disabled,
        verified: body.email_verified,
        only_if_email: body.email.as_deref().map(Email::parse).transpose()?,
        username: body.username.map(|name| name.as_deref().map(Username::parse).transpose()).transpose()?,
        full_name: body.full_name.map(|name| name.map(checked_full_name).transpose()).transpose()?,
        ..UpdateUser::default()
    };
    let request_ctx = request_context(&ctx, &request);
    let user = update_user(&ctx, &by, user_id(&request)?, changes, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &AdminUser::new(&user, None)).no_store())
}

pub(super) const UPDATE: Endpoint = endpoint! {
    handler: update,
    metric_label: "native.admin-update-user",
    errors: [
        FORBIDDEN,
        Error::NotFound,
        Error::RecentSignInRequired,
        Error::UsernameTaken,
        Error::EmailChanged,
        EmailError::NoAt,
        UsernameError::Character,
    ],
};

/// Delete a user
///
/// Also deletes the user's projects, API keys and sessions, and tells the user by mail. Needs a recent sign-in.
/// Superusers cannot delete themselves. For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}",
    operation_id = "native_admin_delete_user",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 204, description = "The user is deleted.")),
)]
async fn delete(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_recent_superuser(&ctx, &request).await?;
    let request_ctx = request_context(&ctx, &request);
    delete_user_as_admin(&ctx, &by, user_id(&request)?, request_ctx).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

pub(super) const DELETE: Endpoint = endpoint! {
    handler: delete,
    metric_label: "native.admin-delete-user",
    errors: [
        FORBIDDEN,
        Error::NotFound,
        Error::RecentSignInRequired,
        Error::Forbidden(Denial::CannotDeleteSelf),
    ],
};

fn checked_full_name(name: String) -> Result<String, Rejection> {
    if name.chars().count() <= MAX_FULL_NAME && !name.contains('\0') {
        return Ok(name);
    }
    let rule = format!("must have at most {MAX_FULL_NAME} characters, none of them NUL");
    Err(Rejection::field(FieldError::new(ParamLocation::Body, "full_name", FieldErrorKind::Invalid(rule))))
}

/// The roles without duplicates.
fn checked_roles(BoundedList(names): BoundedList<String, MAX_ROLES>) -> Result<Vec<String>, Rejection> {
    let mut roles: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        if !(1..=MAX_ROLE_LENGTH).contains(&name.chars().count()) || name.contains('\0') {
            let rule = format!("must have 1 to {MAX_ROLE_LENGTH} characters each, none of them NUL");
            let error = FieldError::new(ParamLocation::Body, "roles", FieldErrorKind::Invalid(rule));
            return Err(Rejection::field(error));
        }
        if !roles.contains(&name) {
            roles.push(name);
        }
    }
    Ok(roles)
}
