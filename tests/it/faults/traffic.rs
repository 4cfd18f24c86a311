//! The load: simulated clients, and how fast they are served.
//!
//! Each client waits for its response and then a little longer. The rate is fixed, so that two runs can be compared:
//! six clients, with 10 ms between a response and the next request, unless a test has another [`LoadProfile`].
//! Acknowledged effects go into the ledger, outcomes and times into a list. This module does not know about faults.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::ledger::{ClientLedger, Ledger};
use super::simulated_client::SimulatedClient;
use crate::support::client::{Client, client_builder, kid, until_within};
use crate::support::outbox::Mail;

pub(super) const CLIENTS: usize = 6;

/// The default pause between a response and the next request.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

#[derive(Clone, Copy)]
pub(super) struct LoadProfile {
    /// The pause between a response and the next request.
    pub(super) pause: Duration,
    /// The number of users per client beyond which the oldest is deleted when one is added; none: no user is deleted.
    pub(super) max_users: Option<usize>,
    /// True if a balancer sends each request to another node: each has a connection of its own, and what one node has
    /// ended another may accept for a moment.
    pub(super) is_balanced: bool,
}

impl Default for LoadProfile {
    fn default() -> Self {
        Self { pause: PAUSE, max_users: None, is_balanced: false }
    }
}

/// The superuser.
pub(super) const ROOT: &str = "root@example.org";

/// The calls of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    Jwks,
    Verify,
    /// Verifies a token of an ended session; succeeds if it is refused.
    VerifyEnded,
    /// Verifies a token of a revoked key; succeeds if it is refused.
    VerifyRevokedKey,
    Refresh,
    SignIn,
    SignOut,
    RequestCode,
    UseCode,
    SignUp,
    DeleteAccount,
    /// Uses a credential of a deleted account; succeeds if it is refused.
    UseDeletedAccount,
    ChangePassword,
    CreateKey,
    UseKey,
    DeactivateKey,
    Admin,
}

/// The outcome of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) call: Call,
    pub(super) sent_at: Instant,
    pub(super) duration: Duration,
    /// 0: the request was sent, and there was no response.
    pub(super) status: u16,
}

impl Outcome {
    pub(super) fn succeeded(&self) -> bool {
        match self.call {
            Call::VerifyEnded | Call::VerifyRevokedKey => self.status == 401,
            Call::UseDeletedAccount => matches!(self.status, 400 | 401),
            _ => (200..300).contains(&self.status),
        }
    }
}

/// The codes in a node's outbox. Reading a mail removes it.
pub(super) struct Outbox {
    folder: PathBuf,
    codes: Mutex<HashMap<String, String>>,
}

impl Outbox {
    pub(super) fn of(data_dir: PathBuf) -> Arc<Self> {
        Arc::new(Self { folder: data_dir.join("outbox"), codes: Mutex::default() })
    }

    /// Takes the newest code that was mailed to an address.
    pub(super) fn code(&self, to: &str) -> Option<String> {
        let mut codes = self.codes.lock().expect("no thread panics while it holds the lock");
        let mut files: Vec<_> = std::fs::read_dir(&self.folder).into_iter().flatten().flatten().collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        let paths = files.iter().map(std::fs::DirEntry::path);
        for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "eml")) {
            let mail = Mail { source: std::fs::read_to_string(&path).expect("the mail is complete") };
            std::fs::remove_file(path).expect("the file exists");
            if mail.header("subject").contains("code") {
                codes.insert(mail.header("to").trim_matches(['<', '>']).to_owned(), mail.code());
            }
        }
        codes.remove(to)
    }
}

/// A client of one node, and the node's outbox.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) client: Client,
    pub(super) outbox: Arc<Outbox>,
}

/// State shared by the simulated clients and the test.
#[derive(Default)]
pub(super) struct Shared {
    stopped: AtomicBool,
    outcomes: Mutex<Vec<Outcome>>,
    /// Signing keys that are being revoked, and since when every node knows.
    revoked_keys: Mutex<HashMap<String, Option<Instant>>>,
}

impl Shared {
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// None if the key of a token is not being revoked; otherwise the time since when every node knows, if all do.
    pub(super) fn key_revocation(&self, token: &str) -> Option<Option<Instant>> {
        self.revoked_keys.lock().expect("no thread panics while it holds the lock").get(&kid(token)).copied()
    }

    pub(super) fn record(&self, call: Call, sent_at: Instant, status: u16) {
        let outcome = Outcome { call, sent_at, duration: sent_at.elapsed(), status };
        self.outcomes.lock().expect("no thread panics while it holds the lock").push(outcome);
    }
}

/// Running simulated clients.
pub(super) struct Traffic {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<ClientLedger>>,
}

impl Traffic {
    /// Starts one client for each client of the ledger.
    pub(super) fn start(endpoints: &[Endpoint], ledger: Ledger) -> Self {
        Self::with(LoadProfile::default(), endpoints, ledger)
    }

    /// The same, with this profile.
    pub(super) fn with(profile: LoadProfile, endpoints: &[Endpoint], ledger: Ledger) -> Self {
        let shared = Arc::new(Shared::default());
        let client = |(number, client_ledger): (usize, ClientLedger)| {
            let endpoint = |number: usize| endpoints[number % endpoints.len()].clone();
            let (endpoint, other) = (endpoint(number), endpoint(number + 1).client);
            // Its own connections.
            let http = client_builder().timeout(Duration::from_secs(30));
            let idle = if profile.is_balanced { 0 } else { usize::MAX };
            let http = http.pool_max_idle_per_host(idle).build().unwrap();
            let endpoint = Endpoint { client: Client { http, ..endpoint.client }, ..endpoint };
            let client_ledger = ClientLedger { stop_reason: None, ..client_ledger };
            tokio::spawn(SimulatedClient::new(endpoint, other, profile, client_ledger, shared.clone()).run())
        };
        let clients = ledger.clients.into_iter().enumerate().map(client).collect();
        Self { shared, clients }
    }

    /// Tells the clients that a signing key is being revoked, or since when every node knows that it is.
    pub(super) fn mark_key_revoked(&self, kid: &str, known_since: Option<Instant>) {
        let mut revoked_keys = self.shared.revoked_keys.lock().expect("no thread panics while it holds the lock");
        revoked_keys.insert(kid.to_owned(), known_since);
    }

    /// The outcomes of requests sent since then.
    pub(super) fn since(&self, moment: Instant) -> Vec<Outcome> {
        let outcomes = self.shared.outcomes.lock().expect("no thread panics while it holds the lock");
        outcomes.iter().filter(|outcome| outcome.sent_at >= moment).copied().collect()
    }

    /// Takes the outcomes recorded since the last call, so that memory stays bounded.
    pub(super) fn take_outcomes(&self) -> Vec<Outcome> {
        std::mem::take(&mut *self.shared.outcomes.lock().expect("no thread panics while it holds the lock"))
    }

    /// True if no client has stopped.
    pub(super) fn all_running(&self) -> bool {
        !self.clients.iter().any(JoinHandle::is_finished)
    }

    /// Waits until the outcomes of requests sent from now on fulfil the condition.
    pub(super) async fn wait_for(
        &self,
        what: &str,
        timeout: Duration,
        condition: impl Fn(&[Outcome]) -> bool,
    ) -> Vec<Outcome> {
        let began = Instant::now();
        loop {
            let outcomes = self.since(began);
            if condition(&outcomes) {
                return outcomes;
            }
            let all_stopped = self.clients.iter().all(JoinHandle::is_finished);
            let waiting = began.elapsed() < timeout && !all_stopped;
            assert!(waiting, "{what}: not within {timeout:?}; {}", summary(&outcomes));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until each of these calls has succeeded so many times from now on.
    pub(super) async fn wait_for_success(&self, calls: &[Call], times: usize, timeout: Duration) -> Vec<Outcome> {
        let count = |outcomes: &[Outcome], call| {
            outcomes.iter().filter(|outcome| outcome.call == call && outcome.succeeded()).count()
        };
        let condition = |outcomes: &[Outcome]| calls.iter().all(|call| count(outcomes, *call) >= times);
        self.wait_for("all calls succeed", timeout, condition).await
    }

    /// Waits until each of these calls has got 503 so many times since then.
    pub(super) async fn wait_for_503(&self, since: Instant, calls: &[Call], times: usize) {
        let count = |outcomes: &[Outcome], call| {
            outcomes.iter().filter(|outcome| outcome.call == call && outcome.status == 503).count()
        };
        let began = Instant::now();
        loop {
            let outcomes = self.since(since);
            if calls.iter().all(|call| count(&outcomes, *call) >= times) {
                return;
            }
            let waiting = began.elapsed() < Duration::from_secs(60);
            assert!(waiting, "not all calls get 503: {}", summary(&outcomes));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until every client has stopped because no node accepts connections. This allows more time than the
    /// time-out of a client, because a client that connects to a free local port may be assigned the same port and
    /// connect to itself.
    pub(super) async fn wait_until_all_stopped(&self) {
        let all_stopped = async || self.clients.iter().all(JoinHandle::is_finished);
        until_within("all clients have stopped", Duration::from_secs(60), all_stopped).await;
    }

    /// Stops all clients; returns their ledger and the outcomes.
    pub(super) async fn stop(self) -> (Ledger, Vec<Outcome>) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        for client in self.clients {
            ledger.clients.push(client.await.unwrap());
        }
        let revoked_keys = self.shared.revoked_keys.lock().expect("no thread panics while it holds the lock");
        ledger.revoked_keys.extend(revoked_keys.keys().cloned());
        let mut outcomes = self.shared.outcomes.lock().expect("no thread panics while it holds the lock");
        (ledger, std::mem::take(&mut *outcomes))
    }
}

/// The number of each status for each call.
pub(super) fn summary(outcomes: &[Outcome]) -> String {
    let mut counts = std::collections::BTreeMap::<(Call, u16), usize>::new();
    outcomes.iter().for_each(|outcome| *counts.entry((outcome.call, outcome.status)).or_default() += 1);
    counts.iter().map(|((call, status), count)| format!("{call:?} {status}: {count}")).collect::<Vec<_>>().join(", ")
}
