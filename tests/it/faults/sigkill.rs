//! `kill -9` under load, again and again in one life of the data: nothing that was acknowledged is lost, nothing that was ended or used
//! is good again, and it is up again at once.

use std::time::{Duration, Instant};

use super::figures::{millis, part};
use super::ledger::{Ledger, Look};
use super::{CLIENTS, Fleet, PATIENCE, Traffic, short_or_long};
use crate::support::client::PASSWORD;
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

/// In what time it must be up again, each time. In the short form half of the starts must keep five times that: the others may have had
/// to share the machine.
const UP: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    many_deaths("SIGKILL, embedded", &Plan::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_and_postgres() {
    let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
    many_deaths("SIGKILL, on Redis and Postgres", &Plan::on(&redis, &postgres)).await;
}

async fn many_deaths(name: &str, plan: &Plan) {
    let deaths = short_or_long(6, 100);
    let mut ledger = Ledger::new(CLIENTS);
    let mut fleet = Fleet::of(std::slice::from_ref(plan));
    let (mut starts, mut acknowledged, mut lost) = (Vec::new(), 0, 0);
    for death in 0..deaths {
        let traffic = Traffic::start(&fleet.places, ledger);
        // A user made by the command line beside it, while it is under load.
        let email = format!("beside{death}@example.org");
        plan.create_user(&email, PASSWORD, &[]);
        // Not always at the same point of everybody's day.
        let enough = 60 + death * 13 % 50;
        let has_done = |heard: &[super::Heard]| heard.iter().filter(|heard| heard.is_good()).count() >= enough;
        traffic.until("the load has done its share", PATIENCE * 2, has_done).await;
        fleet.nodes[0].kill();
        traffic.all_have_gone().await;
        let (written, heard) = traffic.stop().await;
        ledger = written;
        acknowledged += heard.iter().filter(|heard| heard.is_good()).count();
        lost += heard.iter().filter(|heard| heard.status == 0).count();

        let began = Instant::now();
        fleet = fleet.again();
        let client = &fleet.places[0].client;
        client.kids().await;
        starts.push(began.elapsed());
        client.sign_out(&client.sign_in(&email).await).await;
        ledger.holds_no_surprise();
        ledger.holds_no_refusal();
        ledger.audit(&fleet.clients(), Look::Lately).await;
    }
    ledger.audit(&fleet.clients(), Look::All).await;
    let (median, worst) = (part(50, starts.clone()), part(100, starts));
    let [people, open, ended, used, keys] = ledger.extent();
    let line = serde_json::json!({
        "row": name, "deaths": deaths, "acknowledged": acknowledged, "lost": lost, "up_median_ms": millis(median),
        "up_worst_ms": millis(worst), "people": people, "open": open, "ended": ended, "used_codes": used, "ended_keys": keys,
    });
    println!("fault {line}");
    assert!(open > 10 && ended > 5 && used > 0, "too little was done: {line}");
    let (held, within) = short_or_long((median, UP * 5), (worst, UP));
    assert!(held < within, "it takes {held:?} to come back");
}
