//! Changes to a row that also end sessions, or take from the user what tokens of open sessions state, while Redis is down:
//! the response is 503, nothing has changed, and the same request succeeds once Redis is back. Rates are not limited, since
//! a limit that asks Redis first would hide the order.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::outbox::wait_for_mail;
use crate::support::postgres::Database;
use crate::support::redis::Server;
use crate::support::server::{PASSWORD, SendRequest, TestServer, TestUser, TokenPair};
use crate::support::signet::Plan;
use crate::support::totp::code;
use crate::support::until;

const NEW: &str = "another harbour at dawn";

struct Fleet {
    server: TestServer,
    redis: Server,
    _postgres: Database,
    /// Signs in to show that Redis is back.
    other: TestUser,
}

impl Fleet {
    fn start() -> Self {
        let (redis, postgres) = (Server::options().durable().start(), Database::create());
        // A busy machine must not make the node stale while Redis is down.
        let plan = Plan::on(&redis, &postgres).with_patient_stores().set("SIGNET_REVOCATION__STALE_AFTER", "1m");
        let server = TestServer::start(plan);
        let other = server.create_user(&[]);
        Self { server, redis, _postgres: postgres, other }
    }

    async fn stop_redis(&mut self) {
        self.redis.kill();
        until("the loss is noticed", async || self.server.get_management("/readyz").await.status == 503).await;
    }

    async fn restart_redis(&mut self) {
        self.redis.restart();
        // Not until the node is ready: each worker has a connection of its own, which may come back later.
        let signs_in = async || self.server.try_sign_in(&self.other.email, PASSWORD).await.status == 201;
        until("users sign in again", signs_in).await;
    }

    /// Sends the request while Redis is down, and again afterwards.
    async fn repeat(&mut self, request: impl Fn(&TestServer) -> RequestBuilder, status: u16) {
        self.stop_redis().await;
        request(&self.server).send_checked().await.is(503);
        self.restart_redis().await;
        request(&self.server).send_checked().await.is(status);
    }

    async fn person(&self) -> (TestUser, TokenPair) {
        let person = self.server.create_user(&["--verified"]);
        let tokens = self.server.sign_in(&person).await;
        (person, tokens)
    }

    async fn superuser(&self) -> String {
        self.server.sign_in(&self.server.create_user(&["--verified", "--superuser"])).await.access
    }

    /// The sessions have ended, and no other one can be opened with the password.
    async fn assert_signed_out(&self, person: &TestUser, tokens: &TokenPair) {
        assert_eq!(self.server.rejection_reason(&tokens.access).await, "revoked");
        self.server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
        let status = self.server.try_sign_in(&person.email, PASSWORD).await.status;
        assert!((400..500).contains(&status), "{status}");
    }
}

#[tokio::test]
async fn password_change_can_be_repeated() {
    let mut fleet = Fleet::start();
    let (person, tokens) = fleet.person().await;
    let body = json!({"current_password": PASSWORD, "new_password": NEW});
    let request =
        |server: &TestServer| server.request(Method::PUT, "/me/password").bearer_auth(&tokens.access).json(&body);
    fleet.repeat(request, 200).await;
    fleet.assert_signed_out(&person, &tokens).await;
    fleet.server.try_sign_in(&person.email, NEW).await.is(201);
}

#[tokio::test]
async fn password_set_by_an_administrator_can_be_repeated() {
    let mut fleet = Fleet::start();
    let ((person, tokens), root) = (fleet.person().await, fleet.superuser().await);
    let path = format!("/auth/users/{}", person.id);
    fleet.repeat(|server| server.post(&path).bearer_auth(&root).json(&json!({"password": NEW})), 200).await;
    fleet.assert_signed_out(&person, &tokens).await;
    fleet.server.try_sign_in(&person.email, NEW).await.is(201);
}

#[tokio::test]
async fn reset_can_be_repeated() {
    let mut fleet = Fleet::start();
    let (person, tokens) = fleet.person().await;
    let asked = fleet.server.post("/password-resets").json(&json!({"email": person.email})).send_checked().await;
    let secret = asked.is(202).json()["device_secret"].clone();
    let token = wait_for_mail(&fleet.server, &person.email, 0).await.token();
    let body = json!({"token": token, "device_secret": secret, "new_password": NEW});
    fleet.repeat(|server| server.post("/password-resets/redeem").json(&body), 204).await;
    fleet.assert_signed_out(&person, &tokens).await;
    fleet.server.try_sign_in(&person.email, NEW).await.is(201);
}

/// The second request would enable the user whom the first one has disabled.
#[tokio::test]
async fn toggling_a_user_can_be_repeated() {
    let mut fleet = Fleet::start();
    let ((person, tokens), root) = (fleet.person().await, fleet.superuser().await);
    let body = json!({"user_email": person.email});
    fleet.repeat(|server| server.post("/auth/users/toggle-state").bearer_auth(&root).json(&body), 200).await;
    fleet.assert_signed_out(&person, &tokens).await;
}

#[tokio::test]
async fn disabling_a_user_can_be_repeated() {
    let mut fleet = Fleet::start();
    let ((person, tokens), root) = (fleet.person().await, fleet.superuser().await);
    let path = format!("/admin/users/{}", person.id);
    let request =
        |server: &TestServer| server.request(Method::PATCH, &path).bearer_auth(&root).json(&json!({"disabled": true}));
    fleet.repeat(request, 200).await;
    fleet.assert_signed_out(&person, &tokens).await;
}

/// A user who was only disabled would have no token to repeat the request with.
#[tokio::test]
async fn deletion_can_be_repeated() {
    let mut fleet = Fleet::start();
    let (person, tokens) = fleet.person().await;
    let body = json!({"password": PASSWORD});
    fleet.repeat(|server| server.delete("/me").bearer_auth(&tokens.access).json(&body), 204).await;
    fleet.assert_signed_out(&person, &tokens).await;
    wait_for_mail(&fleet.server, &person.email, 0).await;
}

/// Ends no session. Otherwise, the open one would state the verified address for as long as it lives.
#[tokio::test]
async fn withdrawing_a_verification_can_be_repeated() {
    let mut fleet = Fleet::start();
    let ((person, tokens), root) = (fleet.person().await, fleet.superuser().await);
    let (path, body) = (format!("/admin/users/{}", person.id), json!({"email_verified": false}));
    fleet.repeat(|server| server.request(Method::PATCH, &path).bearer_auth(&root).json(&body), 200).await;
    let tokens = fleet.server.refresh(&tokens.refresh).await.is(200).tokens();
    let verified = fleet.server.get("/verify").bearer_auth(&tokens.access).send_checked().await;
    assert_eq!(verified.is(200).header("x-auth-email"), "");
}

/// Ends no session and changes no token, so it needs no Redis.
#[tokio::test]
async fn factor_is_removed_while_redis_is_down() {
    let mut fleet = Fleet::start();
    let (person, tokens) = fleet.person().await;
    let started = fleet.server.post("/totp").bearer_auth(&tokens.access).send_checked().await.is(201).json();
    let body = json!({"code": code(started["key"].as_str().unwrap(), 0), "password": PASSWORD});
    fleet.server.request(Method::PUT, "/totp").bearer_auth(&tokens.access).json(&body).send_checked().await.is(200);
    fleet.stop_redis().await;
    let body = json!({"password": PASSWORD});
    fleet.server.delete("/totp").bearer_auth(&tokens.access).json(&body).send_checked().await.is(204);
    fleet.restart_redis().await;
    fleet.server.sign_in(&person).await;
}

/// The account is in Postgres by the time that the link is made, which usually needs Redis.
#[tokio::test]
async fn sign_up_succeeds_and_mails_a_link_while_redis_is_down() {
    let mut fleet = Fleet::start();
    fleet.stop_redis().await;
    let body = json!({"email": "newcomer@example.org", "password": PASSWORD});
    fleet.server.post("/users").json(&body).send_checked().await.is(201);
    let token = wait_for_mail(&fleet.server, "newcomer@example.org", 0).await.token();
    let redeem = fleet.server.post("/email-confirmations/redeem").json(&json!({"token": token}));
    redeem.send_checked().await.is(200);
    fleet.restart_redis().await;
    fleet.server.try_sign_in("newcomer@example.org", PASSWORD).await.is(201);
}
