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

use utoipa::OpenApi;

use super::endpoint::EndpointGroup;
use super::openapi::ApiSpec;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::InputError;
use crate::auth::passwords::PolicyViolation;
use crate::auth::request_context::{ExtraClaims, RequestContext};
use crate::auth::tokens::verify::{TokenError, VerifyError};
use crate::config::Config;
use crate::http::{IntoResponse, Request, Routes};

use error::{ErrorBody, V1Error};

/// Name of the dialect in sessions and in logs.
pub const NAME: &str = "v1";

/// Errors of several endpoints.
const EXPIRED: Error = Error::InvalidToken(VerifyError::Token(TokenError::Expired));
const TOO_SHORT: Error = Error::InvalidInput(InputError::Password(PolicyViolation::TooShort { min: 6 }));

const GROUPS: [EndpointGroup; 1] = [EndpointGroup {
    scope: "",
    renderer: |error, _| V1Error::from(error).into_response(),
    error_schema: |_| "Error",
    endpoints: &[
        sign_up::REGISTER,
        sign_up::CONFIRM_EMAIL,
        sessions::LOGIN,
        sessions::REFRESH,
        sessions::LOGOUT,
        sessions::AUTHORIZED_LOGOUT,
        tokens::VERIFY,
        tokens::VERIFY_TOKEN,
        tokens::ME,
        passwords::REQUEST_RESET,
        passwords::RESET,
    ],
}];

pub(super) fn add_routes(routes: &mut Routes<Context>, config: &Config) {
    GROUPS.iter().for_each(|group| group.add_routes(routes, &config.api.v1.prefix, config));
}

/// The description for the OpenAPI document.
pub(super) fn spec(config: &Config) -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "v1", description = "`/api/v1`: sign-up, sign-in, token verification and password reset. \
            Refresh tokens are not rotated.")),
        components(schemas(ErrorBody<'_>)),
    )]
    struct Base;

    ApiSpec::new(&Base::openapi(), &GROUPS, config)
}

/// Adds the claims `uid` and `token_type` to the access tokens that the request obtains.
fn request_context<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    RequestContext {
        extra_claims: ExtraClaims::UidAndType,
        ..super::request_context(NAME, &ctx.node.config.api.v1, request)
    }
}
