//! Liveness (`/healthz`) and readiness (`/readyz`) of this node.
//!
//! A node is alive as long as it answers: restarting it repairs no Redis, so a failing dependency must not make it look
//! dead. It is ready when every condition holds. Knows nothing of how conditions are checked.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::Page;

/// A condition for receiving requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The account store answers.
    Accounts,
    /// The ephemeral store answers.
    Ephemeral,
    /// There is a signing key.
    Keyring,
    /// The revocation stream answers.
    Revocations,
    /// New connections need not wait for others to close.
    Connections,
    /// The node is not shutting down.
    Accepting,
}

impl Condition {
    /// Every condition, in the order in which `/readyz` names them.
    pub const ALL: [Self; 6] =
        [Self::Accounts, Self::Ephemeral, Self::Keyring, Self::Revocations, Self::Connections, Self::Accepting];

    /// The name in `/readyz` and the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "store.accounts",
            Self::Ephemeral => "store.ephemeral",
            Self::Keyring => "keyring",
            Self::Revocations => "revocations",
            Self::Connections => "connections",
            Self::Accepting => "accepting",
        }
    }
}

/// The reason of a condition that was never checked.
const NOT_CHECKED_YET: &str = "not checked yet";

/// The current conditions. A new node accepts connections; its other conditions are not checked yet.
#[derive(Debug)]
pub struct Readiness(Mutex<[Option<Problem>; Condition::ALL.len()]>);

/// The reason why a condition does not hold.
#[derive(Clone, Debug)]
struct Problem {
    reason: String,
    /// True if it was logged as not ready, so that its end is logged too.
    is_logged: bool,
}

impl Default for Readiness {
    fn default() -> Self {
        let not_checked = Problem { reason: NOT_CHECKED_YET.to_owned(), is_logged: false };
        let unknown = |condition| {
            (!matches!(condition, Condition::Connections | Condition::Accepting)).then(|| not_checked.clone())
        };
        Self(Mutex::new(Condition::ALL.map(unknown)))
    }
}

impl Readiness {
    /// Records that the condition holds.
    pub fn ready(&self, condition: Condition) {
        self.set(condition, None, true);
    }

    /// Records that the condition does not hold. Operators see the reason, so it must not contain a secret.
    pub fn not_ready(&self, condition: Condition, reason: impl Into<String>) {
        self.set(condition, Some(reason.into()), true);
    }

    /// Like [`Readiness::not_ready`], for the consequence of an outage that is already logged: logs nothing.
    pub fn not_ready_by_logged_outage(&self, condition: Condition, reason: impl Into<String>) {
        self.set(condition, Some(reason.into()), false);
    }

    /// Returns true if every condition holds.
    pub fn is_ready(&self) -> bool {
        self.reasons().iter().all(Option::is_none)
    }

    /// Each condition, with the reason if it does not hold.
    pub fn conditions(&self) -> impl Iterator<Item = (Condition, Option<String>)> {
        Condition::ALL.into_iter().zip(self.reasons())
    }

    /// Renders `/readyz`: 200, or 503 with the conditions that do not hold.
    pub fn readyz(&self) -> Page {
        let not_ready: Map<String, Value> = self
            .conditions()
            .filter_map(|(condition, reason)| Some((condition.name().to_owned(), reason?.into())))
            .collect();
        let (status, body) = if not_ready.is_empty() {
            (200, json!({"status": "ready"}))
        } else {
            (503, json!({"status": "not ready", "not_ready": not_ready}))
        };
        Page { status, content_type: "application/json", body: body.to_string() }
    }

    fn reasons(&self) -> [Option<String>; Condition::ALL.len()] {
        let problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        problems.each_ref().map(|problem| problem.as_ref().map(|problem| problem.reason.clone()))
    }

    /// Logs changes only: a store that is down for an hour is one line, not one per second.
    fn set(&self, condition: Condition, reason: Option<String>, log: bool) {
        let mut problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = &mut problems[condition as usize];
        let was_logged = before.as_ref().is_some_and(|problem| problem.is_logged);
        let is_new = before.is_none();
        let was_silent = before.as_ref().is_none_or(|problem| !problem.is_logged && problem.reason != NOT_CHECKED_YET);
        let is_logged = was_logged || log && was_silent;
        *before = reason.clone().map(|reason| Problem { reason, is_logged });
        drop(problems);
        match reason {
            Some(reason) if log && was_silent => tracing::warn!(condition = condition.name(), %reason, "not ready"),
            None if was_logged => tracing::info!(condition = condition.name(), "ready"),
            // At start every condition becomes ready; the log says that the server listens instead.
            None if !is_new => tracing::debug!(condition = condition.name(), "ready"),
            Some(_) | None => {}
        }
    }
}

/// Renders `/healthz`: 200 as long as the process answers.
pub fn healthz() -> Page {
    Page { status: 200, content_type: "application/json", body: json!({"status": "alive"}).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_ready_when_every_condition_holds() {
        let readiness = Readiness::default();
        assert_eq!(readiness.readyz().status, 503);
        for condition in Condition::ALL {
            readiness.ready(condition);
        }
        assert_eq!(readiness.readyz().body, r#"{"status":"ready"}"#);
        assert!(readiness.is_ready());

        readiness.not_ready(Condition::Ephemeral, "redis is unavailable: timed out");
        readiness.not_ready(Condition::Accepting, "shutting down");
        let page = readiness.readyz();
        assert_eq!((page.status, page.content_type), (503, "application/json"));
        let body: Value = serde_json::from_str(&page.body).unwrap();
        assert_eq!(
            body,
            json!({
                "status": "not ready",
                "not_ready": {"store.ephemeral": "redis is unavailable: timed out", "accepting": "shutting down"},
            })
        );
    }
}
