//! The listening sockets: one a worker on one port, which nobody else listens on.
//!
//! `SO_REUSEPORT` lets any process of the same user share the port, so that a second server by mistake would take half of
//! the connections in silence. Hence the first socket is bound without it, which fails if anybody is there and keeps
//! everybody away who does the same, and gets it only then, for its siblings to join.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that are made but not yet accepted; the kernel has a bound of its own (`somaxconn`), usually this.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{address} is taken: another process listens there; stop it, or choose another port")]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// Ports below 1024 are not for everybody.
    #[error("{address} is not for this user: choose a port above 1023, or grant CAP_NET_BIND_SERVICE")]
    Forbidden {
        /// The address.
        address: SocketAddr,
    },
    /// No interface of this machine has the address.
    #[error("{address} is not an address of this machine: use 0.0.0.0 or [::] to listen on all that it has")]
    NotHere {
        /// The address.
        address: SocketAddr,
    },
    /// Something else.
    #[error("cannot listen on {address}: {detail}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        detail: String,
    },
}

impl BindError {
    pub(super) fn other(address: SocketAddr, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::Taken { address },
            io::ErrorKind::PermissionDenied => Self::Forbidden { address },
            io::ErrorKind::AddrNotAvailable => Self::NotHere { address },
            _ => Self::Other { address, detail: error.to_string() },
        }
    }
}

/// `count` listeners on one address.
pub(super) fn listeners(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, BindError> {
    let listeners = || {
        let first = socket(address)?;
        first.bind(&address.into())?;
        // The port that was given, where none was asked for.
        let bound = first.local_addr()?.as_socket().unwrap_or(address);
        let mut sockets = vec![first];
        if count > 1 {
            sockets[0].set_reuse_port(true)?;
            for _ in 1..count {
                let sibling = socket(address)?;
                sibling.set_reuse_port(true)?;
                sibling.bind(&bound.into())?;
                sockets.push(sibling);
            }
        }
        for socket in &sockets {
            socket.listen(BACKLOG)?;
        }
        Ok(sockets.into_iter().map(TcpListener::from).collect())
    };
    listeners().map_err(|error: io::Error| BindError::other(address, &error))
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Inherited by every connection, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// Lets no new connection begin on a listener, while those whose handshake is under way can finish it.
///
/// Connections that the kernel made and nobody accepted are reset when their listener closes. So before it does, SYNs are dropped
/// unseen (their sender tries again a second later and then finds the port closed, or the next server), and the queue can be
/// emptied for good. Without this one slips in now and then between the last accept and the close: 5 connections were
/// reset in 150 drains under the load of 128 clients, and none with it.
#[cfg(target_os = "linux")]
pub(super) fn refuse_new(listener: &TcpListener) {
    use socket2::SockFilter;
    // Classic BPF over the TCP header: of SYN (0x02) and ACK (0x10) in byte 13 just SYN: 0 bytes are kept; else all.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let drop_syn = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(AND, 0, 0, 0x12),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0x02),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    // Where filters are not allowed, the queue is emptied all the same.
    let _ = socket2::SockRef::from(listener).attach_filter(&drop_syn);
}

/// Elsewhere the queue is only emptied.
#[cfg(not(target_os = "linux"))]
pub(super) fn refuse_new(_: &TcpListener) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_share_a_port_that_nobody_else_gets() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        for count in [1, 2] {
            let ours = listeners(any, count).unwrap();
            let address = ours[0].local_addr().unwrap();
            assert!(ours.iter().all(|listener| listener.local_addr().unwrap() == address));
            for theirs in [1, 2] {
                assert_eq!(listeners(address, theirs).unwrap_err(), BindError::Taken { address });
            }
        }
    }

    #[test]
    fn an_address_of_another_machine_is_said_to_be_one() {
        let address: SocketAddr = "192.0.2.1:0".parse().unwrap();
        assert_eq!(listeners(address, 2).unwrap_err(), BindError::NotHere { address });
    }
}
