//! What every [`Ephemeral`] store must do, promise by promise. Knows the role alone: each case begins from an empty
//! store, moves time only by the `now` it hands in, and sees what it sees through the trait.
//!
//! `signet::ephemeral_conformance!(fixture)` makes a test of every case; a store whose empty state is dear to make (a
//! Redis Cluster) goes through [`CASES`] in one test. A case that is not in the list below is dead code, and warned of.

mod bound;
mod claims;
mod endings;
mod fleet;
mod limits;
mod profiles;
mod revocations;
mod sessions;
mod tries;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::together;
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::Ephemeral;
use crate::store::ephemeral::{Cursor, Opened, Revocation, RotateRequest, Rotation, Session, SessionSnapshot, Target};

/// A store under test.
pub type Store = Arc<dyn Ephemeral>;

/// One promise, held against a store that is empty.
pub type Case = fn(Store) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! cases {
    ($($room:ident { $($case:ident)+ })+) => {
        /// Every case by its name.
        pub const CASES: &[(&str, Case)] = &[$($((stringify!($case), |store| Box::pin($room::$case(store)))),+),+];

        /// A test of every case of the [`Ephemeral`](crate::store::Ephemeral) role. The fixture is the path of an
        /// `async fn` that gives an empty store and whatever must live as long as it does.
        #[macro_export]
        macro_rules! ephemeral_conformance {
            ($fixture:path) => {
                $($(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                    async fn $case() {
                        let (store, _kept) = $fixture().await;
                        $crate::store::conformance::ephemeral::run(stringify!($case), store).await;
                    }
                )+)+
            };
        }
    };
}

cases! {
    sessions {
        an_opened_session_is_found_as_it_was
        sessions_opened_at_once_are_all_there
        one_of_many_concurrent_rotations_wins
        a_repetition_ends_with_the_grace
        without_grace_nothing_is_repeated
        none_of_many_latecomers_is_answered
        a_token_two_behind_is_reuse_within_the_grace
        reuse_ends_the_session_and_is_published
        a_token_ahead_of_the_store_is_in_force
        a_session_that_does_not_rotate_keeps_counter_and_lifetime
        a_session_ends_when_it_was_idle
        a_session_ends_at_its_absolute_expiry
        a_session_older_than_the_floor_is_absent
        a_session_is_its_users_alone
        sessions_come_newest_first_and_leave_when_over
    }
    profiles {
        a_profile_is_replaced_in_all_open_sessions_and_nothing_else_is
        a_replaced_profile_prolongs_nothing
        what_is_over_gets_no_profile
        profiles_replaced_at_once_are_one_in_the_end
        neither_a_rotation_nor_a_profile_is_lost_by_the_other
        an_ending_and_a_profile_may_meet
    }
    endings {
        ending_one_leaves_the_others
        ending_the_others_leaves_the_one
        ending_all_is_one_revocation_of_the_user
        ending_all_reaches_what_was_opened_by_a_clock_that_is_ahead
        a_mark_is_kept_by_the_clock_and_not_by_what_a_session_says
        what_was_over_before_is_not_ended_again
        a_sign_in_under_way_is_superseded
        the_mark_of_an_ending_never_sinks
        no_sign_in_slips_past_an_ending
        no_refresh_slips_past_an_ending
    }
    bound {
        the_oldest_beyond_the_most_end
        a_bound_that_was_lowered_ends_all_beyond_it
        what_is_opened_stays_whatever_the_clocks_say
        what_is_over_counts_for_nothing
        a_refused_sign_in_ends_nothing
        sessions_opened_at_once_stay_within_the_bound
    }
    revocations {
        every_target_comes_back_as_published
        followers_have_each_their_place
        all_followers_see_all_in_one_order
        a_thousand_at_once_and_no_more
        a_waiting_follower_is_woken
        patience_ends
        what_is_forgotten_is_not_followed
        a_follower_outlives_what_it_has_read
    }
    claims {
        a_right_claim_is_redeemed_once
        wrong_tries_use_a_claim_up
        parallel_guesses_are_counted_before_they_are_compared
        the_day_has_a_cap_across_purposes
        parallel_guesses_stay_under_the_cap
        a_right_try_costs_the_day_nothing
        a_claim_in_place_of_another_begins_anew
        claims_are_kept_apart
        a_claim_expires
        what_is_proved_is_there_to_be_spent
        proving_costs_neither_the_claim_nor_the_day
        of_many_who_prove_and_spend_one_spends
        to_look_at_a_claim_is_not_to_try_it
        nothing_is_seen_of_a_claim_that_is_over
        a_dropped_claim_is_gone_and_its_wrong_tries_are_not
    }
    tries {
        of_many_tries_at_once_as_many_as_a_day_has_are_allowed
        tries_and_wrong_claims_share_the_day
        each_forgiven_try_is_one_more
        what_is_forgiven_never_sinks_below_none
        a_day_of_tries_begins_with_the_first_and_ends_by_the_callers_clock
        forgiving_does_not_put_the_end_of_the_day_off
    }
    limits {
        a_burst_passes_and_the_next_waits
        what_comes_back_comes_back_evenly
        an_idle_key_has_one_burst_and_no_more
        concurrent_takers_share_one_burst
        keys_are_limited_apart
    }
    fleet {
        a_ring_is_replaced_by_whoever_read_it_last
        one_of_many_swappers_wins
        concurrent_callers_get_one_floor
        the_floor_rises_and_never_sinks
        a_store_answers_its_check
    }
}

/// Runs the case of that name.
///
/// # Panics
/// If the store breaks the promise, or there is no such case.
pub async fn run(name: &str, store: Store) {
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).expect("a case of that name");
    case(store).await;
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MILLISECOND: Duration = Duration::from_millis(1);
const GRACE: Duration = Duration::from_secs(10);

/// Where each case begins: far from the machine's own time, so that a store that asks the machine is found out.
const START: Timestamp = Timestamp::from_secs(2_000_000_000);

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(0xa11ce << 64 | number))
}

fn session_id(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(0x5e55 << 64 | number))
}

/// A session of the first user, opened at [`START`]: an hour idle, a day at the most.
fn session(number: u128) -> Session {
    Session {
        id: session_id(number),
        user: user(1),
        counter: 0,
        opened_at: START,
        used_at: START,
        rotated_at: START,
        idle: HOUR,
        ends_at: START + DAY,
        dialect: "native".into(),
        address: "2001:db8::7".into(),
        agent: "a browser / 1.0".into(),
        profile: r#"{"email":"ada@example.org","name":"Ada \u00e9"}"#.into(),
    }
}

/// The same session opened (and last used) at another moment.
fn opened_at(number: u128, moment: Timestamp) -> Session {
    Session { opened_at: moment, used_at: moment, rotated_at: moment, ends_at: moment + DAY, ..session(number) }
}

/// How many sessions a user may have, where that is not what a case is about.
const MOST: u32 = 1000;

/// Opens by a row that says `valid_after`.
async fn open_by(store: &Store, session: &Session, valid_after: Timestamp) -> Opened {
    store.open_session(session, valid_after, MOST, START + DAY).await.unwrap()
}

async fn open(store: &Store, session: &Session) {
    assert_eq!(open_by(store, session, Timestamp::default()).await, OPENED);
}

const OPENED: Opened = Opened::Opened { ended: Vec::new() };

/// A rotating presentation of `session`'s token of that number.
fn presented(session: &Session, counter: u64) -> RotateRequest {
    RotateRequest {
        user: session.user,
        session: session.id,
        counter,
        rotate: true,
        grace: GRACE,
        floor: Timestamp::default(),
        remember_until: START + DAY + DAY,
    }
}

fn rotated(rotation: Rotation) -> SessionSnapshot {
    match rotation {
        Rotation::Rotated(session) => session,
        other => panic!("not rotated: {other:?}"),
    }
}

/// All revocations after `from` that are already there.
async fn read_on(store: &Store, from: &Cursor) -> (Vec<Revocation>, Cursor) {
    let mut all = Vec::new();
    let mut place = from.clone();
    loop {
        let (found, next) = store.follow(&place, Duration::ZERO).await.unwrap();
        place = next;
        if found.is_empty() {
            return (all, place);
        }
        all.extend(found);
    }
}

/// The targets of all revocations there are.
async fn targets(store: &Store) -> Vec<Target> {
    read_on(store, &Cursor::start()).await.0.into_iter().map(|revocation| revocation.target).collect()
}
