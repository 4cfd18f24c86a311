//! File descriptors: raises the process's limit, and caps the connections by the descriptors that remain for them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything but connections: listeners, stores, files, the runtimes' own.
const RESERVED: usize = 128;

/// Raises the limit as far as the system allows, and returns the number of connections, at most `max_connections`, that
/// it permits.
pub(super) fn permitted_connections(max_connections: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let limit =
        if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    let Some(descriptors) = limit.current.and_then(|current| usize::try_from(current).ok()) else {
        return max_connections;
    };
    let available = descriptors.saturating_sub(RESERVED).max(descriptors / 2);
    if available < max_connections {
        tracing::warn!(
            "server.max_connections is {max_connections}, but the limit of {descriptors} open files leaves room for \
             {available} connections: raise the limit (ulimit -Hn, or LimitNOFILE= of the systemd unit)"
        );
    }
    max_connections.min(available).max(1)
}
