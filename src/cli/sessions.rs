//! `signet sessions`: lists and ends the sessions of a user, or ends all of everyone.

use serde::Serialize;

use super::CliError;
use super::arguments::Sessions;
use super::output::{Columns, Output, or_dash};
use super::propagation::wait_for_nodes;
use super::users::find;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::sessions::list::{Session, list_sessions};
use crate::auth::sessions::sign_out::{SignOutScope, sign_out, sign_out_everyone};
use crate::clock::Timestamp;
use crate::device;
use crate::id::SessionId;

/// A session as printed.
#[derive(Serialize)]
struct SessionRow {
    id: SessionId,
    created_at: Timestamp,
    last_used_at: Timestamp,
    expires_at: Timestamp,
    address: String,
    agent: String,
    dialect: String,
}

const COLUMNS: Columns<SessionRow> = &[
    ("id", |session| session.id.to_string()),
    ("created", |session| session.created_at.to_string()),
    ("last used", |session| session.last_used_at.to_string()),
    ("expires", |session| session.expires_at.to_string()),
    ("api", |session| session.dialect.clone()),
    ("address", |session| session.address.clone()),
    ("device", |session| or_dash(device::describe(&session.agent))),
];

pub(super) async fn run(command: Sessions, ctx: &Context, output: &mut Output<'_>) -> Result<(), CliError> {
    match command {
        Sessions::List(name) => {
            let user = find(ctx, &name.user).await?;
            let rows: Vec<_> = list_sessions(ctx, user.id).await?.iter().map(SessionRow::from).collect();
            output.rows(&rows, COLUMNS)
        }
        Sessions::End { user: Some(name), session: Some(session), all: false } => {
            let user = find(ctx, &name).await?;
            let not_found = || CliError::NotFound { kind: "session", name: session.clone() };
            let id = SessionId::parse(&session).ok_or_else(not_found)?;
            let open = list_sessions(ctx, user.id).await?;
            let row = open.iter().find(|open| open.id == id).map(SessionRow::from).ok_or_else(not_found)?;
            sign_out(ctx, user.id, SignOutScope::One(id), Origin::process()).await?;
            output.one(&row, COLUMNS)?;
            wait_for_nodes(ctx, output).await
        }
        // The arguments are all or none.
        Sessions::End { .. } => {
            sign_out_everyone(ctx, Origin::process()).await?;
            match output.is_json() {
                true => output.json(&serde_json::json!({"ended": "all"}))?,
                false => output.line("All sessions have ended.")?,
            }
            wait_for_nodes(ctx, output).await
        }
    }
}

impl From<&Session> for SessionRow {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id,
            created_at: session.opened_at.min(session.used_at),
            last_used_at: session.used_at,
            expires_at: session.expires_at(),
            address: session.client_ip.clone(),
            agent: session.user_agent.clone(),
            dialect: session.dialect.clone(),
        }
    }
}
