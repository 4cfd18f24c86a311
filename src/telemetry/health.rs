//! Whether this node lives (`/healthz`) and whether it should be sent requests (`/readyz`).
//!
//! A node lives as long as it answers: a restart mends no Redis, so nothing that others do wrong may make it look dead.
//! It is ready when no condition says otherwise. Knows nothing of how a condition is found out.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::Page;

/// What must hold for a node to be sent requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The store of what lasts answers.
    Accounts,
    /// The store of what expires answers.
    Ephemeral,
    /// There is a key to sign with.
    Keyring,
    /// Revocations arrive.
    Revocations,
    /// The node was not told to stop.
    Draining,
}

impl Condition {
    /// Every condition, in the order in which `/readyz` names them.
    pub const ALL: [Self; 5] = [Self::Accounts, Self::Ephemeral, Self::Keyring, Self::Revocations, Self::Draining];

    /// As `/readyz` and the metrics name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "store.accounts",
            Self::Ephemeral => "store.ephemeral",
            Self::Keyring => "keyring",
            Self::Revocations => "revocations",
            Self::Draining => "draining",
        }
    }
}

/// The reason of a condition that was never checked.
const NOT_CHECKED_YET: &str = "not known yet";

/// The conditions as they stand. A new node is not draining, and nothing else of it is known to be ready.
#[derive(Debug)]
pub struct Readiness(Mutex<[Option<Problem>; Condition::ALL.len()]>);

/// Why a condition does not hold.
#[derive(Clone, Debug)]
struct Problem {
    reason: String,
    /// True if it was logged as not ready, so that its end is logged too.
    is_logged: bool,
}

impl Default for Readiness {
    fn default() -> Self {
        let not_checked = Problem { reason: NOT_CHECKED_YET.to_owned(), is_logged: false };
        let unknown = |condition| (condition != Condition::Draining).then(|| not_checked.clone());
        Self(Mutex::new(Condition::ALL.map(unknown)))
    }
}

impl Readiness {
    /// The condition holds.
    pub fn ready(&self, condition: Condition) {
        self.set(condition, None, true);
    }

    /// The condition does not hold, and why: for operators, so it names no secret.
    pub fn not_ready(&self, condition: Condition, reason: impl Into<String>) {
        self.set(condition, Some(reason.into()), true);
    }

    /// As [`Readiness::not_ready`], for the consequence of an outage that is logged already: logs nothing.
    pub fn not_ready_by_logged_outage(&self, condition: Condition, reason: impl Into<String>) {
        self.set(condition, Some(reason.into()), false);
    }

    /// Whether every condition holds.
    pub fn is_ready(&self) -> bool {
        self.reasons().iter().all(Option::is_none)
    }

    /// Each condition, and why it does not hold if it does not.
    pub fn conditions(&self) -> impl Iterator<Item = (Condition, Option<String>)> {
        Condition::ALL.into_iter().zip(self.reasons())
    }

    /// `/readyz`: 200, or 503 naming what is not ready.
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

    /// Logs a change, and only a change: a store that is down for an hour is one line, not one a second.
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
            // At the start every condition becomes ready, and the log says that the server listens instead.
            None if !is_new => tracing::debug!(condition = condition.name(), "ready"),
            Some(_) | None => {}
        }
    }
}

/// `/healthz`: 200 as long as the process can say so.
pub fn healthz() -> Page {
    Page { status: 200, content_type: "application/json", body: json!({"status": "alive"}).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_once_nothing_says_otherwise() {
        let readiness = Readiness::default();
        assert_eq!(readiness.readyz().status, 503);
        for condition in Condition::ALL {
            readiness.ready(condition);
        }
        assert_eq!(readiness.readyz().body, r#"{"status":"ready"}"#);
        assert!(readiness.is_ready());

        readiness.not_ready(Condition::Ephemeral, "redis is unavailable: timed out");
        readiness.not_ready(Condition::Draining, "told to stop");
        let page = readiness.readyz();
        assert_eq!((page.status, page.content_type), (503, "application/json"));
        let body: Value = serde_json::from_str(&page.body).unwrap();
        assert_eq!(
            body,
            json!({
                "status": "not ready",
                "not_ready": {"store.ephemeral": "redis is unavailable: timed out", "draining": "told to stop"},
            })
        );
    }
}
