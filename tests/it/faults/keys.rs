//! Signing keys are rotated and revoked under load on two nodes: no token of a valid key is refused, every token of a
//! revoked key is, cached ones too, and its sessions continue.

use std::time::{Duration, Instant};

use super::report::{Report, as_millis, percentile};
use super::{ALL_CALLS, Call, ServerFleet, TIMEOUT, assert_unaffected, long, short_or_long};
use crate::support::client::{PASSWORD, kid, until_within};
use crate::support::signet::Plan;
use crate::support::{postgres, redis};

const USER: &str = "ann@example.org";

/// The time within which every node must refuse the tokens of a revoked key, in the long form.
const MAX_PROPAGATION: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_and_revoked_under_load() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    let plan = Plan::on(&redis, &postgres)
        .with_patient_stores()
        .set("SIGNET_KEYS__ANNOUNCE", "2s")
        .set("SIGNET_KEYS__JWKS_MAX_AGE", "1s");
    let fleet = ServerFleet::two_nodes(&plan);
    plan.create_user(USER, PASSWORD, &[]);
    let traffic = fleet.start_traffic().await;
    let (began, mut propagation) = (Instant::now(), Vec::new());
    let rounds = short_or_long(1, 10);
    for _ in 0..rounds {
        // Tokens of the current key: one in the cache of both nodes, and one that no node has verified.
        let (cached, not_cached) =
            (fleet.endpoints[0].client.sign_in(USER).await, fleet.endpoints[1].client.sign_in(USER).await);
        let old = kid(&cached.access);
        for client in fleet.clients() {
            for _ in 0..2 {
                assert_eq!(client.verify(&cached.access).await.status, 200);
            }
        }

        let new = plan.json(&["keys", "rotate"], "")["kid"].as_str().unwrap().to_owned();
        for client in fleet.clients() {
            let mut tokens = client.sign_in(USER).await;
            let signs = async || {
                tokens = client.refresh(&tokens).await;
                kid(&tokens.access) == new
            };
            until_within("the new key signs", TIMEOUT, signs).await;
            client.sign_out(&tokens).await;
        }
        traffic.wait_for_success(&[Call::Verify, Call::Refresh], 6, TIMEOUT).await;

        traffic.mark_key_revoked(&old, None);
        plan.json(&["keys", "revoke", &old], "");
        let revoked = Instant::now();
        for client in fleet.clients() {
            let refused = async || client.verify(&cached.access).await.rejection_reason() == Some("revoked_key");
            until_within("the cached token is refused", TIMEOUT, refused).await;
            propagation.push(revoked.elapsed());
            assert_eq!(client.verify(&not_cached.access).await.rejection_reason(), Some("revoked_key"));
            let kids = client.kids().await;
            assert_eq!((kids[0].as_str(), kids.len()), (new.as_str(), 2), "the signing key and the standby");
        }
        traffic.mark_key_revoked(&old, Some(Instant::now()));
        // Their sessions continue.
        for tokens in [cached, not_cached] {
            let tokens = fleet.endpoints[0].client.refresh(&tokens).await;
            assert_eq!(kid(&tokens.access), new);
            fleet.endpoints[1].client.sign_out(&tokens).await;
        }
        traffic.wait_for_success(&ALL_CALLS, 3, TIMEOUT * 4).await;
    }
    let ended = Instant::now();
    let outcomes = fleet.stop_and_audit(traffic, |ledger| ledger.assert_undisturbed()).await;
    assert_unaffected(&ALL_CALLS, &outcomes);
    let report = Report::new("keys rotated and revoked", &outcomes, (began, ended), &[]);
    report.print();
    let refused =
        outcomes.iter().filter(|outcome| outcome.call == Call::VerifyRevokedKey && outcome.succeeded()).count();
    assert!(refused > 0, "no client had a token of a revoked key: {report:?}");
    let max = percentile(100, propagation.clone());
    let line = serde_json::json!({
        "row": "keys revoked", "rotated": rounds, "revoked": rounds,
        "propagation_median_ms": as_millis(percentile(50, propagation)), "propagation_max_ms": as_millis(max),
        "refused_of_revoked_keys": refused, "succeeded": report.succeeded, "lost": report.lost,
    });
    println!("fault {line}");
    assert!(report.unavailable == 0 && report.lost == 0, "a request failed: {report:?}");
    assert!(!long() || max <= MAX_PROPAGATION, "propagation takes {max:?}");
}
