//! Sign-ins that the settings refuse: with an unverified address, and of new users once registration is closed.

use reqwest::Method;
use serde_json::json;

use super::life::{only_native, send, send_and_read_mail};
use crate::support::server::{PASSWORD, TestServer, over_both_stores};

over_both_stores!(|plan| plan.set("SIGNET_API__NATIVE__VERIFIED_ONLY", "true");
    unverified_address_is_reported_after_the_password);

async fn unverified_address_is_reported_after_the_password(server: &TestServer) {
    let user = server.create_user(&[]);
    server.try_sign_in(&user.email, "not the password").await.is_problem(401, "invalid_credentials");
    server.try_sign_in(&user.email, PASSWORD).await.is_problem(403, "email_not_verified");
    server.sign_in(&server.create_user(&["--verified"])).await;
}

#[tokio::test]
async fn code_and_link_are_refused_once_registration_is_closed() {
    let server = TestServer::embedded(only_native);
    let email = "late@example.org";
    let request = send(&server, Method::POST, "/codes", "", json!({"email": email}));
    let (_, mail) = send_and_read_mail(&server, email, request).await;
    let code = json!({"email": email, "code": mail.code()});
    let request = send(&server, Method::POST, "/magic-links", "", json!({"email": email}));
    let (asked, mail) = send_and_read_mail(&server, email, request).await;
    let link = json!({"token": mail.token(), "device_secret": asked.json()["device_secret"]});
    let plan = server.plan().clone().set("USERS_OPEN_REGISTRATION", "false");
    server.signet.terminate();
    server.signet.wait_for_exit();
    let server = TestServer::start(plan);
    for (path, body) in [("/sessions", code), ("/magic-links/redeem", link)] {
        send(&server, Method::POST, path, "", body).await.is_problem(403, "registration_closed");
    }
}
