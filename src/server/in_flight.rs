//! A request in flight, until its response is ready or its stream is cancelled. Knows nothing of sockets or routes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::activity::ConnectionActivity;
use super::response_body::ResponseBody;
use super::unread_responses::UnreadResponse;

/// One request in flight; dropped when its response is ready, or when its stream is cancelled.
pub(super) struct InFlightRequest {
    activity: Rc<ConnectionActivity>,
    bytes: u32,
    ended: Option<Instant>,
}

impl InFlightRequest {
    /// For a request whose head is complete; [`ConnectionActivity::begin_request`] says what `head_size` is.
    pub(super) fn begin(activity: Rc<ConnectionActivity>, head_size: usize) -> Self {
        let bytes = activity.begin_request(head_size);
        Self { activity, bytes, ended: None }
    }

    /// The response is ready since `now`, which saves reading the clock again. Its body is counted until the client
    /// takes it.
    pub(super) fn end(
        mut self,
        now: Instant,
        body: Bytes,
        max_body: usize,
    ) -> (ResponseBody, Option<Arc<UnreadResponse>>) {
        self.ended = Some(now);
        match self.activity.unread_responses() {
            Some(unread) if !body.is_empty() => {
                let (body, response) = ResponseBody::over_http2(body, max_body, unread);
                (body, Some(response))
            }
            Some(_) => (ResponseBody::default(), None),
            None => (ResponseBody::over_http1(body, max_body, &self.activity), None),
        }
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.activity.end_request(self.bytes, self.ended.unwrap_or_else(Instant::now));
    }
}
