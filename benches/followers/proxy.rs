//! An nginx in front of the server that caches what may be cached.

use std::net::SocketAddr;
use std::path::Path;

use super::support::nginx;
use super::support::process::Process;

/// Starts nginx, whose files are in `folder`.
pub(crate) fn start(folder: &Path, listen: SocketAddr, server: SocketAddr, cores: &str) -> Process {
    let dir = folder.display();
    let http = format!(
        "proxy_cache_path {dir}/cache keys_zone=feed:10m;
        upstream signet {{ server {server}; keepalive 16; }}
        server {{
            listen {listen} backlog=4096;
            location / {{
                proxy_pass http://signet; proxy_http_version 1.1; proxy_set_header Connection \"\";
                proxy_cache feed; proxy_cache_lock on; proxy_cache_use_stale updating;
            }}
        }}"
    );
    nginx::start(folder, listen, &http, cores)
}
