//! UContact's dialect: sign-up with a link that confirms the address, sign-in by form, and refresh tokens that are rotated.
//! Errors are `{"detail":…}`, as FastAPI says them.

mod accounts;
mod error;
mod sessions;

use std::time::Duration;

use utoipa::OpenApi;

use super::fastapi::HttpValidationError;
use super::openapi::{ApiSpec, ErrorSpec};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::config::Dialect;
use crate::http::{IntoResponse, Rejection, Routes};

use error::{Detail, UcontactError};

/// Its name, in sessions and in the log.
pub const NAME: &str = "ucontact";

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Dialect) {
    routes
        .group(&settings.prefix, |_, rejection: Rejection| UcontactError::from(rejection).into_response())
        .post("/register", "ucontact.register", accounts::register)
        .get("/confirmed_email/{token}", "ucontact.confirm", accounts::confirm)
        .post("/login", "ucontact.login", sessions::login)
        .post("/refresh-token", "ucontact.refresh", sessions::refresh);
}

/// What there is to call, for the document.
pub(crate) fn chapter() -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "ucontact", description = "UContact: sign-up with a confirmed address, sign-in by form, rotated refresh tokens.")),
        components(schemas(Detail<'_>, HttpValidationError)),
        paths(accounts::register, accounts::confirm, sessions::login, sessions::refresh)
    )]
    struct Ucontact;

    let too_many = || Error::TooMany { retry_after: Duration::from_secs(30) };
    ApiSpec::new(
        &Ucontact::openapi(),
        ErrorSpec {
            word: &|trouble| UcontactError::from(trouble).into_response(),
            schema: &|status| if status == 422 { "HTTPValidationError" } else { "Detail" },
            failures: vec![
                (
                    "ucontact_register",
                    vec![Error::RegistrationClosed, Error::EmailTaken, Error::UsernameTaken, too_many(), Error::Busy],
                ),
                ("ucontact_confirm", vec![Error::NotFound]),
                (
                    "ucontact_login",
                    vec![
                        Error::WrongPassword,
                        Error::Unverified,
                        Error::SecondFactorDue,
                        Error::WrongSecondFactor,
                        Error::Disabled,
                        too_many(),
                        Error::Busy,
                    ],
                ),
                ("ucontact_refresh", vec![Error::RefreshNotInForce]),
            ],
        },
    )
}
