//! The dialect of `/api/v1`: sign-up, sign-in, refresh tokens that are not rotated, token verification, and a password
//! reset for which the token of the link is sufficient. Errors are `{"error": "…"}`.
//!
//! Its clients read the claims `uid`, `email` and `token_type`, so every access token that is issued here has them, in
//! whichever dialect the session was opened. If a session of this dialect is refreshed in another one, the other
//! dialect decides the claims and whether the refresh token rotates; the resulting access token is accepted here as
//! well.

mod error;
mod passwords;
mod sessions;
mod sign_up;
mod tokens;

use std::time::Duration;

use utoipa::OpenApi;

use super::openapi::{ApiSpec, ErrorSpec};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::{InputError, LinkKind};
use crate::auth::identity::{EmailError, UsernameError};
use crate::auth::passwords::PolicyViolation;
use crate::auth::request_context::{ExtraClaims, RequestContext};
use crate::auth::tokens::verify::{TokenError as TokenFault, VerifyError};
use crate::config::Dialect;
use crate::http::{IntoResponse, Rejection, Request, Routes};

use error::{ErrorBody, V1Error};

/// Name of the dialect in sessions and in logs.
pub const NAME: &str = "v1";

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Dialect) {
    routes
        .group(&settings.prefix, |_, rejection: Rejection| V1Error::from(rejection).into_response())
        .post("/register", "v1.register", sign_up::register)
        .get("/verify", "v1.confirm", sign_up::confirm_email)
        .post("/login", "v1.login", sessions::login)
        .post("/refresh", "v1.refresh", sessions::refresh)
        .post("/logout", "v1.logout", sessions::logout)
        .post("/authorized/logout", "v1.logout", sessions::authorized_logout)
        .post("/verify", "v1.verify", tokens::verify)
        .post("/verify-token", "v1.verify", tokens::verify_token)
        .get("/authorized/me", "v1.me", tokens::me)
        .post("/password-reset", "v1.password-reset", passwords::request_reset)
        .post("/password-reset-confirm", "v1.password-reset-confirm", passwords::reset);
}

/// The OpenAPI part of this dialect.
pub(crate) fn chapter() -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "v1", description = "`/api/v1`: sign-up, sign-in, token verification and password reset. \
            Refresh tokens are not rotated.")),
        components(schemas(ErrorBody<'_>)),
        paths(
            sign_up::register,
            sign_up::confirm_email,
            sessions::login,
            sessions::refresh,
            sessions::logout,
            sessions::authorized_logout,
            tokens::verify,
            tokens::verify_token,
            tokens::me,
            passwords::request_reset,
            passwords::reset,
        )
    )]
    struct V1;

    let too_many = || Error::RateLimited { retry_after: Duration::from_secs(30) };
    let expired = || Error::InvalidToken(VerifyError::Token(TokenFault::Expired));
    let weak = || Error::InvalidInput(InputError::Password(PolicyViolation::TooShort { min: 6 }));
    ApiSpec::legacy(
        &V1::openapi(),
        ErrorSpec {
            word: &|error| V1Error::from(error).into_response(),
            schema: &|_| "Error",
            failures: vec![
                (
                    "v1_register",
                    vec![
                        Error::InvalidInput(InputError::Email(EmailError::NoAt)),
                        Error::InvalidInput(InputError::Username(UsernameError::Empty)),
                        weak(),
                        Error::RegistrationClosed,
                        Error::EmailTaken,
                        Error::UsernameTaken,
                        too_many(),
                        Error::Overloaded,
                    ],
                ),
                ("v1_confirm", vec![Error::InvalidLink(LinkKind::EmailVerification)]),
                (
                    "v1_login",
                    vec![
                        Error::InvalidInput(InputError::Email(EmailError::NoAt)),
                        Error::InvalidCredentials,
                        Error::MfaRequired,
                        Error::InvalidMfaCode,
                        Error::AccountDisabled,
                        Error::EmailNotVerified,
                        too_many(),
                        Error::Overloaded,
                    ],
                ),
                ("v1_refresh", vec![Error::InvalidRefreshToken]),
                ("v1_logout", vec![too_many()]),
                ("v1_authorized_logout", vec![too_many()]),
                ("v1_verify", vec![expired()]),
                ("v1_verify_token", vec![expired()]),
                ("v1_password_reset", vec![too_many()]),
                (
                    "v1_password_reset_confirm",
                    vec![weak(), Error::InvalidLink(LinkKind::PasswordReset), too_many(), Error::Overloaded],
                ),
            ],
        },
    )
}

/// Adds the claims `uid` and `token_type` to the access tokens that the request obtains.
fn request_context<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    RequestContext {
        extra_claims: ExtraClaims::UidAndType,
        ..super::request_context(NAME, &ctx.node.config.api.v1, request)
    }
}
