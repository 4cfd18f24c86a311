//! Confirming an address by a mailed code.

use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{NAME, filled, text};
use crate::api::codes::error::{ErrorCode, Refusal};
use crate::api::request_context;
use crate::auth::Error;
use crate::auth::accounts::verify_email_code;
use crate::auth::context::Context;
use crate::http::{Request, Response};
use crate::id::UserId;

/// Whose address is to be confirmed.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"user_id": "85f22dda-efc2-459d-b518-640400a69e8d"})))]
pub(super) struct Send {
    /// As `signup` gave it.
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    user_id: String,
}

/// What confirms it.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"user_id": "85f22dda-efc2-459d-b518-640400a69e8d", "code": "123456"})))]
pub(super) struct Verify {
    /// As `signup` gave it.
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    user_id: String,
    /// As it was mailed.
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    code: String,
}

/// Mails a code that confirms the address.
///
/// Answers when the mail was handed over, or could not be. The code is good for ten minutes, unless another is mailed before.
#[utoipa::path(
    post,
    path = "/mail/verify/send",
    operation_id = "codes_send_code",
    request_body = Send,
    responses((status = 200, description = "It was handed over.", body = ErrorCode<'_>, example = json!({"error_code": "0"}))),
)]
pub(super) async fn send(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let Send { user_id } = request.json().await?;
    let user = named(&user_id)?;
    verify_email_code::send_code(&ctx, user, request_context(NAME, &ctx.node.config.api.codes.dialect, &request))
        .await?;
    Ok(done())
}

/// Confirms the address with the mailed code.
///
/// A code is good once, and bears five wrong tries.
#[utoipa::path(
    post,
    path = "/mail/verify",
    operation_id = "codes_verify_mail",
    request_body = Verify,
    responses((status = 200, description = "It is confirmed.", body = ErrorCode<'_>, example = json!({"error_code": "0"}))),
)]
pub(super) async fn verify(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let Verify { user_id, code } = request.json().await?;
    let user = named(&user_id)?;
    verify_email_code::verify_email_with_code(
        &ctx,
        user,
        &code,
        request_context(NAME, &ctx.node.config.api.codes.dialect, &request),
    )
    .await?;
    Ok(done())
}

/// The user of that id. What is no id is nobody's.
fn named(user_id: &str) -> Result<UserId, Refusal> {
    filled("user_id", user_id)?;
    Ok(UserId::parse(user_id.trim()).ok_or(Error::NotFound)?)
}

fn done() -> Response {
    Response::json(StatusCode::OK, &ErrorCode { error_code: "0" })
}
