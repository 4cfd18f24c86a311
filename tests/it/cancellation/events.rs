//! A client that disconnects cannot keep the security event of what it did from being recorded.

use std::collections::BTreeSet;

use signet::auth::accounts::create::create_user_as_admin;
use signet::auth::audit::{self, EventFilter, EventRange, ListedEvent};
use signet::auth::sessions::sign_out::sign_out;
use signet::auth::signing_keys::{self, KeyState, KeyStatus};
use signet::store::ephemeral::SignOutScope;

use super::*;

over_both_stores_in_process!(
    disconnect_signs_out_with_an_event_or_neither,
    disconnect_revokes_a_signing_key_with_an_event_or_neither,
    disconnect_creates_a_superuser_with_an_event_or_neither,
);

async fn disconnect_signs_out_with_an_event_or_neither(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = user(&ctx, "leaves").await;
    let mut rounds = 0;
    loop {
        rounds += 1;
        let scope = SignOutScope::One(open_session(&ctx, &user, None, request_ctx(&ctx)).await.unwrap().session.id);
        let outcome = poll_times(pin!(sign_out(&ctx, user.id, scope, Origin::process())), rounds).await;
        if let Some(outcome) = outcome {
            assert_eq!(outcome.unwrap(), 1);
            break;
        }
    }
    let filter = EventFilter { types: vec!["sessions.ended".to_owned()], ..EventFilter::default() };
    // Checked after the last round, because a sign-out may go on after its disconnect.
    until("each end is recorded", async || {
        audit::flush(&ctx).await;
        let page = audit::list(&ctx, &filter, EventRange::Newest, 100, Duration::ZERO).await.unwrap();
        rounds == page.events.len() + list_sessions(&ctx, user.id).await.unwrap().len()
    })
    .await;
}

/// The `kid`, or the user, of each stored event of a type.
async fn recorded(ctx: &Context, name: &str) -> BTreeSet<String> {
    audit::flush(ctx).await;
    let filter = EventFilter { types: vec![name.to_owned()], ..EventFilter::default() };
    let page = audit::list(ctx, &filter, EventRange::Newest, 100, Duration::ZERO).await.unwrap();
    let subject = |event: &ListedEvent| match &event.record.user {
        Some(user) => user.id.clone(),
        None => event.record.details["kid"].as_str().unwrap().to_owned(),
    };
    page.events.iter().map(subject).collect()
}

async fn disconnect_revokes_a_signing_key_with_an_event_or_neither(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let is_revoked = |status: &KeyStatus| status.state == KeyState::Revoked;
    for polls in 1.. {
        let valid = signing_keys::list(&ctx).into_iter().find(|status| !is_revoked(status)).unwrap();
        let revoking = signing_keys::revoke(&ctx, &valid.key.kid, Origin::process());
        if let Some(outcome) = poll_times(pin!(revoking), polls).await {
            outcome.unwrap();
            break;
        }
    }
    // Checked after the last round, because a revocation may go on after its disconnect.
    until("each revocation is recorded", async || {
        signing_keys::advance(&ctx).await.unwrap();
        let revoked = signing_keys::list(&ctx).into_iter().filter(is_revoked).map(|status| status.key.kid);
        revoked.collect::<BTreeSet<_>>() == recorded(&ctx, "signing_key.revoked").await
    })
    .await;
}

async fn disconnect_creates_a_superuser_with_an_event_or_neither(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let by = user(&ctx, "founder").await;
    let mut emails = Vec::new();
    loop {
        emails.push(format!("granted-{}@example.org", emails.len()));
        let email = emails[emails.len() - 1].clone();
        let new_user = CreateUser { email, superuser: true, ..CreateUser::default() };
        let creating = create_user_as_admin(&ctx, &by, new_user, request_ctx(&ctx));
        if let Some(outcome) = poll_times(pin!(creating), emails.len()).await {
            outcome.unwrap();
            break;
        }
    }
    until("each of them is recorded", async || {
        let mut created = BTreeSet::new();
        for email in &emails {
            let user = ctx.accounts.user(Find::Email(email)).await.unwrap();
            created.extend(user.map(|user| user.id.to_string()));
        }
        created == recorded(&ctx, "superuser.granted").await
    })
    .await;
}
