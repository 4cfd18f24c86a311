//! The methods of signing in. Each recognizes a user and then opens a session through [`open_session`], which makes the
//! checks that none may skip.

pub mod login_step;
pub mod magic_link;
pub mod mailed_code;
pub mod new_password;
pub mod open_session;
pub mod password;
mod single_use;

use crate::auth::audit::{self, Event, EventType, Origin, SignInMethod};
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::id::UserId;

/// Records a refused sign-in, with the user if the account exists. Never with a login name or an address, because people
/// type passwords into the wrong field.
fn record_refusal(
    ctx: &Context,
    method: Option<SignInMethod>,
    request_ctx: RequestContext<'_>,
    user: Option<UserId>,
    reason: &'static str,
) {
    let event = Event::new(EventType::SignInRefused, Origin::request(request_ctx));
    audit::record(ctx, event.user(user).method(method).reason(reason));
}
