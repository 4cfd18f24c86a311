//! Recording security events in process, with a manual clock: bounded queues, floods, the schedule of signing keys, and
//! the documentation.

use std::time::Duration;

use signet::auth::accounts::update::{UpdateSelf, UpdateUser, update_self, update_user_as_operator};
use signet::auth::api_keys::administer::deactivate_all;
use signet::auth::api_keys::{CreateApiKey, create};
use signet::auth::audit::{self, Event, EventFilter, EventRange, EventType, ListedEvent, Origin, Position};
use signet::auth::context::Context;
use signet::auth::identity::Username;
use signet::auth::passwords::Password;
use signet::auth::rate_limit::check_sign_in;
use signet::auth::request_context::RequestContext;
use signet::auth::sessions::sign_out::{SignOutScope, sign_out};
use signet::auth::sign_in::new_password::change_password;
use signet::auth::sign_in::password::sign_in;
use signet::auth::signing_keys::advance;
use signet::auth::{Error, accounts};
use signet::config::{Config, LimitedAction, Rate, SecretUrl, Webhook, WebhookSecret};
use signet::http::client_ip::rate_limit_ip;
use signet::id::UserId;
use signet::node::events;
use signet::store::ephemeral::EventClass;
use signet::telemetry::metrics::Snapshot;

use crate::support::fleet::{TestFleet, native_request, over_both_stores_in_process};
use crate::support::metric;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The events that a queue holds.
const QUEUE: u64 = 4_096;

over_both_stores_in_process!(
    full_queues_lose_events_and_count_them,
    deactivating_all_keys_loses_no_event,
    deactivating_all_keys_displaces_no_event,
    flood_of_one_limit_is_stored_once_a_minute,
    flood_from_one_network_is_stored_once_a_minute,
    flood_from_one_site_is_bounded,
    flood_of_own_changes_is_stored_once_a_minute,
    flood_of_changes_of_many_accounts_is_bounded,
    refused_change_of_a_password_is_no_sign_in,
    sign_ins_of_strangers_displace_no_privileged_event,
    privileged_and_other_events_are_paged_together,
    schedule_of_signing_keys_is_recorded,
    old_events_are_not_listed,
);

async fn list(ctx: &Context, name: &str) -> Vec<ListedEvent> {
    audit::flush(ctx).await;
    let filter = EventFilter { types: vec![name.to_owned()], ..EventFilter::default() };
    audit::list(ctx, &filter, EventRange::Newest, 200, Duration::ZERO).await.unwrap().events
}

fn value(ctx: &Context, series: &str) -> u64 {
    metric(&ctx.node.metrics.page(&Snapshot::default(), &ctx.node.readiness, ctx.now()).body, series)
}

/// A webhook whose receiver is away.
fn webhook() -> Webhook {
    let secret = WebhookSecret(zeroize::Zeroizing::new(vec![1; 32]));
    Webhook { url: SecretUrl("http://127.0.0.1:9/".to_owned()), secret }
}

async fn full_queues_lose_events_and_count_them(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| config.audit.webhook = Some(webhook())).await;
    for _ in 0..QUEUE + 100 {
        audit::record(&ctx, Event::new(EventType::EveryoneSignedOut, Origin::process()));
    }
    assert_eq!(value(&ctx, "signet_audit_events_lost_total"), 100);
    assert_eq!(value(&ctx, r#"signet_audit_webhook_events_total{end="lost"}"#), 100);
    assert_eq!(list(&ctx, "everyone").await.len(), 200, "the rest is stored");
    audit::record(&ctx, Event::new(EventType::UsersImported, Origin::process()));
    assert_eq!(list(&ctx, "users.imported").await[0].record.actor.as_ref().unwrap().id, "system");
}

/// Creates a user with three API keys.
async fn create_user_with_keys(ctx: &Context) -> UserId {
    let new_user = accounts::create::CreateUser { email: "ada@example.org".to_owned(), ..Default::default() };
    let user = accounts::create::create_user_as_operator(ctx, new_user).await.unwrap();
    let (project, _) = ctx.accounts.projects(user.id).await.unwrap()[0];
    for _ in 0..3 {
        let new_key = CreateApiKey {
            user: user.id,
            project,
            name: "key".to_owned(),
            scopes: Vec::new(),
            expires_at: None,
            owner_valid_after: user.sessions_valid_after,
        };
        create(ctx, new_key, Origin::process()).await.unwrap();
    }
    audit::flush(ctx).await;
    user.id
}

async fn deactivating_all_keys_loses_no_event(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let user = create_user_with_keys(&ctx).await;
    for _ in 0..QUEUE {
        audit::record(&ctx, Event::new(EventType::EveryoneSignedOut, Origin::process()));
    }
    let deactivated = deactivate_all(&ctx, Origin::process(), async || events::flush(&ctx).await).await.unwrap();
    assert_eq!(deactivated, 3);
    assert_eq!(value(&ctx, "signet_audit_events_lost_total"), 0);
    audit::flush(&ctx).await;
    assert_eq!(deactivated_keys_of(&ctx, user).await, 3);
}

/// The events about deactivated keys in the list of their owner.
async fn deactivated_keys_of(ctx: &Context, user: UserId) -> usize {
    let own = audit::list_of_user(ctx, user, EventRange::Newest, 10).await.unwrap();
    own.events.iter().filter(|event| event.record.event_type == EventType::ApiKeyDeactivated.name()).count()
}

/// A command deactivates any number of keys, and the list of the fleet keeps the newest events of administrators.
async fn deactivating_all_keys_displaces_no_event(fleet: &TestFleet) {
    let change = |config: &mut Config| {
        // The user, three keys, and their end.
        config.audit.events = 5;
        config.audit.webhook = Some(webhook());
    };
    let ctx = fleet.node_with(change).await;
    let user = create_user_with_keys(&ctx).await;
    let deactivate = async || deactivate_all(&ctx, Origin::process(), async || audit::flush(&ctx).await).await.unwrap();
    assert_eq!(deactivate().await, 3);
    let ended = list(&ctx, "api_key.all_deactivated").await;
    assert_eq!(ended.len(), 1);
    assert_eq!((&ended[0].record.details["count"], &ended[0].record.user), (&serde_json::json!(3), &None));
    assert_eq!(list(&ctx, "api_key.deactivated").await.len(), 0);
    assert_eq!(list(&ctx, "user.created").await.len(), 1);
    assert_eq!(deactivated_keys_of(&ctx, user).await, 3);
    assert_eq!(deactivate().await, 0);
    assert_eq!(list(&ctx, "api_key.all_deactivated").await.len(), 1, "nothing was deactivated, so nothing is recorded");

    let mut queue = ctx.node.audit.take_webhook_queue().unwrap();
    let sent: Vec<_> = std::iter::from_fn(|| queue.try_recv().ok()).collect();
    let count = |of: EventType| sent.iter().filter(|event| event.event_type == of.name()).count();
    assert_eq!((count(EventType::ApiKeyDeactivated), count(EventType::AllApiKeysDeactivated)), (3, 1));
}

async fn flood_of_one_limit_is_stored_once_a_minute(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| config.limits.enabled = true).await;
    let guess = async || {
        let password = Password::new("guessed".to_owned());
        sign_in(&ctx, "nobody@example.org", &password, None, native_request(&ctx)).await.err().unwrap()
    };
    while !matches!(guess().await, Error::RateLimited { .. }) {}
    for _ in 0..5 {
        assert!(matches!(guess().await, Error::RateLimited { .. }));
    }
    assert_eq!(list(&ctx, "limit.exceeded").await.len(), 1);
    assert_eq!(value(&ctx, r#"signet_rate_limited_total{limit="sign_in_account"}"#), 6);
    assert_eq!(value(&ctx, r#"signet_sign_ins_total{method="password",outcome="refused"}"#), 10);
    fleet.clock.advance(Duration::from_secs(60));
    while !matches!(guess().await, Error::RateLimited { .. }) {}
    assert_eq!(list(&ctx, "limit.exceeded").await.len(), 2);
}

/// A client can choose any address in its IPv6 /64.
async fn flood_from_one_network_is_stored_once_a_minute(fleet: &TestFleet) {
    let change = |config: &mut Config| {
        config.limits.enabled = true;
        config.limits[LimitedAction::SignInClient] = Rate { burst: 1, per: DAY };
    };
    let ctx = fleet.node_with(change).await;
    let sign_ins = async |network: &str| {
        for host in 1..10 {
            let client_ip = format!("{network}::{host}").parse().unwrap();
            let rate_limit_ip = rate_limit_ip(client_ip);
            let request_ctx = RequestContext { client_ip, rate_limit_ip, ..native_request(&ctx) };
            assert_eq!(check_sign_in(&ctx, request_ctx).await.is_ok(), host == 1);
        }
    };
    for (network, expected) in [("2001:db8:1:1", 1), ("2001:db8:1:2", 2)] {
        sign_ins(network).await;
        assert_eq!(list(&ctx, "limit.exceeded").await.len(), expected);
    }
}

/// One customer of a provider can have all networks of an IPv6 /48.
async fn flood_from_one_site_is_bounded(fleet: &TestFleet) {
    let change = |config: &mut Config| {
        config.limits.enabled = true;
        config.limits[LimitedAction::SignInClient] = Rate { burst: 1, per: DAY };
    };
    let ctx = fleet.node_with(change).await;
    let exceed_limits = async |site: &str| {
        for network in 0..30 {
            let client_ip = format!("{site}:{network:x}::1").parse().unwrap();
            let rate_limit_ip = rate_limit_ip(client_ip);
            let request_ctx = RequestContext { client_ip, rate_limit_ip, ..native_request(&ctx) };
            _ = check_sign_in(&ctx, request_ctx).await;
            assert!(check_sign_in(&ctx, request_ctx).await.is_err());
        }
    };
    for (site, expected) in [("2001:db8:1", 20), ("2001:db8:2", 40)] {
        exceed_limits(site).await;
        assert_eq!(list(&ctx, "limit.exceeded").await.len(), expected);
    }
}

async fn flood_of_own_changes_is_stored_once_a_minute(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let new_user = accounts::create::CreateUser { email: "ada@example.org".to_owned(), ..Default::default() };
    let mut user = accounts::create::create_user_as_operator(&ctx, new_user).await.unwrap();
    let mut change = async |name: &str, username: Option<&str>| {
        let username = username.map(|name| Some(Username::parse(name).unwrap()));
        let update = UpdateSelf { full_name: Some(Some(name.to_owned())), username, ..UpdateSelf::default() };
        user = update_self(&ctx, &user, update, native_request(&ctx)).await.unwrap();
        user.clone()
    };
    for number in 0..5 {
        change(&format!("Ada {number}"), None).await;
    }
    assert_eq!(list(&ctx, "user.updated").await.len(), 1);
    let user = change("Ada", Some("ada")).await;
    assert_eq!(list(&ctx, "user.updated").await.len(), 2, "a change cannot hide behind another");
    for name in ["Eve", "Eva"] {
        let update = UpdateUser { full_name: Some(Some(name.to_owned())), ..UpdateUser::default() };
        update_user_as_operator(&ctx, &user, update, Origin::process()).await.unwrap();
    }
    assert_eq!(list(&ctx, "user.updated").await.len(), 4, "what an operator does is always recorded");
}

/// Anyone can have many accounts.
async fn flood_of_changes_of_many_accounts_is_bounded(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let change = async |number: usize, superuser: bool| {
        let email = format!("{number}@example.org");
        let new_user = accounts::create::CreateUser { email, superuser, ..Default::default() };
        let user = accounts::create::create_user_as_operator(&ctx, new_user).await.unwrap();
        let update = UpdateSelf { full_name: Some(Some("Ada".to_owned())), ..UpdateSelf::default() };
        update_self(&ctx, &user, update, native_request(&ctx)).await.unwrap().id
    };
    for number in 0..20 {
        change(number, false).await;
    }
    let user = change(20, false).await;
    assert_eq!(list(&ctx, "user.updated").await.len(), 20);
    let own = audit::list_of_user(&ctx, user, EventRange::Newest, 10).await.unwrap();
    assert_eq!(own.events[0].record.event_type, EventType::UserUpdated.name(), "the user sees it all the same");
    let superuser = change(21, true).await;
    let listed = list(&ctx, "user.updated").await;
    assert_eq!(listed.len(), 21, "a superuser's is in the list of the fleet all the same");
    assert_eq!(listed[0].record.user.as_ref().unwrap().id, superuser.to_string());
    fleet.clock.advance(Duration::from_secs(60));
    change(22, false).await;
    assert_eq!(list(&ctx, "user.updated").await.len(), 22);
}

/// Nothing limits how often a client can cause it.
async fn refused_change_of_a_password_is_no_sign_in(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| config.api.native.verified_only = true).await;
    let new_user = accounts::create::CreateUser { email: "ada@example.org".to_owned(), ..Default::default() };
    let user = accounts::create::create_user_as_operator(&ctx, new_user).await.unwrap();
    let new = Password::new("another harbour at dawn".to_owned());
    let refused = change_password(&ctx, &user, Some(ctx.now()), None, new, native_request(&ctx)).await;
    assert!(matches!(refused, Err(Error::EmailNotVerified)));
    assert!(list(&ctx, "sign_in.refused").await.is_empty());
}

const PASSWORD: &str = "a quiet harbour at dusk";

/// Anyone can sign up, sign in and sign out again and again.
async fn sign_ins_of_strangers_displace_no_privileged_event(fleet: &TestFleet) {
    let ctx = fleet.node_with(|config| config.audit.events = 10).await;
    let create = async |name: &str, superuser: bool| {
        let email = format!("{name}@example.org");
        let password = Some(Password::new(PASSWORD.to_owned()));
        let new_user = accounts::create::CreateUser { email, password, superuser, ..Default::default() };
        accounts::create::create_user_as_operator(&ctx, new_user).await.unwrap()
    };
    let (root, stranger) = (create("root", true).await, create("stranger", false).await);
    let password = Password::new(PASSWORD.to_owned());
    sign_in(&ctx, "root@example.org", &password, None, native_request(&ctx)).await.unwrap();
    let update = UpdateUser { full_name: Some(Some("Eve".to_owned())), ..UpdateUser::default() };
    update_user_as_operator(&ctx, &stranger, update, Origin::process()).await.unwrap();

    let pair = sign_in(&ctx, "stranger@example.org", &password, None, native_request(&ctx)).await.unwrap();
    let own = Origin::request(native_request(&ctx));
    assert_eq!(sign_out(&ctx, stranger.id, SignOutScope::One(pair.session.id), own.clone()).await.unwrap(), 1);
    for event_type in [EventType::SignInSucceeded, EventType::SessionsEnded].repeat(20) {
        audit::record(&ctx, Event::of_account(event_type, &stranger, own.clone()));
    }
    let of =
        |listed: Vec<ListedEvent>| listed.into_iter().map(|event| event.record.user.unwrap().id).collect::<Vec<_>>();
    let (root, stranger) = (root.id.to_string(), stranger.id.to_string());
    assert_eq!(of(list(&ctx, "user.created").await), [stranger.clone(), root.clone()]);
    assert_eq!(of(list(&ctx, "superuser.granted").await), std::slice::from_ref(&root));
    assert_eq!(of(list(&ctx, "user.updated").await), std::slice::from_ref(&stranger));
    let sign_ins = of(list(&ctx, "sign_in.succeeded").await);
    assert_eq!(sign_ins.last(), Some(&root));
    let sign_outs = of(list(&ctx, "sessions.ended").await);
    let of_stranger = sign_ins.iter().chain(&sign_outs).filter(|user| **user == stranger).count();
    assert_eq!(of_stranger, 10, "the newest of the strangers' events stay");
}

async fn privileged_and_other_events_are_paged_together(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let own = || Origin::request(native_request(&ctx));
    for number in 0..9 {
        let event = match number % 3 {
            0 => Event::new(EventType::UserRegistered, own()),
            1 => Event::new(EventType::EveryoneSignedOut, Origin::process()),
            _ => Event::new(EventType::SignInRefused, own()),
        };
        audit::record(&ctx, event);
    }
    audit::flush(&ctx).await;
    let expected = ["user.registered", "everyone.signed_out", "sign_in.refused"].repeat(3);
    let page =
        async |range: EventRange| audit::list(&ctx, &EventFilter::default(), range, 2, Duration::ZERO).await.unwrap();
    let types = |events: &[ListedEvent]| -> Vec<String> {
        events.iter().map(|event| event.record.event_type.clone()).collect()
    };
    let (mut older, mut range) = (Vec::new(), EventRange::Newest);
    loop {
        let page = page(range).await;
        older.extend(types(&page.events));
        let Some(next) = page.next else { break };
        range = EventRange::Before(next);
    }
    older.reverse();
    assert_eq!(older, expected);
    let (mut newer, mut range) = (Vec::new(), EventRange::After(Position::default()));
    while newer.len() < expected.len() {
        let page = page(range).await;
        assert!(!page.events.is_empty(), "{newer:?}");
        newer.extend(types(&page.events));
        range = EventRange::After(page.next.unwrap());
    }
    assert_eq!(newer, expected);
}

async fn schedule_of_signing_keys_is_recorded(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    let mut created = Vec::new();
    for _ in 0..100 {
        fleet.clock.advance(DAY);
        advance(&ctx).await.unwrap();
        created.extend(list(&ctx, "signing_key.created").await);
        if let [removed, ..] = &list(&ctx, "signing_key.removed").await[..] {
            assert!(removed.record.details["kid"].is_string());
            assert!(!created.is_empty(), "a key took its place");
            return;
        }
    }
    panic!("no key was removed");
}

async fn old_events_are_not_listed(fleet: &TestFleet) {
    let ctx = fleet.node().await;
    audit::record(&ctx, Event::new(EventType::EveryoneSignedOut, Origin::process()));
    let keep = ctx.node.config.audit.keep;
    assert_eq!(list(&ctx, "everyone").await.len(), 1);
    fleet.clock.advance(keep);
    assert_eq!(list(&ctx, "everyone").await.len(), 1);
    fleet.clock.advance(Duration::from_millis(1));
    assert!(list(&ctx, "everyone").await.is_empty());
    let new_user = accounts::create::CreateUser { email: "a@example.org".to_owned(), ..Default::default() };
    let user = accounts::create::create_user_as_operator(&ctx, new_user).await.unwrap();
    audit::flush(&ctx).await;
    let own = audit::list_of_user(&ctx, user.id, EventRange::Newest, 10).await.unwrap();
    assert_eq!(own.events.len(), 1);
    assert_eq!(own.events[0].record.event_type, EventType::UserCreated.name());
}

/// docs/audit.md lists every type of the code, in its order, with its outcome, and those of each class that is kept
/// apart.
#[test]
fn documentation_lists_every_type() {
    let docs = include_str!("../../docs/audit.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let documented: Vec<_> = rows
        .filter(|(name, _)| name.contains('.'))
        .map(|(name, rest)| (name, rest.split(" | ").next().unwrap()))
        .collect();
    let in_code: Vec<_> = EventType::ALL.iter().map(|of| (of.name(), of.outcome().name())).collect();
    assert_eq!(documented, in_code);
    let words = docs.split_whitespace().collect::<Vec<_>>().join(" ");
    for (class, before, after) in [
        (EventClass::Attempt, "Events that a stranger can cause in any number (", ") are kept apart"),
        (EventClass::Privileged, "what administrators, operators and the server cause alone (", ");"),
    ] {
        let apart = words.split(before).nth(1).unwrap().split(after).next().unwrap();
        let apart: Vec<_> = apart.split('`').skip(1).step_by(2).collect();
        let of_class = EventType::ALL.iter().filter(|of| of.class() == class).map(|of| of.name());
        assert_eq!(apart, of_class.collect::<Vec<_>>());
    }
}
