//! Links that need the mailed token and the device secret. A token works only with the device secret of the same
//! request, not with that of another user or of another purpose.

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan.set("SIGNET_MAILED__DAILY_TRIES", "1000");
    reset_needs_token_and_its_own_device_secret, magic_link_needs_token_and_its_own_device_secret);

/// The response to an invalid link, for each call that redeems one.
const REFUSED: [(&str, &str); 4] = [
    ("/auth/login/reset", r#"{"detail":"Password update failed; invalid claim."}"#),
    ("/links/reset", r#"{"type":"invalid_link","title":"The link is invalid, used or expired.","status":400}"#),
    ("/auth/login/claim", r#"{"detail":"Login failed; invalid claim."}"#),
    ("/links/magic", r#"{"type":"invalid_link","title":"The link is invalid, used or expired.","status":400}"#),
];

async fn redeem(server: &TestServer, path: &str, token: &str, device_secret: Option<&str>) -> HttpResponse {
    let body = json!({"token": token, "claim": device_secret, "new_password": OTHER_PASSWORD});
    post_json(path, token, body)(server).send_checked().await
}

async fn assert_refused(server: &TestServer, path: &str, token: &str, device_secret: Option<&str>) {
    let response = redeem(server, path, token, device_secret).await;
    let (_, expected) = REFUSED.iter().find(|(call, _)| *call == path).expect("it is one of them");
    assert_eq!((response.is(400).text.as_str(), path), (*expected, path));
}

/// A mailed token and the device secret of the same request.
type Link = (String, String);

/// Combines tokens with device secrets of another user and of another purpose.
async fn assert_mixed_links_are_refused(server: &TestServer, path: &str, one: &Link, other: &Link, purpose: &Link) {
    for (token, device_secret) in [
        (&one.0, &other.1),
        (&other.0, &one.1),
        (&one.0, &purpose.1),
        (&purpose.0, &one.1),
        (&purpose.0, &purpose.1),
        (&one.1, &one.0),
    ] {
        assert_refused(server, path, token, Some(device_secret)).await;
    }
}

async fn reset_needs_token_and_its_own_device_secret(server: &TestServer) {
    for path in ["/auth/login/reset", "/links/reset"] {
        let (one, other) = (server.create_user(&["--verified"]), server.create_user(&["--verified"]));
        let link_of_one = mail_link(server, "recover", &one.email).await;
        let link_of_other = mail_link(server, "recover", &other.email).await;
        let magic = mail_link(server, "magic", &one.email).await;
        let complete_token = mail_reset_link(server, &one).await;
        assert_mixed_links_are_refused(server, path, &link_of_one, &link_of_other, &magic).await;
        assert_refused(server, path, &complete_token, Some(&link_of_one.1)).await;
        // The mailed token alone does not work, neither here nor for a call that takes no device secret.
        if path == "/links/reset" {
            assert_refused(server, path, &link_of_one.0, None).await;
        }
        let without_secret = format!("/api/v1/password-reset-confirm?token={}", link_of_one.0);
        let new = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
        server.post(&without_secret).json(&new).send_checked().await.is(400);
        for user in [&one, &other] {
            server.try_sign_in(&user.email, OTHER_PASSWORD).await.is(401);
            server.sign_in(user).await;
        }
        // The right combinations still work.
        for ((token, device_secret), user) in [(&link_of_one, &one), (&link_of_other, &other)] {
            let response = redeem(server, path, token, Some(device_secret)).await;
            assert!(matches!(response.status, 200 | 204), "{response:?}");
            server.try_sign_in(&user.email, PASSWORD).await.is(401);
            server.try_sign_in(&user.email, OTHER_PASSWORD).await.is(201);
        }
    }
}

async fn magic_link_needs_token_and_its_own_device_secret(server: &TestServer) {
    for path in ["/auth/login/claim", "/links/magic"] {
        let (one, other) = (server.create_user(&["--verified"]), server.create_user(&["--verified"]));
        let link_of_one = mail_link(server, "magic", &one.email).await;
        let link_of_other = mail_link(server, "magic", &other.email).await;
        let reset = mail_link(server, "recover", &one.email).await;
        assert_mixed_links_are_refused(server, path, &link_of_one, &link_of_other, &reset).await;
        for ((token, device_secret), user) in [(&link_of_one, &one), (&link_of_other, &other)] {
            let access = text(&redeem(server, path, token, Some(device_secret)).await.json(), "access_token");
            assert_eq!(server.verify(&access).await.is(200).json()["claims"]["sub"], user.id, "{path}");
        }
    }
}
