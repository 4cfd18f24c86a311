//! Sessions: sign-in with a password or a mailed code, the list of sessions, and sign-out.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Problem, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{ApiError, FORBIDDEN, RATE_LIMITED, session_token};
use crate::auth::Error;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::identity::{Email, EmailError};
use crate::auth::passwords::Password;
use crate::auth::request_context::RequestContext;
use crate::auth::sessions::list;
use crate::auth::sessions::sign_out::{SignOutScope, sign_out};
use crate::auth::sessions::tokens::TokenPair;
use crate::auth::sign_in::mailed_code::sign_in_with_code;
use crate::auth::sign_in::password::sign_in;
use crate::auth::tokens::caller::authenticate;
use crate::clock::Timestamp;
use crate::http::{FieldError, FieldErrorKind, ParamLocation, Rejection, Request, Response};
use crate::id::{SessionId, UserId};

/// An email address or a username with the password, or an email address with a mailed code.
#[derive(Deserialize, ToSchema)]
#[schema(examples(
    json!({"email": "zoe@example.org", "password": "a quiet harbour at dusk"}),
    json!({"email": "zoe@example.org", "code": "493205"}),
))]
pub(super) struct SignIn {
    /// The email address; takes precedence over the username.
    pub(super) email: Option<String>,
    /// The username, with a password only.
    pub(super) username: Option<String>,
    /// The password; takes precedence over a mailed code.
    #[schema(value_type = Option<String>, format = Password)]
    pub(super) password: Option<Password>,
    /// The code that `POST /codes` mailed.
    pub(super) code: Option<String>,
    /// The code of the second factor, or a recovery code, for users who have one. Its earlier name `totp_code` works
    /// too.
    #[serde(alias = "totp_code")]
    pub(super) mfa_code: Option<String>,
    /// The name or URL of the audience of the access token; by default `tokens.audience`.
    pub(super) resource: Option<String>,
}

/// The tokens of a session (RFC 6749, 5.1), and what else a client needs.
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
    /// Seconds until the access token expires.
    expires_in: u64,
    refresh_token: &'a str,
    /// Seconds until the session expires unless it is refreshed.
    refresh_expires_in: u64,
    #[schema(value_type = uuid::Uuid)]
    session_id: SessionId,
    #[schema(value_type = uuid::Uuid)]
    user_id: UserId,
}

/// The caller's sessions.
#[derive(Serialize, ToSchema)]
pub(super) struct Sessions<'a> {
    /// The open sessions, newest first.
    sessions: Vec<Session<'a>>,
}

/// One session.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": "019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071",
    "created_at": "2025-11-14T14:25:20.123Z",
    "last_used_at": "2025-11-14T16:02:11.008Z",
    "expires_at": "2025-12-14T16:02:11.008Z",
    "address": "203.0.113.7",
    "agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "dialect": "native",
    "current": true,
})))]
pub(super) struct Session<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: SessionId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The time of the last refresh.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// The time at which the session expires unless it is refreshed.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The IP address that opened the session.
    address: &'a str,
    /// The user agent that opened the session.
    agent: &'a str,
    /// The API through which the session was opened.
    dialect: &'a str,
    /// True for the session of this request's token.
    current: bool,
}

/// The number of sessions that were ended.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"ended": 2})))]
pub(super) struct EndedSessions {
    pub(super) ended: u64,
}

/// The session to keep.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "only the OpenAPI document uses it")]
pub(super) enum SessionToKeep {
    Current,
}

/// Sign in
///
/// Opens a session: with a password, or with a code that `POST /codes` mailed. The first use of an address with a code
/// creates its account, where registration is open. A missing or wrong code of the second factor does not use the mailed
/// code up. If the address of the account was not verified, the mailed code verifies it and removes what was set before:
/// password, second factor, API keys and sessions.
#[utoipa::path(
    post,
    path = "/sessions",
    operation_id = "native_sign_in",
    request_body = SignIn,
    responses((status = 201, description = "Signed in.", body = Tokens<'_>)),
)]
async fn open_session(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: SignIn = request.json().await?;
    let pair = body.sign_in(&ctx, request_context(&ctx, &request)).await?;
    Ok(Response::json(StatusCode::CREATED, &tokens(&pair, ctx.now())).no_store())
}

impl SignIn {
    /// Opens the session.
    pub(super) async fn sign_in(self, ctx: &Context, request_ctx: RequestContext<'_>) -> Result<TokenPair, ApiError> {
        let missing = |field| Rejection::field(FieldError::missing(ParamLocation::Body, field));
        let request_ctx = request_ctx.with_resource(&ctx.node.config, self.resource.as_deref())?;
        let mfa_code = self.mfa_code.as_deref();
        let pair = match (&self.password, &self.code) {
            (Some(password), _) => {
                let login = self.email.or(self.username).ok_or_else(|| missing("email"))?;
                sign_in(ctx, &login, password, mfa_code, request_ctx).await?
            }
            (None, Some(code)) => {
                let email = Email::parse(&self.email.ok_or_else(|| missing("email"))?)?;
                sign_in_with_code(ctx, &email, code, mfa_code, request_ctx).await?
            }
            (None, None) => return Err(missing("password").into()),
        };
        Ok(pair)
    }
}

pub(super) const OPEN_SESSION: Endpoint = endpoint! {
    handler: open_session,
    metric_label: "native.sign-in",
    errors: [
        Rejection::field(FieldError::missing(ParamLocation::Body, "password")),
        EmailError::NoAt,
        Error::InvalidCredentials,
        Error::InvalidCode,
        Error::MfaRequired,
        Error::InvalidMfaCode,
        Error::AccountDisabled,
        Error::EmailNotVerified,
        Error::RegistrationClosed,
        Error::InvalidTarget,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

pub(super) fn tokens(pair: &TokenPair, now: Timestamp) -> Tokens<'_> {
    Tokens {
        access_token: &pair.access_token,
        token_type: "Bearer",
        expires_in: pair.access_expires_in.as_secs(),
        refresh_token: &pair.refresh_token,
        refresh_expires_in: pair.refresh_expires_in(now),
        session_id: pair.session.id,
        user_id: pair.session.user,
    }
}

/// List your sessions
///
/// Includes sessions that were opened through the other APIs. Not for API keys.
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "native_list_sessions",
    security(("access_token" = [])),
    responses((status = 200, description = "The open sessions.", body = Sessions<'_>)),
)]
async fn list_sessions(ctx: Context, request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, session_token(&request)?).await?;
    let current = caller.require_session()?;
    let request_ctx = request_context(&ctx, &request);
    let sessions = list::list_own_sessions(&ctx, caller.user, request_ctx).await?;
    let sessions = sessions.iter().map(|session| Session::new(session, Some(current))).collect();
    Ok(Response::json(StatusCode::OK, &Sessions { sessions }).no_store())
}

pub(super) const LIST_SESSIONS: Endpoint = endpoint! {
    handler: list_sessions,
    metric_label: "native.sessions",
    errors: [FORBIDDEN, RATE_LIMITED],
};

impl<'a> Session<'a> {
    pub(super) fn new(session: &'a list::Session, current: Option<SessionId>) -> Self {
        Self {
            id: session.id,
            // The clock of another node may have stamped the opening with a later time than the first use.
            created_at: session.opened_at.min(session.used_at),
            last_used_at: session.used_at,
            expires_at: session.expires_at(),
            address: &session.client_ip,
            agent: &session.user_agent,
            dialect: &session.dialect,
            current: current == Some(session.id),
        }
    }
}

/// End a session
///
/// Ends one of the caller's sessions and its access tokens, on every node within milliseconds.
#[utoipa::path(
    delete,
    path = "/sessions/{id}",
    operation_id = "native_sign_out",
    params(("id" = uuid::Uuid, Path, description = "The session's id.")),
    security(("access_token" = [])),
    responses((status = 204, description = "The session has ended.")),
)]
async fn end_session(ctx: Context, request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, session_token(&request)?).await?;
    caller.require_session()?;
    let session = SessionId::parse(request.param("id")).ok_or(Error::NotFound)?;
    let origin = Origin::request(request_context(&ctx, &request));
    match sign_out(&ctx, caller.user, SignOutScope::One(session), origin).await? {
        0 => Err(Error::NotFound.into()),
        _ => Ok(Response::empty(StatusCode::NO_CONTENT)),
    }
}

pub(super) const END_SESSION: Endpoint = endpoint! {
    handler: end_session,
    metric_label: "native.sign-out",
    errors: [FORBIDDEN, Error::NotFound],
};

/// End all sessions, or all other sessions
///
/// Ends the caller's sessions and their access tokens, on every node within milliseconds. `except=current` keeps the
/// session of this request.
#[utoipa::path(
    delete,
    path = "/sessions",
    operation_id = "native_sign_out_all",
    params(("except" = Option<SessionToKeep>, Query, description = "The session to keep.")),
    security(("access_token" = [])),
    responses((status = 200, description = "The number of sessions that were ended.", body = EndedSessions)),
)]
async fn end_sessions(ctx: Context, request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, session_token(&request)?).await?;
    let current = caller.require_session()?;
    let scope = match request.query()?.get("except") {
        None => SignOutScope::All,
        Some("current") => SignOutScope::Others(current),
        Some(_) => {
            let kind = FieldErrorKind::Invalid("must be current".to_owned());
            return Err(Rejection::field(FieldError::new(ParamLocation::Query, "except", kind)).into());
        }
    };
    let origin = Origin::request(request_context(&ctx, &request));
    let ended = sign_out(&ctx, caller.user, scope, origin).await?;
    Ok(Response::json(StatusCode::OK, &EndedSessions { ended }))
}

pub(super) const END_SESSIONS: Endpoint = endpoint! {
    handler: end_sessions,
    metric_label: "native.sign-out-all",
    errors: [FORBIDDEN],
};
