//! The `codes` dialect: accounts, sign-in, TOTP and confirmed addresses, its failures told by a code in the body:
//! `{"error_code": "124"}`. Knows nothing of what the codes stand for beyond their wording.
//!
//! Beside the document's numbers there are codes of our own, for what its service never told. They are words:
//! | code | status | of what |
//! |---|---|---|
//! | `PASSWORD_TOO_WEAK` | 400 | a new password that is too short, too long or too common |
//! | `USER_NAME_INVALID` | 400 | a name with a control character |
//! | `REGISTRATION_CLOSED` | 403 | only operators make accounts |
//! | `USER_DISABLED` | 403 | with the right password or a token: the user may not sign in |
//! | `EMAIL_NOT_VERIFIED` | 403 | with the right password: the address must be confirmed first (`verified_only`) |
//! | `REQUEST_REFUSED` | 400 | what no call here ends with |
//! | `BODY_UNREADABLE` | 400 | no JSON object, or a field of another type |
//! | `NOT_FOUND`, `METHOD_NOT_ALLOWED` | 404, 405 | |
//! | `BODY_TOO_SLOW`, `BODY_TOO_LARGE`, `MEDIA_TYPE_NOT_SUPPORTED` | 408, 413, 415 | |
//! | `TOO_MANY_REQUESTS`, `INTERNAL_ERROR`, `SERVICE_UNAVAILABLE` | 429, 500, 503 | |
//!
//! With `status = "in-band"` the numbers and the first six of these come with 200, the others keep their status: what no handler
//! has looked at is told in the way that proxies understand.

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
use crate::auth::accounts::identity::{BadEmail, BadUsername};
use crate::auth::context::Context;
use crate::auth::passwords::Weak;
use crate::config::Codes;
use crate::http::{FieldError, ParamLocation, Rejection, Request, Response, RouteGroup, Routes};

use error::{ErrorCode, Refusal, word};

/// Its name, in sessions and in the log.
pub const NAME: &str = "codes";

/// Adds its routes.
pub(super) fn routes(routes: &mut Routes<Context>, settings: &Codes) {
    let in_band = settings.in_band;
    let under = routes.group(&settings.dialect.prefix, move |_, rejection: Rejection| word(rejection, in_band));
    Calls { under, in_band }
        .post("/signup", "codes.sign-up", accounts::sign_up)
        .post("/signin", "codes.sign-in", sign_in::sign_in)
        .post("/signin/otp", "codes.sign-in-otp", sign_in::sign_in_with_otp)
        .post("/refresh", "codes.refresh", sign_in::refreshed)
        .post("/create/otp", "codes.create-otp", otp::create)
        .post("/delete/otp", "codes.delete-otp", otp::delete)
        .post("/mail/verify/send", "codes.send-code", mail::send)
        .post("/mail/verify", "codes.verify-mail", mail::verify);
}

/// The calls while they are listed: each words its failures as the settings have it.
struct Calls<'r> {
    under: RouteGroup<'r, Context>,
    in_band: bool,
}

impl Calls<'_> {
    fn post<H, F>(self, path: &str, name: &'static str, handler: H) -> Self
    where
        H: Fn(Context, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response, Refusal>> + 'static,
    {
        let in_band = self.in_band;
        let under = self.under.post(path, name, move |ctx, request| {
            let answering = handler(ctx, request);
            async move { answering.await.unwrap_or_else(|refusal| word(refusal, in_band)) }
        });
        Self { under, in_band }
    }
}

/// A text field: one that is missing is as good as an empty one.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Demands that a field is not empty.
fn filled(name: &'static str, value: &str) -> Result<(), Rejection> {
    if value.trim().is_empty() { Err(empty(name)) } else { Ok(()) }
}

fn empty(name: &'static str) -> Rejection {
    Rejection::field(FieldError::missing(ParamLocation::Body, name))
}

/// What there is to call, for the document.
pub(super) fn chapter(settings: &Codes) -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "codes", description = "Accounts, sign-in, TOTP and confirmed addresses; failures told by a code in \
            the body. `0` is none.")),
        components(schemas(ErrorCode<'_>)),
        paths(
            accounts::sign_up,
            sign_in::sign_in,
            sign_in::sign_in_with_otp,
            sign_in::refreshed,
            otp::create,
            otp::delete,
            mail::send,
            mail::verify,
        )
    )]
    struct Calls;

    let in_band = settings.in_band;
    let too_many = || Error::TooMany { retry_after: Duration::from_secs(30) };
    let mut gathered = Calls::openapi();
    if in_band {
        told_in_the_body(&mut gathered);
    }
    ApiSpec::with_rejections(
        &gathered,
        ErrorSpec {
            word: &|trouble| word(trouble, in_band),
            schema: &|_| "ErrorCode",
            failures: vec![
                (
                    "codes_sign_up",
                    vec![
                        Error::BadEmail(BadEmail::Domain),
                        Error::BadUsername(BadUsername::TooLong),
                        Error::BadUsername(BadUsername::Character),
                        Error::WeakPassword(Weak::Common),
                        Error::EmailTaken,
                        Error::RegistrationClosed,
                        too_many(),
                        Error::Busy,
                    ],
                ),
                (
                    "codes_sign_in",
                    vec![
                        Error::BadEmail(BadEmail::Domain),
                        Error::WrongPassword,
                        Error::Disabled,
                        Error::Unverified,
                        too_many(),
                        Error::Busy,
                    ],
                ),
                (
                    "codes_sign_in_otp",
                    vec![
                        Error::BadEmail(BadEmail::Domain),
                        Error::WrongPassword,
                        Error::NoSecondFactor,
                        Error::WrongSecondFactor,
                        Error::Disabled,
                        Error::Unverified,
                        too_many(),
                        Error::Busy,
                    ],
                ),
                ("codes_refresh", vec![Error::RefreshNotInForce]),
                (
                    "codes_create_otp",
                    vec![Error::NotFound, Error::SecondFactorAlreadyOn, Error::Disabled, too_many(), Error::Busy],
                ),
                ("codes_delete_otp", vec![Error::NotFound, Error::SecondFactorAlreadyOff, Error::Disabled, too_many()]),
                ("codes_send_code", vec![Error::NotFound, Error::MailNotHandedOver, too_many()]),
                ("codes_verify_mail", vec![Error::NotFound, Error::CodeNotInForce, too_many()]),
            ],
        },
        vec![
            ("codes_sign_up", vec![empty("password"), empty("user_name")]),
            ("codes_refresh", vec![empty("refresh_token")]),
            ("codes_send_code", vec![empty("user_id")]),
            ("codes_verify_mail", vec![empty("user_id")]),
        ],
    )
}

/// Where failures are told with 200, an answer of 200 may be one.
fn told_in_the_body(document: &mut utoipa::openapi::OpenApi) {
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
