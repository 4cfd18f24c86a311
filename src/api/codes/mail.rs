//! Verification of an e-mail address with a mailed code.

use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{missing_field, request_context, require_non_empty, string_or_empty};
use crate::api::RATE_LIMITED;
use crate::api::codes::error::{CodesError, ErrorCode};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::accounts::verify_email_code;
use crate::auth::context::Context;
use crate::http::{Request, Response};
use crate::id::UserId;

/// The user whose address is to be verified.
#[derive(Deserialize, ToSchema)]
#[schema(as = Send, examples(json!({"user_id": "85f22dda-efc2-459d-b518-640400a69e8d"})))]
pub(super) struct SendCodeRequest {
    /// The `user_id` that `signup` returned.
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    user_id: String,
}

/// The user and the mailed code.
#[derive(Deserialize, ToSchema)]
#[schema(as = Verify, examples(json!({"user_id": "85f22dda-efc2-459d-b518-640400a69e8d", "code": "123456"})))]
pub(super) struct VerifyEmailRequest {
    /// The `user_id` that `signup` returned.
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    user_id: String,
    /// The mailed code.
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    code: String,
}

/// Send an e-mail verification code.
///
/// Responds once the mail has been handed to the mail server, or with an error if that failed. The code is valid for
/// ten minutes or until another one is sent.
#[utoipa::path(
    post,
    path = "/mail/verify/send",
    operation_id = "codes_send_code",
    request_body = SendCodeRequest,
    responses((status = 200, description = "The mail was sent.", body = ErrorCode<'_>,
        example = json!({"error_code": "0"}))),
)]
async fn send_code(ctx: Context, mut request: Request) -> Result<Response, CodesError> {
    let SendCodeRequest { user_id } = request.json().await?;
    let user = parse_user_id(&user_id)?;
    verify_email_code::send_code(&ctx, user, request_context(&ctx, &request)).await?;
    Ok(success())
}

pub(super) const SEND_CODE: Endpoint = endpoint! {
    handler: send_code,
    state: super::in_band,
    respond: super::respond,
    metric_label: "codes.send-code",
    errors: [missing_field("user_id"), Error::NotFound, Error::MailNotSent, RATE_LIMITED],
};

/// Verify an e-mail address with a code.
///
/// A code works once and is void after five wrong attempts.
#[utoipa::path(
    post,
    path = "/mail/verify",
    operation_id = "codes_verify_mail",
    request_body = VerifyEmailRequest,
    responses((status = 200, description = "The address is verified.", body = ErrorCode<'_>,
        example = json!({"error_code": "0"}))),
)]
async fn verify_email(ctx: Context, mut request: Request) -> Result<Response, CodesError> {
    let VerifyEmailRequest { user_id, code } = request.json().await?;
    let user = parse_user_id(&user_id)?;
    verify_email_code::verify_email_with_code(&ctx, user, &code, request_context(&ctx, &request)).await?;
    Ok(success())
}

pub(super) const VERIFY_EMAIL: Endpoint = endpoint! {
    handler: verify_email,
    state: super::in_band,
    respond: super::respond,
    metric_label: "codes.verify-mail",
    errors: [missing_field("user_id"), Error::NotFound, Error::InvalidCode, RATE_LIMITED],
};

/// A malformed id belongs to no user, so it is `NotFound`.
fn parse_user_id(user_id: &str) -> Result<UserId, CodesError> {
    require_non_empty("user_id", user_id)?;
    Ok(UserId::parse(user_id.trim()).ok_or(Error::NotFound)?)
}

fn success() -> Response {
    Response::json(StatusCode::OK, &ErrorCode { error_code: "0" })
}
