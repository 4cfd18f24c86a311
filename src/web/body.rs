//! Bodies, read whole and in bounds, and what becomes of those that nobody read. Knows nothing of what is in them.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::rejection::Rejection;

/// How long an unread body is waited for, to be thrown away: it comes with the head, unless it is long or the client slow.
const DISCARD_WITHIN: Duration = Duration::from_millis(50);

/// What is left of a request's body: shared by the handler's request and by who must know, after the answer, whether the
/// connection can carry another request.
#[derive(Clone)]
pub(super) struct Rest(Option<Rc<Cell<State>>>);

#[derive(Default)]
enum State {
    /// Nobody has touched it.
    Whole(Incoming),
    /// It was read to its end.
    Read,
    /// It was begun, and nobody knows how much of it is still to come.
    #[default]
    Broken,
}

impl Rest {
    /// Of a body that has just arrived.
    pub(super) fn of(body: Incoming) -> Self {
        Self((!body.is_end_stream()).then(|| Rc::new(Cell::new(State::Whole(body)))))
    }

    /// There never was a body.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// There is nothing left of it: it was read to its end, or there never was one.
    pub(super) fn is_read(&self) -> bool {
        let Some(state) = &self.0 else { return true };
        let now = state.take();
        let is_read = matches!(now, State::Read);
        state.set(now);
        is_read
    }

    /// Reads it, if nobody has.
    pub(super) async fn read(&self, limit: usize, patience: Duration) -> Result<Bytes, Rejection> {
        let Some(state) = &self.0 else { return Ok(Bytes::new()) };
        match state.take() {
            State::Whole(body) => {
                let bytes = read(body, limit, patience).await?;
                state.set(State::Read);
                Ok(bytes)
            }
            read => {
                state.set(read);
                Ok(Bytes::new())
            }
        }
    }

    /// Whether all of it is off the wire, what nobody wanted being thrown away if it is short and here.
    pub(super) async fn is_spent(&self, limit: usize) -> bool {
        match self.0.as_ref().map(|state| state.take()) {
            None | Some(State::Read) => true,
            Some(State::Whole(body)) => read(body, limit, DISCARD_WITHIN).await.is_ok(),
            Some(State::Broken) => false,
        }
    }
}

/// Reads a body of at most `limit` bytes that arrives within `patience`.
pub(super) async fn read<B>(mut body: B, limit: usize, patience: Duration) -> Result<Bytes, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    // What says of itself that it is too large need not be waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(Rejection::TooLarge { limit });
    }
    let mut arrival = pin!(async {
        let Some(first) = next(&mut body).await? else { return Ok(Bytes::new()) };
        if first.len() > limit {
            return Err(Rejection::TooLarge { limit });
        }
        // Nearly every body here is one frame, which is then not copied.
        if body.is_end_stream() {
            return Ok(first);
        }
        let Some(second) = next(&mut body).await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity((first.len() + second.len()).min(limit));
        whole.extend_from_slice(&first);
        let mut more = Some(second);
        while let Some(piece) = more {
            if whole.len() + piece.len() > limit {
                return Err(Rejection::TooLarge { limit });
            }
            whole.extend_from_slice(&piece);
            more = next(&mut body).await?;
        }
        Ok(whole.freeze())
    });
    // Most came with their head, and need no timer.
    match poll_fn(|to| Poll::Ready(arrival.as_mut().poll(to))).await {
        Poll::Ready(arrived) => arrived,
        Poll::Pending => tokio::time::timeout(patience, arrival).await.unwrap_or(Err(Rejection::BodyTimeout)),
    }
}

async fn next<B>(body: &mut B) -> Result<Option<Bytes>, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Rejection::unreadable("the body ended early", 0)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(_trailers) => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn pieces(pieces: &[&'static str]) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin + use<> {
        let frames: Vec<_> = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_its_bound() {
        assert_eq!(read(Full::new(Bytes::from("abc")), 3, PATIENCE).await.unwrap(), "abc");
        assert_eq!(read(Full::new(Bytes::new()), 3, PATIENCE).await.unwrap(), "");
        assert_eq!(read(pieces(&["a", "", "b", "c"]), 3, PATIENCE).await.unwrap(), "abc");
        let too_large = Err(Rejection::TooLarge { limit: 3 });
        assert_eq!(read(Full::new(Bytes::from("abcd")), 3, PATIENCE).await, too_large);
        assert_eq!(read(pieces(&["abcd"]), 3, PATIENCE).await, too_large);
        assert_eq!(read(pieces(&["ab", "cd"]), 3, PATIENCE).await, too_large);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_unreadable() {
        let frames = [Ok(Frame::data(Bytes::from("a"))), Err(std::io::Error::other("gone"))];
        let broken = StreamBody::new(futures_util::stream::iter(frames));
        assert!(matches!(read(broken, 3, PATIENCE).await, Err(Rejection::Unreadable { .. })));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert_eq!(read(never, 3, Duration::from_millis(1)).await, Err(Rejection::BodyTimeout));
    }
}
