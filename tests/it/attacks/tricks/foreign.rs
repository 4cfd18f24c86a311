//! Ids of other users: every call with an id in its path or with a project, sent by a user without rights to it.

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan; ids_of_other_users_are_not_found_or_forbidden);

async fn ids_of_other_users_are_not_found_or_forbidden(server: &TestServer) {
    let admin = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let victim = SignedInUser::new(server, &[]).await;
    let attacker = SignedInUser::new(server, &[]).await;
    let (attacker_key, _) = server.api_key(&attacker.user, &["introspect", "revoke"]);
    let victim_key = server.post("/auth/api-keys/").bearer_auth(&victim.access).header("x-project-id", &victim.project);
    let victim_key = victim_key.json(&json!({"name": "hers"})).send_checked().await.is(201).json()["data"].clone();
    let before = server.plan().json(&["users", "show", &victim.user.email], "");

    let mut attempts = 0;
    let calls = ApiCall::all(server).await;
    server.prepare_users(calls.len(), &[]);
    for call in calls {
        // Calls with an address in the path and the revocation feed are public; a mailed token authenticates itself.
        let has_id = call.path.contains('{')
            && !["{email}", "{token}", "{position}", "{to}"].iter().any(|it| call.path.ends_with(it));
        if !has_id && !call.in_project {
            continue;
        }
        let path = call.path.replace("/sessions/{id}", &format!("/sessions/{}", victim.session));
        let path = path.replace("/projects/{id}", &format!("/projects/{}", victim.project));
        let path = path.replace("{key_id}", &text(&victim_key, "id")).replace("{key}", &text(&victim_key, "id"));
        let path = path.replace("{user_id}", &victim.user.id).replace("{session}", &victim.session);
        let path = path.replace("{kid}", "a-key").replace("{name}", "a-letter");
        let path = path.replace("{id}", &victim.user.id);
        assert!(!path.contains('{'), "{path}: add the victim's id for this parameter");
        let mut request = valid_request(server, &call, &admin).await;
        request.path = path;
        for project in [&victim.project, &attacker.project] {
            for bearer in [attacker.access.as_str(), &attacker_key, ""] {
                // The attacker's own project.
                if !has_id && *project == attacker.project && !bearer.is_empty() {
                    continue;
                }
                (request.project, request.bearer) = (project.clone(), bearer.to_owned());
                let response = request.build(server).send_checked().await;
                assert!(matches!(response.status, 401 | 403 | 404), "{}, {bearer:?}: {response:?}", call.name());
                assert!(!response.text.contains(&victim.user.email), "{response:?}");
                attempts += 1;
            }
        }
    }
    assert!(attempts >= 40, "{attempts}");
    assert_eq!(server.plan().json(&["users", "show", &victim.user.email], ""), before);
    server.verify(&victim.access).await.is(200);
    server.verify(&text(&victim_key, "full_key")).await.is(200);
    server.refresh(&victim.refresh).await.is(200);
}
