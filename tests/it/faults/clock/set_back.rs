//! A clock is set back: that of the only node of the embedded default, or that of Redis.

use super::*;

/// Embedded default: a running server and a newly started one work as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setting_the_embedded_clock_back_changes_nothing() {
    let fleet = TestFleet::new(None).await;
    let running = fleet.node().await;
    fleet.clock.advance(Duration::from_secs(1));
    let user = create_test_user(&running, "ada").await;
    let (open, ended) = (sign_in(&running, &user).await, sign_in(&running, &user).await);
    let code = mail_code(&running, "code@example.org").await;
    let link = mail_link(&running, "link@example.org").await;
    assert!(redeem_code(&running, &code).await && redeem_link(&running, &link).await);
    let mfa_user = create_test_user(&running, "protected").await;
    let (key, _) = enable_without_confirmation(&running, &mfa_user, 3, request_ctx(&running)).await.unwrap();
    let mfa_user = stored_user(&running, &mfa_user).await;
    let used_step = code_at(&key, running.now().secs());
    open_session(&running, &mfa_user, Some(&used_step), request_ctx(&running)).await.unwrap();
    sign_out(&running, user.id, SignOutScope::One(ended.session.id), Origin::process()).await.unwrap();
    let before = running.now();

    fleet.clock.set_back(SKEW);
    let mut open = open;
    let restarted = fleet.node().await;
    let none: &[&Context] = &[];
    for (node, other_nodes) in [(&running, none), (&restarted, &[&running])] {
        assert_eq!(node.now(), before - SKEW);
        assert_eq!(rejection(node, &open.access_token), None, "the session continues");
        let previous = open.refresh_token.clone();
        open = rotate(node, &open.refresh_token).await.unwrap();
        assert_eq!(
            rotate(node, &previous).await.unwrap().refresh_token,
            open.refresh_token,
            "a retry gets the same successor"
        );
        assert_eq!(rejection(node, &ended.access_token), Some(VerifyError::Revoked));
        assert!(rotate(node, &ended.refresh_token).await.is_err());
        assert!(!redeem_code(node, &code).await && !redeem_link(node, &link).await);
        assert!(open_session(node, &mfa_user, Some(&used_step), request_ctx(node)).await.is_err());
        // New sign-ins work and can be ended.
        let new = sign_in(node, &user).await;
        let new = rotate(node, &new.refresh_token).await.unwrap();
        assert_eq!(rejection(node, &new.access_token), None, "a new sign-in is refused");
        sign_out(node, user.id, SignOutScope::One(new.session.id), Origin::process()).await.unwrap();
        assert_eq!(rejection(node, &new.access_token), Some(VerifyError::Revoked));
        // Also for a new user, whose row does not show that the time was later before.
        let late_user = create_test_user(node, &format!("late-{}", other_nodes.len())).await;
        assert_eq!(rejection(node, &sign_in(node, &late_user).await.access_token), None);
        let (_, token) = create_key_and_token(node, &late_user).await;
        assert_eq!(rejection(node, &token), None);
        let other = other_nodes.first().copied().unwrap_or(node);
        catch_up(other).await.unwrap();
        assert_eq!(rejection(other, &new.access_token), Some(VerifyError::Revoked));
    }
    sign_out(&restarted, user.id, SignOutScope::All, Origin::process()).await.unwrap();
    fleet.clock.advance(SKEW);
    assert_eq!(
        rejection(&restarted, &open.access_token),
        Some(VerifyError::Revoked),
        "the session is ended when the same time comes again"
    );
    assert!(open_session(&restarted, &mfa_user, Some(&used_step), request_ctx(&restarted)).await.is_err());
    print_result("the embedded clock is set back", "Behind", &json!({"used_twice": 0, "lost": 0, "still_valid": 0}));
}

const HOUR: Duration = Duration::from_secs(3600);

/// Embedded default: setting the clock back does not extend the grace period of a rotated token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setting_the_embedded_clock_back_extends_no_grace() {
    let fleet = TestFleet::new(None).await;
    let node = fleet.node().await;
    let user = create_test_user(&node, "grace").await;
    let first = sign_in(&node, &user).await;
    let next = rotate(&node, &first.refresh_token).await.unwrap();
    // Within the tolerated clock difference, a retry is accepted.
    fleet.clock.set_back(SKEW);
    assert_eq!(rotate(&node, &first.refresh_token).await.unwrap().refresh_token, next.refresh_token);
    fleet.clock.set_back(HOUR);
    assert_reuse(&node, &first, &next).await;
    print_result("the grace, and the embedded clock", "Behind", &json!({"beyond_the_grace": 0}));
}

/// Redis uses its own clock, whatever the clock of a node; if the clock of Redis is set back, the grace period is not
/// extended either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setting_the_clock_of_redis_back_extends_no_grace() {
    let fleet = TestFleet::new(Some((redis::Server::start(), postgres::Database::create()))).await;
    // Long enough that a slow test does not exceed it.
    let node = fleet.node_with(|config| config.tokens.grace = Duration::from_secs(60)).await;
    let user = create_test_user(&node, "grace").await;
    let first = sign_in(&node, &user).await;
    let next = rotate(&node, &first.refresh_token).await.unwrap();
    fleet.clock.set_back(HOUR);
    assert_eq!(
        rotate(&node, &first.refresh_token).await.unwrap().refresh_token,
        next.refresh_token,
        "the grace period of a minute is not over"
    );
    // The clock of a running Redis cannot be set. Instead, its time stamp is moved into the future, as if it had been
    // set back.
    let session = fleet.redis().cli(&["KEYS", "*:s:*"]);
    let move_into_future = |span: Duration| {
        fleet.redis().cli(&["HINCRBY", &session, "s", &span.as_millis().to_string()]).parse::<u64>().unwrap();
    };
    move_into_future(SKEW);
    assert_eq!(rotate(&node, &first.refresh_token).await.unwrap().refresh_token, next.refresh_token);
    move_into_future(HOUR);
    assert_reuse(&node, &first, &next).await;
    print_result("the grace, and the clock of Redis", "Behind", &json!({"beyond_the_grace": 0}));
}

/// Asserts that the token `first`, which was rotated to `next`, counts as reused.
async fn assert_reuse(node: &Context, first: &TokenPair, next: &TokenPair) {
    let retry = rotate(node, &first.refresh_token).await.map(|retry| retry.refresh_token == next.refresh_token);
    assert!(matches!(retry, Err(Error::RefreshTokenReused)), "the rotated token is accepted: {retry:?}");
    assert!(matches!(rotate(node, &next.refresh_token).await, Err(Error::InvalidRefreshToken)));
    assert_eq!(rejection(node, &next.access_token), Some(VerifyError::Revoked));
}
