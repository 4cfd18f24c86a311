//! `signet migrate`: updates the schema of every configured store.

use super::CliError;
use super::output::{Columns, Output};
use crate::config::Config;
use crate::node::stores::{AppliedMigration, migrate};

const COLUMNS: Columns<AppliedMigration> = &[
    ("store", |migration| migration.store.to_owned()),
    ("number", |migration| migration.number.to_string()),
    ("applied", |migration| migration.name.to_owned()),
    ("effect", |migration| migration.effect.to_owned()),
    ("oldest reader", |migration| migration.oldest_reader.to_string()),
];

pub(super) async fn run(config: &Config, output: &mut Output<'_>) -> Result<(), CliError> {
    output.rows(&migrate(config).await?, COLUMNS)
}
