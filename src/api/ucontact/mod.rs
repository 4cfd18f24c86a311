//! The dialect of UContact: sign-up with a link that verifies the address, sign-in with a form, and rotated refresh
//! tokens. Errors are FastAPI's `{"detail": …}`.

mod accounts;
mod error;
mod sessions;

use utoipa::OpenApi;

use super::endpoint::EndpointGroup;
use super::fastapi::{Detail, HttpValidationError};
use super::openapi::ApiSpec;
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::config::Config;
use crate::http::{IntoResponse, Request, Routes};

use error::UcontactError;

/// Name of the dialect in sessions and in logs.
pub const NAME: &str = "ucontact";

fn request_context<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    super::request_context(NAME, &ctx.node.config.api.ucontact, request)
}

const GROUPS: [EndpointGroup; 1] = [EndpointGroup {
    scope: "",
    renderer: |error, _| UcontactError::from(error).into_response(),
    error_schema: |status| if status == 422 { "HTTPValidationError" } else { "Detail" },
    endpoints: &[accounts::REGISTER, accounts::CONFIRM_EMAIL, sessions::LOGIN, sessions::REFRESH],
}];

pub(super) fn add_routes(routes: &mut Routes<Context>, config: &Config) {
    GROUPS.iter().for_each(|group| group.add_routes(routes, &config.api.ucontact.prefix, config));
}

/// The description for the OpenAPI document.
pub(super) fn spec(config: &Config) -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "ucontact", description = "UContact: sign-up with e-mail verification, sign-in with a form, \
            rotated refresh tokens.")),
        components(schemas(Detail<'_>, HttpValidationError)),
    )]
    struct Base;

    ApiSpec::new(&Base::openapi(), &GROUPS, config)
}
