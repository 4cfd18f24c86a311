//! Mass assignment: what a call does not have in its document changes nothing, though it names columns, claims and rights.

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan; what_a_call_does_not_have_is_not_taken);

/// What somebody would like to be, and whom.
fn members(victim: &Somebody) -> Value {
    let (id, session, project) = (&victim.person.id, &victim.session, &victim.project);
    let named = [
        "id",
        "user_id",
        "uid",
        "sub",
        "user",
        "owner_id",
        "user_uuid",
        "client_id",
        "session_id",
        "sid",
        "project_id",
        "project",
    ];
    let on = [
        "is_superuser",
        "superuser",
        "is_admin",
        "is_staff",
        "admin",
        "is_verified",
        "verified",
        "email_validated",
        "email_verified",
        "hashed_password",
        "disabled",
    ];
    let off = ["is_active", "active", "totp", "second_factor"];
    let mut all = json!({
        "role": "admin", "roles": ["admin"], "scope": "admin", "scopes": ["admin"],
        "sessions_valid_after": "2099-01-01T00:00:00Z", "created_at": "1970-01-01T00:00:00Z", "number": 1,
        "password_hash": "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA", "totp_secret": "JBSWY3DPEHPK3PXP",
        "recovery_codes": [], "token_balance": 1_000_000, "tokens_used": -5, "subscription_tier": "gold",
        "billing": {"token_balance": 9}, "idle": "9999d", "expires_in": 4_102_444_800_u64, "exp": 4_102_444_800_u64,
    });
    for name in named {
        all[name] = json!(if name.starts_with('s') && name != "sub" {
            session
        } else if name.starts_with('p') {
            project
        } else {
            id
        });
    }
    on.iter().for_each(|name| all[name] = json!(true));
    off.iter().for_each(|name| all[name] = json!(false));
    all
}

/// Two people do the same, one of them with more in it: neither row nor answer tells them apart.
async fn what_a_call_does_not_have_is_not_taken(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let victim = Somebody::new(server, &[]).await;
    let before = server.plan().json(&["users", "show", &victim.person.email], "");
    for call in Call::all(server).await.into_iter().filter(|call| !call.body.is_empty()) {
        let (mut plain, mut greedy) = (wish(server, &call, &root).await, wish(server, &call, &root).await);
        let wanted = members(&victim);
        for (name, value) in wanted.as_object().into_iter().flatten().filter(|(name, _)| !call.body.contains_key(*name))
        {
            greedy.body[name] = value.clone();
        }
        plain.about.make_ascii_lowercase();
        let answers = [plain.request(server).send_checked().await, greedy.request(server).send_checked().await];
        let [one, other] = &answers;
        assert!(one.status < 300, "{}: {one:?}", call.name());
        assert_eq!(one.status, other.status, "{}: {answers:?}", call.name());
        assert_eq!(standing(server, &plain.about), standing(server, &greedy.about), "{}", call.name());
        // Nor is anybody else's name told, or a right.
        for told in [victim.person.id.as_str(), "\"admin\"", "1970-01-01", "gold"] {
            assert!(!other.text.contains(told), "{} tells {told}: {other:?}", call.name());
        }
        if let Some(access) = json_of(other)["access_token"].as_str().filter(|_| other.text.contains("refresh_token")) {
            let claims = server.verify(access).await.json()["claims"].clone();
            assert_ne!(claims["sub"], victim.person.id.as_str(), "{}", call.name());
            assert!(claims["roles"].as_array().is_none_or(Vec::is_empty), "{}: {claims}", call.name());
            assert!(!["superuser", "is_superuser"].iter().any(|it| claims[it] == true), "{}: {claims}", call.name());
        }
    }
    assert_eq!(server.plan().json(&["users", "show", &victim.person.email], ""), before);
    server.verify(&victim.access).await.is(200);
    server.refresh(&victim.refresh).await.is(200);
}
