//! The settings of the record of security events.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use zeroize::Zeroizing;

use super::super::audit::{Audit, Webhook, WebhookSecret};
use super::super::reader::{Reader, Section};
use super::super::{Config, SecretUrl};
use super::{days, minutes, ms, seconds};
use crate::config::values::{DurationRange, Integer, ValueType};

pub(super) fn audit(from: &mut Section<'_>) -> Audit {
    let url = from.read_option("webhook_url", WebhookAddress);
    let secret = from.read_option("webhook_secret", WebhookKey);
    Audit {
        events: from.read("events", Integer(100, 10_000_000), 50_000) as u32,
        events_per_user: from.read("events_per_user", Integer(0, 1_000), 50) as u32,
        keep: from.read("keep", DurationRange(minutes(1), days(3650)), days(30)),
        // A URL without a secret is reported by `check_rules`.
        webhook: match (url, secret) {
            (Some(url), secret) => {
                Some(Webhook { url, secret: secret.unwrap_or_else(|| WebhookSecret(Zeroizing::default())) })
            }
            (None, _) => None,
        },
        command_timeout: from.read("command_timeout", DurationRange(ms(100), minutes(10)), seconds(2)),
    }
}

pub(super) fn check_rules(config: &Config, from: &mut Reader) {
    if config.audit.webhook.as_ref().is_some_and(|webhook| webhook.secret.0.is_empty()) {
        from.conflict(
            "audit.webhook_url",
            "requires audit.webhook_secret, by which the receiver recognizes our requests. Generate one with \
             `openssl rand -base64 32`",
        );
    }
    let is_given = |name: &str| config.given.iter().any(|setting| setting.name == name);
    if is_given("audit.webhook_secret") && !is_given("audit.webhook_url") {
        from.conflict("audit.webhook_secret", "requires audit.webhook_url: the service that events are sent to");
    }
}

/// The URL of a webhook. It may contain a token.
struct WebhookAddress;
impl ValueType for WebhookAddress {
    type Value = SecretUrl;
    const SECRET: bool = true;
    fn allowed(&self) -> String {
        "an http or https URL, such as https://hooks.example.com/signet".to_owned()
    }
    fn parse(&self, text: &str) -> Option<SecretUrl> {
        let url = url::Url::parse(text).ok()?;
        let fits = matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none();
        (fits && text.parse::<http::Uri>().is_ok()).then(|| SecretUrl(text.to_owned()))
    }
}

/// The key of a webhook in base64, with the prefix that libraries for Standard Webhooks give it, or without.
struct WebhookKey;
impl ValueType for WebhookKey {
    type Value = WebhookSecret;
    const SECRET: bool = true;
    fn allowed(&self) -> String {
        "24 to 64 random bytes in base64, as `openssl rand -base64 32` prints them; whsec_ may precede them".to_owned()
    }
    fn parse(&self, text: &str) -> Option<WebhookSecret> {
        let text = text.strip_prefix("whsec_").unwrap_or(text);
        let key = Zeroizing::new(STANDARD_PAD_INDIFFERENT.decode(text).ok()?);
        (24..=64).contains(&key.len()).then_some(WebhookSecret(key))
    }
}
