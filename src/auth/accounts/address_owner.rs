//! The owner of an address. The client has just proved, by a mailed code or a magic link, that it reads the mail.

use crate::auth::Error;
use crate::auth::accounts::create::{CreateUser, create_user};
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::email_proof::EmailProof;
use crate::auth::one_time::CheckedSecret;
use crate::auth::request_context::RequestContext;
use crate::auth::run_to_completion::run_to_completion;
use crate::store::accounts::{Find, User};

/// Why a code or link that was right proves nothing.
pub(in crate::auth) enum VoidProof {
    /// Another request has used it.
    Used,
    /// The user was deleted, has another address, or had all sign-ins revoked since the row was read.
    Revoked,
}

/// Consumes a code or link, and returns the user with this canonical address, verified. `known` is the row as it was
/// read before; without one, creates the account.
///
/// If the account cannot be created or changed, the code or link works again. If it was changed nevertheless, and only
/// the response was lost, `sessions_valid_after` has risen, which voids the code or link. If it was created, the code
/// or link signs in to it, as it would have done at first.
pub(in crate::auth) async fn prove_owner(
    ctx: &Context,
    proof: CheckedSecret,
    address: &str,
    known: Option<User>,
    request_ctx: RequestContext<'_>,
) -> Result<Result<User, VoidProof>, Error> {
    let (ctx, address) = (ctx.clone(), address.to_owned());
    let (dialect_config, request_ctx) = (request_ctx.dialect_config.clone(), request_ctx.into_owned());
    run_to_completion(async move {
        let request_ctx = request_ctx.borrow(&dialect_config);
        let Some(held) = proof.hold(&ctx).await? else { return Ok(Err(VoidProof::Used)) };
        let owner = held.spend(&ctx, find_or_create(&ctx, &address, known, request_ctx)).await?;
        Ok(owner.ok_or(VoidProof::Revoked))
    })
    .await
}

/// `None` if the code or link was revoked.
async fn find_or_create(
    ctx: &Context,
    address: &str,
    known: Option<User>,
    request_ctx: RequestContext<'_>,
) -> Result<Option<User>, Error> {
    if let Some(user) = known {
        return prove(ctx, user, request_ctx).await;
    }
    let new_user = CreateUser { email: address.to_owned(), verified: true, ..CreateUser::default() };
    match create_user(ctx, new_user).await {
        // Another request created an account with the address meanwhile. This client has proved that it reads the mail
        // of the address.
        Err(Error::EmailTaken) => match ctx.accounts.user(Find::Email(address)).await? {
            Some(user) => prove(ctx, user, request_ctx).await,
            None => Ok(None),
        },
        created => {
            let user = created?;
            audit::record(ctx, Event::of_user(EventType::UserRegistered, user.id, Origin::request(request_ctx)));
            Ok(Some(user))
        }
    }
}

async fn prove(ctx: &Context, user: User, request_ctx: RequestContext<'_>) -> Result<Option<User>, Error> {
    if user.verified {
        return Ok(Some(user));
    }
    EmailProof::new(&user, request_ctx).apply(ctx, None).await
}
