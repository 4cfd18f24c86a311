//! The ways to sign in. Each recognizes a user and then opens a session through [`open_session`], which makes the
//! checks that none may skip.

pub mod login_step;
pub mod magic_link;
pub mod mailed_code;
pub mod new_password;
pub mod open_session;
pub mod password;

use crate::auth::request_context::RequestContext;
use crate::id::UserId;

/// Logs a refused sign-in: one line at info, with the user if the account exists. Never logs a login name or an
/// address, because people type passwords into the wrong field.
fn log_failed_sign_in(request_ctx: RequestContext<'_>, user: Option<UserId>, reason: &'static str) {
    let user = user.map(tracing::field::display);
    let (client_ip, dialect) = (request_ctx.client_ip, request_ctx.dialect);
    tracing::info!(user, %client_ip, dialect, reason, "sign-in failed");
}
