//! What stands in Redis: names, slots, lifetimes, and how many round trips it took.

use signet::store::ephemeral::{Claim, Cursor, Limit, RedeemRequest, SignOutScope, Target};

use super::*;
use crate::support::redis::Server;

#[tokio::test]
async fn every_key_is_tagged_and_all_but_the_fleets_expire() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let claim = Claim {
        subject: user(1).to_string(),
        purpose: "code",
        id: String::new(),
        digest: [1; 32],
        payload: vec![],
        attempts: 5,
        expires_at: START + HOUR,
    };
    let redeem =
        RedeemRequest { subject: &claim.subject, purpose: "code", id: "", digest: [2; 32], daily_attempts: 9, consume: true };
    store.global_not_before(START).await.unwrap();
    store.swap_keyring(0, b"sealed", START).await.unwrap();
    store.end_sessions(user(1), SignOutScope::All, Some(START), START + HOUR, START).await.unwrap();
    store.open_session(&session(1), START, 100, START).await.unwrap();
    rotate(&store, 1, 0).await;
    store.store_claim(&claim, START).await.unwrap();
    store.redeem(redeem, START).await.unwrap();
    store.take_permit("sign-in", Limit { burst: 5, per: HOUR }, START).await.unwrap();
    store.check().await.unwrap();
    store.report_node("a node", &Cursor::start()).await.unwrap();

    let keys = server.cli(&["KEYS", "*"]);
    let (mut users, mut fleets, mut others) = (0, 0, 0);
    for key in keys.lines() {
        let (tag, what) = key.strip_prefix("signet:{").and_then(|rest| rest.split_once("}:")).unwrap();
        let ttl: i64 = server.cli(&["PTTL", key]).parse().unwrap();
        match tag {
            "fleet" if !["check", "nodes"].contains(&what) => {
                fleets += 1;
                assert_eq!(ttl, -1, "{key}");
            }
            _ => {
                users += usize::from(tag == user(1).to_string());
                others += usize::from(tag != user(1).to_string());
                assert!(ttl > 0 && ttl < 25 * 3_600_000, "{key} lives {ttl} ms");
            }
        }
    }
    // Session, index, mark, claim, day; ring, floor, stream and its name; the limit, the key written by the check, and the
    // reports of nodes.
    assert_eq!((users, fleets, others), (5, 4, 3), "{keys}");
}

#[tokio::test]
async fn what_is_over_leaves_the_index_and_the_store() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let of_one = |number: u128| Session { user: user(1), ..session(number) };
    for number in 1..=6 {
        open(&store, &of_one(number)).await;
    }
    let index = format!("signet:{{{}}}:i", user(1));
    let left = || {
        let sessions = server.cli(&["KEYS", "*:s:*"]).lines().filter(|line| !line.is_empty()).count();
        (server.cli(&["ZCARD", &index]).parse::<usize>().unwrap(), sessions)
    };
    assert_eq!(left(), (6, 6));
    store.end_sessions(user(1), SignOutScope::One(session(1).id), None, START, START).await.unwrap();
    assert_eq!(left(), (5, 5));
    for (counter, rotated) in [(0, true), (1, true), (0, false)] {
        let answer =
            store.rotate_refresh_token(RotateRequest { user: user(1), ..presented(2, counter) }, START).await.unwrap();
        assert_eq!(matches!(answer, Rotation::Rotated(_)), rotated);
    }
    assert_eq!(left(), (4, 4), "reuse takes it away too");
    store.end_sessions(user(1), SignOutScope::Others(session(3).id), None, START, START).await.unwrap();
    assert_eq!(left(), (1, 1));
    let later = START + HOUR;
    open(&store, &Session { opened_at: later, used_at: later, rotated_at: later, ..of_one(7) }).await;
    assert_eq!(left(), (1, 2), "the expired one has left the index, its record awaits its TTL");
    store.end_sessions(user(1), SignOutScope::All, None, START, later).await.unwrap();
    assert_eq!(left().0, 0);
}

#[tokio::test]
async fn a_rotation_moves_what_is_kept_only_when_it_must() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    open(&store, &session(1)).await;
    let key = format!("signet:{{{}}}:s:{}", user(1), session(1).id);
    let index = format!("signet:{{{}}}:i", user(1));
    let kept = || {
        let score: i64 = server.cli(&["ZSCORE", &index, &session(1).id.to_string()]).parse().unwrap();
        [&key, &index].map(|key| server.cli(&["PEXPIRETIME", key])).map(|until| until.parse::<i64>().unwrap()).map(
            |until| {
                assert!(until > 0);
                (until, score)
            },
        )
    };
    let idle = session(1).idle_timeout;
    let over = |rotated_at: Timestamp| (rotated_at + idle).min(session(1).ends_at).millis();
    let opened = kept();
    let mut before = opened;
    let mut moved = 0;
    // Twenty rotations, each a twentieth of the idle time after the other.
    for counter in 0..20 {
        let now = START + idle / 20 * (counter as u32 + 1);
        let answer = store.rotate_refresh_token(presented(1, counter), now).await.unwrap();
        assert!(matches!(answer, Rotation::Rotated(_)), "{answer:?}");
        let after = kept();
        assert!(after[0].1 >= over(now), "the index forgets nothing that is not over");
        moved += usize::from(after != before);
        before = after;
    }
    assert!((4..=10).contains(&moved), "{moved} of 20 moved it");
    assert!(before[0].0 > opened[0].0 && before[1].0 > opened[1].0);
}

#[tokio::test]
async fn a_replaced_profile_touches_no_lifetime_and_makes_no_record() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    for number in 1..=4 {
        open(&store, &Session { user: user(1), ..session(number) }).await;
    }
    let key = |number: u128| format!("signet:{{{}}}:s:{}", user(1), session(number).id);
    let index = format!("signet:{{{}}}:i", user(1));
    // One is gone although the index knows it, and two are over, their revocations not yet out.
    server.cli(&["DEL", &key(2)]);
    server.cli(&["HSET", &key(3), "x", "ended"]);
    server.cli(&["HSET", &key(4), "x", "reused"]);
    let lives = || [&key(1), &key(3), &key(4), &index].map(|key| server.cli(&["PEXPIRETIME", key]));
    let before = lives();
    assert!(before.iter().all(|until| until.parse::<i64>().unwrap() > 0), "{before:?}");
    assert_eq!(store.set_profile(user(1), "anew", START).await.unwrap(), 1);
    assert_eq!(lives(), before);
    let profiles = [1, 2, 3, 4].map(|number| server.cli(&["HGET", &key(number), "p"]));
    assert_eq!(profiles, ["anew", "", "{}", "{}"]);
    assert_eq!(server.cli(&["EXISTS", &key(2)]), "0");
}

#[tokio::test]
async fn an_operation_is_one_round_trip() {
    let server = Server::start();
    let store = Redis::connect(&server.config()).await.unwrap();
    let subject = user(1).to_string();
    let redeem = RedeemRequest { subject: &subject, purpose: "code", id: "", digest: [2; 32], daily_attempts: 9, consume: true };
    let limit = Limit { burst: 5, per: HOUR };
    let scripts = || -> u32 {
        let stats = server.cli(&["INFO", "commandstats"]);
        let calls = |name: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
            line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
        };
        calls("evalsha") + calls("eval")
    };
    // The first call of all learns the server's time, and the first of each script brings the script along.
    open(&store, &session(1)).await;
    rotate(&store, 1, 0).await;
    store.redeem(redeem, START).await.unwrap();
    store.count_attempt(&subject, 9, START).await.unwrap();
    store.take_permit("key", limit, START).await.unwrap();
    store.end_sessions(user(1), SignOutScope::One(session(1).id), None, START, START).await.unwrap();
    store.set_profile(user(1), "anew", START).await.unwrap();

    let mut before = scripts();
    let mut trips = || {
        let now = scripts();
        std::mem::replace(&mut before, now).abs_diff(now)
    };
    open(&store, &session(2)).await;
    assert_eq!(trips(), 1);
    rotate(&store, 2, 0).await;
    assert_eq!(trips(), 1);
    store.redeem(redeem, START).await.unwrap();
    assert_eq!(trips(), 1);
    store.count_attempt(&subject, 9, START).await.unwrap();
    assert_eq!(trips(), 1);
    store.take_permit("key", limit, START).await.unwrap();
    assert_eq!(trips(), 1);
    store.set_profile(user(2), "anew", START).await.unwrap();
    assert_eq!(trips(), 1);
    store.end_sessions(user(2), SignOutScope::One(session(2).id), None, START, START).await.unwrap();
    assert_eq!(trips(), 3, "ended, published, buried");
    open(&store, &session(3)).await;
    assert_eq!(trips(), 1);
    let next = Session { user: user(3), ..session(4) };
    store.open_session(&next, START, 1, START).await.unwrap();
    assert_eq!(trips(), 3, "opened and another ended, published, buried");
}

#[tokio::test]
async fn a_follower_does_not_wait_behind_what_was_lost() {
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
    // A failover to a replica that was behind, as the stream sees it.
    server.cli(&["COPY", "signet:{fleet}:revocations", "behind"]);
    store.revoke(&revoked(3), START + HOUR).await.unwrap();
    let (_, place) = store.follow(&start, Duration::ZERO).await.unwrap();
    assert_eq!(server.cli(&["COPY", "behind", "signet:{fleet}:revocations", "REPLACE"]), "1");
    store.revoke(&revoked(4), START).await.unwrap();
    let (seen, place) = store.follow(&place, Duration::from_secs(5)).await.unwrap();
    let again = [1, 2, 4].map(|number| revoked(number).target);
    assert_eq!(targets(seen), [&[Target::GlobalNotBefore, Target::Keyring], again.as_slice()].concat());
    assert_eq!(store.follow(&place, Duration::ZERO).await.unwrap().0, []);

    // New ids can also have passed the place before anybody looks.
    server.cli(&["COPY", "behind", "signet:{fleet}:revocations", "REPLACE"]);
    store.revoke(&revoked(5), START + HOUR).await.unwrap();
    let (seen, _) = store.follow(&place, Duration::from_secs(5)).await.unwrap();
    let again = [1, 2, 5].map(|number| revoked(number).target);
    assert_eq!(targets(seen), [&[Target::GlobalNotBefore, Target::Keyring], again.as_slice()].concat());
}
