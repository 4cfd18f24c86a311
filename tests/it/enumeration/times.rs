//! The two hundred samples of each call, and the canaries: what must be seen is.

use super::calls::{ASKING, GUESSING, SIGN_INS};
use super::*;
use crate::support::server::PASSWORD;

mod of_signing_in {
    use super::*;
    use crate::support::server::over_both_stores;

    over_both_stores!(closed; are_not_told_apart, a_cheaper_hash_is_seen);

    async fn are_not_told_apart(server: &TestServer) {
        let known = people(server);
        tell_nothing(server, SIGN_INS, &known).await;
        for person in &known {
            server.sql(&format!("UPDATE users SET password_hash = NULL WHERE email = '{}'", person.email)).await;
        }
        tell_nothing(server, &SIGN_INS[..1], &known).await;
    }

    /// The canary: people whose password was hashed when that took no time.
    async fn a_cheaper_hash_is_seen(server: &TestServer) {
        let cheap = server.plan().clone().set("SIGNET_PASSWORDS__MEMORY_KIB", "64");
        let one = |number: usize| {
            let (email, username) = (format!("earlier-{number}@example.org"), format!("earlier-{number}"));
            cheap.user(&email, PASSWORD, &["--username", &username]);
            Person { id: String::new(), email, username }
        };
        let known = (0..CAST).map(one).collect::<Vec<_>>();
        let separation = watched(server, &SIGN_INS[0], &known).await.separation();
        assert!(separation.is_separable() && separation.greater < 0.5, "{separation:?}");
    }
}

mod of_being_refused {
    use super::*;
    use crate::support::server::over_both_stores;

    over_both_stores!(limited; are_not_told_apart);

    /// What `auth::evenly` waits for, in milliseconds.
    const BEAT: f64 = 5.0;

    /// Names that were tried too often, as one soon is that somebody tries for the answers: it is looked up all the same, and can be tried
    /// on and on.
    async fn are_not_told_apart(server: &TestServer) {
        let known = people(server);
        let mut told = Vec::new();
        for call in &SIGN_INS[..2] {
            let seen = watched(server, call, &known).await;
            assert!(seen.forms.iter().all(|form| form.starts_with("429")), "{}: {:#?}", call.name, seen.forms);
            let soonest = seen.times.iter().flatten().copied().fold(f64::INFINITY, f64::min);
            println!("{}: {soonest:.2} ms at the soonest", call.name);
            told.extend(seen.tells(call.name));
            // What there is to tell is small beside how busy a machine can be, and so this does not rest upon what was told alone.
            told.extend((soonest < BEAT).then(|| format!("{}: not on the beat: {soonest:.2} ms", call.name)));
        }
        assert!(told.is_empty(), "{told:#?}");
    }
}

mod of_asking {
    use super::*;
    use crate::support::server::over_both_stores;

    over_both_stores!(closed; are_not_told_apart);

    async fn are_not_told_apart(server: &TestServer) {
        let known = people(server);
        // Side by side: most of their time is spent waiting.
        let [code, magic, recovery, reset, other] = ASKING else { panic!("there are more") };
        let one = async |call: &'static Call| tell_nothing(server, std::slice::from_ref(call), &known).await;
        tokio::join!(one(code), one(magic), one(recovery), one(reset), one(other));
        tell_nothing(server, GUESSING, &known).await;
    }
}

fn people(server: &TestServer) -> Vec<Person> {
    (0..CAST).map(|_| server.person(&[])).collect()
}

async fn watched(server: &TestServer, call: &Call, known: &[Person]) -> Seen {
    let unknown = strangers();
    // The first of everything takes longer: connections, caches, the counters of each.
    watch(server, call, known, &unknown, CAST).await;
    watch(server, call, known, &unknown, SAMPLES).await
}

async fn tell_nothing(server: &TestServer, calls: &[Call], known: &[Person]) {
    let mut told = Vec::new();
    for call in calls {
        told.extend(watched(server, call, known).await.tells(call.name));
    }
    assert!(told.is_empty(), "{told:#?}");
}
