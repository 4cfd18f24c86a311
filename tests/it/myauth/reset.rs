//! `recover`, `reset`: a new password for who reads the mail and holds the other half.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{OTHER, address, by, done, faults, me, member, of, post, recover, refused, reset, sign_in, signed_in};
use crate::support::outbox::{mails, wait_for_mail};
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    both_halves_set_a_password_once,
    every_session_of_every_dialect_is_over,
    what_is_wrong_with_the_password_uses_nothing_up,
    a_wrong_half_is_one_of_five_tries,
    one_of_many_at_once_sets_it,
    of_two_links_the_second_does_not_survive_the_first,
    a_link_to_an_address_that_was_changed_is_no_good,
    nobody_is_told_who_has_an_account,
    who_has_no_password_gets_one,
);

const INVALID: &str = "Password update failed; invalid claim.";
const DONE: &str = "Password updated successfully.";

async fn both_halves_set_a_password_once(server: &TestServer) {
    let zoe = member(server).await;
    let half = recover(server, &zoe.email).await;
    let mail = wait_for_mail(server, &zoe.email, 0).await;
    assert!(mail.link().contains("/links/reset?token="), "{}", mail.link());
    done(&reset(server, &mail.token(), &half, OTHER).await, DONE);
    refused(&reset(server, &mail.token(), &half, PASSWORD).await, 400, INVALID);
    refused(&sign_in(server, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    let zoe = signed_in(server, &zoe.email, OTHER).await;
    assert_eq!(me(server, &zoe.access).await["email_validated"], true);
    let notice = wait_for_mail(server, &zoe.email, 1).await;
    assert_eq!(notice.header("to"), zoe.email);
    assert!(notice.header("subject").to_lowercase().contains("password"), "{}", notice.source);
}

async fn every_session_of_every_dialect_is_over(server: &TestServer) {
    let zoe = member(server).await;
    let other = signed_in(server, &zoe.email, PASSWORD).await;
    let native = server.try_sign_in(&zoe.email, PASSWORD).await.is(201).tokens();
    let half = recover(server, &zoe.email).await;
    done(&reset(server, &wait_for_mail(server, &zoe.email, 0).await.token(), &half, OTHER).await, DONE);
    for access in [&zoe.access, &other.access, &native.access] {
        assert_eq!(server.rejection_reason(access).await, "revoked");
        refused(
            &by(server, Method::GET, "/auth/users/me", access).send_checked().await,
            401,
            "Could not validate credentials",
        );
    }
    for refresh in [&zoe.refresh, &other.refresh, &native.refresh] {
        server.refresh(refresh).await.is(400);
        let answer = by(server, Method::POST, "/auth/login/refresh", refresh).send_checked().await;
        refused(&answer, 401, "Could not validate credentials");
    }
}

async fn what_is_wrong_with_the_password_uses_nothing_up(server: &TestServer) {
    let zoe = member(server).await;
    let half = recover(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    for (weak, kind) in [("short", "string_too_short"), ("password", "value_error")] {
        for _ in 0..3 {
            assert_eq!(faults(&reset(server, &token, &half, weak).await), of(&[("body.new_password", kind)]));
        }
    }
    let nothing = faults(&post(server, "/auth/login/reset", &token, json!({})).await);
    assert_eq!(nothing, of(&[("body.claim", "missing"), ("body.new_password", "missing")]));
    let both = faults(&post(server, "/auth/login/reset", &token, json!({"new_password": "short"})).await);
    assert_eq!(both, of(&[("body.claim", "missing"), ("body.new_password", "string_too_short")]));
    let body = json!({"new_password": OTHER, "claim": half});
    refused(&server.post("/auth/login/reset").json(&body).send_checked().await, 401, "Not authenticated");
    done(&reset(server, &token, &half, OTHER).await, DONE);
}

async fn a_wrong_half_is_one_of_five_tries(server: &TestServer) {
    let zoe = member(server).await;
    let half = recover(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    for wrong in [half.to_lowercase(), String::new(), token.clone(), half[1..].to_owned(), format!("{half}A")] {
        refused(&reset(server, &token, &wrong, OTHER).await, 400, INVALID);
    }
    refused(&reset(server, &token, &half, OTHER).await, 400, INVALID);
    signed_in(server, &zoe.email, PASSWORD).await;
}

async fn one_of_many_at_once_sets_it(server: &TestServer) {
    let zoe = member(server).await;
    let half = recover(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    let passwords = (0..8).map(|number| format!("{OTHER} {number}")).collect::<Vec<_>>();
    let answers = join_all(passwords.iter().map(|password| reset(server, &token, &half, password))).await;
    let set = answers.iter().zip(&passwords).filter(|(answer, _)| answer.status == 200).collect::<Vec<_>>();
    let [(_, password)] = set.as_slice() else { panic!("{answers:?}") };
    signed_in(server, &zoe.email, password).await;
}

async fn of_two_links_the_second_does_not_survive_the_first(server: &TestServer) {
    let zoe = member(server).await;
    let first = recover(server, &zoe.email).await;
    let first_token = wait_for_mail(server, &zoe.email, 0).await.token();
    let second = recover(server, &zoe.email).await;
    let second_token = wait_for_mail(server, &zoe.email, 1).await.token();
    refused(&reset(server, &first_token, &second, OTHER).await, 400, INVALID);
    done(&reset(server, &first_token, &first, OTHER).await, DONE);
    refused(&reset(server, &second_token, &second, PASSWORD).await, 400, INVALID);
}

async fn a_link_to_an_address_that_was_changed_is_no_good(server: &TestServer) {
    let zoe = member(server).await;
    let half = recover(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    let change = json!({"email": address(), "original": PASSWORD});
    by(server, Method::PUT, "/auth/users/me", &zoe.access).json(&change).send_checked().await.is(200);
    refused(&reset(server, &token, &half, OTHER).await, 400, INVALID);
}

async fn nobody_is_told_who_has_an_account(server: &TestServer) {
    let (zoe, unknown) = (member(server).await, address());
    for way in ["magic", "recover"] {
        // In this order: what was mailed to nobody is there before what was mailed to somebody.
        let other = server.post(&format!("/auth/login/{way}/{unknown}")).send_checked().await;
        let known = server.post(&format!("/auth/login/{way}/{}", zoe.email)).send_checked().await;
        assert_eq!(known.text.len(), other.text.len());
        let bare = |mut answer: crate::support::server::HttpResponse| {
            answer.text.clear();
            answer.without_per_response_headers()
        };
        assert_eq!(bare(known), bare(other));
    }
    wait_for_mail(server, &zoe.email, 1).await;
    assert_eq!(mails(server, &unknown).len(), 1, "the magic link, and nothing to reset");
}

async fn who_has_no_password_gets_one(server: &TestServer) {
    let email = address();
    let half = super::magic(server, &email).await;
    super::claim(server, &wait_for_mail(server, &email, 0).await.token(), &half).await.is(200);
    let half = recover(server, &email).await;
    done(&reset(server, &wait_for_mail(server, &email, 1).await.token(), &half, OTHER).await, DONE);
    let zoe = signed_in(server, &email, OTHER).await;
    assert_eq!(me(server, &zoe.access).await["password"], true);
}
