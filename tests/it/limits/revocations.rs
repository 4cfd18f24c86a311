//! Limits of the revocation of single access tokens: every node must remember each one, and the owner of an API key can
//! obtain any number of tokens.

use crate::conformance::Follow;
use signet::auth::Error;
use signet::auth::accounts::create;
use signet::auth::accounts::create::create_user;
use signet::auth::api_keys;
use signet::auth::api_keys::{ApiKey, ApiKeyRequest, CreateApiKey, create_own, deactivate};
use signet::auth::audit::Origin;
use signet::auth::context::Context;
use signet::auth::error::Denial;
use signet::auth::passwords::IdentityProof;
use signet::auth::sign_in::open_session::open_session;
use signet::auth::tokens::caller::authenticate;
use signet::auth::tokens::client_credentials::issue_for_api_key;
use signet::auth::tokens::revoke::revoke;
use signet::auth::tokens::verify::verify_access_token;
use signet::clock::Timestamp;
use signet::config::{LimitedAction, Rate};
use signet::id::{ApiKeyId, ProjectId};
use signet::rng::Rng;
use signet::store::ephemeral::{Cursor, Target};

use super::*;
use crate::lost_sessions::lose_sessions;
use crate::support::fleet::{TestFleet, native_request, over_both_stores_in_process};
use crate::support::server::over_both_stores;

const BURST: u32 = 5;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A user with an API key.
struct Owner {
    project: ProjectId,
    id: ApiKeyId,
    key: String,
}

impl Owner {
    async fn create(ctx: &Context, name: &str) -> Self {
        let new_user = create::CreateUser { email: format!("{name}@example.org"), ..Default::default() };
        let user = create_user(ctx, new_user).await.unwrap();
        let project = ctx.accounts.projects(user.id).await.unwrap()[0].0;
        let scopes = vec!["read".to_owned()];
        let new_key = CreateApiKey {
            user: user.id,
            project,
            name: name.to_owned(),
            scopes,
            expires_at: None,
            owner_valid_after: user.sessions_valid_after,
        };
        let (row, key) = api_keys::create(ctx, new_key, Origin::process()).await.unwrap();
        Self { project, id: row.id, key: key.reveal().to_owned() }
    }

    async fn token(&self, ctx: &Context) -> String {
        issue_for_api_key(ctx, &self.key, None, native_request(ctx)).await.unwrap().access
    }

    /// Writes the rows of more keys to the store.
    async fn create_copies(&self, ctx: &Context, count: u128, deactivated_at: Option<Timestamp>) {
        let (first, _) = ctx.accounts.api_key_by_id(self.id).await.unwrap().unwrap();
        for number in 1..=count {
            let (id, prefix) = (ApiKeyId(uuid::Uuid::from_u128(number)), format!("sk_{number}"));
            let key = ApiKey { id, prefix, digest: Rng::system().bytes(), deactivated_at, ..first.clone() };
            assert!(ctx.accounts.create_api_key(&key, None).await.unwrap());
        }
    }

    /// Creates one more key, in a new session of the user.
    async fn create_another(&self, ctx: &Context) -> Result<(), Error> {
        let (_, user) = ctx.accounts.api_key_by_id(self.id).await.unwrap().unwrap();
        let pair = open_session(ctx, &user, None, native_request(ctx)).await.unwrap();
        let caller = authenticate(ctx, Some(&pair.access_token)).await.unwrap();
        let (name, proof) = ("one more".to_owned(), IdentityProof::default());
        let request = ApiKeyRequest { name, scopes: Vec::new(), expires_in_days: None };
        create_own(ctx, &caller, self.project, request, proof, native_request(ctx)).await.map(drop)
    }
}

/// The number of published revocations.
async fn count_published(ctx: &Context) -> usize {
    let (mut count, mut cursor) = (0, Cursor::start());
    loop {
        let (revocations, next) = ctx.ephemeral.follow(&cursor, Duration::ZERO).await.unwrap();
        if revocations.is_empty() {
            return count;
        }
        (count, cursor) = (count + revocations.len(), next);
    }
}

mod by_account {
    use super::*;

    over_both_stores_in_process!(
        revocations_are_limited,
        repeated_revocation_costs_nothing,
        repeated_deactivation_is_published_once,
        old_deactivation_is_not_published_again,
        unaware_node_publishes_a_deactivation_again,
        active_keys_of_one_account_are_limited,
        old_deactivated_keys_of_one_account_are_deleted
    );

    async fn limited(fleet: &TestFleet) -> Context {
        let change = |config: &mut signet::config::Config| {
            config.limits.enabled = true;
            config.limits[LimitedAction::RevokeAccount] = Rate { burst: BURST, per: HOUR };
        };
        fleet.node_with(change).await
    }

    async fn revocations_are_limited(fleet: &TestFleet) {
        let ctx = limited(fleet).await;
        let (one, other) = (Owner::create(&ctx, "limited-one").await, Owner::create(&ctx, "limited-other").await);
        let before = count_published(&ctx).await;
        let mut refused = 0;
        for number in 0..20 {
            let token = one.token(&ctx).await;
            match revoke(&ctx, &token, Origin::process()).await {
                Ok(()) => assert!(verify_access_token(&ctx, &token).is_err(), "{number}"),
                Err(Error::RateLimited { retry_after }) => {
                    assert!(retry_after <= HOUR / BURST, "{retry_after:?}");
                    assert!(verify_access_token(&ctx, &token).is_ok(), "a refused revocation has no effect");
                    refused += 1;
                }
                Err(error) => panic!("{number}: {error}"),
            }
        }
        assert_eq!(refused, 20 - BURST);
        assert_eq!(count_published(&ctx).await - before, BURST as usize);
        revoke(&ctx, &other.token(&ctx).await, Origin::process()).await.unwrap();
        fleet.clock.advance(HOUR / BURST);
        revoke(&ctx, &one.token(&ctx).await, Origin::process()).await.unwrap();
    }

    async fn repeated_revocation_costs_nothing(fleet: &TestFleet) {
        let ctx = limited(fleet).await;
        let owner = Owner::create(&ctx, "again").await;
        let token = owner.token(&ctx).await;
        revoke(&ctx, &token, Origin::process()).await.unwrap();
        let before = count_published(&ctx).await;
        for _ in 0..3 * BURST {
            revoke(&ctx, &token, Origin::process()).await.unwrap();
        }
        assert_eq!(count_published(&ctx).await, before);
        for _ in 1..BURST {
            revoke(&ctx, &owner.token(&ctx).await, Origin::process()).await.unwrap();
        }
    }

    async fn repeated_deactivation_is_published_once(fleet: &TestFleet) {
        let ctx = limited(fleet).await;
        let owner = Owner::create(&ctx, "key").await;
        let token = owner.token(&ctx).await;
        let before = count_published(&ctx).await;
        for _ in 0..10 {
            deactivate(&ctx, owner.project, owner.id, Origin::process()).await.unwrap();
        }
        assert_eq!(count_published(&ctx).await - before, 1);
        assert!(verify_access_token(&ctx, &token).is_err());
    }

    /// Rows of keys stay, so their owner could have any number of them remembered again.
    async fn old_deactivation_is_not_published_again(fleet: &TestFleet) {
        let ctx = limited(fleet).await;
        let owner = Owner::create(&ctx, "old").await;
        deactivate(&ctx, owner.project, owner.id, Origin::process()).await.unwrap();
        let before = count_published(&ctx).await;
        fleet.clock.advance(ctx.node.retention.revocation_ttl());
        ctx.node.revocations.remove_expired(ctx.now());
        deactivate(&ctx, owner.project, owner.id, Origin::process()).await.unwrap();
        assert_eq!(count_published(&ctx).await, before);
        assert!(!ctx.node.revocations.contains(&Target::ApiKey(owner.id)));
    }

    /// The node that changed the row may have failed before it published the revocation.
    async fn unaware_node_publishes_a_deactivation_again(fleet: &TestFleet) {
        let ctx = limited(fleet).await;
        let owner = Owner::create(&ctx, "unaware").await;
        let before = count_published(&ctx).await;
        deactivate(&ctx, owner.project, owner.id, Origin::process()).await.unwrap();
        let other = fleet.node().await;
        other.node.revocations.remove_expired(other.now() + HOUR * 24);
        deactivate(&other, owner.project, owner.id, Origin::process()).await.unwrap();
        assert_eq!(count_published(&ctx).await - before, 2);
    }

    /// The first proof of the address ends all of them in one step.
    async fn active_keys_of_one_account_are_limited(fleet: &TestFleet) {
        let ctx = fleet.node().await;
        let owner = Owner::create(&ctx, "collector").await;
        owner.create_copies(&ctx, 999, None).await;
        assert!(matches!(owner.create_another(&ctx).await, Err(Error::Forbidden(Denial::TooManyApiKeys))));
        deactivate(&ctx, owner.project, owner.id, Origin::process()).await.unwrap();
        owner.create_another(&ctx).await.unwrap();
    }

    /// Otherwise an owner who creates and deactivates keys in turn would have any number of rows.
    async fn old_deactivated_keys_of_one_account_are_deleted(fleet: &TestFleet) {
        let ctx = fleet.node().await;
        let owner = Owner::create(&ctx, "rotator").await;
        owner.create_copies(&ctx, 1003, Some(ctx.now())).await;
        let total = async || ctx.accounts.api_keys(owner.project, 0, 1).await.unwrap().1;
        assert_eq!(total().await, 1004);
        owner.create_another(&ctx).await.unwrap();
        assert_eq!(total().await, 1005, "a node may not have read yet that they are deactivated");
        fleet.clock.advance(ctx.node.retention.revocation_ttl() * 2 + Duration::from_millis(1));
        owner.create_another(&ctx).await.unwrap();
        assert_eq!(total().await, 1003, "a thousand of them, and three that are active");
    }
}

mod over_http {
    use super::*;

    over_both_stores!(
        |plan| plan
            .set("SIGNET_LIMITS__ENABLED", "true")
            .set("SIGNET_LIMITS__REVOKE_ACCOUNT", "2 per 1h")
            .set("SIGNET_LIMITS__API_KEY_ACCOUNT", "3 per 1h");
        revocation_limit_is_reported_by_each_dialect, sign_outs_of_unknown_sessions_are_limited,
        key_creation_is_limited,
    );

    async fn revocation_limit_is_reported_by_each_dialect(server: &TestServer) {
        let (user, other) = (server.create_user(&["--superuser"]), server.create_user(&[]));
        let (key, _) = server.api_key(&user, &["revoke"]);
        let (other_key, _) = server.api_key(&other, &["read"]);
        let revoke =
            async |token: &str| server.form("/oauth/revoke", &[("client_secret", &key), ("token", token)]).await;
        let logout = async |path: &str, token: &str| server.post(path).bearer_auth(token).send_checked().await;
        revoke(&server.client_token(&key).await).await.is(200);
        logout("/api/v1/logout", &server.client_token(&key).await).await.is(200);

        let more = server.client_token(&key).await;
        revoke(&more).await.is_oauth_error(429, "temporarily_unavailable");
        for path in ["/api/v1/logout", "/api/v1/authorized/logout"] {
            Dialect::V1.assert_rate_limited(&logout(path, &more).await);
        }
        server.verify(&more).await.is(200);
        // Tokens of other accounts can still be revoked, and so can sessions.
        revoke(&server.client_token(&other_key).await).await.is(200);
        let tokens = server.sign_in(&user).await;
        revoke(&tokens.refresh).await.is(200);
        assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
    }

    /// A client can keep the refresh tokens of any number of sessions that ended long ago.
    async fn sign_outs_of_unknown_sessions_are_limited(server: &TestServer) {
        let user = server.create_user(&[]);
        let mut lost = Vec::new();
        for _ in 0..3 {
            lost.push(server.sign_in(&user).await);
        }
        lose_sessions(server).await;
        let known = server.sign_in(&user).await;
        let sign_out = async |refresh: &str| {
            let request = server.post("/auth/verification/revoke-token");
            request.json(&json!({"refresh_token": refresh})).send_checked().await
        };
        for tokens in &lost[..2] {
            sign_out(&tokens.refresh).await.is(200);
        }
        Dialect::Unturned.assert_rate_limited(&sign_out(&lost[2].refresh).await);
        server.verify(&lost[2].access).await.is(200);
        // A token that is revoked already is not counted. Neither is a session that the store knows.
        sign_out(&lost[0].refresh).await.is(200);
        sign_out(&known.refresh).await.is(200);
        for revoked in [&lost[0], &lost[1], &known] {
            assert_eq!(server.rejection_reason(&revoked.access).await, "revoked");
        }
    }

    /// Every deactivated key must be remembered too.
    async fn key_creation_is_limited(server: &TestServer) {
        let (one, other) = (create_project_owner(server).await, create_project_owner(server).await);
        let keys = "/auth/api-keys/";
        let create = async |(access, project): &(String, String)| {
            let request = server.post(keys).bearer_auth(access).header("x-project-id", project);
            request.json(&json!({"name": "a key"})).send_checked().await
        };
        for _ in 0..3 {
            let created = create(&one).await.is(201).json();
            let path = format!("{keys}{}", created["data"]["id"].as_str().unwrap());
            server.delete(&path).bearer_auth(&one.0).header("x-project-id", &one.1).send_checked().await.is(200);
        }
        Dialect::Unturned.assert_rate_limited(&create(&one).await);
        create(&other).await.is(201);
    }

    /// Creates a user; returns its access token and its project.
    async fn create_project_owner(server: &TestServer) -> (String, String) {
        let access = server.sign_in(&server.create_user(&[])).await.access;
        let projects = server.get("/projects").bearer_auth(&access).send_checked().await.is(200).json();
        let project = projects["projects"][0]["id"].as_str().unwrap().to_owned();
        (access, project)
    }
}
