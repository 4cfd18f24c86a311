//! Sessions: opened with a password, looked at, ended.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NAME, Problem};
use crate::api::native::schemas::Spared;
use crate::api::request_context;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::sessions::list::{Session, list_sessions};
use crate::auth::sessions::open::TokenPair;
use crate::auth::sessions::sign_out::{SignOutScope, sign_out};
use crate::auth::sign_in::password::sign_in;
use crate::auth::tokens::caller::authenticate;
use crate::clock::Timestamp;
use crate::http::{FieldError, ParamLocation, Rejection, Request, Response};
use crate::id::{SessionId, UserId};

/// Who signs in: by address or by name.
#[derive(Deserialize, ToSchema)]
#[schema(as = SignIn, examples(json!({"email": "zoe@example.org", "password": "a quiet harbour at dusk"})))]
pub(super) struct Open {
    /// The address; it counts if a name is there too.
    email: Option<String>,
    /// The name, in its place.
    username: Option<String>,
    password: String,
    totp_code: Option<String>,
}

/// What a sign-in or a refresh gives, as RFC 6749, 5.1 words it, and what else a client wants to know.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "token_type": "Bearer",
    "expires_in": 900,
    "refresh_token": "AQGaLgDLJ3K0nV3…",
    "refresh_expires_in": 2_592_000,
    "session_id": "019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071",
    "user_id": "019a8b1c-0000-7abc-9def-0123456789ab",
})))]
pub(super) struct Tokens<'a> {
    access_token: &'a str,
    #[schema(pattern = "^Bearer$")]
    token_type: &'static str,
    /// Seconds for which the access token is good.
    expires_in: u64,
    refresh_token: &'a str,
    /// Seconds for which the session lasts without a refresh.
    refresh_expires_in: u64,
    #[schema(value_type = uuid::Uuid)]
    session_id: SessionId,
    #[schema(value_type = uuid::Uuid)]
    user_id: UserId,
}

/// The caller's sessions.
#[derive(Serialize, ToSchema)]
pub(super) struct Sessions<'a> {
    /// Those that are not over, the newest first.
    sessions: Vec<Shown<'a>>,
}

/// One session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session, examples(json!({
    "id": "019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071",
    "created_at": "2025-11-14T14:25:20.123Z",
    "last_used_at": "2025-11-14T16:02:11.008Z",
    "expires_at": "2025-12-14T16:02:11.008Z",
    "address": "203.0.113.7",
    "agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "dialect": "native",
    "current": true,
})))]
struct Shown<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: SessionId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last refreshed.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// When it is over unless it is refreshed before.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The address from which it was opened.
    address: &'a str,
    /// What opened it, as it called itself.
    agent: &'a str,
    /// The dialect in which it was opened.
    dialect: &'a str,
    /// Whether it is the one that asks.
    current: bool,
}

/// How many sessions were ended.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"ended": 2})))]
pub(super) struct Ended {
    pub(super) ended: u64,
}

/// Signs in with a password.
///
/// By address or by username. Opens a session.
#[utoipa::path(
    post,
    path = "/sessions",
    operation_id = "native_sign_in",
    request_body = Open,
    responses((status = 201, description = "Signed in.", body = Tokens<'_>)),
)]
pub(super) async fn open(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let asked: Open = request.json().await?;
    let password = Password::new(asked.password);
    let Some(login) = asked.email.or(asked.username) else {
        return Err(Rejection::field(FieldError::missing(ParamLocation::Body, "email")).into());
    };
    let request_ctx = request_context(NAME, &ctx.node.config.api.native, &request);
    let pair = sign_in(&ctx, &login, &password, asked.totp_code.as_deref(), request_ctx).await?;
    Ok(Response::json(StatusCode::CREATED, &tokens(&pair, ctx.now())).no_store())
}

pub(super) fn tokens(pair: &TokenPair, now: Timestamp) -> Tokens<'_> {
    Tokens {
        access_token: &pair.access,
        token_type: "Bearer",
        expires_in: pair.access_lives.as_secs(),
        refresh_token: &pair.refresh,
        refresh_expires_in: pair.refresh_until.since(now).as_millis().div_ceil(1000) as u64,
        session_id: pair.session.id,
        user_id: pair.session.user,
    }
}

/// The caller's sessions.
///
/// Wherever they were opened, in whichever dialect. Not for API keys.
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "native_list_sessions",
    security(("access_token" = [])),
    responses((status = 200, description = "Those that are not over.", body = Sessions<'_>)),
)]
pub(super) async fn list(ctx: Context, request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, request.bearer()).await?;
    let current = caller.require_session()?;
    let sessions = list_sessions(&ctx, caller.user).await?;
    let sessions = sessions.iter().map(|session| shown(session, current)).collect();
    Ok(Response::json(StatusCode::OK, &Sessions { sessions }).no_store())
}

fn shown(session: &Session, current: SessionId) -> Shown<'_> {
    Shown {
        id: session.id,
        // It may be stamped with a later moment than that was.
        created_at: session.opened_at.min(session.used_at),
        last_used_at: session.used_at,
        expires_at: session.expires_at(),
        address: &session.address,
        agent: &session.agent,
        dialect: &session.dialect,
        current: session.id == current,
    }
}

/// Ends one of the caller's sessions.
///
/// It is over everywhere within a second, its access tokens too.
#[utoipa::path(
    delete,
    path = "/sessions/{id}",
    operation_id = "native_sign_out",
    params(("id" = uuid::Uuid, Path, description = "The session's id.")),
    security(("access_token" = [])),
    responses((status = 204, description = "It is over.")),
)]
pub(super) async fn end_one(ctx: Context, request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, request.bearer()).await?;
    caller.require_session()?;
    let session = SessionId::parse(request.param("id")).ok_or(Error::NotFound)?;
    match sign_out(&ctx, caller.user, SignOutScope::One(session)).await? {
        0 => Err(Error::NotFound.into()),
        _ => Ok(Response::empty(StatusCode::NO_CONTENT)),
    }
}

/// Ends all of the caller's sessions, or all the others.
///
/// They are over everywhere within a second, their access tokens too.
#[utoipa::path(
    delete,
    path = "/sessions",
    operation_id = "native_sign_out_all",
    params(("except" = Option<Spared>, Query, description = "Which session is left alone.")),
    security(("access_token" = [])),
    responses((status = 200, description = "How many were ended.", body = Ended)),
)]
pub(super) async fn end_many(ctx: Context, request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, request.bearer()).await?;
    let current = caller.require_session()?;
    let which = match request.query()?.get("except") {
        None => SignOutScope::All,
        Some("current") => SignOutScope::Others(current),
        Some(_) => {
            let trouble = crate::http::FieldErrorKind::Invalid("must be current".to_owned());
            return Err(Rejection::field(FieldError::new(ParamLocation::Query, "except", trouble)).into());
        }
    };
    let ended = sign_out(&ctx, caller.user, which).await?;
    Ok(Response::json(StatusCode::OK, &Ended { ended }))
}
