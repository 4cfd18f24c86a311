//! Signing keys change under load on two nodes: rotated, with not one token refused; revoked, and only what they signed is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Client, PASSWORD, SOON, TestFleet, TokenPair, kid, refused, until};

const MAX_AGE: Duration = Duration::from_secs(1);
const ACCESS: Duration = Duration::from_secs(3);

/// What a service downstream knows: the JWKS as it was when it last asked, which it does only when that is too old.
struct Service {
    cached: Mutex<Vec<String>>,
    /// The last moment at which a token of each key is still good.
    live: Mutex<HashMap<String, Instant>>,
    faults: Mutex<Vec<String>>,
    tokens: AtomicUsize,
    over: AtomicBool,
}

impl Service {
    fn fault(&self, what: String) {
        self.faults.lock().unwrap().push(what);
    }

    /// Meets a token that was made just now.
    fn meet(&self, token: &str, made: Instant) {
        let kid = kid(token);
        if !self.cached.lock().unwrap().contains(&kid) {
            self.fault(format!("a token of {kid}, which the cached JWKS does not have"));
        }
        self.live.lock().unwrap().insert(kid, made + ACCESS);
        self.tokens.fetch_add(1, Ordering::Relaxed);
    }

    async fn fetch(&self, from: &Client) {
        let live: Vec<_> = {
            let now = Instant::now();
            self.live.lock().unwrap().iter().filter(|(_, end)| **end > now).map(|(kid, _)| kid.clone()).collect()
        };
        let kids = from.kids().await;
        for kid in live.iter().filter(|kid| !kids.contains(kid)) {
            self.fault(format!("the JWKS lacks {kid}, which signed a live token"));
        }
        *self.cached.lock().unwrap() = kids;
    }
}

fn brief(fleet: &TestFleet) -> [crate::support::signet::Plan; 2] {
    let plan = fleet
        .plan
        .clone()
        .set("SIGNET_KEYS__ANNOUNCE", "2s")
        .set("SIGNET_KEYS__JWKS_MAX_AGE", &format!("{}s", MAX_AGE.as_secs()))
        .set("SIGNET_TOKENS__LEEWAY", "0ms");
    // A key stays as long as anything that it signed, in any dialect or in a mail.
    let access = ["NATIVE", "UNTURNED", "MYAUTH", "CODES", "UCONTACT", "V1"].map(|name| format!("API__{name}__ACCESS"));
    let mailed = ["MAGIC", "RESET", "CONFIRM"].map(|name| format!("MAILED__{name}"));
    let all = access.iter().chain(&mailed);
    let plan = all.fold(plan, |plan, key| plan.set(&format!("SIGNET_{key}"), &format!("{}s", ACCESS.as_secs())));
    [plan.another(), plan]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_under_load_and_no_token_is_refused() {
    let fleet = TestFleet::new();
    let plans = brief(&fleet);
    let nodes = plans.each_ref().map(|plan| plan.start());
    let clients = nodes.each_ref().map(Client::of);
    let plan = &plans[0];
    plan.user("ann@example.org", PASSWORD, &[]);
    let service = Arc::new(Service {
        cached: Mutex::new(clients[0].kids().await),
        live: Mutex::default(),
        faults: Mutex::default(),
        tokens: AtomicUsize::new(0),
        over: AtomicBool::new(false),
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
                if service.over.load(Ordering::Relaxed) {
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
            let signs = async || {
                pair = client.refresh(&pair).await;
                kid(&pair.access) == new
            };
            until("the new key signs", Duration::from_secs(10), signs).await;
        }
        // Until whatever the key before has signed is over: then the next change takes that key away.
        began = Instant::now();
        let over = async || began.elapsed() > ACCESS + MAX_AGE;
        until("what the last key signed is over", ACCESS * 3, over).await;
    }
    assert!(began.elapsed() > ACCESS);
    for client in &clients {
        assert!(!client.kids().await.contains(&first), "the first key is still there");
    }
    service.over.store(true, Ordering::Relaxed);
    for each in load {
        each.await.unwrap();
    }
    fetching.await.unwrap();
    let faults = std::mem::take(&mut *service.faults.lock().unwrap());
    assert!(faults.is_empty(), "{} faults, first: {:?}", faults.len(), &faults[..faults.len().min(5)]);
    let tokens = service.tokens.load(Ordering::Relaxed);
    assert!(tokens > 100, "only {tokens} tokens were made");
}

/// Refreshes here and there, and verifies on both what is new, what is some time old, and what will soon be over.
async fn refresh_and_verify(clients: [Client; 2], worker: usize, mut pair: TokenPair, service: Arc<Service>) {
    let mut aging: Vec<(String, Instant)> = Vec::new();
    for round in worker.. {
        if service.over.load(Ordering::Relaxed) {
            return;
        }
        let made = Instant::now();
        let answer = clients[round % 2].present(&pair.refresh).await;
        if answer.status != 200 {
            return service.fault(format!("a refresh was refused: {answer:?}"));
        }
        pair = answer.pair(200);
        service.meet(&pair.access, made);
        if round % 10 == 0 {
            aging.push((pair.access.clone(), made));
        }
        // A token's life is counted in whole seconds, so its last one may be cut short.
        aging.retain(|(_, made)| made.elapsed() < ACCESS - Duration::from_millis(1300));
        for client in &clients {
            for (token, made) in aging.iter().map(|(token, made)| (token, *made)).chain([(&pair.access, made)]) {
                let verdict = client.verify(token).await;
                let age = made.elapsed();
                if verdict.status != 200 && age < ACCESS - Duration::from_secs(1) {
                    service.fault(format!("a token of {age:?} was refused: {verdict:?}"));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_revoked_key_signed_is_refused_by_every_node_and_nothing_else_is() {
    let fleet = TestFleet::new();
    let plans = brief(&fleet).map(|plan| plan.set("SIGNET_API__NATIVE__ACCESS", "15m"));
    let nodes = plans.each_ref().map(|plan| plan.start());
    let clients = nodes.each_ref().map(Client::of);
    let (a, plan) = (&clients[0], &plans[0]);
    plan.user("ann@example.org", PASSWORD, &[]);
    let [cached, unseen] = [a.sign_in("ann@example.org").await, a.sign_in("ann@example.org").await];
    let first = kid(&cached.access);

    plan.json(&["keys", "rotate"], "");
    let mut later = a.sign_in("ann@example.org").await;
    let signs = async || {
        later = a.refresh(&later).await;
        kid(&later.access) != first
    };
    until("the new key signs", Duration::from_secs(10), signs).await;
    let second = kid(&later.access);
    for client in &clients {
        assert_eq!(client.verify(&cached.access).await.status, 200);
        assert_eq!(client.verify(&later.access).await.status, 200);
    }

    plan.json(&["keys", "revoke", &first], "");
    for client in &clients {
        refused(client, &cached.access).await;
        assert_eq!(client.verify(&cached.access).await.reason(), Some("revoked_key"));
        assert_eq!(client.verify(&unseen.access).await.reason(), Some("revoked_key"));
        assert_eq!(client.verify(&later.access).await.status, 200);
        assert_eq!(client.kids().await, [second.as_str()]);
    }
    // A key is not a session: that lives on under the other key.
    let cached = clients[1].refresh(&cached).await;
    assert_eq!(a.verify(&cached.access).await.status, 200);

    // The one that signs, and the last: another takes over at once.
    plan.json(&["keys", "revoke", &second], "");
    for client in &clients {
        refused(client, &later.access).await;
    }
    let after = clients[1].refresh(&later).await;
    for client in &clients {
        until("the new key is known", SOON, async || client.verify(&after.access).await.status == 200).await;
        assert_eq!(client.kids().await, [kid(&after.access)]);
    }
}
