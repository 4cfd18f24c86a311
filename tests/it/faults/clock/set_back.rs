//! One node of the embedded default, whose clock is set back.

use super::*;

/// Of the embedded default: everything is as it was, in a running server and in one that is started then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_clock_is_set_back() {
    let ground = Ground::over(None).await;
    let running = ground.node().await;
    ground.clock.advance(Duration::from_secs(1));
    let user = someone(&running, "ada").await;
    let (kept, ended) = (signed_in(&running, &user).await, signed_in(&running, &user).await);
    let (code, link) = (code(&running, "code@example.org").await, link(&running, "link@example.org").await);
    assert!(code_is_good(&running, &code).await && link_is_good(&running, &link).await);
    let protected = someone(&running, "protected").await;
    let (key, _) = turn_on_at_once(&running, &protected, 3, door(&running)).await.unwrap();
    let protected = row(&running, &protected).await;
    let shown = code_at(&key, running.now().secs());
    open_session(&running, &protected, Some(&shown), door(&running)).await.unwrap();
    sign_out(&running, user.id, Which::One(ended.session.id)).await.unwrap();
    let at = running.now();

    ground.clock.set_back(OFF);
    let mut kept = kept;
    let restarted = ground.node().await;
    let none: &[&App] = &[];
    for (now, others) in [(&running, none), (&restarted, &[&running])] {
        assert_eq!(now.now(), at - OFF);
        assert_eq!(reason(now, &kept.access), None, "it goes on");
        let before = kept.refresh.clone();
        kept = refreshed(now, &kept.refresh).await.unwrap();
        assert_eq!(refreshed(now, &before).await.unwrap().refresh, kept.refresh, "a retry gets the same");
        assert_eq!(reason(now, &ended.access), Some(Reason::Revoked));
        assert!(refreshed(now, &ended.refresh).await.is_err());
        assert!(!code_is_good(now, &code).await && !link_is_good(now, &link).await);
        assert!(open_session(now, &protected, Some(&shown), door(now)).await.is_err());
        // Who comes now is in, and can be put out.
        let new = signed_in(now, &user).await;
        let new = refreshed(now, &new.refresh).await.unwrap();
        assert_eq!(reason(now, &new.access), None, "who comes now is refused");
        sign_out(now, user.id, Which::One(new.session.id)).await.unwrap();
        assert_eq!(reason(now, &new.access), Some(Reason::Revoked));
        // Also who was made after it, of whom nothing tells that the time was later once.
        let late = someone(now, &format!("late-{}", others.len())).await;
        assert_eq!(reason(now, &signed_in(now, &late).await.access), None);
        let (_, token) = key_and_token(now, &late).await;
        assert_eq!(reason(now, &token), None);
        let other = others.first().copied().unwrap_or(now);
        catch_up(other).await.unwrap();
        assert_eq!(reason(other, &new.access), Some(Reason::Revoked));
    }
    sign_out(&restarted, user.id, Which::All).await.unwrap();
    ground.clock.advance(OFF);
    assert_eq!(reason(&restarted, &kept.access), Some(Reason::Revoked), "nor when the time comes again");
    assert!(open_session(&restarted, &protected, Some(&shown), door(&restarted)).await.is_err());
    held("the embedded clock is set back", "Behind", &json!({"used_twice": 0, "lost": 0, "alive": 0}));
}
