//! One's own account.

use serde::Deserialize;
use utoipa::ToSchema;

use super::NAME;
use super::wire::{FullName, Msg, said, shown, with_password};
use crate::api::fastapi::EmailStr;
use crate::api::myauth::error::Refusal;
use crate::api::request_context;
use crate::api::users_me::{self, UserRead};
use crate::auth::accounts::delete::delete_self;
use crate::auth::accounts::permissions::require_user;
use crate::auth::accounts::update::{UpdateSelf, update_self};
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::http::{Request, Response};

pub(super) async fn read(ctx: Context, request: Request) -> Result<Response, Refusal> {
    Ok(users_me::me(&ctx, &request).await?)
}

/// What to change of oneself. What is null or left out stays.
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
    /// The present password, where there is one: it is needed to change the address or the password.
    #[schema(value_type = Option<String>, format = Password)]
    original: Option<Password>,
}

/// Changes one's own account.
///
/// A changed address is unverified until it is confirmed by the link that is mailed to it; the old one is told. A changed password ends
/// all sessions, this one too.
#[utoipa::path(
    put,
    path = "/users/me",
    operation_id = "myauth_update_me",
    request_body = UpdateMe,
    security(("access_token" = [])),
    responses((status = 200, description = "The user as it is now.", body = UserRead)),
)]
pub(super) async fn update(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let (_, user) = require_user(&ctx, request.bearer()).await?;
    let asked: UpdateMe = with_password(&ctx, &mut request, "password").await?;
    let own = UpdateSelf {
        full_name: asked.full_name.map(|name| name.0),
        email: asked.email.map(|email| email.0),
        password: asked.password,
        original: asked.original,
    };
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    Ok(shown(&update_self(&ctx, &user, own, request_ctx).await?))
}

/// Deletes one's own account.
#[utoipa::path(
    delete,
    path = "/users/me",
    operation_id = "myauth_delete_me",
    security(("access_token" = [])),
    responses((status = 200, description = "It is gone.", body = Msg,
        example = json!({"msg": "User deleted successfully"}))),
)]
pub(super) async fn delete(ctx: Context, request: Request) -> Result<Response, Refusal> {
    let (_, user) = require_user(&ctx, request.bearer()).await?;
    delete_self(&ctx, &user).await?;
    Ok(said("User deleted successfully"))
}
