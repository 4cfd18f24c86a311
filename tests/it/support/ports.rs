//! Ports of 127.0.0.1 for servers whose address must be known before they start, or must be free when they start again.
//!
//! Tests run in several processes at once, and a port is free between the moment at which a test chooses it and the
//! moment at which a server listens there. So each process takes whole blocks of ports, by locks that end with it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use rustix::process::geteuid;

/// Below the range from which the system takes ports of outgoing connections and of servers that let it choose.
const FIRST: u16 = 12_000;

/// The ports of one lock. More than most tests need.
const BLOCK: u16 = 20;

const BLOCKS: u16 = 500;

/// The bus of a Redis Cluster is that far above the port of its server.
const BUS: u16 = 10_000;

/// A process that needs more uses its ports again, so that it leaves some to others.
const MOST_BLOCKS: usize = 50;

/// A port that no other process of the tests gets before this one ends, and this one not soon again.
///
/// # Panics
/// If other processes have taken all ports.
pub(crate) fn free_port() -> u16 {
    static OWN: Mutex<Ports> = Mutex::new(Ports { blocks: Vec::new(), next: 0 });
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let port = own.next();
        if is_free(port) && is_free(port + BUS) {
            return port;
        }
    }
}

struct Ports {
    /// The locks of the blocks, and their first ports.
    blocks: Vec<(File, u16)>,
    next: usize,
}

impl Ports {
    fn next(&mut self) -> u16 {
        let size = usize::from(BLOCK);
        if self.next == self.blocks.len() * size {
            match (self.blocks.len() < MOST_BLOCKS).then(lock_block).flatten() {
                Some(block) => self.blocks.push(block),
                None => self.next = 0,
            }
        }
        let (_, first) = self.blocks.get(self.next / size).expect("other processes have taken all ports");
        let port = first + (self.next % size) as u16;
        self.next += 1;
        port
    }
}

/// Locks a block that is not locked. Each process begins its search elsewhere.
fn lock_block() -> Option<(File, u16)> {
    // One folder for all working copies of this user.
    let folder = std::env::temp_dir().join(format!("signet-test-ports-{}", geteuid().as_raw()));
    fs::create_dir_all(&folder).expect("the temporary folder is writable");
    let begin = std::process::id() % u32::from(BLOCKS);
    (0..BLOCKS).map(|step| (begin as u16 + step) % BLOCKS).find_map(|block| {
        let file = File::create(folder.join(block.to_string())).expect("the lock file can be created");
        file.try_lock().ok().map(|()| (file, FIRST + block * BLOCK))
    })
}
