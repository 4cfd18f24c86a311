//! A user as one line of JSON: what `users export` writes and `users import` reads. The id is in it, so that a user who
//! moves from one Signet to another keeps the `sub` by which other services know it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::accounts::User;

/// See above. Unknown fields are refused: a misspelt `disabled` must not let anybody in.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its id; without one, a new one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// The e-mail address.
    pub email: String,
    /// The username.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// The password's hash, in any spelling that can be imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Whether the address is known to be the user's.
    #[serde(default)]
    pub verified: bool,
    /// Whether the user may not sign in.
    #[serde(default)]
    pub disabled: bool,
    /// Whether the user may do everything.
    #[serde(default)]
    pub superuser: bool,
    /// What else the user may do.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Whether a second factor was on. Its secret is sealed by the Signet that has it, and stays there.
    #[serde(default)]
    pub second_factor: bool,
    /// What the user has to spend.
    #[serde(default)]
    pub token_balance: i64,
    /// What the user has spent.
    #[serde(default)]
    pub tokens_used: i64,
    /// What the user subscribes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_tier: Option<String>,
    /// When the user was made; without it, now.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "moment")]
    pub created_at: Option<Timestamp>,
}

impl Record {
    /// The record of a user, with the password's hash or without.
    pub(super) fn of(user: &User, with_hash: bool) -> Self {
        Self {
            id: Some(user.id),
            email: user.email.clone(),
            username: user.username.clone(),
            full_name: user.full_name.clone(),
            password_hash: user.password_hash.as_ref().filter(|_| with_hash).map(|hash| hash.0.clone()),
            verified: user.verified,
            disabled: user.disabled,
            superuser: user.superuser,
            roles: user.roles.clone(),
            second_factor: user.totp.is_some(),
            token_balance: user.billing.token_balance,
            tokens_used: user.billing.tokens_used,
            subscription_tier: user.billing.subscription_tier.clone(),
            created_at: Some(user.created_at),
        }
    }
}

fn moment<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| {
        serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &"a time such as 2024-01-31T12:00:00Z")
    })?;
    Ok(Some(Timestamp::from_millis((moment.unix_timestamp_nanos() / 1_000_000) as i64)))
}
