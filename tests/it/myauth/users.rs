//! `users`: everybody's accounts, for those who see to them.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Member, OTHER, address, by, done, faults, made, me, member, of, post, refused, sign_in, signed_in};
use crate::support::outbox::{mails, wait_for_mail};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    only_those_who_see_to_users_may,
    a_page_has_twenty,
    one_is_read,
    one_is_made,
    one_is_changed,
    what_a_change_ends,
    only_superusers_touch_superusers,
    the_row_counts_and_not_the_token,
    one_is_let_in_and_out,
    one_is_deleted,
);

const NOT_PERMITTED: &str = "The user does not have the required permissions.";
const ABSENT: &str = "/auth/users/019a8b1c-0000-7abc-9def-0123456789ab";

async fn admin(server: &TestServer) -> Member {
    made(server, &["--role", "billing", "--role", "admin"]).await
}

async fn change(server: &TestServer, who: &Member, whom: &str, body: Value) -> HttpResponse {
    post(server, &format!("/auth/users/{whom}"), &who.access, body).await
}

async fn create(server: &TestServer, who: &Member, body: Value) -> HttpResponse {
    post(server, "/auth/users/create", &who.access, body).await
}

async fn only_those_who_see_to_users_may(server: &TestServer) {
    let (zoe, root) = (made(server, &["--role", "editor"]).await, made(server, &["--superuser"]).await);
    let key = server.plan().json(&["api-keys", "create", "--user", &root.email, "--name", "k", "--scope", "admin"], "");
    let key = key["full_key"].as_str().unwrap();
    let body = json!({"email": address(), "user_email": zoe.email});
    for (method, path) in [
        (Method::GET, "/auth/users/"),
        (Method::GET, ABSENT),
        (Method::POST, ABSENT),
        (Method::DELETE, ABSENT),
        (Method::POST, "/auth/users/create"),
        (Method::POST, "/auth/users/toggle-state"),
    ] {
        let ask = async |bearer: &str| by(server, method.clone(), path, bearer).json(&body).send_checked().await;
        refused(&ask(&zoe.access).await, 403, NOT_PERMITTED);
        // An API key acts for nobody here, whatever its scopes.
        refused(&ask(key).await, 403, NOT_PERMITTED);
        refused(&ask("garbage").await, 401, "Could not validate credentials");
        refused(&server.request(method.clone(), path).json(&body).send_checked().await, 401, "Not authenticated");
    }
    assert_eq!(me(server, &zoe.access).await["is_active"], true);
}

async fn a_page_has_twenty(server: &TestServer) {
    let root = made(server, &["--superuser"]).await;
    for _ in 0..41 {
        super::sign_up(server, &address()).await.is(200);
    }
    let page = async |query: &str| {
        let answer = by(server, Method::GET, &format!("/auth/users/{query}"), &root.access).send_checked().await;
        let users = answer.is(200).json().as_array().unwrap().clone();
        users.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (first, second, third) = (page("?page=0").await, page("?page=1").await, page("?page=2").await);
    assert_eq!((first.len(), second.len()), (20, 20));
    assert!(!third.is_empty());
    let mut all = [first.clone(), second, third].concat();
    all.sort();
    all.dedup();
    assert!(all.len() > 40, "nobody is there twice: {}", all.len());
    for same in ["", "?page=-3"] {
        assert_eq!(page(same).await, first, "{same}");
    }
    assert_eq!(page("?page=1000000").await, Vec::<String>::new());
    assert_eq!(page("?page=9223372036854775807").await, Vec::<String>::new());
    for (bad, kind) in [("x", "int_parsing"), ("1.5", "int_parsing"), ("99999999999999999999", "int_parsing_size")] {
        let answer = by(server, Method::GET, &format!("/auth/users?page={bad}"), &root.access).send_checked().await;
        assert_eq!(faults(&answer), of(&[("query.page", kind)]), "{bad}");
    }
}

async fn one_is_read(server: &TestServer) {
    let (admin, zoe) = (admin(server).await, member(server).await);
    let user =
        by(server, Method::GET, &format!("/auth/users/{}", zoe.id), &admin.access).send_checked().await.is(200).json();
    assert_eq!((user["email"].as_str(), user.as_object().unwrap().len()), (Some(&*zoe.email), 16), "{user}");
    assert_eq!(me(server, &admin.access).await["role"], "admin", "it goes before any other role");
    for method in [Method::GET, Method::DELETE, Method::POST] {
        let ask =
            async |path: &str| by(server, method.clone(), path, &admin.access).json(&json!({})).send_checked().await;
        refused(&ask(ABSENT).await, 404, "User not found.");
        assert_eq!(faults(&ask("/auth/users/nobody").await), of(&[("path.user_id", "uuid_parsing")]));
    }
}

async fn one_is_made(server: &TestServer) {
    let (admin, root) = (admin(server).await, made(server, &["--superuser"]).await);
    let email = address();
    let body = json!({"email": email, "password": OTHER, "full_name": "Max", "role": "editor", "is_superuser": false});
    let user = create(server, &admin, body).await.is(200).json();
    assert_eq!((user["role"].as_str(), user["email_validated"].as_bool()), (Some("editor"), Some(false)));
    signed_in(server, &email, OTHER).await;
    let taken = create(server, &admin, json!({"email": email.to_uppercase()})).await;
    refused(&taken, 400, "The user with this username already exists in the system.");

    let bare = address();
    let user = create(
        server,
        &admin,
        json!({"email": bare, "password": null, "email_validated": true, "roles": ["a", "b", "a"]}),
    );
    let user = user.await.is(200).json();
    assert_eq!(
        (&user["password"], &user["email_validated"], &user["roles"]),
        (&json!(false), &json!(true), &json!(["a", "b"]))
    );
    let out = address();
    create(server, &admin, json!({"email": out, "password": OTHER, "is_active": false})).await.is(200);
    refused(&sign_in(server, &out, OTHER).await, 400, "Login failed; incorrect email or password.");

    let superuser = json!({"email": address(), "password": OTHER, "is_superuser": true});
    refused(&create(server, &admin, superuser.clone()).await, 403, NOT_PERMITTED);
    assert_eq!(create(server, &root, superuser).await.is(200).json()["is_superuser"], true);
    let wrong =
        json!({"password": "short", "role": "", "roles": "admin", "is_active": "perhaps", "email_validated": 2});
    assert_eq!(
        faults(&create(server, &admin, wrong).await),
        of(&[
            ("body.email", "missing"),
            ("body.email_validated", "bool_parsing"),
            ("body.is_active", "bool_parsing"),
            ("body.password", "string_too_short"),
            ("body.role", "string_too_short"),
            ("body.roles", "list_type"),
        ])
    );
    let many = (0..33).map(|number| number.to_string()).collect::<Vec<_>>();
    let many = create(server, &admin, json!({"email": address(), "roles": many})).await;
    assert_eq!(faults(&many), of(&[("body.roles", "value_error")]));
}

async fn one_is_changed(server: &TestServer) {
    let (admin, zoe) = (admin(server).await, made(server, &["--verified"]).await);
    let body = json!({"full_name": "Zoe", "role": "editor", "email_validated": false, "is_superuser": false,
        "is_active": true, "original": "no matter"});
    let user = change(server, &admin, &zoe.id, body).await.is(200).json();
    assert_eq!(
        (&user["full_name"], &user["role"], &user["email_validated"]),
        (&json!("Zoe"), &json!("editor"), &json!(false))
    );
    assert_eq!(me(server, &zoe.access).await["role"], "editor", "who gains is not signed out");
    let user = change(server, &admin, &zoe.id, json!({"full_name": null, "role": "editor"})).await.is(200).json();
    assert_eq!((&user["full_name"], &user["roles"]), (&Value::Null, &json!(["editor"])));
    let user = change(server, &admin, &zoe.id, json!({})).await.is(200).json();
    assert_eq!(user["role"], "editor");

    let new = address();
    let moved = json!({"email": new, "email_validated": true});
    let user = change(server, &admin, &zoe.id, moved).await.is(200).json();
    assert_eq!((user["email"].as_str(), user["email_validated"].as_bool()), (Some(&*new), Some(false)));
    wait_for_mail(server, &zoe.email, 0).await;
    assert!(wait_for_mail(server, &new, 0).await.link().contains("/links/confirm?token="));
    let taken = change(server, &admin, &zoe.id, json!({"email": admin.email})).await;
    refused(&taken, 409, "This username is not available.");
    let same = change(server, &admin, &zoe.id, json!({"email": new, "email_validated": true})).await.is(200).json();
    assert_eq!(same["email_validated"], true);
    let wrong = json!({"email": "nobody", "password": "short", "is_active": []});
    assert_eq!(
        faults(&change(server, &admin, "nobody", wrong).await),
        of(&[
            ("body.email", "value_error"),
            ("body.is_active", "bool_type"),
            ("body.password", "string_too_short"),
            ("path.user_id", "uuid_parsing"),
        ])
    );
}

async fn what_a_change_ends(server: &TestServer) {
    let admin = admin(server).await;
    for body in [json!({"password": OTHER}), json!({"role": "user"}), json!({"is_active": false}), json!({"roles": []})]
    {
        let zoe = made(server, &["--role", "editor"]).await;
        change(server, &admin, &zoe.id, body.clone()).await.is(200);
        assert_eq!(server.rejection_reason(&zoe.access).await, "revoked", "{body}");
        let refresh = by(server, Method::POST, "/auth/login/refresh", &zoe.refresh).send_checked().await;
        assert_ne!(refresh.status, 200, "{body}");
        if body.get("password").is_some() {
            signed_in(server, &zoe.email, OTHER).await;
            wait_for_mail(server, &zoe.email, 0).await;
        }
    }
}

async fn only_superusers_touch_superusers(server: &TestServer) {
    let (admin, root, other) =
        (admin(server).await, made(server, &["--superuser"]).await, made(server, &["--superuser"]).await);
    let zoe = member(server).await;
    for body in [json!({"full_name": "x"}), json!({"password": OTHER}), json!({"is_superuser": false}), json!({})] {
        refused(&change(server, &admin, &other.id, body).await, 403, NOT_PERMITTED);
    }
    refused(&change(server, &admin, &zoe.id, json!({"is_superuser": true})).await, 403, NOT_PERMITTED);
    refused(&change(server, &admin, &admin.id, json!({"is_superuser": true})).await, 403, NOT_PERMITTED);
    let path = format!("/auth/users/{}", other.id);
    refused(&by(server, Method::DELETE, &path, &admin.access).send_checked().await, 403, NOT_PERMITTED);
    let toggle = json!({"user_email": other.email});
    refused(&post(server, "/auth/users/toggle-state", &admin.access, toggle).await, 403, NOT_PERMITTED);
    assert_eq!(me(server, &other.access).await["is_superuser"], true);

    let made = change(server, &root, &zoe.id, json!({"is_superuser": true})).await.is(200).json();
    assert_eq!(made["is_superuser"], true);
    let unmade = change(server, &root, &other.id, json!({"is_superuser": false})).await.is(200).json();
    assert_eq!(unmade["is_superuser"], false);
    assert_eq!(server.rejection_reason(&other.access).await, "revoked", "its tokens said that it may do everything");
}

async fn the_row_counts_and_not_the_token(server: &TestServer) {
    let zoe = member(server).await;
    let root = made(server, &["--superuser"]).await;
    refused(&by(server, Method::GET, "/auth/users/", &zoe.access).send_checked().await, 403, NOT_PERMITTED);
    change(server, &root, &zoe.id, json!({"role": "admin"})).await.is(200);
    by(server, Method::GET, "/auth/users/", &zoe.access).send_checked().await.is(200);
    server.sql(&format!("UPDATE users SET superuser = false WHERE email = '{}'", root.email)).await;
    refused(&by(server, Method::GET, "/auth/users/", &root.access).send_checked().await, 403, NOT_PERMITTED);
}

async fn one_is_let_in_and_out(server: &TestServer) {
    let (admin, zoe) = (admin(server).await, member(server).await);
    let toggle =
        async |email: &str| post(server, "/auth/users/toggle-state", &admin.access, json!({"user_email": email})).await;
    done(&toggle(&zoe.email.to_uppercase()).await, "User state toggled successfully.");
    assert_eq!(server.rejection_reason(&zoe.access).await, "revoked");
    refused(&by(server, Method::GET, "/auth/users/me", &zoe.access).send_checked().await, 400, "Inactive user");
    refused(&sign_in(server, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    done(&toggle(&zoe.email).await, "User state toggled successfully.");
    assert_eq!(server.rejection_reason(&zoe.access).await, "revoked", "what was ended stays so");
    signed_in(server, &zoe.email, PASSWORD).await;
    refused(&toggle(&address()).await, 400, "Invalid request.");
    assert_eq!(faults(&toggle("nobody").await), of(&[("body.user_email", "value_error")]));
    let bare = post(server, "/auth/users/toggle-state", &admin.access, json!(zoe.email)).await;
    assert_eq!(faults(&bare), of(&[("body", "model_attributes_type")]));
}

async fn one_is_deleted(server: &TestServer) {
    let (admin, zoe) = (admin(server).await, member(server).await);
    let path = format!("/auth/users/{}", zoe.id);
    done(&by(server, Method::DELETE, &path, &admin.access).send_checked().await, "User deleted successfully.");
    refused(&by(server, Method::DELETE, &path, &admin.access).send_checked().await, 404, "User not found.");
    refused(
        &by(server, Method::GET, "/auth/users/me", &zoe.access).send_checked().await,
        401,
        "Could not validate credentials",
    );
    // Of oneself, too: an admin is no superuser.
    let path = format!("/auth/users/{}", admin.id);
    done(&by(server, Method::DELETE, &path, &admin.access).send_checked().await, "User deleted successfully.");
    assert!(mails(server, &zoe.email).is_empty());
}
