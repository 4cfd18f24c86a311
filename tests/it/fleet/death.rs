//! `kill -9` under load, twenty times in one life of the data: nothing that was acknowledged is lost, nothing that was ended
//! comes back, and it is up again at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Client, Ground, PASSWORD, Pair, print_figures};
use crate::support::signet::Plan;
use crate::support::wait_until;

const DEATHS: usize = 20;
const WORKERS: usize = 6;

/// In what time it must be up again. Half of the starts must keep it: the others may have had to share the machine.
const UP: Duration = Duration::from_secs(1);

/// What one client has been told.
struct Held {
    /// What it was handed out last.
    pair: Pair,
    /// What that was handed out for.
    before: Option<String>,
    /// It was presented, and there was no answer: it may have been replaced, or not.
    doubtful: bool,
}

/// What all clients have been told, over all lives.
#[derive(Default)]
struct Ledger {
    open: Vec<Held>,
    ended: Vec<Pair>,
    users: Vec<String>,
    acknowledged: usize,
}

/// Tells the workers of one life when to stop, and how much they have done.
#[derive(Default)]
struct Life {
    over: AtomicBool,
    acknowledged: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_nothing_acknowledged_is_lost() {
    twenty_deaths("embedded", &Plan::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_nothing_acknowledged_is_lost() {
    let ground = Ground::new();
    twenty_deaths("on Redis and Postgres", &ground.plan).await;
}

async fn twenty_deaths(what: &str, plan: &Plan) {
    // Each session's last refresh is repeated after each death, however long ago it was.
    let plan = plan.clone().set("SIGNET_TOKENS__GRACE", "5m");
    let mut ledger = Ledger::default();
    let mut starts = Vec::new();
    for death in 0..=DEATHS {
        let began = Instant::now();
        let mut node = plan.start();
        let client = Client::of(&node);
        client.kids().await;
        if death > 0 {
            starts.push(began.elapsed());
        }
        check(&client, &mut ledger).await;
        if death == DEATHS {
            break;
        }

        let life = Arc::new(Life::default());
        let mut workers = Vec::new();
        let share = ledger.open.len().div_ceil(WORKERS).max(1);
        for worker in 0..WORKERS {
            let held = ledger.open.drain(..share.min(ledger.open.len())).collect();
            let email = ledger.users.get(worker % ledger.users.len().max(1)).cloned();
            workers.push(tokio::spawn(work(client.clone(), email, held, life.clone())));
        }
        // A user made by the command line beside it, while it is under load.
        let email = format!("user{death}@example.org");
        plan.user(&email, PASSWORD, &[]);
        ledger.users.push(email);
        let enough = if death == 0 { 0 } else { 60 + death * 13 % 50 };
        wait_until("the load has done its share", Duration::from_secs(20), || {
            life.acknowledged.load(Ordering::Relaxed) >= enough
        });
        node.kill();
        life.over.store(true, Ordering::Relaxed);
        for worker in workers {
            let (open, ended) = worker.await.unwrap();
            ledger.open.extend(open);
            ledger.ended.extend(ended);
        }
        ledger.acknowledged += life.acknowledged.load(Ordering::Relaxed);
    }
    let (told, open, ended) = (ledger.acknowledged, ledger.open.len(), ledger.ended.len());
    assert!(told > DEATHS * 50 && open > 10 && ended > 10, "too little: {told} told, {open} open, {ended} ended");
    let median = print_figures(&format!("{what}: {told} effects, {ended} sign-outs; start to first answer"), starts);
    assert!(median < UP, "it takes {median:?} to come back");
}

/// Opens, refreshes and ends sessions until the node is dead; gives back what is open and what is ended for sure.
async fn work(client: Client, email: Option<String>, mut open: Vec<Held>, life: Arc<Life>) -> (Vec<Held>, Vec<Pair>) {
    let mut ended = Vec::new();
    let Some(email) = email else { return (open, ended) };
    let told = || life.acknowledged.fetch_add(1, Ordering::Relaxed);
    for round in 0.. {
        if life.over.load(Ordering::Relaxed) {
            break;
        }
        if open.len() < 4 {
            let Some(answer) = client.try_sign_in(&email).await else { break };
            open.push(Held { pair: answer.pair(201), before: None, doubtful: false });
        } else if round % 9 == 8 {
            let held = open.swap_remove(round % open.len());
            // Without an answer nothing is known of it.
            let Some(answer) = client.try_sign_out(&held.pair).await else { break };
            assert_eq!(answer.status, 204, "{answer:?}");
            ended.push(held.pair);
        } else {
            let at = round % open.len();
            let held = &mut open[at];
            let Some(answer) = client.try_refresh(&held.pair.refresh).await else {
                held.doubtful = true;
                break;
            };
            let before = std::mem::replace(&mut held.pair, answer.pair(200)).refresh;
            held.before = Some(before);
        }
        told();
    }
    (open, ended)
}

/// Holds a node that has just come up to everything that the ones before have told.
async fn check(client: &Client, ledger: &mut Ledger) {
    let good: Vec<_> = ledger.open.iter().map(|held| held.pair.access.clone()).collect();
    assert!(client.verdicts(&good).await.iter().all(Option::is_none), "a session's token is refused");
    let bad: Vec<_> = ledger.ended.iter().map(|pair| pair.access.clone()).collect();
    let verdicts = client.verdicts(&bad).await;
    assert!(verdicts.iter().all(|verdict| verdict.as_deref() == Some("revoked")), "{verdicts:?}");
    for held in &mut ledger.open {
        // Some clients go on with what they were given, others had not read it yet and try again: that gives the same.
        if let Some(before) = held.before.as_ref().filter(|_| !held.doubtful) {
            let retried = client.present(before).await.pair(200);
            assert_eq!(retried.refresh, held.pair.refresh, "the retry got another successor");
        }
        let next = client.present(&held.pair.refresh).await.pair(200);
        held.before = Some(std::mem::replace(&mut held.pair, next).refresh);
        held.doubtful = false;
    }
    for pair in &ledger.ended {
        assert_eq!(client.present(&pair.refresh).await.status, 400, "a session that was ended is back");
    }
    for email in &ledger.users {
        let pair = client.sign_in(email).await;
        client.sign_out(&pair).await;
    }
}
