//! The cases of the [`Accounts`] role.

mod api_keys;
mod billing;
mod create_users;
mod details;
mod durable_revocations;
mod ended_api_keys;
mod proof;
mod search;
mod sign_ins;
mod totp;

use std::sync::Arc;

use signet::clock::Timestamp;
use signet::id::{ApiKeyId, ProjectId, UserId};
use signet::rng::Rng;
use signet::store::Accounts;
use signet::store::accounts::{ApiKey, Billing, Changed, Changes, Created, Find, NewUser, PasswordHash, User};
use uuid::Uuid;

use super::run_concurrently;

macro_rules! suite {
    ($($file:ident { $($case:ident)+ })+) => {
        /// Defines a test of every case. `$empty_store` is an `async fn` that returns an empty store and a guard that
        /// must live as long as the test.
        macro_rules! test_every_case {
            ($empty_store:path) => {
                $($(
                    #[tokio::test(flavor = "multi_thread")]
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
    create_users {
        user_is_read_back_as_created
        user_without_optional_fields_is_created
        email_address_has_one_user
        username_has_one_user
        taken_email_is_reported_before_taken_username
        refused_user_leaves_nothing_behind
        new_user_has_a_personal_project
        user_numbers_increase_and_are_unique
        user_numbers_are_not_reused
        new_user_may_have_a_second_factor
        new_user_may_have_a_balance_and_a_tier
        import_skips_taken_emails_and_usernames
        empty_import_creates_no_user
        concurrent_imports_create_each_user_once
        users_are_listed_in_pages
        unusual_text_is_read_back_unchanged
        text_with_a_nul_is_refused
        timestamps_keep_milliseconds
    }
    sign_ins {
        hash_upgrade_needs_the_current_hash
        one_of_many_concurrent_hash_upgrades_wins
        setting_a_password_ends_sign_ins
        disabling_ends_sign_ins_and_enabling_does_not
        ending_sign_ins_changes_nothing_else
        sign_ins_end_although_the_clock_was_set_back
        concurrent_changes_get_distinct_valid_after_values
        unknown_user_is_not_ended_or_deleted
        deleting_a_user_deletes_everything_it_owns
        user_is_deleted_once
        session_that_has_ended_deletes_no_user
        check_succeeds
    }
    details {
        one_field_changes_alone
        many_fields_change_in_one_step
        concurrent_changes_do_not_undo_each_other
        changed_email_is_unverified
        taken_email_changes_nothing
        taken_username_changes_nothing
        one_of_many_gets_a_username
        former_email_can_be_used_again
        one_of_many_gets_an_email_address
        users_cannot_swap_email_addresses
        unknown_user_is_not_changed
        change_to_text_with_a_nul_is_refused
        one_of_many_verifies_an_email
        former_email_is_not_verified
        verifying_the_old_email_never_verifies_the_new
        change_for_another_email_changes_nothing
        users_are_paged_by_offset
    }
    search {
        users_are_searched_by_text
        full_name_is_found_as_written
        users_are_searched_by_status
        users_are_searched_in_pages
        search_reads_a_bounded_number_of_rows
    }
    proof {
        first_proof_removes_earlier_credentials
        first_proof_of_an_account_without_credentials_verifies_it
        proof_of_a_verified_address_changes_nothing
        password_of_a_proof_stays
        password_of_a_later_proof_ends_sign_ins
        one_of_many_proofs_is_the_first
        proof_of_ended_sign_ins_changes_nothing
        former_email_is_not_proved
        no_credential_survives_the_first_proof
        session_that_has_ended_sets_no_credentials
    }
    totp {
        totp_is_read_back_as_enabled
        one_of_many_concurrent_enables_wins
        disabling_totp_deletes_steps_and_codes
        one_of_many_concurrent_disables_wins
        session_that_has_ended_disables_no_totp
        concurrent_enable_and_disable_never_mix_codes
        totp_step_is_used_once_and_no_earlier_one_after
        one_of_many_uses_a_totp_step
        concurrent_totp_steps_are_each_used_at_most_once
        recovery_code_is_used_once
        replaced_recovery_codes_stop_working
        one_of_many_uses_each_recovery_code
        deleting_a_user_deletes_its_totp
        sealed_secrets_are_listed_in_pages
        resealing_needs_the_current_secret
        one_of_many_concurrent_reseals_wins
        recovery_hash_with_a_nul_is_refused
    }
    billing {
        billing_starts_at_zero_and_adds_up
        out_of_range_billing_changes_nothing
        concurrent_debits_never_go_below_zero
        concurrent_credits_and_debits_all_count
        unknown_user_is_not_billed
        subscription_tier_with_a_nul_is_refused
        projects_are_listed_after_the_personal_one
        deleting_a_user_deletes_its_projects
        concurrent_deletion_leaves_no_project
    }
    durable_revocations {
        user_never_ended_is_not_listed
        every_end_of_sign_ins_is_listed
        deleted_user_is_listed
        user_deleted_twice_is_listed_once
        ended_users_are_listed_in_pages
        users_ended_at_one_moment_are_listed_in_pages
        old_deletions_are_forgotten
        deletion_is_listed_as_soon_as_it_returns
    }
    api_keys {
        api_key_is_read_back_as_created
        api_key_comes_with_its_current_owner
        many_api_keys_are_found_in_one_call
        prefix_has_one_api_key
        api_key_needs_its_user_and_project
        api_keys_are_listed_newest_first_in_pages
        api_keys_of_a_user_are_listed_newest_first
        all_api_keys_are_listed_in_both_orders
        api_key_is_found_by_its_id
        api_keys_of_one_moment_are_each_listed_once
        api_key_is_deactivated_once
        api_key_is_deactivated_only_by_its_project
        deactivated_api_keys_are_listed_in_pages
        oldest_deactivated_api_keys_are_forgotten
        last_use_never_goes_back
        concurrent_uses_are_recorded_without_deadlock
    }
    ended_api_keys {
        api_key_needs_its_owner_unchanged
        change_ends_api_keys_with_its_scopes
        no_concurrent_api_key_survives_the_change
    }
}

/// Postgres with fewer connections than cases have concurrent callers, so that some callers always wait for one.
mod postgres {
    use signet::store::accounts::postgres::{Postgres, migrate};

    use super::*;
    use crate::support::postgres::Database;

    async fn empty_store() -> (Arc<dyn Accounts>, Database) {
        let database = Database::create();
        let settings = database.settings();
        migrate(&settings).await.expect("an empty database can be migrated");
        (Arc::new(Postgres::new(&settings, 8).expect("the settings are valid")), database)
    }

    test_every_case!(empty_store);
}

/// Embedded SQLite.
mod sqlite {
    use signet::store::accounts::sqlite::SqliteAccounts;

    use super::*;
    use crate::support::embedded::engine;

    async fn empty_store() -> (Arc<dyn Accounts>, tempfile::TempDir) {
        let (engine, dir) = engine();
        (Arc::new(SqliteAccounts::new(engine)), dir)
    }

    test_every_case!(empty_store);
}

/// The time at which cases begin. Not a whole second, so that a store that rounds fails.
const START: Timestamp = Timestamp::from_millis(1_763_130_320_123);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START.millis() + millis)
}

/// A user named `name` with every optional field set.
pub(crate) fn new_user(name: &str) -> NewUser {
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
        custom_claims: Some(r#"{"team":"\u00e9\u0000"}"#.to_owned()),
        project: ProjectId::new(START, &rng),
        totp: None,
        billing: Billing::default(),
        created_at: START,
    }
}

/// The row of [`new_user`] `ada`, but for its id and number.
fn created_user(given: &NewUser, number: i64) -> User {
    User {
        id: given.id,
        number,
        email: "ada@example.org".to_owned(),
        username: Some("ADA".to_owned()),
        full_name: Some("ada of Example".to_owned()),
        password_hash: Some(hash("ada")),
        verified: true,
        disabled: false,
        superuser: false,
        roles: vec!["user".to_owned(), "editor".to_owned()],
        custom_claims: Some(r#"{"team":"\u00e9\u0000"}"#.to_owned()),
        totp: None,
        billing: Billing::default(),
        sessions_valid_after: START,
        created_at: START,
        updated_at: START,
    }
}

fn hash(password: &str) -> PasswordHash {
    PasswordHash(format!("$argon2id$v=19$m=19456,t=2,p=1$salt${password}"))
}

/// An API key of `owner` in its personal project.
pub(crate) fn key(owner: &NewUser, prefix: &str, created_at: Timestamp) -> ApiKey {
    ApiKey {
        id: ApiKeyId::new(created_at, &Rng::system()),
        project: owner.project,
        user: owner.id,
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

fn unknown_user() -> UserId {
    UserId(Uuid::from_u128(1))
}

fn unknown_project() -> ProjectId {
    ProjectId(Uuid::from_u128(2))
}

async fn create(store: &dyn Accounts, user: &NewUser) -> User {
    match store.create_user(user).await.unwrap() {
        Created::Created(user) => *user,
        taken => panic!("{} was not created: {taken:?}", user.email),
    }
}

async fn row(store: &dyn Accounts, id: UserId) -> User {
    store.user(Find::Id(id)).await.unwrap().expect("the user is there")
}

/// Changes an existing user; the new email and username must be free.
async fn changed(store: &dyn Accounts, id: UserId, changes: &Changes, now: Timestamp) -> User {
    match store.change_user(id, changes, now).await.unwrap() {
        Changed::Changed(user) => *user,
        refused => panic!("{id} was not changed: {refused:?}"),
    }
}

async fn set_password(store: &dyn Accounts, id: UserId, hash: &PasswordHash, now: Timestamp) -> User {
    changed(store, id, &Changes { password_hash: Some(hash.clone()), ..Changes::default() }, now).await
}

async fn set_disabled(store: &dyn Accounts, id: UserId, disabled: bool, now: Timestamp) -> User {
    changed(store, id, &Changes { disabled: Some(disabled), ..Changes::default() }, now).await
}

/// How many callers race: more than any pool has connections.
const MANY: usize = 50;

/// How many races are run. In the first, callers still wait for connections to open.
const ROUNDS: usize = 4;

/// The number of calls that succeeded.
fn count(results: &[bool]) -> usize {
    results.iter().filter(|succeeded| **succeeded).count()
}
