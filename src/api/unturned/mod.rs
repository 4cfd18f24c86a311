//! The dialect of Unturned.AI: mailed codes in place of passwords, projects and their API keys. Every response is in an
//! envelope, except that invalid fields are FastAPI's 422.

mod api_keys;
mod envelope;
mod error;
mod verification;

use std::time::Duration;

use utoipa::OpenApi;

use super::ApiError;
use super::fastapi::HttpValidationError;
use super::openapi::{ApiSpec, ErrorSpec};
use super::users_me;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::request_context::RequestContext;
use crate::config::Dialect;
use crate::http::{IntoResponse, Rejection, Request, Routes};

use envelope::ErrorEnvelope;
use error::UnturnedError;

/// Name of the dialect in sessions and in logs.
pub const NAME: &str = "unturned";

/// Adds its routes; `GET /users/me` only if `myauth` does not serve it at the same prefix.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Dialect, with_me: bool) {
    let word = |_: &Context, rejection: Rejection| UnturnedError::from(rejection).into_response();
    routes
        .group(&format!("{}/verification", settings.prefix), word)
        .post("/send-code", "unturned.send-code", verification::send_code)
        .post("/verify-code", "unturned.sign-in", verification::verify_code)
        .post("/refresh-token", "unturned.refresh", verification::refresh_token)
        .post("/revoke-token", "unturned.revoke", verification::revoke_token);
    routes
        .group(&format!("{}/api-keys", settings.prefix), word)
        .get("/", "unturned.api-keys", api_keys::list)
        .post("/", "unturned.make-api-key", api_keys::create)
        .delete("/{key_id}", "unturned.end-api-key", api_keys::deactivate);
    if with_me {
        routes.group(&format!("{}/users", settings.prefix), word).get("/me", "unturned.me", me);
    }
}

fn request_context<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    super::request_context(NAME, &ctx.node.config.api.unturned, request)
}

async fn me(ctx: Context, request: Request) -> Result<crate::http::Response, UnturnedError> {
    Ok(users_me::me(&ctx, &request).await?)
}

/// The OpenAPI part of this dialect.
pub(super) fn chapter() -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "unturned", description = "Mailed codes in place of passwords; projects and their API keys.")),
        components(schemas(ErrorEnvelope, HttpValidationError)),
        paths(
            verification::send_code,
            verification::verify_code,
            verification::refresh_token,
            verification::revoke_token,
            users_me::me,
            api_keys::list,
            api_keys::create,
            api_keys::deactivate,
        )
    )]
    struct Unturned;

    let too_many = || Error::RateLimited { retry_after: Duration::from_secs(30) };
    let code_errors = vec![
        Error::InvalidCode,
        Error::MfaRequired,
        Error::InvalidMfaCode,
        Error::AccountDisabled,
        Error::RegistrationClosed,
        too_many(),
    ];
    let session_errors = || vec![Error::Forbidden(Denial::MissingPermission), Error::Forbidden(Denial::OtherProject)];
    ApiSpec::legacy(
        &Unturned::openapi(),
        ErrorSpec {
            word: &|error: ApiError| UnturnedError::from(error).into_response(),
            schema: &|status| if status == 422 { "HTTPValidationError" } else { "ErrorEnvelope" },
            failures: vec![
                ("send_code_auth_verification_send_code_post", vec![too_many()]),
                ("verify_code_auth_verification_verify_code_post", code_errors),
                ("refresh_token_auth_verification_refresh_token_post", vec![Error::InvalidRefreshToken]),
                ("get_me_auth_users_me_get", vec![Error::AccountDisabled]),
                ("list_api_keys_auth_api_keys__get", session_errors()),
                ("create_api_key_auth_api_keys__post", [session_errors(), vec![too_many()]].concat()),
                ("revoke_api_key_auth_api_keys__key_id__delete", [session_errors(), vec![Error::NotFound]].concat()),
            ],
        },
    )
}
