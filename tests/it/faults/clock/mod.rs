//! A clock is a minute and a half off, or is set back: tokens are judged by the leeway and by nothing more, no code and no step is good
//! twice, and what one node ends is over for all.
//!
//! What each rule says is tried on nodes without a program around them, each with a clock by hand, over one Redis and one Postgres; of the
//! embedded default there is one node, whose clock is set back. [`program`] holds real nodes under load to the ledger meanwhile.

mod apart;
mod program;
mod set_back;

use std::net::IpAddr;

use serde_json::json;
use signet::auth::Error;
use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::accounts::disable::set_disabled;
use signet::auth::identity::Email;
use signet::auth::accounts::projects;
use signet::auth::api_keys;
use signet::auth::context::Context;
use signet::auth::error::LinkKind;
use signet::auth::sign_in::login_step::LoginStep;
use signet::auth::mfa::enable_without_confirmation;
use signet::auth::passwords::Password;
use signet::auth::revocation::feed::{catch_up, remove_expired};
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::auth::sessions::tokens::TokenPair as Tokens;
use signet::auth::sign_in::open_session::open_session;
use signet::auth::sessions::refresh::{RotationPolicy, refresh};
use signet::auth::sessions::sign_out::{SignOutScope, sign_out, sign_out_everyone, sign_out_user_as_admin};
use signet::auth::sign_in::{magic_link, mailed_code};
use signet::auth::tokens::client_credentials::issue_for_api_key;
use signet::auth::tokens::verify::{TokenError as Flaw, VerifyError, verify_access_token, verify_api_key};
use signet::clock::{Clock, Timestamp};
use signet::config::Config;
use signet::store::accounts::{Find, User};

use super::*;
use crate::support::fleet::TestFleet;
use crate::support::outbox::{Mail, mails_in};
use crate::support::totp::code_at;
use crate::support::{postgres, redis, until};

/// How far a clock is off.
const OFF: Duration = Duration::from_secs(90);
const MILLI: Duration = Duration::from_millis(1);

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Ahead,
    Behind,
}

/// Two nodes, one of which is on time.
struct Pair {
    fleet: TestFleet,
    on_time: Context,
    off: Context,
    off_clock: Clock,
    way: Way,
}

fn off_by(clock: &Clock, way: Way) -> Clock {
    let now = clock.now();
    Clock::manual(if way == Way::Ahead { now + OFF } else { now - OFF })
}

impl Pair {
    async fn new(way: Way, change: impl Fn(&mut Config)) -> Self {
        let fleet = TestFleet::new(Some((redis::Server::start(), postgres::Server::start()))).await;
        let off_clock = off_by(&fleet.clock, way);
        let on_time = fleet.node_with(&change).await;
        let off = fleet.node_with_clock(off_clock.clone(), &change).await;
        Self { fleet, on_time, off, off_clock, way }
    }

    /// Either acts, and the other is to feel it.
    fn each_way(&self) -> [(&Context, &Context); 2] {
        [(&self.on_time, &self.off), (&self.off, &self.on_time)]
    }

    fn pass(&self, span: Duration) {
        self.fleet.clock.advance(span);
        self.off_clock.advance(span);
    }

    /// Both hear what there is to hear.
    async fn hear(&self) {
        for ctx in [&self.on_time, &self.off] {
            catch_up(ctx).await.unwrap();
        }
    }

    fn is(&self) -> String {
        format!("{:?}", self.way)
    }
}

fn request_ctx(ctx: &Context) -> RequestContext<'_> {
    let address = IpAddr::from([192, 0, 2, 1]);
    let lives = &ctx.node.config.api.native;
    RequestContext {
        dialect: "native",
        dialect_config: lives,
        client_ip: address,
        rate_limit_ip: address,
        user_agent: None,
        language: None,
        extra_claims: ExtraClaims::None,
    }
}

async fn someone(ctx: &Context, name: &str) -> User {
    let password = Some(Password::new(PASSWORD.to_owned()));
    let wanted = CreateUser { email: format!("{name}@example.org"), password, verified: true, ..CreateUser::default() };
    create_user(ctx, wanted, ctx.node.password_policy).await.unwrap()
}

async fn row(ctx: &Context, user: &User) -> User {
    ctx.accounts.user(Find::Id(user.id)).await.unwrap().unwrap()
}

async fn signed_in(ctx: &Context, user: &User) -> Tokens {
    open_session(ctx, &row(ctx, user).await, None, request_ctx(ctx)).await.unwrap()
}

async fn refreshed(ctx: &Context, token: &str) -> Result<Tokens, Error> {
    refresh(ctx, token, None, RotationPolicy::Rotate, request_ctx(ctx)).await
}

fn reason(ctx: &Context, token: &str) -> Option<VerifyError> {
    verify_access_token(ctx, token).err()
}

/// A mail to this address, as soon as it is there.
async fn mailed(ctx: &Context, to: &str) -> Mail {
    let mut found = None;
    until(&format!("a mail comes to {to}"), async || {
        found = mails_in(&ctx.node.config.data_dir, to).pop();
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// Asks for a code, and gives it.
async fn code(ctx: &Context, to: &str) -> (Email, String) {
    let email = Email::parse(to).unwrap();
    mailed_code::send_code(ctx, &email, request_ctx(ctx)).await.unwrap();
    (email, mailed(ctx, to).await.code())
}

/// Asks for a link, and gives its two halves.
async fn link(ctx: &Context, to: &str) -> (String, String) {
    let half = magic_link::request_link(ctx, to, request_ctx(ctx)).await.unwrap();
    (mailed(ctx, to).await.token(), half)
}

async fn code_is_good(ctx: &Context, (email, digits): &(Email, String)) -> bool {
    match mailed_code::sign_in_with_code(ctx, email, digits, None, request_ctx(ctx)).await {
        Ok(_) => true,
        Err(Error::InvalidCode) => false,
        Err(other) => panic!("{other:?}"),
    }
}

async fn link_is_good(ctx: &Context, (token, half): &(String, String)) -> bool {
    match magic_link::redeem(ctx, token, half, request_ctx(ctx)).await {
        Ok(LoginStep::Complete(_)) => true,
        Ok(LoginStep::MfaRequired(_)) => panic!("there is no second factor"),
        Err(Error::InvalidLink(LinkKind::MagicLink)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// A key of the user's, and a token that was made of it.
async fn key_and_token(ctx: &Context, user: &User) -> (String, String) {
    let project = projects::list_projects(ctx, user.id).await.unwrap()[0].id;
    let wanted =
        api_keys::CreateApiKey { user: user.id, project, name: "a key".into(), scopes: vec![], expires_at: None };
    let (_, key) = api_keys::create(ctx, wanted).await.unwrap();
    let token = exchanged(ctx, key.reveal()).await.unwrap();
    (key.reveal().to_owned(), token)
}

async fn exchanged(ctx: &Context, key: &str) -> Result<String, Error> {
    let lives = ctx.node.config.api.native.access;
    issue_for_api_key(ctx, key, None, lives).await.map(|exchanged| exchanged.access)
}

fn held(row: &str, way: &str, figures: &serde_json::Value) {
    println!("fault {}", json!({"row": row, "clock": way, "off_ms": OFF.as_millis() as u64, "held": figures}));
}
