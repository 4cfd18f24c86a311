//! Making an account of one's own, where registration is open.

use super::create_user::{Wanted, create_user};
use super::open_session::Door;
use super::password::Policy;
use super::{Failure, limit};
use crate::app::App;
use crate::store::accounts::User;

/// Makes an account, whose password meets the rules of the door it is made at.
pub async fn sign_up(app: &App, wanted: Wanted, door: Door<'_>) -> Result<User, Failure> {
    if !app.node.config.accounts.open_registration {
        return Err(Failure::RegistrationClosed);
    }
    limit::of_sign_ups(app, door.counted_by).await?;
    create_user(app, wanted, Policy::of(door.lives, &app.node.config.passwords)).await
}
