//! Which steps bring a schema to the form that this program knows: one rule for both engines.
//!
//! A step has a number, a name and its text. Steps are only ever added: what was applied is recorded with a checksum, so that a
//! text that was changed afterwards, or a schema that is ahead of the program, is refused before anything is touched.
//! Knows nothing of how an engine locks, applies or records.

use aws_lc_rs::digest::{SHA256, digest};

use super::{Error, Result};

/// One step. The texts stand in `migrations/<engine>/<number>_<name>.sql` and are part of the program.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Counted from 1 without gaps.
    pub number: i32,
    /// What it does, in few words.
    pub name: &'static str,
    /// What is executed.
    pub sql: &'static str,
}

impl Migration {
    /// SHA-256 of the text, in hexadecimal.
    pub fn checksum(&self) -> String {
        digest(&SHA256, self.sql.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A step as a store has recorded it: a row of `signet_migrations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// See [`Migration::number`].
    pub number: i32,
    /// See [`Migration::name`].
    pub name: String,
    /// See [`Migration::checksum`].
    pub checksum: String,
}

/// The steps that are still to be applied, given those recorded in the order of their numbers. Refuses a schema that is not
/// a beginning of what this program knows: newer, changed, or with a hole in it.
pub fn pending<'a>(store: &'static str, known: &'a [Migration], recorded: &[Recorded]) -> Result<&'a [Migration]> {
    let corrupt = |detail| Err(Error::Corrupt { store, detail });
    if let Some(newer) = recorded.get(known.len()) {
        let (number, name, known) = (newer.number, &newer.name, known.len());
        return corrupt(format!(
            "its schema has step {number} ({name}), this program knows {known}: a newer signet has been here, run that one"
        ));
    }
    for (known, recorded) in known.iter().zip(recorded) {
        let (number, name) = (recorded.number, &recorded.name);
        if number != known.number {
            return corrupt(format!(
                "step {} ({}) of its schema is missing, but {number} is there",
                known.number, known.name
            ));
        }
        if recorded.checksum != known.checksum() {
            return corrupt(format!(
                "step {number} ({name}) of its schema is not the one this program knows by that number"
            ));
        }
    }
    Ok(&known[recorded.len()..])
}

/// Whether the schema has every step that this program knows. Steps that it does not know yet are no fault in a program that
/// runs already: it is the old half of a rolling upgrade. Only a start refuses them, by [`pending`].
pub fn sufficient(store: &'static str, known: &[Migration], recorded: &[Recorded]) -> Result<()> {
    match pending(store, known, &recorded[..recorded.len().min(known.len())])? {
        [] => Ok(()),
        [first, ..] => Err(Error::Corrupt {
            store,
            detail: format!("step {} ({}) of its schema is due: run `signet migrate`", first.number, first.name),
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

    fn recorded(number: i32, sql: &'static str) -> Recorded {
        Recorded { number, name: "any".to_owned(), checksum: Migration { number, name: "any", sql }.checksum() }
    }

    fn numbers(known: &[Migration], recorded: &[Recorded]) -> std::result::Result<Vec<i32>, String> {
        let pending = pending("a store", known, recorded).map_err(|error| error.to_string())?;
        Ok(pending.iter().map(|step| step.number).collect())
    }

    #[test]
    fn what_is_not_recorded_is_pending() {
        assert_eq!(numbers(&KNOWN, &[]), Ok(vec![1, 2, 3]));
        assert_eq!(numbers(&KNOWN, &[recorded(1, "CREATE 1")]), Ok(vec![2, 3]));
        let all = [recorded(1, "CREATE 1"), recorded(2, "CREATE 2"), recorded(3, "CREATE 3")];
        assert_eq!(numbers(&KNOWN, &all), Ok(vec![]));
    }

    #[test]
    fn a_running_program_bears_a_newer_schema_but_no_older_one() {
        let steps = [recorded(1, "CREATE 1"), recorded(2, "CREATE 2")];
        assert!(sufficient("a store", &KNOWN[..1], &steps).is_ok());
        assert!(sufficient("a store", &KNOWN[..2], &steps).is_ok());
        assert!(sufficient("a store", &KNOWN, &steps).unwrap_err().to_string().contains("signet migrate"));
    }

    #[test]
    fn a_schema_that_is_not_a_beginning_is_refused() {
        let newer = numbers(&KNOWN[..1], &[recorded(1, "CREATE 1"), recorded(2, "CREATE 2")]).unwrap_err();
        assert!(newer.contains("newer signet"), "{newer}");
        let changed = numbers(&KNOWN, &[recorded(1, "CREATE 1 "), recorded(2, "CREATE 2")]).unwrap_err();
        assert!(changed.contains("step 1"), "{changed}");
        let hole = numbers(&KNOWN, &[recorded(1, "CREATE 1"), recorded(3, "CREATE 3")]).unwrap_err();
        assert!(hole.contains("step 2 (two)"), "{hole}");
    }
}
