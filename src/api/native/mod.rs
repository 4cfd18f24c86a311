//! Signet's own dialect: what is published, verification in its forms, OAuth's token endpoints, sessions, the second factor,
//! projects, and what only a superuser may do. Answers of RFC shapes; failures as RFC 9457 problem documents, under `/oauth` as
//! RFC 6749 has them.

mod admin;
mod billing;
mod links;
mod oauth;
mod problem;
mod projects;
mod published;
mod qr;
mod schemas;
mod sessions;
mod totp;
mod verify;

use std::sync::OnceLock;
use std::time::Duration;

use utoipa::OpenApi;

use super::openapi::{ApiSpec, ErrorSpec};
use super::pages;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::passwords::Weak;
use crate::config::Config;
use crate::http::{FieldError, FieldErrorKind, IntoResponse, ParamLocation, Rejection, Routes};

use oauth::{OauthError, OauthErrorBody};
use problem::{Problem, ProblemDocument};

/// Its name, in sessions and in the log.
pub const NAME: &str = "native";

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, config: &Config) {
    let (settings, document) = (&config.api.native, OnceLock::new());
    let keys = published::Published::new(&config.keys);
    routes
        .group(&settings.prefix, |_, rejection: Rejection| Problem::from(rejection).into_response())
        .get_sync("/.well-known/jwks.json", "native.jwks", move |ctx, request| published::jwks(ctx, request, &keys))
        .get_sync("/.well-known/oauth-authorization-server", "native.metadata", published::metadata)
        .get_sync("/.well-known/openid-configuration", "native.metadata", published::openid_configuration)
        .get_sync("/openapi.json", "native.openapi", move |ctx, request| published::openapi(ctx, request, &document))
        .post("/verify", "native.verify", verify::one)
        .get("/verify", "native.verify-proxy", verify::for_proxy)
        .post("/verify/batch", "native.verify-batch", verify::batch)
        .post("/sessions", "native.sign-in", sessions::open)
        .get("/sessions", "native.sessions", sessions::list)
        .delete("/sessions", "native.sign-out-all", sessions::end_many)
        .delete("/sessions/{id}", "native.sign-out", sessions::end_one)
        .post("/totp", "native.begin-totp", totp::begin)
        .get("/totp/qr", "native.totp-qr", totp::picture)
        .put("/totp", "native.turn-on-totp", totp::turn_on)
        .delete("/totp", "native.turn-off-totp", totp::turn_off)
        .post("/links/confirm", "native.confirm", links::confirm)
        .post("/links/reset", "native.reset", links::reset)
        .post("/links/magic", "native.magic", links::magic)
        .get("/projects", "native.projects", projects::list)
        .post("/projects", "native.make-project", projects::create)
        .patch("/admin/users/{id}/billing", "native.admin-billing", billing::change)
        .post("/admin/users/{id}/sign-out", "native.admin-sign-out", admin::sign_out_user)
        .post("/admin/sign-out-everyone", "native.admin-sign-out-everyone", admin::sign_out_everyone);
    pages::routes(routes.group(&settings.prefix, |_, rejection: Rejection| Problem::from(rejection).into_response()));
    routes
        .group(&format!("{}/oauth", settings.prefix), |_, rejection: Rejection| {
            OauthError::from(rejection).into_response()
        })
        .post("/token", "native.token", oauth::token)
        .post("/introspect", "native.introspect", oauth::introspect)
        .post("/revoke", "native.revoke", oauth::revoke);
}

/// Demands of a name that people can read it, and a store can keep it.
fn named(field: &str, name: &str) -> Result<(), Rejection> {
    let will_do = !name.trim().is_empty() && name.chars().count() <= 100 && !name.contains('\0');
    let trouble = FieldErrorKind::Invalid("must have 1 to 100 characters, none of them NUL".to_owned());
    will_do.then_some(()).ok_or_else(|| Rejection::field(FieldError::new(ParamLocation::Body, field, trouble)))
}

/// What there is to call, for the document.
pub(crate) fn chapter() -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "native", description = "Signet's own: keys, verification, OAuth's token endpoints, sessions.")),
        components(schemas(ProblemDocument<'_>, schemas::Spared, totp::Format)),
        paths(
            published::jwks,
            published::metadata,
            published::openid_configuration,
            published::openapi,
            verify::one,
            verify::for_proxy,
            verify::batch,
            sessions::open,
            sessions::list,
            sessions::end_many,
            sessions::end_one,
            totp::begin,
            totp::picture,
            totp::turn_on,
            totp::turn_off,
            pages::magic,
            pages::reset,
            pages::confirm_address,
            links::confirm,
            links::reset,
            links::magic,
            projects::list,
            projects::create,
            billing::change,
            admin::sign_out_user,
            admin::sign_out_everyone,
        )
    )]
    struct Native;

    #[derive(OpenApi)]
    #[openapi(components(schemas(OauthErrorBody<'_>)), paths(oauth::token, oauth::introspect, oauth::revoke))]
    struct Oauth;

    let too_many = || Error::TooMany { retry_after: Duration::from_secs(30) };
    let native = ApiSpec::new(
        &Native::openapi(),
        ErrorSpec {
            word: &|trouble| Problem::from(trouble).into_response(),
            schema: &|_| "ProblemDocument",
            failures: vec![
                ("native_sign_in", vec![Error::WrongPassword, Error::Disabled, too_many(), Error::Busy]),
                ("native_list_sessions", vec![Error::NotPermitted]),
                ("native_sign_out", vec![Error::NotPermitted, Error::NotFound]),
                ("native_sign_out_all", vec![Error::NotPermitted]),
                ("native_begin_totp", vec![Error::NotPermitted, Error::Disabled]),
                ("native_totp_qr", vec![Error::NotPermitted, Error::Disabled, Error::NotFound]),
                (
                    "native_turn_on_totp",
                    vec![
                        Error::NotPermitted,
                        Error::Disabled,
                        Error::SecondFactorNotOn,
                        Error::SecondFactorAlreadyOn,
                        too_many(),
                        Error::Busy,
                    ],
                ),
                (
                    "native_turn_off_totp",
                    vec![
                        Error::NotPermitted,
                        Error::Disabled,
                        Error::SecondFactorNotOff,
                        Error::SecondFactorAlreadyOff,
                        too_many(),
                        Error::Busy,
                    ],
                ),
                ("native_confirm", vec![Error::ConfirmationNotInForce, Error::NotFound]),
                (
                    "native_reset_password",
                    vec![Error::WeakPassword(Weak::Common), Error::ResetNotInForce, too_many(), Error::Busy],
                ),
                (
                    "native_magic",
                    vec![
                        Error::MagicNotInForce,
                        Error::RegistrationClosed,
                        Error::SecondFactorDue,
                        Error::WrongSecondFactor,
                        Error::Unverified,
                        too_many(),
                    ],
                ),
                ("native_list_projects", vec![Error::NotPermitted]),
                ("native_make_project", vec![Error::NotPermitted]),
                ("native_admin_billing", vec![Error::NotPermitted, Error::NotFound, Error::BalanceOutOfRange]),
                ("native_admin_sign_out", vec![Error::NotPermitted, Error::NotFound]),
                ("native_admin_sign_out_everyone", vec![Error::NotPermitted]),
            ],
        },
    );
    native.and(ApiSpec::new(
        &Oauth::openapi(),
        ErrorSpec {
            word: &|trouble| OauthError::from(trouble).into_response(),
            schema: &|_| "OauthErrorBody",
            failures: vec![
                ("native_token", vec![Error::RefreshNotInForce, Error::NoCredentials]),
                ("native_introspect", vec![Error::NotPermitted]),
                ("native_revoke", vec![Error::NotPermitted, too_many()]),
            ],
        },
    ))
}
