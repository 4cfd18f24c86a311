//! The dialect of FastAPI MyAuth: passwords, magic links, password reset, TOTP and user management. Bodies are bare
//! models, `{"msg": …}` where there is no data, and `{"detail": …}` for errors.

mod error;
mod links;
mod login;
mod me;
mod totp;
mod users;
mod wire;

use std::time::Duration;

use utoipa::OpenApi;

use super::fastapi::HttpValidationError;
use super::openapi::{ApiSpec, ErrorSpec};
use super::users_me;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::{Denial, InputError, LinkKind, MfaError};
use crate::auth::passwords::PolicyViolation;
use crate::auth::request_context::RequestContext;
use crate::config::Dialect;
use crate::http::{IntoResponse, Rejection, Request, Routes};

use error::{Call, MyauthError};
use wire::Detail;

/// Name of the dialect in sessions and in logs.
pub const NAME: &str = "myauth";

fn request_context<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    super::request_context(NAME, &ctx.node.config.api.myauth, request)
}

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Dialect) {
    let word = |_: &Context, rejection: Rejection| MyauthError::from(rejection).into_response();
    routes
        .group(&format!("{}/login", settings.prefix), word)
        .post("/signup", "myauth.sign-up", login::sign_up)
        .post("/oauth", "myauth.sign-in", login::sign_in)
        .post("/refresh", "myauth.refresh", login::refresh_tokens)
        .post("/revoke", "myauth.revoke", login::revoke)
        .post("/magic/{email}", "myauth.magic", links::request_magic_link)
        .post("/claim", "myauth.claim", links::redeem_magic_link)
        .post("/recover/{email}", "myauth.recover", links::request_password_reset)
        .post("/reset", "myauth.reset", links::reset)
        .post("/new-totp", "myauth.new-totp", totp::enroll)
        .put("/totp", "myauth.totp-on", totp::enable)
        .post("/totp", "myauth.totp", totp::sign_in)
        .delete("/totp", "myauth.totp-off", totp::disable);
    routes
        .group(&format!("{}/users", settings.prefix), word)
        .get("/me", "myauth.me", me::read)
        .put("/me", "myauth.update-me", me::update)
        .delete("/me", "myauth.delete-me", me::delete)
        .get("/", "myauth.users", users::list)
        .post("/toggle-state", "myauth.toggle-state", users::toggle_state)
        .post("/create", "myauth.create-user", users::create)
        .get("/{user_id}", "myauth.user", users::read)
        .post("/{user_id}", "myauth.update-user", users::update)
        .delete("/{user_id}", "myauth.delete-user", users::delete);
}

/// The OpenAPI part of this dialect. Calls whose errors have texts of their own are documented separately.
pub(crate) fn chapter() -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "myauth", description = "FastAPI MyAuth: passwords, magic links, password reset, TOTP, users.")),
        components(schemas(Detail<'_>, HttpValidationError)),
        paths(
            login::refresh_tokens, login::revoke,
            links::request_magic_link, links::redeem_magic_link, links::request_password_reset,
            totp::enroll, totp::enable, totp::sign_in, totp::disable,
            users_me::me, me::update, me::delete,
            users::list, users::read, users::update, users::delete,
        )
    )]
    struct Any;

    #[derive(OpenApi)]
    #[openapi(paths(login::sign_up))]
    struct SignUp;

    #[derive(OpenApi)]
    #[openapi(paths(login::sign_in))]
    struct SignIn;

    #[derive(OpenApi)]
    #[openapi(paths(links::reset))]
    struct Reset;

    #[derive(OpenApi)]
    #[openapi(paths(users::toggle_state))]
    struct Toggle;

    #[derive(OpenApi)]
    #[openapi(paths(users::create))]
    struct Create;

    let too_many = || Error::RateLimited { retry_after: Duration::from_secs(30) };
    let weak = || Error::InvalidInput(InputError::Password(PolicyViolation::Common));
    let part = |gathered: &utoipa::openapi::OpenApi, call: Call, failures: Vec<(&'static str, Vec<Error>)>| {
        let word = move |error| MyauthError::in_call(call)(error).into_response();
        let schema = |status: u16| if status == 422 { "HTTPValidationError" } else { "Detail" };
        ApiSpec::legacy(gathered, ErrorSpec { word: &word, schema: &schema, failures })
    };
    let any = vec![
        ("myauth_refresh", vec![Error::AccountDisabled]),
        ("myauth_revoke", vec![Error::AccountDisabled]),
        ("myauth_magic", vec![too_many()]),
        ("myauth_claim", vec![Error::InvalidLink(LinkKind::MagicLink), Error::RegistrationClosed, too_many()]),
        ("myauth_recover", vec![too_many()]),
        ("myauth_new_totp", vec![Error::AccountDisabled, Error::Forbidden(Denial::MissingPermission), Error::NotFound]),
        (
            "myauth_totp_on",
            vec![
                Error::Mfa(MfaError::EnableFailed),
                Error::AccountDisabled,
                Error::Forbidden(Denial::MissingPermission),
                too_many(),
            ],
        ),
        ("myauth_totp", vec![Error::InvalidMfaCode, too_many()]),
        (
            "myauth_totp_off",
            vec![
                Error::Mfa(MfaError::DisableFailed),
                Error::AccountDisabled,
                Error::Forbidden(Denial::MissingPermission),
                too_many(),
            ],
        ),
        ("get_me_auth_users_me_get", vec![Error::AccountDisabled, Error::NotFound]),
        (
            "myauth_update_me",
            vec![
                Error::WrongCurrentPassword,
                Error::AccountDisabled,
                Error::Forbidden(Denial::MissingPermission),
                Error::EmailTaken,
                weak(),
                too_many(),
                Error::Overloaded,
            ],
        ),
        (
            "myauth_delete_me",
            vec![
                Error::AccountDisabled,
                Error::Forbidden(Denial::CannotDeleteSelf),
                Error::Forbidden(Denial::MissingPermission),
            ],
        ),
        ("myauth_users", vec![Error::AccountDisabled, Error::Forbidden(Denial::MissingPermission)]),
        ("myauth_user", vec![Error::AccountDisabled, Error::Forbidden(Denial::MissingPermission), Error::NotFound]),
        (
            "myauth_update_user",
            vec![
                Error::AccountDisabled,
                Error::Forbidden(Denial::MissingPermission),
                Error::NotFound,
                Error::EmailTaken,
                weak(),
                too_many(),
                Error::Overloaded,
            ],
        ),
        (
            "myauth_delete_user",
            vec![
                Error::AccountDisabled,
                Error::Forbidden(Denial::MissingPermission),
                Error::Forbidden(Denial::CannotDeleteSelf),
                Error::NotFound,
            ],
        ),
    ];
    let sign_up = vec![Error::EmailTaken, Error::RegistrationClosed, weak(), too_many(), Error::Overloaded];
    let sign_in = vec![Error::InvalidCredentials, too_many(), Error::Overloaded];
    let reset = vec![Error::InvalidLink(LinkKind::PasswordReset), weak(), too_many(), Error::Overloaded];
    let toggle = vec![Error::AccountDisabled, Error::Forbidden(Denial::MissingPermission), Error::NotFound];
    let create = vec![
        Error::AccountDisabled,
        Error::EmailTaken,
        Error::Forbidden(Denial::MissingPermission),
        weak(),
        Error::Overloaded,
    ];
    part(&Any::openapi(), Call::Any, any)
        .and(part(&SignUp::openapi(), Call::SignUp, vec![("myauth_sign_up", sign_up)]))
        .and(part(&SignIn::openapi(), Call::SignIn, vec![("myauth_sign_in", sign_in)]))
        .and(part(&Reset::openapi(), Call::Reset, vec![("myauth_reset", reset)]))
        .and(part(&Toggle::openapi(), Call::Toggle, vec![("myauth_toggle_state", toggle)]))
        .and(part(&Create::openapi(), Call::Create, vec![("myauth_create_user", create)]))
}
