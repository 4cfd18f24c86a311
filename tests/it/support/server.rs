//! A running Signet, a client of it, and users who sign in.
//!
//! `send_checked` asserts what must hold of every response, so that no test can forget it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use signet::clock::Clock;
use signet::id::UserId;
use signet::rng::Rng;

use super::client::{Client, client_builder};
use super::postgres::Database;
pub(crate) use super::response::{HttpResponse, TokenPair};
use super::signet::{Plan, Signet};
use super::{metric, redis};

/// The password of every test user.
pub(crate) const PASSWORD: &str = "a quiet harbour at dusk";

/// Makes two tests of each case: over the embedded default, and over Redis and Postgres. Each test has a server of its
/// own, so that a case can be run alone, and the failure of one hides no other.
macro_rules! over_both_stores {
    ($plan:expr; $($case:ident),+ $(,)?) => {
        mod embedded {
            #[allow(unused_imports, reason = "the plan may need names of the file")]
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let server = $crate::support::server::TestServer::embedded($plan);
                    Box::pin(super::$case(&server)).await;
                }
            )+
        }

        $crate::support::server::over_redis_and_postgres!($plan; $($case),+);
    };
}
pub(crate) use over_both_stores;

/// Makes a test of each case over Redis and Postgres alone. For long cases about HTTP, tokens and the dialects, which a
/// second store would only repeat.
macro_rules! over_redis_and_postgres {
    ($plan:expr; $($case:ident),+ $(,)?) => {
        mod redis_and_postgres {
            #[allow(unused_imports, reason = "the plan may need names of the file")]
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let server = $crate::support::server::TestServer::redis_and_postgres($plan);
                    Box::pin(super::$case(&server)).await;
                }
            )+
        }
    };
}
pub(crate) use over_redis_and_postgres;

/// A running Signet, its stores, and a client.
pub(crate) struct TestServer {
    pub(crate) signet: Signet,
    stores: Option<(redis::Server, Database)>,
    client: Client,
    users_created: AtomicUsize,
    /// The users that no test has yet, by the arguments with which they were created.
    prepared_users: Mutex<HashMap<String, Vec<TestUser>>>,
}

/// A user with the password [`PASSWORD`].
pub(crate) struct TestUser {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) username: String,
}

impl TestServer {
    /// A server on the embedded default. Waits longer for the file, because a machine that is busy with other tests may
    /// take seconds for a write.
    pub(crate) fn embedded(change: impl Fn(Plan) -> Plan) -> Self {
        let plan = Plan::embedded().with_patient_hashing().set("SIGNET_EMBEDDED__TIMEOUT", "20s");
        Self::with_stores(change(plan), None)
    }

    /// A server on a Redis and a Postgres database of its own.
    pub(crate) fn redis_and_postgres(change: impl Fn(Plan) -> Plan) -> Self {
        let (redis, postgres) = (redis::Server::start(), Database::create());
        let plan = change(Plan::on(&redis, &postgres).with_patient_stores().with_patient_hashing());
        Self::with_stores(plan, Some((redis, postgres)))
    }

    /// A server whose stores, if it needs any, the test owns.
    pub(crate) fn start(plan: Plan) -> Self {
        Self::with_stores(plan, None)
    }

    fn with_stores(plan: Plan, stores: Option<(redis::Server, Database)>) -> Self {
        let signet = plan.start();
        let client = unlimited_client(&signet);
        Self { signet, stores, client, users_created: AtomicUsize::new(0), prepared_users: Mutex::default() }
    }

    /// Replaces the process, which has ended, by another one of the same plan.
    pub(crate) fn restart(&mut self) {
        self.signet = self.plan().clone().start();
        self.client = unlimited_client(&self.signet);
    }

    /// The Redis of a server on Redis and Postgres.
    pub(crate) fn redis(&self) -> Option<&redis::Server> {
        self.stores.as_ref().map(|(redis, _)| redis)
    }

    /// The plan of the server, which also runs the command line beside it.
    pub(crate) fn plan(&self) -> &Plan {
        self.signet.plan()
    }

    /// Changes rows directly in the database, where no command can.
    pub(crate) async fn sql(&self, statement: &str) {
        match &self.stores {
            Some((_, postgres)) => {
                postgres.client().await.batch_execute(statement).await.expect("Postgres executes it")
            }
            None => {
                let path = self.signet.data_dir().join("signet.db");
                let database = rusqlite::Connection::open(path).expect("the file exists");
                database.busy_timeout(std::time::Duration::from_secs(10)).expect("the time-out can be set");
                database.execute_batch(statement).expect("SQLite executes it");
            }
        }
    }

    /// Creates a user for this test alone, with these additional arguments of `signet users create`.
    pub(crate) fn create_user(&self, arguments: &[&str]) -> TestUser {
        if let Some(user) = self.take_prepared(arguments) {
            return user;
        }
        let (email, username) = names_of(self.users_created.fetch_add(1, Ordering::Relaxed));
        let arguments = [&["--username", &username], arguments].concat();
        let created = self.plan().create_user(&email, PASSWORD, &arguments);
        TestUser { id: created["id"].as_str().expect("a user has an id").to_owned(), email, username }
    }

    /// Creates users that [`Self::create_user`] with the same arguments then returns: in one process for all, because a
    /// process takes longer than most calls.
    pub(crate) fn prepare_users(&self, count: usize, arguments: &[&str]) {
        let first = self.create_user(arguments);
        let number = self.users_created.fetch_add(count, Ordering::Relaxed);
        let mut users = copy_user(self.plan(), &first.email, (number..number + count).map(names_of));
        users.push(first);
        let mut prepared = self.prepared_users.lock().expect("no panic while locked");
        prepared.entry(arguments.join(" ")).or_default().extend(users);
    }

    fn take_prepared(&self, arguments: &[&str]) -> Option<TestUser> {
        let mut prepared = self.prepared_users.lock().expect("no panic while locked");
        prepared.get_mut(&arguments.join(" ")).and_then(Vec::pop)
    }

    /// Creates an API key of `owner`; returns the whole key and its prefix.
    pub(crate) fn api_key(&self, owner: &TestUser, scopes: &[&str]) -> (String, String) {
        let mut arguments = vec!["api-keys", "create", "--user", &owner.email, "--name", "a key"];
        scopes.iter().for_each(|scope| arguments.extend(["--scope", scope]));
        let created = self.plan().json(&arguments, "");
        let text = |field: &str| created[field].as_str().expect("a new key is shown").to_owned();
        (text("full_key"), text("prefix"))
    }

    /// Adds rows that differ from that of the API key with this prefix in their ids and prefixes.
    pub(crate) async fn copy_api_key(&self, prefix: &str, count: u32) {
        let id = if self.redis().is_some() { "gen_random_uuid()" } else { "randomblob(16)" };
        let copies = format!(
            "WITH RECURSIVE numbers (number) AS (
                 SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {count}
             )
             INSERT INTO api_keys (id, project_id, user_id, prefix, digest, name, scopes, created_at, updated_at)
             SELECT {id}, project_id, user_id, prefix || number, digest, name, scopes, created_at, updated_at
             FROM api_keys, numbers WHERE prefix = '{prefix}'"
        );
        self.sql(&copies).await;
    }

    /// Exchanges an API key for an access token.
    pub(crate) async fn client_token(&self, key: &str) -> String {
        let grant = [("grant_type", "client_credentials"), ("client_secret", key)];
        let body = self.form("/oauth/token", &grant).await.is(200).json();
        body["access_token"].as_str().unwrap_or_else(|| panic!("no access token: {body}")).to_owned()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.http.request(method, format!("{}{path}", self.client.base))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(path)
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// Sends a form to a token endpoint.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> HttpResponse {
        self.post(path).form(fields).send_checked().await
    }

    /// Tries to sign in by e-mail address.
    pub(crate) async fn try_sign_in(&self, email: &str, password: &str) -> HttpResponse {
        self.sign_in_request(email, password).send_checked().await
    }

    pub(crate) fn sign_in_request(&self, email: &str, password: &str) -> RequestBuilder {
        self.client.sign_in_request(email, password)
    }

    /// Waits for the next millisecond, and signs in.
    ///
    /// A revocation of all of a user's tokens includes those issued in the same millisecond. With the usual hashing
    /// cost no sign-in falls into that millisecond; with the cheap hashing of the tests one does.
    pub(crate) async fn sign_in(&self, user: &TestUser) -> TokenPair {
        let clock = Clock::system();
        let before = clock.now();
        while clock.now() <= before {
            tokio::task::yield_now().await;
        }
        self.try_sign_in(&user.email, PASSWORD).await.is(201).tokens()
    }

    /// Tries to exchange a refresh token.
    pub(crate) async fn refresh(&self, token: &str) -> HttpResponse {
        self.client.refresh_request(token).send_checked().await
    }

    /// Verifies a token by `/verify`.
    pub(crate) async fn verify(&self, token: &str) -> HttpResponse {
        self.client.verify_request(token).send_checked().await
    }

    /// The reason for which `/verify` rejects a token; empty if it is valid.
    pub(crate) async fn rejection_reason(&self, token: &str) -> String {
        let response = self.verify(token).await;
        let body = response.json();
        assert_eq!(body["active"], response.status == 200, "{response:?}");
        body["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// A request to the management listener.
    pub(crate) fn management_request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.http.request(method, format!("{}{path}", self.client.management))
    }

    /// A page of the management endpoint.
    pub(crate) async fn get_management(&self, path: &str) -> HttpResponse {
        let request = self.client.http.get(format!("{}{path}", self.client.management));
        self.client.execute(request).await.expect("the management endpoint responds")
    }

    /// The value of a metric, which must be a whole number.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        metric(&self.get_management("/metrics").await.text, series)
    }
}

/// The address and the username of a user of this number.
fn names_of(number: usize) -> (String, String) {
    (format!("person-{number}@example.org"), format!("person-{number}"))
}

/// Imports copies of the user with this address, which have the same password, under these addresses and usernames.
pub(crate) fn copy_user(plan: &Plan, email: &str, names: impl Iterator<Item = (String, String)>) -> Vec<TestUser> {
    let exported = plan.run(&["users", "export", "--with-hashes"], "").stdout;
    let mut records =
        exported.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut record = records.find(|record| record["email"] == email).expect("the user is exported");
    let (now, rng) = (Clock::system().now(), Rng::system());
    let (mut users, mut lines) = (Vec::new(), String::new());
    for (email, username) in names {
        let id = UserId::new(now, &rng).to_string();
        (record["id"], record["email"], record["username"]) = (json!(id), json!(email), json!(username));
        lines.push_str(&format!("{record}\n"));
        users.push(TestUser { id, email, username });
    }
    let report = plan.json(&["users", "import", "-"], &lines);
    assert_eq!(report["imported"], users.len(), "{report}");
    users
}

/// A client without a time-out: some tests keep requests waiting.
fn unlimited_client(signet: &Signet) -> Client {
    Client::with(signet, client_builder())
}

/// A token with one character of its last segment changed.
pub(crate) fn tamper_signature(token: &str) -> String {
    let at = token.len() - 20;
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

/// Sends a request and asserts what must hold of every response.
pub(crate) trait SendRequest {
    async fn send_checked(self) -> HttpResponse;
}

impl SendRequest for RequestBuilder {
    async fn send_checked(self) -> HttpResponse {
        let response = self.send().await.expect("the server responds");
        let response = HttpResponse::read(response).await.expect("the body is text");
        response.check_invariants();
        response
    }
}
