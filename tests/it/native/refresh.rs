//! `/oauth/token` for people: a refresh token is exchanged, comes again, comes too late.

use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::until;

over_both_stores!(|plan| plan;
    a_token_rotates, the_same_token_gets_the_same_successor, an_old_token_ends_its_session_and_no_other,
    many_at_once_agree, what_is_no_refresh_token);

async fn a_token_rotates(server: &TestServer) {
    let person = server.person(&[]);
    let first = server.sign_in(&person).await;
    let answer = server.refresh(&first.refresh).await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &900.into()));
    assert_eq!((&body["user_id"], &body["session_id"]), (&person.id.as_str().into(), &first.session.as_str().into()));
    let second = answer.tokens();
    assert_ne!((&second.refresh, &second.access), (&first.refresh, &first.access));
    let third = server.refresh(&second.refresh).await.is(200).tokens();
    for access in [&first.access, &second.access, &third.access] {
        assert_eq!(server.reason(access).await, "", "access tokens live until they expire");
    }
}

async fn the_same_token_gets_the_same_successor(server: &TestServer) {
    let first = server.sign_in(&server.person(&[])).await;
    let second = server.refresh(&first.refresh).await.is(200).tokens();
    let again = server.refresh(&first.refresh).await.is(200).tokens();
    assert_eq!(second.refresh, again.refresh);
    server.verify(&again.access).await.is(200);
    server.refresh(&second.refresh).await.is(200);
}

async fn an_old_token_ends_its_session_and_no_other(server: &TestServer) {
    let person = server.person(&[]);
    let (first, bystander) = (server.sign_in(&person).await, server.sign_in(&person).await);
    let second = server.refresh(&first.refresh).await.is(200).tokens();
    let third = server.refresh(&second.refresh).await.is(200).tokens();
    for access in [&first.access, &second.access, &third.access] {
        server.verify(access).await.is(200);
    }
    // Two behind: whoever has it is not the one who lost a reply.
    server.refresh(&first.refresh).await.is_oauth_error(400, "invalid_grant");
    for access in [&first.access, &second.access, &third.access] {
        assert_eq!(server.reason(access).await, "revoked");
    }
    for refresh in [&first.refresh, &second.refresh, &third.refresh] {
        server.refresh(refresh).await.is_oauth_error(400, "invalid_grant");
    }
    server.verify(&bystander.access).await.is(200);
    server.refresh(&bystander.refresh).await.is(200);
    server.signet.wait_for_log("refresh token reused");
    assert!(server.signet.log().contains(&first.session));
}

async fn many_at_once_agree(server: &TestServer) {
    let first = server.sign_in(&server.person(&[])).await;
    let answers = futures_util::future::join_all((0..20).map(|_| server.refresh(&first.refresh))).await;
    let successors = answers.iter().map(|answer| answer.is(200).tokens().refresh).collect::<Vec<_>>();
    assert!(successors.iter().all(|successor| *successor == successors[0]));
    server.refresh(&successors[0]).await.is(200);
}

async fn what_is_no_refresh_token(server: &TestServer) {
    let tokens = server.sign_in(&server.person(&[])).await;
    let other = server.sign_in(&server.person(&[])).await;
    let half = tokens.refresh.len() / 2;
    let mixed = format!("{}{}", &tokens.refresh[..half], &other.refresh[half..]);
    let padded = format!("{}=", tokens.refresh);
    let shorter = &tokens.refresh[1..];
    for bad in ["", "x", &tokens.access, &mixed, &padded, shorter, &"A".repeat(tokens.refresh.len())] {
        server.refresh(bad).await.is_oauth_error(400, "invalid_grant");
    }
    // A refresh token is no access token.
    assert_eq!(server.reason(&tokens.refresh).await, "malformed");
    server.get("/sessions").bearer_auth(&tokens.refresh).send_checked().await.is_problem(401, "bad-credentials");
    server.refresh(&tokens.refresh).await.is(200);
    server.refresh(&other.refresh).await.is(200);
}

mod after_the_grace {
    use super::*;

    over_both_stores!(|plan| plan.set("SIGNET_TOKENS__GRACE", "300ms"); a_token_that_comes_again_counts_as_stolen);

    async fn a_token_that_comes_again_counts_as_stolen(server: &TestServer) {
        let first = server.sign_in(&server.person(&[])).await;
        let second = server.refresh(&first.refresh).await.is(200).tokens();
        server.verify(&second.access).await.is(200);
        until("the grace is over", async || {
            let again = server.refresh(&first.refresh).await;
            if again.status == 200 {
                assert_eq!(again.tokens().refresh, second.refresh);
            }
            again.status == 400
        })
        .await;
        assert_eq!(server.reason(&second.access).await, "revoked");
        assert_eq!(server.reason(&first.access).await, "revoked");
        server.refresh(&second.refresh).await.is_oauth_error(400, "invalid_grant");
    }
}
