//! `magic` and `claim`: a magic link signs in once, together with the secret of the device that requested it.

use futures_util::future::join_all;
use reqwest::Method;

use super::{
    assert_error, device_secret, expected, field_errors, me, member, member_from, member_with, new_address, post,
    redeem_magic_link, request_as, request_magic_link, reset, sign_up,
};
use super::{request_reset, sign_in, tokens};
use crate::support::outbox::{mails, wait_for_mail, wait_until_queue_is_empty};
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    magic_link_and_device_secret_sign_in_once,
    magic_link_creates_an_account_when_redeemed,
    magic_link_signs_in_after_a_later_sign_up,
    fifth_wrong_device_secret_voids_the_link,
    device_secret_of_another_link_is_refused,
    concurrent_redemptions_sign_in_once,
    mail_scanners_do_not_consume_links,
    password_change_voids_earlier_magic_links,
    disabled_user_gets_the_same_response_and_no_mail,
    malformed_address_is_a_field_error,
);

const INVALID: &str = "Login failed; invalid claim.";

async fn magic_link_and_device_secret_sign_in_once(server: &TestServer) {
    let zoe = member(server).await;
    assert_eq!(me(server, &zoe.access).await["email_validated"], false);
    let secret = request_magic_link(server, &zoe.email.to_uppercase()).await;
    let mail = wait_for_mail(server, &zoe.email, 0).await;
    assert!(mail.link().contains("/links/magic?token="), "{}", mail.link());
    assert!(!mail.source.contains(&secret));
    let response = redeem_magic_link(server, &mail.token(), &secret).await;
    let again = member_from(server, &zoe.email, &response).await;
    assert_eq!(again.id, zoe.id);
    assert_eq!(me(server, &again.access).await["email_validated"], true, "a redeemed link proves the address");
    assert_eq!(server.verify(&again.access).await.json()["claims"]["email_verified"], true);
    assert_error(&redeem_magic_link(server, &mail.token(), &secret).await, 400, INVALID);
}

async fn magic_link_creates_an_account_when_redeemed(server: &TestServer) {
    let email = new_address();
    let secret = request_magic_link(server, &email).await;
    let token = wait_for_mail(server, &email, 0).await.token();
    let users = server.plan().run(&["users", "show", &email], "");
    assert!(!users.status.success(), "requesting a link creates no account");
    let zoe = member_from(server, &email, &redeem_magic_link(server, &token, &secret).await).await;
    let user = me(server, &zoe.access).await;
    for (field, expected) in [("email_validated", true), ("password", false), ("hashed_password", false)] {
        assert_eq!(user[field], expected, "{field}: {user}");
    }
    // A second link works too, although the account has no password.
    let secret = request_magic_link(server, &email).await;
    let token = wait_for_mail(server, &email, 1).await.token();
    assert_eq!(member_from(server, &email, &redeem_magic_link(server, &token, &secret).await).await.id, zoe.id);
}

async fn magic_link_signs_in_after_a_later_sign_up(server: &TestServer) {
    let email = new_address();
    let secret = request_magic_link(server, &email).await;
    let token = wait_for_mail(server, &email, 0).await.token();
    let id = sign_up(server, &email).await.is(200).json()["id"].clone();
    assert_eq!(member_from(server, &email, &redeem_magic_link(server, &token, &secret).await).await.id, id);
}

async fn fifth_wrong_device_secret_voids_the_link(server: &TestServer) {
    // Verified, so that the first sign-in mails nothing.
    let zoe = member_with(server, &["--verified"]).await;
    let secret = request_magic_link(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    for wrong in 0..4 {
        assert_error(&redeem_magic_link(server, &token, &format!("wrong-{wrong}")).await, 400, INVALID);
    }
    tokens(&redeem_magic_link(server, &token, &secret).await);

    let secret = request_magic_link(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 1).await.token();
    for wrong in 0..5 {
        assert_error(&redeem_magic_link(server, &token, &format!("wrong-{wrong}")).await, 400, INVALID);
    }
    assert_error(&redeem_magic_link(server, &token, &secret).await, 400, INVALID);
}

async fn device_secret_of_another_link_is_refused(server: &TestServer) {
    // Verified, so that the first of the links does not void the other.
    let (zoe, max) = (member_with(server, &["--verified"]).await, member(server).await);
    let first = request_magic_link(server, &zoe.email).await;
    let first_token = wait_for_mail(server, &zoe.email, 0).await.token();
    let second = request_magic_link(server, &zoe.email).await;
    let second_token = wait_for_mail(server, &zoe.email, 1).await.token();
    let others = request_magic_link(server, &max.email).await;
    for (token, secret) in [
        (&first_token, &second),
        (&second_token, &first),
        (&first_token, &others),
        (&first, &first_token),
        (&first_token, &first_token),
        (&first, &first),
    ] {
        assert_error(&redeem_magic_link(server, token, secret).await, 400, INVALID);
    }
    assert_error(&redeem_magic_link(server, &first_token, "").await, 400, INVALID);
    let without = server.post("/auth/login/claim").json(&serde_json::json!({"claim": first})).send_checked().await;
    assert_error(&without, 401, "Not authenticated");
    let empty = post(server, "/auth/login/claim", &first_token, serde_json::json!({})).await;
    assert_eq!(field_errors(&empty), expected(&[("body.claim", "missing")]));
    // Each link works with its own device secret.
    tokens(&redeem_magic_link(server, &second_token, &second).await);
    tokens(&redeem_magic_link(server, &first_token, &first).await);
}

async fn concurrent_redemptions_sign_in_once(server: &TestServer) {
    for email in [member(server).await.email, new_address()] {
        let secret = request_magic_link(server, &email).await;
        let token = wait_for_mail(server, &email, 0).await.token();
        let responses = join_all((0..16).map(|_| redeem_magic_link(server, &token, &secret))).await;
        let (succeeded, failed): (Vec<_>, Vec<_>) = responses.iter().partition(|response| response.status == 200);
        assert_eq!(succeeded.len(), 1, "{responses:?}");
        failed.iter().for_each(|response| assert_error(response, 400, INVALID));
    }
}

async fn mail_scanners_do_not_consume_links(server: &TestServer) {
    let email = new_address();
    let secret = request_magic_link(server, &email).await;
    let reset_secret = request_reset(server, &email).await;
    let mail = wait_for_mail(server, &email, 0).await;
    let path = mail.link().split_once("/links/").map(|(_, path)| format!("/links/{path}")).unwrap();
    for method in [Method::GET, Method::HEAD, Method::GET] {
        server.request(method, &path).header("accept", "text/html").send_checked().await.is(200);
    }
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        let response = request_as(server, method, "/auth/login/claim", &mail.token()).send_checked().await;
        assert!([204, 405].contains(&response.status), "{response:?}");
    }
    let zoe = member_from(server, &email, &redeem_magic_link(server, &mail.token(), &secret).await).await;
    // The reset was requested while no account had the address: the response is the same, and no mail is sent.
    wait_until_queue_is_empty(server).await;
    assert_eq!(mails(server, &email).len(), 1);
    assert_error(
        &reset(server, &zoe.access, &reset_secret, PASSWORD).await,
        400,
        "Password update failed; invalid claim.",
    );
}

async fn password_change_voids_earlier_magic_links(server: &TestServer) {
    let zoe = member(server).await;
    let secret = request_magic_link(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    let reset_secret = request_reset(server, &zoe.email).await;
    let reset_token = wait_for_mail(server, &zoe.email, 1).await.token();
    reset(server, &reset_token, &reset_secret, super::OTHER_PASSWORD).await.is(200);
    assert_error(&redeem_magic_link(server, &token, &secret).await, 400, INVALID);
    sign_in(server, &zoe.email, super::OTHER_PASSWORD).await;
}

async fn disabled_user_gets_the_same_response_and_no_mail(server: &TestServer) {
    let (zoe, max) = (member(server).await, member(server).await);
    let secret = request_magic_link(server, &max.email).await;
    let token = wait_for_mail(server, &max.email, 0).await.token();
    for user in [&zoe, &max] {
        server.plan().json(&["users", "disable", &user.email], "");
    }
    request_magic_link(server, &zoe.email).await;
    request_reset(server, &zoe.email).await;
    assert_error(&redeem_magic_link(server, &token, &secret).await, 400, INVALID);
    // Mails are sent in order: an earlier one would have arrived before this one.
    let other = new_address();
    request_magic_link(server, &other).await;
    wait_for_mail(server, &other, 0).await;
    assert!(mails(server, &zoe.email).is_empty());
}

async fn malformed_address_is_a_field_error(server: &TestServer) {
    for bad in ["nobody", "a@b", "a%40", "%00@example.org", "a%0d%0abcc:x@example.org"] {
        let response = server.post(&format!("/auth/login/magic/{bad}")).send_checked().await;
        assert_eq!(field_errors(&response), expected(&[("path.email", "value_error")]), "{bad}");
        // The document gives this call the same response for any address.
        device_secret(&server.post(&format!("/auth/login/recover/{bad}")).send_checked().await);
    }
}

mod closed_registration {
    use super::*;
    use crate::myauth::member_with;

    over_both_stores!(|plan| plan.set("USERS_OPEN_REGISTRATION", "false"); only_existing_users_get_magic_links);

    async fn only_existing_users_get_magic_links(server: &TestServer) {
        assert_error(&sign_up(server, &new_address()).await, 400, "Registration is closed.");
        let zoe = member_with(server, &[]).await;
        assert_error(&sign_up(server, &zoe.email).await, 400, "Registration is closed.");
        let unknown = new_address();
        request_magic_link(server, &unknown).await;
        let secret = request_magic_link(server, &zoe.email).await;
        tokens(&redeem_magic_link(server, &wait_for_mail(server, &zoe.email, 0).await.token(), &secret).await);
        assert!(mails(server, &unknown).is_empty());
    }
}
