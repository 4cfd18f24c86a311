//! Lets another process have the write lock of the file. SQLite's lock has no queue: beside a process that takes it
//! again at once, one that looks every millisecond may not get it in time, least of all where the cores are busy. So a
//! process that waits for it holds a shared lock on the folder, and a busy one waits until it has had its turn. The
//! lock of a process that dies is released by the system. Knows no table.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a waiting process looks again. SQLite's own handler backs off to a tenth of a second.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// The longest wait for the turn of another process, which may have been stopped. Long enough for the scheduler to run
/// it where the cores are busy.
const LONGEST_TURN: Duration = Duration::from_millis(50);

/// A pause in which another process that waits gets the lock by itself, unless the cores are busy.
pub(super) const PAUSE: Duration = RETRY_INTERVAL.saturating_mul(2);

/// The turn of one connection.
pub(super) struct Turn {
    /// `None` if the folder cannot be opened.
    folder: Option<File>,
    is_waiting: AtomicBool,
}

impl Turn {
    /// `path` is that of the database.
    pub(super) fn new(path: &Path) -> Self {
        let folder = path.parent().and_then(|folder| File::open(folder).ok());
        Self { folder, is_waiting: AtomicBool::new(false) }
    }

    /// This connection waits for the write lock, until [`Turn::end_wait`]. Called before each retry: while another
    /// process looks, this one cannot say so, and it must not wait for a program of the operator that locked the folder.
    pub(super) fn wait(&self) {
        if !self.is_waiting.load(Ordering::Relaxed)
            && let Some(folder) = &self.folder
            && folder.try_lock_shared().is_ok()
        {
            self.is_waiting.store(true, Ordering::Relaxed);
        }
    }

    /// This connection has the write lock, or has stopped waiting for it.
    pub(super) fn end_wait(&self) {
        if self.is_waiting.swap(false, Ordering::Relaxed)
            && let Some(folder) = &self.folder
        {
            // Fails only for invalid arguments.
            let _ = folder.unlock();
        }
    }

    /// Waits until no other process waits for the write lock, which this connection must not have. Returns false if one
    /// still waits after [`LONGEST_TURN`].
    pub(super) fn yield_to_others(&self) -> bool {
        let end = Instant::now() + LONGEST_TURN;
        loop {
            match self.folder.as_ref().map(File::try_lock) {
                Some(Ok(())) => {
                    let _ = self.folder.as_ref().map(File::unlock);
                    return true;
                }
                Some(Err(TryLockError::WouldBlock)) if Instant::now() < end => std::thread::sleep(RETRY_INTERVAL),
                Some(Err(TryLockError::WouldBlock)) => return false,
                // This file system has no such locks.
                Some(Err(TryLockError::Error(_))) | None => {
                    std::thread::sleep(PAUSE);
                    return true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_have_their_turn_while_they_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any");
        let (own, other, third) = (Turn::new(&path), Turn::new(&path), Turn::new(&path));
        assert!(own.yield_to_others());
        other.wait();
        third.wait();
        assert!(!own.yield_to_others());
        other.end_wait();
        assert!(!own.yield_to_others());
        third.end_wait();
        assert!(own.yield_to_others());
    }

    #[test]
    fn folder_that_another_program_locked_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let lock = File::open(folder.path()).unwrap();
        lock.lock().unwrap();
        let turn = Turn::new(&folder.path().join("any"));
        turn.wait();
        assert!(!turn.yield_to_others());
        lock.unlock().unwrap();
        turn.wait();
        turn.end_wait();
        assert!(turn.yield_to_others());
    }

    #[test]
    fn folder_without_locks_is_no_error() {
        let turn = Turn::new(std::path::Path::new("/nonexistent/any"));
        turn.wait();
        turn.end_wait();
        assert!(turn.yield_to_others());
    }
}
