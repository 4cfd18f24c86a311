//! What stands between two that talk: it passes on what they say, until it is told to keep an answer back.

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
    /// After these words, nothing more is said back to who said them.
    words: Mutex<Option<Vec<u8>>>,
    /// Whether something was kept back.
    kept: watch::Sender<bool>,
}

impl Relay {
    pub(super) async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { words: Mutex::default(), kept: watch::Sender::new(false) });
        let relay = Self { port, shared: shared.clone() };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&address).await else { continue };
                let ((near_says, to_near), (far_says, to_far)) = (near.into_split(), far.into_split());
                let said = Arc::new(AtomicBool::new(false));
                tokio::spawn(there(near_says, to_far, shared.clone(), said.clone()));
                tokio::spawn(back(far_says, to_near, shared.clone(), said));
            }
        });
        relay
    }

    /// From now on, whoever says these words is told nothing more; the words are passed on.
    pub(super) fn keep_back_after(&self, words: &str) {
        *self.shared.words.lock().unwrap() = Some(words.as_bytes().to_vec());
    }

    /// Waits until something was said back.
    pub(super) async fn has_kept_back(&self) {
        let mut kept = self.shared.kept.subscribe();
        let came = kept.wait_for(|kept| *kept);
        tokio::time::timeout(Duration::from_secs(30), came).await.expect("it comes").unwrap();
    }

    /// Whoever comes now is passed through.
    pub(super) fn open(&self) {
        *self.shared.words.lock().unwrap() = None;
        self.shared.kept.send_replace(false);
    }
}

async fn there(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: Arc<Shared>, said: Arc<AtomicBool>) {
    let mut piece = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let words = shared.words.lock().unwrap().clone();
        if words.is_some_and(|words| piece[..read].windows(words.len()).any(|some| some == words)) {
            // Before they are passed on: no answer can be quicker.
            said.store(true, Ordering::SeqCst);
        }
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: Arc<Shared>, said: Arc<AtomicBool>) {
    let mut piece = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if said.load(Ordering::SeqCst) {
            shared.kept.send_replace(true);
        } else if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
