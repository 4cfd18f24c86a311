//! Two nodes, one with a skewed clock: whichever node acts, both must apply it.

use signet::auth::retention::max_access_lifetime;
use signet::store::ephemeral::ClaimKey;

use super::*;

/// Makes two tests of each case: with the skewed clock ahead and behind.
macro_rules! ahead_and_behind {
    ($($case:ident $(with $change:expr)?;)+) => {
        mod ahead {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(TwoNodes::new(Direction::Ahead, ahead_and_behind!(@ $($change)?)).await).await;
            })+
        }

        mod behind {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(TwoNodes::new(Direction::Behind, ahead_and_behind!(@ $($change)?)).await).await;
            })+
        }
    };
    (@) => { |_: &mut Config| {} };
    (@ $change:expr) => { $change };
}

ahead_and_behind! {
    tokens_are_accepted_within_the_leeway;
    no_time_step_works_twice;
    no_mailed_secret_works_twice;
    no_mailed_secret_outlives_its_lifetime with |config| config.mailed.code = Duration::from_secs(1);
    sessions_end_on_both_nodes;
    tokens_of_api_keys_are_revoked_on_both_nodes;
    everyone_is_signed_out_on_both_nodes;
    revocations_outlast_the_tokens_they_revoke with |config| config.api.native.access = max_access_lifetime(config);
    session_expires_by_the_clock_of_each_node;
    grace_is_not_extended with |config| config.tokens.grace = Duration::from_secs(1);
}

async fn tokens_are_accepted_within_the_leeway(nodes: TwoNodes) {
    let user = create_test_user(&nodes.on_time, "leeway").await;
    let leeway = nodes.on_time.node.config.tokens.leeway;
    for (issuing_node, verifying_node) in nodes.both_orders() {
        let issued = sign_in(issuing_node, &user).await;
        let verified = verify_access_token(verifying_node, &issued.access_token).unwrap();
        // By the clock of the verifying node alone, to the millisecond.
        let left = (verified.expires_at + leeway).since(verifying_node.now());
        let (verifier_clock, before) = (&verifying_node.node.clock, verifying_node.now());
        verifier_clock.advance(left - MILLISECOND);
        assert_eq!(rejection(verifying_node, &issued.access_token), None);
        verifier_clock.advance(MILLISECOND);
        assert_eq!(rejection(verifying_node, &issued.access_token), Some(VerifyError::Token(TokenError::Expired)));
        verifier_clock.set_back(verifying_node.now().since(before));
    }
    print_result(
        "tokens of a node with a skewed clock",
        &nodes.direction_name(),
        &json!({"leeway_ms": leeway.as_millis() as u64}),
    );
}

async fn no_time_step_works_twice(nodes: TwoNodes) {
    let mut used = 0;
    for (number, (first, second)) in nodes.both_orders().into_iter().enumerate() {
        let user = create_test_user(first, &format!("step-{number}")).await;
        let (key, _) = enable_without_confirmation(first, &user, 3, request_ctx(first)).await.unwrap();
        let user = stored_user(first, &user).await;
        let sign_in_with_step = async |ctx: &Context, at: Timestamp| match open_session(
            ctx,
            &user,
            Some(&code_at(&key, at.secs())),
            request_ctx(ctx),
        )
        .await
        {
            Ok(_) => true,
            Err(Error::InvalidMfaCode) => false,
            Err(other) => panic!("{other:?}"),
        };
        let at = first.now();
        assert!(sign_in_with_step(first, at).await);
        assert!(!sign_in_with_step(first, at).await, "a used time step is accepted by the same node");
        assert!(!sign_in_with_step(second, at).await, "a used time step is accepted by the other node");
        // Set the clock of the other node to the same time step.
        let (clock, skewed_time) = (&second.node.clock, second.now());
        if skewed_time < at {
            clock.advance(at.since(skewed_time))
        } else {
            clock.set_back(skewed_time.since(at))
        }
        assert!(!sign_in_with_step(second, at).await, "a used time step is accepted after the clock was corrected");
        // Set the clock back, and let the same moment come again.
        first.node.clock.set_back(SKEW);
        assert!(!sign_in_with_step(first, at).await);
        first.node.clock.advance(SKEW);
        assert!(!sign_in_with_step(first, at).await, "a used time step is accepted when the same moment comes again");
        let next = at + Duration::from_secs(30);
        assert!(sign_in_with_step(second, next).await, "the next time step is refused");
        assert!(!sign_in_with_step(first, next).await);
        used += 2;
        if skewed_time < at { clock.set_back(at.since(skewed_time)) } else { clock.advance(skewed_time.since(at)) }
    }
    print_result("time steps of the second factor", &nodes.direction_name(), &json!({"used": used, "used_twice": 0}));
}

async fn no_mailed_secret_works_twice(nodes: TwoNodes) {
    for (number, (first, second)) in nodes.both_orders().into_iter().enumerate() {
        let code = mail_code(first, &format!("code-{number}@example.org")).await;
        let link = mail_link(first, &format!("link-{number}@example.org")).await;
        // Mailed by one node, redeemed at the other, whatever its clock.
        assert!(redeem_code(second, &code).await && redeem_link(second, &link).await);
        for ctx in [first, second] {
            assert!(!redeem_code(ctx, &code).await && !redeem_link(ctx, &link).await);
            ctx.node.clock.set_back(SKEW);
            assert!(!redeem_code(ctx, &code).await && !redeem_link(ctx, &link).await);
            ctx.node.clock.advance(SKEW);
        }
    }
    print_result("mailed codes and links", &nodes.direction_name(), &json!({"used": 4, "used_twice": 0}));
}

/// The clocks of the nodes do not move: Redis expires its keys by its own clock.
async fn no_mailed_secret_outlives_its_lifetime(nodes: TwoNodes) {
    let requested_at = Instant::now();
    let code = mail_code(&nodes.on_time, "expired@example.org").await;
    let lifetime = nodes.on_time.node.config.mailed.code;
    let subject = signet::auth::one_time::subject(&code.0);
    let key = ClaimKey { subject, purpose: "sign-in-code", id: String::new() };
    let expired = async || {
        let now = nodes.on_time.now();
        let claim = nodes.skewed.ephemeral.peek_claim(&key, now).await.unwrap();
        claim.is_none()
    };
    until("the code has expired", expired).await;
    assert!(requested_at.elapsed() >= lifetime, "the code expired too early");
    for ctx in [&nodes.on_time, &nodes.skewed] {
        assert!(!redeem_code(ctx, &code).await);
        ctx.node.clock.set_back(SKEW);
        assert!(!redeem_code(ctx, &code).await);
    }
    print_result("an expired code", &nodes.direction_name(), &json!({"accepted": 0}));
}

async fn sessions_end_on_both_nodes(nodes: TwoNodes) {
    let mut ended = 0;
    for (number, (opening_node, ending_node)) in nodes.both_orders().into_iter().enumerate() {
        for kind in ["own", "admin", "disabled"] {
            let user = create_test_user(opening_node, &format!("{kind}-{number}")).await;
            let old = sign_in(opening_node, &user).await;
            // The session was opened a millisecond ago, or by the clock of the ending node 90 s ago or in the future.
            nodes.advance(MILLISECOND);
            match kind {
                "own" => {
                    assert_eq!(sign_out(ending_node, user.id, SignOutScope::All, Origin::process()).await.unwrap(), 1)
                }
                "admin" => {
                    assert_eq!(sign_out_user_as_admin(ending_node, user.id, Origin::process()).await.unwrap(), 1)
                }
                _ => {
                    set_disabled(ending_node, user.id, true, Origin::process()).await.unwrap();
                    set_disabled(ending_node, user.id, false, Origin::process()).await.unwrap();
                }
            }
            nodes.catch_up_both().await;
            for ctx in [opening_node, ending_node] {
                assert_eq!(rejection(ctx, &old.access_token), Some(VerifyError::Revoked), "{kind} {number}");
                assert!(matches!(rotate(ctx, &old.refresh_token).await, Err(Error::InvalidRefreshToken)));
            }
            // A new sign-in at either node works and stays valid.
            for ctx in [opening_node, ending_node] {
                let new = sign_in(ctx, &user).await;
                for verifying_node in [opening_node, ending_node] {
                    assert_eq!(
                        rejection(verifying_node, &new.access_token),
                        None,
                        "{kind} {number}: a new sign-in is refused"
                    );
                }
                let next = rotate(opening_node, &new.refresh_token).await.unwrap();
                assert_eq!(rejection(ending_node, &next.access_token), None);
                rotate(ending_node, &next.refresh_token).await.unwrap();
            }
            ended += 1;
        }
    }
    print_result("sessions ended by either node", &nodes.direction_name(), &json!({"ended": ended, "still_valid": 0}));
}

async fn tokens_of_api_keys_are_revoked_on_both_nodes(nodes: TwoNodes) {
    for (number, (creating_node, ending_node)) in nodes.both_orders().into_iter().enumerate() {
        let user = create_test_user(creating_node, &format!("key-{number}")).await;
        let (key, token) = create_key_and_token(creating_node, &user).await;
        assert_eq!(rejection(ending_node, &token), None);
        nodes.advance(MILLISECOND);
        set_disabled(ending_node, user.id, true, Origin::process()).await.unwrap();
        nodes.catch_up_both().await;
        for ctx in [creating_node, ending_node] {
            assert_eq!(rejection(ctx, &token), Some(VerifyError::Revoked), "{number}");
            assert!(verify_api_key(ctx, &key).await.is_err(), "{number}: the key of a disabled user is accepted");
            assert!(exchange_key(ctx, &key).await.is_err());
        }
        // When the user is enabled again, the key works again, and tokens issued for it are valid.
        set_disabled(ending_node, user.id, false, Origin::process()).await.unwrap();
        nodes.catch_up_both().await;
        for ctx in [creating_node, ending_node] {
            let token = exchange_key(ctx, &key).await.unwrap();
            for verifying_node in [creating_node, ending_node] {
                assert_eq!(rejection(verifying_node, &token), None, "{number}");
            }
            assert!(verify_api_key(ctx, &key).await.is_ok());
        }
        assert_eq!(rejection(creating_node, &token), Some(VerifyError::Revoked), "a token from before is valid again");
    }
    print_result("tokens of API keys", &nodes.direction_name(), &json!({"ended": 2, "still_valid": 0}));
}

async fn everyone_is_signed_out_on_both_nodes(nodes: TwoNodes) {
    for (number, (opening_node, ending_node)) in nodes.both_orders().into_iter().enumerate() {
        let user = create_test_user(opening_node, &format!("everyone-{number}")).await;
        let old = sign_in(opening_node, &user).await;
        let (key, token) = create_key_and_token(opening_node, &user).await;
        nodes.advance(MILLISECOND);
        sign_out_everyone(ending_node, Origin::process()).await.unwrap();
        nodes.catch_up_both().await;
        for ctx in [opening_node, ending_node] {
            for token in [&old.access_token, &token] {
                assert_eq!(rejection(ctx, token), Some(VerifyError::Revoked), "{number}");
            }
            assert!(matches!(rotate(ctx, &old.refresh_token).await, Err(Error::InvalidRefreshToken)));
        }
        for ctx in [opening_node, ending_node] {
            let new = sign_in(ctx, &user).await;
            let token = exchange_key(ctx, &key).await.unwrap();
            for verifying_node in [opening_node, ending_node] {
                assert_eq!(rejection(verifying_node, &new.access_token), None, "{number}");
                assert_eq!(rejection(verifying_node, &token), None, "{number}");
            }
            rotate(opening_node, &new.refresh_token).await.unwrap();
        }
    }
    print_result("everyone is signed out", &nodes.direction_name(), &json!({"still_valid": 0}));
}

async fn revocations_outlast_the_tokens_they_revoke(nodes: TwoNodes) {
    let mut revoked = Vec::new();
    for (number, (opening_node, ending_node)) in nodes.both_orders().into_iter().enumerate() {
        let user = create_test_user(opening_node, &format!("revoked-{number}")).await;
        let old = sign_in(opening_node, &user).await;
        sign_out(ending_node, user.id, SignOutScope::All, Origin::process()).await.unwrap();
        revoked.push(old.access_token);
    }
    nodes.catch_up_both().await;
    let (access_lifetime, leeway) =
        (nodes.on_time.node.config.api.native.access, nodes.on_time.node.config.tokens.leeway);
    // Until the last token has expired by every clock.
    for _ in 0..((access_lifetime + leeway + SKEW).as_secs() / 5) {
        nodes.advance(Duration::from_secs(5));
        for ctx in [&nodes.on_time, &nodes.skewed] {
            remove_expired(ctx).await;
            let valid = revoked.iter().filter(|token| rejection(ctx, token).is_none()).count();
            assert_eq!(valid, 0, "a revocation was removed before its token expired");
        }
    }
    print_result("revocations outlast their tokens", &nodes.direction_name(), &json!({"still_valid": 0}));
}

async fn session_expires_by_the_clock_of_each_node(nodes: TwoNodes) {
    let user = create_test_user(&nodes.on_time, "lasting").await;
    let opened = sign_in(&nodes.on_time, &user).await;
    let (id, expires_at) = (opened.session.id, opened.session.expires_at);
    for ctx in [&nodes.on_time, &nodes.skewed] {
        let (clock, before) = (&ctx.node.clock, ctx.now());
        clock.advance(expires_at.since(before) - MILLISECOND);
        assert!(ctx.ephemeral.session(user.id, id, ctx.now()).await.unwrap().is_some());
        clock.advance(MILLISECOND);
        assert!(ctx.ephemeral.session(user.id, id, ctx.now()).await.unwrap().is_none());
        assert!(matches!(rotate(ctx, &opened.refresh_token).await, Err(Error::InvalidRefreshToken)));
        clock.set_back(ctx.now().since(before));
    }
    print_result("sessions", &nodes.direction_name(), &json!({"beyond_the_expiry_ms": 0}));
}

async fn grace_is_not_extended(nodes: TwoNodes) {
    let user = create_test_user(&nodes.on_time, "grace").await;
    let first = sign_in(&nodes.on_time, &user).await;
    let next = rotate(&nodes.on_time, &first.refresh_token).await.unwrap();
    let session = next.session.id;
    if nodes.direction == Direction::Behind {
        // Only the clock of Redis moves.
        let grace_is_over = async || match rotate(&nodes.skewed, &first.refresh_token).await {
            Ok(retry) => {
                assert_eq!(retry.refresh_token, next.refresh_token);
                false
            }
            Err(Error::RefreshTokenReused) => true,
            Err(other) => panic!("{other:?}"),
        };
        until("the grace is over", grace_is_over).await;
    } else {
        // By the clock of this node 90 seconds have passed: the session ends, because the token may be stolen.
        assert!(matches!(rotate(&nodes.skewed, &first.refresh_token).await, Err(Error::RefreshTokenReused)));
    }
    nodes.catch_up_both().await;
    for ctx in [&nodes.on_time, &nodes.skewed] {
        assert!(matches!(rotate(ctx, &next.refresh_token).await, Err(Error::InvalidRefreshToken)));
        assert_eq!(rejection(ctx, &next.access_token), Some(VerifyError::Revoked));
        assert!(ctx.ephemeral.session(user.id, session, ctx.now()).await.unwrap().is_none());
    }
    print_result("the grace of a refresh token", &nodes.direction_name(), &json!({"beyond_the_grace": 0}));
}
