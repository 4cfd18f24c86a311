//! A service whose clock is off by 90 seconds and that is frozen for half a minute. That time is virtual: the clocks of
//! the server and of the service get another offset.

use super::{at_its_issuer, sign_out};
use crate::support::example_service::ExampleService;
use crate::support::faketime::set_offset;
use crate::support::server::TestServer;
use crate::support::until;

/// The staleness from which a service refuses tokens, in seconds: the library's default.
const LIMIT: f64 = 10.0;

async fn until_result(service: &ExampleService, token: &str, expected: &str) {
    until(&format!("the service says {expected}"), async || service.result(token).await == expected).await;
}

#[tokio::test]
async fn frozen_service_with_a_wrong_clock_accepts_nothing_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    set_offset(&clock, 0);
    let server = TestServer::embedded(|plan| at_its_issuer(plan).with_clock_offset(&clock));
    let issuer = server.signet.url_of("").trim_end_matches('/').to_owned();
    let user = server.create_user(&[]);
    let (first, second) = (server.sign_in(&user).await, server.sign_in(&user).await);
    let kept = server.sign_in(&user).await;
    let services = [ExampleService::start(&issuer, 90), ExampleService::start(&issuer, -90)];
    for service in &services {
        until_result(service, &first.access, "accepted").await;
        assert!(service.staleness().await < LIMIT, "a wrong clock does not count as delay");
    }
    sign_out(&server, &first).await;
    for service in &services {
        until_result(service, &first.access, "revoked").await;
        assert_eq!(service.result(&kept.access).await, "accepted");
    }

    // Half a minute passes while nothing runs in the service.
    let [_, service] = &services;
    service.freeze();
    sign_out(&server, &second).await;
    set_offset(&clock, 30);
    service.set_clock_offset(-60);
    service.thaw();
    until("the service has learned of the sign-out", async || {
        let result = service.result(&second.access).await;
        assert!(["revoked", "stale"].contains(&result.as_str()), "{result}");
        result == "revoked"
    })
    .await;
    until_result(service, &kept.access, "accepted").await;

    // Half a minute passes in which the server says nothing.
    server.signet.freeze();
    service.set_clock_offset(-30);
    assert_eq!(service.result(&kept.access).await, "stale");
    assert_eq!(service.result(&second.access).await, "revoked", "what is known is refused for what it is");
    assert!(service.staleness().await >= 30.0);
    set_offset(&clock, 60);
    server.signet.thaw();
    until_result(service, &kept.access, "accepted").await;
    assert!(service.staleness().await < LIMIT);
}
