//! UContact's dialect: sign-up with a link that confirms the address, sign-in by form, and refresh tokens that are rotated.
//! Errors are `{"detail":…}`, as FastAPI says them.

mod accounts;
mod error;
mod sessions;

use std::time::Duration;

use utoipa::OpenApi;

use super::fastapi::HttpValidationError;
use super::openapi::{Chapter, Wording};
use crate::auth::Failure;
use crate::auth::context::Context;
use crate::config::Dialect;
use crate::http::{Answer, Rejection, Routes};

use error::{Detail, UcontactError};

/// Its name, in sessions and in the log.
pub const NAME: &str = "ucontact";

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Dialect) {
    routes
        .under(&settings.prefix, |_, rejection: Rejection| UcontactError::from(rejection).answer())
        .post("/register", "ucontact.register", accounts::register)
        .get("/confirmed_email/{token}", "ucontact.confirm", accounts::confirm)
        .post("/login", "ucontact.login", sessions::login)
        .post("/refresh-token", "ucontact.refresh", sessions::refresh);
}

/// What there is to call, for the document.
pub(crate) fn chapter() -> Chapter {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "ucontact", description = "UContact: sign-up with a confirmed address, sign-in by form, rotated refresh tokens.")),
        components(schemas(Detail<'_>, HttpValidationError)),
        paths(accounts::register, accounts::confirm, sessions::login, sessions::refresh)
    )]
    struct Ucontact;

    let too_many = || Failure::TooMany { retry_after: Duration::from_secs(30) };
    Chapter::new(
        &Ucontact::openapi(),
        Wording {
            word: &|trouble| UcontactError::from(trouble).answer(),
            schema: &|status| if status == 422 { "HTTPValidationError" } else { "Detail" },
            failures: vec![
                (
                    "ucontact_register",
                    vec![
                        Failure::RegistrationClosed,
                        Failure::EmailTaken,
                        Failure::UsernameTaken,
                        too_many(),
                        Failure::Busy,
                    ],
                ),
                ("ucontact_confirm", vec![Failure::Absent]),
                (
                    "ucontact_login",
                    vec![
                        Failure::WrongPassword,
                        Failure::Unverified,
                        Failure::SecondFactorDue,
                        Failure::WrongSecondFactor,
                        Failure::Disabled,
                        too_many(),
                        Failure::Busy,
                    ],
                ),
                ("ucontact_refresh", vec![Failure::RefreshNotInForce]),
            ],
        },
    )
}
