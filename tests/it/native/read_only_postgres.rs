//! Codes and links whose step Postgres refuses, like a server that was demoted in a failover: it still answers, and
//! refuses to write. They work again afterwards, once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, SendRequest, TestServer, TestUser};
use crate::support::{outbox, until};

/// A server, and a user with whose token it is asked whether it can read.
struct Failing {
    server: TestServer,
    access: String,
}

impl Failing {
    async fn start() -> Self {
        let server = TestServer::redis_and_postgres(|plan| plan);
        let access = server.sign_in(&server.create_user(&["--verified"])).await.access;
        Self { server, access }
    }

    /// Also changes the connections that are open.
    async fn set_read_only(&self, is_read_only: bool) {
        let change = if is_read_only { "SET default_transaction_read_only = on" } else { "RESET ALL" };
        let statement = format!(
            "BEGIN READ WRITE;
             DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {change}', current_database()); END $$;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid();
             COMMIT"
        );
        self.server.sql(&statement).await;
        let me = async || self.server.get("/me").bearer_auth(&self.access).send_checked().await.status;
        until("rows can be read", async || me().await == 200).await;
    }

    async fn post(&self, path: &str, body: &Value) -> HttpResponse {
        self.server.post(path).json(body).send_checked().await
    }

    /// Requests a mail; returns the response and the mail.
    async fn request(&self, path: &str, email: &str) -> (Value, outbox::Mail) {
        let before = outbox::mails(&self.server, email).len();
        let response = self.post(path, &json!({"email": email})).await.is(202).json();
        (response, outbox::wait_for_mail(&self.server, email, before).await)
    }

    /// The body that redeems a magic link for this address.
    async fn magic_link(&self, email: &str) -> Value {
        let (response, mail) = self.request("/magic-links", email).await;
        json!({"token": mail.token(), "device_secret": response["device_secret"]})
    }

    /// The body that signs in with a code for this address.
    async fn code(&self, email: &str) -> Value {
        let (_, mail) = self.request("/codes", email).await;
        json!({"email": email, "code": mail.code()})
    }

    /// Redeems a secret while Postgres refuses, and then as often as it may be redeemed: once, by any number of callers.
    async fn redeem(&self, path: &str, body: &Value, success: u16) {
        self.set_read_only(true).await;
        for _ in 0..2 {
            self.post(path, body).await.is(503);
        }
        self.set_read_only(false).await;
        let responses = join_all((0..4).map(|_| self.post(path, body))).await;
        let successes = responses.iter().filter(|response| response.status == success).count();
        let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
        assert_eq!(successes, 1, "{statuses:?}");
        let again = self.post(path, body).await.status;
        assert!((400..500).contains(&again), "{again} for what is used up");
    }

    async fn create_unverified(&self) -> TestUser {
        self.server.create_user(&[])
    }
}

#[tokio::test]
async fn reset_link_outlasts_a_read_only_postgres() {
    let failing = Failing::start().await;
    let user = failing.server.create_user(&["--verified"]);
    let (response, mail) = failing.request("/password-resets", &user.email).await;
    let password = "another harbour at dawn";
    let body = json!({"token": mail.token(), "device_secret": response["device_secret"], "new_password": password});
    failing.redeem("/password-resets/redeem", &body, 204).await;
    failing.server.try_sign_in(&user.email, password).await.is(201);
}

#[tokio::test]
async fn magic_link_outlasts_a_read_only_postgres() {
    let failing = Failing::start().await;
    let unverified = failing.create_unverified().await.email;
    for email in ["new@example.org", &unverified] {
        let body = failing.magic_link(email).await;
        failing.redeem("/magic-links/redeem", &body, 201).await;
    }
}

#[tokio::test]
async fn mailed_code_outlasts_a_read_only_postgres() {
    let failing = Failing::start().await;
    let unverified = failing.create_unverified().await.email;
    for email in ["new@example.org", &unverified] {
        let body = failing.code(email).await;
        failing.redeem("/sessions", &body, 201).await;
    }
}

#[tokio::test]
async fn confirmation_code_outlasts_a_read_only_postgres() {
    let failing = Failing::start().await;
    let user = failing.create_unverified().await;
    failing.post("/auth/mail/verify/send", &json!({"user_id": user.id})).await.is(200);
    let code = outbox::mails(&failing.server, &user.email)[0].code();
    failing.redeem("/auth/mail/verify", &json!({"user_id": user.id, "code": code}), 200).await;
    assert_eq!(failing.server.plan().json(&["users", "show", &user.email], "")["verified"], true);
}

/// Otherwise a stranger could guess the code of somebody else at each of that person's failures.
#[tokio::test]
async fn wrong_codes_count_beyond_a_failure_of_postgres() {
    let failing = Failing::start().await;
    let email = "new@example.org";
    let body = failing.code(email).await;
    let wrong = json!({"email": email, "code": if body["code"] == "123456" { "654321" } else { "123456" }});
    let guess = async || {
        failing.post("/sessions", &wrong).await.is_problem(401, "invalid_code");
    };
    for _ in 0..3 {
        guess().await;
    }
    failing.set_read_only(true).await;
    failing.post("/sessions", &body).await.is(503);
    failing.set_read_only(false).await;
    guess().await;
    guess().await;
    failing.post("/sessions", &body).await.is_problem(401, "invalid_code");
}

/// The address is proved in Postgres, and Redis refuses to end the sessions.
#[tokio::test]
async fn link_is_void_once_its_address_is_proved() {
    let failing = Failing::start().await;
    let redis = failing.server.redis().unwrap();
    let user = failing.create_unverified().await;
    let body = failing.magic_link(&user.email).await;
    // A value of another type is where the stream should be.
    redis.cli(&["SET", "signet:{fleet}:revocations", "odd"]);
    let status = failing.post("/magic-links/redeem", &body).await.status;
    redis.cli(&["DEL", "signet:{fleet}:revocations"]);
    assert!(status >= 500, "{status}");
    assert_eq!(failing.server.plan().json(&["users", "show", &user.email], "")["verified"], true);
    failing.post("/magic-links/redeem", &body).await.is_problem(400, "invalid_link");
}
