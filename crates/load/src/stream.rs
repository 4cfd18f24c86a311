//! The byte stream of a connection: TCP, or TLS over it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};

use super::LoadError;

/// A connection that never blocks.
pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    /// Opens a connection, whose events have the number `index`.
    pub(super) fn open(address: SocketAddr, epoll: &OwnedFd, index: usize) -> Result<TcpStream, LoadError> {
        let open = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(epoll, &stream, EventData::new_u64(index as u64), events)?;
            Ok(stream)
        };
        open().map_err(|cause| LoadError::Connect { address, cause })
    }

    /// Sends what is left of `bytes` after `sent`, as far as possible without blocking.
    pub(super) fn send(&mut self, bytes: &[u8], sent: &mut usize) -> Result<(), LoadError> {
        while *sent < bytes.len() {
            match self.write(&bytes[*sent..]) {
                Ok(written) => *sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(LoadError::Disconnected(error)),
            }
        }
        self.flush_tls()
    }

    /// Reads up to `space` more bytes to the end of `received`. `None` if there are none yet.
    pub(super) fn receive(&mut self, received: &mut Vec<u8>, space: usize) -> Result<Option<()>, LoadError> {
        let length = received.len();
        received.resize(length + space, 0);
        let read = self.read(&mut received[length..]);
        received.truncate(length + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(LoadError::Disconnected(ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(Some(())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(LoadError::Disconnected(error)),
        }
    }

    /// Sends the records that TLS holds, such as the end of a handshake.
    fn flush_tls(&mut self) -> Result<(), LoadError> {
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(LoadError::Disconnected(error)),
            _ => Ok(()),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(stream) => stream.as_fd(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.sock.as_fd(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}
