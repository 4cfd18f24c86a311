//! A TCP relay that can withhold the response to a certain request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay to one address.
pub(super) struct Relay {
    pub(super) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// After a request with this part, its connection gets no more responses.
    request_part: Mutex<Option<Vec<u8>>>,
    /// True if a response was withheld.
    withheld: watch::Sender<bool>,
}

impl Relay {
    pub(super) async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { request_part: Mutex::default(), withheld: watch::Sender::new(false) });
        let relay = Self { port, shared: shared.clone() };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&address).await else { continue };
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                let seen = Arc::new(AtomicBool::new(false));
                tokio::spawn(forward_requests(from_near, to_far, shared.clone(), seen.clone()));
                tokio::spawn(forward_responses(from_far, to_near, shared.clone(), seen));
            }
        });
        relay
    }

    /// From now on, a connection that sends this gets no more responses; the request itself is forwarded.
    pub(super) fn withhold_responses_after(&self, request_part: &str) {
        *self.shared.request_part.lock().unwrap() = Some(request_part.as_bytes().to_vec());
    }

    /// Waits until a response was withheld.
    pub(super) async fn wait_until_withheld(&self) {
        let mut withheld = self.shared.withheld.subscribe();
        let withheld_something = withheld.wait_for(|withheld| *withheld);
        tokio::time::timeout(Duration::from_secs(30), withheld_something).await.expect("the response arrives").unwrap();
    }

    /// Forwards everything on new connections.
    pub(super) fn stop_withholding(&self) {
        *self.shared.request_part.lock().unwrap() = None;
        self.shared.withheld.send_replace(false);
    }
}

async fn forward_requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: Arc<Shared>, seen: Arc<AtomicBool>) {
    let mut chunk = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        let request_part = shared.request_part.lock().unwrap().clone();
        if request_part.is_some_and(|part| chunk[..read].windows(part.len()).any(|window| window == part)) {
            // Before the request is forwarded, so that no response can arrive earlier.
            seen.store(true, Ordering::SeqCst);
        }
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}

async fn forward_responses(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: Arc<Shared>,
    seen: Arc<AtomicBool>,
) {
    let mut chunk = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        if seen.load(Ordering::SeqCst) {
            shared.withheld.send_replace(true);
        } else if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}
