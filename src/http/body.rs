//! Reads bodies whole, within limits of size and time, and discards bodies that no handler read. Knows nothing of their
//! content.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::body_budget::{Reservation, SizeClass};
use super::limits::RequestLimits;
use super::rejection::Rejection;

/// Time in which an unread body must arrive to be discarded. It arrives with the head unless it is long or the client
/// is slow.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(50);

/// Bodies of at most this size that arrive whole are not counted against the budget: nearly every body is one, and as
/// many as there can be connections fit into memory.
const UNCOUNTED: usize = 4 * 1024;

/// The most frames of one body, empty ones included. A chunk or a DATA frame of one byte takes about as long as a
/// kilobyte of content, so 64 KiB in such frames would cost more than any whole body. Clients send larger ones: 2 MiB
/// in segments of the smallest usual network (536 bytes) are 3,913 frames.
const MAX_FRAMES: usize = 4 * 1024;

/// A request's body in its present state. The handler's request shares it with the router, which has to know after the
/// response whether the connection can carry another request.
#[derive(Clone)]
pub(super) struct BodyHandle(Option<Rc<Cell<State>>>);

#[derive(Default)]
enum State {
    /// Not read yet.
    Unread(Incoming),
    /// Read to its end. Its bytes, and what the handler made of them, stay counted until the response is ready.
    Complete { _reservation: Reservation },
    /// Read in part: how much is still to come is unknown.
    #[default]
    Partial,
}

impl BodyHandle {
    pub(super) fn new(body: Incoming) -> Self {
        Self((!body.is_end_stream()).then(|| Rc::new(Cell::new(State::Unread(body)))))
    }

    /// The request has no body.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The body was read to its end, or the request has none.
    pub(super) fn is_complete(&self) -> bool {
        let Some(state) = &self.0 else { return true };
        let current = state.take();
        let is_complete = matches!(current, State::Complete { .. });
        state.set(current);
        is_complete
    }

    /// Reads the body; empty if it was read before.
    pub(super) async fn read(&self, limit: usize, limits: &RequestLimits) -> Result<Bytes, Rejection> {
        let Some(state) = &self.0 else { return Ok(Bytes::new()) };
        match state.take() {
            State::Unread(body) => {
                let (bytes, reservation) = read_body(body, limit, limits).await?;
                state.set(State::Complete { _reservation: reservation });
                Ok(bytes)
            }
            other => {
                state.set(other);
                Ok(Bytes::new())
            }
        }
    }

    /// Discards an unread body if it is short and has arrived. Returns whether the body is off the wire.
    pub(super) async fn discard(&self, limits: &RequestLimits) -> bool {
        match self.0.as_ref().map(|state| state.take()) {
            None | Some(State::Complete { .. }) => true,
            Some(State::Unread(body)) => {
                let limits = RequestLimits { body_timeout: DISCARD_TIMEOUT, ..*limits };
                read_body(body, limits.max_body, &limits).await.is_ok()
            }
            Some(State::Partial) => false,
        }
    }
}

/// Reads a body of at most `limit` bytes that arrives in time. It is counted against the budget if it arrives in pieces
/// or is larger than [`UNCOUNTED`].
async fn read_body<B>(mut body: B, limit: usize, limits: &RequestLimits) -> Result<(Bytes, Reservation), Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    // A declared length above the limit is refused without reading.
    if body.size_hint().lower() > limit as u64 {
        return Err(Rejection::BodyTooLarge { limit });
    }
    let mut arrival = pin!(async {
        let mut frames = 0;
        let Some(first) = next_data(&mut body, &mut frames).await? else {
            return Ok((Bytes::new(), Reservation::default()));
        };
        if first.len() > limit {
            return Err(Rejection::BodyTooLarge { limit });
        }
        // Nearly every body is one frame, which is then not copied.
        if body.is_end_stream() {
            let mut reservation = Reservation::default();
            if first.len() > UNCOUNTED {
                reservation.reserve(size_class(first.len(), limits), first.len(), limits.max_held)?;
            }
            return Ok((first, reservation));
        }
        // Boxed, because few bodies need this future and all would carry its size.
        Box::pin(join_frames(first, &mut body, &mut frames, limit, limits)).await
    });
    // Most bodies arrive with the head and need no timer.
    match poll_fn(|cx| Poll::Ready(arrival.as_mut().poll(cx))).await {
        Poll::Ready(arrived) => arrived,
        // Boxed, so that the others do not carry space for it.
        Poll::Pending => {
            let arrived = Box::pin(tokio::time::timeout(limits.body_timeout, arrival)).await;
            arrived.unwrap_or(Err(Rejection::BodyTimeout))
        }
    }
}

/// Joins the frames of a body, and counts their memory against the budget.
async fn join_frames<B>(
    first: Bytes,
    body: &mut B,
    frames: &mut usize,
    limit: usize,
    limits: &RequestLimits,
) -> Result<(Bytes, Reservation), Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut reservation = Reservation::default();
    let mut reserve = |bytes: usize| reservation.reserve(size_class(bytes, limits), bytes, limits.max_held);
    reserve(first.len())?;
    let Some(second) = next_data(body, frames).await? else { return Ok((first, reservation)) };
    let mut whole = Vec::with_capacity((first.len() + second.len()).min(limit));
    whole.extend_from_slice(&first);
    drop(first);
    let mut more = Some(second);
    while let Some(piece) = more {
        let length = whole.len() + piece.len();
        if length > limit {
            return Err(Rejection::BodyTooLarge { limit });
        }
        if length > whole.capacity() {
            // Doubled, so that the bytes are not copied for each piece, but never beyond the limit. While the body has
            // the usual size, its capacity has it too: otherwise it would need the budget for large bodies.
            let most = if length > limits.max_body { limit } else { limit.min(limits.max_body) };
            whole.reserve_exact((2 * whole.capacity()).clamp(length, most) - whole.len());
        }
        reserve(whole.capacity())?;
        whole.extend_from_slice(&piece);
        more = next_data(body, frames).await?;
    }
    Ok((whole.into(), reservation))
}

fn size_class(bytes: usize, limits: &RequestLimits) -> SizeClass {
    if bytes > limits.max_body { SizeClass::Large } else { SizeClass::Regular }
}

/// The next frame with data. `frames` counts all that were read.
async fn next_data<B>(body: &mut B, frames: &mut usize) -> Result<Option<Bytes>, Rejection>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        if *frames > MAX_FRAMES {
            return Err(Rejection::malformed(format!("the body has more than {MAX_FRAMES} frames"), 0));
        }
        *frames += 1;
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Rejection::malformed("the body ended early", 0)),
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
    use crate::http::body_budget::reserved;
    use futures_util::StreamExt;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    const TIMEOUT: Duration = Duration::from_secs(5);
    const LIMITS: RequestLimits =
        RequestLimits { max_body: 3, max_held: 6, body_timeout: TIMEOUT, request_timeout: TIMEOUT };

    /// Reads a body and releases what was counted for it.
    async fn read_bytes<B>(body: B, limit: usize, limits: &RequestLimits) -> Result<Bytes, Rejection>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        read_body(body, limit, limits).await.map(|(bytes, _)| bytes)
    }

    fn pieces(pieces: &[&'static str]) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin + use<> {
        let frames: Vec<_> = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_its_limit() {
        assert_eq!(read_bytes(Full::new(Bytes::from("abc")), 3, &LIMITS).await.unwrap(), "abc");
        assert_eq!(read_bytes(Full::new(Bytes::new()), 3, &LIMITS).await.unwrap(), "");
        assert_eq!(read_bytes(pieces(&["a", "", "b", "c"]), 3, &LIMITS).await.unwrap(), "abc");
        let too_large = Err(Rejection::BodyTooLarge { limit: 3 });
        assert_eq!(read_bytes(Full::new(Bytes::from("abcd")), 3, &LIMITS).await, too_large);
        assert_eq!(read_bytes(pieces(&["abcd"]), 3, &LIMITS).await, too_large);
        assert_eq!(read_bytes(pieces(&["ab", "cd"]), 3, &LIMITS).await, too_large);
    }

    #[tokio::test]
    async fn a_body_of_too_many_frames_is_malformed() {
        let limits = RequestLimits { max_body: 64 << 10, max_held: 1 << 20, ..LIMITS };
        for piece in ["a", ""] {
            let whole = read_body(pieces(&vec![piece; MAX_FRAMES]), 64 << 10, &limits).await;
            assert_eq!(whole.unwrap().0.len(), piece.len() * MAX_FRAMES);
            let beyond = read_body(pieces(&vec![piece; MAX_FRAMES + 1]), 64 << 10, &limits).await;
            assert!(matches!(beyond, Err(Rejection::MalformedBody { .. })), "{piece:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_malformed() {
        let frames = [Ok(Frame::data(Bytes::from("a"))), Err(std::io::Error::other("gone"))];
        let broken = StreamBody::new(futures_util::stream::iter(frames));
        assert!(matches!(read_bytes(broken, 3, &LIMITS).await, Err(Rejection::MalformedBody { .. })));
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_times_out() {
        let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert_eq!(
            read_bytes(never, 3, &RequestLimits { body_timeout: Duration::from_millis(1), ..LIMITS }).await,
            Err(Rejection::BodyTimeout)
        );
    }

    /// Arrives in these pieces and then stalls.
    fn stalling(first: &[&'static str]) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin + use<> {
        let frames: Vec<_> = first.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        StreamBody::new(futures_util::stream::iter(frames).chain(futures_util::stream::pending()))
    }

    #[tokio::test]
    async fn incomplete_bodies_are_counted_until_they_are_dropped() {
        let counted = async |body: &[&'static str]| {
            let mut reading = Box::pin(read_body(stalling(body), 9, &LIMITS));
            assert!(futures_util::poll!(&mut reading).is_pending());
            let reserved = reserved();
            // The handler may be cancelled.
            drop(reading);
            (reserved, self::reserved())
        };
        assert_eq!(counted(&[]).await, ([0, 0], [0, 0]));
        assert_eq!(counted(&["ab"]).await, ([2, 0], [0, 0]));
        assert_eq!(counted(&["ab", "c"]).await, ([3, 0], [0, 0]));
        assert_eq!(counted(&["ab", "cd"]).await, ([0, 4], [0, 0]));
        let soon = RequestLimits { body_timeout: Duration::from_millis(1), ..LIMITS };
        assert_eq!(read_bytes(stalling(&["ab", "cd"]), 9, &soon).await, Err(Rejection::BodyTimeout));
        assert_eq!(reserved(), [0, 0]);
        let frames = [Ok(Frame::data(Bytes::from("abcd"))), Err(std::io::Error::other("gone"))];
        let broken = StreamBody::new(futures_util::stream::iter(frames));
        assert!(matches!(read_bytes(broken, 9, &LIMITS).await, Err(Rejection::MalformedBody { .. })));
        assert_eq!(
            read_bytes(pieces(&["abcd", "efghij"]), 9, &LIMITS).await,
            Err(Rejection::BodyTooLarge { limit: 9 })
        );
        assert_eq!(reserved(), [0, 0]);
    }

    #[tokio::test]
    async fn large_bodies_do_not_use_the_budget_of_regular_ones() {
        let mut waiting = Box::pin(read_body(stalling(&["ab", "cd"]), 9, &LIMITS));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(read_bytes(pieces(&["ab", "cd"]), 9, &LIMITS).await, Err(Rejection::Overloaded));
        assert_eq!(read_bytes(stalling(&["abcd"]), 9, &LIMITS).await, Err(Rejection::Overloaded));
        assert_eq!(read_bytes(pieces(&["ab", "c"]), 3, &LIMITS).await.unwrap(), "abc");
        // A body of up to `UNCOUNTED` bytes in one frame needs no budget.
        assert_eq!(read_bytes(Full::new(Bytes::from("abcdefghi")), 9, &LIMITS).await.unwrap(), "abcdefghi");
        let mut regular = [(); 2].map(|()| Box::pin(read_body(stalling(&["abc"]), 3, &LIMITS)));
        for reading in &mut regular {
            assert!(futures_util::poll!(reading).is_pending());
        }
        assert_eq!(read_bytes(pieces(&["a", "b"]), 3, &LIMITS).await, Err(Rejection::Overloaded));
        drop((waiting, regular));
        let (large, reservation) = read_body(pieces(&["ab", "cd"]), 9, &LIMITS).await.unwrap();
        assert_eq!((&large[..], reserved()), (&b"abcd"[..], [0, 4]));
        drop(large);
        assert_eq!(reserved(), [0, 4], "what the handler made of it is still there");
        drop(reservation);
        assert_eq!(reserved(), [0, 0]);
    }

    #[tokio::test]
    async fn body_of_a_few_kilobytes_is_counted_even_if_whole() {
        let limits = RequestLimits { max_body: 2 * UNCOUNTED, max_held: 3 * UNCOUNTED, ..LIMITS };
        let read = async |length: usize| read_body(Full::new(Bytes::from(vec![b'a'; length])), length, &limits).await;
        let (_, small) = read(UNCOUNTED).await.unwrap();
        assert_eq!(reserved(), [0, 0]);
        let (_, regular) = read(UNCOUNTED + 1).await.unwrap();
        assert_eq!(reserved(), [UNCOUNTED + 1, 0]);
        assert!(matches!(read(2 * UNCOUNTED).await, Err(Rejection::Overloaded)));
        let (_, large) = read(2 * UNCOUNTED + 1).await.unwrap();
        assert_eq!(reserved(), [UNCOUNTED + 1, 2 * UNCOUNTED + 1]);
        drop((small, regular, large));
        assert_eq!(reserved(), [0, 0]);
    }

    #[tokio::test]
    async fn a_body_of_the_usual_size_needs_no_budget_of_large_ones() {
        let limits = RequestLimits { max_body: 100, max_held: 100, ..LIMITS };
        let (_, reservation) = read_body(pieces(&["a"; 90]), 1000, &limits).await.unwrap();
        assert!(matches!(reserved(), [90..=100, 0]), "{:?}", reserved());
        drop(reservation);
    }

    #[tokio::test]
    async fn memory_of_a_body_in_pieces_is_doubled() {
        let limits = RequestLimits { max_body: 100, max_held: 100, ..LIMITS };
        let (_, reservation) = read_body(pieces(&["a"; 33]), 100, &limits).await.unwrap();
        assert!(reserved()[0] >= 64, "{:?}", reserved());
        drop(reservation);
    }

    #[tokio::test]
    async fn memory_of_a_body_in_pieces_stays_within_its_limit() {
        let limits = RequestLimits { max_body: 100, max_held: 100, ..LIMITS };
        let (whole, reservation) = read_body(pieces(&["a"; 90]), 100, &limits).await.unwrap();
        assert_eq!(whole.len(), 90);
        assert!((90..=100).contains(&reserved()[0]), "{:?}", reserved());
        drop(reservation);
    }
}
