//! The caller's second factor: enrollment, QR code, enabling and disabling.

use http::header::{ACCEPT, VARY};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Problem, optional_body, qr, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{FORBIDDEN, RATE_LIMITED, session_token, weighted};
use crate::auth::accounts::permissions::require_user;
use crate::auth::context::Context;
use crate::auth::error::MfaError;
use crate::auth::passwords::{IdentityProof, Password};
use crate::auth::{Error, mfa};
use crate::http::{FieldError, FieldErrorKind, ParamLocation, Rejection, Request, Response};

/// A second factor that is not yet enabled.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "key": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "uri": "otpauth://totp/Signet:zoe%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Signet",
})))]
pub(super) struct TotpEnrollment {
    /// The secret in base32, for typing into an authenticator app.
    key: String,
    /// The content of the QR code.
    uri: String,
}

/// A code of the new second factor, and the password.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"code": "287082", "password": "a quiet harbour at dusk"})))]
pub(super) struct EnableTotp {
    /// A code of the second factor that is being enrolled.
    #[schema(value_type = String)]
    code: String,
    /// The password, for users who have one.
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
}

/// Codes that replace the authenticator app if it is lost.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"recovery_codes": ["7k2m-0x9q-4tzn-c3vb-8hwd-e5rj", "m1pa-6ygf-2s8x-qk4t-90vz-bn7c"]})))]
pub(super) struct RecoveryCodes {
    /// Each code works once. They are not shown again.
    recovery_codes: Vec<String>,
}

/// The password, which changing the second factor needs.
#[derive(Default, Deserialize, ToSchema)]
#[schema(examples(json!({"password": "a quiet harbour at dusk"})))]
pub(super) struct DisableTotp {
    /// The password, for users who have one.
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
}

/// The image format of a QR code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum QrFormat {
    /// A bitmap.
    Png,
    /// A vector image.
    Svg,
}

/// Start enrolling a second factor
///
/// Does not enable it yet. The secret waits ten minutes for its first code, and replaces an earlier one. Only the
/// session that began the enrollment can continue it.
#[utoipa::path(
    post,
    path = "/totp",
    operation_id = "native_begin_totp",
    security(("access_token" = [])),
    responses((status = 201, description = "The secret for the authenticator app.", body = TotpEnrollment)),
)]
async fn start_enrollment(ctx: Context, request: Request) -> Result<Response, Problem> {
    let (caller, user) = require_user(&ctx, session_token(&request)?).await?;
    let session = caller.require_session()?;
    let mfa::TotpEnrollment { key, uri } = mfa::start_enrollment(&ctx, &user, session).await?;
    Ok(Response::json(StatusCode::CREATED, &TotpEnrollment { key, uri }).no_store())
}

pub(super) const START_ENROLLMENT: Endpoint = endpoint! {
    handler: start_enrollment,
    metric_label: "native.begin-totp",
    errors: [FORBIDDEN, Error::AccountDisabled, RATE_LIMITED],
};

/// Get the QR code of the second factor being enrolled
///
/// `format` takes precedence over `Accept`; without either the image is a PNG.
#[utoipa::path(
    get,
    path = "/totp/qr",
    operation_id = "native_totp_qr",
    params(("format" = Option<QrFormat>, Query, description = "The image format.")),
    security(("access_token" = [])),
    responses((status = 200, description = "The QR code.", content(
        (String = "image/png"),
        (String = "image/svg+xml"),
    ))),
)]
async fn qr_code(ctx: Context, request: Request) -> Result<Response, Problem> {
    let format = match request.query()?.get("format") {
        None => preferred_format(request.header(ACCEPT).unwrap_or_default()),
        Some("png") => QrFormat::Png,
        Some("svg") => QrFormat::Svg,
        Some(_) => {
            let kind = FieldErrorKind::Invalid("must be png or svg".to_owned());
            return Err(Rejection::field(FieldError::new(ParamLocation::Query, "format", kind)).into());
        }
    };
    let (caller, user) = require_user(&ctx, session_token(&request)?).await?;
    let request_ctx = request_context(&ctx, &request);
    let uri = mfa::enrollment_uri(&ctx, &user, caller.require_session()?, request_ctx).await?;
    let code = qr::QrImage::encode(&uri).ok_or(Error::Internal("the enrollment URI is too long for a QR code"))?;
    let response = match format {
        QrFormat::Png => {
            let png = code.to_png().map_err(|_| Error::Internal("the QR code could not be written as a PNG"))?;
            Response::bytes(StatusCode::OK, HeaderValue::from_static("image/png"), png)
        }
        QrFormat::Svg => Response::bytes(StatusCode::OK, HeaderValue::from_static("image/svg+xml"), code.to_svg()),
    };
    Ok(response.header(VARY, HeaderValue::from_static("accept")).no_store())
}

pub(super) const QR_CODE: Endpoint = endpoint! {
    handler: qr_code,
    metric_label: "native.totp-qr",
    errors: [FORBIDDEN, Error::AccountDisabled, Error::NotFound, RATE_LIMITED],
};

/// The format that `Accept` weighs highest (RFC 9110, 12.5.1); PNG by default.
fn preferred_format(accept: &str) -> QrFormat {
    let (mut best, mut highest) = (QrFormat::Png, 0.0);
    for (media_type, weight) in weighted(accept) {
        let format = match media_type {
            media_type if media_type.eq_ignore_ascii_case("image/svg+xml") => QrFormat::Svg,
            media_type if media_type.eq_ignore_ascii_case("image/png") => QrFormat::Png,
            _ => continue,
        };
        if weight > highest {
            (best, highest) = (format, weight);
        }
    }
    best
}

/// Enable the second factor
///
/// Takes the first code of the enrolled second factor. From then on every sign-in, through any API, requires a code.
/// Users without a password must have signed in recently.
#[utoipa::path(
    put,
    path = "/totp",
    operation_id = "native_turn_on_totp",
    request_body = EnableTotp,
    security(("access_token" = [])),
    responses((status = 200, description = "The second factor is enabled.", body = RecoveryCodes)),
)]
async fn enable(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: EnableTotp = request.json().await?;
    let (caller, user) = require_user(&ctx, session_token(&request)?).await?;
    let request_ctx = request_context(&ctx, &request);
    let proof = IdentityProof { password: body.password.as_ref(), auth_time: caller.auth_time() };
    let session = caller.require_session()?;
    let recovery_codes = mfa::enable(&ctx, &user, session, proof, &body.code, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &RecoveryCodes { recovery_codes }).no_store())
}

pub(super) const ENABLE: Endpoint = endpoint! {
    handler: enable,
    metric_label: "native.turn-on-totp",
    errors: [
        FORBIDDEN,
        Error::AccountDisabled,
        Error::RecentSignInRequired,
        Error::Mfa(MfaError::EnableFailed),
        Error::Mfa(MfaError::AlreadyEnabled),
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// Disable the second factor
///
/// Its recovery codes stop working. Users without a password need not send a body, but must have signed in recently.
#[utoipa::path(
    delete,
    path = "/totp",
    operation_id = "native_turn_off_totp",
    request_body(content = Option<DisableTotp>),
    security(("access_token" = [])),
    responses((status = 204, description = "The second factor is disabled.")),
)]
async fn disable(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: DisableTotp = optional_body(&mut request).await?;
    let (caller, user) = require_user(&ctx, session_token(&request)?).await?;
    let request_ctx = request_context(&ctx, &request);
    let proof = IdentityProof { password: body.password.as_ref(), auth_time: caller.auth_time() };
    mfa::disable(&ctx, &user, Some(proof), request_ctx).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

pub(super) const DISABLE: Endpoint = endpoint! {
    handler: disable,
    metric_label: "native.turn-off-totp",
    errors: [
        FORBIDDEN,
        Error::AccountDisabled,
        Error::RecentSignInRequired,
        Error::Mfa(MfaError::DisableFailed),
        Error::Mfa(MfaError::AlreadyDisabled),
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// Replace the recovery codes
///
/// The earlier codes stop working. Users without a password need not send a body, but must have signed in recently. The
/// owner is told by mail.
#[utoipa::path(
    post,
    path = "/totp/recovery-codes",
    operation_id = "native_replace_recovery_codes",
    request_body(content = Option<DisableTotp>),
    security(("access_token" = [])),
    responses((status = 200, description = "The new recovery codes.", body = RecoveryCodes)),
)]
async fn replace_recovery_codes(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: DisableTotp = optional_body(&mut request).await?;
    let (caller, user) = require_user(&ctx, session_token(&request)?).await?;
    let request_ctx = request_context(&ctx, &request);
    let proof = IdentityProof { password: body.password.as_ref(), auth_time: caller.auth_time() };
    let recovery_codes = mfa::replace_recovery_codes(&ctx, &user, proof, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &RecoveryCodes { recovery_codes }).no_store())
}

pub(super) const REPLACE_RECOVERY_CODES: Endpoint = endpoint! {
    handler: replace_recovery_codes,
    metric_label: "native.replace-recovery-codes",
    errors: [
        FORBIDDEN,
        Error::AccountDisabled,
        Error::WrongCurrentPassword,
        Error::RecentSignInRequired,
        Error::Mfa(MfaError::NotEnabled),
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qr_code_has_the_format_that_accept_prefers() {
        for (accept, format) in [
            ("", QrFormat::Png),
            ("*/*", QrFormat::Png),
            ("image/svg+xml", QrFormat::Svg),
            ("text/html, image/svg+xml;q=0.9, image/png;q=0.8", QrFormat::Svg),
            ("image/svg+xml;q=0.1, IMAGE/PNG", QrFormat::Png),
            ("image/svg+xml;q=0", QrFormat::Png),
            ("image/avif,image/*;q=0.5", QrFormat::Png),
        ] {
            assert_eq!(preferred_format(accept), format, "{accept}");
        }
    }
}
