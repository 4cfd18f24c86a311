//! Who is disabled, deleted or demoted: nothing that was issued before, and no way in, gives a token any more, or a right.

use super::*;
use crate::support::desk::over_both_stores;

over_both_stores!(|plan| plan.set("SIGNET_MAILED__DAILY_TRIES", "1000");
    who_is_disabled_or_deleted_is_issued_nothing, who_is_demoted_is_issued_no_right);

/// Every route that issues something, with what somebody was given for it.
async fn issuing(desk: &Desk, person: &Person, code: Option<&str>) -> Vec<(String, Door)> {
    let mut doors: Vec<(String, Door)> = Vec::new();
    let names = ["native", "codes with a code", "v1", "ucontact"];
    let password = names.into_iter().zip(by_password(person, code.unwrap_or_default()));
    // Whoever has no second factor is not asked for one.
    doors.extend(
        password.filter(|(name, _)| code.is_some() || !name.ends_with("code")).map(|(name, door)| (name.into(), door)),
    );
    let (token, claim) = link(desk, "magic", &person.email).await;
    let body = json!({"token": token, "claim": claim, "totp_code": code});
    doors.push(("magic, native".into(), posting("/links/magic", "", body)));
    let body = json!({"email": person.email, "code": mailed_code(desk, &person.email).await, "totp_code": code});
    doors.push(("a mailed code".into(), posting("/auth/verification/verify-code", "", body)));
    if let Some(code) = code {
        let step = first_step(desk, person).await;
        doors.push(("the second step".into(), posting("/auth/login/totp", &step, json!({"claim": code}))));
    } else {
        for dialect in REFRESHING {
            let refresh = desk.sign_in(person).await.refresh;
            doors.push((format!("refresh, {dialect}"), refreshing(dialect, person, &refresh)));
        }
        doors.push(("codes".into(), posting("/auth/signin", "", json!({"email": person.email, "password": PASSWORD}))));
        let form = [("username", person.email.clone()), ("password", PASSWORD.to_owned())];
        doors.push(("myauth".into(), Box::new(move |desk| desk.post("/auth/login/oauth").form(&form))));
        let (token, claim) = link(desk, "magic", &person.email).await;
        doors.push(("magic, myauth".into(), posting("/auth/login/claim", &token, json!({"claim": claim}))));
        let (key, _) = desk.api_key(person, &["introspect"]);
        let form = [("grant_type", "client_credentials".to_owned()), ("client_secret", key)];
        doors.push(("an API key".into(), Box::new(move |desk| desk.post("/oauth/token").form(&form))));
    }
    doors
}

/// Every route that sets a password by a link.
async fn resetting(desk: &Desk, person: &Person) -> Vec<(String, Door)> {
    let mut doors: Vec<(String, Door)> = Vec::new();
    for path in ["/auth/login/reset", "/links/reset"] {
        let (token, claim) = link(desk, "recover", &person.email).await;
        let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
        doors.push((path.into(), posting(path, &token, body)));
    }
    let path = format!("/api/v1/password-reset-confirm?token={}", whole_link(desk, person).await);
    let body = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
    doors.push((path.clone(), posting(&path, "", body)));
    doors
}

async fn who_is_disabled_or_deleted_is_issued_nothing(desk: &Desk) {
    for what in ["disable", "delete"] {
        let (plain, guarded) = (desk.person(&["--verified"]), desk.person(&["--verified"]));
        let (_, codes) = totp::turn_on(desk, &desk.sign_in(&guarded).await.access, PASSWORD).await;
        let mut doors = issuing(desk, &plain, None).await;
        doors.extend(issuing(desk, &guarded, Some(&codes[0])).await);
        let resets = resetting(desk, &plain).await;
        for person in [&plain, &guarded] {
            desk.plan().json(&["users", what, &person.email], "");
        }
        for (name, door) in doors.iter().chain(&resets) {
            // A code to an address that is nobody's any more proves that address, and makes another account.
            let anew = what == "delete" && (name.starts_with("magic") || name == "a mailed code");
            let answer = door(desk).ask().await;
            if anew && answer.status < 300 {
                let body = answer.json();
                let access = body["data"]["access_token"].as_str().or(body["access_token"].as_str());
                let claims = desk.verify(access.expect("it signed up")).await.json()["claims"].clone();
                assert!(![&plain.id, &guarded.id].iter().any(|id| claims["sub"] == id.as_str()), "{name}: {claims}");
                continue;
            }
            assert!((400..500).contains(&answer.status), "{what}, {name}: {answer:?}");
            assert!(!answer.text.contains("access_token"), "{what}, {name}: {answer:?}");
        }
        if what == "disable" {
            for person in [&plain, &guarded] {
                desk.plan().json(&["users", "enable", &person.email], "");
            }
            // No link has set a password meanwhile, and no token from before has come back to life.
            desk.sign_in(&plain).await;
            for (name, door) in doors.iter().filter(|(name, _)| name.starts_with("refresh")) {
                let answer = door(desk).ask().await;
                assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
            }
        }
    }
}

/// Tokens that are issued afterwards say no more than the row does, and those from before are over.
async fn who_is_demoted_is_issued_no_right(desk: &Desk) {
    let root = desk.sign_in(&desk.person(&["--superuser"])).await.access;
    for (more, less) in [
        (&["--verified", "--superuser"][..], json!({"is_superuser": false})),
        (&["--verified", "--role", "admin"][..], json!({"roles": []})),
    ] {
        let person = desk.person(more);
        let before = desk.sign_in(&person).await;
        desk.get("/auth/users/").bearer_auth(&before.access).ask().await.is(200);
        let doors = issuing(desk, &person, None).await;
        let (admin, _) = desk.api_key(&person, if more.contains(&"--superuser") { &["admin"] } else { &[] });
        posting(&format!("/auth/users/{}", person.id), &root, less)(desk).ask().await.is(200);
        assert_eq!(desk.reason(&before.access).await, "revoked");
        let mut issued = 0;
        for (name, door) in doors {
            let answer = door(desk).ask().await;
            if name.starts_with("refresh") {
                assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
                continue;
            }
            // What was mailed before may be over with the sessions. Whatever is given is given to who is nothing more.
            assert!(
                answer.status < 500 && (answer.status < 300 || !answer.text.contains("access_token")),
                "{name}: {answer:?}"
            );
            if answer.status >= 300 {
                continue;
            }
            issued += 1;
            let body = answer.json();
            let access = body["data"]["access_token"].as_str().or(body["access_token"].as_str()).expect("a token");
            let claims = desk.verify(access).await.is(200).json()["claims"].clone();
            assert!(!claims.to_string().contains("\"admin\""), "{name}: {claims}");
            for (method, path) in [(Method::GET, "/auth/users/"), (Method::POST, "/admin/sign-out-everyone")] {
                let answer = desk.request(method, path).bearer_auth(access).ask().await;
                assert!(matches!(answer.status, 401 | 403), "{name}, {path}: {answer:?}");
            }
        }
        assert!(issued >= 5, "{issued}");
        for bearer in [true, false] {
            let request = desk.post("/admin/sign-out-everyone");
            let request = if bearer { request.bearer_auth(&admin) } else { request.header("x-api-key", &admin) };
            let answer = request.ask().await;
            assert!(matches!(answer.status, 401 | 403), "{answer:?}");
        }
    }
}
