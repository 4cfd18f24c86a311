//! The settings of this node.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, require_superuser};
use crate::api::FORBIDDEN;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::context::Context;
use crate::config::{Setting, Source};
use crate::http::{Request, Response};

/// The settings.
#[derive(Serialize, ToSchema)]
struct Settings {
    /// In the order of `config.toml`.
    settings: Vec<SettingValue>,
}

/// A setting.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "name": "server.listen",
    "value": "0.0.0.0:8000",
    "source": "environment",
    "from": "SIGNET_SERVER__LISTEN",
    "changed": true,
    "secret": false,
    "description": "Address of the APIs.",
})))]
struct SettingValue {
    name: String,
    /// The value as it is written in the settings; `…` if it is secret, null if it has none.
    value: Option<String>,
    source: SettingSource,
    /// The variable, or the file and the line.
    from: Option<String>,
    /// True if the value is not the default. A settings file may repeat defaults.
    changed: bool,
    secret: bool,
    description: String,
}

/// The source of a setting.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SettingSource {
    Default,
    File,
    Environment,
    Flag,
}

/// List the settings
///
/// The settings of the node that serves the request, each with its source. Secrets are masked. For superusers, and for
/// their API keys with the scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/settings",
    operation_id = "native_admin_settings",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The settings.", body = Settings)),
)]
async fn list(ctx: Context, request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    let settings = ctx.node.config.settings().into_iter().map(SettingValue::from).collect();
    Ok(Response::json(StatusCode::OK, &Settings { settings }).no_store())
}

pub(super) const LIST: Endpoint = endpoint! {
    handler: list,
    metric_label: "native.admin-settings",
    errors: [FORBIDDEN],
};

impl From<Setting> for SettingValue {
    fn from(setting: Setting) -> Self {
        let (source, from) = match &setting.source {
            Source::BuiltIn => (SettingSource::Default, None),
            Source::File { .. } => (SettingSource::File, Some(setting.source.to_string())),
            Source::Environment(variable) => (SettingSource::Environment, Some(variable.clone())),
            Source::Flag => (SettingSource::Flag, None),
        };
        let Setting { name, value, is_changed, is_secret, description, .. } = setting;
        Self { name, value, source, from, changed: is_changed, secret: is_secret, description }
    }
}
