//! `users`: user management by admins and superusers.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Member, OTHER_PASSWORD, assert_error, assert_msg, expected, field_errors, me, member, member_with, new_address,
    post, request_as, sign_in, try_sign_in,
};
use crate::support::outbox::{mails, wait_for_mail};
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    user_management_needs_an_admin_or_superuser,
    user_list_has_pages_of_twenty,
    admin_reads_a_user,
    admin_creates_a_user,
    only_superusers_create_superusers,
    invalid_fields_of_a_new_user_are_reported,
    admin_changes_a_user,
    admin_changes_the_address_of_a_user,
    invalid_fields_of_a_change_are_reported,
    changes_that_end_sessions,
    only_superusers_manage_superusers,
    permissions_are_read_from_the_user_row,
    admin_disables_and_enables_a_user,
    admin_deletes_a_user,
);

const FORBIDDEN: &str = "The user does not have the required permissions.";
const UNKNOWN_USER: &str = "/auth/users/019a8b1c-0000-7abc-9def-0123456789ab";

async fn admin(server: &TestServer) -> Member {
    member_with(server, &["--role", "billing", "--role", "admin"]).await
}

async fn update(server: &TestServer, caller: &Member, user_id: &str, body: Value) -> HttpResponse {
    post(server, &format!("/auth/users/{user_id}"), &caller.access, body).await
}

async fn create(server: &TestServer, caller: &Member, body: Value) -> HttpResponse {
    post(server, "/auth/users/create", &caller.access, body).await
}

async fn user_management_needs_an_admin_or_superuser(server: &TestServer) {
    let (zoe, root) = (member_with(server, &["--role", "editor"]).await, member_with(server, &["--superuser"]).await);
    let key = server.plan().json(&["api-keys", "create", "--user", &root.email, "--name", "k", "--scope", "admin"], "");
    let key = key["full_key"].as_str().unwrap();
    let body = json!({"email": new_address(), "user_email": zoe.email});
    for (method, path) in [
        (Method::GET, "/auth/users/"),
        (Method::GET, UNKNOWN_USER),
        (Method::POST, UNKNOWN_USER),
        (Method::DELETE, UNKNOWN_USER),
        (Method::POST, "/auth/users/create"),
        (Method::POST, "/auth/users/toggle-state"),
    ] {
        let send =
            async |bearer: &str| request_as(server, method.clone(), path, bearer).json(&body).send_checked().await;
        assert_error(&send(&zoe.access).await, 403, FORBIDDEN);
        // An API key is refused whatever its scopes: these calls need a user session.
        assert_error(&send(key).await, 403, FORBIDDEN);
        assert_error(&send("garbage").await, 401, "Could not validate credentials");
        assert_error(&server.request(method.clone(), path).json(&body).send_checked().await, 401, "Not authenticated");
    }
    assert_eq!(me(server, &zoe.access).await["is_active"], true);
}

async fn user_list_has_pages_of_twenty(server: &TestServer) {
    let root = member_with(server, &["--superuser"]).await;
    for _ in 0..41 {
        super::sign_up(server, &new_address()).await.is(200);
    }
    let page = async |query: &str| {
        let response =
            request_as(server, Method::GET, &format!("/auth/users/{query}"), &root.access).send_checked().await;
        let users = response.is(200).json().as_array().unwrap().clone();
        users.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (first, second, third) = (page("?page=0").await, page("?page=1").await, page("?page=2").await);
    assert_eq!((first.len(), second.len()), (20, 20));
    assert!(!third.is_empty());
    let mut all = [first.clone(), second, third].concat();
    all.sort();
    all.dedup();
    assert!(all.len() > 40, "no user is listed twice: {}", all.len());
    for query in ["", "?page=-3"] {
        assert_eq!(page(query).await, first, "{query}");
    }
    assert_eq!(page("?page=1000000").await, Vec::<String>::new());
    assert_eq!(page("?page=9223372036854775807").await, Vec::<String>::new());
    for (bad, kind) in [("x", "int_parsing"), ("1.5", "int_parsing"), ("99999999999999999999", "int_parsing_size")] {
        let response =
            request_as(server, Method::GET, &format!("/auth/users?page={bad}"), &root.access).send_checked().await;
        assert_eq!(field_errors(&response), expected(&[("query.page", kind)]), "{bad}");
    }
}

async fn admin_reads_a_user(server: &TestServer) {
    let (admin, zoe) = (admin(server).await, member(server).await);
    let user = request_as(server, Method::GET, &format!("/auth/users/{}", zoe.id), &admin.access)
        .send_checked()
        .await
        .is(200)
        .json();
    assert_eq!((user["email"].as_str(), user.as_object().unwrap().len()), (Some(&*zoe.email), 17), "{user}");
    assert_eq!(me(server, &admin.access).await["role"], "admin", "the admin role comes before other roles");
    for method in [Method::GET, Method::DELETE, Method::POST] {
        let send = async |path: &str| {
            request_as(server, method.clone(), path, &admin.access).json(&json!({})).send_checked().await
        };
        assert_error(&send(UNKNOWN_USER).await, 404, "User not found.");
        assert_eq!(field_errors(&send("/auth/users/nobody").await), expected(&[("path.user_id", "uuid_parsing")]));
    }
}

async fn admin_creates_a_user(server: &TestServer) {
    let admin = admin(server).await;
    let email = new_address();
    let body = json!({"email": email, "password": OTHER_PASSWORD, "full_name": "Max", "role": "editor",
        "is_superuser": false});
    let user = create(server, &admin, body).await.is(200).json();
    assert_eq!((user["role"].as_str(), user["email_validated"].as_bool()), (Some("editor"), Some(false)));
    sign_in(server, &email, OTHER_PASSWORD).await;
    let taken = create(server, &admin, json!({"email": email.to_uppercase()})).await;
    assert_error(&taken, 400, "The user with this username already exists in the system.");

    let without_password = new_address();
    let user = create(
        server,
        &admin,
        json!({"email": without_password, "password": null, "email_validated": true, "roles": ["a", "b", "a"]}),
    );
    let user = user.await.is(200).json();
    assert_eq!(
        (&user["password"], &user["email_validated"], &user["roles"]),
        (&json!(false), &json!(true), &json!(["a", "b"]))
    );
    let disabled = new_address();
    create(server, &admin, json!({"email": disabled, "password": OTHER_PASSWORD, "is_active": false})).await.is(200);
    assert_error(
        &try_sign_in(server, &disabled, OTHER_PASSWORD).await,
        400,
        "Login failed; incorrect email or password.",
    );
}

async fn only_superusers_create_superusers(server: &TestServer) {
    let (admin, root) = (admin(server).await, member_with(server, &["--superuser"]).await);
    let superuser = json!({"email": new_address(), "password": OTHER_PASSWORD, "is_superuser": true});
    assert_error(&create(server, &admin, superuser.clone()).await, 403, FORBIDDEN);
    assert_eq!(create(server, &root, superuser).await.is(200).json()["is_superuser"], true);
}

async fn invalid_fields_of_a_new_user_are_reported(server: &TestServer) {
    let admin = admin(server).await;
    let invalid =
        json!({"password": "short", "role": "", "roles": "admin", "is_active": "perhaps", "email_validated": 2});
    assert_eq!(
        field_errors(&create(server, &admin, invalid).await),
        expected(&[
            ("body.email", "missing"),
            ("body.email_validated", "bool_parsing"),
            ("body.is_active", "bool_parsing"),
            ("body.password", "string_too_short"),
            ("body.role", "string_too_short"),
            ("body.roles", "list_type"),
        ])
    );
    let too_many = (0..33).map(|number| number.to_string()).collect::<Vec<_>>();
    let too_many = create(server, &admin, json!({"email": new_address(), "roles": too_many})).await;
    assert_eq!(field_errors(&too_many), expected(&[("body.roles", "value_error")]));
}

async fn admin_changes_a_user(server: &TestServer) {
    let (admin, zoe) = (admin(server).await, member_with(server, &["--verified"]).await);
    let body = json!({"full_name": "Zoe", "role": "editor", "email_validated": false, "is_superuser": false,
        "is_active": true, "original": "no matter"});
    let user = update(server, &admin, &zoe.id, body).await.is(200).json();
    assert_eq!(
        (&user["full_name"], &user["role"], &user["email_validated"]),
        (&json!("Zoe"), &json!("editor"), &json!(false))
    );
    assert_eq!(me(server, &zoe.access).await["role"], "editor", "gaining a role ends no session");
    let user = update(server, &admin, &zoe.id, json!({"full_name": null, "role": "editor"})).await.is(200).json();
    assert_eq!((&user["full_name"], &user["roles"]), (&Value::Null, &json!(["editor"])));
    let user = update(server, &admin, &zoe.id, json!({})).await.is(200).json();
    assert_eq!(user["role"], "editor");
}

async fn admin_changes_the_address_of_a_user(server: &TestServer) {
    let (admin, zoe) = (admin(server).await, member_with(server, &["--verified"]).await);
    let new = new_address();
    let moved = json!({"email": new, "email_validated": true});
    let user = update(server, &admin, &zoe.id, moved).await.is(200).json();
    assert_eq!((user["email"].as_str(), user["email_validated"].as_bool()), (Some(&*new), Some(false)));
    wait_for_mail(server, &zoe.email, 0).await;
    assert!(wait_for_mail(server, &new, 0).await.link().contains("/links/confirm?token="));
    let taken = update(server, &admin, &zoe.id, json!({"email": admin.email})).await;
    assert_error(&taken, 409, "This username is not available.");
    let same = update(server, &admin, &zoe.id, json!({"email": new, "email_validated": true})).await.is(200).json();
    assert_eq!(same["email_validated"], true);
}

async fn invalid_fields_of_a_change_are_reported(server: &TestServer) {
    let admin = admin(server).await;
    let invalid = json!({"email": "nobody", "password": "short", "is_active": []});
    assert_eq!(
        field_errors(&update(server, &admin, "nobody", invalid).await),
        expected(&[
            ("body.email", "value_error"),
            ("body.is_active", "bool_type"),
            ("body.password", "string_too_short"),
            ("path.user_id", "uuid_parsing"),
        ])
    );
}

async fn changes_that_end_sessions(server: &TestServer) {
    let admin = admin(server).await;
    for body in [
        json!({"password": OTHER_PASSWORD}),
        json!({"role": "user"}),
        json!({"is_active": false}),
        json!({"roles": []}),
    ] {
        let zoe = member_with(server, &["--role", "editor"]).await;
        update(server, &admin, &zoe.id, body.clone()).await.is(200);
        assert_eq!(server.rejection_reason(&zoe.access).await, "revoked", "{body}");
        let refresh = request_as(server, Method::POST, "/auth/login/refresh", &zoe.refresh).send_checked().await;
        assert_ne!(refresh.status, 200, "{body}");
        if body.get("password").is_some() {
            sign_in(server, &zoe.email, OTHER_PASSWORD).await;
            wait_for_mail(server, &zoe.email, 0).await;
        }
    }
}

async fn only_superusers_manage_superusers(server: &TestServer) {
    let (admin, root, other) =
        (admin(server).await, member_with(server, &["--superuser"]).await, member_with(server, &["--superuser"]).await);
    let zoe = member(server).await;
    for body in
        [json!({"full_name": "x"}), json!({"password": OTHER_PASSWORD}), json!({"is_superuser": false}), json!({})]
    {
        assert_error(&update(server, &admin, &other.id, body).await, 403, FORBIDDEN);
    }
    assert_error(&update(server, &admin, &zoe.id, json!({"is_superuser": true})).await, 403, FORBIDDEN);
    assert_error(&update(server, &admin, &admin.id, json!({"is_superuser": true})).await, 403, FORBIDDEN);
    let path = format!("/auth/users/{}", other.id);
    assert_error(&request_as(server, Method::DELETE, &path, &admin.access).send_checked().await, 403, FORBIDDEN);
    let toggle = json!({"user_email": other.email});
    assert_error(&post(server, "/auth/users/toggle-state", &admin.access, toggle).await, 403, FORBIDDEN);
    assert_eq!(me(server, &other.access).await["is_superuser"], true);

    let promoted = update(server, &root, &zoe.id, json!({"is_superuser": true})).await.is(200).json();
    assert_eq!(promoted["is_superuser"], true);
    let demoted = update(server, &root, &other.id, json!({"is_superuser": false})).await.is(200).json();
    assert_eq!(demoted["is_superuser"], false);
    assert_eq!(server.rejection_reason(&other.access).await, "revoked", "its tokens claimed superuser rights");
}

async fn permissions_are_read_from_the_user_row(server: &TestServer) {
    let zoe = member(server).await;
    let root = member_with(server, &["--superuser"]).await;
    assert_error(&request_as(server, Method::GET, "/auth/users/", &zoe.access).send_checked().await, 403, FORBIDDEN);
    update(server, &root, &zoe.id, json!({"role": "admin"})).await.is(200);
    request_as(server, Method::GET, "/auth/users/", &zoe.access).send_checked().await.is(200);
    server.sql(&format!("UPDATE users SET superuser = false WHERE email = '{}'", root.email)).await;
    assert_error(&request_as(server, Method::GET, "/auth/users/", &root.access).send_checked().await, 403, FORBIDDEN);
}

async fn admin_disables_and_enables_a_user(server: &TestServer) {
    let (admin, zoe) = (admin(server).await, member(server).await);
    let toggle =
        async |email: &str| post(server, "/auth/users/toggle-state", &admin.access, json!({"user_email": email})).await;
    assert_msg(&toggle(&zoe.email.to_uppercase()).await, "User state toggled successfully.");
    assert_eq!(server.rejection_reason(&zoe.access).await, "revoked");
    assert_error(
        &request_as(server, Method::GET, "/auth/users/me", &zoe.access).send_checked().await,
        400,
        "Inactive user",
    );
    assert_error(&try_sign_in(server, &zoe.email, PASSWORD).await, 400, "Login failed; incorrect email or password.");
    assert_msg(&toggle(&zoe.email).await, "User state toggled successfully.");
    assert_eq!(server.rejection_reason(&zoe.access).await, "revoked", "enabling restores no session");
    sign_in(server, &zoe.email, PASSWORD).await;
    assert_error(&toggle(&new_address()).await, 400, "Invalid request.");
    assert_eq!(field_errors(&toggle("nobody").await), expected(&[("body.user_email", "value_error")]));
    let bare_string = post(server, "/auth/users/toggle-state", &admin.access, json!(zoe.email)).await;
    assert_eq!(field_errors(&bare_string), expected(&[("body", "model_attributes_type")]));
}

async fn admin_deletes_a_user(server: &TestServer) {
    let (admin, zoe) = (admin(server).await, member(server).await);
    let path = format!("/auth/users/{}", zoe.id);
    assert_msg(
        &request_as(server, Method::DELETE, &path, &admin.access).send_checked().await,
        "User deleted successfully.",
    );
    assert_error(
        &request_as(server, Method::DELETE, &path, &admin.access).send_checked().await,
        404,
        "User not found.",
    );
    assert_error(
        &request_as(server, Method::GET, "/auth/users/me", &zoe.access).send_checked().await,
        401,
        "Could not validate credentials",
    );
    // An admin may delete itself: only superusers may not.
    let path = format!("/auth/users/{}", admin.id);
    assert_msg(
        &request_as(server, Method::DELETE, &path, &admin.access).send_checked().await,
        "User deleted successfully.",
    );
    let notice = wait_for_mail(server, &zoe.email, 0).await;
    assert_eq!(notice.header("subject"), "Your Signet account was deleted");
    assert_eq!(mails(server, &zoe.email).len(), 1);
}
