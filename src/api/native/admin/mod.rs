//! Administration: users, credentials, keys and the state of the server. For superusers, by their current row, and for
//! API keys of superusers with the scope `admin`. A change that a stolen access token must not suffice for needs a recent
//! sign-in.
//!
//! Must not know the console, which is one of the clients of these calls.

mod api_keys;
mod inspect;
mod keys;
mod mail;
mod overview;
mod settings;
mod sign_out;
pub(super) mod user;
mod user_sign_ins;
mod users;

use super::query::{Limit, invalid_query, limit};
use super::{Problem, request_context};
use crate::api::credential;
use crate::api::endpoint::EndpointGroup;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::tokens::caller::authenticate;
use crate::auth::{Error, User};
use crate::http::{IntoResponse, Request};
use crate::id::UserId;

pub(super) use api_keys::ApiKeySort;
pub(super) use keys::KeyAlgorithm;
pub(super) use users::UserStatusName;

/// The calls.
pub(super) const GROUP: EndpointGroup = EndpointGroup {
    scope: "/admin",
    renderer: |error, _| Problem::from(error).into_response(),
    error_schema: |_| "ProblemDocument",
    endpoints: &[
        users::LIST,
        users::CREATE,
        users::READ,
        users::UPDATE,
        users::DELETE,
        super::billing::UPDATE_BILLING,
        sign_out::SIGN_OUT_USER,
        sign_out::SIGN_OUT_EVERYONE,
        user_sign_ins::LIST,
        user_sign_ins::END,
        user_sign_ins::RESET_MFA,
        user_sign_ins::SEND_RESET_LINK,
        api_keys::LIST,
        api_keys::DEACTIVATE,
        keys::LIST,
        keys::ROTATE,
        keys::REVOKE,
        inspect::INSPECT,
        settings::LIST,
        mail::STATE,
        mail::LIST_OUTBOX,
        mail::READ_LETTER,
        mail::SEND_TEST,
        overview::OVERVIEW,
        super::audit::LIST_EVENTS,
    ],
};

/// The caller's row, if the caller is a superuser.
async fn require_superuser(ctx: &Context, request: &Request) -> Result<User, Error> {
    authenticate(ctx, credential(request)).await?.require_superuser(ctx).await
}

/// The same for a sensitive change.
async fn require_recent_superuser(ctx: &Context, request: &Request) -> Result<User, Error> {
    authenticate(ctx, credential(request)).await?.require_recent_superuser(ctx).await
}

/// The origin of an administrator's request, for the record.
fn origin(ctx: &Context, by: &User, request: &Request) -> Origin {
    Origin::request_of(by.id, request_context(ctx, request))
}

/// The user in the path.
fn user_id(request: &Request) -> Result<UserId, Error> {
    UserId::parse(request.param("id")).ok_or(Error::NotFound)
}
