//! What comes of operations that a client gives up on halfway, and of two that meet: never half of one.

mod failing;

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;

use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::accounts::identity::Email;
use signet::auth::accounts::update::{UpdateSelf, UpdateUser, update_self, update_user};
use signet::auth::accounts::verify_email_code;
use signet::auth::api_keys;
use signet::auth::api_keys::{ApiKey, NewKey};
use signet::auth::context::Context;
use signet::auth::mfa::enable_without_confirmation;
use signet::auth::passwords::request_reset::recover;
use signet::auth::passwords::reset::reset_password;
use signet::auth::passwords::{Password, Policy};
use signet::auth::sessions::list::list_sessions;
use signet::auth::sessions::open::{ExtraClaims, RequestContext, open_session, session_claims};
use signet::auth::sessions::refresh::{RotationPolicy, refresh};
use signet::id::UserId;
use signet::store::accounts::{Changes, Find, User};
use signet::store::ephemeral::{Cursor, Target};

use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::outbox::Mail;
use crate::support::until;

over_both_stores_in_process!(
    wherever_a_client_hangs_up_rights_are_not_lost_without_the_sessions,
    wherever_a_client_hangs_up_tokens_say_what_the_row_says,
    wherever_a_client_hangs_up_a_key_is_over_with_what_was_made_of_it,
    wherever_a_thief_hangs_up_the_session_is_over_with_its_tokens,
    wherever_a_client_hangs_up_a_code_confirms_or_is_good,
    of_many_changes_at_once_tokens_say_the_one_that_the_row_says,
    a_reset_confirms_no_address_but_the_one_that_its_link_went_to,
    who_needs_many_hashes_gets_all_or_none,
);

fn request_ctx(ctx: &Context) -> RequestContext<'_> {
    let address = IpAddr::from([192, 0, 2, 1]);
    let lives = &ctx.node.config.api.native;
    RequestContext {
        dialect: "native",
        dialect_config: lives,
        client_ip: address,
        rate_limit_ip: address,
        user_agent: None,
        language: None,
        extra_claims: ExtraClaims::Nothing,
    }
}

async fn user(ctx: &Context, name: &str) -> User {
    let password = Some(Password::new("a quiet harbour at dusk".to_owned()));
    let wanted =
        CreateUser { email: format!("{name}@example.org"), password, superuser: true, ..CreateUser::default() };
    create_user(ctx, wanted, ctx.node.password_policy).await.unwrap()
}

async fn row(ctx: &Context, user: UserId) -> User {
    ctx.accounts.user(Find::Id(user)).await.unwrap().unwrap()
}

/// Polls so many times, each when there is something to do; `None` if it was not over then.
async fn polled<F: Future>(mut future: Pin<&mut F>, times: usize) -> Option<F::Output> {
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

async fn wherever_a_client_hangs_up_rights_are_not_lost_without_the_sessions(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let by = user(&ctx, "by").await;
    for polls in 1.. {
        let user = user(&ctx, &format!("hangs-up-{polls}")).await;
        open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
        let wanted = UpdateUser { superuser: Some(false), ..UpdateUser::default() };
        let done = polled(pin!(update_user(&ctx, &by, user.id, wanted, request_ctx(&ctx))), polls).await;
        // The embedded store writes in turn: what was asked for before the client was gone is written before this.
        ctx.accounts.end_sign_ins(UserId(uuid::Uuid::nil()), ctx.now()).await.unwrap();
        until("both or neither", async || {
            row(&ctx, user.id).await.superuser != list_sessions(&ctx, user.id).await.unwrap().is_empty()
        })
        .await;
        if done.is_some() {
            assert!(!row(&ctx, user.id).await.superuser);
            break;
        }
    }
}

/// Whether the tokens of each of the user's open sessions say what the row says.
async fn is_told(ctx: &Context, user: UserId) -> bool {
    let said = session_claims(&row(ctx, user).await).unwrap();
    list_sessions(ctx, user).await.unwrap().iter().all(|session| session.profile == said)
}

fn another_address(address: String) -> UpdateUser {
    UpdateUser { email: Some(Email::parse(&address).unwrap()), ..UpdateUser::default() }
}

async fn wherever_a_client_hangs_up_tokens_say_what_the_row_says(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let by = user(&ctx, "registrar").await;
    for polls in 1.. {
        let user = user(&ctx, &format!("moves-{polls}")).await;
        open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
        let wanted = another_address(format!("moved-{polls}@example.org"));
        let done = polled(pin!(update_user(&ctx, &by, user.id, wanted, request_ctx(&ctx))), polls).await;
        ctx.accounts.end_sign_ins(UserId(uuid::Uuid::nil()), ctx.now()).await.unwrap();
        until("both or neither", async || is_told(&ctx, user.id).await).await;
        if done.is_some() {
            assert_eq!(row(&ctx, user.id).await.email, format!("moved-{polls}@example.org"));
            break;
        }
    }
}

/// A key in the user's personal project.
async fn key(ctx: &Context, user: &User) -> (ApiKey, NewKey) {
    let (project, _) = ctx.accounts.projects(user.id).await.unwrap()[0];
    let (name, scopes) = ("a key".to_owned(), Vec::new());
    api_keys::create(ctx, api_keys::CreateApiKey { user: user.id, project, name, scopes, expires_at: None })
        .await
        .unwrap()
}

/// Whether every node hears of it.
async fn is_published(ctx: &Context, target: &Target) -> bool {
    let (heard, _) = ctx.ephemeral.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert!(heard.len() < 1000, "there may be more");
    heard.iter().any(|revocation| revocation.target == *target)
}

async fn wherever_a_client_hangs_up_a_key_is_over_with_what_was_made_of_it(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "holder").await;
    let mut keys = Vec::new();
    loop {
        let (key, new) = key(&ctx, &user).await;
        let deactivating = api_keys::deactivate(&ctx, key.project, key.id);
        let done = polled(pin!(deactivating), keys.len() + 1).await;
        ctx.accounts.end_sign_ins(UserId(uuid::Uuid::nil()), ctx.now()).await.unwrap();
        keys.push((key, new));
        if let Some(done) = done {
            assert!(done.unwrap().deactivated_at.is_some());
            break;
        }
    }
    // All of them once the last is done: what Postgres was asked for on another connection may be done late.
    for (key, new) in &keys {
        until("both or neither", async || {
            let row = ctx.accounts.api_key(new.prefix()).await.unwrap().unwrap().0;
            row.deactivated_at.is_some() == is_published(&ctx, &Target::ApiKey(key.id)).await
        })
        .await;
    }
}

async fn wherever_a_thief_hangs_up_the_session_is_over_with_its_tokens(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "robbed").await;
    let is_open = async |session| list_sessions(&ctx, user.id).await.unwrap().iter().any(|open| open.id == session);
    for polls in 1.. {
        let stolen = open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
        let session = Target::Session(stolen.session.id);
        let second = refresh(&ctx, &stolen.refresh, None, RotationPolicy::Rotate, request_ctx(&ctx)).await.unwrap();
        // Of one that is in force nothing comes but that it may be replaced.
        let rotating = refresh(&ctx, &second.refresh, None, RotationPolicy::Rotate, request_ctx(&ctx));
        let _ = polled(pin!(rotating), polls).await;
        let third = refresh(&ctx, &second.refresh, None, RotationPolicy::Rotate, request_ctx(&ctx)).await.unwrap();
        assert!(is_open(third.session.id).await && !is_published(&ctx, &session).await);

        let done =
            polled(pin!(refresh(&ctx, &stolen.refresh, None, RotationPolicy::Rotate, request_ctx(&ctx))), polls).await;
        ctx.accounts.end_sign_ins(UserId(uuid::Uuid::nil()), ctx.now()).await.unwrap();
        until("both or neither", async || is_open(third.session.id).await != is_published(&ctx, &session).await).await;
        if let Some(done) = done {
            assert!(matches!(done, Err(Error::RefreshReused)));
            assert!(is_published(&ctx, &session).await);
            break;
        }
    }
}

async fn wherever_a_client_hangs_up_a_code_confirms_or_is_good(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    for polls in 1.. {
        let wanted = CreateUser { email: format!("unproved-{polls}@example.org"), ..CreateUser::default() };
        let user = create_user(&ctx, wanted, ctx.node.password_policy).await.unwrap();
        verify_email_code::send_code(&ctx, user.id, request_ctx(&ctx)).await.unwrap();
        let code = newest(&ctx, &user.email).unwrap().code();
        let confirm = || verify_email_code::verify_email_with_code(&ctx, user.id, &code, request_ctx(&ctx));
        let done = polled(pin!(confirm()), polls).await;
        until("it is confirmed or can be", async || confirm().await.is_ok() || row(&ctx, user.id).await.verified).await;
        if let Some(done) = done {
            done.unwrap();
            break;
        }
    }
}

async fn of_many_changes_at_once_tokens_say_the_one_that_the_row_says(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (by, user) = (user(&ctx, "many").await, user(&ctx, "wanderer").await);
    for _ in 0..3 {
        open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap();
    }
    for round in 0..5 {
        let changes = (0..20).map(|number| {
            let wanted = another_address(format!("wanders-{round}-{number}@example.org"));
            update_user(&ctx, &by, user.id, wanted, request_ctx(&ctx))
        });
        assert!(futures_util::future::join_all(changes).await.iter().all(Result::is_ok));
        assert!(is_told(&ctx, user.id).await);
        assert_eq!(list_sessions(&ctx, user.id).await.unwrap().len(), 3);
    }
}

async fn a_reset_confirms_no_address_but_the_one_that_its_link_went_to(fleet: &TestFleet) {
    // A hash that takes its time: the address is to change while it is under way.
    let ctx = fleet.node_with(|config| (config.passwords.memory_kib, config.passwords.passes) = (65_536, 16)).await;
    let user = user(&ctx, "mover").await;
    let half = recover(&ctx, &user.email, request_ctx(&ctx)).await.unwrap();
    let mut mail = None;
    until("the link comes", async || {
        mail = newest(&ctx, &user.email);
        mail.is_some()
    })
    .await;
    let token = mail.unwrap().token();

    let new = Password::new("a louder harbour at dawn".to_owned());
    let policy = Policy { min_length: 8, max_length: 128, refuse_common: true };
    let hashing = || ctx.node.hasher.load().running + ctx.node.hasher.load().waiting > 0;
    until("the user's own hash is over", async || !hashing()).await;
    let reset = reset_password(&ctx, &token, Some(&half), &new, policy, request_ctx(&ctx));
    // The address is another while the new password is being hashed.
    let move_on = async {
        until("it hashes", async || hashing()).await;
        let changes = Changes { email: Some("not-mine@example.org".to_owned()), ..Changes::default() };
        ctx.accounts.change_user(user.id, &changes, ctx.now()).await.unwrap();
        assert!(hashing(), "it still does");
    };
    let (answer, ()): (Result<(), Error>, ()) = tokio::join!(reset, move_on);
    let now = row(&ctx, user.id).await;
    assert_eq!((answer.is_ok(), now.email.as_str(), now.verified), (true, "not-mine@example.org", false));
}

fn newest(ctx: &Context, to: &str) -> Option<Mail> {
    let mut files = std::fs::read_dir(ctx.node.config.data_dir.join("outbox"))
        .ok()?
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|kind| kind == "eml"))
        .collect::<Vec<_>>();
    files.sort();
    let mails = files.iter().rev().map(|file| Mail { whole: std::fs::read_to_string(file).unwrap() });
    mails.into_iter().find(|mail| mail.header("to").contains(to))
}

/// With room for one in the queue of hashes, many are turned away and ask again: they were turned away before the first of their hashes,
/// and not after some.
async fn who_needs_many_hashes_gets_all_or_none(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| {
        (config.passwords.threads, config.passwords.queue) = (1, 1);
        (config.passwords.memory_kib, config.passwords.deadline) = (4096, Duration::from_secs(60));
    });
    let (ctx, other) = (&ctx.await, fleet.node().await);
    let mut users = Vec::new();
    for number in 0..6 {
        users.push(user(&other, &format!("hashed-{number}")).await);
    }
    let many = users.len() as u64;
    let load = || ctx.node.hasher.load();
    // Who asked is answered before it is counted.
    let all_counted = || until("all are counted", async || load().running + load().waiting == 0);

    let before = load();
    join_all(users.iter().map(|user| until_served(|| enable_without_confirmation(ctx, user, 5, request_ctx(ctx)))))
        .await;
    assert!(load().shed_full > before.shed_full, "nobody was turned away");
    all_counted().await;
    assert_eq!(load().done - before.done, 5 * many, "hashes were made for who was turned away");

    let before = load();
    let password = |text: &str| Some(Password::new(text.to_owned()));
    let own = || UpdateSelf {
        password: password("another harbour at dawn"),
        original: password("a quiet harbour at dusk"),
        ..UpdateSelf::default()
    };
    join_all(users.iter().map(|user| until_served(|| update_self(ctx, user, own(), request_ctx(ctx))))).await;
    assert!(load().shed_full > before.shed_full, "nobody was turned away");
    all_counted().await;
    assert_eq!(load().done - before.done, 2 * many, "a password was looked at whose change was turned away");
}

async fn until_served<T>(mut asks: impl AsyncFnMut() -> Result<T, Error>) -> T {
    loop {
        match asks().await {
            Ok(served) => return served,
            Err(Error::Busy) => tokio::task::yield_now().await,
            Err(other) => panic!("{other:?}"),
        }
    }
}
