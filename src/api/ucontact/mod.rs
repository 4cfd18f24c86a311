//! The dialect of UContact: sign-up with a link that verifies the address, sign-in with a form, and rotated refresh
//! tokens. Errors are FastAPI's `{"detail": …}`.

mod accounts;
mod error;
mod sessions;

use std::time::Duration;

use utoipa::OpenApi;

use super::fastapi::HttpValidationError;
use super::openapi::{ApiSpec, ErrorSpec};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::config::Dialect;
use crate::http::{IntoResponse, Rejection, Request, Routes};

use error::{Detail, UcontactError};

/// Name of the dialect in sessions and in logs.
pub const NAME: &str = "ucontact";

fn request_context<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    super::request_context(NAME, &ctx.node.config.api.ucontact, request)
}

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Dialect) {
    routes
        .group(&settings.prefix, |_, rejection: Rejection| UcontactError::from(rejection).into_response())
        .post("/register", "ucontact.register", accounts::register)
        .get("/confirmed_email/{token}", "ucontact.confirm", accounts::confirm_email)
        .post("/login", "ucontact.login", sessions::login)
        .post("/refresh-token", "ucontact.refresh", sessions::refresh);
}

/// The OpenAPI part of this dialect.
pub(crate) fn chapter() -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "ucontact", description = "UContact: sign-up with e-mail verification, sign-in with a form, \
            rotated refresh tokens.")),
        components(schemas(Detail<'_>, HttpValidationError)),
        paths(accounts::register, accounts::confirm_email, sessions::login, sessions::refresh)
    )]
    struct Ucontact;

    let too_many = || Error::RateLimited { retry_after: Duration::from_secs(30) };
    ApiSpec::legacy(
        &Ucontact::openapi(),
        ErrorSpec {
            word: &|error| UcontactError::from(error).into_response(),
            schema: &|status| if status == 422 { "HTTPValidationError" } else { "Detail" },
            failures: vec![
                (
                    "ucontact_register",
                    vec![
                        Error::RegistrationClosed,
                        Error::EmailTaken,
                        Error::UsernameTaken,
                        too_many(),
                        Error::Overloaded,
                    ],
                ),
                ("ucontact_confirm", vec![Error::NotFound]),
                (
                    "ucontact_login",
                    vec![
                        Error::InvalidCredentials,
                        Error::EmailNotVerified,
                        Error::MfaRequired,
                        Error::InvalidMfaCode,
                        Error::AccountDisabled,
                        too_many(),
                        Error::Overloaded,
                    ],
                ),
                ("ucontact_refresh", vec![Error::InvalidRefreshToken]),
            ],
        },
    )
}
