//! A user, as administrators see it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::User;
use crate::auth::accounts::find::UserDetails;
use crate::auth::accounts::update::CustomClaims;
use crate::auth::api_keys::ApiKey;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = AdminUser, examples(json!({
    "id": "019a8b1c-0000-7abc-9def-0123456789ab",
    "number": 7,
    "email": "zoe@example.org",
    "email_verified": true,
    "username": "zoe",
    "full_name": "Zoe Tam",
    "disabled": false,
    "superuser": false,
    "roles": ["editor"],
    "claims": {"plan": "pro", "seats": 5},
    "has_password": true,
    "mfa": {"enabled": false},
    "billing": {"token_balance": 850, "tokens_used": 150, "subscription_tier": "pro"},
    "created_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
})))]
pub(in crate::api::native) struct AdminUser<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    number: i64,
    #[schema(format = Email)]
    email: &'a str,
    email_verified: bool,
    username: Option<&'a str>,
    full_name: Option<&'a str>,
    disabled: bool,
    superuser: bool,
    roles: &'a [String],
    /// The custom claims.
    #[schema(value_type = Object)]
    claims: CustomClaims,
    has_password: bool,
    mfa: MfaState,
    billing: UserBilling<'a>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The state of the second factor.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"enabled": true, "recovery_codes_left": 9})))]
struct MfaState {
    enabled: bool,
    /// The number of unused recovery codes; only where one user is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    recovery_codes_left: Option<usize>,
}

/// Balance, usage and tier.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"token_balance": 850, "tokens_used": 150, "subscription_tier": "pro"})))]
struct UserBilling<'a> {
    #[schema(minimum = 0)]
    token_balance: i64,
    #[schema(minimum = 0)]
    tokens_used: i64,
    subscription_tier: Option<&'a str>,
}

/// A user, and what belongs to it.
#[derive(Serialize, ToSchema)]
#[schema(as = AdminUserDetails)]
pub(in crate::api::native) struct AdminUserDetails<'a> {
    #[serde(flatten)]
    user: AdminUser<'a>,
    /// The number of open sessions; null while the store of sessions does not answer.
    sessions_open: Option<usize>,
    projects: Vec<UserProject<'a>>,
    /// The newest API keys, at most 100.
    api_keys: Vec<UserApiKey<'a>>,
}

/// A project of the user.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"id": "019a8b1c-0000-7abd-9def-0123456789ab", "name": "Personal"})))]
struct UserProject<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: ProjectId,
    name: &'a str,
}

/// An API key of the user.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": "019a8b1c-3d4e-7f41-8a1b-2c3d4e5f6071",
    "project_id": "019a8b1c-0000-7abd-9def-0123456789ab",
    "name": "reports",
    "prefix": "sk_Zx81cW0pQr7L",
    "scopes": ["introspect"],
    "created_at": "2026-01-31T12:00:00Z",
    "expires_at": "2027-01-31T12:00:00Z",
    "last_used_at": null,
    "deactivated_at": null,
    "active": true,
})))]
pub(super) struct UserApiKey<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: ApiKeyId,
    #[schema(value_type = uuid::Uuid)]
    project_id: ProjectId,
    name: &'a str,
    /// The first characters of the key, which identify it.
    prefix: &'a str,
    scopes: &'a [String],
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Accurate to one minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    deactivated_at: Option<Timestamp>,
    /// False if the key is deactivated or has expired.
    active: bool,
}

impl<'a> AdminUser<'a> {
    pub(super) fn new(user: &'a User, recovery_codes_left: Option<usize>) -> Self {
        Self {
            id: user.id,
            number: user.number,
            email: &user.email,
            email_verified: user.verified,
            username: user.username.as_deref(),
            full_name: user.full_name.as_deref(),
            disabled: user.disabled,
            superuser: user.superuser,
            roles: &user.roles,
            claims: CustomClaims::from_stored(user.custom_claims.as_deref()),
            has_password: user.password_hash.is_some(),
            mfa: MfaState { enabled: user.totp.is_some(), recovery_codes_left },
            billing: UserBilling {
                token_balance: user.billing.token_balance,
                tokens_used: user.billing.tokens_used,
                subscription_tier: user.billing.subscription_tier.as_deref(),
            },
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

impl<'a> AdminUserDetails<'a> {
    pub(super) fn new(details: &'a UserDetails, now: Timestamp) -> Self {
        Self {
            user: AdminUser::new(&details.user, Some(details.recovery_codes_left)),
            sessions_open: details.sessions_open,
            projects: details.projects.iter().map(|(id, name)| UserProject { id: *id, name }).collect(),
            api_keys: details.api_keys.iter().map(|key| UserApiKey::new(key, now)).collect(),
        }
    }
}

impl<'a> UserApiKey<'a> {
    pub(super) fn new(key: &'a ApiKey, now: Timestamp) -> Self {
        Self {
            id: key.id,
            project_id: key.project,
            name: &key.name,
            prefix: &key.prefix,
            scopes: &key.scopes,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            deactivated_at: key.deactivated_at,
            active: key.is_active(now),
        }
    }
}
