//! Signing users out: one at a time, or at a steady rate.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::support::http;
use super::support::signet::SeededSession;

/// So many sign-outs can be under way at the same time: each waits for the store.
const THREADS: usize = 8;

/// A connection that stays open.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP connection");
        Self(stream)
    }

    /// Ends all sessions of the token's user.
    pub(crate) fn sign_out(&mut self, access_token: &str) {
        let bearer = format!("authorization: Bearer {access_token}\r\n");
        let request = http::build_request("DELETE", "/sessions", &bearer, "");
        self.0.write_all(request.as_bytes()).expect("the server reads the request");
        let response = http::read_response(&mut self.0);
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
}

/// Threads that sign users out.
pub(crate) struct SignOuts {
    threads: Vec<JoinHandle<()>>,
    count: Arc<AtomicUsize>,
}

/// Signs users out at a steady rate until `ended`, or until there are no more.
pub(crate) fn spawn(sessions: &[SeededSession], address: SocketAddr, rate: f64, ended: &Arc<AtomicBool>) -> SignOuts {
    let (sessions, count) = (Arc::new(sessions.to_vec()), Arc::new(AtomicUsize::new(0)));
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let threads = (0..THREADS).map(|_| {
        let (sessions, count, next, ended) = (sessions.clone(), count.clone(), next.clone(), ended.clone());
        std::thread::spawn(move || {
            let mut connection = Connection::open(address);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(session) = sessions.get(number) else { return };
                let due = began + Duration::from_secs_f64(number as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                connection.sign_out(&session.access_token);
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    SignOuts { threads: threads.collect(), count }
}

impl SignOuts {
    /// The number of sign-outs so far.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits for the end.
    pub(crate) fn join(self) {
        self.threads.into_iter().for_each(|thread| thread.join().expect("every sign-out succeeds"));
    }
}
