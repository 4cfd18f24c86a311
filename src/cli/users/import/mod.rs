//! `signet users import`: users of a file in Signet's format (`record`) or of another system's export.
//!
//! Files are read record by record and stored in batches, so their size does not matter. Each batch is one transaction
//! and each user one step of it, so an interrupted import can be repeated. Users who exist already are left out: they
//! are recognized by the id that they have in the other system, or by their address.

mod auth0;
mod bytes;
mod clerk;
mod csv;
mod dry_run;
mod fields;
mod firebase;
mod incoming;
mod json;
mod keycloak;
mod options;
mod reason;
mod report;
mod source;
mod supabase;

use std::collections::HashSet;

use futures_util::future::try_join_all;

use super::super::arguments::{ImportFrom, ImportUsers};
use super::super::output::Output;
use super::super::{CliError, CommandNode};
use super::record::{UserRecord, validate_record};
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::store::accounts::{Created, Find, NewUser};
use dry_run::DryRun;
use fields::Fields;
use options::Options;
use reason::{Reason, ReasonCode};
use report::{ImportReport, Named, RecordPosition};
use source::{Record, Source};

/// Users per transaction.
const BATCH: usize = 500;

/// Look-ups in flight at the same time.
const CONCURRENCY: usize = 32;

/// A user to be created, with what the report says of it.
struct PendingUser {
    position: RecordPosition,
    named: Named,
    user: NewUser,
    /// True if the id comes from the record, false if it is new.
    has_id: bool,
    lost_second_factor: bool,
    missing: Vec<Reason>,
}

/// A record that creates no user: why, for programs and for people, and whether the record itself is invalid.
struct Refused {
    named: Named,
    reason: Reason,
    why: String,
    faulty: bool,
}

struct Import<'a> {
    ctx: &'a Context,
    options: Options,
    report: ImportReport,
    batch: Vec<PendingUser>,
    /// Set in a dry run.
    dry_run: Option<DryRun>,
}

pub(super) fn run(arguments: &ImportUsers, node: CommandNode, output: &mut Output<'_>) -> Result<(), CliError> {
    let options = Options::check(arguments)?;
    for path in &arguments.files {
        Source::check(path, arguments.from)?;
    }
    let unit = match arguments.from {
        ImportFrom::Signet | ImportFrom::Auth0 => "line",
        ImportFrom::Firebase | ImportFrom::Supabase | ImportFrom::Keycloak | ImportFrom::Clerk => "record",
    };
    let report = ImportReport::create(arguments.dry_run, unit, arguments.report.as_deref())?;
    node.run(async |ctx: &Context| import(ctx, arguments, options, report, output).await)
}

async fn import(
    ctx: &Context,
    arguments: &ImportUsers,
    options: Options,
    report: ImportReport,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let dry_run = arguments.dry_run.then(DryRun::default);
    let mut import = Import { ctx, options, report, batch: Vec::new(), dry_run };
    let result = import.read_files(arguments).await;
    let imported = import.report.imported();
    if !arguments.dry_run && (imported > 0 || result.is_ok()) {
        let event = Event::new(EventType::UsersImported, Origin::process());
        audit::record(ctx, event.detail("count", imported));
    }
    result?;
    import.report.print(output, arguments.from != ImportFrom::Signet)
}

impl Import<'_> {
    async fn read_files(&mut self, arguments: &ImportUsers) -> Result<(), CliError> {
        for path in &arguments.files {
            let mut source = Source::open(path, arguments.from)?;
            let file = (arguments.files.len() > 1).then(|| path.display().to_string());
            let reading = || CliError::io(format!("reading {}", path.display()));
            while let Some((number, record)) = source.next().map_err(|cause| reading()(cause))? {
                let position = RecordPosition { file: file.clone(), number };
                match self.read_record(position.clone(), record)? {
                    Ok(pending) => self.batch.push(pending),
                    Err(Refused { named, reason, why, faulty }) => {
                        self.report.leave_out(&position, &named, reason, why, faulty)?;
                    }
                }
                if self.batch.len() == BATCH {
                    self.store_batch().await?;
                }
            }
        }
        self.store_batch().await
    }

    fn read_record(
        &mut self,
        position: RecordPosition,
        record: Record,
    ) -> Result<Result<PendingUser, Refused>, CliError> {
        let fields = match record {
            Record::Broken(reason) => return Ok(Err(refuse(Named::default(), reason))),
            Record::Row(fields) => fields,
            Record::Json(text) if self.options.from == ImportFrom::Signet => {
                return Ok(self.read_own(position, &text));
            }
            Record::Json(text) => match Fields::from_json(&text) {
                Ok(fields) => fields,
                Err(reason) => return Ok(Err(refuse(Named::default(), reason))),
            },
        };
        let named = self.options.name(&fields);
        let checked = match self.options.convert(&fields, self.ctx.now())? {
            Ok(incoming) => incoming.into_new_user(self.ctx, self.options.system(), &self.options.selection),
            Err(reason) => Err(reason),
        };
        Ok(match checked {
            Ok((user, missing)) => Ok(PendingUser {
                position,
                has_id: named.id.is_some(),
                named,
                user,
                // The reasons say it.
                lost_second_factor: false,
                missing,
            }),
            Err(reason) => Err(refuse(named, reason)),
        })
    }

    /// Reads a record of Signet's format. It is imported in full or not at all.
    fn read_own(&self, position: RecordPosition, text: &[u8]) -> Result<PendingUser, Refused> {
        let record: UserRecord = serde_json::from_slice(text)
            .map_err(|error| refuse(Named::default(), Reason::invalid(error.to_string())))?;
        let named = Named { id: record.id.map(|id| id.to_string()), email: Some(record.email.clone()) };
        if record.token_balance.min(record.tokens_used) < 0 {
            return Err(refuse(named, Reason::invalid("token_balance or tokens_used is below zero")));
        }
        match validate_record(self.ctx, &record) {
            Ok(user) => Ok(PendingUser {
                position,
                named,
                user,
                has_id: record.id.is_some(),
                lost_second_factor: record.second_factor && record.totp_secret.is_none(),
                missing: Vec::new(),
            }),
            Err(error) => Err(refuse(named, Reason::invalid(error.to_string()))),
        }
    }

    async fn store_batch(&mut self) -> Result<(), CliError> {
        let batch = self.take_new().await?;
        if batch.is_empty() {
            return self.report.flush();
        }
        let users: Vec<_> = batch.iter().map(|pending| pending.user.clone()).collect();
        match &mut self.dry_run {
            Some(dry_run) => {
                let taken = dry_run.check(self.ctx, &users).await?;
                for (pending, taken) in batch.into_iter().zip(taken) {
                    self.add(pending, taken)?;
                }
            }
            None => {
                let results = self.ctx.accounts.import_users(&users).await?;
                // They are stored, so all of them count, also if a line of the report cannot be written.
                let mut reported = Ok(());
                for (pending, result) in batch.into_iter().zip(results) {
                    let taken = match result {
                        Created::Created(_) => None,
                        Created::EmailTaken => Some(ReasonCode::EmailTaken),
                        Created::UsernameTaken => Some(ReasonCode::UsernameTaken),
                    };
                    let added = self.add(pending, taken);
                    reported = reported.and(added);
                }
                reported?;
            }
        }
        self.report.flush()
    }

    /// Takes the batch without the users who are there already, or twice in the batch.
    async fn take_new(&mut self) -> Result<Vec<PendingUser>, CliError> {
        let (ctx, batch) = (self.ctx, std::mem::take(&mut self.batch));
        let mut ids = HashSet::new();
        for some in batch.chunks(CONCURRENCY) {
            let look_up = |pending: &PendingUser| {
                let id = pending.has_id.then_some(pending.user.id);
                async move {
                    match id {
                        Some(id) => ctx.accounts.user(Find::Id(id)).await,
                        None => Ok(None),
                    }
                }
            };
            let found = try_join_all(some.iter().map(look_up)).await?;
            ids.extend(found.into_iter().flatten().map(|user| user.id));
        }
        if let Some(dry_run) = &self.dry_run {
            ids.extend(batch.iter().map(|pending| pending.user.id).filter(|id| dry_run.has_id(*id)));
        }
        let mut new = Vec::with_capacity(batch.len());
        for pending in batch {
            if ids.insert(pending.user.id) {
                new.push(pending);
            } else if self.options.from == ImportFrom::Signet {
                let (id, email) = (pending.user.id, &pending.user.email);
                let why = format!("{email}: a user has the id {id}");
                let reason = Reason::new(ReasonCode::IdTaken, "");
                self.report.leave_out(&pending.position, &pending.named, reason, why, false)?;
            } else {
                self.report.add_existing(&pending.position, &pending.named, &pending.missing)?;
            }
        }
        Ok(new)
    }

    /// Adds a user to the report who was created, or who was not because something is taken.
    fn add(&mut self, pending: PendingUser, taken: Option<ReasonCode>) -> Result<(), CliError> {
        let PendingUser { position, named, user, lost_second_factor, missing, .. } = pending;
        let Some(code) = taken else {
            let hash = user.password_hash.as_ref();
            let other_format = hash.is_some_and(|hash| !hash.0.starts_with("$argon2id$"));
            return self.report.add_imported(&position, &named, &missing, other_format, lost_second_factor);
        };
        let what = if code == ReasonCode::UsernameTaken { "username" } else { "address" };
        let why = format!("{}: another user has this {what}", user.email);
        self.report.leave_out(&position, &named, Reason::new(code, ""), why, false)
    }
}

fn refuse(named: Named, reason: Reason) -> Refused {
    let faulty = reason.code == ReasonCode::InvalidRecord;
    let what = match (faulty, reason.detail.as_str()) {
        (true, detail) => detail.to_owned(),
        (false, "") => reason.code.describe_one().to_owned(),
        (false, detail) => detail.to_owned(),
    };
    let why = match named.email.as_ref().or(named.id.as_ref()) {
        Some(name) => format!("{name}: {what}"),
        None => what,
    };
    Refused { named, reason, why, faulty }
}
