//! Sends security events to the webhook: in batches, in order, signed, and again until the receiver has accepted them.
//!
//! Requests follow the Standard Webhooks specification, for which most languages have a library: `webhook-id` names the
//! batch and stays the same in every try, and `webhook-signature` is an HMAC-SHA256 over id, time and body. Nothing
//! waits for the receiver, except a node that stops. While it is away the queue fills, and events that find it full are
//! counted as lost; the log and the list of events have them. Knows nothing of what the events mean.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Uri};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::auth::audit::EventRecord;
use crate::auth::context::Context;
use crate::config::Webhook;
use crate::http::PostClient;
use crate::telemetry::metrics::Counter;

/// Events in one request.
const BATCH: usize = 100;

/// The longest wait of a server for the receiver. That of commands is a setting, because somebody waits for them.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failed try. It doubles with each, and [`Rng::jitter`](crate::rng::Rng::jitter) shortens it, so
/// that the nodes of a fleet do not try at the same moment.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The number of tries of a batch: about an hour and a half.
const MAX_TRIES: u32 = 100;

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    events: Vec<&'a EventRecord>,
}

/// Sends events as they come, until the node stops and none is left. Does nothing without a webhook in the settings.
pub(super) async fn run(ctx: &Context, mut stopping: watch::Receiver<bool>) {
    let Some(mut sender) = Sender::new(ctx) else { return };
    let mut events = Vec::new();
    loop {
        tokio::select! {
            biased;
            // The node has the other end of the queue, so it is never closed, and there is one event at least.
            _ = sender.queue.recv_many(&mut events, BATCH) => {}
            () = stopped(&mut stopping) => return,
        }
        sender.send_until_accepted(ctx, &events, &mut stopping).await;
        events.clear();
    }
}

/// Completes once the node stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the start has failed.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}

/// Tells [`run`], which must be running, that the node stops, and waits until it has sent what is queued, for at most
/// `max_wait`.
pub(super) async fn drain(stop: watch::Sender<bool>, max_wait: Duration) {
    stop.send_replace(true);
    if timeout(max_wait, stop.closed()).await.is_err() {
        tracing::warn!("security events were not sent to the webhook before the node stopped; the log has them");
    }
}

/// Sends the queued events, up to the first batch that is not accepted: for a command, in which `run` does not run.
/// After that, the command sends none.
pub(super) async fn flush(ctx: &Context) {
    let Some(mut sender) = Sender::new(ctx) else { return };
    let mut events = Vec::new();
    loop {
        while events.len() < BATCH
            && let Ok(event) = sender.queue.try_recv()
        {
            events.push(event);
        }
        if events.is_empty() {
            return ctx.node.audit.return_webhook_queue(sender.queue);
        }
        if let Err(error) = sender.send(ctx, &events, ctx.node.config.audit.command_timeout).await {
            let lost = events.len() + sender.queue.len();
            tracing::warn!(%error, lost, "security events of the command were not sent to the webhook");
            return;
        }
        events.clear();
    }
}

struct Sender {
    client: PostClient,
    url: Uri,
    key: hmac::Key,
    queue: Receiver<Arc<EventRecord>>,
    /// True while the receiver fails, so that an outage is logged once when it begins and once when it ends.
    is_failing: bool,
}

impl Sender {
    fn new(ctx: &Context) -> Option<Self> {
        let Webhook { url, secret } = ctx.node.config.audit.webhook.as_ref()?;
        let queue = ctx.node.audit.take_webhook_queue()?;
        match (PostClient::new(), url.0.parse()) {
            (Ok(client), Ok(url)) => {
                Some(Self { client, url, key: hmac::Key::new(hmac::HMAC_SHA256, &secret.0), queue, is_failing: false })
            }
            _ => {
                tracing::error!("the webhook of security events cannot be used");
                None
            }
        }
    }

    /// Gives up after [`MAX_TRIES`]. When the node stops, there is one more try, at once.
    async fn send_until_accepted(
        &mut self,
        ctx: &Context,
        events: &[Arc<EventRecord>],
        stopping: &mut watch::Receiver<bool>,
    ) {
        let metrics = &ctx.node.metrics;
        let mut pause = FIRST_PAUSE;
        for _ in 0..MAX_TRIES {
            let is_last = *stopping.borrow();
            match self.send(ctx, events, TIMEOUT).await {
                Ok(()) => {
                    events.iter().for_each(|_| metrics.count(Counter::WebhookEventsSent));
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("security events are being sent to the webhook again");
                    }
                    return;
                }
                Err(error) => {
                    metrics.count(Counter::WebhookRetries);
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(%error, "security events cannot be sent to the webhook; retrying");
                    }
                }
            }
            if is_last {
                break;
            }
            let _ = timeout(ctx.node.rng.jitter(pause), stopped(stopping)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        events.iter().for_each(|_| metrics.count(Counter::WebhookEventsLost));
        tracing::warn!(lost = events.len(), "security events were not accepted by the webhook; the log has them");
    }

    async fn send(&self, ctx: &Context, events: &[Arc<EventRecord>], timeout: Duration) -> Result<(), SendError> {
        let now = ctx.now();
        let data = Data { events: events.iter().map(|event| &**event).collect() };
        let body = Body { r#type: "audit.events", timestamp: now.to_string(), data };
        let body = serde_json::to_vec(&body).map_err(|_| SendError::Invalid)?;
        let (id, time) = (events.first().map_or("", |event| event.id.as_str()), now.secs().to_string());
        let signature = format!("v1,{}", STANDARD.encode(sign(&self.key, id, &time, &body)));
        let field = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).map_err(|_| SendError::Invalid)?;
            Ok::<_, SendError>((HeaderName::from_static(name), value))
        };
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            field("webhook-id", id)?,
            field("webhook-timestamp", &time)?,
            field("webhook-signature", &signature)?,
        ];
        Ok(self.client.post(&self.url, headers, Bytes::from(body), timeout).await?)
    }
}

/// The signature of a request: HMAC-SHA256 over id, time and body, separated by dots.
fn sign(key: &hmac::Key, id: &str, time: &str, body: &[u8]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(key);
    for part in [id.as_bytes(), b".", time.as_bytes(), b".", body] {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

/// Why a batch was not accepted.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("the events cannot be serialized")]
    Invalid,
    #[error(transparent)]
    Post(#[from] crate::http::PostError),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn signature_is_that_of_the_specification() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(STANDARD.encode(signature), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
