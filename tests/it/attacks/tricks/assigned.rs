//! Mass assignment: fields that a call does not document change nothing, even if they name columns, claims or rights.

use super::*;
use crate::support::server::over_redis_and_postgres;

over_redis_and_postgres!(|plan| plan; undocumented_fields_are_ignored);

/// Fields that would grant rights, or make the caller the victim.
fn extra_fields(victim: &SignedInUser) -> Value {
    let (id, session, project) = (&victim.user.id, &victim.session, &victim.project);
    let id_fields = [
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
    let true_fields = [
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
    let false_fields = ["is_active", "active", "totp", "second_factor"];
    let mut all = json!({
        "role": "admin", "roles": ["admin"], "scope": "admin", "scopes": ["admin"],
        "sessions_valid_after": "2099-01-01T00:00:00Z", "created_at": "1970-01-01T00:00:00Z", "number": 1,
        "password_hash": "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA", "totp_secret": "JBSWY3DPEHPK3PXP",
        "recovery_codes": [], "token_balance": 1_000_000, "tokens_used": -5, "subscription_tier": "gold",
        "billing": {"token_balance": 9}, "idle": "9999d", "expires_in": 4_102_444_800_u64, "exp": 4_102_444_800_u64,
    });
    for name in id_fields {
        all[name] = json!(if name.starts_with('s') && name != "sub" {
            session
        } else if name.starts_with('p') {
            project
        } else {
            id
        });
    }
    true_fields.iter().for_each(|name| all[name] = json!(true));
    false_fields.iter().for_each(|name| all[name] = json!(false));
    all
}

/// Two users send the same request, one of them with extra fields: their rows and responses do not differ.
async fn undocumented_fields_are_ignored(server: &TestServer) {
    let admin = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let victim = SignedInUser::new(server, &[]).await;
    let before = server.plan().json(&["users", "show", &victim.user.email], "");
    let calls: Vec<_> = ApiCall::all(server).await.into_iter().filter(|call| !call.body.is_empty()).collect();
    server.prepare_users(2 * calls.len(), &[]);
    let mut pairs = Vec::new();
    for call in calls {
        let (mut plain, mut extended) =
            (valid_request(server, &call, &admin).await, valid_request(server, &call, &admin).await);
        let extra = extra_fields(&victim);
        for (name, value) in extra.as_object().into_iter().flatten().filter(|(name, _)| !call.body.contains_key(*name))
        {
            extended.body[name] = value.clone();
        }
        plain.email_of_row.make_ascii_lowercase();
        let responses = [plain.build(server).send_checked().await, extended.build(server).send_checked().await];
        let [one, other] = &responses;
        assert!(one.status < 300, "{}: {one:?}", call.name());
        assert_eq!(one.status, other.status, "{}: {responses:?}", call.name());
        // The row of a deleted user is gone.
        if call.name() == "DELETE /me" {
            continue;
        }
        pairs.push((call.name(), plain.email_of_row, extended.email_of_row));
        // The response contains no foreign id and no granted right.
        for text in [victim.user.id.as_str(), "\"admin\"", "1970-01-01", "gold"] {
            assert!(!other.text.contains(text), "{} returns {text}: {other:?}", call.name());
        }
        if let Some(access) = json_body(other)["access_token"].as_str().filter(|_| other.text.contains("refresh_token"))
        {
            let claims = server.verify(access).await.json()["claims"].clone();
            assert_ne!(claims["sub"], victim.user.id.as_str(), "{}", call.name());
            assert!(claims["roles"].as_array().is_none_or(Vec::is_empty), "{}: {claims}", call.name());
            assert!(!["superuser", "is_superuser"].iter().any(|it| claims[it] == true), "{}: {claims}", call.name());
        }
    }
    // At the end, in one process: nothing after the two requests changes these users.
    let rows = server.plan().json(&["users", "list", "--limit", "10000"], "");
    let row = |email: &str| {
        let mut rows = rows.as_array().expect("a list of rows").iter();
        comparable_row(rows.find(|row| row["email"] == email).unwrap_or_else(|| panic!("no row of {email}")))
    };
    for (call, plain, extended) in pairs {
        assert_eq!(row(&plain), row(&extended), "{call}");
    }
    assert_eq!(server.plan().json(&["users", "show", &victim.user.email], ""), before);
    server.verify(&victim.access).await.is(200);
    server.refresh(&victim.refresh).await.is(200);
}
