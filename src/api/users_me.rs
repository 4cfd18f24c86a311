//! `GET …/users/me`, which two dialects document with different responses. They may share a prefix, so one response
//! serves the clients of both: the envelope of `unturned` around its [`UserResponse`], and at the top level the fields
//! of `myauth`'s [`UserRead`]. No field name has two meanings. The dialect that has the route renders the errors.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiError;
use crate::auth::accounts::projects::{Project, list_projects};
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::auth::tokens::caller::authenticate_user;
use crate::auth::{Billing, User};
use crate::clock::Timestamp;
use crate::http::{Request, Response};
use crate::id::{ProjectId, UserId};

/// Get the current user.
///
/// Takes an access token or an API key of the user. The response serves the clients of two APIs: `data` contains the
/// user with projects and billing, and the top level contains the fields of the plain model.
#[utoipa::path(
    get,
    path = "/users/me",
    operation_id = "get_me_auth_users_me_get",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The caller's account.", body = MeResponse)),
)]
pub(super) async fn me(
    ctx: &Context,
    request: &Request,
    request_ctx: RequestContext<'_>,
) -> Result<Response, ApiError> {
    let (_, user) = authenticate_user(ctx, super::credential(request)).await?;
    let projects = list_projects(ctx, user.id, request_ctx).await?;
    let me =
        MeResponse { success: true, data: UserResponse::new(&user, projects), error: None, read: UserRead::new(&user) };
    Ok(Response::json(StatusCode::OK, &me).no_store())
}

/// The user in both forms.
#[derive(Serialize, ToSchema)]
#[schema(as = SuccessResponse_UserResponse_)]
struct MeResponse {
    success: bool,
    data: UserResponse,
    /// Always null.
    #[schema(value_type = Option<Object>)]
    error: Option<()>,
    #[serde(flatten)]
    read: UserRead,
}

/// A user in `unturned`.
#[derive(Serialize, ToSchema)]
struct UserResponse {
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    #[schema(format = Email)]
    email: String,
    full_name: Option<String>,
    is_active: bool,
    is_superuser: bool,
    is_verified: bool,
    /// The personal project first.
    projects: Vec<ProjectInfo>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    billing: BillingInfo,
}

/// A project.
#[derive(Serialize, ToSchema)]
struct ProjectInfo {
    #[schema(value_type = uuid::Uuid)]
    id: ProjectId,
    name: String,
}

/// Token balance and usage.
#[derive(Serialize, ToSchema)]
struct BillingInfo {
    #[schema(minimum = 0)]
    token_balance: i64,
    #[schema(minimum = 0)]
    tokens_used: i64,
    subscription_tier: Option<String>,
}

/// Name of the role of users without roles.
pub(super) const PLAIN_ROLE: &str = "user";

/// The one role that clients of `myauth` read: `admin` if the user has it, otherwise the first.
pub(super) fn role(roles: &[String]) -> &str {
    let admin = roles.iter().find(|role| *role == "admin");
    admin.or(roles.first()).map_or(PLAIN_ROLE, String::as_str)
}

/// A user in `myauth`: the fields of its document, and those of Signet.
#[derive(Serialize, ToSchema)]
pub(super) struct UserRead {
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    #[schema(format = Email)]
    email: String,
    full_name: Option<String>,
    /// `admin` if the user has that role, otherwise the first role; `user` if there is none.
    role: String,
    email_validated: bool,
    is_active: bool,
    is_superuser: bool,
    /// True if the user has a password.
    password: bool,
    /// Same as `password`.
    hashed_password: bool,
    /// True if TOTP is enabled.
    totp: bool,
    /// Same as `totp`.
    totp_secret: bool,
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    modified: Timestamp,
    is_verified: bool,
    roles: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl UserRead {
    pub(super) fn new(user: &User) -> Self {
        let has_password = user.password_hash.is_some();
        Self {
            id: user.id,
            email: user.email.clone(),
            full_name: user.full_name.clone(),
            role: role(&user.roles).to_owned(),
            email_validated: user.verified,
            is_active: !user.disabled,
            is_superuser: user.superuser,
            password: has_password,
            hashed_password: has_password,
            totp: user.totp.is_some(),
            totp_secret: user.totp.is_some(),
            created: user.created_at,
            modified: user.updated_at,
            is_verified: user.verified,
            roles: user.roles.clone(),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

impl UserResponse {
    fn new(user: &User, projects: Vec<Project>) -> Self {
        let Billing { token_balance, tokens_used, subscription_tier } = user.billing.clone();
        Self {
            id: user.id,
            email: user.email.clone(),
            full_name: user.full_name.clone(),
            is_active: !user.disabled,
            is_superuser: user.superuser,
            is_verified: user.verified,
            projects: projects.into_iter().map(|Project { id, name }| ProjectInfo { id, name }).collect(),
            created_at: user.created_at,
            updated_at: user.updated_at,
            billing: BillingInfo { token_balance, tokens_used, subscription_tier },
        }
    }
}
