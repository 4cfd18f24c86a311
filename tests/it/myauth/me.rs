//! `users/me`: reading, changing and deleting one's own account.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Member, OTHER_PASSWORD, assert_error, assert_msg, expected, field_errors, me, member, member_with, new_address,
    request_as, sign_in, sign_up, try_sign_in,
};
use crate::support::outbox::{mails, wait_for_mail, wait_until_queue_is_empty};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    own_account_is_returned,
    name_change_needs_no_password,
    address_change_is_confirmed_by_link,
    address_or_password_change_needs_current_password,
    concurrent_changes_to_one_address_succeed_once,
    password_change_ends_every_session,
    user_without_password_may_set_one,
    own_account_is_deleted,
    superuser_cannot_delete_itself,
);

async fn update(server: &TestServer, member: &Member, body: Value) -> HttpResponse {
    request_as(server, Method::PUT, "/auth/users/me", &member.access).json(&body).send_checked().await
}

async fn own_account_is_returned(server: &TestServer) {
    let zoe = member(server).await;
    let response = request_as(server, Method::GET, "/auth/users/me", &zoe.access).send_checked().await;
    let user = response.is(200).json();
    assert_eq!(response.header("cache-control"), "no-store");
    for field in [
        "id",
        "email",
        "full_name",
        "role",
        "email_validated",
        "is_active",
        "is_superuser",
        "password",
        "totp",
        "totp_secret",
    ] {
        assert!(user.get(field).is_some(), "{field}: {user}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_error(&server.request(method.clone(), "/auth/users/me").send_checked().await, 401, "Not authenticated");
        let garbage = request_as(server, method, "/auth/users/me", "garbage").send_checked().await;
        assert_error(&garbage, 401, "Could not validate credentials");
    }
}

async fn name_change_needs_no_password(server: &TestServer) {
    let zoe = member(server).await;
    let before = me(server, &zoe.access).await;
    for unchanged in [json!({}), json!({"full_name": null, "email": zoe.email.to_uppercase(), "password": null})] {
        let same = update(server, &zoe, unchanged).await.is(200).json();
        assert_eq!((&same["email"], &same["modified"]), (&before["email"], &before["modified"]));
    }
    let user = update(server, &zoe, json!({"full_name": "Zoe Tam", "original": "anything"})).await.is(200).json();
    assert_eq!((user["full_name"].as_str(), user["email"].as_str()), (Some("Zoe Tam"), Some(&*zoe.email)));
    assert_eq!(user.as_object().unwrap().len(), 17, "the fields of UserRead only: {user}");
    assert_eq!(me(server, &zoe.access).await["full_name"], "Zoe Tam");
    // Fields that only an administrator may change are ignored.
    let more = json!({"role": "admin", "roles": ["admin"], "is_superuser": true, "is_active": false,
        "email_validated": true, "full_name": "Zoe"});
    let user = update(server, &zoe, more).await.is(200).json();
    assert_eq!(user["role"], "user");
    for (field, expected) in [("is_superuser", false), ("is_active", true), ("email_validated", false)] {
        assert_eq!(user[field], expected, "{field}");
    }
    let wrong = json!({"full_name": 1, "email": "nobody", "password": "short", "original": []});
    assert_eq!(
        field_errors(&update(server, &zoe, wrong).await),
        expected(&[
            ("body.email", "value_error"),
            ("body.full_name", "string_type"),
            ("body.original", "string_type"),
            ("body.password", "string_too_short"),
        ])
    );
}

async fn address_change_is_confirmed_by_link(server: &TestServer) {
    let zoe = member_with(server, &["--verified"]).await;
    assert_eq!(me(server, &zoe.access).await["email_validated"], true);
    let new = new_address();
    let user = update(server, &zoe, json!({"email": new.to_uppercase(), "original": PASSWORD})).await.is(200).json();
    assert_eq!((user["email"].as_str(), user["email_validated"].as_bool()), (Some(&*new), Some(false)));
    assert_eq!(me(server, &zoe.access).await["email"], new, "the session that made the change continues");
    let notice = wait_for_mail(server, &zoe.email, 0).await;
    assert!(!notice.source.contains(&new), "the notice masks the new address: {}", notice.source);
    let link = wait_for_mail(server, &new, 0).await;
    assert!(link.link().contains("/links/confirm?token="), "{}", link.link());
    server.post("/links/confirm").json(&json!({"token": link.token()})).send_checked().await.is(200);
    assert_eq!(me(server, &zoe.access).await["email_validated"], true);
    assert_error(&try_sign_in(server, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    sign_in(server, &new, PASSWORD).await;
    // The old address is free again.
    sign_up(server, &zoe.email).await.is(200);
}

async fn address_or_password_change_needs_current_password(server: &TestServer) {
    let zoe = member(server).await;
    for change in [json!({"email": new_address()}), json!({"password": OTHER_PASSWORD})] {
        for original in [Value::Null, json!("not the password"), json!("")] {
            let mut body = change.clone();
            body["original"] = original;
            body["full_name"] = json!("nobody");
            assert_error(&update(server, &zoe, body).await, 400, "Unable to authenticate this update.");
        }
        assert_error(&update(server, &zoe, change).await, 400, "Unable to authenticate this update.");
    }
    assert_eq!(me(server, &zoe.access).await["full_name"], Value::Null, "a refused update changes nothing");
    wait_until_queue_is_empty(server).await;
    assert!(mails(server, &zoe.email).is_empty());
}

async fn concurrent_changes_to_one_address_succeed_once(server: &TestServer) {
    let (zoe, max) = (member(server).await, member(server).await);
    let taken = update(server, &zoe, json!({"email": max.email, "full_name": "x", "original": PASSWORD})).await;
    assert_error(&taken, 409, "This username is not available.");
    assert_eq!(me(server, &zoe.access).await["full_name"], Value::Null);

    let new = new_address();
    let members = join_all((0..6).map(|_| member(server))).await;
    let body = json!({"email": new, "original": PASSWORD});
    let requests = members.iter().map(|member| update(server, member, body.clone()));
    let responses = join_all(requests).await;
    let succeeded = responses.iter().filter(|response| response.status == 200).count();
    assert_eq!(succeeded, 1, "{responses:?}");
    let failed = responses.iter().filter(|response| response.status != 200);
    failed.for_each(|response| assert_error(response, 409, "This username is not available."));
    sign_in(server, &new, PASSWORD).await;
}

async fn password_change_ends_every_session(server: &TestServer) {
    let zoe = member(server).await;
    let other = sign_in(server, &zoe.email, PASSWORD).await;
    let native = server.try_sign_in(&zoe.email, PASSWORD).await.is(201).tokens();
    let weak = update(server, &zoe, json!({"password": "password1", "original": PASSWORD})).await;
    assert_eq!(field_errors(&weak), expected(&[("body.password", "value_error")]));
    update(server, &zoe, json!({"password": OTHER_PASSWORD, "original": PASSWORD})).await.is(200);
    for access in [&zoe.access, &other.access, &native.access] {
        assert_eq!(server.rejection_reason(access).await, "revoked");
    }
    for refresh in [&zoe.refresh, &other.refresh, &native.refresh] {
        let response = request_as(server, Method::POST, "/auth/login/refresh", refresh).send_checked().await;
        assert_error(&response, 401, "Could not validate credentials");
    }
    assert_error(&try_sign_in(server, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    sign_in(server, &zoe.email, OTHER_PASSWORD).await;
    let notice = wait_for_mail(server, &zoe.email, 0).await;
    assert!(notice.header("subject").to_lowercase().contains("password"), "{}", notice.source);
}

async fn user_without_password_may_set_one(server: &TestServer) {
    let email = new_address();
    let secret = super::request_magic_link(server, &email).await;
    let response = super::redeem_magic_link(server, &wait_for_mail(server, &email, 0).await.token(), &secret).await;
    let zoe = super::member_from(server, &email, &response).await;
    let new = new_address();
    let user = update(server, &zoe, json!({"password": OTHER_PASSWORD, "email": new})).await.is(200).json();
    assert_eq!((user["password"].as_bool(), user["email"].as_str()), (Some(true), Some(&*new)));
    sign_in(server, &new, OTHER_PASSWORD).await;
    // A thief would change both in one request, so the old address is notified of both.
    wait_for_mail(server, &email, 2).await;
}

async fn own_account_is_deleted(server: &TestServer) {
    let zoe = member(server).await;
    let response = request_as(server, Method::DELETE, "/auth/users/me", &zoe.access).send_checked().await;
    assert_msg(&response, "User deleted successfully");
    let again = request_as(server, Method::DELETE, "/auth/users/me", &zoe.access).send_checked().await;
    assert_error(&again, 401, "Could not validate credentials");
    let refresh = request_as(server, Method::POST, "/auth/login/refresh", &zoe.refresh).send_checked().await;
    assert_error(&refresh, 401, "Could not validate credentials");
    assert_error(&try_sign_in(server, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    sign_up(server, &zoe.email).await.is(200);
}

async fn superuser_cannot_delete_itself(server: &TestServer) {
    let root = member_with(server, &["--superuser"]).await;
    let stays = "Super users are not allowed to delete themselves";
    for path in ["/auth/users/me".to_owned(), format!("/auth/users/{}", root.id)] {
        assert_error(&request_as(server, Method::DELETE, &path, &root.access).send_checked().await, 403, stays);
    }
    assert_eq!(me(server, &root.access).await["is_superuser"], true);
}
