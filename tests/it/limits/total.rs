//! The limit of all mails to one address, when an administrator asks for one more.

use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::passwords::request_reset::send_reset_link_as_admin;
use signet::config::LimitedAction;

use crate::support::fleet::{TestFleet, native_request};

#[tokio::test]
async fn administrator_learns_that_a_reset_link_is_not_sent() {
    let fleet = TestFleet::new(None).await;
    let ctx = fleet
        .node_with(|config| {
            config.limits.enabled = true;
            config.limits[LimitedAction::MailTotal].burst = 1;
        })
        .await;
    let new_user = CreateUser { email: "ada@example.org".to_owned(), ..CreateUser::default() };
    let user = create_user(&ctx, new_user).await.unwrap();
    let send = || send_reset_link_as_admin(&ctx, user.id, native_request(&ctx));
    send().await.unwrap();
    assert!(matches!(send().await, Err(Error::RateLimited { .. })));
}
