//! Requests that create something, and that a client may repeat because it does not know whether the first attempt
//! succeeded. Such a request carries a key that the client has chosen. The first success is stored with it, and a
//! repetition gets the stored response instead of a second object.
//!
//! Only a success is stored: a request that failed has created nothing, so its repetition is executed. A key belongs to
//! its requester and its operation. With another content it is refused, because it can only be a mistake. The stored
//! response is sealed, because it may contain an API key. The content is stored as a MAC, because it may contain a
//! password.
//!
//! If the store or the node fails between the creation and storing the response, a repetition is executed after the
//! reservation has expired, and finds what was created (`email_taken`).

use std::net::IpAddr;
use std::time::Duration;

use crate::auth::context::Context;
use crate::auth::error::IdempotencyError;
use crate::auth::rate_limit::LimitedAction;
use crate::auth::request_context::RequestContext;
use crate::auth::{Error, rate_limit};
use crate::clock::request_budget::continue_budget;
use crate::encoding::{sha256, short_sha256};
use crate::id::UserId;
use crate::store::ephemeral::{IdempotentRequest, KeyReservation};

/// How long a response is kept.
const RESPONSE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a key is reserved for a request that does not end, beyond the time that a request may take. An ordinary one
/// stores its response or releases the key.
const RESERVATION_MARGIN: Duration = Duration::from_secs(60);

/// The longest response that is stored, so that keys do not fill the store. No response of ours is as long.
const MAX_RESPONSE: usize = 16 * 1024;

/// The usage that a response is sealed for.
const USAGE: &str = "response to an idempotent request";

/// A request with an idempotency key.
#[derive(Clone, Copy, Debug)]
pub struct RepeatableRequest<'a> {
    /// The name of the operation.
    pub operation: &'static str,
    /// The requester.
    pub requester: Requester,
    /// The key that the client has chosen.
    pub key: &'a str,
    /// The content of the request.
    pub body: &'a [u8],
}

/// The requester that an idempotency key belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Requester {
    /// A user who is authenticated.
    User(UserId),
    /// An administrator who is authenticated.
    Administrator(UserId),
    /// A network, for requests without authentication.
    Network(IpAddr),
}

/// Executes `work` and returns its response; if `request` was executed before, returns the stored response instead.
/// Once begun, the work is completed even if the client disconnects, so that its response is stored.
///
/// Rate-limited, because a key is written before the work has counted anything, also if the work is refused. An
/// administrator may create any number of users.
pub async fn run_once<E>(
    ctx: &Context,
    request: RepeatableRequest<'_>,
    request_ctx: RequestContext<'_>,
    work: impl Future<Output = Result<Vec<u8>, E>> + Send + 'static,
) -> Result<Vec<u8>, E>
where
    E: From<Error> + Send + 'static,
{
    match request.requester {
        Requester::User(user) => rate_limit::check_costly(ctx, user, request_ctx).await?,
        Requester::Network(_) => rate_limit::check_client(ctx, LimitedAction::CostlyClient, request_ctx).await?,
        Requester::Administrator(_) => {}
    }
    let now = ctx.now();
    let (key, fingerprint) = (store_key(&request), sha256(&ctx.node.secrets.mac(request.body)));
    let stored_request = IdempotentRequest { key: &key, fingerprint };
    let reserved_until = now + ctx.node.config.server.request_timeout + RESERVATION_MARGIN;
    let reserved = ctx.ephemeral.reserve_idempotency_key(stored_request, reserved_until, now).await;
    match reserved.map_err(Error::from)? {
        KeyReservation::Reserved => {}
        KeyReservation::InProgress => return Err(Error::Idempotency(IdempotencyError::InProgress).into()),
        KeyReservation::OtherRequest => return Err(Error::Idempotency(IdempotencyError::KeyReused).into()),
        KeyReservation::Completed(sealed) => return Ok(open(ctx, &sealed)?),
    }
    let ctx = ctx.clone();
    let completed = tokio::spawn(continue_budget(async move {
        let result = work.await;
        let stored_request = IdempotentRequest { key: &key, fingerprint };
        let stored = match &result {
            Ok(response) if response.len() <= MAX_RESPONSE => store(&ctx, stored_request, response).await,
            Ok(_) | Err(_) => {
                ctx.ephemeral.release_idempotency_key(stored_request, ctx.now()).await.map_err(Error::from)
            }
        };
        if let Err(error) = stored {
            tracing::warn!(%error, "cannot store the outcome of a request with an idempotency key");
        }
        result
    }));
    completed.await.map_err(|_| Error::Internal("an operation panicked or was aborted"))?
}

async fn store(ctx: &Context, request: IdempotentRequest<'_>, response: &[u8]) -> Result<(), Error> {
    let sealed = ctx.node.secrets.seal(USAGE, response, &ctx.node.rng);
    let sealed = sealed.map_err(|_| Error::Internal("a response cannot be sealed"))?;
    let now = ctx.now();
    Ok(ctx.ephemeral.complete_idempotency_key(request, &sealed, now + RESPONSE_LIFETIME, now).await?)
}

fn open(ctx: &Context, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let opened = ctx.node.secrets.open(USAGE, sealed).map_err(|error| {
        tracing::error!(%error, "cannot unseal a stored response; was a secret removed too early?");
        Error::Internal("a stored response cannot be unsealed")
    })?;
    Ok(opened.to_vec())
}

/// The key in the store: a digest, so that its length is bounded and no text of the client's is in the names of keys.
fn store_key(request: &RepeatableRequest<'_>) -> String {
    let RepeatableRequest { operation, requester, key, .. } = request;
    let requester = match requester {
        Requester::User(user) | Requester::Administrator(user) => user.to_string(),
        Requester::Network(network) => network.to_string(),
    };
    short_sha256(format!("{operation}\n{requester}\n{key}").as_bytes(), 16)
}
