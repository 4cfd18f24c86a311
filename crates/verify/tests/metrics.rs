//! The metrics of a verifier: what is counted, and how often.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this crate contains tests only")]

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::json;
use signet_verify::follow::VerifyError;
use signet_verify::tower::VerifyLayer;
use support::{FakeIssuer, until};
use tower::{Layer, ServiceExt, service_fn};

/// Keeps the value of each series by its name and, in braces, the values of its labels.
#[derive(Clone, Default)]
struct Values(Arc<Mutex<HashMap<String, Arc<AtomicU64>>>>);

impl Values {
    fn register(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key.labels().map(|label| format!("{{{}}}", label.value())).collect::<String>();
        self.0.lock().unwrap().entry(key.name().to_owned() + &labels).or_default().clone()
    }

    fn count(&self, series: &str) -> u64 {
        self.0.lock().unwrap().get(series).expect("the series exists").load(Ordering::Relaxed)
    }

    fn gauge(&self, series: &str) -> f64 {
        f64::from_bits(self.count(series))
    }
}

impl Recorder for Values {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.register(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.register(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn each_verification_is_counted_once() {
    let (issuer, values) = (FakeIssuer::start().await, Values::default());
    issuer.revoke("ended");
    let verifier = metrics::with_local_recorder(&values, || issuer.verifier().start()).unwrap();
    verifier.ready().await;
    let tokens = |result: &str| values.count(&format!("signet_verify_tokens_total{{{result}}}"));

    let (good, ended, odd) = (issuer.token("mine"), issuer.token("ended"), issuer.token_of_kid("made-up", json!({})));
    assert!(verifier.verify(&good).await.is_ok() && verifier.verify_now(&good).is_ok());
    assert_eq!(verifier.verify(&ended).await.map(|_| ()), Err(VerifyError::Revoked));
    assert!(verifier.verify(&odd).await.is_err());
    assert_eq!((tokens("ok"), tokens("revoked"), tokens("unknown_key")), (2, 1, 1));

    // The layer looks into memory first, and then waits for a key.
    let inner = service_fn(|_: Request<()>| async { Ok::<_, std::convert::Infallible>(Response::new(String::new())) });
    let service = VerifyLayer::new(verifier.clone()).layer(inner);
    for token in [&good, &odd] {
        let request = Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
        service.clone().oneshot(request).await.unwrap();
    }
    assert_eq!((tokens("ok"), tokens("revoked"), tokens("unknown_key")), (3, 1, 2));
}

#[tokio::test]
async fn state_of_the_follower_is_shown() {
    let (issuer, values) = (FakeIssuer::start().await, Values::default());
    issuer.revoke("ended");
    let verifier = metrics::with_local_recorder(&values, || issuer.verifier().start()).unwrap();
    verifier.ready().await;
    until("the revocation is shown", || values.gauge("signet_verify_revocations") == 1.0).await;
    assert!((0.0..60.0).contains(&values.gauge("signet_verify_staleness_seconds")));
    assert!(values.count("signet_verify_frames_total{accepted}") >= 1);
    assert_eq!(values.count("signet_verify_frames_total{refused}"), 0);
    assert_eq!(values.count("signet_verify_follow_failures_total"), 0);
    issuer.change(|shared| shared.fault = support::Fault::OtherSigner);
    issuer.revoke("other");
    until("a frame is refused", || values.count("signet_verify_frames_total{refused}") >= 1).await;
    until("a failure is counted", || values.count("signet_verify_follow_failures_total") >= 1).await;
}
