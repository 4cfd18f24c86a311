//! Deletes expired rows, one bounded batch at a time, found by index.
//!
//! Writes trigger the sweep, because they know the time; a store without writes does not grow. A sweep runs in the
//! background of the writer and deletes only rows that expired some time ago, so that a caller whose `now` is a little
//! behind another's still finds what is valid for it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::clock::Timestamp;

/// How long expired rows are kept.
const DELAY: Duration = Duration::from_secs(600);

/// The time between batches. With [`BATCH`] the sweep keeps up with some 2,000 rows a second in each table.
const INTERVAL: Duration = Duration::from_millis(200);

/// The number of rows of a table in one batch: a few milliseconds of the writer's time.
const BATCH: u32 = 500;

const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;

/// The first day that begins after `moment`.
pub(super) fn day_after(moment: Timestamp) -> i64 {
    moment.millis().div_euclid(DAY).saturating_add(1)
}

/// The first hour that begins after `moment`.
pub(super) fn hour_after(moment: Timestamp) -> i64 {
    moment.millis().div_euclid(HOUR).saturating_add(1)
}

/// When the next batch is due.
#[derive(Debug)]
pub(super) struct Schedule(AtomicI64);

impl Default for Schedule {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Schedule {
    /// Returns a batch if one is due. Of any number of concurrent callers one gets it.
    pub(super) fn take_due(&self, now: Timestamp) -> Option<impl FnOnce(&Connection) -> rusqlite::Result<()> + use<>> {
        let due = self.0.load(Ordering::Relaxed);
        let next = (now + INTERVAL).millis();
        let is_ours =
            now.millis() >= due && self.0.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        is_ours.then_some(move |connection: &Connection| sweep(connection, now - DELAY))
    }
}

/// The unit of the column by which a table is swept.
#[derive(Clone, Copy)]
enum SweepBy {
    Millisecond,
    Hour,
    Day,
}

/// The statement that sweeps each table, by an index.
const STATEMENTS: [(SweepBy, &str); 8] = [
    (
        SweepBy::Day,
        "DELETE FROM sessions WHERE rowid IN
             (SELECT rowid FROM sessions WHERE sweep_on <= ?1 ORDER BY sweep_on LIMIT ?2)",
    ),
    (
        SweepBy::Hour,
        "DELETE FROM limits WHERE key IN
             (SELECT key FROM limits WHERE sweep_on <= ?1 ORDER BY sweep_on LIMIT ?2)",
    ),
    (
        SweepBy::Millisecond,
        "DELETE FROM sign_in_marks WHERE user_id IN
             (SELECT user_id FROM sign_in_marks WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    ),
    (
        SweepBy::Millisecond,
        "DELETE FROM wrong_tries WHERE subject IN
             (SELECT subject FROM wrong_tries WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    ),
    (
        SweepBy::Millisecond,
        "DELETE FROM claims WHERE (subject, purpose, id) IN
             (SELECT subject, purpose, id FROM claims WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    ),
    (
        SweepBy::Millisecond,
        "DELETE FROM idempotency_keys WHERE key IN
             (SELECT key FROM idempotency_keys WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    ),
    (
        SweepBy::Millisecond,
        "DELETE FROM known_networks WHERE (user_id, network) IN
             (SELECT user_id, network FROM known_networks WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    ),
    (
        SweepBy::Millisecond,
        "DELETE FROM events WHERE place IN
             (SELECT place FROM events WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    ),
];

/// Deletes a batch of the rows that had expired by `before`.
fn sweep(tx: &Connection, before: Timestamp) -> rusqlite::Result<()> {
    let moment = before.millis();
    for (by, sql) in STATEMENTS {
        let limit = match by {
            SweepBy::Millisecond => moment,
            SweepBy::Hour => moment.div_euclid(HOUR),
            SweepBy::Day => moment.div_euclid(DAY),
        };
        tx.prepare_cached(sql)?.execute(params![limit, BATCH])?;
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
    use crate::store::Operation;
    use crate::store::ephemeral::{
        Claim, ClaimKey, EventBounds, EventClass, EventScope, IdempotentRequest, KNOWN_NETWORK_TTL, Limit, NewEvent,
        OnMatch, RedeemRequest, Session, SignOutScope,
    };
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

    /// Writes one row to each table, which expires within `SPAN`.
    async fn fill(store: &SqliteEphemeral, now: Timestamp) {
        let rng = Rng::system();
        let user = UserId::new(now, &rng);
        store.end_sessions(user, SignOutScope::All, Some(now), now, now).await.unwrap();
        let session = Session {
            id: SessionId::new(now, &rng),
            user,
            counter: 0,
            opened_at: now,
            auth_time: now,
            used_at: now,
            rotated_at: now,
            idle_timeout: SPAN,
            ends_at: now + SPAN * 100,
            dialect: String::new(),
            client_ip: String::new(),
            user_agent: String::new(),
            claims: String::new(),
            custom_claims: String::new(),
        };
        store.open_session(&session, "192.0.2.1", now, 100, now).await.unwrap();
        let limit = Limit { burst: 2, per: SPAN };
        store.take_permit(&user.to_string(), limit, now).await.unwrap();
        store_claim(store, &user.to_string(), now).await;
        let subject = user.to_string();
        let key = key(&subject);
        let wrong = RedeemRequest { key: &key, digest: [2; 32], daily_attempts: 50, on_match: OnMatch::Hold };
        store.redeem(wrong, now).await.unwrap();
        let request = IdempotentRequest { key: &subject, fingerprint: [3; 32] };
        store.reserve_idempotency_key(request, now + SPAN, now).await.unwrap();
        let event = NewEvent { class: EventClass::Action, text: "{}" };
        let bounds = EventBounds { count: 10, keep: SPAN };
        store.append_events(EventScope::Fleet, &[event], bounds, now).await.unwrap();
    }

    fn key(subject: &str) -> ClaimKey {
        ClaimKey { subject: subject.to_owned(), purpose: "code", id: String::new() }
    }

    async fn store_claim(store: &SqliteEphemeral, subject: &str, now: Timestamp) {
        let claim =
            Claim { key: key(subject), digest: [1; 32], payload: Vec::new(), attempts: 5, expires_at: now + SPAN };
        store.store_claim(&claim, now).await.unwrap();
    }

    async fn rows(engine: &Engine) -> [i64; 8] {
        engine
            .write(Operation::CheckEphemeral, |tx| {
                let count = |table| tx.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
                Ok([
                    count("sessions")?,
                    count("limits")?,
                    count("sign_in_marks")?,
                    count("wrong_tries")?,
                    count("claims")?,
                    count("idempotency_keys")?,
                    count("known_networks")?,
                    count("events")?,
                ])
            })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn expired_rows_leave_every_table_and_live_rows_stay() {
        let (engine, store, _dir) = store();
        fill(&store, NOW).await;
        let later = NOW + KNOWN_NETWORK_TTL + Duration::from_secs(3 * 86_400);
        fill(&store, later).await;
        // The first write of `later` scheduled the sweep of the rows of NOW; this read comes after it.
        assert_eq!(rows(&engine).await, [1, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[tokio::test]
    async fn recently_expired_rows_stay_for_slow_clocks() {
        let (engine, store, _dir) = store();
        fill(&store, NOW).await;
        store_claim(&store, "later", NOW + SPAN + DELAY - Duration::from_millis(1)).await;
        assert_eq!(rows(&engine).await[4], 2);
        store_claim(&store, "later", NOW + SPAN + DELAY + INTERVAL).await;
        assert_eq!(rows(&engine).await[4], 1);
    }

    #[tokio::test]
    async fn sweep_deletes_at_most_one_batch() {
        let (engine, store, _dir) = store();
        for number in 0..BATCH + 100 {
            store_claim(&store, &number.to_string(), NOW).await;
        }
        let later = NOW + SPAN * 48;
        store_claim(&store, "later", later).await;
        assert_eq!(rows(&engine).await[4], 101);
        store_claim(&store, "later", later + INTERVAL).await;
        assert_eq!(rows(&engine).await[4], 1);
    }

    #[tokio::test]
    async fn sweep_reads_no_live_row() {
        let (engine, _store, _dir) = store();
        for (_, sql) in STATEMENTS {
            let plan: Vec<String> = engine
                .read(Operation::CheckEphemeral, move |tx| {
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
