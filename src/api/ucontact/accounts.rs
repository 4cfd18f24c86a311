//! Sign-up, and verification of the address with a mailed link.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{UcontactError, body_field_error};
use super::request_context;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::fastapi::{Detail, EmailStr, both, password_error};
use crate::api::{RATE_LIMITED, pages, wire_text};
use crate::auth::Error;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::sign_up::sign_up;
use crate::auth::accounts::verify_email;
use crate::auth::accounts::verify_email::Verification;
use crate::auth::context::Context;
use crate::auth::identity::Username;
use crate::auth::passwords::{Password, Policy};
use crate::clock::Timestamp;
use crate::http::{Rejection, Request, Response, json};

/// The account to create.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"username": "johndoe", "email": "john@example.com", "password": "securepassword123"})))]
pub(super) struct Register {
    #[schema(max_length = 64)]
    username: String,
    #[schema(value_type = String, format = Email)]
    email: EmailStr,
    /// By default at least eight characters and not one of the most common passwords.
    #[schema(value_type = String)]
    password: Password,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": 1,
    "username": "johndoe",
    "email": "john@example.com",
    "created_at": "2025-04-16T12:00:00",
    "avatar": null,
    "is_verified": false,
})))]
pub(super) struct Account<'a> {
    id: i64,
    username: &'a str,
    email: &'a str,
    /// In UTC, without a time zone suffix.
    #[schema(pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$")]
    created_at: String,
    /// Always null: Signet stores no pictures.
    #[schema(required = true)]
    avatar: Option<&'a str>,
    is_verified: bool,
}

/// Create an account.
///
/// Mails a link that verifies the e-mail address.
#[utoipa::path(
    post,
    path = "/register",
    operation_id = "ucontact_register",
    request_body = Register,
    responses((status = 201, description = "The account was created.", body = Account<'_>)),
)]
async fn register(ctx: Context, mut request: Request) -> Result<Response, UcontactError> {
    let body = request.json_bytes().await?;
    let config = &ctx.node.config;
    let request_ctx = request_context(&ctx, &request);
    // One 422 lists the errors of the types together with violations of the username rules and the password policy.
    let ((new_account, ()), ()) = both(
        both(json::parse::<Register>(&body), check_username(&body)),
        check_password(&body, Policy::for_dialect(request_ctx.dialect_config, &config.passwords)),
    )?;
    let new_user = CreateUser {
        email: new_account.email.0.as_str().to_owned(),
        username: Some(new_account.username),
        password: Some(new_account.password),
        ..CreateUser::default()
    };
    let user = sign_up(&ctx, new_user, request_ctx).await?;
    let link = |token: &str| {
        format!("{}{}/confirmed_email/{token}", config.server.public_url, request_ctx.dialect_config.prefix)
    };
    verify_email::send_sign_up_link(&ctx, &user, link, request_ctx).await?;
    let account = Account {
        id: user.number,
        username: user.username.as_deref().unwrap_or_default(),
        email: &user.email,
        created_at: format_without_zone(user.created_at),
        avatar: None,
        is_verified: user.verified,
    };
    Ok(Response::json(StatusCode::CREATED, &account).no_store())
}

pub(super) const REGISTER: Endpoint = endpoint! {
    handler: register,
    metric_label: "ucontact.register",
    errors: [
        Error::RegistrationClosed,
        Error::EmailTaken,
        Error::UsernameTaken,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// Checks the username, if the body has one. A missing one is reported by the types.
fn check_username(body: &[u8]) -> Result<(), Rejection> {
    #[derive(Deserialize)]
    struct Body {
        username: String,
    }
    let Ok(Body { username }) = json::parse(body) else { return Ok(()) };
    Username::parse(&username)
        .map(|_| ())
        .map_err(|error| Rejection::field(body_field_error("username", wire_text::username(error))))
}

/// Checks the password against the policy, if the body has one.
fn check_password(body: &[u8], policy: Policy) -> Result<(), Rejection> {
    #[derive(Deserialize)]
    struct Body {
        password: Password,
    }
    let Ok(Body { password }) = json::parse(body) else { return Ok(()) };
    policy.check(&password).map_err(|violation| Rejection::field(password_error("password", violation)))
}

fn format_without_zone(time: Timestamp) -> String {
    Timestamp::from_secs(time.secs()).to_string().trim_end_matches('Z').to_owned()
}

/// Confirmation that the call succeeded.
#[derive(Serialize, ToSchema)]
#[schema(as = Done, examples(json!({"message": "Email verified successfully"})))]
pub(super) struct Message {
    message: &'static str,
}

/// Verify an e-mail address with a link.
///
/// Idempotent until the link expires. A browser that follows the link gets a page instead, whose button verifies the
/// address. If the setting `mailed.confirm_by_get` is false, every client gets the page.
#[utoipa::path(
    get,
    path = "/confirmed_email/{token}",
    operation_id = "ucontact_confirm",
    params(("token" = String, Path, description = "The token of the link.")),
    responses(
        (
            status = 200,
            description = "The address is verified.",
            content(
                (Message = "application/json", examples(
                    ("now" = (value = json!({"message": "Email verified successfully"}))),
                    ("again" = (value = json!({"message": "Your email has already been confirmed."}))),
                )),
                (String = "text/html"),
            ),
        ),
        // In the other calls of this dialect 422 lists invalid fields.
        (
            status = 422,
            description = "The token is invalid or expired.",
            body = Detail<'_>,
            example = json!({"detail": "Invalid email verification token"}),
        ),
    ),
)]
async fn confirm_email(ctx: Context, request: Request) -> Result<Response, UcontactError> {
    if pages::shows_page(&ctx, &request) {
        return Ok(pages::confirm(&ctx));
    }
    let message =
        match verify_email::verify_email(&ctx, request.param("token"), request_context(&ctx, &request)).await? {
            Verification::Verified => "Email verified successfully",
            Verification::AlreadyVerified => "Your email has already been confirmed.",
        };
    Ok(Response::json(StatusCode::OK, &Message { message }).no_store())
}

pub(super) const CONFIRM_EMAIL: Endpoint = endpoint! {
    handler: confirm_email,
    metric_label: "ucontact.confirm",
    errors: [Error::NotFound, RATE_LIMITED],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_has_no_zone_and_no_fraction() {
        assert_eq!(format_without_zone(Timestamp::from_millis(1_744_804_800_999)), "2025-04-16T12:00:00");
    }
}
