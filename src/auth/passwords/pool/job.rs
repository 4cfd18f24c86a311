//! The jobs that the threads of the pool run. Knows nothing of the queue.

use tokio::sync::oneshot;

use crate::auth::passwords::Memory;

/// A unit of work. Dropping it without running it fails its caller with [`Busy`](super::Busy).
pub(super) trait Job: Send {
    fn is_abandoned(&self) -> bool;
    /// Number of hashes in the job.
    fn hashes(&self) -> u32;
    fn run(self: Box<Self>, memory: &mut Memory);
}

/// A job whose result is sent to its caller.
pub(super) struct Task<T, F> {
    pub(super) work: F,
    pub(super) hashes: u32,
    pub(super) reply: oneshot::Sender<T>,
}

impl<T: Send, F: FnOnce(&mut Memory) -> T + Send> Job for Task<T, F> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn hashes(&self) -> u32 {
        self.hashes
    }

    fn run(self: Box<Self>, memory: &mut Memory) {
        // Fails if the caller went away while the job ran, which is not an error.
        let _ = self.reply.send((self.work)(memory));
    }
}
