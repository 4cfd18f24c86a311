//! The `codes` dialect: accounts, sign-in, TOTP and e-mail verification. Errors are a code in the body:
//! `{"error_code": "124"}`. Translates only: the operations are in `auth`.
//!
//! Besides the numbers of the published document there are codes of Signet's own, for errors that the document lacks:
//! | code | status | meaning |
//! |---|---|---|
//! | `PASSWORD_TOO_WEAK` | 400 | the new password is too short, too long or too common |
//! | `USER_NAME_INVALID` | 400 | the name contains a control character |
//! | `REGISTRATION_CLOSED` | 403 | only operators create accounts |
//! | `USER_DISABLED` | 403 | the password or token is right, but the account is disabled |
//! | `EMAIL_NOT_VERIFIED` | 403 | the password is right, but the address must be verified first (`verified_only`) |
//! | `REQUEST_REFUSED` | 400 | any other error; no call returns it |
//! | `BODY_UNREADABLE` | 400 | not a JSON object, or a field of the wrong type |
//! | `NOT_FOUND`, `METHOD_NOT_ALLOWED` | 404, 405 | |
//! | `BODY_TOO_SLOW`, `BODY_TOO_LARGE`, `MEDIA_TYPE_NOT_SUPPORTED` | 408, 413, 415 | |
//! | `TOO_MANY_REQUESTS`, `INTERNAL_ERROR`, `SERVICE_UNAVAILABLE` | 429, 500, 503 | |
//!
//! With `status = "in-band"` the numbers and the first six of these are sent with status 200. The others keep their
//! status, because they concern proxies and generic clients rather than the application.

mod accounts;
mod error;
mod mail;
mod otp;
mod sign_in;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::endpoint::EndpointGroup;
use super::openapi::ApiSpec;
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::config::Config;
use crate::http::{FieldError, ParamLocation, Rejection, Request, Response, Routes};

use error::{CodesError, ErrorCode, render};

/// Name of the dialect in sessions and in logs.
pub const NAME: &str = "codes";

const GROUPS: [EndpointGroup; 1] = [EndpointGroup {
    scope: "",
    renderer: |error, config| render(error, in_band(config)),
    error_schema: |_| "ErrorCode",
    endpoints: &[
        accounts::SIGN_UP,
        sign_in::SIGN_IN,
        sign_in::SIGN_IN_WITH_OTP,
        sign_in::REFRESH,
        otp::CREATE,
        otp::DELETE,
        mail::SEND_CODE,
        mail::VERIFY_EMAIL,
    ],
}];

pub(super) fn add_routes(routes: &mut Routes<Context>, config: &Config) {
    GROUPS.iter().for_each(|group| group.add_routes(routes, &config.api.codes.dialect.prefix, config));
}

/// The description for the OpenAPI document.
pub(super) fn spec(config: &Config) -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "codes", description = "Accounts, sign-in, TOTP and e-mail verification. Errors are a code in \
            the body; `0` is success.")),
        components(schemas(ErrorCode<'_>)),
    )]
    struct Base;

    let mut spec = ApiSpec::new(&Base::openapi(), &GROUPS, config);
    if in_band(config) {
        spec.operations_mut().for_each(allow_error_with_200);
    }
    spec
}

/// Documents that a 200 response may be an error, as with `status = "in-band"`.
fn allow_error_with_200(operation: &mut Value) {
    let content = operation.pointer_mut("/responses/200/content").and_then(Value::as_object_mut);
    for schema in content.into_iter().flat_map(Map::values_mut).filter_map(|media_type| media_type.get_mut("schema")) {
        *schema = json!({"oneOf": [schema.take(), {"$ref": "#/components/schemas/ErrorCode"}]});
    }
}

/// True if application errors have status 200 (`status = "in-band"`).
fn in_band(config: &Config) -> bool {
    config.api.codes.in_band
}

/// Renders the result of a handler.
fn respond(result: Result<Response, CodesError>, in_band: bool) -> Response {
    result.unwrap_or_else(|error| render(error, in_band))
}

/// Deserializes a string field; missing or null is the empty string.
fn string_or_empty<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Rejects a field that is empty or blank as missing.
fn require_non_empty(name: &'static str, value: &str) -> Result<(), Rejection> {
    if value.trim().is_empty() { Err(missing_field(name)) } else { Ok(()) }
}

fn request_context<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    super::request_context(NAME, &ctx.node.config.api.codes.dialect, request)
}

fn missing_field(name: &'static str) -> Rejection {
    Rejection::field(FieldError::missing(ParamLocation::Body, name))
}
