//! The dialect of `/api/v1`: sign-up, sign-in, refresh tokens that are not rotated, verification, and a reset by a link whose
//! token is enough. Errors are `{"error":"…"}`.
//!
//! Its clients read `uid`, `email` and `token_type` in their access tokens, so every one that is handed out here says them,
//! in whichever dialect the session was opened. A session of this dialect that is refreshed in another has an access token as the
//! other makes it, which is accepted here all the same; where the other rotates, the refresh token is rotated.

mod error;
mod passwords;
mod sessions;
mod sign_up;
mod tokens;

use std::time::Duration;

use utoipa::OpenApi;

use super::openapi::{ApiSpec, ErrorSpec};
use crate::auth::Error;
use crate::auth::accounts::identity::{BadEmail, BadUsername};
use crate::auth::context::Context;
use crate::auth::passwords::Weak;
use crate::auth::sessions::open::{ExtraClaims, RequestContext};
use crate::auth::tokens::verify::{TokenError as TokenFault, VerifyError};
use crate::config::Dialect;
use crate::http::{IntoResponse, Rejection, Request, Routes};

use error::{ErrorBody, V1Error};

/// Its name, in sessions and in the log.
pub const NAME: &str = "v1";

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Dialect) {
    routes
        .group(&settings.prefix, |_, rejection: Rejection| V1Error::from(rejection).into_response())
        .post("/register", "v1.register", sign_up::register)
        .get("/verify", "v1.confirm", sign_up::confirm)
        .post("/login", "v1.login", sessions::login)
        .post("/refresh", "v1.refresh", sessions::refresh)
        .post("/logout", "v1.logout", sessions::logout)
        .post("/authorized/logout", "v1.logout", sessions::authorized_logout)
        .post("/verify", "v1.verify", tokens::verify)
        .post("/verify-token", "v1.verify", tokens::verify_token)
        .get("/authorized/me", "v1.me", tokens::me)
        .post("/password-reset", "v1.password-reset", passwords::ask)
        .post("/password-reset-confirm", "v1.password-reset-confirm", passwords::reset);
}

/// What there is to call, for the document.
pub(crate) fn chapter() -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "v1", description = "`/api/v1`: sign-up, sign-in, verification and password reset. Refresh tokens stay as they are.")),
        components(schemas(ErrorBody<'_>)),
        paths(
            sign_up::register,
            sign_up::confirm,
            sessions::login,
            sessions::refresh,
            sessions::logout,
            sessions::authorized_logout,
            tokens::verify,
            tokens::verify_token,
            tokens::me,
            passwords::ask,
            passwords::reset,
        )
    )]
    struct V1;

    let too_many = || Error::TooMany { retry_after: Duration::from_secs(30) };
    let expired = || Error::BadCredentials(VerifyError::Token(TokenFault::Expired));
    let weak = || Error::WeakPassword(Weak::TooShort { min: 6 });
    ApiSpec::new(
        &V1::openapi(),
        ErrorSpec {
            word: &|trouble| V1Error::from(trouble).into_response(),
            schema: &|_| "Error",
            failures: vec![
                (
                    "v1_register",
                    vec![
                        Error::BadEmail(BadEmail::NoAt),
                        Error::BadUsername(BadUsername::Empty),
                        weak(),
                        Error::RegistrationClosed,
                        Error::EmailTaken,
                        Error::UsernameTaken,
                        too_many(),
                        Error::Busy,
                    ],
                ),
                ("v1_confirm", vec![Error::ConfirmationNotInForce]),
                (
                    "v1_login",
                    vec![
                        Error::BadEmail(BadEmail::NoAt),
                        Error::WrongPassword,
                        Error::SecondFactorDue,
                        Error::WrongSecondFactor,
                        Error::Disabled,
                        Error::Unverified,
                        too_many(),
                        Error::Busy,
                    ],
                ),
                ("v1_refresh", vec![Error::RefreshNotInForce]),
                ("v1_logout", vec![too_many()]),
                ("v1_authorized_logout", vec![too_many()]),
                ("v1_verify", vec![expired()]),
                ("v1_verify_token", vec![expired()]),
                ("v1_password_reset", vec![too_many()]),
                ("v1_password_reset_confirm", vec![weak(), Error::ResetNotInForce, too_many(), Error::Busy]),
            ],
        },
    )
}

/// The door of this dialect.
fn request_ctx<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    RequestContext {
        extra_claims: ExtraClaims::UidAndType,
        ..super::request_context(NAME, &ctx.node.config.api.v1, request)
    }
}
