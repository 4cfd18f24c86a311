//! `magic`, `claim`: two halves, together, once.

use futures_util::future::join_all;
use reqwest::Method;

use super::{address, by, claim, claim_of, entered, faults, magic, me, member, of, post, refused, reset, sign_up};
use super::{recover, signed_in, tokens};
use crate::support::outbox::{mails, wait_for_mail};
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    both_halves_sign_in_once,
    who_comes_back_with_both_halves_has_an_account,
    somebody_may_sign_up_meanwhile,
    a_wrong_half_is_one_of_five_tries,
    halves_of_different_links_do_not_fit,
    one_of_many_at_once_gets_in,
    scanners_use_nothing_up,
    a_link_from_before_a_change_of_password_is_no_good,
    who_is_disabled_gets_no_mail_and_the_same_answer,
    what_is_no_address_is_said_to_be_none,
);

const INVALID: &str = "Login failed; invalid claim.";

async fn both_halves_sign_in_once(server: &TestServer) {
    let zoe = member(server).await;
    assert_eq!(me(server, &zoe.access).await["email_validated"], false);
    let half = magic(server, &zoe.email.to_uppercase()).await;
    let mail = wait_for_mail(server, &zoe.email, 0).await;
    assert!(mail.link().contains("/links/magic?token="), "{}", mail.link());
    assert!(!mail.source.contains(&half));
    let answer = claim(server, &mail.token(), &half).await;
    let again = entered(server, &zoe.email, &answer).await;
    assert_eq!(again.id, zoe.id);
    assert_eq!(me(server, &again.access).await["email_validated"], true, "whoever reads its mail owns the address");
    assert_eq!(server.verify(&again.access).await.json()["claims"]["email_verified"], true);
    refused(&claim(server, &mail.token(), &half).await, 400, INVALID);
}

async fn who_comes_back_with_both_halves_has_an_account(server: &TestServer) {
    let email = address();
    let half = magic(server, &email).await;
    let token = wait_for_mail(server, &email, 0).await.token();
    let users = server.plan().run(&["users", "show", &email], "");
    assert!(!users.status.success(), "nobody's address makes an account");
    let zoe = entered(server, &email, &claim(server, &token, &half).await).await;
    let user = me(server, &zoe.access).await;
    for (field, expected) in [("email_validated", true), ("password", false), ("hashed_password", false)] {
        assert_eq!(user[field], expected, "{field}: {user}");
    }
    // Again, for who has no password.
    let half = magic(server, &email).await;
    let token = wait_for_mail(server, &email, 1).await.token();
    assert_eq!(entered(server, &email, &claim(server, &token, &half).await).await.id, zoe.id);
}

async fn somebody_may_sign_up_meanwhile(server: &TestServer) {
    let email = address();
    let half = magic(server, &email).await;
    let token = wait_for_mail(server, &email, 0).await.token();
    let id = sign_up(server, &email).await.is(200).json()["id"].clone();
    assert_eq!(entered(server, &email, &claim(server, &token, &half).await).await.id, id);
}

async fn a_wrong_half_is_one_of_five_tries(server: &TestServer) {
    let zoe = member(server).await;
    let half = magic(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    for wrong in 0..4 {
        refused(&claim(server, &token, &format!("wrong-{wrong}")).await, 400, INVALID);
    }
    tokens(&claim(server, &token, &half).await);

    let half = magic(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 1).await.token();
    for wrong in 0..5 {
        refused(&claim(server, &token, &format!("wrong-{wrong}")).await, 400, INVALID);
    }
    refused(&claim(server, &token, &half).await, 400, INVALID);
}

async fn halves_of_different_links_do_not_fit(server: &TestServer) {
    let (zoe, max) = (member(server).await, member(server).await);
    let first = magic(server, &zoe.email).await;
    let first_token = wait_for_mail(server, &zoe.email, 0).await.token();
    let second = magic(server, &zoe.email).await;
    let second_token = wait_for_mail(server, &zoe.email, 1).await.token();
    let others = magic(server, &max.email).await;
    for (token, half) in [
        (&first_token, &second),
        (&second_token, &first),
        (&first_token, &others),
        (&first, &first_token),
        (&first_token, &first_token),
        (&first, &first),
    ] {
        refused(&claim(server, token, half).await, 400, INVALID);
    }
    refused(&claim(server, &first_token, "").await, 400, INVALID);
    let without = server.post("/auth/login/claim").json(&serde_json::json!({"claim": first})).send_checked().await;
    refused(&without, 401, "Not authenticated");
    let empty = post(server, "/auth/login/claim", &first_token, serde_json::json!({})).await;
    assert_eq!(faults(&empty), of(&[("body.claim", "missing")]));
    // Each is good with its own.
    tokens(&claim(server, &second_token, &second).await);
    tokens(&claim(server, &first_token, &first).await);
}

async fn one_of_many_at_once_gets_in(server: &TestServer) {
    for email in [member(server).await.email, address()] {
        let half = magic(server, &email).await;
        let token = wait_for_mail(server, &email, 0).await.token();
        let answers = join_all((0..16).map(|_| claim(server, &token, &half))).await;
        let (inside, outside): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(inside.len(), 1, "{answers:?}");
        outside.iter().for_each(|answer| refused(answer, 400, INVALID));
    }
}

async fn scanners_use_nothing_up(server: &TestServer) {
    let email = address();
    let half = magic(server, &email).await;
    let reset_half = recover(server, &email).await;
    let mail = wait_for_mail(server, &email, 0).await;
    let path = mail.link().split_once("/links/").map(|(_, path)| format!("/links/{path}")).unwrap();
    for method in [Method::GET, Method::HEAD, Method::GET] {
        server.request(method, &path).header("accept", "text/html").send_checked().await.is(200);
    }
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        let answer = by(server, method, "/auth/login/claim", &mail.token()).send_checked().await;
        assert!([204, 405].contains(&answer.status), "{answer:?}");
    }
    let zoe = entered(server, &email, &claim(server, &mail.token(), &half).await).await;
    // The reset was asked for when nobody had the address: it was answered and never mailed.
    assert_eq!(mails(server, &email).len(), 1);
    refused(&reset(server, &zoe.access, &reset_half, PASSWORD).await, 400, "Password update failed; invalid claim.");
}

async fn a_link_from_before_a_change_of_password_is_no_good(server: &TestServer) {
    let zoe = member(server).await;
    let half = magic(server, &zoe.email).await;
    let token = wait_for_mail(server, &zoe.email, 0).await.token();
    let reset_half = recover(server, &zoe.email).await;
    let reset_token = wait_for_mail(server, &zoe.email, 1).await.token();
    reset(server, &reset_token, &reset_half, super::OTHER).await.is(200);
    refused(&claim(server, &token, &half).await, 400, INVALID);
    signed_in(server, &zoe.email, super::OTHER).await;
}

async fn who_is_disabled_gets_no_mail_and_the_same_answer(server: &TestServer) {
    let (zoe, max) = (member(server).await, member(server).await);
    let half = magic(server, &max.email).await;
    let token = wait_for_mail(server, &max.email, 0).await.token();
    for who in [&zoe, &max] {
        server.plan().json(&["users", "disable", &who.email], "");
    }
    magic(server, &zoe.email).await;
    recover(server, &zoe.email).await;
    refused(&claim(server, &token, &half).await, 400, INVALID);
    // Mails go out in their turn: what was posted before this one would be there.
    let other = address();
    magic(server, &other).await;
    wait_for_mail(server, &other, 0).await;
    assert!(mails(server, &zoe.email).is_empty());
}

async fn what_is_no_address_is_said_to_be_none(server: &TestServer) {
    for bad in ["nobody", "a@b", "a%40", "%00@example.org", "a%0d%0abcc:x@example.org"] {
        let answer = server.post(&format!("/auth/login/magic/{bad}")).send_checked().await;
        assert_eq!(faults(&answer), of(&[("path.email", "value_error")]), "{bad}");
        // Of this one the document says that it is the same for any.
        claim_of(&server.post(&format!("/auth/login/recover/{bad}")).send_checked().await);
    }
}

mod a_closed_registration {
    use super::*;
    use crate::myauth::made;

    over_both_stores!(|plan| plan.set("USERS_OPEN_REGISTRATION", "false"); lets_in_who_is_known);

    async fn lets_in_who_is_known(server: &TestServer) {
        refused(&sign_up(server, &address()).await, 400, "Registration is closed.");
        let zoe = made(server, &[]).await;
        refused(&sign_up(server, &zoe.email).await, 400, "Registration is closed.");
        let unknown = address();
        magic(server, &unknown).await;
        let half = magic(server, &zoe.email).await;
        tokens(&claim(server, &wait_for_mail(server, &zoe.email, 0).await.token(), &half).await);
        assert!(mails(server, &unknown).is_empty());
    }
}
