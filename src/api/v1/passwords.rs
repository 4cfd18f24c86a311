//! A new password for who has forgotten the old one: a link is mailed, whose token allows one.

use serde::Deserialize;
use utoipa::ToSchema;

use super::sign_up::{Done, Link};
use super::{V1Error, request_ctx};
use crate::auth::context::Context;
use crate::auth::passwords::request_reset::recover_by_link;
use crate::auth::passwords::reset::reset_password;
use crate::auth::passwords::{Password, Policy};
use crate::http::{Request, Response};

/// Who has forgotten it.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "user@example.com", "username": "hijack"})))]
pub(super) struct Ask {
    email: String,
    username: String,
}

/// Mails a link at which a new password is chosen.
///
/// If address and name belong together. The answer is the same if they do not.
#[utoipa::path(
    post,
    path = "/password-reset",
    operation_id = "v1_password_reset",
    request_body = Ask,
    responses((
        status = 200,
        description = "If they do, it is on its way.",
        body = Done,
        example = json!({"message": "password reset requested"}),
    )),
)]
pub(super) async fn ask(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let asked: Ask = request.json().await?;
    recover_by_link(&ctx, &asked.email, &asked.username, request_ctx(&ctx, &request)).await?;
    Ok(Done::answer("password reset requested"))
}

/// A new password, twice.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"new_password": "123456", "new_password_confirm": "123456"})))]
pub(super) struct New {
    /// At least six characters, unless the settings say otherwise.
    #[schema(value_type = String)]
    new_password: Password,
    /// The same.
    #[schema(value_type = String)]
    new_password_confirm: Password,
}

/// Sets a new password by the token of a link, and ends all of the user's sessions.
///
/// Once. What is wrong with the password (400; `password not confirm` where the two are not the same) leaves the token as
/// good as it was.
#[utoipa::path(
    post,
    path = "/password-reset-confirm",
    operation_id = "v1_password_reset_confirm",
    params(Link),
    request_body = New,
    responses((
        status = 200,
        description = "It is set.",
        body = Done,
        example = json!({"message": "password reset successful"}),
    )),
)]
pub(super) async fn reset(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let link: Link = request.query()?.read()?;
    let asked: New = request.json().await?;
    if asked.new_password.reveal() != asked.new_password_confirm.reveal() {
        return Err(V1Error::NotConfirmed);
    }
    let request_ctx = request_ctx(&ctx, &request);
    let policy = Policy::of(request_ctx.dialect_config, &ctx.node.config.passwords);
    reset_password(&ctx, &link.token, None, &asked.new_password, policy, request_ctx).await?;
    Ok(Done::answer("password reset successful"))
}
