//! `/users`, `/me` and the API keys of projects: what is refused, and what must not happen.

use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::life::{me, only_native, send, send_and_read_mail};
use crate::reauthentication::grow_old;
use crate::support::outbox;
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};

over_both_stores!(only_native;
    sign_up_refuses_what_it_cannot_take,
    profile_is_changed_by_its_owner,
    spellings_of_a_sigma_are_one_name,
    stolen_token_changes_nothing_sensitive,
    pending_address_ends_with_the_password,
    pending_address_ends_with_the_first_proof,
    api_keys_belong_to_their_project,
    repeated_request_creates_one_object,
);

async fn sign_up_refuses_what_it_cannot_take(server: &TestServer) {
    let user = server.create_user(&[]);
    let good = json!({"email": "new@example.org", "password": PASSWORD});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let sign_up = async |body: &Value| server.post("/users").json(body).send_checked().await;
    for (body, status, kind) in [
        (with("email", json!("no address")), 400, "invalid_email"),
        (with("email", json!(user.email.to_uppercase())), 409, "email_taken"),
        (with("username", json!("a@b")), 400, "invalid_username"),
        (with("username", json!(user.username.to_uppercase())), 409, "username_taken"),
        (with("password", json!("short")), 400, "weak_password"),
        (with("password", json!("password1")), 400, "weak_password"),
        (with("full_name", json!(" ")), 400, "invalid_fields"),
        (with("full_name", json!("x".repeat(101))), 400, "invalid_fields"),
        (with("password", Value::Null), 400, "invalid_fields"),
        (json!({}), 400, "invalid_fields"),
    ] {
        sign_up(&body).await.is_problem(status, kind);
    }
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(outbox::mails(server, "new@example.org").len(), 0);
    for body in [json!({"password": PASSWORD}), json!({"email": "x@example.org"}), json!({"code": "000000"})] {
        server.post("/sessions").json(&body).send_checked().await.is_problem(400, "invalid_fields");
    }
    let body = json!({"email": "no address", "code": "000000"});
    server.post("/sessions").json(&body).send_checked().await.is_problem(400, "invalid_email");
    for path in ["/codes", "/magic-links", "/password-resets"] {
        let body = json!({"email": "no address"});
        server.post(path).json(&body).send_checked().await.is_problem(400, "invalid_email");
    }
    sign_up(&good).await.is(201);
    // The first sign-in by a code creates an account.
    let request = send(server, Method::POST, "/codes", "", json!({"email": "by-code@example.org"}));
    let (_, mail) = send_and_read_mail(server, "by-code@example.org", request).await;
    let body = json!({"email": "by-code@example.org", "code": mail.code()});
    let tokens = server.post("/sessions").json(&body).send_checked().await.is(201).tokens();
    let mine = me(server, &tokens.access).await;
    assert_eq!((&mine["has_password"], &mine["email_verified"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn closed_registration_is_reported() {
    let server = TestServer::embedded(|plan| only_native(plan).set("USERS_OPEN_REGISTRATION", "false"));
    let body = json!({"email": "new@example.org", "password": PASSWORD});
    server.post("/users").json(&body).send_checked().await.is_problem(403, "registration_closed");
    for path in ["/codes", "/magic-links", "/password-resets"] {
        server.post(path).json(&json!({"email": "new@example.org"})).send_checked().await.is(202);
    }
    outbox::wait_until_queue_is_empty(&server).await;
    assert_eq!(outbox::mails(&server, "new@example.org").len(), 0);
    let page = server.get("/account").send_checked().await;
    assert!(page.is(200).text.contains("&quot;registration&quot;:false"), "{}", page.text);
}

async fn spellings_of_a_sigma_are_one_name(server: &TestServer) {
    let create = |email: &str, name: &str| {
        let created = server.plan().create_user(email, PASSWORD, &["--verified", "--username", name]);
        created["id"].as_str().expect("a user has an id").to_owned()
    };
    // The session's user; none if there is no user with that name and password.
    let sign_in = async |name: &str| {
        let body = json!({"username": name, "password": PASSWORD});
        let session = server.post("/sessions").json(&body).send_checked().await.json();
        session["user_id"].as_str().map(str::to_owned)
    };
    let (nikos, petros) = (create("nikos@example.org", "ΝΙΚΟΣ"), create("petros@example.org", "Πέτρος"));
    for (name, user) in [("ΝΙΚΟΣ", &nikos), ("Νικος", &nikos), ("ΠΈΤΡΟΣ", &petros), ("πέτρος", &petros)]
    {
        assert_eq!(sign_in(name).await.as_ref(), Some(user), "{name}");
    }
    let access = server.sign_in(&server.create_user(&[])).await.access;
    for name in ["Νικος", "ΠΈΤΡΟΣ"] {
        let body = json!({"email": "third@example.org", "password": PASSWORD, "username": name});
        server.post("/users").json(&body).send_checked().await.is_problem(409, "username_taken");
        let changed = send(server, Method::PATCH, "/me", &access, json!({"username": name})).await;
        changed.is_problem(409, "username_taken");
    }
    // An earlier version gave both spellings away: each is still its owner's.
    let sql = "UPDATE users SET username = 'νικος', username_key = 'νικος' WHERE email = 'petros@example.org'";
    server.sql(sql).await;
    assert_eq!((sign_in("Νικος").await, sign_in("ΝΙΚΟΣ").await), (Some(petros), Some(nikos)));
}

async fn profile_is_changed_by_its_owner(server: &TestServer) {
    let (user, other) = (server.create_user(&[]), server.create_user(&[]));
    let tokens = server.sign_in(&user).await;
    let patch = async |body: Value| send(server, Method::PATCH, "/me", &tokens.access, body).await;
    let before = me(server, &tokens.access).await;
    for (body, status, kind) in [
        (json!({"username": other.username.to_uppercase()}), 409, "username_taken"),
        (json!({"username": "a@b"}), 400, "invalid_username"),
        (json!({"full_name": ""}), 400, "invalid_fields"),
        (json!({"full_name": 1}), 400, "invalid_fields"),
    ] {
        patch(body).await.is_problem(status, kind);
    }
    assert_eq!(patch(json!({"email": "x@example.org", "superuser": true})).await.is(200).json(), before);
    let changed = patch(json!({"full_name": "Zoe Tam", "username": "Zoe"})).await.is(200).json();
    assert_eq!((&changed["full_name"], &changed["username"]), (&json!("Zoe Tam"), &json!("Zoe")));
    assert_eq!(me(server, &tokens.access).await, changed);
    server.post("/sessions").json(&json!({"username": "ZOE", "password": PASSWORD})).send_checked().await.is(201);
    let next = server.refresh(&tokens.refresh).await.is(200).tokens();
    let claims = server.verify(&next.access).await.json();
    assert_eq!(claims["claims"]["preferred_username"], "Zoe", "tokens follow the change");
    let removed = patch(json!({"full_name": null, "username": null})).await.is(200).json();
    assert_eq!((&removed["full_name"], &removed["username"]), (&Value::Null, &Value::Null));

    let (key, _) = server.api_key(&user, &[]);
    assert_eq!(me(server, &key).await["email"], user.email);
    for (method, path, body) in [
        (Method::PATCH, "/me", json!({})),
        (Method::DELETE, "/me", json!({"password": PASSWORD})),
        (Method::PUT, "/me/password", json!({"current_password": PASSWORD, "new_password": "another quiet harbour"})),
        (Method::POST, "/me/email", json!({"email": "x@example.org", "current_password": PASSWORD})),
        (Method::GET, "/me/export", json!({})),
        (Method::POST, "/email-confirmations", json!({})),
        (Method::POST, "/totp/recovery-codes", json!({"password": PASSWORD})),
    ] {
        send(server, method.clone(), path, &key, body.clone()).await.is_problem(403, "forbidden");
        send(server, method, path, "", body).await.is_problem(401, "missing_credentials");
    }
}

/// A stolen access token, whose owner signed in too long ago.
async fn stolen_token_changes_nothing_sensitive(server: &TestServer) {
    let root = server.create_user(&["--superuser"]);
    let session = server.sign_in(&root).await;
    let stolen = grow_old(server, &session.access, &session.refresh).await;
    send(server, Method::DELETE, "/me", &stolen.access, json!({})).await.is_problem(403, "cannot_delete_self");
    let path = "/projects/personal/api-keys";
    // The last three reach the tokens of all users, because the owner of the key is a superuser.
    for scope in ["admin", "tokens:exchange", "introspect", "revoke"] {
        let body = json!({"name": "a key", "scopes": [scope]});
        let refused = send(server, Method::POST, path, &stolen.access, body).await;
        refused.is_problem(401, "insufficient_user_authentication");
    }
    let body = json!({"name": "a key", "scopes": ["tokens:exchange"], "password": PASSWORD});
    send(server, Method::POST, path, &stolen.access, body).await.is(201);

    let user = server.create_user(&[]);
    let session = server.sign_in(&user).await;
    let stolen = grow_old(server, &session.access, &session.refresh).await;
    for (method, path, body, status, kind) in [
        (Method::DELETE, "/me", json!({}), 401, "insufficient_user_authentication"),
        (
            Method::PUT,
            "/me/password",
            json!({"new_password": "another quiet harbour"}),
            400,
            "invalid_current_password",
        ),
        (Method::POST, "/me/email", json!({"email": "thief@example.org"}), 400, "invalid_current_password"),
        (Method::POST, "/totp/recovery-codes", json!({}), 400, "invalid_current_password"),
    ] {
        send(server, method, path, &stolen.access, body).await.is_problem(status, kind);
    }
    // The password suffices, and the new session is as old as the one that it replaces.
    let body = json!({"current_password": PASSWORD, "new_password": "another quiet harbour"});
    let changed = send(server, Method::PUT, "/me/password", &stolen.access, body).await.is(200).tokens();
    let refused = server.delete("/me").bearer_auth(&changed.access).send_checked().await;
    refused.is_problem(401, "insufficient_user_authentication");
    let fresh = server.try_sign_in(&user.email, "another quiet harbour").await.is(201).tokens();
    server.delete("/me").bearer_auth(&fresh.access).send_checked().await.is(204);
}

/// A thief changes the address, and the owner resets the password before the thief confirms.
async fn pending_address_ends_with_the_password(server: &TestServer) {
    let (user, other) = (server.create_user(&[]), server.create_user(&[]));
    let access = server.sign_in(&user).await.access;
    let body = json!({"email": "thief@example.org", "current_password": PASSWORD});
    let request = send(server, Method::POST, "/me/email", &access, body);
    let (_, mail) = send_and_read_mail(server, "thief@example.org", request).await;
    let body = json!({"current_password": PASSWORD, "new_password": "another quiet harbour"});
    let access = send(server, Method::PUT, "/me/password", &access, body).await.is(200).tokens().access;
    let redeem = async |token: &str| {
        send(server, Method::POST, "/email-confirmations/redeem", "", json!({"token": token})).await
    };
    redeem(&mail.token()).await.is_problem(400, "invalid_link");
    assert_eq!(me(server, &access).await["email"], user.email);

    // Nobody learns that the address is taken, and its owner gets no mail.
    let ask = async |email: &str| {
        let body = json!({"email": email, "current_password": "another quiet harbour"});
        send(server, Method::POST, "/me/email", &access, body).await
    };
    let free = ask("free@example.org").await;
    let taken = ask(&other.email).await;
    assert_eq!(
        taken.is(202).clone().without_per_response_headers(),
        free.is(202).clone().without_per_response_headers()
    );
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(outbox::mails(server, &other.email).len(), 0);
    // Only the last request waits.
    redeem(&outbox::mails(server, "free@example.org")[0].token()).await.is_problem(400, "invalid_link");

    // An address that is taken before the link is followed.
    let (_, mail) = send_and_read_mail(server, "late@example.org", ask("late@example.org")).await;
    server
        .post("/users")
        .json(&json!({"email": "late@example.org", "password": PASSWORD}))
        .send_checked()
        .await
        .is(201);
    redeem(&mail.token()).await.is_problem(409, "email_taken");
    assert_eq!(me(server, &access).await["email"], user.email);
    // The present address: its confirmation is mailed again.
    let (_, mail) = send_and_read_mail(server, &user.email, ask(&user.email)).await;
    assert_eq!(redeem(&mail.token()).await.is(200).json(), json!({"status": "confirmed"}));
}

/// Somebody signs up with the address of another person and requests a change to an own one. The link of that change
/// works no more once the owner of the address has signed in by mail: it would move the account away.
async fn pending_address_ends_with_the_first_proof(server: &TestServer) {
    let email = "planted@example.org";
    send(server, Method::POST, "/users", "", json!({"email": email, "password": PASSWORD})).await.is(201);
    let access = server.try_sign_in(email, PASSWORD).await.is(201).tokens().access;
    let body = json!({"email": "thief@example.org", "current_password": PASSWORD});
    let request = send(server, Method::POST, "/me/email", &access, body);
    let (_, change) = send_and_read_mail(server, "thief@example.org", request).await;
    let request = send(server, Method::POST, "/codes", "", json!({"email": email}));
    let (_, mail) = send_and_read_mail(server, email, request).await;
    let body = json!({"email": email, "code": mail.code()});
    let owner = send(server, Method::POST, "/sessions", "", body).await.is(201).tokens();
    let redeemed =
        send(server, Method::POST, "/email-confirmations/redeem", "", json!({"token": change.token()})).await;
    redeemed.is_problem(400, "invalid_link");
    assert_eq!(me(server, &owner.access).await["email"], email);
}

async fn api_keys_belong_to_their_project(server: &TestServer) {
    let (user, other) = (server.create_user(&[]), server.create_user(&[]));
    let (access, others) = (server.sign_in(&user).await.access, server.sign_in(&other).await.access);
    let projects = server.get("/projects").bearer_auth(&access).send_checked().await.json();
    let path = format!("/projects/{}/api-keys", projects["projects"][0]["id"].as_str().unwrap());
    let create = async |access: &str, body: Value| send(server, Method::POST, &path, access, body).await;
    for bad in [
        json!({}),
        json!({"name": " "}),
        json!({"name": "a", "scopes": ["two words"]}),
        json!({"name": "a", "scopes": ["x".repeat(101)]}),
        json!({"name": "a", "scopes": vec!["x"; 51]}),
        json!({"name": "a", "expires_in_days": 0}),
        json!({"name": "a", "expires_in_days": 36_501}),
        json!({"name": "a", "expires_in_days": "many"}),
    ] {
        create(&access, bad).await.is_problem(400, "invalid_fields");
    }
    create(&access, json!({"name": "a", "scopes": ["admin"]})).await.is_problem(403, "forbidden");
    create(&others, json!({"name": "a"})).await.is_problem(403, "forbidden_project");
    let (key, notice) = send_and_read_mail(server, &user.email, create(&access, json!({"name": "a key"}))).await;
    assert_eq!(notice.header("subject"), "A new API key for your Signet account");
    let key = key.is(201).json();
    let full = key["key"].as_str().unwrap();
    create(full, json!({"name": "a"})).await.is_problem(403, "forbidden");

    let get = async |path: &str, bearer: &str| server.get(path).bearer_auth(bearer).send_checked().await;
    for bearer in [access.as_str(), full] {
        for path in [path.as_str(), "/projects/personal/api-keys"] {
            assert_eq!(get(path, bearer).await.is(200).json()["total"], 1);
        }
    }
    get(&path, &others).await.is_problem(403, "forbidden_project");
    get("/projects/none/api-keys", &access).await.is_problem(404, "not_found");
    for number in 0..4 {
        create(&access, json!({"name": format!("key {number}")})).await.is(201);
    }
    let all = get(&path, &access).await.is(200).json();
    let page = get(&format!("{path}?skip=1&limit=2"), &access).await.is(200).json();
    assert_eq!((page["api_keys"].as_array().unwrap().len(), &page["total"]), (2, &json!(5)));
    assert_eq!((&page["api_keys"][0], &page["api_keys"][1]), (&all["api_keys"][1], &all["api_keys"][2]));
    for query in ["skip=-1", "limit=0", "limit=101", "limit=many"] {
        get(&format!("{path}?{query}"), &access).await.is_problem(400, "invalid_fields");
    }
    let delete =
        async |id: &str, access: &str| server.delete(&format!("{path}/{id}")).bearer_auth(access).send_checked().await;
    delete(key["id"].as_str().unwrap(), &others).await.is_problem(403, "forbidden_project");
    delete("none", &access).await.is_problem(404, "not_found");
    delete(key["id"].as_str().unwrap(), full).await.is_problem(403, "forbidden");
    delete(key["id"].as_str().unwrap(), &access).await.is(204);
}

async fn repeated_request_creates_one_object(server: &TestServer) {
    let with_key = |request: RequestBuilder, key: &str| request.header("idempotency-key", key);
    let sign_up = |key: &str, email: &str| {
        with_key(server.post("/users"), key).json(&json!({"email": email, "password": PASSWORD}))
    };
    // Of many at once one is executed. The others get its response, or are told to wait.
    let responses = join_all((0..8).map(|_| sign_up("key-1", "once@example.org").send_checked())).await;
    assert!(responses.iter().any(|response| response.status == 201), "{responses:?}");
    for response in responses.iter().filter(|response| response.status != 201) {
        response.is_problem(409, "idempotency_key_in_use");
    }
    let first = sign_up("key-1", "once@example.org").send_checked().await;
    assert_eq!((first.is(201).header("cache-control"), first.header("content-type")), ("no-store", "application/json"));
    for response in responses.iter().filter(|response| response.status == 201) {
        assert_eq!(response.text, first.text);
    }
    sign_up("key-1", "other@example.org").send_checked().await.is_problem(422, "idempotency_key_reused");
    sign_up("key-2", "once@example.org").send_checked().await.is_problem(409, "email_taken");
    // A request that failed created nothing, so its key is free.
    sign_up("key-2", "twice@example.org").send_checked().await.is(201);
    for key in ["", " ", "two words", &"x".repeat(256)] {
        sign_up(key, "bad@example.org").send_checked().await.is_problem(400, "invalid_fields");
    }
    let twice = with_key(sign_up("one", "bad@example.org"), "two").send_checked().await;
    twice.is_problem(400, "invalid_fields");

    let (one, other) = (server.create_user(&[]), server.create_user(&[]));
    let (one, other) = (server.sign_in(&one).await.access, server.sign_in(&other).await.access);
    let create = async |path: &str, access: &str, key: &str, name: &str| -> HttpResponse {
        with_key(server.post(path), key).bearer_auth(access).json(&json!({"name": name})).send_checked().await
    };
    for path in ["/projects", "/projects/personal/api-keys"] {
        let first = create(path, &one, "mine", "a name").await.is(201).json();
        assert_eq!(create(path, &one, "mine", "a name").await.is(201).json(), first, "{path}");
        create(path, &one, "mine", "another name").await.is_problem(422, "idempotency_key_reused");
        let theirs = create(path, &other, "mine", "a name").await.is(201).json();
        assert_ne!(theirs["id"], first["id"], "{path}: a key belongs to its user");
    }
    let projects = server.get("/projects").bearer_auth(&one).send_checked().await.is(200).json();
    assert_eq!(projects["projects"].as_array().unwrap().len(), 2);
    let keys = server.get("/projects/personal/api-keys").bearer_auth(&one).send_checked().await.is(200).json();
    assert_eq!(keys["total"], 1);
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let create_user =
        |email: &str| with_key(server.post("/admin/users"), "theirs").bearer_auth(&root).json(&json!({"email": email}));
    let first = create_user("made@example.org").send_checked().await.is(201).json();
    assert_eq!(create_user("made@example.org").send_checked().await.is(201).json(), first);
    create_user("made-too@example.org").send_checked().await.is_problem(422, "idempotency_key_reused");
    // The response has an API key. No store has it in the clear.
    let stored = create("/projects/personal/api-keys", &one, "mine", "a name").await.json();
    let secret = stored["key"].as_str().unwrap();
    match server.redis() {
        Some(redis) => {
            let keys = redis.cli(&["KEYS", "*:r"]);
            assert!(keys.lines().count() >= 4, "{keys}");
            for key in keys.lines() {
                let (content, ttl) = (redis.cli(&["HGETALL", key]), redis.cli(&["TTL", key]));
                assert!(!content.contains(secret) && !content.contains("once@example.org"), "{key}: {content}");
                assert!((1..=86_400).contains(&ttl.trim().parse::<i64>().unwrap()), "{key}: {ttl}");
            }
        }
        None => {
            let database = rusqlite::Connection::open(server.signet.data_dir().join("signet.db")).unwrap();
            let select = "SELECT response FROM idempotency_keys WHERE response IS NOT NULL";
            let mut rows = database.prepare(select).unwrap();
            let responses = rows.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap().map(Result::unwrap);
            let responses = responses.collect::<Vec<_>>();
            assert!(responses.len() >= 4, "{}", responses.len());
            for (response, clear) in responses.iter().flat_map(|it| [(it, secret), (it, "once@example.org")]) {
                assert!(!response.windows(clear.len()).any(|bytes| bytes == clear.as_bytes()), "{clear}");
            }
        }
    }
}
