//! The line of an event in the log: target `signet::audit`, level info. One that repeats another has a short line at
//! debug.

use serde_json::Value;

use super::event::EventRecord;
use super::event_type::EventType;

/// Writes the line. Absent fields are left out. The details of a type are in `details`, as JSON. An exceeded limit also
/// has fields of its own, which log queries used before there were events.
pub(super) fn write(event_type: EventType, record: &EventRecord, is_repeated: bool) {
    let EventRecord { id, outcome, session, client_ip, user_agent, dialect, method, reason, details, .. } = record;
    let user = record.user.as_ref().map(|user| user.id.as_str());
    let by = record.actor.as_ref().map(|actor| actor.id.as_str());
    let text = |name: &str| details.get(name).and_then(Value::as_str);
    let (limit, counter) = (text("limit"), text("counter"));
    if is_repeated {
        let (event, client_ip) = (event_type.name(), client_ip.as_deref());
        tracing::debug!(target: "signet::audit", event, user, client_ip, limit, "repeated security event");
        return;
    }
    let retry_after_ms = details.get("retry_after_ms").and_then(Value::as_u64);
    let details = (!details.is_empty()).then(|| Value::Object(details.clone()).to_string());
    tracing::info!(
        target: "signet::audit",
        event = event_type.name(),
        id,
        outcome,
        user,
        by,
        session = session.as_deref(),
        client_ip = client_ip.as_deref(),
        user_agent = user_agent.as_deref(),
        dialect = dialect.as_deref(),
        method = method.as_deref(),
        reason = reason.as_deref(),
        limit,
        counter,
        retry_after_ms,
        details,
        "{}",
        event_type.message()
    );
}
