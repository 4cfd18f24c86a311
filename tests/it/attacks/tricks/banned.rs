//! Who is disabled, deleted or demoted: nothing that was issued before, and no way in, gives a token any more, or a right. Nor does
//! what was issued before come back to life when a disabled user is enabled again.

use std::collections::BTreeSet;

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan
        .set("SIGNET_MAILED__DAILY_TRIES", "1000").set("SIGNET_SECOND_FACTOR__RECOVERY_CODES", "20");
    every_call_that_issues_is_tried, who_is_disabled_or_deleted_is_issued_nothing,
    what_was_mailed_before_there_was_an_account_opens_none_that_was_locked_out, who_is_demoted_is_issued_no_right);

/// A way to have something issued.
struct Way {
    name: String,
    request_ctx: Door,
    /// By what somebody has for good, a password or a key, and not by what was issued once.
    lasting: bool,
}

fn way(name: &str, request_ctx: Door) -> Way {
    Way { name: name.to_owned(), request_ctx, lasting: false }
}

fn lasting(name: &str, request_ctx: Door) -> Way {
    Way { lasting: true, ..way(name, request_ctx) }
}

/// Somebody without a second factor, and somebody with one; both by every route that issues something.
struct People {
    plain: TestUser,
    guarded: TestUser,
    /// Of the second factor; each is good once.
    codes: Vec<String>,
}

impl People {
    async fn new(server: &TestServer, more: &[&str]) -> Self {
        let more = [&["--verified"], more].concat();
        let (plain, guarded) = (server.create_user(&more), server.create_user(&more));
        let (_, codes) = totp::enable_totp(server, &server.sign_in(&guarded).await.access, PASSWORD).await;
        Self { plain, guarded, codes }
    }

    fn both(&self) -> [&TestUser; 2] {
        [&self.plain, &self.guarded]
    }

    /// Every route that issues something, with what was given for it.
    async fn ways(&self, server: &TestServer, codes: &[String]) -> Vec<Way> {
        let mut ways = Self::of_the_plain(server, &self.plain).await;
        ways.extend(Self::of_the_guarded(server, &self.guarded, codes).await);
        ways
    }

    async fn of_the_plain(server: &TestServer, person: &TestUser) -> Vec<Way> {
        let password = json!({"email": person.email, "password": PASSWORD});
        let form = [("username", person.email.clone()), ("password", PASSWORD.to_owned())];
        let (name, by_name) = (form.clone(), form);
        let mut ways = vec![
            lasting("native", posting("/sessions", "", password.clone())),
            lasting("codes", posting("/auth/signin", "", password.clone())),
            lasting("v1", posting("/api/v1/login", "", password)),
            lasting("ucontact", Box::new(move |server| server.post("/api/auth/login").form(&name))),
            lasting("myauth", Box::new(move |server| server.post("/auth/login/oauth").form(&by_name))),
        ];
        for dialect in REFRESHING {
            let refresh = server.sign_in(person).await.refresh;
            ways.push(way(&format!("refresh, {dialect}"), refreshing(dialect, person, &refresh)));
        }
        for path in ["/links/magic", "/auth/login/claim"] {
            let (token, claim) = link(server, "magic", &person.email).await;
            ways.push(way(path, posting(path, &token, json!({"token": token, "claim": claim}))));
        }
        let body = json!({"email": person.email, "code": mailed_code(server, &person.email).await});
        ways.push(way("a mailed code", posting("/auth/verification/verify-code", "", body)));
        let (key, _) = server.api_key(person, &["introspect"]);
        let form = [("grant_type", "client_credentials".to_owned()), ("client_secret", key)];
        ways.push(lasting("an API key", Box::new(move |server| server.post("/oauth/token").form(&form))));
        ways
    }

    async fn of_the_guarded(server: &TestServer, person: &TestUser, codes: &[String]) -> Vec<Way> {
        let TestUser { email, .. } = person;
        let mut codes = codes.iter();
        let mut code = || codes.next().expect("there are enough").clone();
        let mut ways = Vec::new();
        for (number, name) in ["native", "codes with a code", "v1", "ucontact"].iter().enumerate() {
            ways.push(lasting(name, by_password(person, &code()).swap_remove(number)));
        }
        let (token, claim) = link(server, "magic", email).await;
        let body = json!({"token": token, "claim": claim, "totp_code": code()});
        ways.push(way("/links/magic with a code", posting("/links/magic", "", body)));
        let body = json!({"email": email, "code": mailed_code(server, email).await, "totp_code": code()});
        ways.push(way("a mailed code with a code", posting("/auth/verification/verify-code", "", body)));
        let step = first_step(server, person).await;
        ways.push(way("the second step", posting("/auth/login/totp", &step, json!({"claim": code()}))));
        ways
    }
}

/// Every route that sets a password by a link.
async fn resetting(server: &TestServer, person: &TestUser) -> Vec<Way> {
    let mut ways = Vec::new();
    for path in ["/auth/login/reset", "/links/reset"] {
        let (token, claim) = link(server, "recover", &person.email).await;
        let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
        ways.push(way(path, posting(path, &token, body)));
    }
    let path = format!("/api/v1/password-reset-confirm?token={}", whole_link(server, person).await);
    let body = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
    ways.push(way(&path, posting(&path, "", body)));
    ways
}

/// Whether what a schema tells of has an access token.
fn tells_a_token(document: &Value, schema: &Value) -> bool {
    let schema = match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).expect("it is there"),
        None => schema,
    };
    let either = ["anyOf", "oneOf", "allOf"].iter().filter_map(|of| schema[of].as_array()).flatten();
    let members = schema["properties"].as_object();
    members.is_some_and(|members| members.contains_key("access_token"))
        || members.is_some_and(|members| members.values().any(|member| tells_a_token(document, member)))
        || either.into_iter().any(|schema| tells_a_token(document, schema))
}

/// No way in is forgotten: those of this file are those of the document.
async fn every_call_that_issues_is_tried(server: &TestServer) {
    let document = server.get("/openapi.json").send_checked().await.is(200).json();
    let mut told = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("it has paths") {
        for (method, said) in methods.as_object().expect("a path has methods") {
            let answers = said["responses"].as_object().expect("a call has answers").iter();
            let mut good = answers.filter(|(status, _)| status.starts_with('2'));
            if good.any(|(_, it)| tells_a_token(&document, &it["content"]["application/json"]["schema"])) {
                told.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let people = People::new(server, &[]).await;
    let requests =
        people.ways(server, &people.codes).await.into_iter().map(|way| (way.request_ctx)(server).build().unwrap());
    let tried = requests.map(|it| format!("{} {}", it.method(), it.url().path())).collect::<BTreeSet<_>>();
    assert_eq!(tried, told);
}

/// The access token that was issued.
fn issued(answer: &HttpResponse) -> Option<String> {
    let body = json_of(answer);
    let access = body["data"]["access_token"].as_str().or(body["access_token"].as_str());
    access.map(str::to_owned)
}

async fn who_is_disabled_or_deleted_is_issued_nothing(server: &TestServer) {
    for what in ["disable", "delete"] {
        let people = People::new(server, &[]).await;
        let ways = people.ways(server, &people.codes).await;
        let resets = resetting(server, &people.plain).await;
        let from_a_key = ways.iter().find(|way| way.name == "an API key").expect("it is one");
        let from_a_key = issued(&(from_a_key.request_ctx)(server).send_checked().await).expect("a token");
        for person in people.both() {
            server.plan().json(&["users", what, &person.email], "");
        }
        for Way { name, request_ctx, .. } in ways.iter().chain(&resets) {
            // A code to an address that is nobody's any more proves that address, and makes another account.
            let anew = what == "delete" && (name.contains("/login/claim") || name.contains("a mailed code"));
            let answer = request_ctx(server).send_checked().await;
            if anew && answer.status < 300 {
                let claims = server.verify(&issued(&answer).expect("it signed up")).await.json()["claims"].clone();
                assert!(!people.both().iter().any(|person| claims["sub"] == person.id), "{name}: {claims}");
                continue;
            }
            assert!((400..500).contains(&answer.status), "{what}, {name}: {answer:?}");
            assert!(!answer.text.contains("access_token"), "{what}, {name}: {answer:?}");
        }
        if what == "delete" {
            continue;
        }
        for person in people.both() {
            server.plan().json(&["users", "enable", &person.email], "");
        }
        // Nothing from before has come back to life, and no link has set a password or sets one now.
        for Way { name, request_ctx, .. } in ways.iter().filter(|way| !way.lasting).chain(&resets) {
            let answer = request_ctx(server).send_checked().await;
            assert!((400..500).contains(&answer.status), "after it, {name}: {answer:?}");
            assert!(!answer.text.contains("access_token"), "after it, {name}: {answer:?}");
        }
        assert_eq!(server.rejection_reason(&from_a_key).await, "revoked");
        // What is for good is as good as it was, the codes of the second factor too: no refusal has used one up.
        for Way { name, request_ctx, .. } in ways.iter().filter(|way| way.lasting) {
            assert!(issued(&request_ctx(server).send_checked().await).is_some(), "after it, {name}");
        }
        server.try_sign_in(&people.plain.email, OTHER_PASSWORD).await.is(401);
    }
}

/// The other half of it: when it was asked for the address was nobody's, so no row told of what was ended.
async fn what_was_mailed_before_there_was_an_account_opens_none_that_was_locked_out(server: &TestServer) {
    for (number, locked_out) in [(0, false), (1, true)] {
        let email = format!("early-{number}@example.org");
        let code = mailed_code(server, &email).await;
        let mut ways = Vec::new();
        for path in ["/links/magic", "/auth/login/claim"] {
            let (token, claim) = link(server, "magic", &email).await;
            ways.push(way(path, posting(path, &token, json!({"token": token, "claim": claim}))));
        }
        let body = json!({"email": email, "code": code});
        ways.push(way("a mailed code", posting("/auth/verification/verify-code", "", body)));
        server.plan().create_user(&email, PASSWORD, &[]);
        for change in ["disable", "enable"].into_iter().filter(|_| locked_out) {
            server.plan().json(&["users", change, &email], "");
        }
        for Way { name, request_ctx, .. } in ways {
            let answer = request_ctx(server).send_checked().await;
            assert_eq!(issued(&answer).is_none(), locked_out, "{name}: {answer:?}");
            assert!(answer.status < 300 || matches!(answer.status, 400 | 401), "{name}: {answer:?}");
        }
    }
}

/// Tokens that are issued afterwards say no more than the row does, and those from before are over.
async fn who_is_demoted_is_issued_no_right(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    for (more, less) in
        [(&["--superuser"][..], json!({"is_superuser": false})), (&["--role", "admin"][..], json!({"roles": []}))]
    {
        let people = People::new(server, more).await;
        let before = server.sign_in(&people.plain).await;
        server.get("/auth/users/").bearer_auth(&before.access).send_checked().await.is(200);
        let ways = people.ways(server, &people.codes).await;
        let superuser = more.contains(&"--superuser");
        let (admin, _) = server.api_key(&people.plain, if superuser { &["admin"] } else { &[] });
        for person in people.both() {
            posting(&format!("/auth/users/{}", person.id), &root, less.clone())(server).send_checked().await.is(200);
        }
        assert_eq!(server.rejection_reason(&before.access).await, "revoked");
        // By all that was issued before; and by all that is issued now.
        for Way { name, request_ctx, lasting } in ways {
            let answer = request_ctx(server).send_checked().await;
            if lasting {
                has_no_right(server, &name, &answer).await;
            } else {
                assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
                assert!(!answer.text.contains("access_token"), "{name}: {answer:?}");
            }
        }
        for Way { name, request_ctx, lasting } in people.ways(server, &people.codes[10..]).await {
            if !lasting {
                has_no_right(server, &name, &request_ctx(server).send_checked().await).await;
            }
        }
        for bearer in [true, false] {
            let request = server.post("/admin/sign-out-everyone");
            let request = if bearer { request.bearer_auth(&admin) } else { request.header("x-api-key", &admin) };
            let answer = request.send_checked().await;
            assert!(matches!(answer.status, 401 | 403), "{answer:?}");
        }
    }
}

/// Whatever is given is given to who is nothing more.
async fn has_no_right(server: &TestServer, name: &str, answer: &HttpResponse) {
    let access = issued(answer).unwrap_or_else(|| panic!("{name}: {answer:?}"));
    let claims = server.verify(&access).await.is(200).json()["claims"].clone();
    let rights = claims["superuser"] == true || claims.to_string().contains("\"admin\"");
    assert!(!rights, "{name}: {claims}");
    for (method, path) in [(Method::GET, "/auth/users/"), (Method::POST, "/admin/sign-out-everyone")] {
        let answer = server.request(method, path).bearer_auth(&access).send_checked().await;
        assert!(matches!(answer.status, 401 | 403), "{name}, {path}: {answer:?}");
    }
}
