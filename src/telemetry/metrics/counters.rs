//! The plain counters and gauges, one line each: cell, kind, name, labels and help text. To add one, add a line here
//! and call [`Metrics::count`](super::Metrics::count). Knows nothing of what they mean.
//!
//! The counters of limits are not here: they follow from the limits
//! ([`Metrics::limit_exceeded`](super::Metrics::limit_exceeded)).

use super::exposition::{Exposition, Kind};
use super::sharded_counter::ShardedCounter;

/// The published form of a cell.
struct Series {
    kind: Kind,
    name: &'static str,
    labels: &'static [(&'static str, &'static str)],
    help: &'static str,
}

macro_rules! counters {
    ($($cell:ident: $kind:ident $name:literal $([$($label:literal = $value:literal),+])?, $help:literal;)+) => {
        /// A counter or gauge with a cell of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $(#[doc = $help] $cell,)+
        }

        impl Counter {
            /// Every counter, by its cell.
            const ALL: &[Self] = &[$(Self::$cell),+];
        }

        const SERIES: &[Series] = &[
            $(Series { kind: Kind::$kind, name: $name, labels: &[$($(($label, $value)),+)?], help: $help },)+
        ];
    };
}

// Series of one name stand together: they share one HELP and one TYPE.
counters! {
    OpenConnections: Gauge "signet_open_connections", "Open connections.";
    Connections: Counter "signet_connections_total", "Accepted connections.";
    ConnectionsRefused: Counter "signet_connections_refused_total", "Failed attempts to accept a connection, for lack of file descriptors or memory.";
    CutOffByShare: Counter "signet_connections_cut_off_total" ["reason" = "network_share"], "Connections cut off, by reason.";
    CutOffByHeldBytes: Counter "signet_connections_cut_off_total" ["reason" = "held_bytes"], "Connections cut off, by reason.";
    CutOffByWriteTimeout: Counter "signet_connections_cut_off_total" ["reason" = "write_timeout"], "Connections cut off, by reason.";
    StreamsTimedOut: Counter "signet_http2_streams_timed_out_total", "HTTP/2 streams reset because their client took nothing of the response.";
    VerifyHit: Counter "signet_verify_cache_lookups_total" ["result" = "hit"], "Token lookups in the verification cache.";
    VerifyKnownBad: Counter "signet_verify_cache_lookups_total" ["result" = "known_bad"], "Token lookups in the verification cache.";
    VerifyMiss: Counter "signet_verify_cache_lookups_total" ["result" = "miss"], "Token lookups in the verification cache.";
    ApiKeyHit: Counter "signet_api_key_cache_lookups_total" ["result" = "hit"], "Lookups of well-formed API keys in the verification cache.";
    ApiKeyKnownBad: Counter "signet_api_key_cache_lookups_total" ["result" = "known_bad"], "Lookups of well-formed API keys in the verification cache.";
    ApiKeyMiss: Counter "signet_api_key_cache_lookups_total" ["result" = "miss"], "Lookups of well-formed API keys in the verification cache.";
    FeedWaiting: Gauge "signet_revocation_feed_waiting", "Followers of the published revocation feed that wait for the next frame.";
    FeedFrames: Counter "signet_revocation_feed_frames_total", "Signed frames of the published revocation feed.";
    RateLimitsSkipped: Counter "signet_rate_limits_skipped_total", "Requests whose rate limit was not applied because the store was unavailable.";
    SignInByPassword: Counter "signet_sign_ins_total" ["method" = "password", "outcome" = "success"], "Sign-ins by method and outcome.";
    PasswordRefused: Counter "signet_sign_ins_total" ["method" = "password", "outcome" = "refused"], "Sign-ins by method and outcome.";
    SignInByCode: Counter "signet_sign_ins_total" ["method" = "code", "outcome" = "success"], "Sign-ins by method and outcome.";
    CodeRefused: Counter "signet_sign_ins_total" ["method" = "code", "outcome" = "refused"], "Sign-ins by method and outcome.";
    SignInByMagicLink: Counter "signet_sign_ins_total" ["method" = "magic_link", "outcome" = "success"], "Sign-ins by method and outcome.";
    MagicLinkRefused: Counter "signet_sign_ins_total" ["method" = "magic_link", "outcome" = "refused"], "Sign-ins by method and outcome.";
    SecondStepRefused: Counter "signet_sign_ins_total" ["method" = "unknown", "outcome" = "refused"], "Sign-ins by method and outcome.";
    RefreshReused: Counter "signet_refresh_tokens_reused_total", "Refresh tokens that were presented again, which ended their sessions.";
    AuditEventsLost: Counter "signet_audit_events_lost_total", "Security events that were not stored, because the store did not accept them fast enough.";
    WebhookEventsSent: Counter "signet_audit_webhook_events_total" ["end" = "sent"], "Security events for the webhook, by outcome.";
    WebhookEventsLost: Counter "signet_audit_webhook_events_total" ["end" = "lost"], "Security events for the webhook, by outcome.";
    WebhookRetries: Counter "signet_audit_webhook_failed_tries_total", "Failed tries to send security events to the webhook, which are retried.";
    MailQueue: Gauge "signet_mail_queue", "Mails waiting to be sent or retried.";
    MailRetries: Counter "signet_mail_failed_tries_total", "Failed tries to send a mail that are retried.";
    MailsSent: Counter "signet_mails_total" ["end" = "sent"], "Mails by outcome.";
    MailsRefused: Counter "signet_mails_total" ["end" = "refused"], "Mails by outcome.";
    MailsExpired: Counter "signet_mails_total" ["end" = "expired"], "Mails by outcome.";
    MailsWithdrawn: Counter "signet_mails_total" ["end" = "withdrawn"], "Mails by outcome.";
    MailsDropped: Counter "signet_mails_total" ["end" = "dropped"], "Mails by outcome.";
    MailsLeft: Counter "signet_mails_total" ["end" = "left"], "Mails by outcome.";
}

impl Counter {
    /// Number of cells.
    pub(super) const COUNT: usize = SERIES.len();

    /// The counter with this name and these values of its labels.
    pub fn find(name: &str, values: &[&str]) -> Option<Self> {
        let has_labels = |series: &Series| series.labels.iter().map(|(_, value)| value).eq(values.iter());
        let cell = SERIES.iter().position(|series| series.name == name && has_labels(series))?;
        Some(Self::ALL[cell])
    }

    /// The counters with this name, and the values of the labels of each.
    pub fn of_name(name: &str) -> impl Iterator<Item = (Self, Vec<&'static str>)> {
        let of_name = SERIES.iter().enumerate().filter(move |(_, series)| series.name == name);
        of_name.map(|(cell, series)| (Self::ALL[cell], series.labels.iter().map(|(_, value)| *value).collect()))
    }

    /// The value of its label, for logs; empty if it has none.
    pub fn label(self) -> &'static str {
        SERIES[self as usize].labels.first().map_or("", |(_, value)| value)
    }
}

/// Adds every counter to the page.
pub(super) fn add_to(page: &mut Exposition, cells: &ShardedCounter) {
    let mut previous = "";
    for (cell, series) in SERIES.iter().enumerate() {
        let mut family = match series.name == previous {
            true => page.same_family(series.name),
            false => page.family(series.name, series.kind, series.help),
        };
        family.labelled(series.labels, cells.sum(cell));
        previous = series.name;
    }
}
