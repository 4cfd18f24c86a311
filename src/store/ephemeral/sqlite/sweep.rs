//! The sweep: what has expired leaves the file, a bounded portion at a time, found by index.
//!
//! Writes bring the time with them, so it is they that set it off; a store to which nobody writes does not grow. It
//! goes through the writer with nobody waiting for it, and follows at some distance: no caller whose `now` is a little
//! behind another's misses what it should see.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::clock::Timestamp;

/// How long what has expired is left lying.
const DISTANCE: Duration = Duration::from_secs(600);

/// How often a portion is swept. With [`PORTION`] it keeps up with some two thousand rows a second in each table.
const EVERY: Duration = Duration::from_millis(200);

/// How many rows of a table leave at once: a few milliseconds of the writer's time.
const PORTION: u32 = 500;

const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;

/// The first day that begins after a moment.
pub(super) fn day_after(moment: Timestamp) -> i64 {
    moment.millis().div_euclid(DAY).saturating_add(1)
}

/// The first hour that begins after a moment.
pub(super) fn hour_after(moment: Timestamp) -> i64 {
    moment.millis().div_euclid(HOUR).saturating_add(1)
}

/// When the next portion is due.
#[derive(Debug)]
pub(super) struct Schedule(AtomicI64);

impl Default for Schedule {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Schedule {
    /// A portion, if it is time for one; of any number of callers one gets it.
    pub(super) fn due(&self, now: Timestamp) -> Option<impl FnOnce(&Connection) -> rusqlite::Result<()> + use<>> {
        let due = self.0.load(Ordering::Relaxed);
        let next = (now + EVERY).millis();
        let mine =
            now.millis() >= due && self.0.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        mine.then_some(move |connection: &Connection| sweep(connection, now - DISTANCE))
    }
}

/// The moments by which the tables are swept: of the sweep itself, of the day and of the hour in which it falls.
#[derive(Clone, Copy)]
enum By {
    Moment,
    Hour,
    Day,
}

/// What is swept, each by its index.
const TABLES: [(By, &str); 5] = [
    (
        By::Day,
        "DELETE FROM sessions WHERE rowid IN
             (SELECT rowid FROM sessions WHERE sweep_on <= ?1 ORDER BY sweep_on LIMIT ?2)",
    ),
    (
        By::Hour,
        "DELETE FROM limits WHERE key IN
             (SELECT key FROM limits WHERE sweep_on <= ?1 ORDER BY sweep_on LIMIT ?2)",
    ),
    (
        By::Moment,
        "DELETE FROM sign_in_marks WHERE user_id IN
             (SELECT user_id FROM sign_in_marks WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    ),
    (
        By::Moment,
        "DELETE FROM wrong_tries WHERE subject IN
             (SELECT subject FROM wrong_tries WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    ),
    (
        By::Moment,
        "DELETE FROM claims WHERE (subject, purpose, id) IN
             (SELECT subject, purpose, id FROM claims WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    ),
];

/// Drops a portion of what had expired by `before`.
fn sweep(tx: &Connection, before: Timestamp) -> rusqlite::Result<()> {
    let moment = before.millis();
    for (by, sql) in TABLES {
        let limit = match by {
            By::Moment => moment,
            By::Hour => moment.div_euclid(HOUR),
            By::Day => moment.div_euclid(DAY),
        };
        tx.prepare_cached(sql)?.execute(params![limit, PORTION])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::SqliteEphemeral;
    use super::*;
    use crate::config::{Durability, Embedded};
    use crate::id::{SessionId, UserId};
    use crate::rng::Rng;
    use crate::store::Ephemeral;
    use crate::store::ephemeral::{Claim, Limit, Redeem, Session, SignOutScope};
    use crate::store::sqlite::Engine;

    const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
    const SPAN: Duration = Duration::from_secs(3600);

    fn store() -> (Arc<Engine>, SqliteEphemeral, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let engine =
            Engine::open(dir.path(), &Embedded { durability: Durability::Process, ..Embedded::default() }, NOW)
                .unwrap();
        (Arc::clone(&engine), SqliteEphemeral::new(engine), dir)
    }

    /// One row in each table, over within `SPAN`.
    async fn fill(store: &SqliteEphemeral, now: Timestamp) {
        let rng = Rng::system();
        let user = UserId::new(now, &rng);
        store.end_sessions(user, SignOutScope::All, Some(now), now, now).await.unwrap();
        let session = Session {
            id: SessionId::new(now, &rng),
            user,
            counter: 0,
            opened_at: now,
            used_at: now,
            rotated_at: now,
            idle: SPAN,
            ends_at: now + SPAN * 100,
            dialect: String::new(),
            address: String::new(),
            agent: String::new(),
            profile: String::new(),
        };
        store.open_session(&session, now, 100, now).await.unwrap();
        let limit = Limit { burst: 2, per: SPAN };
        store.take(&user.to_string(), limit, now).await.unwrap();
        put_claim(store, &user.to_string(), now).await;
        let subject = user.to_string();
        let wrong =
            Redeem { subject: &subject, purpose: "code", id: "", digest: [2; 32], daily_tries: 50, spend: true };
        store.redeem(wrong, now).await.unwrap();
    }

    async fn put_claim(store: &SqliteEphemeral, subject: &str, now: Timestamp) {
        let claim = Claim {
            subject: subject.to_owned(),
            purpose: "code",
            id: String::new(),
            digest: [1; 32],
            payload: Vec::new(),
            tries: 5,
            expires_at: now + SPAN,
        };
        store.put_claim(&claim, now).await.unwrap();
    }

    async fn rows(engine: &Engine) -> [i64; 5] {
        engine
            .write(|tx| {
                let count = |table| tx.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
                Ok([
                    count("sessions")?,
                    count("limits")?,
                    count("sign_in_marks")?,
                    count("wrong_tries")?,
                    count("claims")?,
                ])
            })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn what_is_over_leaves_every_table_and_what_is_not_stays() {
        let (engine, store, _dir) = store();
        fill(&store, NOW).await;
        let later = NOW + Duration::from_secs(3 * 86_400);
        fill(&store, later).await;
        // The first write of `later` swept what was of NOW, with nobody waiting; this one comes after it.
        assert_eq!(rows(&engine).await, [1, 1, 1, 1, 1]);
    }

    #[tokio::test]
    async fn what_is_just_over_is_left_for_callers_whose_clock_is_behind() {
        let (engine, store, _dir) = store();
        fill(&store, NOW).await;
        put_claim(&store, "later", NOW + SPAN + DISTANCE - Duration::from_millis(1)).await;
        assert_eq!(rows(&engine).await[4], 2);
        put_claim(&store, "later", NOW + SPAN + DISTANCE + EVERY).await;
        assert_eq!(rows(&engine).await[4], 1);
    }

    #[tokio::test]
    async fn a_sweep_takes_no_more_than_its_portion() {
        let (engine, store, _dir) = store();
        for which in 0..PORTION + 100 {
            put_claim(&store, &which.to_string(), NOW).await;
        }
        let later = NOW + SPAN * 48;
        put_claim(&store, "later", later).await;
        assert_eq!(rows(&engine).await[4], 101);
        put_claim(&store, "later", later + EVERY).await;
        assert_eq!(rows(&engine).await[4], 1);
    }

    #[tokio::test]
    async fn a_sweep_reads_no_live_row() {
        let (engine, _store, _dir) = store();
        for (_, sql) in TABLES {
            let plan: Vec<String> = engine
                .read(move |tx| {
                    tx.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?
                        .query_map(params![0, 0], |row| row.get("detail"))?
                        .collect()
                })
                .await
                .unwrap();
            assert!(plan.iter().any(|step| step.contains("_to_sweep")), "{sql}: {plan:?}");
            assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{sql}: {plan:?}");
        }
    }
}
