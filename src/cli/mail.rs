//! `signet mail`: tries whether mail can be sent.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::arguments::MailCommand;
use super::output::{Columns, Output};
use super::{CliError, CommandNode};
use crate::auth;
use crate::auth::context::Context;
use crate::auth::identity::Email;
use crate::auth::mail_admin::send_test_as_operator;

/// The shortest wait of the command, whatever `mail.timeout` is: a mail server may greet slowly to deter spam.
const MIN_WAIT: Duration = Duration::from_secs(60);

/// A mail that was accepted, as printed.
#[derive(Serialize)]
struct TestMailRow {
    to: String,
    /// The mail server, or the directory of the outbox.
    accepted_by: String,
    took_ms: u64,
}

const COLUMNS: Columns<TestMailRow> = &[
    ("to", |row| row.to.clone()),
    ("accepted by", |row| row.accepted_by.clone()),
    ("milliseconds", |row| row.took_ms.to_string()),
];

pub(super) fn run(command: &MailCommand, node: CommandNode, output: &mut Output<'_>) -> Result<(), CliError> {
    let MailCommand::Test { address } = command;
    let to = Email::parse(address).map_err(auth::Error::from)?;
    node.run(async |ctx: &Context| send_test(ctx, address, to, output).await)
}

async fn send_test(ctx: &Context, address: &str, to: Email, output: &mut Output<'_>) -> Result<(), CliError> {
    let began = Instant::now();
    let max_wait = MIN_WAIT.max(ctx.node.config.mail.timeout * 4);
    let failure = send_test_as_operator(ctx, to, max_wait).await?;
    let destination = ctx.node.mailer.destination();
    match failure {
        None => {
            let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let row = TestMailRow { to: address.to_owned(), accepted_by: destination.to_owned(), took_ms };
            output.one(&row, COLUMNS)
        }
        Some(failure) => Err(CliError::Failed {
            problem: format!("{destination} did not accept the mail: {failure}"),
            remedy: "check [mail] in config.toml; `signet check` tests the connection and the sign-in".to_owned(),
        }),
    }
}
