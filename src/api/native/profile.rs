//! A user as the user sees it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::accounts::update::CustomClaims;
use crate::auth::context::Context;
use crate::auth::{Error, User, mfa};
use crate::clock::Timestamp;
use crate::id::UserId;

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": "019a8b1c-0000-7abc-9def-0123456789ab",
    "number": 7,
    "email": "zoe@example.org",
    "email_verified": true,
    "username": "zoe",
    "full_name": "Zoe Tam",
    "roles": ["editor"],
    "superuser": false,
    "has_password": true,
    "mfa": {"enabled": true, "recovery_codes_left": 9},
    "claims": {"plan": "pro", "seats": 5},
    "created_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
    "auth_time": "2026-02-14T08:30:00Z",
})))]
pub(super) struct Profile<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    /// A small integer, unique and never reused.
    number: i64,
    #[schema(format = Email)]
    email: &'a str,
    email_verified: bool,
    username: Option<&'a str>,
    full_name: Option<&'a str>,
    roles: &'a [String],
    superuser: bool,
    /// False if the user signs in by other means.
    has_password: bool,
    mfa: Mfa,
    /// The custom claims, which an administrator sets.
    #[schema(value_type = Object)]
    claims: CustomClaims,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// When the user of this access token signed in; null for an API key.
    #[schema(value_type = Option<String>, format = DateTime)]
    auth_time: Option<Timestamp>,
}

/// The state of the second factor.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"enabled": true, "recovery_codes_left": 9})))]
pub(super) struct Mfa {
    enabled: bool,
    /// The number of recovery codes that were not used yet.
    recovery_codes_left: usize,
}

impl<'a> Profile<'a> {
    /// `auth_time`: that of the caller's token, if the caller is the user.
    pub(super) async fn of(ctx: &Context, user: &'a User, auth_time: Option<Timestamp>) -> Result<Self, Error> {
        Ok(Self::with_recovery_codes(user, mfa::recovery_codes_left(ctx, user).await?, auth_time))
    }

    /// The same with the number of recovery codes, which was read before.
    pub(super) fn with_recovery_codes(
        user: &'a User,
        recovery_codes_left: usize,
        auth_time: Option<Timestamp>,
    ) -> Self {
        Self {
            id: user.id,
            number: user.number,
            email: &user.email,
            email_verified: user.verified,
            username: user.username.as_deref(),
            full_name: user.full_name.as_deref(),
            roles: &user.roles,
            superuser: user.superuser,
            has_password: user.password_hash.is_some(),
            mfa: Mfa { enabled: user.totp.is_some(), recovery_codes_left },
            claims: CustomClaims::from_stored(user.custom_claims.as_deref()),
            created_at: user.created_at,
            updated_at: user.updated_at,
            auth_time,
        }
    }
}
