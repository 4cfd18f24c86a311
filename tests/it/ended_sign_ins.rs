//! Changes that a session requests of its own account, whose sign-ins end while the request is under way: it was
//! authenticated before, and must change nothing. Tested by calling the operations with the row as it was before.

use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::accounts::delete::{delete_self, delete_self_with_proof};
use signet::auth::context::Context;
use signet::auth::error::{MfaError, VerifyError};
use signet::auth::mfa;
use signet::auth::passwords::{IdentityProof, Password};
use signet::store::accounts::{Find, User};

use crate::support::fleet::{TestFleet, native_request, over_both_stores_in_process};

over_both_stores_in_process!(
    ended_session_turns_no_second_factor_off,
    ended_session_turns_no_second_factor_on,
    ended_session_deletes_no_account,
);

fn password() -> Password {
    Password::new("a quiet harbour at dusk".to_owned())
}

async fn create(ctx: &Context) -> User {
    let email = "ada@example.org".to_owned();
    let new_user = CreateUser { email, password: Some(password()), ..CreateUser::default() };
    create_user(ctx, new_user).await.unwrap()
}

async fn reload(ctx: &Context, user: &User) -> User {
    ctx.accounts.user(Find::Id(user.id)).await.unwrap().unwrap()
}

fn assert_revoked<T>(result: Result<T, Error>) {
    let error = result.err();
    assert!(matches!(error, Some(Error::InvalidToken(VerifyError::Revoked))), "{error:?}");
}

async fn ended_session_turns_no_second_factor_off(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = create(&ctx).await;
    mfa::enable_without_confirmation(&ctx, &user, 1, native_request(&ctx)).await.unwrap();
    let (before, password) = (reload(&ctx, &user).await, password());
    let proof = Some(IdentityProof { password: Some(&password), auth_time: None });
    let ended = ctx.accounts.end_sign_ins(user.id, ctx.now()).await.unwrap().unwrap();
    assert_revoked(mfa::disable(&ctx, &before, proof, native_request(&ctx)).await);
    assert_eq!(reload(&ctx, &user).await, ended);
    mfa::disable(&ctx, &ended, proof, native_request(&ctx)).await.unwrap();
    // Another request did the same before.
    let again = mfa::disable(&ctx, &ended, proof, native_request(&ctx)).await;
    assert!(matches!(again, Err(Error::Mfa(MfaError::AlreadyDisabled))));
}

async fn ended_session_turns_no_second_factor_on(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = create(&ctx).await;
    let ended = ctx.accounts.end_sign_ins(user.id, ctx.now()).await.unwrap().unwrap();
    assert_revoked(mfa::enable_without_confirmation(&ctx, &user, 1, native_request(&ctx)).await);
    assert_eq!(reload(&ctx, &user).await, ended);
}

async fn ended_session_deletes_no_account(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let (before, password) = (create(&ctx).await, password());
    let proof = IdentityProof { password: Some(&password), auth_time: Some(ctx.now()) };
    let ended = ctx.accounts.end_sign_ins(before.id, ctx.now()).await.unwrap().unwrap();
    assert_revoked(delete_self(&ctx, &before, native_request(&ctx)).await);
    assert_revoked(delete_self_with_proof(&ctx, &before, proof, native_request(&ctx)).await);
    assert_eq!(reload(&ctx, &before).await, ended);
    delete_self_with_proof(&ctx, &ended, proof, native_request(&ctx)).await.unwrap();
    assert_eq!(ctx.accounts.user(Find::Id(before.id)).await.unwrap(), None);
}
