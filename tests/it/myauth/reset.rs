//! `recover` and `reset`: a reset link sets a password, together with the secret of the device that requested it.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    OTHER_PASSWORD, assert_error, assert_msg, expected, field_errors, me, member, new_address, post, request_as,
    request_reset, reset, sign_in, try_sign_in,
};
use crate::support::outbox::{mails, wait_for_mail};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    reset_link_and_device_secret_set_a_password_once,
    reset_ends_the_sessions_of_every_dialect,
    rejected_password_does_not_consume_the_link,
    fifth_wrong_device_secret_voids_the_link,
    concurrent_resets_set_one_password,
    reset_voids_other_reset_links,
    address_change_voids_reset_links,
    response_does_not_reveal_whether_an_account_exists,
    reset_sets_a_password_where_none_was,
);

const INVALID: &str = "Password update failed; invalid claim.";
const DONE: &str = "Password updated successfully.";

async fn reset_link_and_device_secret_set_a_password_once(server: &TestServer) {
    let zoe = member(server).await;
    let secret = request_reset(server, &zoe.email).await;
    let mail = wait_for_mail(server, &zoe.email, 0).await;
    assert!(mail.link().contains("/links/reset?token="), "{}", mail.link());
    assert_msg(&reset(server, &mail.token(), &secret, OTHER_PASSWORD).await, DONE);
    assert_error(&reset(server, &mail.token(), &secret, PASSWORD).await, 400, INVALID);
    assert_error(&try_sign_in(server, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    let zoe = sign_in(server, &zoe.email, OTHER_PASSWORD).await;
    assert_eq!(me(server, &zoe.access).await["email_validated"], true);
    let notice = wait_for_mail(server, &zoe.email, 1).await;
    assert_eq!(notice.header("to"), zoe.email);
    assert!(notice.header("subject").to_lowercase().contains("password"), "{}", notice.source);
}

async fn reset_ends_the_sessions_of_every_dialect(server: &TestServer) {
    let zoe = member(server).await;
    let other = sign_in(server, &zoe.email, PASSWORD).await;
    let native = server.try_sign_in(&zoe.email, PASSWORD).await.is(201).tokens();
    let secret = request_reset(server, &zoe.email).await;
    assert_msg(
        &reset(server, &wait_for_mail(server, &zoe.email, 0).await.token(), &secret, OTHER_PASSWORD).await,
        DONE,
    );
    for access in [&zoe.access, &other.access, &native.access] {
        assert_eq!(server.rejection_reason(access).await, "revoked");
        assert_error(
            &request_as(server, Method::GET, "/auth/users/me", access).send_checked().await,
            401,
            "Could not validate credentials",
        );
    }
    for refresh in [&zoe.refresh, &other.refresh, &native.refresh] {
        server.refresh(refresh).await.is(400);
        let response = request_as(server, Method::POST, "/auth/login/refresh", refresh).send_checked().await;
        assert_error(&response, 401, "Could not validate credentials");
    }
}

async fn rejected_password_does_not_consume_the_link(server: &TestServer) {
    let zoe = member(server).await;
    let secret = request_reset(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    for (weak, kind) in [("short", "string_too_short"), ("password", "value_error")] {
        for _ in 0..3 {
            assert_eq!(
                field_errors(&reset(server, &token, &secret, weak).await),
                expected(&[("body.new_password", kind)])
            );
        }
    }
    let both_missing = field_errors(&post(server, "/auth/login/reset", &token, json!({})).await);
    assert_eq!(both_missing, expected(&[("body.claim", "missing"), ("body.new_password", "missing")]));
    let one_missing = field_errors(&post(server, "/auth/login/reset", &token, json!({"new_password": "short"})).await);
    assert_eq!(one_missing, expected(&[("body.claim", "missing"), ("body.new_password", "string_too_short")]));
    let body = json!({"new_password": OTHER_PASSWORD, "claim": secret});
    assert_error(&server.post("/auth/login/reset").json(&body).send_checked().await, 401, "Not authenticated");
    assert_msg(&reset(server, &token, &secret, OTHER_PASSWORD).await, DONE);
}

async fn fifth_wrong_device_secret_voids_the_link(server: &TestServer) {
    let zoe = member(server).await;
    let secret = request_reset(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    for wrong in [secret.to_lowercase(), String::new(), token.clone(), secret[1..].to_owned(), format!("{secret}A")] {
        assert_error(&reset(server, &token, &wrong, OTHER_PASSWORD).await, 400, INVALID);
    }
    assert_error(&reset(server, &token, &secret, OTHER_PASSWORD).await, 400, INVALID);
    sign_in(server, &zoe.email, PASSWORD).await;
}

async fn concurrent_resets_set_one_password(server: &TestServer) {
    let zoe = member(server).await;
    let secret = request_reset(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    let passwords = (0..8).map(|number| format!("{OTHER_PASSWORD} {number}")).collect::<Vec<_>>();
    let responses = join_all(passwords.iter().map(|password| reset(server, &token, &secret, password))).await;
    let succeeded = responses.iter().zip(&passwords).filter(|(response, _)| response.status == 200).collect::<Vec<_>>();
    let [(_, password)] = succeeded.as_slice() else { panic!("{responses:?}") };
    sign_in(server, &zoe.email, password).await;
}

async fn reset_voids_other_reset_links(server: &TestServer) {
    let zoe = member(server).await;
    let first = request_reset(server, &zoe.email).await;
    let first_token = wait_for_mail(server, &zoe.email, 0).await.token();
    let second = request_reset(server, &zoe.email).await;
    let second_token = wait_for_mail(server, &zoe.email, 1).await.token();
    assert_error(&reset(server, &first_token, &second, OTHER_PASSWORD).await, 400, INVALID);
    assert_msg(&reset(server, &first_token, &first, OTHER_PASSWORD).await, DONE);
    assert_error(&reset(server, &second_token, &second, PASSWORD).await, 400, INVALID);
}

async fn address_change_voids_reset_links(server: &TestServer) {
    let zoe = member(server).await;
    let secret = request_reset(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    let change = json!({"email": new_address(), "original": PASSWORD});
    request_as(server, Method::PUT, "/auth/users/me", &zoe.access).json(&change).send_checked().await.is(200);
    assert_error(&reset(server, &token, &secret, OTHER_PASSWORD).await, 400, INVALID);
}

async fn response_does_not_reveal_whether_an_account_exists(server: &TestServer) {
    let (zoe, unknown) = (member(server).await, new_address());
    for call in ["magic", "recover"] {
        // In this order, so that a mail to the unknown address would arrive before the one to the known address.
        let other = server.post(&format!("/auth/login/{call}/{unknown}")).send_checked().await;
        let known = server.post(&format!("/auth/login/{call}/{}", zoe.email)).send_checked().await;
        assert_eq!(known.text.len(), other.text.len());
        let without_body = |mut response: HttpResponse| {
            response.text.clear();
            response.body = Value::Null;
            response.without_per_response_headers()
        };
        assert_eq!(without_body(known), without_body(other));
    }
    wait_for_mail(server, &zoe.email, 1).await;
    assert_eq!(mails(server, &unknown).len(), 1, "the magic link only");
}

async fn reset_sets_a_password_where_none_was(server: &TestServer) {
    let email = new_address();
    let secret = super::request_magic_link(server, &email).await;
    super::redeem_magic_link(server, &wait_for_mail(server, &email, 0).await.token(), &secret).await.is(200);
    let secret = request_reset(server, &email).await;
    assert_msg(&reset(server, &wait_for_mail(server, &email, 1).await.token(), &secret, OTHER_PASSWORD).await, DONE);
    let zoe = sign_in(server, &email, OTHER_PASSWORD).await;
    assert_eq!(me(server, &zoe.access).await["password"], true);
}
