//! Other people's ids: every call that names something in its path or its project, asked by who has no right to it.

use super::*;
use crate::support::desk::over_both_stores;

over_both_stores!(|plan| plan; what_is_anothers_is_not_there_or_forbidden);

async fn what_is_anothers_is_not_there_or_forbidden(desk: &TestServer) {
    let root = desk.sign_in(&desk.person(&["--superuser"])).await.access;
    let zoe = Somebody::new(desk, &[]).await;
    let thief = Somebody::new(desk, &[]).await;
    let (of_thief, _) = desk.api_key(&thief.person, &["introspect", "revoke"]);
    let made = desk.post("/auth/api-keys/").bearer_auth(&zoe.access).header("x-project-id", &zoe.project);
    let made = made.json(&json!({"name": "hers"})).send_checked().await.is(201).json()["data"].clone();
    let before = desk.plan().json(&["users", "show", &zoe.person.email], "");

    let mut tried = 0;
    for call in Call::all(desk).await {
        // An address in a path is asked for by whoever forgot something; a mailed token is its own proof.
        let named = call.path.contains('{') && !["{email}", "{token}"].iter().any(|it| call.path.ends_with(it));
        if !named && !call.project {
            continue;
        }
        let path = call.path.replace("/sessions/{id}", &format!("/sessions/{}", zoe.session));
        let path = path.replace("{key_id}", &text(&made, "id")).replace("{user_id}", &zoe.person.id);
        let path = path.replace("{id}", &zoe.person.id);
        assert!(!path.contains('{'), "{path}: say what zoe has there");
        let mut wish = wish(desk, &call, &root).await;
        wish.path = path;
        for project in [&zoe.project, &thief.project] {
            for bearer in [thief.access.as_str(), &of_thief, ""] {
                // One's own list, and a key of one's own.
                if !named && *project == thief.project && !bearer.is_empty() {
                    continue;
                }
                (wish.project, wish.bearer) = (project.clone(), bearer.to_owned());
                let answer = wish.request(desk).send_checked().await;
                assert!(matches!(answer.status, 401 | 403 | 404), "{}, {bearer:?}: {answer:?}", call.name());
                assert!(!answer.text.contains(&zoe.person.email), "{answer:?}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 40, "{tried}");
    assert_eq!(desk.plan().json(&["users", "show", &zoe.person.email], ""), before);
    desk.verify(&zoe.access).await.is(200);
    desk.verify(&text(&made, "full_key")).await.is(200);
    desk.refresh(&zoe.refresh).await.is(200);
}
