//! A follower of two nodes behind one address, whose Redis is emptied and replaced.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use signet_verify::follow::{Verifier, VerifyError};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{result, sign_out, until_ready, until_refused};
use crate::support::client::Client;
use crate::support::ports::free_port;
use crate::support::postgres::Database;
use crate::support::redis;
use crate::support::server::{PASSWORD, SendRequest, TestServer, TestUser, TokenPair};
use crate::support::signet::{Plan, Signet};
use crate::support::until;

/// A load balancer that sends all connections to one node.
pub(super) struct Balancer {
    node: watch::Sender<SocketAddr>,
}

impl Balancer {
    pub(super) async fn start(address: &str, node: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (sender, receiver) = watch::channel(node);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut node = receiver.clone();
                tokio::spawn(async move {
                    let address = *node.borrow_and_update();
                    let Ok(mut far) = TcpStream::connect(address).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = node.changed() => {}
                    }
                });
            }
        });
        Self { node: sender }
    }

    /// Ends all connections. The next ones go to this node.
    pub(super) fn switch(&self, node: SocketAddr) {
        self.node.send_replace(node);
    }
}

pub(super) fn address_of(node: &Signet) -> SocketAddr {
    node.url_of("").trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
}

/// Checks until the end of the test that what was refused once is never accepted again.
pub(super) struct Watch {
    ended: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(verifier: &Verifier) -> Self {
        let ended = Arc::new(Mutex::new(Vec::<String>::new()));
        let (tokens, verifier) = (ended.clone(), verifier.clone());
        let task = tokio::spawn(async move {
            let mut interval = tokio::time::interval(Duration::from_millis(5));
            loop {
                interval.tick().await;
                let tokens = tokens.lock().unwrap().clone();
                tokens
                    .iter()
                    .for_each(|token| assert!(result(&verifier, token).is_err(), "a revoked token is accepted"));
            }
        });
        Self { ended, task }
    }

    pub(super) async fn until_refused(&self, verifier: &Verifier, pair: &TokenPair) {
        until_refused(verifier, &pair.access, VerifyError::Revoked).await;
        self.ended.lock().unwrap().push(pair.access.clone());
    }

    pub(super) fn finish(self) {
        assert!(!self.task.is_finished(), "a revoked token is accepted");
        self.task.abort();
    }
}

pub(super) async fn follower(issuer: &str, limit: Duration) -> Verifier {
    let verifier = Verifier::builder(issuer).audience("signet").max_staleness(limit).start().unwrap();
    until_ready(&verifier).await;
    verifier
}

/// Opens a session that the follower accepts, once the server and the follower are ready for it. While the follower is
/// stale, no more are opened: beyond `tokens.sessions_per_user` they would end the sessions that the tests keep.
pub(super) async fn sign_in_again(server: &TestServer, verifier: &Verifier, user: &TestUser) -> TokenPair {
    let mut found: Option<TokenPair> = None;
    until("a new session is accepted", async || {
        match found.as_ref().map(|pair| result(verifier, &pair.access)) {
            Some(Ok(())) => return true,
            Some(Err(VerifyError::Stale)) => return false,
            Some(Err(_)) | None => (),
        }
        let response = server.try_sign_in(&user.email, PASSWORD).await;
        found = (response.status == 201).then(|| response.tokens());
        false
    })
    .await;
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follower_notices_that_its_fleet_lost_redis() {
    let address = format!("127.0.0.1:{}", free_port());
    let issuer = format!("http://{address}");
    let (mut redis, postgres) = (redis::Server::start(), Database::create());
    let plan = Plan::on(&redis, &postgres).with_patient_stores().set("SIGNET_SERVER__PUBLIC_URL", &issuer);
    let (server, other) = (TestServer::start(plan.clone()), plan.another_node().start());
    let (first, second) = (address_of(&server.signet), address_of(&other));
    let balancer = Balancer::start(&address, first).await;
    let user = server.create_user(&[]);
    let mut pairs = Vec::new();
    for _ in 0..4 {
        pairs.push(server.sign_in(&user).await);
    }
    let verifier = follower(&issuer, Duration::from_secs(10)).await;
    // A follower that counts itself as stale soon.
    let impatient = follower(&issuer, Duration::from_secs(2)).await;
    let watch = Watch::start(&verifier);
    let other = Client::new(&other);

    // Signed out at one node, followed at the other, and after a switch at the same.
    other.sign_out(&pairs[0]).await;
    watch.until_refused(&verifier, &pairs[0]).await;
    balancer.switch(second);
    other.sign_out(&pairs[1]).await;
    watch.until_refused(&verifier, &pairs[1]).await;
    assert_eq!(result(&verifier, &pairs[2].access), Ok(()));

    // Redis is emptied: no earlier token is accepted, later ones are.
    assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
    for pair in &pairs[2..] {
        watch.until_refused(&verifier, pair).await;
    }
    let later = sign_in_again(&server, &verifier, &user).await;
    balancer.switch(first);
    let ended = sign_in_again(&server, &verifier, &user).await;
    sign_out(&server, &ended).await;
    watch.until_refused(&verifier, &ended).await;
    assert_eq!(result(&verifier, &later.access), Ok(()));

    // Redis is gone: nobody can say that nothing was revoked, which shows.
    redis.kill();
    until("the outage is reported", async || verifier.last_error().is_some()).await;
    until("the limit has passed", async || result(&impatient, &later.access) == Err(VerifyError::Stale)).await;
    // Each follower has its own last frame.
    let limit = Duration::from_secs(2);
    until("it shows", async || verifier.staleness().is_some_and(|staleness| staleness >= limit)).await;

    // It comes back without its content.
    redis.restart();
    watch.until_refused(&verifier, &later).await;
    let last = sign_in_again(&server, &verifier, &user).await;
    until("the staleness is over", async || result(&impatient, &last.access) == Ok(())).await;
    server.delete("/sessions").bearer_auth(&last.access).send_checked().await.is(200);
    watch.until_refused(&verifier, &last).await;
    watch.finish();
}
