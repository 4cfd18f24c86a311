//! Making an account, and confirming its address by the link that is mailed for it.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{V1Error, request_ctx};
use crate::api::pages;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::sign_up::sign_up;
use crate::auth::accounts::verify_email;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::http::{Request, Response};

/// An account to be made.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "user@example.com", "username": "hijack", "password": "123456"})))]
pub(super) struct Register {
    email: String,
    #[schema(max_length = 64)]
    username: String,
    /// At least six characters, unless the settings say otherwise.
    #[schema(value_type = String)]
    password: Password,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Options {
    /// Whether a link that confirms the address is mailed.
    #[serde(rename = "sendEmail", default = "yes")]
    #[param(required = false, default = true)]
    send_email: bool,
}

/// Who says nothing about the mail gets it: an account whose address nobody can confirm is of less use.
fn yes() -> bool {
    true
}

/// That it is done.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"message": "registered"})))]
pub(super) struct Done {
    /// In words that stay the same.
    message: &'static str,
}

impl Done {
    pub(super) fn answer(message: &'static str) -> Response {
        Response::json(StatusCode::OK, &Self { message })
    }
}

/// Makes an account.
///
/// A link that confirms the address is mailed, unless `sendEmail=false`.
#[utoipa::path(
    post,
    path = "/register",
    operation_id = "v1_register",
    params(Options),
    request_body = Register,
    responses((status = 201, description = "It is made.", body = Done, example = json!({"message": "registered"}))),
)]
pub(super) async fn register(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let options: Options = request.query()?.read()?;
    let asked: Register = request.json().await?;
    let request_ctx = request_ctx(&ctx, &request);
    let wanted = CreateUser {
        email: asked.email,
        username: Some(asked.username),
        password: Some(asked.password),
        ..CreateUser::default()
    };
    let user = sign_up(&ctx, wanted, request_ctx).await?;
    if options.send_email {
        let config = &ctx.node.config;
        let link = |token: &str| {
            format!("{}{}/verify?token={token}", config.server.public_url, request_ctx.dialect_config.prefix)
        };
        verify_email::send_link(&ctx, &user, &user.email, link, request_ctx.language)?;
    }
    Ok(Response::json(StatusCode::CREATED, &Done { message: "registered" }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Link {
    /// The token of the link.
    pub(super) token: String,
}

/// Confirms an address by its link.
///
/// Again gives the same answer, until the link's time is over. A browser that follows the link gets a page instead, which confirms
/// when its button is pressed.
#[utoipa::path(
    get,
    path = "/verify",
    operation_id = "v1_confirm",
    params(Link),
    responses((
        status = 200,
        description = "It is confirmed.",
        content(
            (Done = "application/json", example = json!({"message": "email verified successfully"})),
            (String = "text/html"),
        ),
    )),
)]
pub(super) async fn confirm(ctx: Context, request: Request) -> Result<Response, V1Error> {
    if pages::wants_html(&ctx, &request) {
        return Ok(pages::confirm(&ctx));
    }
    let link: Link = request.query()?.read()?;
    verify_email::verify_email(&ctx, &link.token).await?;
    Ok(Done::answer("email verified successfully").no_store())
}
