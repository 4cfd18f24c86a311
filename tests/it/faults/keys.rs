//! Signing keys are rotated and revoked under load on two nodes: no token of a key that stands is refused, whatever a revoked one signed
//! is, remembered tokens too, and its sessions go on.

use std::time::{Duration, Instant};

use super::figures::{Row, millis, part};
use super::{ALL, Call, Fleet, PATIENCE, goes_on, short_or_long};
use crate::support::client::{PASSWORD, kid, until_within};
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

const ANN: &str = "ann@example.org";

/// In what time every node must refuse what a revoked key signed. Five times over in the short form.
const FELT: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotated_and_revoked() {
    let (redis, postgres) = (redis::Server::start(), postgres::Server::start());
    let plan = Plan::on(&redis, &postgres).set("SIGNET_KEYS__ANNOUNCE", "2s").set("SIGNET_KEYS__JWKS_MAX_AGE", "1s");
    let fleet = Fleet::two(&plan);
    plan.create_user(ANN, PASSWORD, &[]);
    let traffic = fleet.at_work().await;
    let (began, mut felt) = (Instant::now(), Vec::new());
    let rounds = short_or_long(1, 10);
    for _ in 0..rounds {
        // Tokens of the key that signs now: remembered by both nodes, and never seen by any.
        let (remembered, unseen) =
            (fleet.places[0].client.sign_in(ANN).await, fleet.places[1].client.sign_in(ANN).await);
        let old = kid(&remembered.access);
        for client in fleet.clients() {
            for _ in 0..2 {
                assert_eq!(client.verify(&remembered.access).await.status, 200);
            }
        }

        let new = plan.json(&["keys", "rotate"], "")["kid"].as_str().unwrap().to_owned();
        for client in fleet.clients() {
            let mut pair = client.sign_in(ANN).await;
            let signs = async || {
                pair = client.refresh(&pair).await;
                kid(&pair.access) == new
            };
            until_within("the new key signs", PATIENCE, signs).await;
            client.sign_out(&pair).await;
        }
        traffic.until_good(&[Call::Verify, Call::Refresh], 6, PATIENCE).await;

        traffic.tell_revoked(&old, None);
        plan.json(&["keys", "revoke", &old], "");
        let revoked = Instant::now();
        for client in fleet.clients() {
            let refused = async || client.verify(&remembered.access).await.rejection_reason() == Some("revoked_key");
            until_within("what is remembered is refused", PATIENCE, refused).await;
            felt.push(revoked.elapsed());
            assert_eq!(client.verify(&unseen.access).await.rejection_reason(), Some("revoked_key"));
            assert_eq!(client.kids().await, [new.as_str()]);
        }
        traffic.tell_revoked(&old, Some(Instant::now()));
        // Their sessions are not over.
        for pair in [remembered, unseen] {
            let pair = fleet.places[0].client.refresh(&pair).await;
            assert_eq!(kid(&pair.access), new);
            fleet.places[1].client.sign_out(&pair).await;
        }
        traffic.until_good(&ALL, 3, PATIENCE * 4).await;
    }
    let over = Instant::now();
    let heard = fleet.held_to(traffic, |ledger| ledger.is_undisturbed()).await;
    goes_on(&ALL, &heard);
    let row = Row::of("keys rotated and revoked", &heard, (began, over), &[]);
    row.print();
    let refused = heard.iter().filter(|heard| heard.call == Call::VerifyRevoked && heard.is_good()).count();
    assert!(refused > 0, "nobody had a token of a revoked key: {row:?}");
    let worst = part(100, felt.clone());
    let line = serde_json::json!({
        "row": "keys revoked", "rotated": rounds, "revoked": rounds, "felt_median_ms": millis(part(50, felt)),
        "felt_worst_ms": millis(worst), "refused_of_revoked_keys": refused, "succeeded": row.good, "lost": row.lost,
    });
    println!("fault {line}");
    assert!(row.told == 0 && row.lost == 0, "somebody was turned away: {row:?}");
    assert!(worst <= short_or_long(FELT * 5, FELT), "it takes {worst:?} to be felt");
}
