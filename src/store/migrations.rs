//! The migrations of both engines, and the rule for which of them a database still needs.
//!
//! Migrations are only ever added. Each applied one is recorded with a checksum, so that a changed text, or a schema
//! newer than the program, is refused before the database is touched. Knows nothing of how an engine locks or applies.

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
}

/// Declares the migrations of an engine, in order.
macro_rules! migrations {
    ($engine:literal: $($number:literal $name:literal $file:literal;)*) => {
        &[$(Migration {
            number: $number,
            name: $name,
            sql: include_str!(concat!("../../migrations/", $engine, "/", $file)),
        }),*]
    };
}

pub(super) const POSTGRES: &[Migration] = migrations! { "postgres":
    1 "accounts" "0001_accounts.sql";
    2 "endings" "0002_endings.sql";
    3 "custom_claims" "0003_custom_claims.sql";
    4 "user_search" "0004_user_search.sql";
};

pub(super) const SQLITE: &[Migration] = migrations! { "sqlite":
    1 "accounts" "0001_accounts.sql";
    2 "ephemeral" "0002_ephemeral.sql";
    3 "endings" "0003_endings.sql";
    4 "auth_time" "0004_auth_time.sql";
    5 "known_networks" "0005_known_networks.sql";
    6 "custom_claims" "0006_custom_claims.sql";
    7 "revocation_epoch" "0007_revocation_epoch.sql";
    8 "user_search" "0008_user_search.sql";
    9 "followers" "0009_followers.sql";
    10 "events" "0010_events.sql";
    11 "idempotency" "0011_idempotency.sql";
};

impl Migration {
    /// SHA-256 of the text, in hexadecimal.
    pub fn checksum(&self) -> String {
        hex(&sha256(self.sql.as_bytes()))
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
}

/// The migrations that a database still needs, given those it has in the order of their numbers. Refuses a schema that
/// is newer than the program, was changed, or has a gap.
pub fn pending<'a>(
    store: &'static str,
    known: &'a [Migration],
    applied: &[AppliedMigration],
) -> Result<&'a [Migration]> {
    let corrupt = |detail| Err(Error::Corrupt { store, detail });
    if let Some(newer) = applied.get(known.len()) {
        let (number, name, known) = (newer.number, &newer.name, known.len());
        return corrupt(format!(
            "its schema has migration {number} ({name}), but this program knows only {known}; run the newer signet"
        ));
    }
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
    Ok(&known[applied.len()..])
}

/// Checks that a schema has every migration that this program needs. A running program accepts newer migrations,
/// because it is the old half of a rolling upgrade. Only a start refuses them, by [`pending`].
pub fn require_all(store: &'static str, known: &[Migration], applied: &[AppliedMigration]) -> Result<()> {
    match pending(store, known, &applied[..applied.len().min(known.len())])? {
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
        Migration { number: 1, name: "one", sql: "CREATE 1" },
        Migration { number: 2, name: "two", sql: "CREATE 2" },
        Migration { number: 3, name: "three", sql: "CREATE 3" },
    ];

    fn applied(number: i32, sql: &'static str) -> AppliedMigration {
        AppliedMigration { number, name: "any".to_owned(), checksum: Migration { number, name: "any", sql }.checksum() }
    }

    fn numbers(known: &[Migration], applied: &[AppliedMigration]) -> std::result::Result<Vec<i32>, String> {
        let pending = pending("a store", known, applied).map_err(|error| error.to_string())?;
        Ok(pending.iter().map(|migration| migration.number).collect())
    }

    #[test]
    fn unapplied_migrations_are_pending() {
        assert_eq!(numbers(&KNOWN, &[]), Ok(vec![1, 2, 3]));
        assert_eq!(numbers(&KNOWN, &[applied(1, "CREATE 1")]), Ok(vec![2, 3]));
        let all = [applied(1, "CREATE 1"), applied(2, "CREATE 2"), applied(3, "CREATE 3")];
        assert_eq!(numbers(&KNOWN, &all), Ok(vec![]));
    }

    #[test]
    fn running_program_accepts_newer_schema_but_not_older() {
        let newer = [applied(1, "CREATE 1"), applied(2, "CREATE 2")];
        assert!(require_all("a store", &KNOWN[..1], &newer).is_ok());
        assert!(require_all("a store", &KNOWN[..2], &newer).is_ok());
        assert!(require_all("a store", &KNOWN, &newer).unwrap_err().to_string().contains("signet migrate"));
    }

    #[test]
    fn newer_changed_or_gapped_schema_is_refused() {
        let newer = numbers(&KNOWN[..1], &[applied(1, "CREATE 1"), applied(2, "CREATE 2")]).unwrap_err();
        assert!(newer.contains("newer signet"), "{newer}");
        let changed = numbers(&KNOWN, &[applied(1, "CREATE 1 "), applied(2, "CREATE 2")]).unwrap_err();
        assert!(changed.contains("migration 1"), "{changed}");
        let gap = numbers(&KNOWN, &[applied(1, "CREATE 1"), applied(3, "CREATE 3")]).unwrap_err();
        assert!(gap.contains("migration 2 (two)"), "{gap}");
    }
}
