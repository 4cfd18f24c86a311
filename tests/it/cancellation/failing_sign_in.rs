//! Sign-ins whose last step a store refuses. They use up neither a recovery code nor a mailed code or link.

use futures_util::future::join_all;
use signet::auth::sign_in::{magic_link, mailed_code};

use super::*;
use crate::support::{postgres, redis};

over_both_stores_in_process!(one_of_many_sign_ins_with_a_recovery_code_opens_a_session);

async fn fleet_on_servers() -> TestFleet {
    TestFleet::new(Some((redis::Server::start(), postgres::Database::create()))).await
}

/// Signs in while Redis refuses to store sessions, and accepts everything else. Then signs in twice more, of which the
/// first succeeds, and returns the error of the second.
async fn fail_then_sign_in_once<T>(fleet: &TestFleet, sign_in: impl AsyncFn() -> Result<T, Error>) -> Error {
    let other_keys = ["ACL", "SETUSER", "default", "resetkeys", "~*:c:*", "~*:d", "~*:l", "~*:l:*"];
    assert_eq!(fleet.redis().cli(&other_keys), "OK");
    let answer = Box::pin(sign_in()).await;
    assert!(matches!(answer, Err(Error::Unavailable(_))), "Redis did not refuse it");
    assert_eq!(fleet.redis().cli(&["ACL", "SETUSER", "default", "allkeys"]), "OK");
    Box::pin(sign_in()).await.unwrap();
    Box::pin(sign_in()).await.err().expect("it works twice")
}

async fn verified_user(ctx: &Context, name: &str) -> User {
    let new_user = CreateUser { email: format!("{name}@example.org"), verified: true, ..CreateUser::default() };
    create_user(ctx, new_user).await.unwrap()
}

/// A verified user with a second factor, and a recovery code.
async fn user_with_recovery_code(ctx: &Context, name: &str) -> (User, String) {
    let user = verified_user(ctx, name).await;
    let (_, codes) = enable_without_confirmation(ctx, &user, 1, request_ctx(ctx)).await.unwrap();
    until("the notice arrives", async || mails_in(&ctx.node.config.data_dir, &user.email).len() == 1).await;
    (row(ctx, user.id).await, codes[0].clone())
}

/// Waits for the mail after `before` others.
async fn mail_after(ctx: &Context, user: &User, before: usize) -> Mail {
    until("the mail arrives", async || mails_in(&ctx.node.config.data_dir, &user.email).len() > before).await;
    newest_mail(ctx, &user.email).unwrap()
}

async fn mail_code(ctx: &Context, user: &User) -> String {
    let before = mails_in(&ctx.node.config.data_dir, &user.email).len();
    mailed_code::send_code(ctx, &Email::parse(&user.email).unwrap(), request_ctx(ctx)).await.unwrap();
    mail_after(ctx, user, before).await.code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_code_outlasts_a_failing_redis() {
    let fleet = fleet_on_servers().await;
    let ctx = fleet.node().await;
    let (user, code) = user_with_recovery_code(&ctx, "recovers").await;
    let sign_in = || open_session(&ctx, &user, Some(&code), request_ctx(&ctx));
    assert!(matches!(fail_then_sign_in_once(&fleet, sign_in).await, Error::InvalidMfaCode));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailed_code_of_a_verified_user_outlasts_a_failing_redis() {
    let fleet = fleet_on_servers().await;
    let ctx = fleet.node().await;
    let user = verified_user(&ctx, "reads").await;
    let (email, code) = (Email::parse(&user.email).unwrap(), mail_code(&ctx, &user).await);
    let sign_in = || mailed_code::sign_in_with_code(&ctx, &email, &code, None, request_ctx(&ctx));
    assert!(matches!(fail_then_sign_in_once(&fleet, sign_in).await, Error::InvalidCode));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn magic_link_of_a_verified_user_outlasts_a_failing_redis() {
    let fleet = fleet_on_servers().await;
    let ctx = fleet.node().await;
    let user = verified_user(&ctx, "follows").await;
    for before in 0..2 {
        let secret =
            magic_link::request_link(&ctx, &user.email, LinkTokenFormat::Short, request_ctx(&ctx)).await.unwrap();
        let token = mail_after(&ctx, &user, before).await.token();
        let in_one_request = before == 0;
        let redeem = async || match in_one_request {
            true => magic_link::redeem_with_code(&ctx, &token, &secret, None, request_ctx(&ctx)).await.map(drop),
            false => magic_link::redeem(&ctx, &token, &secret, request_ctx(&ctx)).await.map(drop),
        };
        let error = fail_then_sign_in_once(&fleet, redeem).await;
        assert!(matches!(error, Error::InvalidLink(LinkKind::MagicLink)));
    }
}

/// The mailed code works again too, and the session that was stored ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_outlast_a_postgres_that_refuses_to_use_one_up() {
    let fleet = fleet_on_servers().await;
    let ctx = fleet.node().await;
    let (user, recovery) = user_with_recovery_code(&ctx, "waits").await;
    let (email, code) = (Email::parse(&user.email).unwrap(), mail_code(&ctx, &user).await);
    let sign_in = || mailed_code::sign_in_with_code(&ctx, &email, &code, Some(&recovery), request_ctx(&ctx));
    let postgres = fleet.postgres().client().await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
        CREATE TRIGGER refused BEFORE UPDATE ON users FOR EACH ROW
            WHEN (OLD.recovery_codes IS DISTINCT FROM NEW.recovery_codes) EXECUTE FUNCTION refuse()";
    postgres.batch_execute(refuse).await.unwrap();
    assert!(sign_in().await.is_err(), "Postgres did not refuse it");
    assert!(list_sessions(&ctx, user.id).await.unwrap().is_empty());
    postgres.batch_execute("DROP FUNCTION refuse CASCADE").await.unwrap();
    sign_in().await.unwrap();
    assert!(matches!(sign_in().await, Err(Error::InvalidCode)));
}

async fn one_of_many_sign_ins_with_a_recovery_code_opens_a_session(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (user, code) = user_with_recovery_code(&ctx, "hurries").await;
    let sign_ins = join_all((0..5).map(|_| open_session(&ctx, &user, Some(&code), request_ctx(&ctx)))).await;
    assert_eq!(sign_ins.iter().filter(|sign_in| sign_in.is_ok()).count(), 1);
    assert_eq!(list_sessions(&ctx, user.id).await.unwrap().len(), 1, "the sessions of the others have ended");
}
