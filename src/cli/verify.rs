//! `signet verify`: says what a token or an API key is, and why it is accepted or not.

use std::io::{self, Read};

use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::CliError;
use super::output::{Columns, Output, or_dash, yes};
use crate::auth::context::Context;
use crate::auth::revocation::durable::reapply;
use crate::auth::revocation::stream::catch_up;
use crate::auth::signing_keys::key_state_name;
use crate::auth::tokens::inspect::{Inspection, inspect};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};

/// The longest text that is read from stdin, in bytes. A longer one is neither a token nor an API key.
const MAX_LENGTH: u64 = 64 * 1024;

/// The inspection of a credential, as printed.
#[derive(Serialize)]
struct InspectionRow {
    kind: &'static str,
    valid: bool,
    reason: Option<&'static str>,
    explanation: Option<&'static str>,
    /// The revoked object, and the time.
    revoked: Option<&'static str>,
    revoked_at: Option<Timestamp>,
    user_id: Option<UserId>,
    email: Option<String>,
    /// The session, while it is open.
    session_id: Option<SessionId>,
    kid: Option<String>,
    key_state: Option<&'static str>,
    header: Option<Value>,
    claims: Option<Value>,
}

const COLUMNS: Columns<InspectionRow> = &[
    ("kind", |row| row.kind.to_owned()),
    ("accepted", |row| yes(row.valid)),
    ("reason", |row| or_dash(row.reason)),
    ("explanation", |row| or_dash(row.explanation)),
    ("revoked", |row| or_dash(row.revoked)),
    ("revoked at", |row| or_dash(row.revoked_at)),
    ("user", |row| or_dash(row.email.as_ref())),
    ("user id", |row| or_dash(row.user_id)),
    ("open session", |row| or_dash(row.session_id)),
    ("signing key", |row| or_dash(row.kid.as_ref())),
    ("key state", |row| or_dash(row.key_state)),
    ("header", |row| or_dash(row.header.as_ref())),
    ("claims", |row| or_dash(row.claims.as_ref())),
];

pub(super) async fn run(token: &str, ctx: &Context, output: &mut Output<'_>) -> Result<(), CliError> {
    let token = match token {
        "-" => read_token()?,
        token => Zeroizing::new(token.to_owned()),
    };
    // A server does the same before it answers its first request.
    catch_up(ctx).await?;
    reapply(ctx).await?;
    let inspection = inspect(ctx, &token).await?;
    let row = InspectionRow::from(inspection);
    output.one(&row, COLUMNS)?;
    match row.reason {
        None => Ok(()),
        Some(reason) => Err(CliError::Failed {
            problem: format!("it is not accepted: {reason}"),
            remedy: row.explanation.unwrap_or_default().to_owned(),
        }),
    }
}

fn read_token() -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    io::stdin().take(MAX_LENGTH).read_to_string(&mut text).map_err(CliError::io("reading the token"))?;
    Ok(text)
}

impl From<Inspection> for InspectionRow {
    fn from(inspection: Inspection) -> Self {
        let Inspection { kind, header, claims, key, refused, session, revoked, user } = inspection;
        Self {
            kind: kind.name(),
            valid: refused.is_none(),
            reason: refused.map(|reason| reason.code()),
            explanation: refused.map(|reason| reason.explanation()),
            revoked: revoked.map(|revoked| revoked.what),
            revoked_at: revoked.and_then(|revoked| revoked.at),
            user_id: user.as_ref().map(|user| user.id),
            email: user.map(|user| user.email),
            session_id: session.map(|session| session.id),
            key_state: key.as_ref().map(|(_, state)| key_state_name(*state)),
            kid: key.map(|(key, _)| key.kid),
            header,
            claims,
        }
    }
}
