//! A user as one line of JSON: written by `users export`, read by `users import`.
//!
//! The id is part of it, so that a user who moves to another Signet keeps the `sub` that other services know.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::import::{ImportError, ImportUser, validate_import};
use crate::auth::context::Context;
use crate::auth::mfa::InvalidSecret;
use crate::clock::Timestamp;
use crate::encoding::decode_base32;
use crate::id::UserId;
use crate::store::accounts::{Billing, NewUser, PasswordHash, User};
use crate::token::custom_claims::CustomClaims;

/// One user. Unknown fields are refused, because a misspelt `disabled` must not enable an account.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct UserRecord {
    /// The user id. Without it, import generates one.
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
    /// The password hash, in any format that can be imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// The address is verified.
    #[serde(default)]
    pub verified: bool,
    /// The user cannot sign in.
    #[serde(default)]
    pub disabled: bool,
    /// The user has every permission.
    #[serde(default)]
    pub superuser: bool,
    /// Further permissions.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Custom claims.
    #[serde(default, skip_serializing_if = "CustomClaims::is_empty")]
    pub claims: CustomClaims,
    /// The secret of an authenticator app in base32, for six digits of SHA-1 that change every thirty seconds. Never
    /// exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp_secret: Option<Zeroizing<String>>,
    /// A second factor was enabled. Its secret is sealed with the exporting fleet's secret and is not exported.
    #[serde(default)]
    pub second_factor: bool,
    /// Billing: tokens left to spend.
    #[serde(default)]
    pub token_balance: i64,
    /// Billing: tokens spent.
    #[serde(default)]
    pub tokens_used: i64,
    /// Billing: the subscription tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_tier: Option<String>,
    /// When the user was created. Without it, the time of the import.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "deserialize_timestamp")]
    pub created_at: Option<Timestamp>,
}

impl UserRecord {
    /// The record of `user`, with or without the password hash.
    pub(super) fn from_user(user: &User, with_hash: bool) -> Self {
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
            claims: CustomClaims::from_stored(user.custom_claims.as_deref()),
            totp_secret: None,
            second_factor: user.totp.is_some(),
            token_balance: user.billing.token_balance,
            tokens_used: user.billing.tokens_used,
            subscription_tier: user.billing.subscription_tier.clone(),
            created_at: Some(user.created_at),
        }
    }
}

/// Checks a record as a sign-up is checked, and converts it to the row to store.
pub(in crate::cli) fn validate_record(ctx: &Context, record: &UserRecord) -> Result<NewUser, ImportError> {
    let secret = record.totp_secret.as_ref().map(|secret| decode_base32(secret).ok_or(InvalidSecret::NotBase32));
    let imported = ImportUser {
        user: CreateUser {
            email: record.email.clone(),
            username: record.username.clone(),
            full_name: record.full_name.clone(),
            password: None,
            verified: record.verified,
            disabled: record.disabled,
            superuser: record.superuser,
            roles: record.roles.clone(),
            custom_claims: record.claims.clone(),
        },
        id: record.id,
        password_hash: record.password_hash.clone().map(PasswordHash),
        totp_secret: secret.transpose()?.map(Zeroizing::new),
        billing: Billing {
            token_balance: record.token_balance,
            tokens_used: record.tokens_used,
            subscription_tier: record.subscription_tier.clone(),
        },
        created_at: record.created_at,
    };
    validate_import(ctx, imported)
}

fn deserialize_timestamp<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| {
        serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &"a time such as 2024-01-31T12:00:00Z")
    })?;
    Ok(Some(Timestamp::from_millis((moment.unix_timestamp_nanos() / 1_000_000) as i64)))
}
