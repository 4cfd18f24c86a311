//! What is allowed and yet worth a word to the operator: `signet check` prints it, and the log of a start.

use std::time::Duration;

use super::{Config, Durability, SecretUrl};

/// The promise: what needs a store that is gone answers within half a second. The rest of the half second is for
/// hearing the request and wording the answer.
const LONGEST_TIMEOUT: Duration = Duration::from_millis(450);

/// Whether mails go out such that others can read them.
fn in_the_clear(smtp_url: &SecretUrl) -> bool {
    let Ok(url) = url::Url::parse(&smtp_url.0) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    !here && url.query_pairs().any(|(name, value)| name == "tls" && value != "required")
}

impl Config {
    /// Each is one sentence: what is so, and what to do if it is not meant.
    pub fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        let mut say = |when: bool, what: &str| {
            if when {
                advice.push(what.to_owned());
            }
        };
        let (redis, postgres) = (self.redis.as_ref(), self.postgres.as_ref());
        say(
            redis.is_some() && postgres.is_none(),
            "postgres.url is not set: users are kept in this node's own data_dir, so this must stay the only node.",
        );
        say(
            redis.is_none() && postgres.is_some(),
            "redis.url is not set: sessions are kept in this node's own data_dir, so this must stay the only node.",
        );
        say(
            redis.is_some_and(|redis| redis.timeout > LONGEST_TIMEOUT),
            "redis.timeout is above 450ms: while Redis is frozen, answers take longer than half a second.",
        );
        say(
            postgres.is_some_and(|postgres| postgres.timeout > LONGEST_TIMEOUT),
            "postgres.timeout is above 450ms: while Postgres is frozen, answers take longer than half a second.",
        );
        say(
            self.server.listen.ip().is_unspecified()
                && self.server.public_url == format!("http://{}", self.server.listen),
            "server.public_url is not set although the server listens on every address: tokens and links name an \
             address nobody can reach. Set it to the one by which clients know the service.",
        );
        say(
            self.server.public_url.starts_with("http://") && !self.server.listen.ip().is_loopback(),
            "server.public_url is plain http: tokens and passwords can be read on the way. Put TLS in front, or set server.tls.",
        );
        say(
            self.server.management.is_some_and(|address| !address.ip().is_loopback()),
            "server.management is open to the network: it has no sign-in of its own, so let only the monitoring reach it.",
        );
        say(
            self.server.trusted_proxies.iter().any(|network| network.bits == 0),
            "server.trusted_proxies holds every address: any client can then write its own address and pass the limits.",
        );
        say(
            (redis.is_none() || postgres.is_none()) && self.embedded.durability == Durability::Process,
            "embedded.durability is \"process\": a loss of power can undo the last acknowledged writes.",
        );
        say(
            self.mail.smtp_url.as_ref().is_some_and(in_the_clear),
            "mail.smtp_url has tls=none or tls=opportunistic, and the server is not on this machine: codes, links and the \
             password can be read on the way. Leave tls out, or begin with smtps://.",
        );
        let own_pages = format!("{}{}/links/", self.server.public_url, self.api.native.prefix);
        let leads_there =
            [&self.mailed.magic_url, &self.mailed.reset_url].iter().any(|url| url.starts_with(&own_pages));
        say(
            !self.api.native.enabled && leads_there,
            "api.native is off, and mailed.magic_url or mailed.reset_url leads to its pages: links in mails lead nowhere. Set both \
             to your own.",
        );
        say(!self.limits.enabled, "limits.enabled is false: passwords can be guessed as fast as they can be hashed.");
        advice
    }
}
