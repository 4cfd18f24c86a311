//! The dialect of FastAPI MyAuth: passwords, magic links, password reset, TOTP and user management. Bodies are bare
//! models, `{"msg": …}` where there is no data, and `{"detail": …}` for errors.

mod error;
mod links;
mod login;
mod me;
mod totp;
mod users;
mod wire;

use utoipa::OpenApi;

use super::ApiError;
use super::endpoint::{Endpoint, EndpointGroup};
use super::fastapi::{Detail, HttpValidationError};
use super::openapi::ApiSpec;
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::config::Config;
use crate::http::{IntoResponse, Request, Response, Routes};

use error::{Call, MyauthError};

/// Name of the dialect in sessions and in logs.
pub const NAME: &str = "myauth";

fn request_context<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    super::request_context(NAME, &ctx.node.config.api.myauth, request)
}

const GROUPS: [EndpointGroup; 7] = [
    group(
        "/login",
        |error, _| MyauthError::from(error).into_response(),
        &[
            login::REFRESH,
            login::REVOKE,
            links::REQUEST_MAGIC_LINK,
            links::REDEEM_MAGIC_LINK,
            links::REQUEST_PASSWORD_RESET,
            totp::ENROLL,
            totp::ENABLE,
            totp::SIGN_IN,
            totp::DISABLE,
        ],
    ),
    group(
        "/users",
        |error, _| MyauthError::from(error).into_response(),
        &[me::READ, me::UPDATE, me::DELETE, users::LIST, users::READ, users::UPDATE, users::DELETE],
    ),
    // Calls in which some errors have a text of their own.
    group("/login", |error, _| MyauthError::in_call(Call::SignUp)(error).into_response(), &[login::SIGN_UP]),
    group("/login", |error, _| MyauthError::in_call(Call::SignIn)(error).into_response(), &[login::SIGN_IN]),
    group("/login", |error, _| MyauthError::in_call(Call::Reset)(error).into_response(), &[links::RESET]),
    group("/users", |error, _| MyauthError::in_call(Call::Toggle)(error).into_response(), &[users::TOGGLE_STATE]),
    group("/users", |error, _| MyauthError::in_call(Call::Create)(error).into_response(), &[users::CREATE]),
];

const fn group(
    scope: &'static str,
    renderer: fn(ApiError, &Config) -> Response,
    endpoints: &'static [Endpoint],
) -> EndpointGroup {
    let error_schema = |status| if status == 422 { "HTTPValidationError" } else { "Detail" };
    EndpointGroup { scope, renderer, error_schema, endpoints }
}

pub(super) fn add_routes(routes: &mut Routes<Context>, config: &Config) {
    GROUPS.iter().for_each(|group| group.add_routes(routes, &config.api.myauth.prefix, config));
}

/// The description for the OpenAPI document.
pub(super) fn spec(config: &Config) -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "myauth", description = "FastAPI MyAuth: passwords, magic links, password reset, TOTP, users.")),
        components(schemas(Detail<'_>, HttpValidationError)),
    )]
    struct Base;

    ApiSpec::new(&Base::openapi(), &GROUPS, config)
}
