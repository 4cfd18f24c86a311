//! Operations whose client disconnects midway, and concurrent operations: each is carried out completely or not at all.
//!
//! A disconnect is simulated at every await point: the operation's future is polled once, twice, and so on, then
//! dropped.

mod address_proof;
mod events;
mod failing_redis;
mod failing_sign_in;
mod overload;

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use crate::conformance::Follow;
use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::accounts::delete::delete_user_as_admin;
use signet::auth::accounts::update::{UpdateUser, update_user};
use signet::auth::accounts::verify_email_code;
use signet::auth::action_token::LinkTokenFormat;
use signet::auth::api_keys;
use signet::auth::api_keys::{ApiKey, NewApiKey};
use signet::auth::audit::Origin;
use signet::auth::context::Context;
use signet::auth::error::LinkKind;
use signet::auth::identity::Email;
use signet::auth::mfa;
use signet::auth::mfa::enable_without_confirmation;
use signet::auth::passwords::Password;
use signet::auth::passwords::request_reset::request_password_reset;
use signet::auth::passwords::reset::reset_password;
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::auth::sessions::claims::session_claims;
use signet::auth::sessions::list::list_sessions;
use signet::auth::sessions::refresh::refresh;
use signet::auth::sign_in::open_session::open_session;
use signet::id::UserId;
use signet::store::accounts::{Changes, Find, User};
use signet::store::ephemeral::{Cursor, Target};

use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::outbox::{Mail, mails_in};
use crate::support::until;

over_both_stores_in_process!(
    disconnect_revokes_rights_with_sessions_or_neither,
    disconnect_leaves_claims_equal_to_the_row,
    disconnect_deactivates_key_with_tokens_or_neither,
    disconnect_deletes_a_user_with_a_notice_or_neither,
    disconnect_disables_a_factor_with_a_notice_or_neither,
    disconnect_on_reuse_ends_session_with_its_tokens,
    disconnect_verifies_or_leaves_the_code_valid,
    disconnect_opens_a_session_with_a_notice_or_neither,
    concurrent_changes_leave_claims_equal_to_the_row,
    sign_in_under_way_gets_the_claims_of_the_row,
    reset_does_not_verify_a_changed_address,
);

fn request_ctx(ctx: &Context) -> RequestContext<'_> {
    let address = IpAddr::from([192, 0, 2, 1]);
    let dialect_config = &ctx.node.config.api.native;
    RequestContext {
        dialect: "native",
        dialect_config,
        client_ip: address,
        rate_limit_ip: address,
        user_agent: None,
        language: None,
        extra_claims: ExtraClaims::None,
        audience: None,
    }
}

async fn user(ctx: &Context, name: &str) -> User {
    let password = Some(Password::new("a quiet harbour at dusk".to_owned()));
    let change =
        CreateUser { email: format!("{name}@example.org"), password, superuser: true, ..CreateUser::default() };
    create_user(ctx, change).await.unwrap()
}

/// A user without a password whose address is not verified.
async fn unverified_user(ctx: &Context, name: &str) -> User {
    let new_user = CreateUser { email: format!("{name}@example.org"), ..CreateUser::default() };
    create_user(ctx, new_user).await.unwrap()
}

async fn row(ctx: &Context, user: UserId) -> User {
    ctx.accounts.user(Find::Id(user)).await.unwrap().unwrap()
}

/// Polls a future at most `times` times, each time it is woken; `None` if it is still pending.
async fn poll_times<F: Future>(mut future: Pin<&mut F>, times: usize) -> Option<F::Output> {
    let mut left = times;
    std::future::poll_fn(|to| match left {
        0 => Poll::Ready(None),
        _ => {
            left -= 1;
            future.as_mut().poll(to).map(Some)
        }
    })
    .await
}

async fn disconnect_revokes_rights_with_sessions_or_neither(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let by = user(&ctx, "by").await;
    for polls in 1.. {
        let user = user(&ctx, &format!("hangs-up-{polls}")).await;
        open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
        let change = UpdateUser { superuser: Some(false), ..UpdateUser::default() };
        let outcome = poll_times(pin!(update_user(&ctx, &by, user.id, change, request_ctx(&ctx))), polls).await;
        // The embedded store writes in order: writes requested before the disconnect precede this one.
        ctx.accounts.end_sign_ins(UserId(uuid::Uuid::nil()), ctx.now()).await.unwrap();
        until("both or neither", async || {
            row(&ctx, user.id).await.superuser != list_sessions(&ctx, user.id).await.unwrap().is_empty()
        })
        .await;
        if outcome.is_some() {
            assert!(!row(&ctx, user.id).await.superuser);
            break;
        }
    }
}

/// True if the claims stored in every open session of the user equal the row.
async fn claims_match_row(ctx: &Context, user: UserId) -> bool {
    let claims = session_claims(&row(ctx, user).await).unwrap();
    list_sessions(ctx, user)
        .await
        .unwrap()
        .iter()
        .all(|session| session.claims == claims.claims && session.custom_claims == claims.custom_claims)
}

fn change_email(address: String) -> UpdateUser {
    UpdateUser { email: Some(Email::parse(&address).unwrap()), ..UpdateUser::default() }
}

async fn disconnect_leaves_claims_equal_to_the_row(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let by = user(&ctx, "registrar").await;
    for polls in 1.. {
        let user = user(&ctx, &format!("moves-{polls}")).await;
        open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
        let change = change_email(format!("moved-{polls}@example.org"));
        let outcome = poll_times(pin!(update_user(&ctx, &by, user.id, change, request_ctx(&ctx))), polls).await;
        ctx.accounts.end_sign_ins(UserId(uuid::Uuid::nil()), ctx.now()).await.unwrap();
        until("both or neither", async || claims_match_row(&ctx, user.id).await).await;
        if outcome.is_some() {
            assert_eq!(row(&ctx, user.id).await.email, format!("moved-{polls}@example.org"));
            break;
        }
    }
}

/// A thief who disconnects at once must not keep the notice from the owner.
async fn disconnect_deletes_a_user_with_a_notice_or_neither(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let by = user(&ctx, "remover").await;
    for polls in 1.. {
        let user = user(&ctx, &format!("removed-{polls}")).await;
        let outcome = poll_times(pin!(delete_user_as_admin(&ctx, &by, user.id, request_ctx(&ctx))), polls).await;
        ctx.accounts.end_sign_ins(UserId(uuid::Uuid::nil()), ctx.now()).await.unwrap();
        until("both or neither", async || {
            let is_deleted = ctx.accounts.user(Find::Id(user.id)).await.unwrap().is_none();
            is_deleted == (mails_in(&ctx.node.config.data_dir, &user.email).len() == 1)
        })
        .await;
        if outcome.is_some() {
            assert!(ctx.accounts.user(Find::Id(user.id)).await.unwrap().is_none());
            break;
        }
    }
}

async fn disconnect_disables_a_factor_with_a_notice_or_neither(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    for polls in 1.. {
        let user = user(&ctx, &format!("factor-{polls}")).await;
        enable_without_confirmation(&ctx, &user, 1, request_ctx(&ctx)).await.unwrap();
        let enabled = row(&ctx, user.id).await;
        let outcome = poll_times(pin!(mfa::disable(&ctx, &enabled, None, request_ctx(&ctx))), polls).await;
        ctx.accounts.end_sign_ins(UserId(uuid::Uuid::nil()), ctx.now()).await.unwrap();
        until("both or neither", async || {
            // The first mail reports that it was enabled.
            let mails = mails_in(&ctx.node.config.data_dir, &user.email).len();
            mails > 0 && row(&ctx, user.id).await.totp.is_none() == (mails == 2)
        })
        .await;
        if outcome.is_some() {
            assert!(row(&ctx, user.id).await.totp.is_none());
            break;
        }
    }
}

/// Creates an API key in the user's personal project.
async fn create_key(ctx: &Context, user: &User) -> (ApiKey, NewApiKey) {
    let (project, _) = ctx.accounts.projects(user.id).await.unwrap()[0];
    let (name, scopes) = ("a key".to_owned(), Vec::new());
    api_keys::create(
        ctx,
        api_keys::CreateApiKey {
            user: user.id,
            project,
            name,
            scopes,
            expires_at: None,
            owner_valid_after: user.sessions_valid_after,
        },
        Origin::process(),
    )
    .await
    .unwrap()
}

/// True if the revocation is in the stream that every node follows.
async fn is_published(ctx: &Context, target: &Target) -> bool {
    let (revocations, _) = ctx.ephemeral.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert!(revocations.len() < 1000, "the stream fits into one read");
    revocations.iter().any(|revocation| revocation.target == *target && revocation.expires_at > ctx.now())
}

async fn disconnect_deactivates_key_with_tokens_or_neither(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "holder").await;
    let mut keys = Vec::new();
    loop {
        let (key, new) = create_key(&ctx, &user).await;
        let deactivation = api_keys::deactivate(&ctx, key.project, key.id, Origin::process());
        let outcome = poll_times(pin!(deactivation), keys.len() + 1).await;
        ctx.accounts.end_sign_ins(UserId(uuid::Uuid::nil()), ctx.now()).await.unwrap();
        keys.push((key, new));
        if let Some(outcome) = outcome {
            assert!(outcome.unwrap().deactivated_at.is_some());
            break;
        }
    }
    // Checked after the last round: Postgres may execute a statement of another connection late.
    for (key, new) in &keys {
        until("both or neither", async || {
            let row = ctx.accounts.api_key(new.prefix()).await.unwrap().unwrap().0;
            row.deactivated_at.is_some() == is_published(&ctx, &Target::ApiKey(key.id)).await
        })
        .await;
    }
}

async fn disconnect_on_reuse_ends_session_with_its_tokens(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "robbed").await;
    let is_open = async |session| list_sessions(&ctx, user.id).await.unwrap().iter().any(|open| open.id == session);
    for polls in 1.. {
        let stolen = open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
        let session = Target::Session(stolen.session.id);
        let second = refresh(&ctx, &stolen.refresh_token, None, request_ctx(&ctx)).await.unwrap();
        // An interrupted refresh with a valid token has no effect except that the token may be replaced.
        let rotating = refresh(&ctx, &second.refresh_token, None, request_ctx(&ctx));
        let _ = poll_times(pin!(rotating), polls).await;
        let third = refresh(&ctx, &second.refresh_token, None, request_ctx(&ctx)).await.unwrap();
        assert!(is_open(third.session.id).await && !is_published(&ctx, &session).await);

        let outcome = poll_times(pin!(refresh(&ctx, &stolen.refresh_token, None, request_ctx(&ctx))), polls).await;
        ctx.accounts.end_sign_ins(UserId(uuid::Uuid::nil()), ctx.now()).await.unwrap();
        until("both or neither", async || is_open(third.session.id).await != is_published(&ctx, &session).await).await;
        if let Some(outcome) = outcome {
            assert!(matches!(outcome, Err(Error::RefreshTokenReused)));
            assert!(is_published(&ctx, &session).await);
            break;
        }
    }
}

async fn disconnect_verifies_or_leaves_the_code_valid(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    for polls in 1.. {
        let user = unverified_user(&ctx, &format!("unproved-{polls}")).await;
        verify_email_code::send_code(&ctx, user.id, request_ctx(&ctx)).await.unwrap();
        let code = newest_mail(&ctx, &user.email).unwrap().code();
        let confirm = || verify_email_code::verify_email_with_code(&ctx, user.id, &code, request_ctx(&ctx));
        let outcome = poll_times(pin!(confirm()), polls).await;
        until("the address is verified or can be", async || {
            confirm().await.is_ok() || row(&ctx, user.id).await.verified
        })
        .await;
        if let Some(outcome) = outcome {
            outcome.unwrap();
            break;
        }
    }
}

async fn disconnect_opens_a_session_with_a_notice_or_neither(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let elsewhere = IpAddr::from([198, 51, 100, 1]);
    let from_elsewhere = RequestContext { client_ip: elsewhere, rate_limit_ip: elsewhere, ..request_ctx(&ctx) };
    let mut users = Vec::new();
    loop {
        let email = format!("visited-{}@example.org", users.len());
        let new_user = CreateUser { email, verified: true, ..CreateUser::default() };
        let user = create_user(&ctx, new_user).await.unwrap();
        open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
        let outcome = poll_times(pin!(open_session(&ctx, &user, None, from_elsewhere)), users.len() + 1).await;
        users.push(user);
        if let Some(outcome) = outcome {
            outcome.unwrap();
            break;
        }
    }
    for user in &users {
        until("both or neither", async || {
            let is_open = list_sessions(&ctx, user.id).await.unwrap().len() == 2;
            is_open != mails_in(&ctx.node.config.data_dir, &user.email).is_empty()
        })
        .await;
    }
}

async fn concurrent_changes_leave_claims_equal_to_the_row(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (by, user) = (user(&ctx, "many").await, user(&ctx, "wanderer").await);
    for _ in 0..3 {
        open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
    }
    for round in 0..5 {
        let changes = (0..20).map(|number| {
            let change = change_email(format!("wanders-{round}-{number}@example.org"));
            update_user(&ctx, &by, user.id, change, request_ctx(&ctx))
        });
        assert!(futures_util::future::join_all(changes).await.iter().all(Result::is_ok));
        assert!(claims_match_row(&ctx, user.id).await);
        assert_eq!(list_sessions(&ctx, user.id).await.unwrap().len(), 3);
    }
}

async fn sign_in_under_way_gets_the_claims_of_the_row(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (by, before) = (user(&ctx, "changer").await, user(&ctx, "changing").await);
    let plan = UpdateUser { custom_claims: Some(r#"{"plan":"pro"}"#.parse().unwrap()), ..UpdateUser::default() };
    for change in [change_email("changed@example.org".to_owned()), plan] {
        update_user(&ctx, &by, before.id, change, request_ctx(&ctx)).await.unwrap();
        // `before` is the row as the sign-in read it.
        open_session(&ctx, &before, None, request_ctx(&ctx)).await.unwrap();
        assert!(claims_match_row(&ctx, before.id).await);
    }
    assert_eq!(list_sessions(&ctx, before.id).await.unwrap().len(), 2);
}

async fn reset_does_not_verify_a_changed_address(fleet: &TestFleet) {
    // Expensive hashing, so that the hash is not done when its future is polled for the first time.
    let ctx = fleet.node_with(|config| (config.passwords.memory_kib, config.passwords.passes) = (65_536, 16)).await;
    let user = user(&ctx, "mover").await;
    let device_secret =
        request_password_reset(&ctx, &user.email, LinkTokenFormat::Short, request_ctx(&ctx)).await.unwrap();
    let token = wait_for_mail(&ctx, &user.email).await.token();

    let new = Password::new("a louder harbour at dawn".to_owned());
    let load = || ctx.node.hasher.load();
    until("the hash of the account's own password is done", async || load().running == 0).await;
    let hashed_before = load().done;
    let mut reset = pin!(reset_password(&ctx, &token, Some(&device_secret), &new, request_ctx(&ctx)));
    std::future::poll_fn(|to| {
        assert!(reset.as_mut().poll(to).is_pending(), "the reset has ended before the address was changed");
        let load = load();
        let has_begun = load.waiting + load.running > 0 || load.done > hashed_before;
        if has_begun { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    // The reset goes on when it is polled again, even if its hash is done before the address is changed.
    let changes = Changes { email: Some("not-mine@example.org".to_owned()), ..Changes::default() };
    ctx.accounts.change_user(user.id, &changes, ctx.now()).await.unwrap();
    let answer: Result<(), Error> = reset.await;
    assert!(matches!(answer, Err(Error::InvalidLink(LinkKind::PasswordReset))), "{answer:?}");
    let now = row(&ctx, user.id).await;
    assert_eq!((now.email.as_str(), now.verified), ("not-mine@example.org", false));
    assert_eq!(now.password_hash, user.password_hash, "it belongs to the address that the link was not mailed to");
}

async fn wait_for_mail(ctx: &Context, to: &str) -> Mail {
    until("the mail arrives", async || newest_mail(ctx, to).is_some()).await;
    newest_mail(ctx, to).unwrap()
}

fn newest_mail(ctx: &Context, to: &str) -> Option<Mail> {
    let mut files = std::fs::read_dir(ctx.node.config.data_dir.join("outbox"))
        .ok()?
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|kind| kind == "eml"))
        .collect::<Vec<_>>();
    files.sort();
    let mails = files.iter().rev().map(|file| Mail { source: std::fs::read_to_string(file).unwrap() });
    mails.into_iter().find(|mail| mail.header("to").contains(to))
}
