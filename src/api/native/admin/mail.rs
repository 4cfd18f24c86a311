//! The mail of this node: its queue, its outbox, and a test.

use std::time::Instant;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Limit, Problem, limit, origin, request_context, require_recent_superuser, require_superuser};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{FORBIDDEN, RATE_LIMITED};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::identity::EmailError;
use crate::auth::mail_admin::{self, ListedMail};
use crate::clock::Timestamp;
use crate::http::{Request, Response};

/// The mail of the node that serves the request.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "outbox": false,
    "destination": "mail.example.com:587",
    "capacity": 1000,
    "queued": 1,
    "oldest_seconds": 12,
    "sent": 33,
    "failed": 0,
    "retries": 4,
    "queue": [{
        "letter": "magic-link",
        "to": "zoe@example.org",
        "queued_at": "2025-11-14T14:25:20.123Z",
        "expires_at": "2025-11-14T14:40:20.123Z",
        "failed_tries": 4,
        "last_failure": "sending: answered 451 4.7.1",
    }],
})))]
struct MailState {
    /// True if mails are written to files, because no mail server is configured.
    outbox: bool,
    /// The mail server and its port, or the directory of the files.
    destination: String,
    /// The maximum number of queued mails.
    capacity: usize,
    /// The number of queued mails.
    queued: u64,
    /// Seconds for which the oldest queued mail has waited.
    oldest_seconds: u64,
    /// The number of mails since the start that were accepted.
    sent: u64,
    /// The number of mails since the start that were refused, expired or dropped.
    failed: u64,
    /// The number of tries since the start that failed and were repeated.
    retries: u64,
    /// The oldest queued mails, at most 100.
    queue: Vec<QueuedLetter>,
}

/// A mail that waits to be sent. Without its content.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "letter": "magic-link",
    "to": "zoe@example.org",
    "queued_at": "2025-11-14T14:25:20.123Z",
    "expires_at": "2025-11-14T14:40:20.123Z",
    "failed_tries": 4,
    "last_failure": "sending: answered 451 4.7.1",
})))]
struct QueuedLetter {
    /// The kind of letter, as its templates are named.
    letter: &'static str,
    to: String,
    #[schema(value_type = String, format = DateTime)]
    queued_at: Timestamp,
    /// When it is dropped if it has not been sent.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    failed_tries: u32,
    /// Why the last try failed: a reply code of the mail server, or an error of the connection.
    last_failure: Option<String>,
}

/// Letters in the outbox.
#[derive(Serialize, ToSchema)]
struct StoredLetters {
    /// The newest first.
    letters: Vec<StoredLetterHead>,
    /// `cursor` of the next page; null on the last one.
    next_cursor: Option<String>,
}

/// A letter in the outbox, without its content.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "name": "20251114T142520.123Z-000007-9f3a11c0.eml",
    "written_at": "2025-11-14T14:25:20.123Z",
    "to": "zoe@example.org",
    "subject": "•••••• is your Signet sign-in code",
})))]
struct StoredLetterHead {
    /// The name of its file.
    name: String,
    #[schema(value_type = String, format = DateTime)]
    written_at: Timestamp,
    to: String,
    /// With codes masked.
    subject: String,
}

/// A letter in the outbox.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "name": "20251114T142520.123Z-000007-9f3a11c0.eml",
    "written_at": "2025-11-14T14:25:20.123Z",
    "from": "Signet <signet@example.com>",
    "to": "zoe@example.org",
    "subject": "031415 is your Signet sign-in code",
    "text": "Hello,\n\nUse this code to sign in to Signet as zoe@example.org:\n\n031415\n",
    "html": "<!doctype html>…",
})))]
struct StoredLetterBody {
    /// The name of its file.
    name: String,
    #[schema(value_type = String, format = DateTime)]
    written_at: Timestamp,
    from: String,
    to: String,
    subject: String,
    /// The part in plain text.
    text: String,
    /// The part in HTML.
    html: String,
}

/// The recipient of a test.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"to": "zoe@example.org"})))]
struct TestMailRequest {
    /// Any address.
    to: String,
}

/// The result of a test.
#[derive(Serialize, ToSchema)]
#[schema(examples(
    json!({"accepted": true, "destination": "mail.example.com:587", "reason": null, "took_ms": 84}),
    json!({
        "accepted": false,
        "destination": "mail.example.com:587",
        "reason": "authenticating: answered 535 5.7.8",
        "took_ms": 310,
    }),
))]
struct TestMailResult {
    /// True if the mail server accepted the mail, or the file was written.
    accepted: bool,
    /// The mail server and its port, or the directory of the files.
    destination: String,
    /// Why it was not accepted: a reply code of the mail server, or an error of the connection.
    reason: Option<String>,
    took_ms: u64,
}

/// Get the state of mail
///
/// The queued mails of the node that serves the request, and the reasons why they wait. For superusers, and for their
/// API keys with the scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/mail",
    operation_id = "native_admin_mail",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The mail of this node.", body = MailState)),
)]
async fn read_state(ctx: Context, request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    let state = mail_admin::mail_queue(&ctx);
    let body = MailState {
        outbox: state.has_outbox,
        destination: state.destination,
        capacity: state.capacity,
        queued: state.length,
        oldest_seconds: state.oldest.as_secs(),
        sent: state.sent,
        failed: state.failed,
        retries: state.retries,
        queue: state.mails.into_iter().map(QueuedLetter::from).collect(),
    };
    Ok(Response::json(StatusCode::OK, &body).no_store())
}

pub(super) const STATE: Endpoint = endpoint! {
    handler: read_state,
    metric_label: "native.admin-mail",
    errors: [FORBIDDEN],
};

/// List letters in the outbox
///
/// The letters that the node that serves the request has written to files, because no mail server is configured. 404 if
/// one is configured. For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/mail/outbox",
    operation_id = "native_admin_outbox",
    params(
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        Limit,
    ),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "A page of letters.", body = StoredLetters)),
)]
async fn list_outbox(ctx: Context, request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    let query = request.query()?;
    let page = mail_admin::stored_mails(&ctx, query.get("cursor").map(str::to_owned), limit(&query)?).await?;
    let letters = page.mails.into_iter().map(|mail| StoredLetterHead {
        name: mail.name,
        written_at: mail.written_at,
        to: mail.to,
        subject: mail.subject,
    });
    let body = StoredLetters { letters: letters.collect(), next_cursor: page.next };
    Ok(Response::json(StatusCode::OK, &body).no_store())
}

pub(super) const LIST_OUTBOX: Endpoint = endpoint! {
    handler: list_outbox,
    metric_label: "native.admin-outbox",
    errors: [FORBIDDEN, Error::NotFound],
};

/// Get a letter in the outbox
///
/// The letter contains codes and links that sign in as the recipient. So the call needs a recent sign-in and is
/// recorded. 404 if a mail server is configured. For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/mail/outbox/{name}",
    operation_id = "native_admin_outbox_letter",
    params(("name" = String, Path, description = "The name of its file.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The letter.", body = StoredLetterBody)),
)]
async fn read_letter(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_recent_superuser(&ctx, &request).await?;
    let letter = mail_admin::stored_letter(&ctx, request.param("name"), origin(&ctx, &by, &request)).await?;
    let body = StoredLetterBody {
        name: letter.mail.name,
        written_at: letter.mail.written_at,
        from: letter.from,
        to: letter.mail.to,
        subject: letter.mail.subject,
        text: letter.text,
        html: letter.html,
    };
    Ok(Response::json(StatusCode::OK, &body).no_store())
}

pub(super) const READ_LETTER: Endpoint = endpoint! {
    handler: read_letter,
    metric_label: "native.admin-outbox-letter",
    errors: [FORBIDDEN, Error::RecentSignInRequired, Error::NotFound],
};

/// Send a test mail
///
/// Tries once to hand a mail to the mail server, or to write it to the outbox, waits up to 10 seconds, and says what
/// happened: 200 in both cases. The limits of mails apply. For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    post,
    path = "/admin/mail/test",
    operation_id = "native_admin_test_mail",
    request_body = TestMailRequest,
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The result of the test.", body = TestMailResult)),
)]
async fn send_test(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let by = require_superuser(&ctx, &request).await?;
    let body: TestMailRequest = request.json().await?;
    let (origin, began) = (origin(&ctx, &by, &request), Instant::now());
    let request_ctx = request_context(&ctx, &request);
    let failure = mail_admin::send_test(&ctx, &body.to, request_ctx, origin).await?;
    let body = TestMailResult {
        accepted: failure.is_none(),
        destination: ctx.node.mailer.destination().to_owned(),
        reason: failure.map(|failure| failure.to_string()),
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    Ok(Response::json(StatusCode::OK, &body).no_store())
}

pub(super) const SEND_TEST: Endpoint = endpoint! {
    handler: send_test,
    metric_label: "native.admin-test-mail",
    errors: [FORBIDDEN, EmailError::NoAt, RATE_LIMITED],
};

impl From<ListedMail> for QueuedLetter {
    fn from(mail: ListedMail) -> Self {
        let ListedMail { letter, to, queued_at, expires_at, failed_tries, last_failure } = mail;
        Self { letter, to, queued_at, expires_at, failed_tries, last_failure }
    }
}
