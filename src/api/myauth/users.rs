//! Everybody's accounts, for those who see to them: with the role `admin`, or superusers.

use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::NAME;
use super::wire::{FullName, Msg, Role, Roles, roles, said, shown, with_password};
use crate::api::fastapi::{EmailStr, Flag, Whole, both, uuid};
use crate::api::myauth::error::{Call, Refusal};
use crate::api::request_context;
use crate::api::users_me::{PLAIN_ROLE, UserRead, role};
use crate::auth::accounts::create::{CreateUser, create_user_as_admin};
use crate::auth::accounts::delete::delete_user_as_admin;
use crate::auth::accounts::disable::toggle_disabled;
use crate::auth::accounts::find::{find_user, list_users};
use crate::auth::accounts::permissions::require_admin;
use crate::auth::accounts::update::{UpdateUser, update_user};
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::http::{ParamLocation, Rejection, Request, Response, json};
use crate::id::UserId;

fn user_id(request: &Request) -> Result<UserId, Rejection> {
    uuid(ParamLocation::Path, "user_id", Some(request.param("user_id"))).map(UserId)
}

#[derive(Deserialize)]
struct Page {
    page: Option<Whole<{ i64::MIN }, { i64::MAX }>>,
}

/// All users, twenty a page.
///
/// In the order in which they were made.
#[utoipa::path(
    get,
    path = "/users/",
    operation_id = "myauth_users",
    params(("page" = Option<i64>, Query, description = "Which page. The first is 0, and so is what lies before it.")),
    security(("access_token" = [])),
    responses((status = 200, description = "The users of that page.", body = Vec<UserRead>)),
)]
pub(super) async fn list(ctx: Context, request: Request) -> Result<Response, Refusal> {
    require_admin(&ctx, request.bearer()).await?;
    let page = request.query()?.read::<Page>()?.page.map_or(0, |page| page.0);
    let users = list_users(&ctx, u64::try_from(page).unwrap_or(0)).await?;
    let users: Vec<UserRead> = users.iter().map(UserRead::of).collect();
    Ok(Response::json(StatusCode::OK, &users).no_store())
}

/// One user.
#[utoipa::path(
    get,
    path = "/users/{user_id}",
    operation_id = "myauth_user",
    params(("user_id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = [])),
    responses((status = 200, description = "The user.", body = UserRead)),
)]
pub(super) async fn read(ctx: Context, request: Request) -> Result<Response, Refusal> {
    require_admin(&ctx, request.bearer()).await?;
    Ok(shown(&find_user(&ctx, user_id(&request)?).await?))
}

/// Whom to let in again, or not any more.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"user_email": "zoe@example.org"})))]
pub(super) struct ToggleState {
    #[schema(value_type = String, format = Email, max_length = 254)]
    user_email: EmailStr,
}

/// Makes an active user inactive, and an inactive one active.
///
/// Who becomes inactive is signed out everywhere.
#[utoipa::path(
    post,
    path = "/users/toggle-state",
    operation_id = "myauth_toggle_state",
    request_body = ToggleState,
    security(("access_token" = [])),
    responses((status = 200, description = "It is done.", body = Msg,
        example = json!({"msg": "User state toggled successfully."}))),
)]
pub(super) async fn toggle_state(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let by = require_admin(&ctx, request.bearer()).await?;
    let asked: ToggleState = request.json().await?;
    toggle_disabled(&ctx, &by, &asked.user_email.0).await.map_err(Refusal::of(Call::Toggle))?;
    Ok(said("User state toggled successfully."))
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "zoe@example.org", "password": "a quiet harbour at dusk", "is_superuser": false})))]
pub(super) struct UserCreate {
    #[schema(value_type = String, format = Email, max_length = 254)]
    email: EmailStr,
    /// Without one the user signs in by links.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 128)]
    password: Option<Password>,
    #[schema(value_type = Option<String>, max_length = 255)]
    full_name: Option<FullName>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    role: Option<Role>,
    /// In place of `role`, where there are several.
    #[schema(value_type = Option<Vec<String>>, max_items = 32)]
    roles: Option<Roles>,
    #[schema(value_type = Option<bool>)]
    email_validated: Option<Flag>,
    #[schema(value_type = Option<bool>)]
    is_active: Option<Flag>,
    /// For superusers to say.
    #[schema(value_type = Option<bool>)]
    is_superuser: Option<Flag>,
}

/// Makes a user.
#[utoipa::path(
    post,
    path = "/users/create",
    operation_id = "myauth_create_user",
    request_body = UserCreate,
    security(("access_token" = [])),
    responses((status = 200, description = "The new user.", body = UserRead)),
)]
pub(super) async fn create(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let by = require_admin(&ctx, request.bearer()).await?;
    let asked: UserCreate = with_password(&ctx, &mut request, "password").await?;
    let is = |flag: Option<Flag>| flag.map(|flag| flag.0);
    let wanted = CreateUser {
        email: asked.email.0.as_str().to_owned(),
        username: None,
        full_name: asked.full_name.map(|name| name.0),
        password: asked.password,
        verified: is(asked.email_validated).unwrap_or(false),
        disabled: !is(asked.is_active).unwrap_or(true),
        superuser: is(asked.is_superuser).unwrap_or(false),
        roles: roles(PLAIN_ROLE, asked.role, asked.roles).unwrap_or_default(),
    };
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    let user = create_user_as_admin(&ctx, &by, wanted, request_ctx).await.map_err(Refusal::of(Call::Create))?;
    Ok(shown(&user))
}

/// What to change of a user. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"full_name": "Zoe Tam", "role": "admin", "is_active": true})))]
pub(super) struct UserUpdate {
    #[schema(value_type = Option<String>, format = Email, max_length = 254)]
    email: Option<EmailStr>,
    #[serde(default, deserialize_with = "json::given")]
    #[schema(value_type = Option<String>, max_length = 255)]
    full_name: Option<Option<FullName>>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    role: Option<Role>,
    /// In place of `role`, where there are several.
    #[schema(value_type = Option<Vec<String>>, max_items = 32)]
    roles: Option<Roles>,
    /// Of an address that is changed by the same call it is not believed.
    #[schema(value_type = Option<bool>)]
    email_validated: Option<Flag>,
    #[schema(value_type = Option<bool>)]
    is_active: Option<Flag>,
    /// For superusers to say.
    #[schema(value_type = Option<bool>)]
    is_superuser: Option<Flag>,
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 128)]
    password: Option<Password>,
}

/// Changes a user.
///
/// Only superusers touch superusers. A changed address is unverified until it is confirmed by the link that is mailed to it; the old one
/// is told. A changed password, inactivity and the loss of a role end the user's sessions.
#[utoipa::path(
    post,
    path = "/users/{user_id}",
    operation_id = "myauth_update_user",
    params(("user_id" = uuid::Uuid, Path, description = "The user's id.")),
    request_body = UserUpdate,
    security(("access_token" = [])),
    responses((status = 200, description = "The user as it is now.", body = UserRead)),
)]
pub(super) async fn update(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let by = require_admin(&ctx, request.bearer()).await?;
    let (id, asked): (UserId, UserUpdate) =
        both(user_id(&request), with_password(&ctx, &mut request, "password").await)?;
    let user = find_user(&ctx, id).await?;
    let is = |flag: Option<Flag>| flag.map(|flag| flag.0);
    let wanted = UpdateUser {
        full_name: asked.full_name.map(|name| name.map(|name| name.0)),
        email: asked.email.map(|email| email.0),
        password: asked.password,
        verified: is(asked.email_validated),
        disabled: is(asked.is_active).map(|active| !active),
        superuser: is(asked.is_superuser),
        roles: roles(role(&user.roles), asked.role, asked.roles),
    };
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    Ok(shown(&update_user(&ctx, &by, id, wanted, request_ctx).await?))
}

/// Deletes a user.
#[utoipa::path(
    delete,
    path = "/users/{user_id}",
    operation_id = "myauth_delete_user",
    params(("user_id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = [])),
    responses((status = 200, description = "It is gone.", body = Msg,
        example = json!({"msg": "User deleted successfully."}))),
)]
pub(super) async fn delete(ctx: Context, request: Request) -> Result<Response, Refusal> {
    let by = require_admin(&ctx, request.bearer()).await?;
    delete_user_as_admin(&ctx, &by, user_id(&request)?).await?;
    Ok(said("User deleted successfully."))
}
