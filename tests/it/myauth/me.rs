//! `users/me`: one's own account.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Member, OTHER, address, by, done, faults, made, me, member, of, refused, sign_in, sign_up, signed_in};
use crate::support::outbox::{mails, wait_for_mail};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    it_is_read,
    a_name_is_changed_without_more,
    an_address_is_changed_and_confirmed,
    an_address_or_a_password_needs_the_present_one,
    an_address_is_one_persons,
    a_password_ends_every_session,
    who_has_no_password_may_set_one,
    it_is_deleted,
    superusers_stay,
);

async fn update(server: &TestServer, who: &Member, body: Value) -> HttpResponse {
    by(server, Method::PUT, "/auth/users/me", &who.access).json(&body).send_checked().await
}

async fn it_is_read(server: &TestServer) {
    let zoe = member(server).await;
    let answer = by(server, Method::GET, "/auth/users/me", &zoe.access).send_checked().await;
    let user = answer.is(200).json();
    assert_eq!(answer.header("cache-control"), "no-store");
    for field in
        ["id", "email", "full_name", "role", "email_validated", "is_active", "is_superuser", "password", "totp"]
    {
        assert!(user.get(field).is_some(), "{field}: {user}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        refused(&server.request(method.clone(), "/auth/users/me").send_checked().await, 401, "Not authenticated");
        let garbage = by(server, method, "/auth/users/me", "garbage").send_checked().await;
        refused(&garbage, 401, "Could not validate credentials");
    }
}

async fn a_name_is_changed_without_more(server: &TestServer) {
    let zoe = member(server).await;
    let before = me(server, &zoe.access).await;
    for nothing in [json!({}), json!({"full_name": null, "email": zoe.email.to_uppercase(), "password": null})] {
        let same = update(server, &zoe, nothing).await.is(200).json();
        assert_eq!((&same["email"], &same["modified"]), (&before["email"], &before["modified"]));
    }
    let user = update(server, &zoe, json!({"full_name": "Zoe Tam", "original": "anything"})).await.is(200).json();
    assert_eq!((user["full_name"].as_str(), user["email"].as_str()), (Some("Zoe Tam"), Some(&*zoe.email)));
    assert_eq!(user.as_object().unwrap().len(), 16, "a UserRead and nothing else: {user}");
    assert_eq!(me(server, &zoe.access).await["full_name"], "Zoe Tam");
    // What is not one's own to say is not listened to.
    let more = json!({"role": "admin", "roles": ["admin"], "is_superuser": true, "is_active": false,
        "email_validated": true, "full_name": "Zoe"});
    let user = update(server, &zoe, more).await.is(200).json();
    assert_eq!(user["role"], "user");
    for (field, expected) in [("is_superuser", false), ("is_active", true), ("email_validated", false)] {
        assert_eq!(user[field], expected, "{field}");
    }
    let wrong = json!({"full_name": 1, "email": "nobody", "password": "short", "original": []});
    assert_eq!(
        faults(&update(server, &zoe, wrong).await),
        of(&[
            ("body.email", "value_error"),
            ("body.full_name", "string_type"),
            ("body.original", "string_type"),
            ("body.password", "string_too_short"),
        ])
    );
}

async fn an_address_is_changed_and_confirmed(server: &TestServer) {
    let zoe = made(server, &["--verified"]).await;
    assert_eq!(me(server, &zoe.access).await["email_validated"], true);
    let new = address();
    let user = update(server, &zoe, json!({"email": new.to_uppercase(), "original": PASSWORD})).await.is(200).json();
    assert_eq!((user["email"].as_str(), user["email_validated"].as_bool()), (Some(&*new), Some(false)));
    assert_eq!(me(server, &zoe.access).await["email"], new, "the one who asked stays signed in");
    let told = wait_for_mail(server, &zoe.email, 0).await;
    assert!(!told.source.contains(&new), "shown in part only: {}", told.source);
    let link = wait_for_mail(server, &new, 0).await;
    assert!(link.link().contains("/links/confirm?token="), "{}", link.link());
    server.post("/links/confirm").json(&json!({"token": link.token()})).send_checked().await.is(200);
    assert_eq!(me(server, &zoe.access).await["email_validated"], true);
    refused(&sign_in(server, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    signed_in(server, &new, PASSWORD).await;
    // The old one is free again.
    sign_up(server, &zoe.email).await.is(200);
}

async fn an_address_or_a_password_needs_the_present_one(server: &TestServer) {
    let zoe = member(server).await;
    for change in [json!({"email": address()}), json!({"password": OTHER})] {
        for original in [Value::Null, json!("not the password"), json!("")] {
            let mut body = change.clone();
            body["original"] = original;
            body["full_name"] = json!("nobody");
            refused(&update(server, &zoe, body).await, 400, "Unable to authenticate this update.");
        }
        refused(&update(server, &zoe, change).await, 400, "Unable to authenticate this update.");
    }
    assert_eq!(me(server, &zoe.access).await["full_name"], Value::Null, "all or nothing");
    assert!(mails(server, &zoe.email).is_empty());
}

async fn an_address_is_one_persons(server: &TestServer) {
    let (zoe, max) = (member(server).await, member(server).await);
    let taken = update(server, &zoe, json!({"email": max.email, "full_name": "x", "original": PASSWORD})).await;
    refused(&taken, 409, "This username is not available.");
    assert_eq!(me(server, &zoe.access).await["full_name"], Value::Null);

    let wanted = address();
    let people = join_all((0..6).map(|_| member(server))).await;
    let body = json!({"email": wanted, "original": PASSWORD});
    let claims = people.iter().map(|who| update(server, who, body.clone()));
    let answers = join_all(claims).await;
    let got = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(got, 1, "{answers:?}");
    let lost = answers.iter().filter(|answer| answer.status != 200);
    lost.for_each(|answer| refused(answer, 409, "This username is not available."));
    signed_in(server, &wanted, PASSWORD).await;
}

async fn a_password_ends_every_session(server: &TestServer) {
    let zoe = member(server).await;
    let other = signed_in(server, &zoe.email, PASSWORD).await;
    let native = server.try_sign_in(&zoe.email, PASSWORD).await.is(201).tokens();
    let weak = update(server, &zoe, json!({"password": "password1", "original": PASSWORD})).await;
    assert_eq!(faults(&weak), of(&[("body.password", "value_error")]));
    update(server, &zoe, json!({"password": OTHER, "original": PASSWORD})).await.is(200);
    for access in [&zoe.access, &other.access, &native.access] {
        assert_eq!(server.rejection_reason(access).await, "revoked");
    }
    for refresh in [&zoe.refresh, &other.refresh, &native.refresh] {
        let answer = by(server, Method::POST, "/auth/login/refresh", refresh).send_checked().await;
        refused(&answer, 401, "Could not validate credentials");
    }
    refused(&sign_in(server, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    signed_in(server, &zoe.email, OTHER).await;
    let notice = wait_for_mail(server, &zoe.email, 0).await;
    assert!(notice.header("subject").to_lowercase().contains("password"), "{}", notice.source);
}

async fn who_has_no_password_may_set_one(server: &TestServer) {
    let email = address();
    let half = super::magic(server, &email).await;
    let answer = super::claim(server, &wait_for_mail(server, &email, 0).await.token(), &half).await;
    let zoe = super::entered(server, &email, &answer).await;
    let new = address();
    let user = update(server, &zoe, json!({"password": OTHER, "email": new})).await.is(200).json();
    assert_eq!((user["password"].as_bool(), user["email"].as_str()), (Some(true), Some(&*new)));
    signed_in(server, &new, OTHER).await;
    // A thief would change both at once: the old address hears of both.
    wait_for_mail(server, &email, 2).await;
}

async fn it_is_deleted(server: &TestServer) {
    let zoe = member(server).await;
    let answer = by(server, Method::DELETE, "/auth/users/me", &zoe.access).send_checked().await;
    done(&answer, "User deleted successfully");
    let again = by(server, Method::DELETE, "/auth/users/me", &zoe.access).send_checked().await;
    refused(&again, 401, "Could not validate credentials");
    let refresh = by(server, Method::POST, "/auth/login/refresh", &zoe.refresh).send_checked().await;
    refused(&refresh, 401, "Could not validate credentials");
    refused(&sign_in(server, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    sign_up(server, &zoe.email).await.is(200);
}

async fn superusers_stay(server: &TestServer) {
    let root = made(server, &["--superuser"]).await;
    let stays = "Super users are not allowed to delete themselves";
    for path in ["/auth/users/me".to_owned(), format!("/auth/users/{}", root.id)] {
        refused(&by(server, Method::DELETE, &path, &root.access).send_checked().await, 403, stays);
    }
    assert_eq!(me(server, &root.access).await["is_superuser"], true);
}
