//! What `myauth` gives between the password and the second factor is good for that one step: every call of the document is asked with
//! it, wherever a token can stand.

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan; the_token_of_the_second_step_opens_no_other_door);

async fn the_token_of_the_second_step_opens_no_other_door(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let guarded = Somebody::new(server, &["--superuser"]).await;
    let (_, codes) = totp::enable_totp(server, &guarded.access, PASSWORD).await;
    let step = first_step(server, &guarded.person).await;
    let before = server.plan().json(&["users", "show", &guarded.person.email], "");

    let mut tried = 0;
    for call in Call::all(server).await {
        let mut wish = wish(server, &call, &root).await;
        // As the credential. Where there may be none, it is as good as none.
        let asked_for = !call.lets_in.is_empty() && !call.lets_in.contains(&String::new());
        if asked_for && !call.lets_in.contains(&"totp_token".into()) {
            wish.bearer.clone_from(&step);
            if let Some(body) = wish.body.as_object_mut() {
                body.remove("client_secret");
            }
            let answers = [
                wish.request(server).send_checked().await,
                Wish { bearer: String::new(), ..wish }.request(server).header("x-api-key", &step).send_checked().await,
            ];
            for answer in answers {
                // `codes` says 400 of a token that is none, and so do links.
                assert!(matches!(answer.status, 400 | 401), "{}: {answer:?}", call.name());
            }
            tried += 1;
        }
    }
    assert!(tried >= 30, "{tried}");
    // As what is asked about, or exchanged.
    assert_eq!(server.verify(&step).await.is(401).json()["active"], false);
    let (service, _) = server.api_key(&server.create_user(&[]), &["introspect", "revoke"]);
    let form = [("client_secret", service.as_str()), ("token", &step)];
    assert_eq!(server.form("/oauth/introspect", &form).await.is(200).json(), json!({"active": false}));
    for path in ["/api/v1/verify", "/api/v1/verify-token"] {
        server.post(path).json(&json!({"token": step})).send_checked().await.is(401);
    }
    for dialect in REFRESHING {
        let answer = refreshing(dialect, &guarded.person, &step)(server).send_checked().await;
        assert!((400..500).contains(&answer.status), "{dialect}: {answer:?}");
    }
    for (path, body) in [
        ("/links/magic", json!({"token": step, "claim": codes[0]})),
        ("/links/reset", json!({"token": step, "claim": codes[0], "new_password": OTHER_PASSWORD})),
        ("/links/confirm", json!({"token": step})),
    ] {
        server.post(path).json(&body).send_checked().await.is(400);
    }
    // Nothing has happened, and it is still good for its step.
    assert_eq!(server.plan().json(&["users", "show", &guarded.person.email], ""), before);
    server.verify(&guarded.access).await.is(200);
    posting("/auth/login/totp", &step, json!({"claim": codes[0]}))(server).send_checked().await.is(200);
}
