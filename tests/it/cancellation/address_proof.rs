//! The first proof of an address by a code or a link, with a client that disconnects midway.

use signet::auth::action_token::LinkTokenFormat;
use signet::auth::identity::Email;
use signet::auth::sign_in::{magic_link, mailed_code};

use super::{poll_times, request_ctx, row, unverified_user, wait_for_mail};
use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::until;

over_both_stores_in_process!(
    disconnect_proves_an_address_or_leaves_the_code_valid,
    disconnect_proves_an_address_or_leaves_the_link_valid,
);

async fn disconnect_proves_an_address_or_leaves_the_code_valid(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    for polls in 1.. {
        let user = unverified_user(&ctx, &format!("reads-{polls}")).await;
        let email = Email::parse(&user.email).unwrap();
        mailed_code::send_code(&ctx, &email, request_ctx(&ctx)).await.unwrap();
        let code = wait_for_mail(&ctx, &user.email).await.code();
        let sign_in = || Box::pin(mailed_code::sign_in_with_code(&ctx, &email, &code, None, request_ctx(&ctx)));
        let outcome = poll_times(sign_in().as_mut(), polls).await;
        until("the address is proved or can be", async || sign_in().await.is_ok() || row(&ctx, user.id).await.verified)
            .await;
        if let Some(outcome) = outcome {
            outcome.unwrap();
            break;
        }
    }
}

async fn disconnect_proves_an_address_or_leaves_the_link_valid(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    for polls in 1.. {
        let user = unverified_user(&ctx, &format!("follows-{polls}")).await;
        let secret =
            magic_link::request_link(&ctx, &user.email, LinkTokenFormat::Short, request_ctx(&ctx)).await.unwrap();
        let token = wait_for_mail(&ctx, &user.email).await.token();
        let redeem = || Box::pin(magic_link::redeem(&ctx, &token, &secret, request_ctx(&ctx)));
        let outcome = poll_times(redeem().as_mut(), polls).await;
        until("the address is proved or can be", async || redeem().await.is_ok() || row(&ctx, user.id).await.verified)
            .await;
        if let Some(outcome) = outcome {
            outcome.unwrap();
            break;
        }
    }
}
