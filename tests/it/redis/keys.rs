//! The keys in Redis: names, slots, lifetimes, and the number of round trips per operation.

use crate::conformance::Follow;
use signet::store::ephemeral::{
    Claim, ClaimKey, Cursor, EventBounds, EventClass, EventScope, FollowerReport, IdempotentRequest, KNOWN_NETWORK_TTL,
    Limit, NetworkPermit, NewEvent, OnMatch, RedeemRequest, RequesterPermit, SessionClaims, SignOutScope, Target,
};

use super::*;
use crate::support::redis::Server;

#[tokio::test]
async fn keys_have_hash_tags_and_all_but_the_fleets_expire() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let key = ClaimKey { subject: user(1).to_string(), purpose: "code", id: String::new() };
    let claim = Claim { key: key.clone(), digest: [1; 32], payload: vec![], attempts: 5, expires_at: START + HOUR };
    let redeem = RedeemRequest { key: &key, digest: [2; 32], daily_attempts: 9, on_match: OnMatch::Hold };
    store.global_not_before(START).await.unwrap();
    store.swap_keyring(0, b"sealed", START).await.unwrap();
    store.end_sessions(user(1), SignOutScope::All, Some(START), START + HOUR, START).await.unwrap();
    store.open_session(&session(1), NETWORK, START, 100, START).await.unwrap();
    rotate(&store, 1, 0).await;
    store.store_claim(&claim, START).await.unwrap();
    store.redeem(redeem, START).await.unwrap();
    store.take_permit("sign-in", Limit { burst: 5, per: HOUR }, START).await.unwrap();
    let limit = Limit { burst: 5, per: HOUR };
    let by_requester = RequesterPermit { key: "mail", requester: NETWORK, by_requester: limit, total: limit };
    store.take_requester_permit(by_requester, START).await.unwrap();
    let of_network = NetworkPermit { user: user(1), network: NETWORK, name: "sign-in", limit };
    assert!(store.take_network_permit(of_network, START).await.unwrap());
    store.check().await.unwrap();
    store.report_node("a node", &Cursor::start()).await.unwrap();
    let report = FollowerReport {
        name: "a follower".to_owned(),
        epoch: "e".to_owned(),
        position: "1-0".to_owned(),
        jwks: "j".to_owned(),
        complete_at: START,
        reported_at: START,
    };
    assert!(store.report_follower(&report).await.unwrap());
    store.describe_node("n", "{}").await.unwrap();
    let request = IdempotentRequest { key: "a key", fingerprint: [3; 32] };
    store.reserve_idempotency_key(request, START + HOUR, START).await.unwrap();
    for scope in [EventScope::Fleet, EventScope::User(user(1))] {
        let event = |class| NewEvent { class, text: "{}" };
        let events = [event(EventClass::Action), event(EventClass::Attempt), event(EventClass::Privileged)];
        store.append_events(scope, &events, EventBounds { count: 9, keep: HOUR }, START).await.unwrap();
    }

    let keys = server.cli(&["KEYS", "*"]);
    let (mut user_keys, mut fleet_keys, mut other_keys) = (0, 0, 0);
    for key in keys.lines() {
        let (tag, what) = key.strip_prefix("signet:{").and_then(|rest| rest.split_once("}:")).unwrap();
        let ttl: i64 = server.cli(&["PTTL", key]).parse().unwrap();
        // These live for seconds: they may have expired before or since.
        if ["check", "nodes"].contains(&what) {
            assert_ne!(ttl, -1, "{key}");
            continue;
        }
        match tag {
            "fleet" if !["node_states", "followers", "events", "attempts", "privileged"].contains(&what) => {
                fleet_keys += 1;
                assert_eq!(ttl, -1, "{key}");
            }
            _ => {
                user_keys += usize::from(tag == user(1).to_string());
                other_keys += usize::from(tag != user(1).to_string());
                let longest = if what == "n" { KNOWN_NETWORK_TTL } else { HOUR * 25 };
                assert!(ttl > 0 && ttl <= longest.as_millis() as i64, "{key} expires in {ttl} ms");
            }
        }
    }
    // User keys: session, index, revocation mark, claim, daily counter, networks and the limit of one, and two classes
    // of events. Fleet keys: keyring, global_not_before, stream and its epoch. Others: the rate limit, those of the
    // requester and of all requesters, the reports of the followers, what nodes say of themselves, three classes of
    // events, and the idempotency key.
    assert_eq!((user_keys, fleet_keys, other_keys), (9, 4, 9), "{keys}");
}

/// Such nodes read only the stream of actions and that of attempts, and give the next event an id after theirs.
#[tokio::test]
async fn nodes_of_earlier_versions_see_privileged_events() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let events = [NewEvent { class: EventClass::Privileged, text: "{}" }];
    store.append_events(EventScope::Fleet, &events, EventBounds { count: 9, keep: HOUR }, START).await.unwrap();
    let entries = |name: &str| server.cli(&["XRANGE", &format!("signet:{{fleet}}:{name}"), "-", "+"]);
    assert!(entries("events").contains("{}"), "{}", entries("events"));
    assert_eq!(entries("events"), entries("privileged"));
}

#[tokio::test]
async fn ended_sessions_leave_the_index_and_the_store() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let session_of_user_1 = |number: u128| Session { user: user(1), ..session(number) };
    for number in 1..=6 {
        open(&store, &session_of_user_1(number)).await;
    }
    let index = format!("signet:{{{}}}:i", user(1));
    let remaining = || {
        let sessions = server.cli(&["KEYS", "*:s:*"]).lines().filter(|line| !line.is_empty()).count();
        (server.cli(&["ZCARD", &index]).parse::<usize>().unwrap(), sessions)
    };
    assert_eq!(remaining(), (6, 6));
    store.end_sessions(user(1), SignOutScope::One(session(1).id), None, START, START).await.unwrap();
    assert_eq!(remaining(), (5, 5));
    for (counter, rotated) in [(0, true), (1, true), (0, false)] {
        let answer = store
            .rotate_refresh_token(RotateRequest { user: user(1), ..rotate_request(2, counter) }, START)
            .await
            .unwrap();
        assert_eq!(matches!(answer, Rotation::Rotated(_)), rotated);
    }
    assert_eq!(remaining(), (4, 4), "reuse deletes the session as well");
    store.end_sessions(user(1), SignOutScope::Others(session(3).id), None, START, START).await.unwrap();
    assert_eq!(remaining(), (1, 1));
    let later = START + HOUR;
    open(&store, &Session { opened_at: later, used_at: later, rotated_at: later, ..session_of_user_1(7) }).await;
    assert_eq!(remaining(), (1, 2), "the expired session has left the index, its record expires by TTL");
    store.end_sessions(user(1), SignOutScope::All, None, START, later).await.unwrap();
    assert_eq!(remaining().0, 0);
}

#[tokio::test]
async fn rotation_extends_lifetimes_only_when_necessary() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    open(&store, &session(1)).await;
    let key = format!("signet:{{{}}}:s:{}", user(1), session(1).id);
    let index = format!("signet:{{{}}}:i", user(1));
    let expiry_and_score = || {
        let score: i64 = server.cli(&["ZSCORE", &index, &session(1).id.to_string()]).parse().unwrap();
        [&key, &index].map(|key| server.cli(&["PEXPIRETIME", key])).map(|until| until.parse::<i64>().unwrap()).map(
            |until| {
                assert!(until > 0);
                (until, score)
            },
        )
    };
    let idle = session(1).idle_timeout;
    let expected_end = |rotated_at: Timestamp| (rotated_at + idle).min(session(1).ends_at).millis();
    let opened = expiry_and_score();
    let mut before = opened;
    let mut extended = 0;
    // Twenty rotations, a twentieth of the idle time-out apart.
    for counter in 0..20 {
        let now = START + idle / 20 * (counter as u32 + 1);
        let answer = store.rotate_refresh_token(rotate_request(1, counter), now).await.unwrap();
        assert!(matches!(answer, Rotation::Rotated(_)), "{answer:?}");
        let after = expiry_and_score();
        assert!(after[0].1 >= expected_end(now), "the index keeps the session until it ends");
        extended += usize::from(after != before);
        before = after;
    }
    assert!((4..=10).contains(&extended), "{extended} of 20 rotations extended it");
    assert!(before[0].0 > opened[0].0 && before[1].0 > opened[1].0);
}

#[tokio::test]
async fn set_profile_keeps_lifetimes_and_creates_no_record() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    for number in 1..=4 {
        open(&store, &Session { user: user(1), ..session(number) }).await;
    }
    let key = |number: u128| format!("signet:{{{}}}:s:{}", user(1), session(number).id);
    let index = format!("signet:{{{}}}:i", user(1));
    // One session is deleted although the index lists it, and two are ended but their revocations are not yet
    // published.
    server.cli(&["DEL", &key(2)]);
    server.cli(&["HSET", &key(3), "x", "ended"]);
    server.cli(&["HSET", &key(4), "x", "reused"]);
    let expiries = || [&key(1), &key(3), &key(4), &index].map(|key| server.cli(&["PEXPIRETIME", key]));
    let before = expiries();
    assert!(before.iter().all(|until| until.parse::<i64>().unwrap() > 0), "{before:?}");
    assert_eq!(store.set_claims(user(1), &new_claims(), START).await.unwrap(), 1);
    assert_eq!(expiries(), before);
    let claims = [1, 2, 3, 4].map(|number| server.cli(&["HGET", &key(number), "p"]));
    assert_eq!(claims, ["new", "", "{}", "{}"]);
    assert_eq!(server.cli(&["HEXISTS", &key(1), "m"]), "0", "no custom claims take no space");
    let custom = SessionClaims { custom_claims: r#"{"plan":"pro"}"#.to_owned(), ..new_claims() };
    assert_eq!(store.set_claims(user(1), &custom, START).await.unwrap(), 1);
    assert_eq!(server.cli(&["HGET", &key(1), "m"]), custom.custom_claims);
    assert_eq!((expiries(), server.cli(&["EXISTS", &key(2)])), (before, "0".to_owned()));
    store.set_claims(user(1), &new_claims(), START).await.unwrap();
    assert_eq!(server.cli(&["HEXISTS", &key(1), "m"]), "0");
    assert_eq!(server.cli(&["EXISTS", &key(2)]), "0");
}

fn new_claims() -> SessionClaims {
    SessionClaims { claims: "new".to_owned(), custom_claims: String::new() }
}

#[tokio::test]
async fn operations_take_one_round_trip() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let subject = user(1).to_string();
    let key = ClaimKey { subject: subject.clone(), purpose: "code", id: String::new() };
    let redeem = RedeemRequest { key: &key, digest: [2; 32], daily_attempts: 9, on_match: OnMatch::Hold };
    let limit = Limit { burst: 5, per: HOUR };
    let scripts = || -> u32 {
        let stats = server.cli(&["INFO", "commandstats"]);
        let calls = |name: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
            line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
        };
        calls("evalsha") + calls("eval")
    };
    // The very first call reads the server's time, and the first call of each script loads the script.
    open(&store, &session(1)).await;
    rotate(&store, 1, 0).await;
    store.redeem(redeem, START).await.unwrap();
    store.count_attempt(&subject, 9, START).await.unwrap();
    store.take_permit("key", limit, START).await.unwrap();
    let by_requester = RequesterPermit { key: "mail", requester: NETWORK, by_requester: limit, total: limit };
    store.take_requester_permit(by_requester, START).await.unwrap();
    let of_network = NetworkPermit { user: user(1), network: NETWORK, name: "sign-in", limit };
    store.take_network_permit(of_network, START).await.unwrap();
    store.remember_network(user(1), NETWORK, START).await.unwrap();
    store.end_sessions(user(1), SignOutScope::One(session(1).id), None, START, START).await.unwrap();
    store.set_claims(user(1), &new_claims(), START).await.unwrap();

    let mut before = scripts();
    let mut round_trips = || {
        let now = scripts();
        std::mem::replace(&mut before, now).abs_diff(now)
    };
    open(&store, &session(2)).await;
    assert_eq!(round_trips(), 1);
    rotate(&store, 2, 0).await;
    assert_eq!(round_trips(), 1);
    store.redeem(redeem, START).await.unwrap();
    assert_eq!(round_trips(), 1);
    store.count_attempt(&subject, 9, START).await.unwrap();
    assert_eq!(round_trips(), 1);
    store.take_permit("key", limit, START).await.unwrap();
    assert_eq!(round_trips(), 1);
    store.take_requester_permit(by_requester, START).await.unwrap();
    assert_eq!(round_trips(), 1);
    store.take_network_permit(of_network, START).await.unwrap();
    assert_eq!(round_trips(), 1);
    store.remember_network(user(1), NETWORK, START).await.unwrap();
    assert_eq!(round_trips(), 1);
    store.set_claims(user(2), &new_claims(), START).await.unwrap();
    assert_eq!(round_trips(), 1);
    store.end_sessions(user(2), SignOutScope::One(session(2).id), None, START, START).await.unwrap();
    assert_eq!(round_trips(), 3, "end, publish, delete");
    open(&store, &session(3)).await;
    assert_eq!(round_trips(), 1);
    let next = Session { user: user(3), ..session(4) };
    store.open_session(&next, NETWORK, START, 1, START).await.unwrap();
    assert_eq!(round_trips(), 3, "open one and end another, publish, delete");
}

#[tokio::test]
async fn follower_notices_a_stream_that_lost_entries() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let revoked = |number: u128| signet::store::ephemeral::Revocation {
        target: Target::Session(session(number).id),
        expires_at: START + HOUR,
    };
    let targets =
        |seen: Vec<signet::store::ephemeral::Revocation>| seen.into_iter().map(|seen| seen.target).collect::<Vec<_>>();
    let start = signet::store::ephemeral::Cursor::start();
    for number in 1..=2 {
        store.revoke(&revoked(number), START).await.unwrap();
    }
    // A failover to a replica that lags behind, from the stream's point of view.
    server.cli(&["COPY", "signet:{fleet}:revocations", "behind"]);
    store.revoke(&revoked(3), START + HOUR).await.unwrap();
    let (_, cursor) = store.follow(&start, Duration::ZERO).await.unwrap();
    assert_eq!(server.cli(&["COPY", "behind", "signet:{fleet}:revocations", "REPLACE"]), "1");
    store.revoke(&revoked(4), START).await.unwrap();
    let (seen, cursor) = store.follow(&cursor, Duration::from_secs(5)).await.unwrap();
    let again = [1, 2, 4].map(|number| revoked(number).target);
    assert_eq!(targets(seen), [&[Target::GlobalNotBefore, Target::Keyring], again.as_slice()].concat());
    assert_eq!(store.follow(&cursor, Duration::ZERO).await.unwrap().0, []);

    // New ids may also have passed the cursor before the follower reads.
    server.cli(&["COPY", "behind", "signet:{fleet}:revocations", "REPLACE"]);
    store.revoke(&revoked(5), START + HOUR).await.unwrap();
    let (seen, _) = store.follow(&cursor, Duration::from_secs(5)).await.unwrap();
    let again = [1, 2, 5].map(|number| revoked(number).target);
    assert_eq!(targets(seen), [&[Target::GlobalNotBefore, Target::Keyring], again.as_slice()].concat());
}

#[tokio::test]
async fn session_of_an_older_build_authenticated_when_it_was_opened() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let opened = Session { auth_time: START - HOUR, ..session(1) };
    open(&store, &opened).await;
    let key = format!("signet:{{{}}}:s:{}", opened.user, opened.id);
    assert_eq!(server.cli(&["HDEL", &key, "t"]), "1");
    let expected = Session { auth_time: opened.opened_at, ..opened };
    assert_eq!(store.session(expected.user, expected.id, START).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.sessions(expected.user, START).await.unwrap(), std::slice::from_ref(&expected));
    let rotated = store.rotate_refresh_token(rotate_request(1, 0), START).await.unwrap();
    let Rotation::Rotated(snapshot) = rotated else { panic!("{rotated:?}") };
    assert_eq!(snapshot.auth_time, START);
}
