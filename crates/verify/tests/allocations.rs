//! A cached verification allocates nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this crate contains tests only")]

mod support;

use signet_verify::follow::StalePolicy;
use support::FakeIssuer;

#[tokio::test]
async fn cached_verification_allocates_nothing() {
    let issuer = FakeIssuer::start().await;
    issuer.revoke("another");
    let verifier = issuer.ready(StalePolicy::Allow).await;
    let token = issuer.token_with(serde_json::json!({"sid": "mine", "client_id": "signet", "email": "a@example.org"}));
    let first = verifier.verify_now(&token).unwrap();
    let mut again = None;
    // Measured on this thread, while the tasks of the follower wait.
    let measured = allocation_counter::measure(|| again = verifier.verify_now(&token).ok());
    assert_eq!(measured.count_total, 0);
    assert_eq!(again.unwrap().subject(), first.subject());
    let measured = allocation_counter::measure(|| {
        let claims = verifier.verify_now(&token).unwrap();
        assert!(
            claims.scopes().contains("reports:read") && claims.session_id() == Some("mine") && claims.is_for("api")
        );
    });
    assert_eq!(measured.count_total, 0);
}
