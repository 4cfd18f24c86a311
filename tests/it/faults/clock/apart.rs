//! Two nodes, one of which is on time: whoever acts, both are to feel it.

use signet::auth::retention::max_access_lifetime;

use super::*;

/// Holds both ways what is to hold.
macro_rules! ahead_and_behind {
    ($($case:ident $(with $change:expr)?;)+) => {
        mod ahead {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(Pair::new(Way::Ahead, ahead_and_behind!(@ $($change)?)).await).await;
            })+
        }

        mod behind {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(Pair::new(Way::Behind, ahead_and_behind!(@ $($change)?)).await).await;
            })+
        }
    };
    (@) => { |_: &mut Config| {} };
    (@ $change:expr) => { $change };
}

ahead_and_behind! {
    tokens_are_judged_by_the_leeway;
    no_step_is_good_twice;
    nothing_mailed_is_good_twice;
    nothing_mailed_is_good_for_longer with |config| config.mailed.code = Duration::from_secs(1);
    sessions_end_for_both;
    what_has_no_session_ends_for_both;
    everyone_is_signed_out;
    an_ending_is_remembered_as_long_as_what_it_ended with |config| config.api.native.access = max_access_lifetime(config);
    a_session_lasts_by_the_clock_of_who_is_asked;
    the_grace_is_no_longer with |config| config.tokens.grace = Duration::from_secs(1);
}

async fn tokens_are_judged_by_the_leeway(pair: Pair) {
    let user = someone(&pair.on_time, "leeway").await;
    let leeway = pair.on_time.node.config.tokens.leeway;
    for (maker, judge) in pair.each_way() {
        let made = signed_in(maker, &user).await;
        let verified = verify_access_token(judge, &made.access_token).unwrap();
        // By the judge's clock and none other, to the millisecond.
        let left = (verified.expires_at + leeway).since(judge.now());
        let (judge_clock, before) = (&judge.node.clock, judge.now());
        judge_clock.advance(left - MILLI);
        assert_eq!(reason(judge, &made.access_token), None);
        judge_clock.advance(MILLI);
        assert_eq!(reason(judge, &made.access_token), Some(VerifyError::Token(Flaw::Expired)));
        judge_clock.set_back(judge.now().since(before));
    }
    held("tokens of a node whose clock is off", &pair.is(), &json!({"leeway_ms": leeway.as_millis() as u64}));
}

async fn no_step_is_good_twice(pair: Pair) {
    let mut used = 0;
    for (number, (first, second)) in pair.each_way().into_iter().enumerate() {
        let user = someone(first, &format!("step-{number}")).await;
        let (key, _) = enable_without_confirmation(first, &user, 3, request_ctx(first)).await.unwrap();
        let user = row(first, &user).await;
        let enters = async |ctx: &Context, at: Timestamp| match open_session(
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
        assert!(enters(first, at).await);
        assert!(!enters(first, at).await, "once on the node that took it");
        assert!(!enters(second, at).await, "nor on another");
        // The other's clock comes to where that step is.
        let (clock, apart) = (&second.node.clock, second.now());
        if apart < at {
            clock.advance(at.since(apart))
        } else {
            clock.set_back(apart.since(at))
        }
        assert!(!enters(second, at).await, "nor when its clock is set right");
        // Set back, and the same moment comes again.
        first.node.clock.set_back(OFF);
        assert!(!enters(first, at).await);
        first.node.clock.advance(OFF);
        assert!(!enters(first, at).await, "nor when it comes again");
        let next = at + Duration::from_secs(30);
        assert!(enters(second, next).await, "the next one is");
        assert!(!enters(first, next).await);
        used += 2;
        if apart < at { clock.set_back(at.since(apart)) } else { clock.advance(apart.since(at)) }
    }
    held("a step of the second factor", &pair.is(), &json!({"used": used, "used_twice": 0}));
}

async fn nothing_mailed_is_good_twice(pair: Pair) {
    for (number, (first, second)) in pair.each_way().into_iter().enumerate() {
        let code = code(first, &format!("code-{number}@example.org")).await;
        let link = link(first, &format!("link-{number}@example.org")).await;
        // Mailed by the one, used at the other, whatever its clock says.
        assert!(code_is_good(second, &code).await && link_is_good(second, &link).await);
        for ctx in [first, second] {
            assert!(!code_is_good(ctx, &code).await && !link_is_good(ctx, &link).await);
            ctx.node.clock.set_back(OFF);
            assert!(!code_is_good(ctx, &code).await && !link_is_good(ctx, &link).await);
            ctx.node.clock.advance(OFF);
        }
    }
    held("mailed codes and links", &pair.is(), &json!({"used": 4, "used_twice": 0}));
}

/// No clock of a node moves, and none need: Redis lets go of what it keeps when it has kept it as long as it was told.
async fn nothing_mailed_is_good_for_longer(pair: Pair) {
    let asked = Instant::now();
    let code = code(&pair.on_time, "expired@example.org").await;
    let lasts = pair.on_time.node.config.mailed.code;
    let subject = signet::auth::one_time::subject(&code.0);
    let gone = async || {
        let held = pair.off.ephemeral.peek_claim(&subject, "sign-in-code", "", pair.on_time.now()).await.unwrap();
        held.is_none()
    };
    until("it is gone", gone).await;
    assert!(asked.elapsed() >= lasts, "it was gone too early");
    for ctx in [&pair.on_time, &pair.off] {
        assert!(!code_is_good(ctx, &code).await);
        ctx.node.clock.set_back(OFF);
        assert!(!code_is_good(ctx, &code).await);
    }
    held("a mailed code that is over", &pair.is(), &json!({"good_again": 0}));
}

async fn sessions_end_for_both(pair: Pair) {
    let mut ended = 0;
    for (number, (opens, ends)) in pair.each_way().into_iter().enumerate() {
        for how in ["own", "admin", "disabled"] {
            let user = someone(opens, &format!("{how}-{number}")).await;
            let old = signed_in(opens, &user).await;
            // A moment ago: by the clock of who ends it, a minute and a half from now or past.
            pair.pass(MILLI);
            match how {
                "own" => assert_eq!(sign_out(ends, user.id, SignOutScope::All).await.unwrap(), 1),
                "admin" => assert_eq!(sign_out_user_as_admin(ends, user.id).await.unwrap(), 1),
                _ => {
                    set_disabled(ends, user.id, true).await.unwrap();
                    set_disabled(ends, user.id, false).await.unwrap();
                }
            }
            pair.hear().await;
            for ctx in [opens, ends] {
                assert_eq!(reason(ctx, &old.access_token), Some(VerifyError::Revoked), "{how} {number}");
                assert!(matches!(refreshed(ctx, &old.refresh_token).await, Err(Error::InvalidRefreshToken)));
            }
            // Who signs in anew, at whichever node, is in, and stays in.
            for ctx in [opens, ends] {
                let new = signed_in(ctx, &user).await;
                for judge in [opens, ends] {
                    assert_eq!(reason(judge, &new.access_token), None, "{how} {number}: a new sign-in is refused");
                }
                let next = refreshed(opens, &new.refresh_token).await.unwrap();
                assert_eq!(reason(ends, &next.access_token), None);
                refreshed(ends, &next.refresh_token).await.unwrap();
            }
            ended += 1;
        }
    }
    held("sessions ended by either node", &pair.is(), &json!({"ended": ended, "alive": 0}));
}

async fn what_has_no_session_ends_for_both(pair: Pair) {
    for (number, (makes, ends)) in pair.each_way().into_iter().enumerate() {
        let user = someone(makes, &format!("key-{number}")).await;
        let (key, token) = key_and_token(makes, &user).await;
        assert_eq!(reason(ends, &token), None);
        pair.pass(MILLI);
        set_disabled(ends, user.id, true).await.unwrap();
        pair.hear().await;
        for ctx in [makes, ends] {
            assert_eq!(reason(ctx, &token), Some(VerifyError::Revoked), "{number}");
            assert!(verify_api_key(ctx, &key).await.is_err(), "{number}: the key of who is disabled is good");
            assert!(exchanged(ctx, &key).await.is_err());
        }
        // Enabled again, the key is good again, and what is made of it.
        set_disabled(ends, user.id, false).await.unwrap();
        pair.hear().await;
        for ctx in [makes, ends] {
            let token = exchanged(ctx, &key).await.unwrap();
            for judge in [makes, ends] {
                assert_eq!(reason(judge, &token), None, "{number}");
            }
            assert!(verify_api_key(ctx, &key).await.is_ok());
        }
        assert_eq!(reason(makes, &token), Some(VerifyError::Revoked), "what was made before stays revoked");
    }
    held("tokens of API keys", &pair.is(), &json!({"ended": 2, "alive": 0}));
}

async fn everyone_is_signed_out(pair: Pair) {
    for (number, (opens, ends)) in pair.each_way().into_iter().enumerate() {
        let user = someone(opens, &format!("everyone-{number}")).await;
        let old = signed_in(opens, &user).await;
        let (key, token) = key_and_token(opens, &user).await;
        pair.pass(MILLI);
        sign_out_everyone(ends, None).await.unwrap();
        pair.hear().await;
        for ctx in [opens, ends] {
            for token in [&old.access_token, &token] {
                assert_eq!(reason(ctx, token), Some(VerifyError::Revoked), "{number}");
            }
            assert!(matches!(refreshed(ctx, &old.refresh_token).await, Err(Error::InvalidRefreshToken)));
        }
        for ctx in [opens, ends] {
            let new = signed_in(ctx, &user).await;
            let token = exchanged(ctx, &key).await.unwrap();
            for judge in [opens, ends] {
                assert_eq!(reason(judge, &new.access_token), None, "{number}");
                assert_eq!(reason(judge, &token), None, "{number}");
            }
            refreshed(opens, &new.refresh_token).await.unwrap();
        }
    }
    held("everyone is signed out", &pair.is(), &json!({"alive": 0}));
}

async fn an_ending_is_remembered_as_long_as_what_it_ended(pair: Pair) {
    let mut revoked = Vec::new();
    for (number, (opens, ends)) in pair.each_way().into_iter().enumerate() {
        let user = someone(opens, &format!("remembered-{number}")).await;
        let old = signed_in(opens, &user).await;
        sign_out(ends, user.id, SignOutScope::All).await.unwrap();
        revoked.push(old.access_token);
    }
    pair.hear().await;
    let (lives, leeway) = (pair.on_time.node.config.api.native.access, pair.on_time.node.config.tokens.leeway);
    // Until the last of them has expired by every clock.
    for _ in 0..((lives + leeway + OFF).as_secs() / 5) {
        pair.pass(Duration::from_secs(5));
        for ctx in [&pair.on_time, &pair.off] {
            remove_expired(ctx).await;
            let good = revoked.iter().filter(|token| reason(ctx, token).is_none()).count();
            assert_eq!(good, 0, "it is forgotten that it was ended");
        }
    }
    held("endings are remembered", &pair.is(), &json!({"alive": 0}));
}

async fn a_session_lasts_by_the_clock_of_who_is_asked(pair: Pair) {
    let user = someone(&pair.on_time, "lasting").await;
    let opened = signed_in(&pair.on_time, &user).await;
    let (id, ends) = (opened.session.id, opened.session.expires_at);
    for ctx in [&pair.on_time, &pair.off] {
        let (clock, before) = (&ctx.node.clock, ctx.now());
        clock.advance(ends.since(before) - MILLI);
        assert!(ctx.ephemeral.session(user.id, id, ctx.now()).await.unwrap().is_some());
        clock.advance(MILLI);
        assert!(ctx.ephemeral.session(user.id, id, ctx.now()).await.unwrap().is_none());
        assert!(matches!(refreshed(ctx, &opened.refresh_token).await, Err(Error::InvalidRefreshToken)));
        clock.set_back(ctx.now().since(before));
    }
    held("sessions", &pair.is(), &json!({"beyond_the_clock_of_who_is_asked_ms": 0}));
}

async fn the_grace_is_no_longer(pair: Pair) {
    let user = someone(&pair.on_time, "grace").await;
    let first = signed_in(&pair.on_time, &user).await;
    let next = refreshed(&pair.on_time, &first.refresh_token).await.unwrap();
    let session = next.session.id;
    if pair.way == Way::Behind {
        // Nobody's clock moves but that of Redis.
        let over = async || match refreshed(&pair.off, &first.refresh_token).await {
            Ok(again) => {
                assert_eq!(again.refresh_token, next.refresh_token);
                false
            }
            Err(Error::RefreshTokenReused) => true,
            Err(other) => panic!("{other:?}"),
        };
        until("the grace is over", over).await;
    } else {
        // Ninety seconds have passed by its clock, and that ends the session rather than letting a thief in.
        assert!(matches!(refreshed(&pair.off, &first.refresh_token).await, Err(Error::RefreshTokenReused)));
    }
    pair.hear().await;
    for ctx in [&pair.on_time, &pair.off] {
        assert!(matches!(refreshed(ctx, &next.refresh_token).await, Err(Error::InvalidRefreshToken)));
        assert_eq!(reason(ctx, &next.access_token), Some(VerifyError::Revoked));
        assert!(ctx.ephemeral.session(user.id, session, ctx.now()).await.unwrap().is_none());
    }
    held("the grace of a refresh token", &pair.is(), &json!({"beyond_the_grace": 0}));
}
