//! A connection's socket: reads and writes with direct system calls, through one buffer that a worker's connections
//! share.
//!
//! The C library's `recv` and `send` are thread cancellation points and pay for that twice per call. And a small
//! response is sent as one piece: copying head and body together costs less than passing two pieces to the kernel.
//! Knows nothing of the protocol.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Size of hyper's initial read buffer; Signet's requests and responses are smaller.
const BUFFER_SIZE: usize = 8 * 1024;

/// A worker's transfer buffer. It is initialized once; a buffer per connection would have to be cleared for each read.
#[derive(Clone)]
pub(super) struct SharedBuffer(Rc<RefCell<Box<[u8; BUFFER_SIZE]>>>);

impl SharedBuffer {
    pub(super) fn new() -> Self {
        Self(Rc::new(RefCell::new(Box::new([0; BUFFER_SIZE]))))
    }
}

/// A connection's socket.
pub(super) struct Socket {
    stream: TcpStream,
    buffer: SharedBuffer,
    received: Cell<u32>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, buffer: &SharedBuffer) -> Self {
        Self { stream, buffer: buffer.clone(), received: Cell::new(0) }
    }

    /// The number of bytes received so far.
    pub(super) fn received(&self) -> u32 {
        self.received.get()
    }

    /// Runs `call` unless the socket is known not to be ready for it; `None` if it is not ready.
    ///
    /// A call that transfers fewer bytes than `requested` clears the socket's readiness: the kernel has no more bytes,
    /// or no more space. Otherwise one more call would be needed to learn that.
    fn try_transfer(
        &self,
        interest: Interest,
        requested: usize,
        call: impl FnOnce(&TcpStream) -> rustix::io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        let mut transferred = None;
        let result = self.stream.try_io(interest, || {
            let count = *transferred.insert(call(&self.stream)?);
            if (1..requested).contains(&count) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match result {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(transferred),
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // The send buffer nearly always has space, so the call comes before the readiness check. A task that only wrote
        // would then never yield to others, but every connection has to read as well.
        loop {
            let send = |stream: &TcpStream| retry_on_intr(|| rustix::net::send(stream, bytes, SendFlags::NOSIGNAL));
            if let Some(count) = self.try_transfer(Interest::WRITABLE, bytes.len(), send)? {
                return Poll::Ready(Ok(count));
            }
            ready!(self.stream.poll_write_ready(cx))?;
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut buffer = self.buffer.0.borrow_mut();
        let requested = BUFFER_SIZE.min(into.remaining());
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let recv = |stream: &TcpStream| {
                let read = retry_on_intr(|| rustix::net::recv(stream, &mut buffer[..requested], RecvFlags::empty()));
                read.map(|(_, count)| count)
            };
            if let Some(count) = self.try_transfer(Interest::READABLE, requested, recv)? {
                into.put_slice(&buffer[..count]);
                self.received.set(self.received.get().saturating_add(count as u32));
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
        if let [whole] = pieces {
            return socket.poll_send(cx, whole);
        }
        let length = pieces.iter().map(|piece| piece.len()).sum();
        if length > BUFFER_SIZE {
            return Pin::new(&mut socket.stream).poll_write_vectored(cx, pieces);
        }
        let mut buffer = socket.buffer.0.borrow_mut();
        let mut remaining = &mut buffer[..];
        for piece in pieces {
            let (target, after) = remaining.split_at_mut(piece.len());
            target.copy_from_slice(piece);
            remaining = after;
        }
        socket.poll_send(cx, &buffer[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sent bytes are already with the kernel.
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

    async fn connect() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, Socket::new(listener.accept().await.unwrap().0, &SharedBuffer::new()))
    }

    /// More than the kernel buffers before the peer reads.
    const MANY: usize = 16 << 20;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|n| (n % 251) as u8).collect()
    }

    #[tokio::test]
    async fn data_larger_than_the_buffer_arrives_whole() {
        let (client, mut socket) = connect().await;
        let (mut from, mut to) = client.into_split();
        let writing = tokio::spawn(async move {
            to.write_all(&bytes(MANY)).await.unwrap();
            let mut back = Vec::new();
            from.read_to_end(&mut back).await.unwrap();
            (back, to)
        });
        let mut read = vec![0; MANY];
        socket.read_exact(&mut read).await.unwrap();
        assert!(read == bytes(MANY));
        socket.write_all(&read).await.unwrap();
        socket.shutdown().await.unwrap();
        let (back, to) = writing.await.unwrap();
        assert!(back == bytes(MANY));
        drop(to);
        assert_eq!(socket.read(&mut read).await.unwrap(), 0, "end of stream");
    }

    #[tokio::test]
    async fn pieces_of_any_size_are_joined_in_order() {
        let (mut client, mut socket) = connect().await;
        for sizes in [[3, 5], [0, 1], [BUFFER_SIZE - 1, 1], [BUFFER_SIZE, 1], [1, BUFFER_SIZE * 2]] {
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
    async fn a_disconnected_client_is_an_error_and_no_signal() {
        let (client, mut socket) = connect().await;
        client.set_zero_linger().unwrap();
        drop(client);
        assert!(socket.read(&mut [0; 8]).await.is_err());
        assert_eq!(socket.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
