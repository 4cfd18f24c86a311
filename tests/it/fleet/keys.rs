//! Signing keys change under load on two nodes. Rotation refuses no token; revocation refuses exactly the key's tokens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::{Client, Fleet, PASSWORD, TokenPair, kid, wait_until_refused};
use crate::support::until;

const MAX_AGE: Duration = Duration::from_secs(1);
const ACCESS: Duration = Duration::from_secs(3);

/// A downstream service, which fetches the JWKS again only when its cached copy is too old.
struct Service {
    /// The key ids of the copy, and when it was requested.
    cached: Mutex<(Vec<String>, Instant)>,
    /// The time at which the last token of each key expires.
    live: Mutex<HashMap<String, Instant>>,
    errors: Mutex<Vec<String>>,
    tokens: AtomicUsize,
    is_done: AtomicBool,
}

impl Service {
    fn report_error(&self, error: String) {
        self.errors.lock().unwrap().push(error);
    }

    /// Checks a token that was issued just now.
    fn receive_token(&self, token: &str, issued_at: Instant) {
        let kid = kid(token);
        let (is_known, age) = {
            let cached = self.cached.lock().unwrap();
            (cached.0.contains(&kid), cached.1.elapsed())
        };
        // With an older copy, the service would fetch the JWKS first.
        if age <= MAX_AGE {
            self.tokens.fetch_add(1, Ordering::Relaxed);
            if !is_known {
                self.report_error(format!("a token signed by {kid}, which the cached JWKS lacks"));
            }
        }
        self.live.lock().unwrap().insert(kid, issued_at + ACCESS);
    }

    async fn fetch(&self, from: &Client) {
        let live: Vec<_> = {
            let now = Instant::now();
            self.live.lock().unwrap().iter().filter(|(_, end)| **end > now).map(|(kid, _)| kid.clone()).collect()
        };
        let requested = Instant::now();
        let kids = from.kids().await;
        for kid in live.iter().filter(|kid| !kids.contains(kid)) {
            self.report_error(format!("the JWKS lacks {kid}, which signed a live token"));
        }
        *self.cached.lock().unwrap() = (kids, requested);
    }
}

fn short_lived(fleet: &Fleet) -> [crate::support::signet::Plan; 2] {
    let plan = fleet
        .plan
        .clone()
        .set("SIGNET_KEYS__ANNOUNCE", "2s")
        .set("SIGNET_KEYS__JWKS_MAX_AGE", &format!("{}s", MAX_AGE.as_secs()))
        .set("SIGNET_TOKENS__LEEWAY", "0ms");
    // A key stays published as long as any access token that it signed, in any dialect, is valid.
    let access = ["NATIVE", "UNTURNED", "MYAUTH", "CODES", "UCONTACT", "V1"].map(|name| format!("API__{name}__ACCESS"));
    let plan =
        access.iter().fold(plan, |plan, key| plan.set(&format!("SIGNET_{key}"), &format!("{}s", ACCESS.as_secs())));
    [plan.another_node(), plan]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_refuses_no_token() {
    let fleet = Fleet::new();
    let plans = short_lived(&fleet);
    let nodes = plans.each_ref().map(|plan| plan.start());
    let clients = nodes.each_ref().map(Client::new);
    let plan = &plans[0];
    plan.create_user("ann@example.org", PASSWORD, &[]);
    let service = Arc::new(Service {
        cached: Mutex::new((clients[0].kids().await, Instant::now())),
        live: Mutex::default(),
        errors: Mutex::default(),
        tokens: AtomicUsize::new(0),
        is_done: AtomicBool::new(false),
    });

    let mut load = Vec::new();
    for worker in 0..4 {
        let pair = clients[0].sign_in("ann@example.org").await;
        load.push(tokio::spawn(refresh_and_verify(clients.clone(), worker, pair, service.clone())));
    }
    let fetching = tokio::spawn({
        let (service, clients) = (service.clone(), clients.clone());
        async move {
            let mut ticks = tokio::time::interval(MAX_AGE);
            for client in clients.iter().cycle() {
                if service.is_done.load(Ordering::Relaxed) {
                    return;
                }
                ticks.tick().await;
                service.fetch(client).await;
            }
        }
    });

    let first = clients[0].kids().await[0].clone();
    let mut began = Instant::now();
    for _ in 0..3 {
        let announced = plan.json(&["keys", "rotate"], "");
        let new = announced["kid"].as_str().unwrap();
        for client in &clients {
            let mut pair = client.sign_in("ann@example.org").await;
            let new_key_signs = async || {
                pair = client.refresh(&pair).await;
                kid(&pair.access) == new
            };
            until("the new key signs", new_key_signs).await;
        }
        // Wait until every token of the previous key has expired.
        began = Instant::now();
        let have_expired = async || began.elapsed() > ACCESS + MAX_AGE;
        until("the tokens of the previous key have expired", have_expired).await;
    }
    assert!(began.elapsed() > ACCESS);
    // The clock of the node that issued a token, or of a service that checks it, may be behind by some minutes.
    for client in &clients {
        assert!(client.kids().await.contains(&first), "the first key is not published any more");
    }
    let enough = async || service.tokens.load(Ordering::Relaxed) > 100 || load.iter().any(JoinHandle::is_finished);
    until("enough tokens were issued", enough).await;
    service.is_done.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    fetching.await.unwrap();
    let errors = std::mem::take(&mut *service.errors.lock().unwrap());
    assert!(errors.is_empty(), "{} errors, first: {:?}", errors.len(), &errors[..errors.len().min(5)]);
}

/// Refreshes on alternating nodes, and verifies new, older and almost expired tokens on both.
async fn refresh_and_verify(clients: [Client; 2], worker: usize, mut pair: TokenPair, service: Arc<Service>) {
    let mut aging: Vec<(String, Instant)> = Vec::new();
    for round in worker.. {
        if service.is_done.load(Ordering::Relaxed) {
            return;
        }
        let issued_at = Instant::now();
        let answer = clients[round % 2].refresh_response(&pair.refresh).await;
        if answer.status != 200 {
            return service.report_error(format!("a refresh was refused: {answer:?}"));
        }
        pair = answer.is(200).tokens();
        service.receive_token(&pair.access, issued_at);
        if round % 10 == 0 {
            aging.push((pair.access.clone(), issued_at));
        }
        // Expiry is in whole seconds, so the last second of a token may be cut short.
        aging.retain(|(_, issued_at)| issued_at.elapsed() < ACCESS - Duration::from_millis(1300));
        for client in &clients {
            for (token, issued_at) in
                aging.iter().map(|(token, issued_at)| (token, *issued_at)).chain([(&pair.access, issued_at)])
            {
                let response = client.verify(token).await;
                let age = issued_at.elapsed();
                if response.status != 200 && age < ACCESS - Duration::from_secs(1) {
                    service.report_error(format!("a token of {age:?} was refused: {response:?}"));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_a_key_refuses_exactly_its_tokens() {
    let fleet = Fleet::new();
    let plans = short_lived(&fleet).map(|plan| plan.set("SIGNET_API__NATIVE__ACCESS", "15m"));
    let nodes = plans.each_ref().map(|plan| plan.start());
    let clients = nodes.each_ref().map(Client::new);
    let (a, plan) = (&clients[0], &plans[0]);
    plan.create_user("ann@example.org", PASSWORD, &[]);
    let [cached, unseen] = [a.sign_in("ann@example.org").await, a.sign_in("ann@example.org").await];
    let first = kid(&cached.access);

    plan.json(&["keys", "rotate"], "");
    let mut later = a.sign_in("ann@example.org").await;
    let new_key_signs = async || {
        later = a.refresh(&later).await;
        kid(&later.access) != first
    };
    until("the new key signs", new_key_signs).await;
    let second = kid(&later.access);
    for client in &clients {
        assert_eq!(client.verify(&cached.access).await.status, 200);
        assert_eq!(client.verify(&later.access).await.status, 200);
    }

    plan.json(&["keys", "revoke", &first], "");
    for client in &clients {
        wait_until_refused(client, &cached.access).await;
        assert_eq!(client.verify(&cached.access).await.rejection_reason(), Some("revoked_key"));
        assert_eq!(client.verify(&unseen.access).await.rejection_reason(), Some("revoked_key"));
        assert_eq!(client.verify(&later.access).await.status, 200);
        let kids = client.kids().await;
        assert_eq!((kids[0].as_str(), kids.len()), (second.as_str(), 2), "the signing key and the standby");
    }
    // The session is not revoked: its refresh returns a token of the other key.
    let cached = clients[1].refresh(&cached).await;
    assert_eq!(a.verify(&cached.access).await.status, 200);

    // Revoking the signing key lets the standby sign immediately: services have it already.
    let known = a.kids().await;
    plan.json(&["keys", "revoke", &second], "");
    for client in &clients {
        wait_until_refused(client, &later.access).await;
    }
    let after = clients[1].refresh(&later).await;
    assert_eq!(kid(&after.access), known[1]);
    for client in &clients {
        until("the new key is known", async || client.verify(&after.access).await.status == 200).await;
        let kids = client.kids().await;
        assert_eq!((&kids[0], kids.len()), (&known[1], 2), "the signing key and another standby");
        assert!(!known.contains(&kids[1]));
    }
}
