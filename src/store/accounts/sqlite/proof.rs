//! The proof of an address, and what it removes.

use rusqlite::{Connection, named_params};

use super::super::{
    Changed, Changes, EmailProved, NewPassword, RemovedCredentials, User, select_list, user_columns, user_select_list,
};
use super::users::raise_valid_after;
use super::{UserLookup, end_api_keys, users};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::sqlite::refuse_nul;

pub(super) fn prove_email(
    tx: &Connection,
    (user, email, valid_after): (UserId, &str, Timestamp),
    new_password: Option<&NewPassword>,
    now: Timestamp,
) -> rusqlite::Result<EmailProved> {
    let is_proved = |user: &User| user.email == email && user.sessions_valid_after == valid_after;
    let Some(before) = users::find(tx, &UserLookup::Id(user))?.filter(is_proved) else {
        return Ok(EmailProved::NotFound);
    };
    match (before.verified, new_password) {
        (true, None) => Ok(EmailProved::AlreadyVerified(Box::new(before))),
        (true, Some(new)) => {
            let changes = Changes {
                password_hash: Some(new.hash.clone()),
                ends_api_keys_with: new.ends_api_keys_with,
                ..Changes::default()
            };
            Ok(match users::change(tx, user, &changes, now)? {
                Changed::Changed(after) => EmailProved::AlreadyVerified(after),
                _ => EmailProved::NotFound,
            })
        }
        (false, new) => prove_first(tx, before, new, now),
    }
}

fn prove_first(
    tx: &Connection,
    before: User,
    new_password: Option<&NewPassword>,
    now: Timestamp,
) -> rusqlite::Result<EmailProved> {
    let hash = new_password.map(|new| &new.hash);
    refuse_nul(hash.map(|hash| hash.0.as_str()))?;
    let sql = concat!(
        "UPDATE users SET verified = 1, password_hash = :password_hash,
             totp = NULL, totp_step = NULL, recovery_codes = NULL, ",
        raise_valid_after!("true"),
        " WHERE id = :id RETURNING ",
        user_select_list!("users")
    );
    let values = named_params! { ":id": before.id, ":now": now, ":password_hash": hash };
    let Some(after) = users::find_one(tx, sql, values)? else {
        return Ok(EmailProved::NotFound);
    };
    let removed = RemovedCredentials {
        password: before.password_hash.is_some(),
        second_factor: before.totp.is_some(),
        api_keys: end_api_keys::all(tx, before.id, now)?,
    };
    Ok(EmailProved::First { user: Box::new(after), removed })
}
