//! FastAPI MyAuth: passwords, magic links, recovery, TOTP, and the users for who sees to them. Bare models; `{"msg": …}` where there
//! is nothing to show, `{"detail": …}` where something went wrong.

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
use crate::auth::passwords::Weak;
use crate::config::Dialect;
use crate::http::{IntoResponse, Rejection, Routes};

use error::{Call, Refusal};
use wire::Detail;

/// Its name, in sessions and in the log.
pub const NAME: &str = "myauth";

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Dialect) {
    let word = |_: &Context, rejection: Rejection| Refusal::from(rejection).into_response();
    routes
        .group(&format!("{}/login", settings.prefix), word)
        .post("/signup", "myauth.sign-up", login::sign_up)
        .post("/oauth", "myauth.sign-in", login::sign_in)
        .post("/refresh", "myauth.refresh", login::refresh_tokens)
        .post("/revoke", "myauth.revoke", login::revoke)
        .post("/magic/{email}", "myauth.magic", links::magic)
        .post("/claim", "myauth.claim", links::claim)
        .post("/recover/{email}", "myauth.recover", links::recover_password)
        .post("/reset", "myauth.reset", links::reset)
        .post("/new-totp", "myauth.new-totp", totp::new)
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

/// What there is to call, for the document: a part for each way in which failures are worded.
pub(crate) fn chapter() -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "myauth", description = "FastAPI MyAuth: passwords, magic links, recovery, TOTP, users.")),
        components(schemas(Detail<'_>, HttpValidationError)),
        paths(
            login::refresh_tokens, login::revoke,
            links::magic, links::claim, links::recover_password,
            totp::new, totp::enable, totp::sign_in, totp::disable,
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

    let too_many = || Error::TooMany { retry_after: Duration::from_secs(30) };
    let weak = || Error::WeakPassword(Weak::Common);
    let part = |gathered: &utoipa::openapi::OpenApi, call: Call, failures: Vec<(&'static str, Vec<Error>)>| {
        let word = move |trouble| Refusal::of(call)(trouble).into_response();
        let schema = |status: u16| if status == 422 { "HTTPValidationError" } else { "Detail" };
        ApiSpec::new(gathered, ErrorSpec { word: &word, schema: &schema, failures })
    };
    let any = vec![
        ("myauth_refresh", vec![Error::Disabled]),
        ("myauth_revoke", vec![Error::Disabled]),
        ("myauth_magic", vec![too_many()]),
        ("myauth_claim", vec![Error::MagicNotInForce, Error::RegistrationClosed, too_many()]),
        ("myauth_recover", vec![too_many()]),
        ("myauth_new_totp", vec![Error::Disabled, Error::NotPermitted, Error::NotFound]),
        ("myauth_totp_on", vec![Error::SecondFactorNotOn, Error::Disabled, Error::NotPermitted, too_many()]),
        ("myauth_totp", vec![Error::WrongSecondFactor, too_many()]),
        ("myauth_totp_off", vec![Error::SecondFactorNotOff, Error::Disabled, Error::NotPermitted, too_many()]),
        ("get_me_auth_users_me_get", vec![Error::Disabled, Error::NotFound]),
        (
            "myauth_update_me",
            vec![
                Error::WrongCurrentPassword,
                Error::Disabled,
                Error::NotPermitted,
                Error::EmailTaken,
                weak(),
                too_many(),
                Error::Busy,
            ],
        ),
        ("myauth_delete_me", vec![Error::Disabled, Error::SuperuserStays, Error::NotPermitted]),
        ("myauth_users", vec![Error::Disabled, Error::NotPermitted]),
        ("myauth_user", vec![Error::Disabled, Error::NotPermitted, Error::NotFound]),
        (
            "myauth_update_user",
            vec![
                Error::Disabled,
                Error::NotPermitted,
                Error::NotFound,
                Error::EmailTaken,
                weak(),
                too_many(),
                Error::Busy,
            ],
        ),
        ("myauth_delete_user", vec![Error::Disabled, Error::NotPermitted, Error::SuperuserStays, Error::NotFound]),
    ];
    let sign_up = vec![Error::EmailTaken, Error::RegistrationClosed, weak(), too_many(), Error::Busy];
    let sign_in = vec![Error::WrongPassword, too_many(), Error::Busy];
    let reset = vec![Error::ResetNotInForce, weak(), too_many(), Error::Busy];
    let toggle = vec![Error::Disabled, Error::NotPermitted, Error::NotFound];
    let create = vec![Error::Disabled, Error::EmailTaken, Error::NotPermitted, weak(), Error::Busy];
    part(&Any::openapi(), Call::Any, any)
        .and(part(&SignUp::openapi(), Call::SignUp, vec![("myauth_sign_up", sign_up)]))
        .and(part(&SignIn::openapi(), Call::SignIn, vec![("myauth_sign_in", sign_in)]))
        .and(part(&Reset::openapi(), Call::Reset, vec![("myauth_reset", reset)]))
        .and(part(&Toggle::openapi(), Call::Toggle, vec![("myauth_toggle_state", toggle)]))
        .and(part(&Create::openapi(), Call::Create, vec![("myauth_create_user", create)]))
}
