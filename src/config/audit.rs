//! The settings of the record of security events.

use std::time::Duration;

use zeroize::Zeroizing;

use super::SecretUrl;

/// The destinations of security events besides the log, and the number that is kept.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Number of events of each class that are kept of all users together: actions, attempts, and privileged ones.
    pub events: u32,
    /// Number of events of each class that are kept of each user, for the user to see; 0: none.
    pub events_per_user: u32,
    /// Time for which an event is kept.
    pub keep: Duration,
    /// The service that every event is sent to.
    pub webhook: Option<Webhook>,
    /// The longest wait of a command for that service, for each batch.
    pub command_timeout: Duration,
}

/// A service that events are sent to.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its URL, which may contain a token.
    pub url: SecretUrl,
    /// The key that signs requests.
    pub secret: WebhookSecret,
}

/// The key that signs requests to the webhook. The Debug form hides it.
#[derive(Clone)]
pub struct WebhookSecret(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}
