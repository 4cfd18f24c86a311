//! File descriptors: as many as the system gives, and no more connections than there are descriptors for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is not connections: listeners, stores, files, the runtimes' own.
const RESERVED: usize = 128;

/// Raises the limit as far as it goes, and tells for how many connections of `wanted` there is room.
pub(super) fn room_for(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let limit =
        if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    let Some(descriptors) = limit.current.and_then(|current| usize::try_from(current).ok()) else {
        return wanted;
    };
    let room = descriptors.saturating_sub(RESERVED).max(descriptors / 2);
    if room < wanted {
        tracing::warn!(
            "server.max_connections is {wanted}, but only {descriptors} file descriptors may be open: \
             {room} connections will be; raise the limit (ulimit -Hn, or LimitNOFILE= of the unit)"
        );
    }
    wanted.min(room).max(1)
}
