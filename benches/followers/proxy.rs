//! An nginx in front of the server that caches what may be cached.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use super::support::process::{Process, pinned_command};

/// Starts nginx, whose files are in `folder`.
pub(crate) fn start(folder: &Path, listen: SocketAddr, server: SocketAddr, cores: &str) -> Process {
    let dir = folder.display();
    let settings = format!(
        "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
        worker_rlimit_nofile 65536;
        events {{ worker_connections 32768; }}
        http {{
            access_log off;
            client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
            uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
            proxy_cache_path {dir}/cache keys_zone=feed:10m;
            keepalive_requests 1000000;
            upstream signet {{ server {server}; keepalive 16; }}
            server {{
                listen {listen} backlog=4096;
                location / {{
                    proxy_pass http://signet; proxy_http_version 1.1; proxy_set_header Connection \"\";
                    proxy_cache feed; proxy_cache_lock on; proxy_cache_use_stale updating;
                }}
            }}
        }}"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, settings).expect("the folder is writable");
    let log = folder.join("log");
    let mut command = pinned_command(cores, "nginx", &log);
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    let mut process = Process::start(command, &log);
    process.wait_until("nginx", || TcpStream::connect(listen).ok());
    process
}
