//! A connection's socket: its bytes are read and written by the kernel's own calls, through a passage that a worker's connections share.
//!
//! The C library's calls are points at which a thread could be cancelled, and each pays for that twice. And one small answer is one piece:
//! head and body put together cost less than telling the kernel of two. Knows nothing of what the bytes mean.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// As much as HTTP has room for at first: a request of ours and its answer are smaller.
const ROOM: usize = 8 * 1024;

/// What bytes pass through on their way in and out: one of these a worker. It is made once, where each connection's own would have
/// to be cleared for each reading.
#[derive(Clone)]
pub(super) struct Passage(Rc<RefCell<Box<[u8; ROOM]>>>);

impl Passage {
    pub(super) fn new() -> Self {
        Self(Rc::new(RefCell::new(Box::new([0; ROOM]))))
    }
}

/// A connection's socket.
pub(super) struct Socket {
    stream: TcpStream,
    passage: Passage,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, passage: &Passage) -> Self {
        Self { stream, passage: passage.clone() }
    }

    /// Does `call` unless the socket is known not to be ready for it; `None` where it is not.
    ///
    /// Fewer bytes than were `wanted` mean that the socket has no more, or takes no more: that is noted, or it would have to be asked
    /// once more to say so.
    fn attempt(
        &self,
        interest: Interest,
        wanted: usize,
        call: impl FnOnce(&TcpStream) -> rustix::io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let mut done = None;
        let tried = self.stream.try_io(interest, || {
            let count = *done.insert(call(&self.stream)?);
            if (1..wanted).contains(&count) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match tried {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(done),
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // There nearly always is room. Who only ever wrote would not let others have their turn, but must read too.
        loop {
            let send = |stream: &TcpStream| retry_on_intr(|| rustix::net::send(stream, bytes, SendFlags::NOSIGNAL));
            if let Some(count) = self.attempt(Interest::WRITABLE, bytes.len(), send)? {
                return Poll::Ready(Ok(count));
            }
            ready!(self.stream.poll_write_ready(cx))?;
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut room = self.passage.0.borrow_mut();
        let wanted = ROOM.min(into.remaining());
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let recv = |stream: &TcpStream| {
                let read = retry_on_intr(|| rustix::net::recv(stream, &mut room[..wanted], RecvFlags::empty()));
                read.map(|(_, count)| count)
            };
            if let Some(count) = self.attempt(Interest::READABLE, wanted, recv)? {
                into.put_slice(&room[..count]);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let length = pieces.iter().map(|piece| piece.len()).sum();
        if length > ROOM {
            return Pin::new(&mut socket.stream).poll_write_vectored(cx, pieces);
        }
        let mut room = socket.passage.0.borrow_mut();
        let mut rest = &mut room[..];
        for piece in pieces {
            let (place, after) = rest.split_at_mut(piece.len());
            place.copy_from_slice(piece);
            rest = after;
        }
        socket.poll_send(cx, &room[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was sent is the kernel's.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, Socket::new(listener.accept().await.unwrap().0, &Passage::new()))
    }

    /// More than the kernel takes before anybody reads.
    const LONG: usize = 16 << 20;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|n| (n % 251) as u8).collect()
    }

    #[tokio::test]
    async fn what_is_more_than_there_is_room_for_arrives_whole() {
        let (client, mut socket) = pair().await;
        let (mut from, mut to) = client.into_split();
        let writing = tokio::spawn(async move {
            to.write_all(&bytes(LONG)).await.unwrap();
            let mut back = Vec::new();
            from.read_to_end(&mut back).await.unwrap();
            (back, to)
        });
        let mut read = vec![0; LONG];
        socket.read_exact(&mut read).await.unwrap();
        assert!(read == bytes(LONG));
        socket.write_all(&read).await.unwrap();
        socket.shutdown().await.unwrap();
        let (back, to) = writing.await.unwrap();
        assert!(back == bytes(LONG));
        drop(to);
        assert_eq!(socket.read(&mut read).await.unwrap(), 0, "the end is an end");
    }

    #[tokio::test]
    async fn pieces_are_put_together_in_their_order_whatever_their_size() {
        let (mut client, mut socket) = pair().await;
        for sizes in [[3, 5], [0, 1], [ROOM - 1, 1], [ROOM, 1], [1, ROOM * 2]] {
            let whole = bytes(sizes[0] + sizes[1]);
            let (head, body) = whole.split_at(sizes[0]);
            let pieces = [io::IoSlice::new(head), io::IoSlice::new(body)];
            assert_eq!(socket.write_vectored(&pieces).await.unwrap(), whole.len());
            let mut read = vec![0; whole.len()];
            client.read_exact(&mut read).await.unwrap();
            assert!(read == whole, "{sizes:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_is_gone_is_an_error_and_no_signal() {
        let (client, mut socket) = pair().await;
        client.set_zero_linger().unwrap();
        drop(client);
        assert!(socket.read(&mut [0; 8]).await.is_err());
        assert_eq!(socket.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
