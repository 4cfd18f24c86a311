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

use super::openapi::{Chapter, Wording};
use crate::auth::Failure;
use crate::auth::accounts::identity::{BadEmail, BadUsername};
use crate::auth::context::Context;
use crate::auth::passwords::Weak;
use crate::auth::sessions::open::{Door, Says};
use crate::auth::tokens::verify::{Fault as TokenFault, Reason};
use crate::config::Dialect;
use crate::http::{Answer, Rejection, Request, Routes};

use error::{ErrorBody, V1Error};

/// Its name, in sessions and in the log.
pub const NAME: &str = "v1";

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Dialect) {
    routes
        .under(&settings.prefix, |_, rejection: Rejection| V1Error::from(rejection).answer())
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
pub(crate) fn chapter() -> Chapter {
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

    let too_many = || Failure::TooMany { retry_after: Duration::from_secs(30) };
    let expired = || Failure::BadCredentials(Reason::Token(TokenFault::Expired));
    let weak = || Failure::WeakPassword(Weak::TooShort { min: 6 });
    Chapter::new(
        &V1::openapi(),
        Wording {
            word: &|trouble| V1Error::from(trouble).answer(),
            schema: &|_| "Error",
            failures: vec![
                (
                    "v1_register",
                    vec![
                        Failure::BadEmail(BadEmail::NoAt),
                        Failure::BadUsername(BadUsername::Empty),
                        weak(),
                        Failure::RegistrationClosed,
                        Failure::EmailTaken,
                        Failure::UsernameTaken,
                        too_many(),
                        Failure::Busy,
                    ],
                ),
                ("v1_confirm", vec![Failure::ConfirmationNotInForce]),
                (
                    "v1_login",
                    vec![
                        Failure::BadEmail(BadEmail::NoAt),
                        Failure::WrongPassword,
                        Failure::SecondFactorDue,
                        Failure::WrongSecondFactor,
                        Failure::Disabled,
                        Failure::Unverified,
                        too_many(),
                        Failure::Busy,
                    ],
                ),
                ("v1_refresh", vec![Failure::RefreshNotInForce]),
                ("v1_logout", vec![too_many()]),
                ("v1_authorized_logout", vec![too_many()]),
                ("v1_verify", vec![expired()]),
                ("v1_verify_token", vec![expired()]),
                ("v1_password_reset", vec![too_many()]),
                ("v1_password_reset_confirm", vec![weak(), Failure::ResetNotInForce, too_many(), Failure::Busy]),
            ],
        },
    )
}

/// The door of this dialect.
fn door<'a>(ctx: &'a Context, request: &'a Request) -> Door<'a> {
    Door { says: Says::UidAndType, ..super::door(NAME, &ctx.node.config.api.v1, request) }
}
