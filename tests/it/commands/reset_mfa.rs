//! `signet users reset-mfa`: an operator turns off the second factor of a user who has lost it.

use super::*;
use crate::support::server::over_both_stores;
use crate::support::{outbox, totp, until};

over_both_stores!(
    |plan| plan;
    second_factor_is_turned_off_and_the_owner_is_told,
    sessions_end_only_on_request,
    user_without_second_factor_is_left_unchanged,
);

async fn second_factor_is_turned_off_and_the_owner_is_told(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let (_, codes) = totp::enable_totp(server, &server.sign_in(&user).await.access, PASSWORD).await;
    server.try_sign_in(&user.email, PASSWORD).await.is_problem(401, "mfa_required");
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, &user.email).len();

    let output = server.plan().run(&["--json", "users", "reset-mfa", &user.email], "");
    let [event] = &events(&output)[..] else { panic!("{output:?}") };
    assert_eq!(event["message"], "second factor turned off by an operator");
    assert_eq!((&event["user"], &event["target"]), (&json!(user.id), &json!("signet::audit")));
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&row["id"], &row["second_factor"]), (&json!(user.id), &json!(false)));
    let mails = outbox::mails(server, &user.email);
    assert_eq!(mails.len(), before + 1, "the command waits for the mail");
    let is_notice = |mail: &outbox::Mail| mail.header("subject").contains("off");
    assert!(mails.iter().any(is_notice), "{mails:?}");

    server.try_sign_in(&user.email, PASSWORD).await.is(201);
    // The recovery codes have gone with it: they are not those of the next second factor.
    totp::enable_totp(server, &server.sign_in(&user).await.access, PASSWORD).await;
    let body = json!({"email": user.email, "password": PASSWORD, "totp_code": codes[0]});
    server.post("/sessions").json(&body).send_checked().await.is_problem(401, "invalid_mfa_code");
}

async fn sessions_end_only_on_request(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let tokens = server.sign_in(&user).await;
    totp::enable_totp(server, &tokens.access, PASSWORD).await;
    server.plan().json(&["users", "reset-mfa", &user.username], "");
    server.verify(&tokens.access).await.is(200);
    let tokens = server.refresh(&tokens.refresh).await.is(200).tokens();
    server.plan().json(&["users", "reset-mfa", &user.id, "--sign-out"], "");
    until("the session has ended", async || server.rejection_reason(&tokens.access).await == "revoked").await;
    server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
}

async fn user_without_second_factor_is_left_unchanged(server: &TestServer) {
    let user = server.create_user(&[]);
    let output = server.plan().run(&["users", "reset-mfa", &user.email], "");
    let printed = text(&output.stdout);
    assert!(events(&output).is_empty(), "{output:?}");
    assert!(printed.contains("the second factor was off already"), "{printed}");
    assert!(outbox::mails(server, &user.email).is_empty());
    assert!(refused(server.plan(), &["users", "reset-mfa", "nobody@example.org"], 1).contains("nobody@example.org"));
}
