//! Users, as administrators see and change them.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NAME, Problem};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{FORBIDDEN, credential, request_context};
use crate::auth::accounts::find::find_user;
use crate::auth::accounts::update::{CustomClaims, UpdateUser, update_user};
use crate::auth::context::Context;
use crate::auth::tokens::caller::authenticate;
use crate::auth::{Error, User};
use crate::clock::Timestamp;
use crate::http::json::{self, BoundedList};
use crate::http::{FieldError, FieldErrorKind, ParamLocation, Rejection, Request, Response};
use crate::id::UserId;

/// The most roles of one user, and the longest name of a role, in characters: tokens carry them.
const MAX_ROLES: usize = 32;
const MAX_ROLE_LENGTH: usize = 64;

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = User, examples(json!({
    "id": "019a8b1c-0000-7abc-9def-0123456789ab",
    "number": 7,
    "email": "zoe@example.org",
    "username": "zoe",
    "full_name": "Zoe Tam",
    "verified": true,
    "disabled": false,
    "superuser": false,
    "roles": ["editor"],
    "claims": {"plan": "pro", "seats": 5},
    "has_password": true,
    "second_factor": false,
    "created_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
})))]
struct AdminUser<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    number: i64,
    #[schema(format = Email)]
    email: &'a str,
    username: Option<&'a str>,
    full_name: Option<&'a str>,
    verified: bool,
    disabled: bool,
    superuser: bool,
    roles: &'a [String],
    /// The custom claims.
    #[schema(value_type = Object)]
    claims: CustomClaims,
    has_password: bool,
    second_factor: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
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
}

/// Get a user
///
/// For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/users/{id}",
    operation_id = "native_admin_user",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The user.", body = AdminUser<'_>)),
)]
async fn read(ctx: Context, request: Request) -> Result<Response, Problem> {
    authenticate(&ctx, credential(&request)).await?.require_superuser(&ctx).await?;
    Ok(respond(&find_user(&ctx, user_id(&request)?).await?))
}

pub(super) const READ: Endpoint = endpoint! {
    handler: read,
    metric_label: "native.admin-user",
    errors: [FORBIDDEN, Error::NotFound],
};

/// Update a user
///
/// Custom claims are data for other services: access tokens of audiences that list them carry them, from the next
/// refresh on. For superusers, and for their API keys with the scope `admin`.
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
    let by = authenticate(&ctx, credential(&request)).await?.require_superuser(&ctx).await?;
    let body: UpdateUserRequest = request.json().await?;
    let changes = UpdateUser {
        custom_claims: body.claims.map(Option::unwrap_or_default),
        roles: body.roles.map(checked_roles).transpose()?,
        superuser: body.superuser,
        disabled: body.disabled,
        ..UpdateUser::default()
    };
    let request_ctx = request_context(NAME, &ctx.node.config.api.native, &request);
    Ok(respond(&update_user(&ctx, &by, user_id(&request)?, changes, request_ctx).await?))
}

pub(super) const UPDATE: Endpoint = endpoint! {
    handler: update,
    metric_label: "native.admin-update-user",
    errors: [FORBIDDEN, Error::NotFound],
};

fn user_id(request: &Request) -> Result<UserId, Error> {
    UserId::parse(request.param("id")).ok_or(Error::NotFound)
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

fn respond(user: &User) -> Response {
    let body = AdminUser {
        id: user.id,
        number: user.number,
        email: &user.email,
        username: user.username.as_deref(),
        full_name: user.full_name.as_deref(),
        verified: user.verified,
        disabled: user.disabled,
        superuser: user.superuser,
        roles: &user.roles,
        claims: CustomClaims::from_stored(user.custom_claims.as_deref()),
        has_password: user.password_hash.is_some(),
        second_factor: user.totp.is_some(),
        created_at: user.created_at,
        updated_at: user.updated_at,
    };
    Response::json(StatusCode::OK, &body).no_store()
}
