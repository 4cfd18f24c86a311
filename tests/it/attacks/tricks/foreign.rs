//! Other people's ids: every call that names something in its path or its project, asked by who has no right to it.

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan; what_is_anothers_is_not_there_or_forbidden);

async fn what_is_anothers_is_not_there_or_forbidden(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let zoe = Somebody::new(server, &[]).await;
    let thief = Somebody::new(server, &[]).await;
    let (of_thief, _) = server.api_key(&thief.person, &["introspect", "revoke"]);
    let made = server.post("/auth/api-keys/").bearer_auth(&zoe.access).header("x-project-id", &zoe.project);
    let made = made.json(&json!({"name": "hers"})).send_checked().await.is(201).json()["data"].clone();
    let before = server.plan().json(&["users", "show", &zoe.person.email], "");

    let mut tried = 0;
    for call in Call::all(server).await {
        // An address in a path is asked for by whoever forgot something; a mailed token is its own proof.
        let named = call.path.contains('{') && !["{email}", "{token}"].iter().any(|it| call.path.ends_with(it));
        if !named && !call.project {
            continue;
        }
        let path = call.path.replace("/sessions/{id}", &format!("/sessions/{}", zoe.session));
        let path = path.replace("{key_id}", &text(&made, "id")).replace("{user_id}", &zoe.person.id);
        let path = path.replace("{id}", &zoe.person.id);
        assert!(!path.contains('{'), "{path}: say what zoe has there");
        let mut wish = wish(server, &call, &root).await;
        wish.path = path;
        for project in [&zoe.project, &thief.project] {
            for bearer in [thief.access.as_str(), &of_thief, ""] {
                // One's own list, and a key of one's own.
                if !named && *project == thief.project && !bearer.is_empty() {
                    continue;
                }
                (wish.project, wish.bearer) = (project.clone(), bearer.to_owned());
                let answer = wish.request(server).send_checked().await;
                assert!(matches!(answer.status, 401 | 403 | 404), "{}, {bearer:?}: {answer:?}", call.name());
                assert!(!answer.text.contains(&zoe.person.email), "{answer:?}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 40, "{tried}");
    assert_eq!(server.plan().json(&["users", "show", &zoe.person.email], ""), before);
    server.verify(&zoe.access).await.is(200);
    server.verify(&text(&made, "full_key")).await.is(200);
    server.refresh(&zoe.refresh).await.is(200);
}
