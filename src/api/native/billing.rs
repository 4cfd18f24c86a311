//! Billing, as services that charge change it.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Problem, named};
use crate::auth::accounts::billing::{BillingChange, change_billing};
use crate::auth::context::Context;
use crate::auth::tokens::caller::authenticate;
use crate::auth::{Error, User};
use crate::http::{Request, Response, json};
use crate::id::UserId;

/// What to change of a user's billing; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"token_balance": -150, "tokens_used": 150}), json!({"subscription_tier": "pro"})))]
pub(super) struct Change {
    /// Added to the balance; a debit is negative.
    #[serde(default)]
    token_balance: i64,
    /// Added to what was used.
    #[serde(default)]
    tokens_used: i64,
    /// The new tier; null for none.
    #[serde(default, deserialize_with = "json::given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    subscription_tier: Option<Option<String>>,
}

/// What a user has to spend and has spent.
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

/// Changes a user's billing.
///
/// Sums are added, in one step with all others, and never sink below zero: where one would, nothing is changed. For a superuser,
/// or an API key with the scope `billing:write`.
#[utoipa::path(
    patch,
    path = "/admin/users/{id}/billing",
    operation_id = "native_admin_billing",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    request_body = Change,
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "What the user has now.", body = Billing)),
)]
pub(super) async fn change(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, crate::api::credential(&request)).await?;
    let asked: Change = request.json().await?;
    if let Some(Some(tier)) = &asked.subscription_tier {
        named("subscription_tier", tier)?;
    }
    let user = UserId::parse(request.param("id")).ok_or(Error::NotFound)?;
    let change = BillingChange {
        token_balance: asked.token_balance,
        tokens_used: asked.tokens_used,
        subscription_tier: asked.subscription_tier,
    };
    let user = change_billing(&ctx, &caller, user, &change).await?;
    Ok(Response::json(StatusCode::OK, &Billing::from(user)).no_store())
}
