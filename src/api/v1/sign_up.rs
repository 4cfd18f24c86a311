//! Sign-up, and verification of the address with a mailed link.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{TOO_SHORT, V1Error, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{RATE_LIMITED, pages};
use crate::auth::Error;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::sign_up::sign_up;
use crate::auth::accounts::verify_email;
use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::identity::{EmailError, UsernameError};
use crate::auth::passwords::Password;
use crate::http::{Request, Response};

/// The account to create.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "user@example.com", "username": "hijack", "password": "123456"})))]
pub(super) struct Register {
    email: String,
    #[schema(max_length = 64)]
    username: String,
    /// By default at least six characters.
    #[schema(value_type = String)]
    password: Password,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RegisterQuery {
    /// Send a link that verifies the address.
    #[serde(rename = "sendEmail", default = "send_email_by_default")]
    #[param(required = false, default = true)]
    send_email: bool,
}

/// The mail is sent unless the client opts out, because an address without a link cannot be verified.
fn send_email_by_default() -> bool {
    true
}

/// Confirmation that the call succeeded.
#[derive(Serialize, ToSchema)]
#[schema(as = Done, examples(json!({"message": "registered"})))]
pub(super) struct Message {
    /// Stable text for programs.
    message: &'static str,
}

impl Message {
    pub(super) fn response(message: &'static str) -> Response {
        Response::json(StatusCode::OK, &Self { message })
    }
}

/// Create an account.
///
/// Mails a link that verifies the address, unless `sendEmail=false`.
#[utoipa::path(
    post,
    path = "/register",
    operation_id = "v1_register",
    params(RegisterQuery),
    request_body = Register,
    responses((status = 201, description = "The account was created.", body = Message,
        example = json!({"message": "registered"}))),
)]
async fn register(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let query: RegisterQuery = request.query()?.deserialize()?;
    let body: Register = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let new_user = CreateUser {
        email: body.email,
        username: Some(body.username),
        password: Some(body.password),
        ..CreateUser::default()
    };
    let user = sign_up(&ctx, new_user, request_ctx).await?;
    if query.send_email {
        let config = &ctx.node.config;
        let link = |token: &str| {
            format!("{}{}/verify?token={token}", config.server.public_url, request_ctx.dialect_config.prefix)
        };
        verify_email::send_sign_up_link(&ctx, &user, link, request_ctx).await?;
    }
    Ok(Response::json(StatusCode::CREATED, &Message { message: "registered" }))
}

pub(super) const REGISTER: Endpoint = endpoint! {
    handler: register,
    metric_label: "v1.register",
    errors: [
        EmailError::NoAt,
        UsernameError::Empty,
        TOO_SHORT,
        Error::RegistrationClosed,
        Error::EmailTaken,
        Error::UsernameTaken,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LinkQuery {
    /// The token of the link.
    pub(super) token: String,
}

/// Verify an e-mail address with a link.
///
/// Idempotent until the link expires. A browser that follows the link gets a page instead, whose button verifies the
/// address. If the setting `mailed.confirm_by_get` is false, every client gets the page.
#[utoipa::path(
    get,
    path = "/verify",
    operation_id = "v1_confirm",
    params(LinkQuery),
    responses((
        status = 200,
        description = "The address is verified.",
        content(
            (Message = "application/json", example = json!({"message": "email verified successfully"})),
            (String = "text/html"),
        ),
    )),
)]
async fn confirm_email(ctx: Context, request: Request) -> Result<Response, V1Error> {
    if pages::shows_page(&ctx, &request) {
        return Ok(pages::confirm(&ctx));
    }
    let link: LinkQuery = request.query()?.deserialize()?;
    verify_email::verify_email(&ctx, &link.token, request_context(&ctx, &request)).await?;
    Ok(Message::response("email verified successfully").no_store())
}

pub(super) const CONFIRM_EMAIL: Endpoint = endpoint! {
    handler: confirm_email,
    metric_label: "v1.confirm",
    errors: [Error::InvalidLink(LinkKind::EmailVerification), RATE_LIMITED],
};
