//! Sessions: opened with a password, looked at, ended.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{NAME, Problem};
use crate::api::door;
use crate::app::App;
use crate::auth::Failure;
use crate::auth::bearer::caller;
use crate::auth::open_session::Pair;
use crate::auth::password::Password;
use crate::auth::sessions::{Session, sessions};
use crate::auth::sign_in::sign_in;
use crate::auth::sign_out::{Which, sign_out};
use crate::id::SessionId;
use crate::time::Timestamp;
use crate::web::{Fault, Place, Rejection, Request, Response};

#[derive(Deserialize)]
struct Open {
    email: Option<String>,
    username: Option<String>,
    password: String,
    totp_code: Option<String>,
}

pub(super) async fn open(app: App, mut request: Request) -> Result<Response, Problem> {
    let asked: Open = request.json().await?;
    let password = Password::new(asked.password);
    let Some(login) = asked.email.or(asked.username) else {
        return Err(Rejection::field(Fault::missing(Place::Body, "email")).into());
    };
    let door = door(NAME, &app.node.config.api.native, &request);
    let pair = sign_in(&app, &login, &password, asked.totp_code.as_deref(), door).await?;
    Ok(Response::json(StatusCode::CREATED, &tokens(&pair, app.now())).no_store())
}

/// Access and refresh token as RFC 6749, 5.1 words them, and what else a client wants to know.
pub(super) fn tokens(pair: &Pair, now: Timestamp) -> Value {
    json!({
        "access_token": pair.access,
        "token_type": "Bearer",
        "expires_in": pair.access_lives.as_secs(),
        "refresh_token": pair.refresh,
        "refresh_expires_in": pair.refresh_until.since(now).as_millis().div_ceil(1000) as u64,
        "session_id": pair.session.id,
        "user_id": pair.session.user,
    })
}

pub(super) async fn list(app: App, request: Request) -> Result<Response, Problem> {
    let caller = caller(&app, request.bearer()).await?;
    let current = caller.in_session()?;
    let sessions = sessions(&app, caller.user).await?;
    let worded = sessions.iter().map(|session| shown(session, current)).collect::<Vec<_>>();
    Ok(Response::json(StatusCode::OK, &json!({"sessions": worded})).no_store())
}

fn shown(session: &Session, current: SessionId) -> Value {
    json!({
        "id": session.id,
        "created_at": session.opened_at,
        "last_used_at": session.used_at,
        "expires_at": session.expires_at(),
        "address": session.address,
        "agent": session.agent,
        "dialect": session.dialect,
        "current": session.id == current,
    })
}

pub(super) async fn end_one(app: App, request: Request) -> Result<Response, Problem> {
    let caller = caller(&app, request.bearer()).await?;
    caller.in_session()?;
    let session = SessionId::parse(request.param("id")).ok_or(Failure::Absent)?;
    match sign_out(&app, caller.user, Which::One(session)).await? {
        0 => Err(Failure::Absent.into()),
        _ => Ok(Response::empty(StatusCode::NO_CONTENT)),
    }
}

/// All, or with `?except=current` all the others.
pub(super) async fn end_many(app: App, request: Request) -> Result<Response, Problem> {
    let caller = caller(&app, request.bearer()).await?;
    let current = caller.in_session()?;
    let which = match request.query()?.get("except") {
        None => Which::All,
        Some("current") => Which::Others(current),
        Some(_) => {
            let trouble = crate::web::Trouble::Invalid("must be current".to_owned());
            return Err(Rejection::field(Fault::of(Place::Query, "except", trouble)).into());
        }
    };
    let ended = sign_out(&app, caller.user, which).await?;
    Ok(Response::json(StatusCode::OK, &json!({"ended": ended})))
}
