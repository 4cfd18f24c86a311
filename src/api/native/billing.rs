//! Billing: balances and tiers, changed by services that charge users.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Problem, check_name};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{FORBIDDEN, credential};
use crate::auth::accounts::billing::{BillingChange, change_billing};
use crate::auth::context::Context;
use crate::auth::tokens::caller::authenticate;
use crate::auth::{Error, User};
use crate::http::{Request, Response, json};
use crate::id::UserId;

/// Changes to a user's billing. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"token_balance": -150, "tokens_used": 150}), json!({"subscription_tier": "pro"})))]
pub(super) struct UpdateBilling {
    /// Added to the balance; a debit is negative.
    #[serde(default)]
    token_balance: i64,
    /// Added to the tokens used.
    #[serde(default)]
    tokens_used: i64,
    /// The new tier; null for none.
    #[serde(default, deserialize_with = "json::double_option")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    subscription_tier: Option<Option<String>>,
}

/// The balance, usage and tier of a user.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "user_id": "019a8b1c-0000-7abc-9def-0123456789ab",
    "token_balance": 850,
    "tokens_used": 150,
    "subscription_tier": "pro",
})))]
pub(super) struct Billing {
    #[schema(value_type = uuid::Uuid)]
    user_id: UserId,
    #[schema(minimum = 0)]
    token_balance: i64,
    #[schema(minimum = 0)]
    tokens_used: i64,
    subscription_tier: Option<String>,
}

impl From<User> for Billing {
    fn from(user: User) -> Self {
        Self {
            user_id: user.id,
            token_balance: user.billing.token_balance,
            tokens_used: user.billing.tokens_used,
            subscription_tier: user.billing.subscription_tier,
        }
    }
}

/// Update a user's billing
///
/// Amounts are added atomically. A change that would make one of them negative is refused as a whole. For superusers,
/// and for their API keys with the scope `billing:write` or `admin`.
#[utoipa::path(
    patch,
    path = "/admin/users/{id}/billing",
    operation_id = "native_admin_billing",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    request_body = UpdateBilling,
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The user's billing after the change.", body = Billing)),
)]
async fn update_billing(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, credential(&request)).await?;
    let body: UpdateBilling = request.json().await?;
    if let Some(Some(tier)) = &body.subscription_tier {
        check_name("subscription_tier", tier)?;
    }
    let user = UserId::parse(request.param("id")).ok_or(Error::NotFound)?;
    let change = BillingChange {
        token_balance: body.token_balance,
        tokens_used: body.tokens_used,
        subscription_tier: body.subscription_tier,
    };
    let user = change_billing(&ctx, &caller, user, &change).await?;
    Ok(Response::json(StatusCode::OK, &Billing::from(user)).no_store())
}

pub(super) const UPDATE_BILLING: Endpoint = endpoint! {
    handler: update_billing,
    metric_label: "native.admin-billing",
    errors: [FORBIDDEN, Error::NotFound, Error::BalanceOutOfRange],
};
