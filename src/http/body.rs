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
use super::request::Bounds;
use crate::http::body_budget::{BodyBudget, Reservation};

/// How long an unread body is waited for, to be thrown away: it comes with the head, unless it is long or the client slow.
const DISCARD_WITHIN: Duration = Duration::from_millis(50);

/// What is left of a request's body: shared by the handler's request and by who must know, after the answer, whether the
/// connection can carry another request.
#[derive(Clone)]
pub(super) struct BodyHandle(Option<Rc<Cell<State>>>);

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

impl BodyHandle {
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
    pub(super) async fn read(&self, limit: usize, bounds: &Bounds) -> Result<Bytes, Rejection> {
        let Some(state) = &self.0 else { return Ok(Bytes::new()) };
        match state.take() {
            State::Whole(body) => {
                let bytes = read(body, limit, bounds).await?;
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
    pub(super) async fn is_spent(&self, bounds: &Bounds) -> bool {
        match self.0.as_ref().map(|state| state.take()) {
            None | Some(State::Read) => true,
            Some(State::Whole(body)) => {
                let bounds = Bounds { body_timeout: DISCARD_WITHIN, ..*bounds };
                read(body, bounds.max_body, &bounds).await.is_ok()
            }
            Some(State::Broken) => false,
        }
    }
}

/// Reads a body of at most `limit` bytes that arrives in time, and finds room if it does not come at once.
pub(super) async fn read<B>(mut body: B, limit: usize, bounds: &Bounds) -> Result<Bytes, Rejection>
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
        // In a box, so that the many carry no room for what the few need.
        Box::pin(gather(first, &mut body, limit, bounds)).await
    });
    // Most came with their head, and need no timer.
    match poll_fn(|to| Poll::Ready(arrival.as_mut().poll(to))).await {
        Poll::Ready(arrived) => arrived,
        Poll::Pending => {
            tokio::time::timeout(bounds.body_timeout, arrival).await.unwrap_or(Err(Rejection::BodyTimeout))
        }
    }
}

/// Puts the frames of a body together, and counts them for as long as they wait for the next.
async fn gather<B>(first: Bytes, body: &mut B, limit: usize, bounds: &Bounds) -> Result<Bytes, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut share = Reservation::default();
    let mut hold = |bytes: usize| {
        let room = if bytes > bounds.max_body { BodyBudget::Large } else { BodyBudget::Usual };
        share.hold(room, bytes, bounds.max_held)
    };
    hold(first.len())?;
    let Some(second) = next(body).await? else { return Ok(first) };
    let mut whole = BytesMut::with_capacity((first.len() + second.len()).min(limit));
    whole.extend_from_slice(&first);
    drop(first);
    let mut more = Some(second);
    while let Some(piece) = more {
        if whole.len() + piece.len() > limit {
            return Err(Rejection::TooLarge { limit });
        }
        hold(whole.len() + piece.len())?;
        whole.extend_from_slice(&piece);
        more = next(body).await?;
    }
    Ok(share.keep(whole))
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
    use crate::http::body_budget::held;
    use futures_util::StreamExt;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    const PATIENCE: Duration = Duration::from_secs(5);
    const BOUNDS: Bounds = Bounds { max_body: 3, max_held: 6, body_timeout: PATIENCE, request_timeout: PATIENCE };

    fn pieces(pieces: &[&'static str]) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin + use<> {
        let frames: Vec<_> = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_its_bound() {
        assert_eq!(read(Full::new(Bytes::from("abc")), 3, &BOUNDS).await.unwrap(), "abc");
        assert_eq!(read(Full::new(Bytes::new()), 3, &BOUNDS).await.unwrap(), "");
        assert_eq!(read(pieces(&["a", "", "b", "c"]), 3, &BOUNDS).await.unwrap(), "abc");
        let too_large = Err(Rejection::TooLarge { limit: 3 });
        assert_eq!(read(Full::new(Bytes::from("abcd")), 3, &BOUNDS).await, too_large);
        assert_eq!(read(pieces(&["abcd"]), 3, &BOUNDS).await, too_large);
        assert_eq!(read(pieces(&["ab", "cd"]), 3, &BOUNDS).await, too_large);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_unreadable() {
        let frames = [Ok(Frame::data(Bytes::from("a"))), Err(std::io::Error::other("gone"))];
        let broken = StreamBody::new(futures_util::stream::iter(frames));
        assert!(matches!(read(broken, 3, &BOUNDS).await, Err(Rejection::Unreadable { .. })));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert_eq!(
            read(never, 3, &Bounds { body_timeout: Duration::from_millis(1), ..BOUNDS }).await,
            Err(Rejection::BodyTimeout)
        );
    }

    /// Comes in these pieces, and then no further.
    fn halting(first: &[&'static str]) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin + use<> {
        let frames: Vec<_> = first.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        StreamBody::new(futures_util::stream::iter(frames).chain(futures_util::stream::pending()))
    }

    #[tokio::test]
    async fn what_waits_to_be_whole_is_counted_until_it_waits_no_more() {
        let counted = async |body: &[&'static str]| {
            let mut reading = Box::pin(read(halting(body), 9, &BOUNDS));
            assert!(futures_util::poll!(&mut reading).is_pending());
            let held = held();
            // Whoever waits for it may go away.
            drop(reading);
            (held, self::held())
        };
        assert_eq!(counted(&[]).await, ([0, 0], [0, 0]));
        assert_eq!(counted(&["ab"]).await, ([2, 0], [0, 0]));
        assert_eq!(counted(&["ab", "c"]).await, ([3, 0], [0, 0]));
        assert_eq!(counted(&["ab", "cd"]).await, ([0, 4], [0, 0]));
        let soon = Bounds { body_timeout: Duration::from_millis(1), ..BOUNDS };
        assert_eq!(read(halting(&["ab", "cd"]), 9, &soon).await, Err(Rejection::BodyTimeout));
        assert_eq!(held(), [0, 0]);
        let frames = [Ok(Frame::data(Bytes::from("abcd"))), Err(std::io::Error::other("gone"))];
        let broken = StreamBody::new(futures_util::stream::iter(frames));
        assert!(matches!(read(broken, 9, &BOUNDS).await, Err(Rejection::Unreadable { .. })));
        assert_eq!(read(pieces(&["abcd", "efghij"]), 9, &BOUNDS).await, Err(Rejection::TooLarge { limit: 9 }));
        assert_eq!(held(), [0, 0]);
    }

    #[tokio::test]
    async fn there_is_no_room_for_all_and_some_for_the_small() {
        let mut waiting = Box::pin(read(halting(&["ab", "cd"]), 9, &BOUNDS));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(read(pieces(&["ab", "cd"]), 9, &BOUNDS).await, Err(Rejection::Crowded));
        assert_eq!(read(halting(&["abcd"]), 9, &BOUNDS).await, Err(Rejection::Crowded));
        assert_eq!(read(pieces(&["ab", "c"]), 3, &BOUNDS).await.unwrap(), "abc");
        // What has come whole waits for nothing.
        assert_eq!(read(Full::new(Bytes::from("abcdefghi")), 9, &BOUNDS).await.unwrap(), "abcdefghi");
        let mut small = [(); 2].map(|()| Box::pin(read(halting(&["abc"]), 3, &BOUNDS)));
        for reading in &mut small {
            assert!(futures_util::poll!(reading).is_pending());
        }
        assert_eq!(read(pieces(&["a", "b"]), 3, &BOUNDS).await, Err(Rejection::Crowded));
        drop((waiting, small));
        let large = read(pieces(&["ab", "cd"]), 9, &BOUNDS).await.unwrap();
        assert_eq!((&large[..], held()), (&b"abcd"[..], [0, 4]));
        drop(large);
        assert_eq!(held(), [0, 0]);
    }
}
