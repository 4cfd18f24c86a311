//! Links of two halves: the one that was mailed, and the one that stays with the device. No half goes with another's, nor with
//! its own of another errand.

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan.set("SIGNET_MAILED__DAILY_TRIES", "1000");
    a_password_is_set_by_both_halves_of_one_reset, a_session_is_opened_by_both_halves_of_one_link);

/// What a link that is not in force is told, where it is handed in.
const REFUSALS: [(&str, &str); 4] = [
    ("/auth/login/reset", r#"{"detail":"Password update failed; invalid claim."}"#),
    ("/links/reset", r#"{"type":"invalid_link","title":"The link is invalid, used or expired.","status":400}"#),
    ("/auth/login/claim", r#"{"detail":"Login failed; invalid claim."}"#),
    ("/links/magic", r#"{"type":"invalid_link","title":"The link is invalid, used or expired.","status":400}"#),
];

async fn hand_in(server: &TestServer, path: &str, token: &str, claim: Option<&str>) -> HttpResponse {
    let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
    posting(path, token, body)(server).send_checked().await
}

async fn is_refused(server: &TestServer, path: &str, token: &str, claim: Option<&str>) {
    let answer = hand_in(server, path, token, claim).await;
    let (_, due) = REFUSALS.iter().find(|(at, _)| *at == path).expect("it is one of them");
    assert_eq!((answer.is(400).text.as_str(), path), (*due, path));
}

async fn a_password_is_set_by_both_halves_of_one_reset(server: &TestServer) {
    for path in ["/auth/login/reset", "/links/reset"] {
        let (one, other) = (server.create_user(&["--verified"]), server.create_user(&["--verified"]));
        let (mailed, half) = link(server, "recover", &one.email).await;
        let (mailed_to_other, half_of_other) = link(server, "recover", &other.email).await;
        let (magic, half_of_magic) = link(server, "magic", &one.email).await;
        let whole = whole_link(server, &one).await;
        for (token, claim) in [
            (&mailed, &half_of_other),
            (&mailed_to_other, &half),
            (&mailed, &half_of_magic),
            (&magic, &half),
            (&magic, &half_of_magic),
            (&whole, &half),
            (&half, &mailed),
        ] {
            is_refused(server, path, token, Some(claim)).await;
        }
        // One's own alone is none, and what must be whole is not made whole by another's.
        if path == "/links/reset" {
            is_refused(server, path, &mailed, None).await;
        }
        let alone = format!("/api/v1/password-reset-confirm?token={mailed}");
        let new = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
        server.post(&alone).json(&new).send_checked().await.is(400);
        for person in [&one, &other] {
            server.try_sign_in(&person.email, OTHER_PASSWORD).await.is(401);
            server.sign_in(person).await;
        }
        // It was theirs all along.
        for (token, claim, person) in [(&mailed, &half, &one), (&mailed_to_other, &half_of_other, &other)] {
            let answer = hand_in(server, path, token, Some(claim)).await;
            assert!(matches!(answer.status, 200 | 204), "{answer:?}");
            server.try_sign_in(&person.email, PASSWORD).await.is(401);
            server.try_sign_in(&person.email, OTHER_PASSWORD).await.is(201);
        }
    }
}

async fn a_session_is_opened_by_both_halves_of_one_link(server: &TestServer) {
    for path in ["/auth/login/claim", "/links/magic"] {
        let (one, other) = (server.create_user(&["--verified"]), server.create_user(&["--verified"]));
        let (mailed, half) = link(server, "magic", &one.email).await;
        let (mailed_to_other, half_of_other) = link(server, "magic", &other.email).await;
        let (reset, half_of_reset) = link(server, "recover", &one.email).await;
        for (token, claim) in [
            (&mailed, &half_of_other),
            (&mailed_to_other, &half),
            (&mailed, &half_of_reset),
            (&reset, &half),
            (&reset, &half_of_reset),
            (&half, &mailed),
        ] {
            is_refused(server, path, token, Some(claim)).await;
        }
        for (token, claim, person) in [(&mailed, &half, &one), (&mailed_to_other, &half_of_other, &other)] {
            let access = text(&hand_in(server, path, token, Some(claim)).await.json(), "access_token");
            assert_eq!(server.verify(&access).await.is(200).json()["claims"]["sub"], person.id, "{path}");
        }
    }
}
