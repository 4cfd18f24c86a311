//! Making an account, and confirming its address by the link that is mailed for it.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::NAME;
use super::error::{Detail, UcontactError, faulty};
use crate::api::fastapi::{EmailStr, both, weak_password};
use crate::api::pages;
use crate::api::request_context;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::identity::Username;
use crate::auth::accounts::sign_up::sign_up;
use crate::auth::accounts::verify_email;
use crate::auth::accounts::verify_email::Confirmed;
use crate::auth::context::Context;
use crate::auth::passwords::{Password, Policy};
use crate::clock::Timestamp;
use crate::http::{Rejection, Request, Response, json};

/// An account to be made.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"username": "johndoe", "email": "john@example.com", "password": "securepassword123"})))]
pub(super) struct Register {
    #[schema(max_length = 64)]
    username: String,
    #[schema(value_type = String, format = Email)]
    email: EmailStr,
    /// At least eight characters and none of the most common ones, unless the settings say otherwise.
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
    /// Without a zone: it is UTC.
    #[schema(pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$")]
    created_at: String,
    /// None: this service keeps no pictures.
    #[schema(required = true)]
    avatar: Option<&'a str>,
    is_verified: bool,
}

/// Makes an account, and mails a link that confirms its address.
#[utoipa::path(
    post,
    path = "/register",
    operation_id = "ucontact_register",
    request_body = Register,
    responses((status = 201, description = "It is made.", body = Account<'_>)),
)]
pub(super) async fn register(ctx: Context, mut request: Request) -> Result<Response, UcontactError> {
    let body = request.json_bytes().await?;
    let config = &ctx.node.config;
    let request_ctx = request_context(NAME, &config.api.ucontact, &request);
    // What only the settings know of is said together with what the types know of.
    let ((asked, ()), ()) = both(
        both(json::read::<Register>(&body), good_name(&body)),
        good_password(&body, Policy::of(request_ctx.dialect_config, &config.passwords)),
    )?;
    let wanted = CreateUser {
        email: asked.email.0.as_str().to_owned(),
        username: Some(asked.username),
        password: Some(asked.password),
        ..CreateUser::default()
    };
    let user = sign_up(&ctx, wanted, request_ctx).await?;
    let link = |token: &str| {
        format!("{}{}/confirmed_email/{token}", config.server.public_url, request_ctx.dialect_config.prefix)
    };
    verify_email::send_link(&ctx, &user, &user.email, link, request_ctx.language)?;
    let account = Account {
        id: user.number,
        username: user.username.as_deref().unwrap_or_default(),
        email: &user.email,
        created_at: without_zone(user.created_at),
        avatar: None,
        is_verified: user.verified,
    };
    Ok(Response::json(StatusCode::CREATED, &account).no_store())
}

/// Looks at the name alone, if there is one: where there is none, that is said already.
fn good_name(body: &[u8]) -> Result<(), Rejection> {
    #[derive(Deserialize)]
    struct Named {
        username: String,
    }
    let Ok(Named { username }) = json::read(body) else { return Ok(()) };
    Username::parse(&username).map(|_| ()).map_err(|bad| Rejection::field(faulty("username", bad.to_string())))
}

/// The same of the password.
fn good_password(body: &[u8], policy: Policy) -> Result<(), Rejection> {
    #[derive(Deserialize)]
    struct Secret {
        password: Password,
    }
    let Ok(Secret { password }) = json::read(body) else { return Ok(()) };
    policy.check(&password).map_err(|weak| Rejection::field(weak_password("password", weak)))
}

fn without_zone(moment: Timestamp) -> String {
    Timestamp::from_secs(moment.secs()).to_string().trim_end_matches('Z').to_owned()
}

/// That it is done.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"message": "Email verified successfully"})))]
pub(super) struct Done {
    message: &'static str,
}

/// Confirms an address by its link.
///
/// Again does no harm, until the link's time is over. A browser that follows the link gets a page instead, which confirms when its
/// button is pressed.
#[utoipa::path(
    get,
    path = "/confirmed_email/{token}",
    operation_id = "ucontact_confirm",
    params(("token" = String, Path, description = "The token of the link.")),
    responses(
        (
            status = 200,
            description = "It is confirmed.",
            content(
                (Done = "application/json", examples(
                    ("now" = (value = json!({"message": "Email verified successfully"}))),
                    ("again" = (value = json!({"message": "Your email has already been confirmed."}))),
                )),
                (String = "text/html"),
            ),
        ),
        // Elsewhere in this dialect 422 lists fields.
        (
            status = 422,
            description = "No token of a link, or its time is over.",
            body = Detail<'_>,
            example = json!({"detail": "Invalid email verification token"}),
        ),
    ),
)]
pub(super) async fn confirm(ctx: Context, request: Request) -> Result<Response, UcontactError> {
    if pages::wants_html(&ctx, &request) {
        return Ok(pages::confirm(&ctx));
    }
    let message = match verify_email::verify_email(&ctx, request.param("token")).await? {
        Confirmed::Now => "Email verified successfully",
        Confirmed::Already => "Your email has already been confirmed.",
    };
    Ok(Response::json(StatusCode::OK, &Done { message }).no_store())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_without_its_zone_and_in_whole_seconds() {
        assert_eq!(without_zone(Timestamp::from_millis(1_744_804_800_999)), "2025-04-16T12:00:00");
    }
}
