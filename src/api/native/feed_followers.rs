//! Reports of the services that follow the revocation feed. `docs/revocation-feed.md` gives their purpose.

use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Problem;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{FORBIDDEN, RATE_LIMITED, credential};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::revocation::followers::{REPORT_SCOPES, Report, report};
use crate::auth::tokens::caller::authenticate;
use crate::clock::Timestamp;
use crate::http::{FieldError, FieldErrorKind, ParamLocation, Rejection, Request, Response};

/// The longest name, as long as the name of a host and a process can be.
const MAX_NAME_LENGTH: usize = 100;

/// The longest epoch, position and JWKS hash that the format of the feed permits.
const MAX_VALUE_LENGTH: usize = 64;

/// The greatest integer that all JSON parsers agree on (RFC 8259, 6).
const MAX_TIME: i64 = (1 << 53) - 1;

/// The position that a follower of the revocation feed has applied.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "name": "reports-7c9f:1",
    "epoch": "019a8b1c",
    "position": "1763130320123-0",
    "time": 1_763_130_321_456_i64,
    "jwks": "n4bQgYhMfWWaL-qg",
})))]
struct FollowerReport {
    /// The follower's name, one for each process: letters, digits and `-_.:/@`. Its last report counts.
    #[schema(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9._:/@-]+$")]
    name: String,
    /// The `epoch` of its position.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    epoch: String,
    /// Its position: `to` of the last frame that it applied without a gap.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    position: String,
    /// The greatest `time` of a frame after which its state was complete.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    time: i64,
    /// The identifier of the JWKS that it has, as in `jwks` of frames.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    jwks: String,
}

/// Report what a follower of the revocation feed has applied
///
/// A follower reports once a minute, and when it has read another JWKS. A report counts for 150 seconds. For API keys
/// of superusers with the scope `feed:report` or `admin`, and for superusers. 429 if 4,096 other followers report.
#[utoipa::path(
    post,
    path = "/.well-known/signet-revocations/followers",
    operation_id = "native_report_follower",
    request_body = FollowerReport,
    security(("api_key" = []), ("access_token" = [])),
    responses((status = 204, description = "The report is kept.")),
)]
async fn report_follower(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    if !ctx.node.publication.is_enabled() {
        return Err(Error::NotFound.into());
    }
    authenticate(&ctx, credential(&request)).await?.require_superuser_with(&ctx, REPORT_SCOPES).await?;
    let FollowerReport { name, epoch, position, time, jwks } = request.json().await?;
    check("name", &name, MAX_NAME_LENGTH, "._:/@-")?;
    for (field, value) in [("epoch", &epoch), ("position", &position), ("jwks", &jwks)] {
        check(field, value, MAX_VALUE_LENGTH, "._-")?;
    }
    if !(0..=MAX_TIME).contains(&time) {
        let rule = format!("must be between 0 and {MAX_TIME}");
        return Err(
            Rejection::field(FieldError::new(ParamLocation::Body, "time", FieldErrorKind::Invalid(rule))).into()
        );
    }
    report(&ctx, Report { name, epoch, position, jwks, complete_at: Timestamp::from_millis(time) }).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

pub(super) const REPORT_FOLLOWER: Endpoint = endpoint! {
    handler: report_follower,
    metric_label: "native.report_follower",
    errors: [FORBIDDEN, Error::NotFound, RATE_LIMITED],
};

/// Checks that a text has only letters, digits and the characters `others`. Stores use further characters as
/// separators, and operators print the text in a terminal.
fn check(field: &str, text: &str, max_length: usize, others: &str) -> Result<(), Rejection> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || others.contains(letter);
    if (1..=max_length).contains(&text.len()) && text.chars().all(is_allowed) {
        return Ok(());
    }
    let rule = format!("must have 1 to {max_length} letters, digits and {others}");
    Err(Rejection::field(FieldError::new(ParamLocation::Body, field, FieldErrorKind::Invalid(rule))))
}
