//! nginx with one process, whose files are in a folder of the bench.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use super::process::{Process, pinned_command};

/// Starts nginx on the given cores, with `http` as the content of its block `http`, which has to listen on `listen`.
pub(crate) fn start(folder: &Path, listen: SocketAddr, http: &str, cores: &str) -> Process {
    let dir = folder.display();
    let settings = format!(
        "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
        worker_rlimit_nofile 65536;
        events {{ worker_connections 32768; }}
        http {{
            access_log off;
            client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
            uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
            keepalive_requests 1000000000;
            {http}
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
