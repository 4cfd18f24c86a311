//! Warnings about settings that are valid but risky. `signet check` prints them, and each start logs them.

use std::time::Duration;

use super::{Config, Durability, SecretUrl};

/// A request that needs an unreachable store is answered within half a second. The remainder is for reading the request
/// and writing the response.
const MAX_TIMEOUT: Duration = Duration::from_millis(450);

/// Returns true if mails may be sent in clear text over the network.
fn in_the_clear(smtp_url: &SecretUrl) -> bool {
    let Ok(url) = url::Url::parse(&smtp_url.0) else { return false };
    !is_local(&url) && url.query_pairs().any(|(name, value)| name == "tls" && value != "required")
}

/// Returns true if security events are sent in clear text over the network.
fn is_plain_and_remote(url: &SecretUrl) -> bool {
    url::Url::parse(&url.0).is_ok_and(|url| url.scheme() == "http" && !is_local(&url))
}

/// Returns true if the host is this machine.
fn is_local(url: &url::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns true if the certificate of Postgres is not verified, whatever `postgres.ca` says.
fn has_unverified_mode(url: &SecretUrl) -> bool {
    let query = url.0.rsplit_once('?').map_or("", |(_, query)| query);
    let mode = query.split('&').rev().find_map(|option| option.strip_prefix("sslmode="));
    matches!(mode, Some("disable" | "prefer"))
}

/// Returns true if mails are sent without TLS.
fn has_no_tls(smtp_url: &SecretUrl) -> bool {
    let url = url::Url::parse(&smtp_url.0);
    url.is_ok_and(|url| url.query_pairs().any(|(name, value)| name == "tls" && value == "none"))
}

impl Config {
    /// One sentence each: the risk, and what to do about it.
    pub fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        let mut warn_if = |condition: bool, text: &str| {
            if condition {
                advice.push(text.to_owned());
            }
        };
        let (redis, postgres) = (self.redis.as_ref(), self.postgres.as_ref());
        warn_if(
            redis.is_some() && postgres.is_none(),
            "postgres.url is not set: users are stored in this node's data_dir, so this must be the only node.",
        );
        warn_if(
            redis.is_none() && postgres.is_some(),
            "redis.url is not set: sessions are stored in this node's data_dir, so this must be the only node.",
        );
        warn_if(
            redis.is_some_and(|redis| redis.timeout > MAX_TIMEOUT),
            "redis.timeout is above 450ms: while Redis does not respond, requests take longer than half a second.",
        );
        warn_if(
            postgres.is_some_and(|postgres| postgres.timeout > MAX_TIMEOUT),
            "postgres.timeout is above 450ms: while Postgres does not respond, requests take longer than half a second.",
        );
        warn_if(
            self.server.listen.ip().is_unspecified()
                && self.server.public_url == format!("http://{}", self.server.listen),
            "server.public_url is not set although the server listens on every address: tokens and links contain an \
             address that cannot be reached. Set it to the URL that clients use.",
        );
        warn_if(
            self.server.public_url.starts_with("http://") && !self.server.listen.ip().is_loopback(),
            "server.public_url is plain http: tokens and passwords are sent in clear text. Put a TLS proxy in front, or set server.tls.",
        );
        warn_if(
            self.server.management.is_some_and(|address| !address.ip().is_loopback()),
            "server.management is reachable from the network and has no authentication: restrict access to your monitoring.",
        );
        warn_if(
            self.server.trusted_proxies.iter().any(|network| network.bits == 0),
            "server.trusted_proxies contains every address: any client can forge its address and evade rate limits.",
        );
        warn_if(
            (redis.is_none() || postgres.is_none()) && self.embedded.durability == Durability::Process,
            "embedded.durability is \"process\": a power failure can lose the last acknowledged writes.",
        );
        warn_if(
            self.mail.smtp_url.as_ref().is_some_and(in_the_clear),
            "mail.smtp_url has tls=none or tls=opportunistic, and the server is not on this machine: codes, links and the \
             password are sent in clear text. Remove tls, or use smtps://.",
        );
        warn_if(
            self.audit.webhook.as_ref().is_some_and(|webhook| is_plain_and_remote(&webhook.url)),
            "audit.webhook_url is plain http, and the server is not on this machine: security events, with addresses of \
             clients, are sent in clear text. Use https.",
        );
        let is_given = |name: &str| self.given.iter().any(|setting| setting.name == name);
        warn_if(
            is_given("redis.ca") && redis.is_none_or(|redis| !redis.url.0.starts_with("rediss")),
            "redis.ca has no effect, because redis.url does not begin with rediss. Use TLS, or remove redis.ca.",
        );
        warn_if(
            is_given("postgres.ca") && postgres.is_none_or(|postgres| has_unverified_mode(&postgres.url)),
            "postgres.ca has no effect, because postgres.url is not set, or its sslmode (disable or prefer) verifies no \
             certificate. Remove sslmode, or postgres.ca.",
        );
        warn_if(
            is_given("mail.ca") && self.mail.smtp_url.as_ref().is_none_or(has_no_tls),
            "mail.ca has no effect, because mail.smtp_url is not set or has tls=none. Use TLS, or remove mail.ca.",
        );
        let own_pages = format!("{}{}/links/", self.server.public_url, self.api.native.prefix);
        let uses_own_pages =
            [&self.mailed.magic_url, &self.mailed.reset_url].iter().any(|url| url.starts_with(&own_pages));
        warn_if(
            !self.api.native.enabled && uses_own_pages,
            "api.native is off, and mailed.magic_url or mailed.reset_url leads to its pages: links in mails lead to a 404. Set both \
             to pages of your own.",
        );
        warn_if(
            !self.limits.enabled,
            "limits.enabled is false: the rate of password guesses is limited only by hashing.",
        );
        advice
    }
}
