//! `GET …/users/me`, which two dialects document, each with an answer of its own. They may share a prefix, so there is one answer
//! that both kinds of client read: the envelope of `unturned` around its [`UserResponse`], and beside it, at the top, the fields
//! of `myauth`'s [`UserRead`]. No name is in both with two meanings. What goes wrong is worded by the dialect that has the route.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiError;
use crate::auth::accounts::projects::{Project, list_projects};
use crate::auth::context::Context;
use crate::auth::tokens::caller::authenticate_user;
use crate::auth::{Billing, User};
use crate::clock::Timestamp;
use crate::http::{Request, Response};
use crate::id::{ProjectId, UserId};

/// Tells the caller's account.
///
/// For a person, or who holds an API key of that person's. One document for both kinds of client: the envelope with projects and
/// billing in `data`, and the plain model beside it.
#[utoipa::path(
    get,
    path = "/users/me",
    operation_id = "get_me_auth_users_me_get",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The caller's account.", body = Me)),
)]
pub(super) async fn me(ctx: &Context, request: &Request) -> Result<Response, ApiError> {
    let (_, user) = authenticate_user(ctx, super::credential(request)).await?;
    let projects = list_projects(ctx, user.id).await?;
    let me = Me { success: true, data: UserResponse::of(&user, projects), error: None, read: UserRead::of(&user) };
    Ok(Response::json(StatusCode::OK, &me).no_store())
}

/// The account, in both forms.
#[derive(Serialize, ToSchema)]
#[schema(as = SuccessResponse_UserResponse_)]
struct Me {
    success: bool,
    data: UserResponse,
    /// Always null.
    #[schema(value_type = Option<Object>)]
    error: Option<()>,
    #[serde(flatten)]
    read: UserRead,
}

/// A user, as `unturned` shows one.
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
    /// The personal one first.
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

/// What a user has to spend and has spent.
#[derive(Serialize, ToSchema)]
struct BillingInfo {
    #[schema(minimum = 0)]
    token_balance: i64,
    #[schema(minimum = 0)]
    tokens_used: i64,
    subscription_tier: Option<String>,
}

/// The role of who has none.
pub(super) const PLAIN_ROLE: &str = "user";

/// The one role that `myauth`'s clients read, of all that a user has: that of who sees to users goes before the others.
pub(super) fn role(roles: &[String]) -> &str {
    let admin = roles.iter().find(|role| *role == "admin");
    admin.or(roles.first()).map_or(PLAIN_ROLE, String::as_str)
}

/// A user, as `myauth` shows one: the fields that its clients read, and ours beside them.
#[derive(Serialize, ToSchema)]
pub(super) struct UserRead {
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    #[schema(format = Email)]
    email: String,
    full_name: Option<String>,
    /// `admin`, or else the first of the roles; `user` for who has none.
    role: String,
    email_validated: bool,
    is_active: bool,
    is_superuser: bool,
    /// Whether there is one.
    password: bool,
    /// The same.
    hashed_password: bool,
    /// Whether the second factor is on.
    totp: bool,
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
    /// Of a user's row.
    pub(super) fn of(user: &User) -> Self {
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
    fn of(user: &User, projects: Vec<Project>) -> Self {
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
