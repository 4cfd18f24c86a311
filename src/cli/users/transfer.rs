//! `signet users import` and `export`: users as JSON Lines, one [`UserRecord`] per line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Serialize;
use zeroize::Zeroizing;

use super::super::CliError;
use super::super::output::Output;
use super::{PAGE, UserRecord, validate_record};
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::store::accounts::{Billed, BillingChange, Created, Find, NewUser, User};

/// Opens a file for reading; `-` is stdin.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>, CliError> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).map_err(CliError::io(format!("opening {}", path.display())))?;
    Ok(Box::new(BufReader::new(file)))
}

pub(super) async fn export(ctx: &Context, output: &mut Output<'_>, with_hashes: bool) -> Result<(), CliError> {
    let mut after = 0;
    loop {
        let page = ctx.accounts.users(after, PAGE).await?;
        for user in &page {
            output.json_line(&UserRecord::from_user(user, with_hashes))?;
            after = user.number;
        }
        if page.len() < PAGE as usize {
            let event = Event::new(EventType::UsersExported, Origin::process());
            audit::record(ctx, event.detail("with_hashes", with_hashes));
            return Ok(());
        }
    }
}

/// The result of an import, as printed.
#[derive(Debug, Default, PartialEq, Serialize)]
struct ImportReport {
    imported: u64,
    left_out: Vec<SkippedLine>,
    /// Imported users who had a second factor in the other system and have none here.
    #[serde(skip_serializing_if = "is_zero")]
    without_second_factor: u64,
    /// Imported users whose password hash has another format than new ones.
    #[serde(skip_serializing_if = "is_zero")]
    other_hash_formats: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A line that created no user.
#[derive(Debug, PartialEq, Serialize)]
struct SkippedLine {
    line: u64,
    why: String,
    /// True if the line itself is invalid; false if such a user already exists.
    faulty: bool,
}

/// A valid line, with what is stored once the user exists.
struct ValidLine {
    line: u64,
    user: NewUser,
    billing: BillingChange,
    second_factor: bool,
}

pub(super) async fn import(ctx: &Context, output: &mut Output<'_>, input: &mut dyn BufRead) -> Result<(), CliError> {
    let mut report = ImportReport::default();
    let mut batch = Vec::new();
    for (number, line) in (1..).zip(input.lines()) {
        let line = Zeroizing::new(line.map_err(CliError::io("reading users"))?);
        if line.trim().is_empty() {
            continue;
        }
        match parse_line(ctx, number, &line).await? {
            Ok(valid) => batch.push(valid),
            Err((why, faulty)) => report.left_out.push(SkippedLine { line: number, why, faulty }),
        }
        if batch.len() == PAGE as usize {
            insert_batch(ctx, &mut batch, &mut report).await?;
        }
    }
    insert_batch(ctx, &mut batch, &mut report).await?;
    let event = Event::new(EventType::UsersImported, Origin::process());
    audit::record(ctx, event.detail("count", report.imported));
    report.left_out.sort_by_key(|skipped| skipped.line);
    print_report(output, &report)
}

/// Parses one line. The inner error says why the line is skipped, and whether the line itself is invalid.
async fn parse_line(ctx: &Context, line: u64, text: &str) -> Result<Result<ValidLine, (String, bool)>, CliError> {
    let record = match serde_json::from_str::<UserRecord>(text) {
        Ok(record) => record,
        Err(error) => return Ok(Err((error.to_string(), true))),
    };
    if let Some(id) = record.id
        && ctx.accounts.user(Find::Id(id)).await?.is_some()
    {
        return Ok(Err((format!("{}: a user has the id {id}", record.email), false)));
    }
    if record.token_balance.min(record.tokens_used) < 0 {
        return Ok(Err((format!("{}: token_balance or tokens_used is below zero", record.email), true)));
    }
    let user = match validate_record(ctx, &record) {
        Ok(user) => user,
        Err(error) => return Ok(Err((format!("{}: {error}", record.email), true))),
    };
    let billing = BillingChange {
        token_balance: record.token_balance,
        tokens_used: record.tokens_used,
        subscription_tier: record.subscription_tier.map(Some),
    };
    Ok(Ok(ValidLine { line, user, billing, second_factor: record.second_factor }))
}

async fn insert_batch(ctx: &Context, batch: &mut Vec<ValidLine>, report: &mut ImportReport) -> Result<(), CliError> {
    let batch = std::mem::take(batch);
    if batch.is_empty() {
        return Ok(());
    }
    let users: Vec<_> = batch.iter().map(|valid| valid.user.clone()).collect();
    let results = ctx.accounts.import_users(&users).await?;
    for (ValidLine { line, user, billing, second_factor }, result) in batch.into_iter().zip(results) {
        let taken = match result {
            Created::Created(created) => {
                report.imported += 1;
                report.without_second_factor += u64::from(second_factor);
                let hash = user.password_hash.as_ref();
                report.other_hash_formats += u64::from(hash.is_some_and(|hash| !hash.0.starts_with("$argon2id$")));
                add_billing(ctx, &created, &billing).await?;
                continue;
            }
            Created::EmailTaken => "address",
            Created::UsernameTaken => "username",
        };
        let why = format!("{}: another user has this {taken}", user.email);
        report.left_out.push(SkippedLine { line, why, faulty: false });
    }
    Ok(())
}

async fn add_billing(ctx: &Context, user: &User, billing: &BillingChange) -> Result<(), CliError> {
    if billing.token_balance == 0 && billing.tokens_used == 0 && billing.subscription_tier.is_none() {
        return Ok(());
    }
    match ctx.accounts.change_billing(user.id, billing, user.updated_at).await? {
        Billed::Billed(_) => Ok(()),
        Billed::OutOfRange | Billed::NotFound => Err(CliError::Failed {
            problem: format!("{} was changed by someone else during the import", user.email),
            remedy: "set this user's balance by hand, then import the file again for the remaining lines".to_owned(),
        }),
    }
}

fn print_report(output: &mut Output<'_>, report: &ImportReport) -> Result<(), CliError> {
    if output.is_json() {
        output.json(report)?;
    }
    for skipped in &report.left_out {
        output.note(&format!("line {}: left out: {}", skipped.line, skipped.why))?;
    }
    if report.without_second_factor > 0 {
        let count = report.without_second_factor;
        output.note(&format!("{count} imported without their second factor: they must enroll it again"))?;
    }
    if report.other_hash_formats > 0 {
        let count = report.other_hash_formats;
        output.note(&format!(
            "{count} with a password hash of another format: until they have signed in, the time of a refused sign-in \
             tells their accounts from others, unless passwords.refusal_step is longer than a check takes"
        ))?;
    }
    output.note(&format!("{} imported, {} left out", report.imported, report.left_out.len()))?;
    match report.left_out.iter().filter(|skipped| skipped.faulty).count() {
        0 => Ok(()),
        faulty => Err(CliError::Failed {
            problem: format!("{faulty} lines are invalid"),
            remedy: "correct them and import the file again: existing users are left out".to_owned(),
        }),
    }
}
