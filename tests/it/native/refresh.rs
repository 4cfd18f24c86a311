//! `/oauth/token` with refresh tokens: rotation, replay within the grace, and reuse.

use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::until;

over_both_stores!(|plan| plan;
    refresh_token_rotates, replay_within_the_grace_gets_the_same_successor, reused_token_ends_only_its_session,
    concurrent_refreshes_get_the_same_successor, invalid_refresh_tokens_are_refused,
    refresh_token_is_not_an_access_token);

async fn refresh_token_rotates(server: &TestServer) {
    let user = server.create_user(&[]);
    let first = server.sign_in(&user).await;
    let response = server.refresh(&first.refresh).await;
    assert_eq!(response.is(200).header("cache-control"), "no-store");
    let body = response.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &900.into()));
    assert_eq!((&body["user_id"], &body["session_id"]), (&user.id.as_str().into(), &first.session.as_str().into()));
    let second = response.tokens();
    assert_ne!((&second.refresh, &second.access), (&first.refresh, &first.access));
    let third = server.refresh(&second.refresh).await.is(200).tokens();
    for access in [&first.access, &second.access, &third.access] {
        assert_eq!(server.rejection_reason(access).await, "", "access tokens stay valid until they expire");
    }
}

async fn replay_within_the_grace_gets_the_same_successor(server: &TestServer) {
    let first = server.sign_in(&server.create_user(&[])).await;
    let second = server.refresh(&first.refresh).await.is(200).tokens();
    let again = server.refresh(&first.refresh).await.is(200).tokens();
    assert_eq!(second.refresh, again.refresh);
    server.verify(&again.access).await.is(200);
    server.refresh(&second.refresh).await.is(200);
}

async fn reused_token_ends_only_its_session(server: &TestServer) {
    let user = server.create_user(&[]);
    let (first, bystander) = (server.sign_in(&user).await, server.sign_in(&user).await);
    let second = server.refresh(&first.refresh).await.is(200).tokens();
    let third = server.refresh(&second.refresh).await.is(200).tokens();
    for access in [&first.access, &second.access, &third.access] {
        server.verify(access).await.is(200);
    }
    // Two behind: a client that lost a response would present the previous token.
    server.refresh(&first.refresh).await.is_oauth_error(400, "invalid_grant");
    for access in [&first.access, &second.access, &third.access] {
        assert_eq!(server.rejection_reason(access).await, "revoked");
    }
    for refresh in [&first.refresh, &second.refresh, &third.refresh] {
        server.refresh(refresh).await.is_oauth_error(400, "invalid_grant");
    }
    server.verify(&bystander.access).await.is(200);
    server.refresh(&bystander.refresh).await.is(200);
    server.signet.wait_for_log("refresh token reused");
    assert!(server.signet.log().contains(&first.session));
}

async fn concurrent_refreshes_get_the_same_successor(server: &TestServer) {
    let first = server.sign_in(&server.create_user(&[])).await;
    let responses = futures_util::future::join_all((0..20).map(|_| server.refresh(&first.refresh))).await;
    let successors = responses.iter().map(|response| response.is(200).tokens().refresh).collect::<Vec<_>>();
    assert!(successors.iter().all(|successor| *successor == successors[0]));
    server.refresh(&successors[0]).await.is(200);
}

async fn invalid_refresh_tokens_are_refused(server: &TestServer) {
    let tokens = server.sign_in(&server.create_user(&[])).await;
    let other = server.sign_in(&server.create_user(&[])).await;
    let middle = tokens.refresh.len() / 2;
    let mixed = format!("{}{}", &tokens.refresh[..middle], &other.refresh[middle..]);
    let padded = format!("{}=", tokens.refresh);
    let shorter = &tokens.refresh[1..];
    for bad in ["", "x", &tokens.access, &mixed, &padded, shorter, &"A".repeat(tokens.refresh.len())] {
        server.refresh(bad).await.is_oauth_error(400, "invalid_grant");
    }
    server.refresh(&tokens.refresh).await.is(200);
    server.refresh(&other.refresh).await.is(200);
}

async fn refresh_token_is_not_an_access_token(server: &TestServer) {
    let tokens = server.sign_in(&server.create_user(&[])).await;
    assert_eq!(server.rejection_reason(&tokens.refresh).await, "malformed");
    server.get("/sessions").bearer_auth(&tokens.refresh).send_checked().await.is_problem(401, "invalid_token");
    server.refresh(&tokens.refresh).await.is(200);
}

mod after_the_grace {
    use super::*;

    over_both_stores!(|plan| plan.set("SIGNET_TOKENS__GRACE", "300ms"); replayed_token_ends_its_session);

    async fn replayed_token_ends_its_session(server: &TestServer) {
        let first = server.sign_in(&server.create_user(&[])).await;
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
        assert_eq!(server.rejection_reason(&second.access).await, "revoked");
        assert_eq!(server.rejection_reason(&first.access).await, "revoked");
        server.refresh(&second.refresh).await.is_oauth_error(400, "invalid_grant");
    }
}
