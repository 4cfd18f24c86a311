//! What [`Accounts`] promises, as cases.
//!
//! A case stands in one of the files below and in the list here. One that is missing from the list is dead
//! code, which the compiler says; one that is in it runs for every implementation.

mod billing;
mod changing;
mod details;
mod endings;
mod keys;
mod making;
mod second_factor;

use std::future::Future;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::rng::Rng;
use crate::store::Accounts;
use crate::store::accounts::{ApiKey, Changed, Changes, Created, Find, NewUser, PasswordHash, User};

macro_rules! suite {
    ($dollar:tt $($file:ident { $($case:ident)* })*) => {
        $($(
            #[doc = concat!("See `", stringify!($file), "`.")]
            pub async fn $case(store: Arc<dyn Accounts>) {
                $file::$case(store).await;
            }
        )*)*

        /// Makes a test of every case. The fixture is an `async fn` without arguments: it gives an `Arc` of an empty store,
        /// and whatever must live as long as the test.
        #[macro_export]
        macro_rules! accounts_conformance {
            ($dollar fixture:path) => {
                $($(
                    #[tokio::test(flavor = "multi_thread")]
                    async fn $case() {
                        let (store, _kept) = $dollar fixture().await;
                        $crate::store::conformance::accounts::$case(store).await;
                    }
                )*)*
            };
        }
    };
}

suite! { $
    making {
        a_user_is_kept_as_it_was_given
        a_user_without_the_optional_parts_is_kept_too
        an_address_has_one_user
        a_username_has_one_user
        an_address_goes_before_a_username
        what_was_taken_leaves_nothing_behind
        a_user_has_a_personal_project_from_the_start
        numbers_rise_and_are_unique
        numbers_are_not_used_again
        an_import_leaves_out_what_is_taken
        an_import_of_nobody_makes_nobody
        two_imports_at_once_make_each_user_once
        users_come_in_pages
        odd_text_comes_back_as_it_was
        text_with_a_nul_is_refused
        moments_are_kept_to_the_millisecond
    }
    changing {
        a_hash_is_replaced_if_it_still_is_the_old_one
        a_hash_is_replaced_by_one_of_many
        a_password_is_set_and_ends_the_sign_ins
        disabling_ends_the_sign_ins_and_enabling_does_not
        sign_ins_are_ended_alone
        a_clock_that_steps_back_ends_sign_ins_too
        every_change_at_once_ends_sign_ins_of_its_own
        what_is_not_there_is_not_changed
        a_user_goes_with_all_it_had
        a_user_goes_once
        the_store_answers
    }
    details {
        a_detail_is_changed_alone
        many_details_change_in_one_step
        changes_at_once_undo_nothing_of_each_other
        an_address_that_changes_is_unverified
        an_address_that_is_taken_changes_nothing
        an_address_that_was_left_is_free
        an_address_goes_to_one_of_many
        two_who_want_each_others_address_keep_their_own
        who_is_not_there_is_not_changed
        a_change_to_text_with_a_nul_is_refused
        an_address_is_confirmed_by_one_of_many
        an_address_that_is_another_by_now_is_not_confirmed
        confirming_the_old_address_never_verifies_the_new
        users_come_by_their_place
    }
    second_factor {
        a_factor_is_kept_as_it_was_given
        a_factor_is_turned_on_by_one_of_many
        a_factor_is_turned_off_with_all_it_had
        a_factor_is_turned_off_by_one_of_many
        on_and_off_at_once_leave_no_codes_of_another
        a_step_is_used_once_and_none_before_it_after
        a_step_is_used_by_one_of_many
        steps_at_once_are_each_used_at_most_once
        a_recovery_code_is_used_once
        recovery_codes_are_each_used_by_one_of_many
        a_factor_goes_with_its_user
        sealed_secrets_come_in_pages
        a_secret_is_sealed_anew_if_it_still_is_the_old_one
        a_secret_is_sealed_anew_by_one_of_many
        a_recovery_hash_with_a_nul_is_refused
    }
    billing {
        billing_begins_at_nothing_and_is_added_to
        what_is_out_of_range_changes_nothing
        debits_at_once_never_go_below_zero
        credits_and_debits_at_once_all_count
        who_is_not_there_is_not_billed
        a_tier_with_a_nul_is_refused
        projects_stand_beside_the_personal_one
        a_project_goes_with_its_user
        projects_and_a_deletion_at_once_leave_nothing
    }
    endings {
        who_was_never_ended_is_not_told
        whatever_ends_sign_ins_is_told
        a_user_who_is_gone_is_told
        who_is_made_again_and_goes_again_is_told_once
        endings_come_in_pages
        endings_of_one_moment_come_in_pages
        old_deletions_are_forgotten
        a_deletion_is_told_once_it_is_seen
    }
    keys {
        a_key_is_kept_as_it_was_given
        a_key_comes_with_its_owner_as_it_now_is
        many_keys_are_found_at_once
        a_prefix_has_one_key
        a_key_needs_its_user_and_its_project
        keys_come_newest_first_and_in_pages
        keys_made_at_one_moment_are_each_listed_once
        a_key_is_deactivated_once
        a_key_is_deactivated_by_its_own_project_alone
        keys_that_were_deactivated_come_in_pages
        use_is_noted_and_never_goes_back
        use_is_noted_by_many_at_once
    }
}

/// The moment at which cases begin: not a whole second, so that rounding shows.
const START: Timestamp = Timestamp::from_millis(1_763_130_320_123);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START.millis() + millis)
}

/// A user that nobody else is, with nothing left out.
pub fn somebody(name: &str) -> NewUser {
    let rng = Rng::system();
    NewUser {
        id: UserId::new(START, &rng),
        email: format!("{name}@example.org"),
        username: Some(name.to_uppercase()),
        username_key: Some(name.to_owned()),
        full_name: Some(format!("{name} of Example")),
        password_hash: Some(hash(name)),
        verified: true,
        disabled: false,
        superuser: false,
        roles: vec!["user".to_owned(), "editor".to_owned()],
        project: ProjectId::new(START, &rng),
        created_at: START,
    }
}

fn hash(of: &str) -> PasswordHash {
    PasswordHash(format!("$argon2id$v=19$m=19456,t=2,p=1$salt${of}"))
}

/// A key of that user in its personal project.
fn key(of: &NewUser, prefix: &str, created_at: Timestamp) -> ApiKey {
    ApiKey {
        id: ApiKeyId::new(created_at, &Rng::system()),
        project: of.project,
        user: of.id,
        prefix: prefix.to_owned(),
        digest: Rng::system().bytes(),
        name: format!("the key {prefix}"),
        scopes: vec!["verify".to_owned(), "billing:write".to_owned()],
        last_used_at: None,
        expires_at: Some(at(86_400_000)),
        deactivated_at: None,
        created_at,
        updated_at: created_at,
    }
}

fn nobody() -> UserId {
    UserId(Uuid::from_u128(1))
}

fn no_project() -> ProjectId {
    ProjectId(Uuid::from_u128(2))
}

async fn made(store: &dyn Accounts, user: &NewUser) -> User {
    match store.create_user(user).await.unwrap() {
        Created::Created(user) => *user,
        taken => panic!("{} was not made: {taken:?}", user.email),
    }
}

async fn row(store: &dyn Accounts, id: UserId) -> User {
    store.user(Find::Id(id)).await.unwrap().expect("the user is there")
}

/// Changes a user who is there, to what nobody else has.
async fn changed(store: &dyn Accounts, id: UserId, changes: &Changes, now: Timestamp) -> User {
    match store.change_user(id, changes, now).await.unwrap() {
        Changed::Changed(user) => *user,
        not => panic!("{id} was not changed: {not:?}"),
    }
}

async fn set_password(store: &dyn Accounts, id: UserId, hash: &PasswordHash, now: Timestamp) -> User {
    changed(store, id, &Changes { password_hash: Some(hash.clone()), ..Changes::default() }, now).await
}

async fn set_disabled(store: &dyn Accounts, id: UserId, disabled: bool, now: Timestamp) -> User {
    changed(store, id, &Changes { disabled: Some(disabled), ..Changes::default() }, now).await
}

/// How many callers race. More than any pool has connections.
const MANY: usize = 50;

/// How many races are run: in the first, callers still wait for their connections to open.
const ROUNDS: usize = 4;

/// How many got what they wanted.
fn count(answers: &[bool]) -> usize {
    answers.iter().filter(|answer| **answer).count()
}

/// Calls `call` for 0, 1, … all at once, each on a task of its own, and gives what they answered in that order.
async fn together<T, F>(times: usize, call: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let tasks: Vec<_> = (0..times).map(|which| tokio::spawn(call(which))).collect();
    let mut answers = Vec::with_capacity(times);
    for task in tasks {
        answers.push(task.await.expect("no caller panics"));
    }
    answers
}
