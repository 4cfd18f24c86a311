//! The caller's second factor: begun, shown as a picture, turned on, turned off.

use http::header::{ACCEPT, VARY};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NAME, Problem, qr};
use crate::api::request_context;
use crate::auth::Error;
use crate::auth::accounts::permissions::require_user;
use crate::auth::context::Context;
use crate::auth::mfa;
use crate::auth::passwords::Password;
use crate::http::{FieldError, FieldErrorKind, ParamLocation, Rejection, Request, Response, json};

/// A second factor that is about to be turned on.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "key": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "uri": "otpauth://totp/Signet:zoe%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Signet",
})))]
pub(super) struct Pending {
    /// The secret in the letters that are typed into an app.
    key: String,
    /// What an app reads from a QR code.
    uri: String,
}

/// What turns it on.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"code": "287082", "password": "a quiet harbour at dusk"})))]
pub(super) struct TurnOn {
    /// A code of the second factor that is pending.
    #[schema(value_type = String)]
    code: String,
    /// The password, of who has one.
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
}

/// What is there for who loses the app.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"recovery_codes": ["7k2m-0x9q-4tzn-c3vb-8hwd-e5rj", "m1pa-6ygf-2s8x-qk4t-90vz-bn7c"]})))]
pub(super) struct TurnedOn {
    /// Each is good once. They are shown this once.
    recovery_codes: Vec<String>,
}

/// What turns it off.
#[derive(Default, Deserialize, ToSchema)]
#[schema(examples(json!({"password": "a quiet harbour at dusk"})))]
pub(super) struct TurnOff {
    /// The password, of who has one.
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
}

/// How the picture is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum Format {
    /// For who shows it without more ado.
    Png,
    /// Sharp at any size.
    Svg,
}

/// Begins to turn a second factor on.
///
/// Nothing is turned on yet. The secret waits for ten minutes for a code of it, in place of one that waited before.
#[utoipa::path(
    post,
    path = "/totp",
    operation_id = "native_begin_totp",
    security(("access_token" = [])),
    responses((status = 201, description = "What goes into an app.", body = Pending)),
)]
pub(super) async fn begin(ctx: Context, request: Request) -> Result<Response, Problem> {
    let (_, user) = require_user(&ctx, request.bearer()).await?;
    let mfa::TotpEnrollment { key, uri } = mfa::start_enrollment(&ctx, &user).await?;
    Ok(Response::json(StatusCode::CREATED, &Pending { key, uri }).no_store())
}

/// The second factor that is about to be turned on, as a QR code.
///
/// `format` goes before `Accept`; without either it is a PNG.
#[utoipa::path(
    get,
    path = "/totp/qr",
    operation_id = "native_totp_qr",
    params(("format" = Option<Format>, Query, description = "How it is drawn.")),
    security(("access_token" = [])),
    responses((status = 200, description = "The picture.", content(
        (String = "image/png"),
        (String = "image/svg+xml"),
    ))),
)]
pub(super) async fn picture(ctx: Context, request: Request) -> Result<Response, Problem> {
    let format = match request.query()?.get("format") {
        None => preferred(request.header(ACCEPT).unwrap_or_default()),
        Some("png") => Format::Png,
        Some("svg") => Format::Svg,
        Some(_) => {
            let trouble = FieldErrorKind::Invalid("must be png or svg".to_owned());
            return Err(Rejection::field(FieldError::new(ParamLocation::Query, "format", trouble)).into());
        }
    };
    let (_, user) = require_user(&ctx, request.bearer()).await?;
    let uri = mfa::enrollment_uri(&ctx, &user).await?;
    let picture = qr::Picture::of(&uri).ok_or(Error::Internal("an address too long for a QR code"))?;
    let response = match format {
        Format::Png => Response::bytes(StatusCode::OK, HeaderValue::from_static("image/png"), picture.png()),
        Format::Svg => Response::bytes(StatusCode::OK, HeaderValue::from_static("image/svg+xml"), picture.svg()),
    };
    Ok(response.header(VARY, HeaderValue::from_static("accept")).no_store())
}

/// What `Accept` likes better (RFC 9110, 12.5.1); a PNG if it does not care.
fn preferred(accept: &str) -> Format {
    let (mut best, mut most) = (Format::Png, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let format = match parts.next().unwrap_or_default() {
            media if media.eq_ignore_ascii_case("image/svg+xml") => Format::Svg,
            media if media.eq_ignore_ascii_case("image/png") => Format::Png,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
        if weight > most {
            (best, most) = (format, weight);
        }
    }
    best
}

/// Turns on the second factor that was begun.
///
/// From then on every way in asks for it, in every dialect.
#[utoipa::path(
    put,
    path = "/totp",
    operation_id = "native_turn_on_totp",
    request_body = TurnOn,
    security(("access_token" = [])),
    responses((status = 200, description = "It is on.", body = TurnedOn)),
)]
pub(super) async fn turn_on(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let asked: TurnOn = request.json().await?;
    let (_, user) = require_user(&ctx, request.bearer()).await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.native, &request);
    let recovery_codes = mfa::enable(&ctx, &user, asked.password.as_ref(), &asked.code, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &TurnedOn { recovery_codes }).no_store())
}

/// Turns the second factor off.
///
/// Its recovery codes are of no use any more. Without a password no body is needed.
#[utoipa::path(
    delete,
    path = "/totp",
    operation_id = "native_turn_off_totp",
    request_body(content = Option<TurnOff>),
    security(("access_token" = [])),
    responses((status = 204, description = "It is off.")),
)]
pub(super) async fn turn_off(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let bytes = request.json_bytes().await?;
    let asked = if bytes.is_empty() { TurnOff::default() } else { json::read(&bytes)? };
    let (_, user) = require_user(&ctx, request.bearer()).await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.native, &request);
    mfa::disable(&ctx, &user, Some(asked.password.as_ref()), request_ctx).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_drawn_as_its_reader_likes_it_best() {
        for (accept, format) in [
            ("", Format::Png),
            ("*/*", Format::Png),
            ("image/svg+xml", Format::Svg),
            ("text/html, image/svg+xml;q=0.9, image/png;q=0.8", Format::Svg),
            ("image/svg+xml;q=0.1, IMAGE/PNG", Format::Png),
            ("image/svg+xml;q=0", Format::Png),
            ("image/avif,image/*;q=0.5", Format::Png),
        ] {
            assert_eq!(preferred(accept), format, "{accept}");
        }
    }
}
