//! Deleting a user: projects, keys and sessions go with it.

use super::Failure;
use super::sign_out::sign_out_for_good;
use crate::app::App;
use crate::id::UserId;

/// Deletes a user. Sign-ins under way are stopped first, by a mark that no row's value passes, so none of them can open a session
/// for somebody who is gone.
pub async fn delete_user(app: &App, user: UserId) -> Result<(), Failure> {
    let row = app.accounts.end_sign_ins(user, app.now()).await?.ok_or(Failure::Absent)?;
    sign_out_for_good(app, user, row.sessions_valid_after).await?;
    if app.accounts.delete_user(user).await? {
        // A sign-in that read the row between the two could have opened a session.
        sign_out_for_good(app, user, crate::time::Timestamp::from_millis(i64::MAX)).await?;
        Ok(())
    } else {
        Err(Failure::Absent)
    }
}
