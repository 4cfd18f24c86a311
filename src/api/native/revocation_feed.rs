//! The published revocation feed: `docs/revocation-feed.md` is the format. Public, readable from any origin, and cheap:
//! no request reads a store, and a frame is signed once for all followers.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, VARY};
use http::{HeaderValue, StatusCode};

use super::Problem;
use super::problem::{self, ProblemDocument};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::weighted;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::revocation::publication::FeedError;
use crate::auth::revocation::responses;
use crate::http::{IntoResponse, Request, Response};

/// The path of the head, below which the other documents are.
pub(super) const PATH: &str = "/.well-known/signet-revocations";

/// The response of every document. `endpoint!` adds the errors, but 410 is no error of an operation.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "only the OpenAPI document uses it")]
enum Frames {
    /// Frames (compact JWS), each followed by a line feed.
    #[response(status = 200, content_type = "application/jose")]
    Frames(String),
}

/// The responses of documents that begin at a position.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "only the OpenAPI document uses it")]
enum FramesAfterPosition {
    /// Frames (compact JWS), each followed by a line feed.
    #[response(status = 200, content_type = "application/jose")]
    Frames(String),
    /// The position is not kept any more, or too much is asked for at once: read the snapshot.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(ProblemDocument<'static>),
}

/// Get the head of the revocation feed
///
/// A signed frame with the present position and the segments that lead to it. For services that read the feed through a
/// cache.
#[utoipa::path(
    get,
    path = "/.well-known/signet-revocations",
    operation_id = "native_revocation_feed",
    responses(Frames)
)]
fn head(ctx: &Context, _request: &Request) -> Result<Response, FeedProblem> {
    Ok(frames(responses::head(ctx)?, "public, max-age=1"))
}

pub(super) const HEAD: Endpoint = endpoint! {
    sync_handler: head,
    metric_label: "native.revocation_feed",
    errors: [Error::NotFound, Error::Stale],
};

/// Get all revocations in force
///
/// For services that start, or that have fallen too far behind.
#[utoipa::path(
    get,
    path = "/.well-known/signet-revocations/snapshot",
    operation_id = "native_revocation_snapshot",
    responses(Frames)
)]
async fn snapshot(ctx: Context, request: Request) -> Result<Response, FeedProblem> {
    let snapshot = responses::snapshot(&ctx).await?;
    let compressed = accepts_gzip(&request).then(|| snapshot.gzip.clone());
    Ok(compressible(snapshot.body.clone(), compressed, "public, max-age=10"))
}

pub(super) const SNAPSHOT: Endpoint = endpoint! {
    handler: snapshot,
    metric_label: "native.revocation_snapshot",
    errors: [Error::NotFound, Error::Stale],
};

/// Wait for revocations after a position
///
/// The response has what was revoked after the position. If that is nothing, it waits for up to a second, and then has a
/// frame without entries, which proves that nothing was revoked meanwhile.
#[utoipa::path(
    get,
    path = "/.well-known/signet-revocations/{epoch}/after/{position}",
    operation_id = "native_revocations_after",
    params(
        ("epoch" = String, Path, description = "`epoch` of the last frame."),
        ("position" = String, Path, description = "`to` of the last frame."),
    ),
    responses(FramesAfterPosition),
)]
async fn after(ctx: Context, request: Request) -> Result<Response, FeedProblem> {
    let (epoch, position) = (request.param("epoch"), request.param("position"));
    let body = responses::after(&ctx, request.rate_limit_ip(), epoch, position).await?;
    Ok(frames(body, "no-store"))
}

pub(super) const AFTER: Endpoint = endpoint! {
    handler: after,
    metric_label: "native.revocations_after",
    errors: [Error::NotFound, Error::Stale],
};

/// Get a segment of the revocation feed
///
/// The revocations between two positions that the head lists one after the other. A segment never changes.
#[utoipa::path(
    get,
    path = "/.well-known/signet-revocations/{epoch}/segments/{from}/{to}",
    operation_id = "native_revocation_segment",
    params(
        ("epoch" = String, Path, description = "`epoch` of the head."),
        ("from" = String, Path, description = "A position in `segments` of the head."),
        ("to" = String, Path, description = "The next position in `segments`."),
    ),
    responses(FramesAfterPosition),
)]
async fn segment(ctx: Context, request: Request) -> Result<Response, FeedProblem> {
    let [epoch, from, to] = ["epoch", "from", "to"].map(|name| request.param(name));
    let segment = responses::segment(&ctx, request.rate_limit_ip(), epoch, from, to).await?;
    let compressed = segment.gzip.clone().filter(|_| accepts_gzip(&request));
    Ok(compressible(segment.body.clone(), compressed, "public, max-age=86400, immutable"))
}

pub(super) const SEGMENT: Endpoint = endpoint! {
    handler: segment,
    metric_label: "native.revocation_segment",
    errors: [Error::NotFound, Error::Stale],
};

/// An error of the feed. Scripts of any origin may read it.
struct FeedProblem(FeedError);

impl From<FeedError> for FeedProblem {
    fn from(error: FeedError) -> Self {
        Self(error)
    }
}

impl IntoResponse for FeedProblem {
    fn into_response(self) -> Response {
        let response = match self.0 {
            FeedError::Off => Problem::from(Error::NotFound).into_response(),
            FeedError::Stale => Problem::from(Error::Stale).into_response(),
            FeedError::Gone => problem::gone(),
        };
        response.for_any_origin()
    }
}

fn frames(body: Bytes, cache_control: &'static str) -> Response {
    let response = Response::bytes(StatusCode::OK, HeaderValue::from_static("application/jose"), body);
    response.header(CACHE_CONTROL, HeaderValue::from_static(cache_control)).for_any_origin()
}

/// A response that depends on `Accept-Encoding`: compressed if there is a compressed form.
fn compressible(body: Bytes, compressed: Option<Bytes>, cache_control: &'static str) -> Response {
    let response = match compressed {
        Some(compressed) => {
            frames(compressed, cache_control).header(CONTENT_ENCODING, HeaderValue::from_static("gzip"))
        }
        None => frames(body, cache_control),
    };
    response.header(VARY, HeaderValue::from_static("accept-encoding"))
}

/// RFC 9110, 12.5.3: `gzip` is listed with a weight above zero. If it is not listed, `*` stands for it.
fn accepts_gzip(request: &Request) -> bool {
    let field = request.header(ACCEPT_ENCODING).unwrap_or_default();
    let find = |name: &str| weighted(field).find(|(coding, _)| coding.eq_ignore_ascii_case(name));
    find("gzip").or_else(|| find("*")).is_some_and(|(_, weight)| weight > 0.0)
}
