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

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use utoipa::OpenApi;
use utoipa::openapi::{OneOfBuilder, Ref, RefOr};

use super::openapi::{ApiSpec, ErrorSpec};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::{InputError, MfaError};
use crate::auth::identity::{EmailError, UsernameError};
use crate::auth::passwords::PolicyViolation;
use crate::auth::request_context::RequestContext;
use crate::config::Codes;
use crate::http::{FieldError, ParamLocation, Rejection, Request, Response, RouteGroup, Routes};

use error::{CodesError, ErrorCode, render};

/// Name of the dialect in sessions and in logs.
pub const NAME: &str = "codes";

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Codes) {
    let in_band = settings.in_band;
    let under = routes.group(&settings.dialect.prefix, move |_, rejection: Rejection| render(rejection, in_band));
    Calls { under, in_band }
        .post("/signup", "codes.sign-up", accounts::sign_up)
        .post("/signin", "codes.sign-in", sign_in::sign_in)
        .post("/signin/otp", "codes.sign-in-otp", sign_in::sign_in_with_otp)
        .post("/refresh", "codes.refresh", sign_in::refresh_access_token)
        .post("/create/otp", "codes.create-otp", otp::create)
        .post("/delete/otp", "codes.delete-otp", otp::delete)
        .post("/mail/verify/send", "codes.send-code", mail::send_code)
        .post("/mail/verify", "codes.verify-mail", mail::verify_email);
}

/// Adds routes whose errors are rendered according to `in_band`.
struct Calls<'r> {
    under: RouteGroup<'r, Context>,
    in_band: bool,
}

impl Calls<'_> {
    fn post<H, F>(self, path: &str, name: &'static str, handler: H) -> Self
    where
        H: Fn(Context, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response, CodesError>> + 'static,
    {
        let in_band = self.in_band;
        let under = self.under.post(path, name, move |ctx, request| {
            let answering = handler(ctx, request);
            async move { answering.await.unwrap_or_else(|error| render(error, in_band)) }
        });
        Self { under, in_band }
    }
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

/// The OpenAPI part of this dialect.
pub(super) fn chapter(settings: &Codes) -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "codes", description = "Accounts, sign-in, TOTP and e-mail verification. Errors are a code in \
            the body; `0` is success.")),
        components(schemas(ErrorCode<'_>)),
        paths(
            accounts::sign_up,
            sign_in::sign_in,
            sign_in::sign_in_with_otp,
            sign_in::refresh_access_token,
            otp::create,
            otp::delete,
            mail::send_code,
            mail::verify_email,
        )
    )]
    struct Calls;

    let in_band = settings.in_band;
    let too_many = || Error::RateLimited { retry_after: Duration::from_secs(30) };
    let mut gathered = Calls::openapi();
    if in_band {
        allow_error_with_200(&mut gathered);
    }
    ApiSpec::with_rejections(
        &gathered,
        ErrorSpec {
            word: &|error| render(error, in_band),
            schema: &|_| "ErrorCode",
            failures: vec![
                (
                    "codes_sign_up",
                    vec![
                        Error::InvalidInput(InputError::Email(EmailError::Domain)),
                        Error::InvalidInput(InputError::Username(UsernameError::TooLong)),
                        Error::InvalidInput(InputError::Username(UsernameError::Character)),
                        Error::InvalidInput(InputError::Password(PolicyViolation::Common)),
                        Error::EmailTaken,
                        Error::RegistrationClosed,
                        too_many(),
                        Error::Overloaded,
                    ],
                ),
                (
                    "codes_sign_in",
                    vec![
                        Error::InvalidInput(InputError::Email(EmailError::Domain)),
                        Error::InvalidCredentials,
                        Error::AccountDisabled,
                        Error::EmailNotVerified,
                        too_many(),
                        Error::Overloaded,
                    ],
                ),
                (
                    "codes_sign_in_otp",
                    vec![
                        Error::InvalidInput(InputError::Email(EmailError::Domain)),
                        Error::InvalidCredentials,
                        Error::Mfa(MfaError::NotEnabled),
                        Error::InvalidMfaCode,
                        Error::AccountDisabled,
                        Error::EmailNotVerified,
                        too_many(),
                        Error::Overloaded,
                    ],
                ),
                ("codes_refresh", vec![Error::InvalidRefreshToken]),
                (
                    "codes_create_otp",
                    vec![
                        Error::NotFound,
                        Error::Mfa(MfaError::AlreadyEnabled),
                        Error::AccountDisabled,
                        too_many(),
                        Error::Overloaded,
                    ],
                ),
                (
                    "codes_delete_otp",
                    vec![Error::NotFound, Error::Mfa(MfaError::AlreadyDisabled), Error::AccountDisabled, too_many()],
                ),
                ("codes_send_code", vec![Error::NotFound, Error::MailNotSent, too_many()]),
                ("codes_verify_mail", vec![Error::NotFound, Error::InvalidCode, too_many()]),
            ],
        },
        vec![
            ("codes_sign_up", vec![missing_field("password"), missing_field("user_name")]),
            ("codes_refresh", vec![missing_field("refresh_token")]),
            ("codes_send_code", vec![missing_field("user_id")]),
            ("codes_verify_mail", vec![missing_field("user_id")]),
        ],
    )
}

/// Documents that a 200 response may be an error, as with `status = "in-band"`.
fn allow_error_with_200(document: &mut utoipa::openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        let responses = item.post.as_mut().map(|operation| &mut operation.responses.responses);
        let Some(RefOr::T(response)) = responses.and_then(|all| all.get_mut("200")) else { continue };
        for content in response.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            if let Some(schema) = content.schema.take() {
                let either = OneOfBuilder::new().item(schema).item(Ref::from_schema_name("ErrorCode"));
                content.schema = Some(either.into());
            }
        }
    }
}
