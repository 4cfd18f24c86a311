//! The token that `myauth` issues between the password and the second factor is valid only for that step. The test
//! sends it to every call of the document, in every position.

use super::*;
use crate::support::server::over_redis_and_postgres;

over_redis_and_postgres!(|plan| plan; second_step_token_is_accepted_only_for_its_step);

async fn second_step_token_is_accepted_only_for_its_step(server: &TestServer) {
    let admin = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let mfa_user = SignedInUser::new(server, &["--superuser"]).await;
    let (_, codes) = totp::enable_totp(server, &mfa_user.access, PASSWORD).await;
    let step = start_two_step_sign_in(server, &mfa_user.user).await;
    let before = server.plan().json(&["users", "show", &mfa_user.user.email], "");

    let mut attempts = 0;
    let calls = ApiCall::all(server).await;
    server.prepare_users(calls.len(), &[]);
    for call in calls {
        let mut request = valid_request(server, &call, &admin).await;
        // As the credential, where authentication is required: calls with optional authentication ignore it.
        let authentication_required =
            !call.security_schemes.is_empty() && !call.security_schemes.contains(&String::new());
        if authentication_required && !call.security_schemes.contains(&"totp_token".into()) {
            request.bearer.clone_from(&step);
            if let Some(body) = request.body.as_object_mut() {
                body.remove("client_secret");
            }
            let responses = [
                request.build(server).send_checked().await,
                ValidRequest { bearer: String::new(), ..request }
                    .build(server)
                    .header("x-api-key", &step)
                    .send_checked()
                    .await,
            ];
            for response in responses {
                // `codes` and the links return 400 for an invalid token.
                assert!(matches!(response.status, 400 | 401), "{}: {response:?}", call.name());
            }
            attempts += 1;
        }
    }
    assert!(attempts >= 30, "{attempts}");
    // As the token that is verified or exchanged.
    assert_eq!(server.verify(&step).await.is(401).json()["active"], false);
    let (service, _) = server.api_key(&server.create_user(&["--superuser"]), &["introspect", "revoke"]);
    let form = [("client_secret", service.as_str()), ("token", &step)];
    assert_eq!(server.form("/oauth/introspect", &form).await.is(200).json(), json!({"active": false}));
    for path in ["/api/v1/verify", "/api/v1/verify-token"] {
        server.post(path).json(&json!({"token": step})).send_checked().await.is(401);
    }
    for dialect in REFRESHING_DIALECTS {
        let response = refresh_request(dialect, &mfa_user.user, &step)(server).send_checked().await;
        assert!((400..500).contains(&response.status), "{dialect}: {response:?}");
    }
    for (path, body) in [
        ("/links/magic", json!({"token": step, "claim": codes[0]})),
        ("/links/reset", json!({"token": step, "claim": codes[0], "new_password": OTHER_PASSWORD})),
        ("/links/confirm", json!({"token": step})),
    ] {
        server.post(path).json(&body).send_checked().await.is(400);
    }
    // Nothing has changed, and the token is still valid for its step.
    assert_eq!(server.plan().json(&["users", "show", &mfa_user.user.email], ""), before);
    server.verify(&mfa_user.access).await.is(200);
    post_json("/auth/login/totp", &step, json!({"claim": codes[0]}))(server).send_checked().await.is(200);
}
