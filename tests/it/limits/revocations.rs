//! Access tokens that are revoked one by one: every node remembers each of them, and whoever has an API key has as many as they ask for.

use signet::auth::Error;
use signet::auth::accounts::create;
use signet::auth::accounts::create::create_user;
use signet::auth::api_keys;
use signet::auth::api_keys::{CreateApiKey, deactivate};
use signet::auth::context::Context;
use signet::auth::tokens::client_credentials::issue_for_api_key;
use signet::auth::tokens::revoke::revoke;
use signet::auth::tokens::verify::verify_access_token;
use signet::config::Rate;
use signet::id::{ApiKeyId, ProjectId};
use signet::store::ephemeral::Cursor;

use super::*;
use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::server::over_both_stores;

const BURST: u32 = 5;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Somebody with an API key.
struct Owner {
    project: ProjectId,
    id: ApiKeyId,
    key: String,
}

impl Owner {
    async fn of(ctx: &Context, name: &str) -> Self {
        let wanted = create::CreateUser { email: format!("{name}@example.org"), ..Default::default() };
        let user = create_user(ctx, wanted, ctx.node.password_policy).await.unwrap();
        let project = ctx.accounts.projects(user.id).await.unwrap()[0].0;
        let scopes = vec!["read".to_owned()];
        let wanted = CreateApiKey { user: user.id, project, name: name.to_owned(), scopes, expires_at: None };
        let (row, key) = api_keys::create(ctx, wanted).await.unwrap();
        Self { project, id: row.id, key: key.reveal().to_owned() }
    }

    async fn token(&self, ctx: &Context) -> String {
        issue_for_api_key(ctx, &self.key, None, HOUR / 4).await.unwrap().access
    }
}

/// How many revocations there are to be followed.
async fn published(ctx: &Context) -> usize {
    let (mut count, mut place) = (0, Cursor::start());
    loop {
        let (heard, next) = ctx.ephemeral.follow(&place, Duration::ZERO).await.unwrap();
        if heard.is_empty() {
            return count;
        }
        (count, place) = (count + heard.len(), next);
    }
}

mod of_one_account {
    use super::*;

    over_both_stores_in_process!(are_limited, again_cost_nothing, a_key_ends_once);

    async fn limited(fleet: &TestFleet) -> Context {
        let change = |config: &mut signet::config::Config| {
            config.limits.enabled = true;
            config.limits.revoke_account = Rate { burst: BURST, per: HOUR };
        };
        fleet.node_with(change).await
    }

    async fn are_limited(fleet: &TestFleet) {
        let ctx = limited(fleet).await;
        let (one, other) = (Owner::of(&ctx, "limited-one").await, Owner::of(&ctx, "limited-other").await);
        let before = published(&ctx).await;
        let mut refused = 0;
        for number in 0..20 {
            let token = one.token(&ctx).await;
            match revoke(&ctx, &token).await {
                Ok(()) => assert!(verify_access_token(&ctx, &token).is_err(), "{number}"),
                Err(Error::TooMany { retry_after }) => {
                    assert!(retry_after <= HOUR / BURST, "{retry_after:?}");
                    assert!(verify_access_token(&ctx, &token).is_ok(), "what is refused is not done");
                    refused += 1;
                }
                Err(failure) => panic!("{number}: {failure}"),
            }
        }
        assert_eq!(refused, 20 - BURST);
        assert_eq!(published(&ctx).await - before, BURST as usize);
        revoke(&ctx, &other.token(&ctx).await).await.unwrap();
        fleet.clock.advance(HOUR / BURST);
        revoke(&ctx, &one.token(&ctx).await).await.unwrap();
    }

    async fn again_cost_nothing(fleet: &TestFleet) {
        let ctx = limited(fleet).await;
        let owner = Owner::of(&ctx, "again").await;
        let token = owner.token(&ctx).await;
        revoke(&ctx, &token).await.unwrap();
        let before = published(&ctx).await;
        for _ in 0..3 * BURST {
            revoke(&ctx, &token).await.unwrap();
        }
        assert_eq!(published(&ctx).await, before);
        for _ in 1..BURST {
            revoke(&ctx, &owner.token(&ctx).await).await.unwrap();
        }
    }

    /// Nor does a key that is deactivated again and again.
    async fn a_key_ends_once(fleet: &TestFleet) {
        let ctx = limited(fleet).await;
        let owner = Owner::of(&ctx, "key").await;
        let token = owner.token(&ctx).await;
        let before = published(&ctx).await;
        for _ in 0..10 {
            deactivate(&ctx, owner.project, owner.id).await.unwrap();
        }
        assert_eq!(published(&ctx).await - before, 1);
        assert!(verify_access_token(&ctx, &token).is_err());
        // A node that has not heard of it publishes it: this one may have come no further than the row.
        let other = fleet.node().await;
        other.node.revocations.remove_expired(other.now() + HOUR * 24);
        deactivate(&other, owner.project, owner.id).await.unwrap();
        assert_eq!(published(&ctx).await - before, 2);
    }
}

mod is_told {
    use super::*;

    over_both_stores!(
        |plan| plan
            .set("SIGNET_LIMITS__ENABLED", "true")
            .set("SIGNET_LIMITS__REVOKE_ACCOUNT", "2 per 1h")
            .set("SIGNET_LIMITS__API_KEY_ACCOUNT", "3 per 1h");
        in_the_words_of_each_dialect, who_makes_and_ends_keys_without_end,
    );

    async fn in_the_words_of_each_dialect(server: &TestServer) {
        let (person, friend) = (server.person(&[]), server.person(&[]));
        let (key, _) = server.api_key(&person, &["revoke"]);
        let (friends, _) = server.api_key(&friend, &["read"]);
        let token = async |key: &str| {
            let form = [("grant_type", "client_credentials"), ("client_secret", key)];
            let answer = server.form("/oauth/token", &form).await;
            answer.is(200).json()["access_token"].as_str().unwrap().to_owned()
        };
        let revoke =
            async |token: &str| server.form("/oauth/revoke", &[("client_secret", &key), ("token", token)]).await;
        let logout = async |path: &str, token: &str| server.post(path).bearer_auth(token).send_checked().await;
        revoke(&token(&key).await).await.is(200);
        logout("/api/v1/logout", &token(&key).await).await.is(200);

        let more = token(&key).await;
        revoke(&more).await.is_oauth_error(429, "temporarily_unavailable");
        for path in ["/api/v1/logout", "/api/v1/authorized/logout"] {
            Dialect::V1.tells_of_too_many(&logout(path, &more).await);
        }
        server.verify(&more).await.is(200);
        // Somebody else's, and what ends sessions.
        revoke(&token(&friends).await).await.is(200);
        let tokens = server.sign_in(&person).await;
        revoke(&tokens.refresh).await.is(200);
        assert_eq!(server.reason(&tokens.access).await, "revoked");
    }

    /// Each key that ends is remembered too, and its row is kept for good.
    async fn who_makes_and_ends_keys_without_end(server: &TestServer) {
        let (one, other) = (maker(server).await, maker(server).await);
        let keys = "/auth/api-keys/";
        let make = async |(access, project): &(String, String)| {
            let request = server.post(keys).bearer_auth(access).header("x-project-id", project);
            request.json(&json!({"name": "a key"})).send_checked().await
        };
        for _ in 0..3 {
            let made = make(&one).await.is(201).json();
            let path = format!("{keys}{}", made["data"]["id"].as_str().unwrap());
            server.delete(&path).bearer_auth(&one.0).header("x-project-id", &one.1).send_checked().await.is(200);
        }
        Dialect::Unturned.tells_of_too_many(&make(&one).await);
        make(&other).await.is(201);
    }

    /// Somebody's token and project.
    async fn maker(server: &TestServer) -> (String, String) {
        let access = server.sign_in(&server.person(&[])).await.access;
        let projects = server.get("/projects").bearer_auth(&access).send_checked().await.is(200).json();
        let project = projects["projects"][0]["id"].as_str().unwrap().to_owned();
        (access, project)
    }
}
