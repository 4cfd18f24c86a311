//! The response times of each call, and control tests which prove that a difference is detected.

use super::calls::{CODE_GUESSES, MAIL_REQUESTS, SIGN_INS};
use super::*;
use crate::support::server::{PASSWORD, copy_user};

mod sign_in {
    use super::*;
    use crate::support::server::over_both_stores;

    over_both_stores!(closed; known_and_unknown_users_take_the_same_time, users_without_password_take_the_same_time,
        cheaper_hash_is_detected);

    async fn known_and_unknown_users_take_the_same_time(server: &TestServer) {
        assert_no_difference(server, SIGN_INS, &create_users(server)).await;
    }

    async fn users_without_password_take_the_same_time(server: &TestServer) {
        let known = create_users(server);
        server.sql("UPDATE users SET password_hash = NULL").await;
        assert_no_difference(server, &SIGN_INS[..1], &known).await;
    }

    /// Control test: known users whose password was hashed with cheap parameters.
    async fn cheaper_hash_is_detected(server: &TestServer) {
        let cheap = server.plan().clone().set("SIGNET_PASSWORDS__MEMORY_KIB", "64");
        let known = create_users_by(&cheap);
        let separation = sample_after_warm_up(server, &SIGN_INS[0], &known).await.separation();
        assert!(separation.is_separable() && separation.greater < 0.5, "{separation:?}");
    }
}

mod imported_hashes {
    use super::*;
    use crate::support::server::over_both_stores;
    use crate::support::signet::Plan;

    over_both_stores!(longer_step; step_hides_hashes_of_other_parameters);

    /// Longer than the slower of the two kinds of hash, as operators are told to set it.
    fn longer_step(plan: Plan) -> Plan {
        closed(plan).set("SIGNET_PASSWORDS__REFUSAL_STEP", "200ms")
    }

    /// The users of the control test `cheaper_hash_is_detected`.
    async fn step_hides_hashes_of_other_parameters(server: &TestServer) {
        let cheap = server.plan().clone().set("SIGNET_PASSWORDS__MEMORY_KIB", "64");
        let known = create_users_by(&cheap);
        assert_no_difference(server, &SIGN_INS[..1], &known).await;
    }
}

mod rate_limited_sign_in {
    use super::*;
    use crate::support::server::over_both_stores;

    over_both_stores!(limited; known_and_unknown_users_take_the_same_time);

    /// The step of `auth::timing` for exhausted limits, in milliseconds.
    const LIMITED_STEP: f64 = 100.0;

    /// Logins whose limit is exhausted, which happens quickly to an attacker. They are looked up all the same, and
    /// can be tried without end.
    async fn known_and_unknown_users_take_the_same_time(server: &TestServer) {
        let known = create_users(server);
        let mut differences = Vec::new();
        let [one, other, ..] = SIGN_INS else { panic!("there are two calls") };
        // Concurrently: most of their time is spent waiting.
        let samples =
            tokio::join!(sample_after_warm_up(server, one, &known), sample_after_warm_up(server, other, &known));
        for (call, samples) in [(one, samples.0), (other, samples.1)] {
            assert!(samples.forms.iter().all(|form| form.starts_with("429")), "{}: {:#?}", call.name, samples.forms);
            let fastest = samples.times.iter().flatten().copied().fold(f64::INFINITY, f64::min);
            println!("{}: {fastest:.2} ms at the fastest", call.name);
            differences.extend(samples.find_difference(call.name));
            // The difference to hide is small compared to the noise of a busy machine, so the step itself is checked
            // as well.
            differences.extend(
                (fastest < LIMITED_STEP).then(|| format!("{}: faster than the step: {fastest:.2} ms", call.name)),
            );
        }
        assert!(differences.is_empty(), "{differences:#?}");
    }
}

mod mail_request {
    use super::*;
    use crate::support::server::over_both_stores;

    over_both_stores!(closed; known_and_unknown_users_take_the_same_time);

    async fn known_and_unknown_users_take_the_same_time(server: &TestServer) {
        let known = create_users(server);
        // Concurrently: most of their time is spent waiting.
        let one = async |call: &'static Call| assert_no_difference(server, std::slice::from_ref(call), &known).await;
        futures_util::future::join_all(MAIL_REQUESTS.iter().map(one)).await;
        assert_no_difference(server, CODE_GUESSES, &known).await;
    }
}

fn create_users(server: &TestServer) -> Vec<TestUser> {
    server.prepare_users(GROUP_SIZE - 1, &[]);
    (0..GROUP_SIZE).map(|_| server.create_user(&[])).collect()
}

/// Users whose password was hashed with the parameters of this plan.
fn create_users_by(plan: &Plan) -> Vec<TestUser> {
    plan.create_user("earlier@example.org", PASSWORD, &[]);
    let names = (0..GROUP_SIZE).map(|number| (format!("earlier-{number}@example.org"), format!("earlier-{number}")));
    copy_user(plan, "earlier@example.org", names)
}

async fn sample_after_warm_up(server: &TestServer, call: &Call, known: &[TestUser]) -> Samples {
    let unknown = unknown_users();
    // Warm-up: first requests take longer because of connections, caches and counters.
    sample(server, call, known, &unknown, GROUP_SIZE).await;
    let mut samples = sample(server, call, known, &unknown, FIRST_PAIRS).await;
    if samples.separation().may_be_separable() {
        samples.extend(sample(server, call, known, &unknown, SAMPLE_PAIRS - FIRST_PAIRS).await);
    }
    samples
}

async fn assert_no_difference(server: &TestServer, calls: &[Call], known: &[TestUser]) {
    let mut differences = Vec::new();
    for call in calls {
        differences.extend(sample_after_warm_up(server, call, known).await.find_difference(call.name));
    }
    assert!(differences.is_empty(), "{differences:#?}");
}
