//! Signing out of a session of which the store has lost the record, as a failover may have it: whoever is told that it is over can
//! rely on it, and whoever asks again makes nothing grow.

use serde_json::json;

use crate::support::server::{SendRequest, TestServer, Tokens};
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

/// A Signet, and the Redis behind it if there is one.
struct Place {
    server: TestServer,
    servers: Option<(redis::Server, postgres::Server)>,
}

impl Place {
    fn new(servers: Option<(redis::Server, postgres::Server)>) -> Self {
        let plan = servers.as_ref().map_or_else(Plan::embedded, |(redis, postgres)| Plan::on(redis, postgres));
        Self { server: TestServer::beside(plan), servers }
    }

    /// Lets the store have lost all sessions.
    async fn lose_sessions(&self) {
        let Some((redis, _)) = &self.servers else { return self.server.sql("DELETE FROM sessions").await };
        let keys = redis.cli(&["KEYS", "signet:{*}:[si]*"]);
        let gone = redis.cli(&[&["DEL"], &keys.lines().collect::<Vec<_>>()[..]].concat());
        assert_eq!(gone, keys.lines().count().to_string());
        assert!(keys.contains(":s:"), "{keys}");
    }

    /// How many revocations every node hears of.
    fn published(&self) -> i64 {
        if let Some((redis, _)) = &self.servers {
            return redis.cli(&["XLEN", "signet:{fleet}:revocations"]).parse().unwrap();
        }
        let file = rusqlite::Connection::open(self.server.signet.data().join("signet.db")).unwrap();
        file.query_row("SELECT count(*) FROM revocations", [], |row| row.get(0)).unwrap()
    }

    /// Somebody signed in, of whose session nothing is kept any more.
    async fn lost(&self) -> Tokens {
        let tokens = self.server.sign_in(&self.server.person(&[])).await;
        self.lose_sessions().await;
        self.server.verify(&tokens.access).await.is(200);
        tokens
    }

    async fn is_over(&self, tokens: &Tokens) {
        assert_eq!(self.server.reason(&tokens.access).await, "revoked");
        self.server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    }
}

async fn who_is_told_that_it_is_over_can_rely_on_it(place: Place) {
    let server = &place.server;
    let bystander = server.sign_in(&server.person(&[])).await;
    let service = server.api_key(&server.person(&[]), &["revoke"]).0;

    let tokens = place.lost().await;
    let logout = async || server.post("/api/v1/logout").bearer_auth(&tokens.access).send_checked().await;
    let before = place.published();
    assert_eq!(logout().await.is(200).json(), json!({"message": "logout successful"}));
    place.is_over(&tokens).await;
    logout().await.is(401);
    assert_eq!(place.published(), before + 1);

    for way in ["/auth/verification/revoke-token", "/oauth/revoke"] {
        let tokens = place.lost().await;
        let before = place.published();
        for _ in 0..3 {
            let asked = match way {
                "/oauth/revoke" => server.post(way).header("x-api-key", &service).form(&[("token", &tokens.refresh)]),
                _ => server.post(way).json(&json!({"refresh_token": tokens.refresh})),
            };
            asked.send_checked().await.is(200);
            place.is_over(&tokens).await;
        }
        assert_eq!(place.published(), before + 1, "{way}");
    }

    // An id that somebody names is nobody's word for it.
    let tokens = server.sign_in(&server.person(&[])).await;
    let before = place.published();
    let foreign = format!("/sessions/{}", bystander.session);
    server.delete(&foreign).bearer_auth(&tokens.access).send_checked().await.is_problem(404, "absent");
    assert_eq!(place.published(), before);
    server.verify(&bystander.access).await.is(200);
}

#[tokio::test]
async fn embedded() {
    who_is_told_that_it_is_over_can_rely_on_it(Place::new(None)).await;
}

#[tokio::test]
async fn redis_and_postgres() {
    who_is_told_that_it_is_over_can_rely_on_it(Place::new(Some((redis::Server::start(), postgres::Server::start()))))
        .await;
}
