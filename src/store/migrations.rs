//! The migrations of both engines, and the rules for which of them a database still needs and which programs can work on
//! it.
//!
//! Migrations are only ever added. Each applied one is recorded with a checksum, so that a changed text is refused
//! before the database is touched. It is also recorded which programs can work on the schema that it leaves, because
//! programs of the previous release work on the schema of the next one while a fleet is upgraded, and after it was
//! rolled back. Knows nothing of how an engine locks or applies.

use crate::encoding::{hex, sha256};

use super::{Error, Result};

/// One migration. The text is in `migrations/<engine>/<number>_<name>.sql` and compiled into the program.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Counted from 1 without gaps.
    pub number: i32,
    /// A short description.
    pub name: &'static str,
    /// The text to execute.
    pub sql: &'static str,
    /// The effect on programs that do not know it.
    pub effect: Effect,
}

/// The effect of a migration on the programs that do not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// They go on working: it only adds what they need neither read nor write.
    Expand,
    /// It removes or changes something. Only programs that know this migration, and therefore do not use what it
    /// removes, go on working. The previous release must know it.
    Contract {
        /// The number of that migration.
        oldest_reader: i32,
    },
}

/// Declares the migrations of an engine, in order.
macro_rules! migrations {
    ($engine:literal: $($number:literal $name:literal $file:literal $effect:ident $(($oldest:literal))?;)*) => {
        &[$(Migration {
            number: $number,
            name: $name,
            sql: include_str!(concat!("../../migrations/", $engine, "/", $file)),
            effect: migrations!(@ $effect $($oldest)?),
        }),*]
    };
    (@ expand) => { Effect::Expand };
    (@ contract $oldest:literal) => { Effect::Contract { oldest_reader: $oldest } };
}

pub(super) const POSTGRES: &[Migration] = migrations! { "postgres":
    // The programs of the time of the first four refused every schema that was newer, whatever it changed.
    1 "accounts" "0001_accounts.sql" contract(1);
    2 "endings" "0002_endings.sql" contract(2);
    3 "custom_claims" "0003_custom_claims.sql" contract(3);
    4 "user_search" "0004_user_search.sql" contract(4);
};

pub(super) const SQLITE: &[Migration] = migrations! { "sqlite":
    // The programs of the time of the first eleven refused every schema that was newer, whatever it changed.
    1 "accounts" "0001_accounts.sql" contract(1);
    2 "ephemeral" "0002_ephemeral.sql" contract(2);
    3 "endings" "0003_endings.sql" contract(3);
    4 "auth_time" "0004_auth_time.sql" contract(4);
    5 "known_networks" "0005_known_networks.sql" contract(5);
    6 "custom_claims" "0006_custom_claims.sql" contract(6);
    7 "revocation_epoch" "0007_revocation_epoch.sql" contract(7);
    8 "user_search" "0008_user_search.sql" contract(8);
    9 "followers" "0009_followers.sql" contract(9);
    10 "events" "0010_events.sql" contract(10);
    11 "idempotency" "0011_idempotency.sql" contract(11);
};

impl Migration {
    /// SHA-256 of the text, in hexadecimal.
    pub fn checksum(&self) -> String {
        hex(&sha256(self.sql.as_bytes()))
    }

    /// The number of the migration that a program must know to work on the schema that this one leaves; 0 if it need not
    /// know any. Recorded in the database.
    pub fn oldest_reader(&self) -> i32 {
        match self.effect {
            Effect::Expand => 0,
            Effect::Contract { oldest_reader } => oldest_reader,
        }
    }
}

/// A row of `signet_migrations`: a migration that a database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedMigration {
    /// See [`Migration::number`].
    pub number: i32,
    /// See [`Migration::name`].
    pub name: String,
    /// See [`Migration::checksum`].
    pub checksum: String,
    /// See [`Migration::oldest_reader`]. Absent if a program applied it that did not record this yet.
    pub oldest_reader: Option<i32>,
}

impl AppliedMigration {
    /// Without a record, only programs that know the migration itself can be trusted to work on what it leaves.
    fn oldest_reader(&self) -> i32 {
        self.oldest_reader.unwrap_or(self.number)
    }
}

/// The schema of a database, and what this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The number of the newest migration that the database has; 0 if it has none.
    pub number: i32,
    /// The number of the newest migration that this program knows.
    pub known: i32,
    /// The number of the migration that a program must know to work on the schema.
    pub oldest_reader: i32,
}

impl Schema {
    /// Compares a database with a program.
    pub fn of(known: &[Migration], applied: &[AppliedMigration]) -> Self {
        Self {
            number: applied.last().map_or(0, |migration| migration.number),
            known: known.last().map_or(0, |migration| migration.number),
            oldest_reader: applied.iter().map(AppliedMigration::oldest_reader).max().unwrap_or(0),
        }
    }
}

/// The result of bringing a schema up to date.
#[derive(Clone, Copy, Debug)]
pub struct Migrated {
    /// The migrations that were applied.
    pub applied: &'static [Migration],
    /// The schema that the database has now.
    pub schema: Schema,
}

/// The migrations that a database still needs, given those it has in the order of their numbers; none if it has newer
/// ones. Refuses a schema that was changed, has a gap, or is newer and says that this program cannot work on it.
pub fn pending<'a>(
    store: &'static str,
    known: &'a [Migration],
    applied: &[AppliedMigration],
) -> Result<&'a [Migration]> {
    let corrupt = |detail| Err(Error::Corrupt { store, detail });
    for (known, applied) in known.iter().zip(applied) {
        let (number, name) = (applied.number, &applied.name);
        if number != known.number {
            return corrupt(format!(
                "its schema lacks migration {} ({}), although it has {number}",
                known.number, known.name
            ));
        }
        if applied.checksum != known.checksum() {
            return corrupt(format!(
                "migration {number} ({name}) of its schema differs from the one that this program knows"
            ));
        }
    }
    let newest_known = Schema::of(known, applied).known;
    if let Some(newer) = applied.iter().find(|applied| applied.oldest_reader() > newest_known) {
        let why = match newer.oldest_reader {
            Some(oldest) => format!("only programs that know migration {oldest} can work on it"),
            None => "it does not say that older programs can work on it".to_owned(),
        };
        return corrupt(format!(
            "its schema has migration {} ({}), but this program knows only {newest_known}, and {why}; run the newer \
             signet, or restore a backup from before the upgrade",
            newer.number, newer.name
        ));
    }
    Ok(known.get(applied.len()..).unwrap_or_default())
}

/// Checks that a schema has every migration that this program needs, and that this program can work on it.
pub fn require_all(store: &'static str, known: &[Migration], applied: &[AppliedMigration]) -> Result<()> {
    match pending(store, known, applied)? {
        [] => Ok(()),
        [first, ..] => Err(Error::Corrupt {
            store,
            detail: format!("migration {} ({}) is pending: run `signet migrate`", first.number, first.name),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Migration; 3] = [
        Migration { number: 1, name: "one", sql: "CREATE 1", effect: Effect::Contract { oldest_reader: 1 } },
        Migration { number: 2, name: "two", sql: "CREATE 2", effect: Effect::Expand },
        Migration { number: 3, name: "three", sql: "DROP 1", effect: Effect::Contract { oldest_reader: 2 } },
    ];

    /// The rows of a database to which a program has applied this many migrations.
    fn applied(count: usize) -> Vec<AppliedMigration> {
        let row = |migration: &Migration| AppliedMigration {
            number: migration.number,
            name: migration.name.to_owned(),
            checksum: migration.checksum(),
            oldest_reader: Some(migration.oldest_reader()),
        };
        KNOWN[..count].iter().map(row).collect()
    }

    fn numbers(known: &[Migration], applied: &[AppliedMigration]) -> std::result::Result<Vec<i32>, String> {
        let pending = pending("a store", known, applied).map_err(|error| error.to_string())?;
        Ok(pending.iter().map(|migration| migration.number).collect())
    }

    #[test]
    fn unapplied_migrations_are_pending() {
        assert_eq!(numbers(&KNOWN, &[]), Ok(vec![1, 2, 3]));
        assert_eq!(numbers(&KNOWN, &applied(1)), Ok(vec![2, 3]));
        assert_eq!(numbers(&KNOWN, &applied(3)), Ok(vec![]));
        assert!(require_all("a store", &KNOWN, &applied(2)).unwrap_err().to_string().contains("signet migrate"));
        assert!(require_all("a store", &KNOWN, &applied(3)).is_ok());
    }

    #[test]
    fn older_program_works_on_a_schema_that_was_expanded() {
        assert_eq!(numbers(&KNOWN[..1], &applied(2)), Ok(vec![]));
        assert!(require_all("a store", &KNOWN[..1], &applied(2)).is_ok());
        assert_eq!(Schema::of(&KNOWN[..1], &applied(2)), Schema { number: 2, known: 1, oldest_reader: 1 });
    }

    #[test]
    fn contracted_schema_needs_a_program_that_knows_enough() {
        assert_eq!(numbers(&KNOWN[..2], &applied(3)), Ok(vec![]));
        let refusal = numbers(&KNOWN[..1], &applied(3)).unwrap_err();
        assert!(refusal.contains("migration 3 (three)") && refusal.contains("know migration 2"), "{refusal}");
        assert!(refusal.contains("run the newer signet"), "{refusal}");
        assert!(require_all("a store", &KNOWN[..1], &applied(3)).is_err());
    }

    #[test]
    fn newer_migration_without_a_record_is_refused() {
        let mut rows = applied(2);
        rows[1].oldest_reader = None;
        assert_eq!(numbers(&KNOWN[..2], &rows), Ok(vec![]));
        let refusal = numbers(&KNOWN[..1], &rows).unwrap_err();
        assert!(refusal.contains("migration 2 (two)") && refusal.contains("does not say"), "{refusal}");
    }

    #[test]
    fn changed_or_gapped_schema_is_refused() {
        let mut changed = applied(2);
        changed[0].checksum.clear();
        let refusal = numbers(&KNOWN, &changed).unwrap_err();
        assert!(refusal.contains("migration 1"), "{refusal}");
        let mut gap = applied(3);
        gap.remove(1);
        let refusal = numbers(&KNOWN, &gap).unwrap_err();
        assert!(refusal.contains("migration 2 (two)"), "{refusal}");
    }

    #[test]
    fn migrations_are_numbered_and_name_a_program_that_exists() {
        for (engine, migrations) in [("postgres", POSTGRES), ("sqlite", SQLITE)] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), migrations.len(), "{engine}");
            for (migration, number) in migrations.iter().zip(1..) {
                assert_eq!(migration.number, number, "{engine}");
                assert!(folder.join(format!("{number:04}_{}.sql", migration.name)).exists(), "{engine} {number}");
                assert!(migration.oldest_reader() <= number, "{engine} {number}");
                if migration.effect == Effect::Expand {
                    assert_eq!(statement_that_breaks_older_programs(migration.sql), None, "{engine} {number}");
                }
            }
        }
    }

    /// The first statement that may break a program which does not know it. A new column must have a default or be
    /// nullable, because an older program inserts rows without it; a unique index can refuse what it inserts.
    fn statement_that_breaks_older_programs(sql: &str) -> Option<String> {
        let lines: Vec<_> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
        let statements = lines.join(" ").split(';').map(|statement| statement.to_uppercase()).collect::<Vec<_>>();
        let is_harmless = |statement: &str| {
            let words: Vec<_> = statement.split_whitespace().collect();
            match words[..] {
                [] | ["INSERT", ..] | ["CREATE", "TABLE" | "INDEX", ..] => true,
                ["ALTER", "TABLE", _, "ADD", "COLUMN", _, ref column @ ..] => {
                    !column.contains(&"CHECK")
                        && !column.contains(&"UNIQUE")
                        && (!column.contains(&"NOT") || column.contains(&"DEFAULT"))
                        && !column.iter().any(|word| matches!(*word, "DROP" | "ALTER" | "RENAME"))
                }
                _ => false,
            }
        };
        statements.into_iter().map(|text| text.trim().to_owned()).find(|statement| !is_harmless(statement))
    }

    #[test]
    fn only_additions_expand_a_schema() {
        for harmless in [
            "-- a comment; DROP\nALTER TABLE users ADD COLUMN a text;",
            "ALTER TABLE users ADD COLUMN a bigint NOT NULL DEFAULT 0; CREATE INDEX i ON users (a)",
            "CREATE TABLE other (id uuid PRIMARY KEY, a text NOT NULL UNIQUE); INSERT INTO other VALUES (1, '')",
        ] {
            assert_eq!(statement_that_breaks_older_programs(harmless), None);
        }
        for harmful in [
            "ALTER TABLE users ADD COLUMN a text NOT NULL",
            "ALTER TABLE users ADD COLUMN a text UNIQUE",
            "ALTER TABLE users DROP COLUMN email",
            "ALTER TABLE users ADD COLUMN a text, DROP COLUMN email",
            "ALTER TABLE users RENAME COLUMN email TO address",
            "ALTER TABLE users ADD CONSTRAINT c CHECK (a > 0)",
            "CREATE UNIQUE INDEX i ON users (a)",
            "DROP INDEX i",
            "UPDATE users SET a = 1",
            "CREATE TABLE other (a text); DROP TABLE users",
        ] {
            assert!(statement_that_breaks_older_programs(harmful).is_some(), "{harmful}");
        }
    }
}
