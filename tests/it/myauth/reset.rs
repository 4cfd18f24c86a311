//! `recover`, `reset`: a new password for who reads the mail and holds the other half.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{OTHER, address, by, done, faults, me, member, of, post, recover, refused, reset, sign_in, signed_in};
use crate::support::desk::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::outbox::{mails, next};

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

async fn both_halves_set_a_password_once(desk: &TestServer) {
    let zoe = member(desk).await;
    let half = recover(desk, &zoe.email).await;
    let mail = next(desk, &zoe.email, 0).await;
    assert!(mail.link().contains("/links/reset?token="), "{}", mail.link());
    done(&reset(desk, &mail.token(), &half, OTHER).await, DONE);
    refused(&reset(desk, &mail.token(), &half, PASSWORD).await, 400, INVALID);
    refused(&sign_in(desk, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    let zoe = signed_in(desk, &zoe.email, OTHER).await;
    assert_eq!(me(desk, &zoe.access).await["email_validated"], true);
    let notice = next(desk, &zoe.email, 1).await;
    assert_eq!(notice.header("to"), zoe.email);
    assert!(notice.header("subject").to_lowercase().contains("password"), "{}", notice.whole);
}

async fn every_session_of_every_dialect_is_over(desk: &TestServer) {
    let zoe = member(desk).await;
    let other = signed_in(desk, &zoe.email, PASSWORD).await;
    let native = desk.try_sign_in(&zoe.email, PASSWORD).await.is(201).tokens();
    let half = recover(desk, &zoe.email).await;
    done(&reset(desk, &next(desk, &zoe.email, 0).await.token(), &half, OTHER).await, DONE);
    for access in [&zoe.access, &other.access, &native.access] {
        assert_eq!(desk.reason(access).await, "revoked");
        refused(
            &by(desk, Method::GET, "/auth/users/me", access).send_checked().await,
            401,
            "Could not validate credentials",
        );
    }
    for refresh in [&zoe.refresh, &other.refresh, &native.refresh] {
        desk.refresh(refresh).await.is(400);
        let answer = by(desk, Method::POST, "/auth/login/refresh", refresh).send_checked().await;
        refused(&answer, 401, "Could not validate credentials");
    }
}

async fn what_is_wrong_with_the_password_uses_nothing_up(desk: &TestServer) {
    let zoe = member(desk).await;
    let half = recover(desk, &zoe.email).await;
    let token = next(desk, &zoe.email, 0).await.token();
    for (weak, kind) in [("short", "string_too_short"), ("password", "value_error")] {
        for _ in 0..3 {
            assert_eq!(faults(&reset(desk, &token, &half, weak).await), of(&[("body.new_password", kind)]));
        }
    }
    let nothing = faults(&post(desk, "/auth/login/reset", &token, json!({})).await);
    assert_eq!(nothing, of(&[("body.claim", "missing"), ("body.new_password", "missing")]));
    let both = faults(&post(desk, "/auth/login/reset", &token, json!({"new_password": "short"})).await);
    assert_eq!(both, of(&[("body.claim", "missing"), ("body.new_password", "string_too_short")]));
    let body = json!({"new_password": OTHER, "claim": half});
    refused(&desk.post("/auth/login/reset").json(&body).send_checked().await, 401, "Not authenticated");
    done(&reset(desk, &token, &half, OTHER).await, DONE);
}

async fn a_wrong_half_is_one_of_five_tries(desk: &TestServer) {
    let zoe = member(desk).await;
    let half = recover(desk, &zoe.email).await;
    let token = next(desk, &zoe.email, 0).await.token();
    for wrong in [half.to_lowercase(), String::new(), token.clone(), half[1..].to_owned(), format!("{half}A")] {
        refused(&reset(desk, &token, &wrong, OTHER).await, 400, INVALID);
    }
    refused(&reset(desk, &token, &half, OTHER).await, 400, INVALID);
    signed_in(desk, &zoe.email, PASSWORD).await;
}

async fn one_of_many_at_once_sets_it(desk: &TestServer) {
    let zoe = member(desk).await;
    let half = recover(desk, &zoe.email).await;
    let token = next(desk, &zoe.email, 0).await.token();
    let passwords = (0..8).map(|number| format!("{OTHER} {number}")).collect::<Vec<_>>();
    let answers = join_all(passwords.iter().map(|password| reset(desk, &token, &half, password))).await;
    let set = answers.iter().zip(&passwords).filter(|(answer, _)| answer.status == 200).collect::<Vec<_>>();
    let [(_, password)] = set.as_slice() else { panic!("{answers:?}") };
    signed_in(desk, &zoe.email, password).await;
}

async fn of_two_links_the_second_does_not_survive_the_first(desk: &TestServer) {
    let zoe = member(desk).await;
    let first = recover(desk, &zoe.email).await;
    let first_token = next(desk, &zoe.email, 0).await.token();
    let second = recover(desk, &zoe.email).await;
    let second_token = next(desk, &zoe.email, 1).await.token();
    refused(&reset(desk, &first_token, &second, OTHER).await, 400, INVALID);
    done(&reset(desk, &first_token, &first, OTHER).await, DONE);
    refused(&reset(desk, &second_token, &second, PASSWORD).await, 400, INVALID);
}

async fn a_link_to_an_address_that_was_changed_is_no_good(desk: &TestServer) {
    let zoe = member(desk).await;
    let half = recover(desk, &zoe.email).await;
    let token = next(desk, &zoe.email, 0).await.token();
    let change = json!({"email": address(), "original": PASSWORD});
    by(desk, Method::PUT, "/auth/users/me", &zoe.access).json(&change).send_checked().await.is(200);
    refused(&reset(desk, &token, &half, OTHER).await, 400, INVALID);
}

async fn nobody_is_told_who_has_an_account(desk: &TestServer) {
    let (zoe, unknown) = (member(desk).await, address());
    for way in ["magic", "recover"] {
        // In this order: what was mailed to nobody is there before what was mailed to somebody.
        let other = desk.post(&format!("/auth/login/{way}/{unknown}")).send_checked().await;
        let known = desk.post(&format!("/auth/login/{way}/{}", zoe.email)).send_checked().await;
        assert_eq!(known.text.len(), other.text.len());
        let bare = |mut answer: crate::support::desk::HttpResponse| {
            answer.text.clear();
            answer.without_names()
        };
        assert_eq!(bare(known), bare(other));
    }
    next(desk, &zoe.email, 1).await;
    assert_eq!(mails(desk, &unknown).len(), 1, "the magic link, and nothing to reset");
}

async fn who_has_no_password_gets_one(desk: &TestServer) {
    let email = address();
    let half = super::magic(desk, &email).await;
    super::claim(desk, &next(desk, &email, 0).await.token(), &half).await.is(200);
    let half = recover(desk, &email).await;
    done(&reset(desk, &next(desk, &email, 1).await.token(), &half, OTHER).await, DONE);
    let zoe = signed_in(desk, &email, OTHER).await;
    assert_eq!(me(desk, &zoe.access).await["password"], true);
}
