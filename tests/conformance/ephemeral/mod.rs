//! The cases of the [`Ephemeral`] role. Each starts with an empty store, moves time only through `now`, and observes
//! the store only through the trait.

mod attempts;
mod claims;
mod end_sessions;
mod events;
mod fleet;
mod followers;
mod held_claims;
mod idempotency;
mod known_networks;
mod rate_limits;
mod revocations;
mod session_claims;
mod session_limit;
mod sessions;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::conformance::Follow;
use signet::clock::Timestamp;
use signet::id::{SessionId, UserId};
use signet::store::Ephemeral;
use signet::store::ephemeral::redis::Redis;
use signet::store::ephemeral::{
    Cursor, Opened, Revocation, RotateRequest, Rotation, Session, SessionConditions, SessionSnapshot, Target,
};
use uuid::Uuid;

use super::run_concurrently;

/// A store under test.
type Store = Arc<dyn Ephemeral>;

type Case = fn(Store) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! suite {
    ($($file:ident { $($case:ident)+ })+) => {
        /// Every case with its name, for a store that is too expensive to create for each.
        const CASES: &[(&str, Case)] = &[$($((stringify!($case), |store| Box::pin($file::$case(store)))),+),+];

        /// Defines a test of every case. `$empty_store` is an `async fn` that returns an empty store and a guard that
        /// must live as long as the test.
        macro_rules! test_every_case {
            ($empty_store:path) => {
                $($(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                    async fn $case() {
                        let (store, _guard) = $empty_store().await;
                        super::$file::$case(store).await;
                    }
                )+)+
            };
        }
    };
}

suite! {
    sessions {
        opened_session_is_read_back_unchanged
        concurrently_opened_sessions_all_exist
        one_of_many_concurrent_rotations_wins
        replay_is_allowed_only_within_the_grace
        zero_grace_allows_no_replay
        concurrent_late_replays_are_all_refused
        token_two_behind_is_reuse_even_within_the_grace
        reuse_ends_the_session_and_is_published
        token_ahead_of_the_store_is_accepted
        refresh_without_rotation_keeps_counter_and_lifetime
        session_of_a_dialect_that_is_not_accepted_is_not_found
        session_without_the_required_text_is_left_unchanged
        reuse_is_detected_whatever_the_conditions
        session_expires_after_the_idle_timeout
        session_expires_at_its_absolute_expiry
        session_opened_before_not_before_is_not_found
        session_belongs_to_one_user
        sessions_are_listed_newest_first_until_they_expire
    }
    session_claims {
        only_the_claims_of_open_sessions_are_replaced
        replacing_claims_extends_no_session
        ended_sessions_get_no_claims
        concurrent_claims_changes_leave_one_result
        concurrent_rotation_and_claims_change_both_apply
        concurrent_claims_change_revives_no_ended_session
    }
    end_sessions {
        ending_one_session_keeps_the_others
        ending_the_other_sessions_keeps_this_one
        ending_all_sessions_publishes_one_user_revocation
        ending_all_covers_sessions_opened_by_a_clock_ahead
        mark_expires_by_now_and_not_by_opened_at
        expired_sessions_are_not_ended_again
        sign_in_under_way_is_superseded
        sign_in_mark_never_decreases
        no_concurrent_sign_in_survives_ending_all
        no_concurrent_refresh_survives_ending_all
    }
    session_limit {
        oldest_sessions_beyond_the_limit_end
        lowered_limit_ends_all_sessions_beyond_it
        opened_session_stays_despite_clock_skew
        expired_sessions_do_not_count
        superseded_sign_in_ends_no_session
        concurrently_opened_sessions_respect_the_limit
    }
    revocations {
        every_target_is_read_back_as_published
        each_follower_has_its_own_cursor
        all_followers_see_one_order
        follow_returns_at_most_a_thousand
        positions_increase_and_stay_the_same
        position_after_forgetting_is_that_of_the_last_entry
        time_of_a_store_is_no_callers_time
        waiting_follower_wakes_on_publish
        follow_returns_after_its_maximum_wait
        forgotten_revocations_are_not_followed
        follower_continues_after_its_entries_are_forgotten
        nodes_report_what_they_have_applied
    }
    claims {
        correct_secret_redeems_a_claim_once
        wrong_attempts_use_up_a_claim
        concurrent_guesses_are_counted_before_comparison
        daily_cap_spans_purposes
        concurrent_guesses_stay_under_the_daily_cap
        correct_attempt_does_not_count_against_the_day
        replacing_a_claim_resets_its_attempts
        claims_are_independent
        claim_expires
        checked_claim_can_still_be_consumed
        checking_costs_neither_claim_nor_day
        one_of_many_concurrent_consumers_wins
        peeking_is_not_an_attempt
        peeking_finds_no_dead_claim
        deleting_a_claim_keeps_its_wrong_attempts
    }
    held_claims {
        held_claim_is_not_found_until_it_is_released
        one_of_many_concurrent_callers_holds_a_claim
        released_claim_has_the_attempts_and_time_it_had_left
        released_claim_does_not_replace_a_newer_one
        only_held_claims_are_released
    }
    attempts {
        concurrent_attempts_stay_within_the_daily_limit
        attempts_and_wrong_claims_share_the_day
        each_refunded_attempt_allows_one_more
        refunds_never_go_below_zero
        attempt_day_lasts_24_hours_from_the_first_attempt
        refund_does_not_extend_the_day
    }
    rate_limits {
        burst_is_allowed_and_the_next_waits
        permits_refill_evenly
        idle_key_accumulates_one_burst_at_most
        concurrent_callers_share_one_burst
        keys_are_limited_separately
        requester_and_total_are_limited_together
        requester_over_its_limit_takes_nothing_from_the_total
        requesters_over_the_total_do_not_grow_it
        concurrent_requesters_share_one_total
    }
    known_networks {
        sign_in_makes_a_network_known
        sign_in_from_a_new_network_is_reported
        remembered_network_is_known
        network_budgets_are_separate
        unknown_network_costs_and_gets_nothing
        concurrent_callers_share_one_network_budget
        network_is_forgotten_after_its_ttl
        only_the_last_networks_are_known
        new_credentials_forget_all_networks
        superseded_sign_in_makes_no_network_known
    }
    idempotency {
        completed_request_is_answered_with_its_response
        one_of_many_concurrent_requests_gets_the_key
        released_key_is_free
        reservation_expires
    }
    events {
        events_are_read_in_both_directions
        each_class_of_events_has_its_own_bound
        actions_displace_no_privileged_event
        events_of_all_classes_are_paged_in_order
        events_are_kept_for_their_time
        lists_of_events_are_separate
        positions_of_events_increase_despite_clock_skew
        concurrently_appended_events_all_have_a_place
    }
    followers {
        last_report_of_each_follower_is_kept
        old_reports_do_not_count
        number_of_followers_is_bounded
    }
    fleet {
        keyring_swap_needs_the_current_version
        one_of_many_concurrent_swaps_wins
        concurrent_callers_get_one_not_before
        not_before_never_decreases
        check_succeeds_and_changes_nothing
    }
}

/// A Redis server for each test.
mod redis {
    use super::*;
    use crate::support::redis::Server;

    async fn empty_store() -> (Store, Server) {
        let server = Server::start();
        let store = Redis::connect(&server.config()).await.expect("Redis is running");
        (Arc::new(store), server)
    }

    test_every_case!(empty_store);
}

/// Embedded SQLite.
mod sqlite {
    use signet::store::ephemeral::sqlite::SqliteEphemeral;

    use super::*;
    use crate::support::embedded::engine;

    async fn empty_store() -> (Store, tempfile::TempDir) {
        let (engine, dir) = engine();
        (Arc::new(SqliteEphemeral::new(engine)), dir)
    }

    test_every_case!(empty_store);
}

/// Forming a cluster takes seconds, so all cases share one. Each uses a key prefix of its own and therefore starts with
/// an empty store, which also shows that prefixes separate stores. A failing case does not stop the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_cluster_passes_every_case() {
    let cluster = crate::support::redis::Cluster::start();
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let config = signet::config::Redis { prefix: format!("{name}:"), ..cluster.config() };
        let store = Redis::connect(&config).await.expect("the cluster is running");
        println!("{name}");
        if tokio::spawn(case(Arc::new(store))).await.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MILLISECOND: Duration = Duration::from_millis(1);
const GRACE: Duration = Duration::from_secs(10);

/// The time at which cases begin: far from the machine's clock, so that a store that reads the machine's clock fails.
const START: Timestamp = Timestamp::from_secs(2_000_000_000);

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(0xa11ce << 64 | number))
}

fn session_id(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(0x5e55 << 64 | number))
}

/// A session of the first user, opened at [`START`], with an idle time-out of an hour and an absolute one of a day.
fn session(number: u128) -> Session {
    Session {
        id: session_id(number),
        user: user(1),
        counter: 0,
        opened_at: START,
        auth_time: START - Duration::from_secs(60),
        used_at: START,
        rotated_at: START,
        idle_timeout: HOUR,
        ends_at: START + DAY,
        dialect: "native".into(),
        client_ip: "2001:db8::7".into(),
        user_agent: "a browser / 1.0".into(),
        claims: r#"{"email":"ada@example.org","name":"Ada \u00e9"}"#.into(),
        custom_claims: r#"{"team":"\u00e9"}"#.into(),
    }
}

/// [`session`], opened and last used at another time.
fn opened_at(number: u128, at: Timestamp) -> Session {
    Session { opened_at: at, auth_time: at, used_at: at, rotated_at: at, ends_at: at + DAY, ..session(number) }
}

/// The client's network, for cases that do not test it.
const NETWORK: &str = "2001:db8::";

/// The maximum number of sessions, for cases that do not test it.
const MAX_SESSIONS: u32 = 1000;

/// Opens a session for a sign-in that read `valid_after` from the user row.
async fn open_by(store: &Store, session: &Session, valid_after: Timestamp) -> Opened {
    store.open_session(session, NETWORK, valid_after, MAX_SESSIONS, START + DAY).await.unwrap()
}

async fn open(store: &Store, session: &Session) {
    assert_eq!(open_by(store, session, Timestamp::default()).await, OPENED);
}

const OPENED: Opened = Opened::Opened { ended: Vec::new(), from_new_network: false };

/// Presents the token of `session` with that counter, for rotation.
fn rotate_request(session: &Session, counter: u64) -> RotateRequest {
    RotateRequest {
        user: session.user,
        session: session.id,
        counter,
        rotate: true,
        grace: GRACE,
        not_before: Timestamp::default(),
        revocation_expires_at: START + DAY + DAY,
        conditions: SessionConditions::default(),
    }
}

fn expect_rotated(rotation: Rotation) -> SessionSnapshot {
    match rotation {
        Rotation::Rotated(session) => session,
        other => panic!("not rotated: {other:?}"),
    }
}

/// All revocations published after `from`, and the cursor after them.
async fn read_all(store: &Store, from: &Cursor) -> (Vec<Revocation>, Cursor) {
    let mut all = Vec::new();
    let mut cursor = from.clone();
    loop {
        let (found, next) = store.follow(&cursor, Duration::ZERO).await.unwrap();
        cursor = next;
        if found.is_empty() {
            return (all, cursor);
        }
        all.extend(found);
    }
}

/// The targets of all published revocations.
async fn targets(store: &Store) -> Vec<Target> {
    read_all(store, &Cursor::start()).await.0.into_iter().map(|revocation| revocation.target).collect()
}
