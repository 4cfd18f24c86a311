//! A clock is set back: that of the embedded default, which has one node; or that of Redis.

use super::*;

/// Of the embedded default: everything is as it was, in a running server and in one that is started then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_clock_is_set_back() {
    let fleet = TestFleet::new(None).await;
    let running = fleet.node().await;
    fleet.clock.advance(Duration::from_secs(1));
    let user = someone(&running, "ada").await;
    let (kept, ended) = (signed_in(&running, &user).await, signed_in(&running, &user).await);
    let (code, link) = (code(&running, "code@example.org").await, link(&running, "link@example.org").await);
    assert!(code_is_good(&running, &code).await && link_is_good(&running, &link).await);
    let protected = someone(&running, "protected").await;
    let (key, _) = enable_without_confirmation(&running, &protected, 3, request_ctx(&running)).await.unwrap();
    let protected = row(&running, &protected).await;
    let shown = code_at(&key, running.now().secs());
    open_session(&running, &protected, Some(&shown), request_ctx(&running)).await.unwrap();
    sign_out(&running, user.id, SignOutScope::One(ended.session.id)).await.unwrap();
    let at = running.now();

    fleet.clock.set_back(OFF);
    let mut kept = kept;
    let restarted = fleet.node().await;
    let none: &[&Context] = &[];
    for (now, others) in [(&running, none), (&restarted, &[&running])] {
        assert_eq!(now.now(), at - OFF);
        assert_eq!(reason(now, &kept.access_token), None, "it goes on");
        let before = kept.refresh_token.clone();
        kept = refreshed(now, &kept.refresh_token).await.unwrap();
        assert_eq!(refreshed(now, &before).await.unwrap().refresh_token, kept.refresh_token, "a retry gets the same");
        assert_eq!(reason(now, &ended.access_token), Some(VerifyError::Revoked));
        assert!(refreshed(now, &ended.refresh_token).await.is_err());
        assert!(!code_is_good(now, &code).await && !link_is_good(now, &link).await);
        assert!(open_session(now, &protected, Some(&shown), request_ctx(now)).await.is_err());
        // Who comes now is in, and can be put out.
        let new = signed_in(now, &user).await;
        let new = refreshed(now, &new.refresh_token).await.unwrap();
        assert_eq!(reason(now, &new.access_token), None, "who comes now is refused");
        sign_out(now, user.id, SignOutScope::One(new.session.id)).await.unwrap();
        assert_eq!(reason(now, &new.access_token), Some(VerifyError::Revoked));
        // Also who was made after it, of whom nothing tells that the time was later once.
        let late = someone(now, &format!("late-{}", others.len())).await;
        assert_eq!(reason(now, &signed_in(now, &late).await.access_token), None);
        let (_, token) = key_and_token(now, &late).await;
        assert_eq!(reason(now, &token), None);
        let other = others.first().copied().unwrap_or(now);
        catch_up(other).await.unwrap();
        assert_eq!(reason(other, &new.access_token), Some(VerifyError::Revoked));
    }
    sign_out(&restarted, user.id, SignOutScope::All).await.unwrap();
    fleet.clock.advance(OFF);
    assert_eq!(reason(&restarted, &kept.access_token), Some(VerifyError::Revoked), "nor when the time comes again");
    assert!(open_session(&restarted, &protected, Some(&shown), request_ctx(&restarted)).await.is_err());
    held("the embedded clock is set back", "Behind", &json!({"used_twice": 0, "lost": 0, "alive": 0}));
}

const HOUR: Duration = Duration::from_secs(3600);

/// Of the embedded default: whoever has a token that was replaced does not have as long to use it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_grace_is_not_prolonged_by_the_embedded_clock() {
    let fleet = TestFleet::new(None).await;
    let node = fleet.node().await;
    let user = someone(&node, "grace").await;
    let first = signed_in(&node, &user).await;
    let next = refreshed(&node, &first.refresh_token).await.unwrap();
    // As far as clocks may differ, a retry is a retry.
    fleet.clock.set_back(OFF);
    assert_eq!(refreshed(&node, &first.refresh_token).await.unwrap().refresh_token, next.refresh_token);
    fleet.clock.set_back(HOUR);
    is_reuse(&node, &first, &next).await;
    held("the grace, and the embedded clock", "Behind", &json!({"beyond_the_grace": 0}));
}

/// Redis goes by its own clock, whatever that of a node is set to; and if it is that one, as the embedded default does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_grace_is_not_prolonged_by_the_clock_of_redis() {
    let fleet = TestFleet::new(Some((redis::Server::start(), postgres::Server::start()))).await;
    // So that what is slow is not taken for what is late.
    let node = fleet.node_with(|config| config.tokens.grace = Duration::from_secs(60)).await;
    let user = someone(&node, "grace").await;
    let first = signed_in(&node, &user).await;
    let next = refreshed(&node, &first.refresh_token).await.unwrap();
    fleet.clock.set_back(HOUR);
    assert_eq!(refreshed(&node, &first.refresh_token).await.unwrap().refresh_token, next.refresh_token, "it has not lasted a minute");
    // Nobody sets the clock of a Redis that runs. What it has stamped is as far in the future as if it had been set back.
    let record = fleet.redis().cli(&["KEYS", "*:s:*"]);
    let set_back = |span: Duration| {
        fleet.redis().cli(&["HINCRBY", &record, "s", &span.as_millis().to_string()]).parse::<u64>().unwrap();
    };
    set_back(OFF);
    assert_eq!(refreshed(&node, &first.refresh_token).await.unwrap().refresh_token, next.refresh_token);
    set_back(HOUR);
    is_reuse(&node, &first, &next).await;
    held("the grace, and the clock of Redis", "Behind", &json!({"beyond_the_grace": 0}));
}

/// That `first`, in whose place `next` was given, counts as stolen.
async fn is_reuse(node: &Context, first: &Tokens, next: &Tokens) {
    let again = refreshed(node, &first.refresh_token).await.map(|again| again.refresh_token == next.refresh_token);
    assert!(matches!(again, Err(Error::RefreshTokenReused)), "the same again: {again:?}");
    assert!(matches!(refreshed(node, &next.refresh_token).await, Err(Error::InvalidRefreshToken)));
    assert_eq!(reason(node, &next.access_token), Some(VerifyError::Revoked));
}
