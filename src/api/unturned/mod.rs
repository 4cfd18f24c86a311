//! The dialect of Unturned.AI: mailed codes in place of passwords, projects and their API keys. Every response is in an
//! envelope, except that invalid fields are FastAPI's 422.

mod api_keys;
mod envelope;
mod error;
mod verification;

use utoipa::OpenApi;

use super::endpoint::{Endpoint, EndpointGroup, endpoint};
use super::fastapi::HttpValidationError;
use super::openapi::ApiSpec;
use super::{RATE_LIMITED, users_me};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::config::Config;
use crate::http::{IntoResponse, Request, Response, Routes};

use envelope::ErrorEnvelope;
use error::UnturnedError;

/// Name of the dialect in sessions and in logs.
pub const NAME: &str = "unturned";

const GROUPS: [EndpointGroup; 3] = [
    group(
        "/verification",
        &[verification::SEND_CODE, verification::VERIFY_CODE, verification::REFRESH_TOKEN, verification::REVOKE_TOKEN],
    ),
    group("/users", &[ME]),
    group("/api-keys", &[api_keys::LIST, api_keys::CREATE, api_keys::DEACTIVATE]),
];

const fn group(scope: &'static str, endpoints: &'static [Endpoint]) -> EndpointGroup {
    EndpointGroup {
        scope,
        renderer: |error, _| UnturnedError::from(error).into_response(),
        error_schema: |status| if status == 422 { "HTTPValidationError" } else { "ErrorEnvelope" },
        endpoints,
    }
}

/// Adds the routes; `GET /users/me` only if `myauth` does not serve it at the same prefix.
pub(super) fn add_routes(routes: &mut Routes<Context>, config: &Config) {
    let (settings, myauth) = (&config.api.unturned, &config.api.myauth);
    let myauth_has_users = myauth.enabled && myauth.prefix == settings.prefix;
    for group in GROUPS.iter().filter(|group| group.scope != "/users" || !myauth_has_users) {
        group.add_routes(routes, &settings.prefix, config);
    }
}

/// The description for the OpenAPI document.
pub(super) fn spec(config: &Config) -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "unturned", description = "Mailed codes in place of passwords; projects and their API keys.")),
        components(schemas(ErrorEnvelope, HttpValidationError)),
    )]
    struct Base;

    ApiSpec::new(&Base::openapi(), &GROUPS, config)
}

async fn me(ctx: Context, request: Request) -> Result<Response, UnturnedError> {
    Ok(users_me::me(&ctx, &request, request_context(&ctx, &request)).await?)
}

const ME: Endpoint = endpoint! {
    handler: me,
    docs: users_me::me,
    metric_label: "unturned.me",
    errors: [Error::AccountDisabled, RATE_LIMITED],
};

fn request_context<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    super::request_context(NAME, &ctx.node.config.api.unturned, request)
}
