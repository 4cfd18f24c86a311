//! A Redis that is frozen, killed, full or emptied.

use std::cell::Cell;

use crate::conformance::Follow;
use signet::config;
use signet::store::ephemeral::{Claim, ClaimKey, Cursor, OnMatch, Revocation, SignOutScope, Target};

use super::*;
use crate::support::redis::Server;

/// The wait of a follower that `redis-cli` must find waiting. It waits again until then: a process takes long to start on
/// a busy machine.
const LONG_WAIT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn frozen_redis_is_unavailable_in_time_and_recovers() {
    let server = Server::start();
    let store = Redis::connect(&config::Redis { timeout: SHORT, ..server.config() }).await.unwrap();
    for number in 0..100 {
        open(&store, &session(number)).await;
    }
    server.freeze();
    let began = Instant::now();
    let answers = futures_util::future::join_all(
        (0..100).map(|number| store.rotate_refresh_token(rotate_request(number, 0), START)),
    )
    .await;
    assert!(began.elapsed() < LONGEST_CALL, "failed after {:?}", began.elapsed());
    answers.iter().for_each(|answer| assert_unavailable(answer.as_ref().unwrap_err()));

    // Later calls fail immediately. This continues until long after the calls above have been given up.
    let mut calls = Vec::new();
    while began.elapsed() < 3 * SHORT || calls.len() < 10 {
        let began_call = Instant::now();
        assert_unavailable(&store.rotate_refresh_token(rotate_request(0, 0), START).await.unwrap_err());
        calls.push(began_call.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(median(calls.clone()) < Duration::from_millis(100), "queued for {calls:?}");
    server.thaw();
    let (_, took) = until_available(async || store.session(user(0), session(0).id, START).await).await;
    println!("available {took:?} after the thaw");
    for number in 0..100 {
        assert_eq!(counter(&store, number).await, Some(0), "a command was executed after its caller had given up");
    }
    rotate(&store, 0, 0).await;
}

#[tokio::test]
async fn follower_of_a_frozen_redis_times_out() {
    let server = Server::start();
    let store = Redis::connect(&config::Redis { timeout: SHORT, ..server.config() }).await.unwrap();
    let revocation = Revocation { target: Target::Session(session(1).id), expires_at: START + HOUR };
    store.revoke(&revocation, START).await.unwrap();
    let (_, cursor) = store.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    let timeout = Duration::from_millis(300);
    assert_eq!(store.follow(&cursor, timeout).await.unwrap().0, []);

    let is_frozen = Cell::new(false);
    let following = async {
        loop {
            let answer = store.follow(&cursor, LONG_WAIT).await;
            if let (true, Err(error)) = (is_frozen.get(), answer) {
                return error;
            }
        }
    };
    let freezing = async {
        while !server.cli(&["CLIENT", "LIST"]).contains("flags=b") {
            tokio::task::yield_now().await;
        }
        server.freeze();
        is_frozen.set(true);
        Instant::now()
    };
    let (error, frozen) = tokio::join!(following, freezing);
    assert_unavailable(&error);
    assert!(frozen.elapsed() < LONGEST_CALL, "blocked for {:?}", frozen.elapsed());
    assert_unavailable(&store.follow(&cursor, timeout).await.unwrap_err());
    server.thaw();
    until_available(async || store.revoke(&revocation, START).await).await;
    assert_eq!(store.follow(&cursor, timeout).await.unwrap().0[0], revocation);
}

#[tokio::test]
async fn store_recovers_after_a_kill() {
    let mut server = Server::options().durable().start();
    let store = Redis::connect(&server.config()).await.unwrap();
    open(&store, &session(1)).await;
    rotate(&store, 1, 0).await;
    let (_, cursor) = store.follow(&Cursor::start(), Duration::from_millis(10)).await.unwrap();
    for _ in 0..3 {
        server.kill();
        let mut calls = Vec::new();
        for _ in 0..10 {
            let began_call = Instant::now();
            assert_unavailable(&store.rotate_refresh_token(rotate_request(1, 0), START).await.unwrap_err());
            calls.push(began_call.elapsed());
        }
        assert!(median(calls.clone()) < Duration::from_millis(200), "failed after {calls:?}");
        server.restart();
        let (answer, took) =
            until_available(async || store.rotate_refresh_token(rotate_request(1, 0), START).await).await;
        println!("available {took:?} after the restart");
        assert!(matches!(answer, Rotation::Replayed(session) if session.counter == 1));
        store.follow(&cursor, Duration::from_millis(10)).await.unwrap();
    }
    rotate(&store, 1, 1).await;
}

#[tokio::test]
async fn full_redis_refuses_and_breaks_nothing() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let claim = Claim {
        key: ClaimKey { subject: "subject".into(), purpose: "code", id: String::new() },
        digest: [1; 32],
        payload: vec![7],
        attempts: 5,
        expires_at: START + HOUR,
    };
    open(&store, &session(1)).await;
    store.store_claim(&claim, START).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let redeem = |digest| signet::store::ephemeral::RedeemRequest {
        key: &claim.key,
        digest,
        daily_attempts: 9,
        on_match: OnMatch::Hold,
    };
    let errors = [
        store.rotate_refresh_token(rotate_request(1, 0), START).await.map(drop).unwrap_err(),
        store.open_session(&session(2), NETWORK, START, 1, START).await.map(drop).unwrap_err(),
        store.redeem(redeem([1; 32]), START).await.map(drop).unwrap_err(),
        store.redeem(redeem([2; 32]), START).await.map(drop).unwrap_err(),
        store.store_claim(&claim, START).await.unwrap_err(),
        store.count_attempt(&claim.key.subject, 9, START).await.map(drop).unwrap_err(),
        store.revoke(&Revocation { target: Target::Keyring, expires_at: START }, START).await.unwrap_err(),
        store.check().await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_unavailable(&error);
        assert!(error.to_string().contains("OOM"), "{error}");
    }
    assert_eq!(counter(&store, 1).await, Some(0), "reads still work");

    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    rotate(&store, 1, 0).await;
    let redeemed = store.redeem(redeem([1; 32]), START).await.unwrap();
    assert_eq!(redeemed, signet::store::ephemeral::Redemption::Redeemed(vec![7]));
}

#[tokio::test]
async fn unpublished_revocation_is_published_on_retry() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    for number in 1..=3 {
        open(&store, &session(number)).await;
    }
    for counter in 0..2 {
        rotate(&store, 1, counter).await;
    }
    let one = SignOutScope::One(session(2).id);
    let end = async |which, number| store.end_sessions(user(number), which, None, START + HOUR, START).await;
    // A value of another type is where the stream should be.
    server.cli(&["SET", "signet:{fleet}:revocations", "odd"]);
    let reused = async || store.rotate_refresh_token(rotate_request(1, 0), START).await;
    for _ in 0..2 {
        let errors = [reused().await.map(drop), end(one, 2).await.map(drop), end(SignOutScope::All, 3).await.map(drop)];
        for error in errors {
            assert!(matches!(error, Err(Error::Corrupt { .. })), "{error:?}");
        }
    }
    // Meanwhile none of the sessions can be refreshed, with any of its tokens.
    for number in 1..=3 {
        assert_eq!(counter(&store, number).await, None);
    }
    assert!(store.rotate_refresh_token(rotate_request(1, 2), START).await.is_err());
    for number in 2..=3 {
        assert_eq!(store.rotate_refresh_token(rotate_request(number, 0), START).await.unwrap(), Rotation::NotFound);
    }

    server.cli(&["DEL", "signet:{fleet}:revocations"]);
    assert_eq!(store.rotate_refresh_token(rotate_request(1, 2), START).await.unwrap(), Rotation::Reused);
    assert_eq!(end(one, 2).await.unwrap().count, 1);
    assert_eq!(end(SignOutScope::All, 3).await.unwrap().count, 1);
    let (seen, _) = store.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    let targets: Vec<_> = seen.into_iter().map(|seen| seen.target).collect();
    let user = Target::User { user: user(3), before: START };
    assert_eq!(targets, [Target::Session(session(1).id), Target::Session(session(2).id), user]);
    assert_eq!(reused().await.unwrap(), Rotation::NotFound);
    assert_eq!(server.cli(&["KEYS", "*:s:*"]), "");
}

#[tokio::test]
async fn session_opens_only_after_publishing_an_eviction() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let session_of_user_1 = |number: u128| Session { user: user(1), ..session(number) };
    let opening = async |number| store.open_session(&session_of_user_1(number), NETWORK, START, 1, START + HOUR).await;
    open(&store, &session_of_user_1(1)).await;
    server.cli(&["SET", "signet:{fleet}:revocations", "odd"]);
    for number in 2..4 {
        assert!(matches!(opening(number).await, Err(Error::Corrupt { .. })));
        assert_eq!(
            store.sessions(user(1), START).await.unwrap(),
            [],
            "the old session is ended, the new one is not opened"
        );
    }
    server.cli(&["DEL", "signet:{fleet}:revocations"]);
    let ended = vec![Revocation { target: Target::Session(session(1).id), expires_at: START + HOUR }];
    assert_eq!(opening(4).await.unwrap(), Opened::Opened { ended: ended.clone(), from_new_network: false });
    assert_eq!(store.follow(&Cursor::start(), Duration::ZERO).await.unwrap().0, ended);
    assert_eq!(store.sessions(user(1), START).await.unwrap(), [session_of_user_1(4)]);
    assert_eq!(server.cli(&["KEYS", "*:s:*"]).lines().count(), 1);
}

#[tokio::test]
async fn revocation_covers_tokens_from_a_clock_ahead() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let ahead = Duration::from_secs(3);
    open(&store, &session(1)).await;
    store.rotate_refresh_token(rotate_request(1, 0), START + ahead).await.unwrap();
    // The replay returns the same successor and even later access tokens.
    let again = store.rotate_refresh_token(rotate_request(1, 0), START + ahead * 2).await.unwrap();
    assert!(matches!(again, Rotation::Replayed(_)), "{again:?}");
    store.end_sessions(user(1), SignOutScope::All, None, START + HOUR, START).await.unwrap();
    let (seen, _) = store.follow(&Cursor::start(), Duration::ZERO).await.unwrap();
    assert_eq!(seen[0].target, Target::User { user: user(1), before: START + ahead * 2 });
}

#[tokio::test]
async fn emptied_redis_restores_nothing() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    assert_eq!(store.global_not_before(START).await.unwrap(), START);
    store.swap_keyring(0, b"sealed", START).await.unwrap();
    open(&store, &session(1)).await;
    let (_, cursor) = store.follow(&Cursor::start(), Duration::ZERO).await.unwrap();

    // Also while a follower waits.
    let is_emptied = Cell::new(false);
    let following = async {
        loop {
            let waited = store.follow(&cursor, LONG_WAIT).await;
            if is_emptied.get() {
                return waited;
            }
        }
    };
    let (waited, ()) = tokio::join!(following, async {
        while !server.cli(&["CLIENT", "LIST"]).contains("flags=b") {
            tokio::task::yield_now().await;
        }
        server.cli(&["FLUSHALL"]);
        is_emptied.set(true);
    });
    let (seen, same) = waited.unwrap();
    assert_eq!((seen, &same), (vec![], &cursor));

    assert_eq!(store.rotate_refresh_token(rotate_request(1, 0), START).await.unwrap(), Rotation::NotFound);
    assert_eq!(store.sessions(user(1), START).await.unwrap(), []);
    assert!(store.keyring().await.unwrap().is_none());
    let targets = |seen: Vec<Revocation>| seen.into_iter().map(|seen| seen.target).collect::<Vec<_>>();
    let (seen, restarted) = store.follow(&cursor, Duration::from_millis(500)).await.unwrap();
    assert_eq!(targets(seen), [Target::GlobalNotBefore, Target::Keyring], "both must be read again");
    assert_eq!(restarted, Cursor::start());
    assert_eq!(store.read_stream(&restarted, Duration::ZERO).await.unwrap().epoch, "", "nothing was published yet");

    assert_eq!(store.global_not_before(START + HOUR).await.unwrap(), START + HOUR, "global_not_before has risen");
    store.revoke(&Revocation { target: Target::Session(session(1).id), expires_at: START }, START).await.unwrap();
    let fresh = [Target::GlobalNotBefore, Target::Session(session(1).id)];
    let (seen, _) = store.follow(&restarted, Duration::from_millis(500)).await.unwrap();
    assert_eq!(targets(seen), fresh);
    // A follower that missed all of this learns of it as well.
    let (seen, _) = store.follow(&cursor, Duration::from_millis(500)).await.unwrap();
    assert_eq!(targets(seen), [&[Target::GlobalNotBefore, Target::Keyring], fresh.as_slice()].concat());
}

#[tokio::test]
async fn flushed_scripts_are_loaded_again() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    open(&store, &session(1)).await;
    for counter in 0..3 {
        server.cli(&["SCRIPT", "FLUSH"]);
        rotate(&store, 1, counter).await;
    }
}
