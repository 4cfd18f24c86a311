//! Clock skew: a clock is 90 seconds off, or is set back. Tokens are accepted within the leeway and no longer, no code
//! and no time step works twice, and a revocation by one node is effective on all.
//!
//! Each rule is tested on nodes within the test process, each with a manual clock, with one Redis and one Postgres; the
//! embedded default has one node, whose clock is set back. [`program`] tests real nodes under load against the ledger.

mod apart;
mod program;
mod set_back;

use std::net::IpAddr;

use serde_json::json;
use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::accounts::disable::set_disabled;
use signet::auth::accounts::projects;
use signet::auth::action_token::LinkTokenFormat;
use signet::auth::api_keys;
use signet::auth::audit::Origin;
use signet::auth::context::Context;
use signet::auth::error::LinkKind;
use signet::auth::identity::Email;
use signet::auth::mfa::enable_without_confirmation;
use signet::auth::passwords::Password;
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::auth::revocation::stream::{catch_up, remove_expired};
use signet::auth::sessions::refresh::refresh;
use signet::auth::sessions::sign_out::{SignOutScope, sign_out, sign_out_everyone, sign_out_user_as_admin};
use signet::auth::sessions::tokens::TokenPair;
use signet::auth::sign_in::login_step::LoginStep;
use signet::auth::sign_in::open_session::open_session;
use signet::auth::sign_in::{magic_link, mailed_code};
use signet::auth::tokens::client_credentials::issue_for_api_key;
use signet::auth::tokens::verify::{TokenError, VerifyError, verify_access_token, verify_api_key};
use signet::clock::{Clock, Timestamp};
use signet::config::Config;
use signet::store::accounts::{Find, User};

use super::*;
use crate::support::fleet::TestFleet;
use crate::support::outbox::{Mail, mails_in};
use crate::support::totp::code_at;
use crate::support::{postgres, redis, until};

/// The difference of the skewed clock.
const SKEW: Duration = Duration::from_secs(90);
const MILLISECOND: Duration = Duration::from_millis(1);

/// The direction of the skew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Ahead,
    Behind,
}

/// Two nodes, one of which has a skewed clock.
struct TwoNodes {
    fleet: TestFleet,
    on_time: Context,
    skewed: Context,
    skewed_clock: Clock,
    direction: Direction,
}

fn skewed_clock_of(clock: &Clock, direction: Direction) -> Clock {
    let now = clock.now();
    Clock::manual(if direction == Direction::Ahead { now + SKEW } else { now - SKEW })
}

impl TwoNodes {
    async fn new(direction: Direction, change: impl Fn(&mut Config)) -> Self {
        let fleet = TestFleet::new(Some((redis::Server::start(), postgres::Database::create()))).await;
        let skewed_clock = skewed_clock_of(&fleet.clock, direction);
        let on_time = fleet.node_with(&change).await;
        let skewed = fleet.node_with_clock(skewed_clock.clone(), &change).await;
        Self { fleet, on_time, skewed, skewed_clock, direction }
    }

    /// The two nodes in both orders.
    fn both_orders(&self) -> [(&Context, &Context); 2] {
        [(&self.on_time, &self.skewed), (&self.skewed, &self.on_time)]
    }

    fn advance(&self, span: Duration) {
        self.fleet.clock.advance(span);
        self.skewed_clock.advance(span);
    }

    /// Both nodes read all revocations.
    async fn catch_up_both(&self) {
        for ctx in [&self.on_time, &self.skewed] {
            catch_up(ctx).await.unwrap();
        }
    }

    fn direction_name(&self) -> String {
        format!("{:?}", self.direction)
    }
}

fn request_ctx(ctx: &Context) -> RequestContext<'_> {
    let address = IpAddr::from([192, 0, 2, 1]);
    let native_config = &ctx.node.config.api.native;
    RequestContext {
        dialect: "native",
        dialect_config: native_config,
        client_ip: address,
        rate_limit_ip: address,
        user_agent: None,
        language: None,
        extra_claims: ExtraClaims::None,
        audience: None,
    }
}

async fn create_test_user(ctx: &Context, name: &str) -> User {
    let password = Some(Password::new(PASSWORD.to_owned()));
    let new_user =
        CreateUser { email: format!("{name}@example.org"), password, verified: true, ..CreateUser::default() };
    create_user(ctx, new_user).await.unwrap()
}

async fn stored_user(ctx: &Context, user: &User) -> User {
    ctx.accounts.user(Find::Id(user.id)).await.unwrap().unwrap()
}

async fn sign_in(ctx: &Context, user: &User) -> TokenPair {
    open_session(ctx, &stored_user(ctx, user).await, None, request_ctx(ctx)).await.unwrap()
}

async fn rotate(ctx: &Context, token: &str) -> Result<TokenPair, Error> {
    refresh(ctx, token, None, request_ctx(ctx)).await
}

fn rejection(ctx: &Context, token: &str) -> Option<VerifyError> {
    verify_access_token(ctx, token).err()
}

/// Waits for a mail to this address.
async fn wait_for_mail(ctx: &Context, to: &str) -> Mail {
    let mut found = None;
    until(&format!("a mail to {to} is sent"), async || {
        found = mails_in(&ctx.node.config.data_dir, to).pop();
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// Requests a sign-in code; returns the address and the code.
async fn mail_code(ctx: &Context, to: &str) -> (Email, String) {
    let email = Email::parse(to).unwrap();
    mailed_code::send_code(ctx, &email, request_ctx(ctx)).await.unwrap();
    (email, wait_for_mail(ctx, to).await.code())
}

/// Requests a magic link; returns its token and its device secret.
async fn mail_link(ctx: &Context, to: &str) -> (String, String) {
    let device_secret = magic_link::request_link(ctx, to, LinkTokenFormat::Short, request_ctx(ctx)).await.unwrap();
    (wait_for_mail(ctx, to).await.token(), device_secret)
}

async fn redeem_code(ctx: &Context, (email, digits): &(Email, String)) -> bool {
    match mailed_code::sign_in_with_code(ctx, email, digits, None, request_ctx(ctx)).await {
        Ok(_) => true,
        Err(Error::InvalidCode) => false,
        Err(other) => panic!("{other:?}"),
    }
}

async fn redeem_link(ctx: &Context, (token, device_secret): &(String, String)) -> bool {
    match magic_link::redeem(ctx, token, device_secret, request_ctx(ctx)).await {
        Ok(LoginStep::Complete(_)) => true,
        Ok(LoginStep::MfaRequired(_)) => panic!("there is no second factor"),
        Err(Error::InvalidLink(LinkKind::MagicLink)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// Creates an API key; returns it and an access token issued for it.
async fn create_key_and_token(ctx: &Context, user: &User) -> (String, String) {
    let project = projects::personal_project(ctx, user.id).await.unwrap();
    let new_key = api_keys::CreateApiKey {
        user: user.id,
        project,
        name: "a key".into(),
        scopes: vec![],
        expires_at: None,
        owner_valid_after: user.sessions_valid_after,
    };
    let (_, key) = api_keys::create(ctx, new_key, Origin::process()).await.unwrap();
    let token = exchange_key(ctx, key.reveal()).await.unwrap();
    (key.reveal().to_owned(), token)
}

async fn exchange_key(ctx: &Context, key: &str) -> Result<String, Error> {
    issue_for_api_key(ctx, key, None, request_ctx(ctx)).await.map(|issued| issued.access)
}

fn print_result(row: &str, direction: &str, result: &serde_json::Value) {
    let skew = SKEW.as_millis() as u64;
    println!("fault {}", json!({"row": row, "clock": direction, "skew_ms": skew, "result": result}));
}
